// The commands of `safepoint step` that hold goroutines: suspend, resume, scan.

import {
  type Go,
  GuestCallError,
  Inspector,
  type Session,
  SuspendError,
  Suspender,
  type SuspendRequest,
} from '../../src/index.ts';
import type { Output } from '../output.ts';
import { describeFrame } from './goroutines.ts';

/** Goroutines that a prompt holds, by number. */
export class SuspendCommands {
  readonly #suspender: Suspender;
  readonly #inspector: Inspector;
  readonly #output: Output;
  readonly #held = new Map<number, SuspendRequest>();

  constructor(session: Session, go: Go, output: Output) {
    this.#suspender = new Suspender(session, go);
    this.#inspector = new Inspector(session, go);
    this.#output = output;
  }

  /** Whether any goroutine is suspended. */
  get holding(): boolean {
    return this.#held.size > 0;
  }

  suspend(argument: string | undefined): void {
    this.#on(argument, (goid) => {
      if (this.#held.has(goid)) return this.#say(`goroutine ${goid} is suspended already; resume ${goid} lets it go`);
      const g = this.#suspender.find(goid);
      if (g === undefined) return this.#say(`there is no goroutine ${goid}; goroutines lists them`);
      const request = this.#suspender.suspendG(g);
      if (request.state?.dead === true) return this.#say(`goroutine ${goid} is dead: there is nothing to suspend`);
      this.#held.set(goid, request);
      const cost = (request.suspendedAt ?? request.askedAt) - request.askedAt;
      const { signals, refused } = request.counts;
      this.#say(
        `goroutine ${goid} is suspended (${request.kind}, ${cost} instructions, ${signals} signals, ${refused} refused)`,
      );
    });
  }

  resume(argument: string | undefined): void {
    this.#on(argument, (goid) => {
      const request = this.#held.get(goid);
      if (request === undefined) return this.#say(`goroutine ${goid} is not suspended`);
      this.#suspender.resumeG(request);
      this.#held.delete(goid);
      this.#say(`goroutine ${goid} goes on`);
    });
  }

  scan(argument: string | undefined): void {
    const only = this.#held.size === 1 ? [...this.#held.keys()][0] : undefined;
    this.#on(argument ?? only?.toString(), (goid) => {
      const request = this.#held.get(goid);
      if (request === undefined) return this.#say(`goroutine ${goid} is not suspended; suspend ${goid} first`);
      for (const frame of this.#inspector.scan(request.g)) for (const line of describeFrame(frame)) this.#say(line);
    });
  }

  #say(line: string): void {
    this.#output.out(`${line}\n`);
  }

  #on(argument: string | undefined, action: (goid: number) => void): void {
    const goid = Number(argument);
    if (argument === undefined || !Number.isSafeInteger(goid) || goid < 1)
      return this.#say('wanted the number of a goroutine');
    try {
      action(goid);
    } catch (error) {
      if (!(error instanceof SuspendError || error instanceof GuestCallError)) throw error;
      this.#say(error.message);
    }
  }
}
