// The one debugger: moves a session by instructions and to places, and describes where it stands. Front ends stand on top.

import type { Decoded } from '../../isa/dsl/isa.ts';
import type { Machine } from '../engine/machine.ts';
import { GuestFault } from '../engine/memory.ts';
import type { GoroutineState } from '../goruntime/preempt.ts';
import type { Verdict } from '../goruntime/safe-points.ts';
import { type StackWalk, Unwinder } from '../goruntime/unwind.ts';
import { GuestReadError, type ThreadView } from '../goruntime/view.ts';
import type { Go } from './go.ts';
import type { Interrupt } from './host-handler.ts';
import type { Session, SessionEnd, SessionSnapshot } from './session.ts';
import { type Thread, threadOf } from './view.ts';

/** How a movement ended: where it wanted to go, or because the program did. */
export type Moved = { readonly kind: 'there' } | { readonly kind: 'ended'; readonly end: SessionEnd };

/** One goroutine, as a line of a list. */
export interface GoroutineLine extends GoroutineState {
  readonly running: boolean;
}

/** Instructions between the marks that stepping back starts from. */
const MARK_EVERY = 100_000;
const MOST_MARKS = 64;

const THERE: Moved = { kind: 'there' };

export class Debugger {
  readonly session: Session;
  readonly #machine: Machine;
  readonly #thread: Thread;
  readonly #marks: { readonly at: number; readonly snapshot: SessionSnapshot }[] = [];

  constructor(session: Session) {
    this.session = session;
    this.#machine = session.machine;
    this.#thread = threadOf(session.machine, session.arch);
    this.#mark();
  }

  get instructions(): number {
    return this.#machine.instructions;
  }

  /** The thread whose registers the machine holds. */
  get thread(): Thread {
    return this.#thread;
  }

  #mark(): void {
    this.#marks.push({ at: this.instructions, snapshot: this.session.save() });
    // The oldest marks thin out, the first excepted: it is where stepping back can always start.
    if (this.#marks.length > MOST_MARKS)
      for (const { snapshot } of this.#marks.splice(1, 1)) this.session.drop(snapshot);
  }

  /** Executes `count` instructions, of whichever threads have their turn. */
  step(count = 1): Moved {
    return this.#forward(this.instructions + count);
  }

  #forward(target: number): Moved {
    while (this.instructions < target) {
      const next = Math.min(target, this.#marks.at(-1)!.at + MARK_EVERY);
      const end = next > this.instructions + 1 ? this.session.advance(next) : this.session.step();
      if (end !== undefined) return { kind: 'ended', end };
      if (this.instructions >= this.#marks.at(-1)!.at + MARK_EVERY) this.#mark();
    }
    return THERE;
  }

  /** Goes back `count` instructions: to the last mark before, and forward again. Host files written since stay as they are. */
  back(count = 1): void {
    const target = Math.max(this.instructions - count, this.#marks[0]!.at);
    while (this.#marks.length > 1 && this.#marks.at(-1)!.at > target) this.#marks.pop();
    this.session.restore(this.#marks.at(-1)!.snapshot);
    this.#forward(target);
  }

  /** Runs on until the next instruction is at one of the PCs, or the program ends. */
  continueTo(pcs: ReadonlySet<number>, limit = Number.POSITIVE_INFINITY): Moved {
    const machine = this.#machine;
    const before = machine.breakpoints;
    machine.breakpoints = pcs;
    machine.passBreakpoint();
    try {
      const end = this.session.advance(this.instructions + limit);
      return end === undefined ? THERE : { kind: 'ended', end };
    } finally {
      machine.breakpoints = before;
    }
  }

  /** Steps until an interrupt here would be accepted, or `limit` instructions have passed. */
  nextSafePoint(limit: number): Moved | undefined {
    const stop = this.instructions + limit;
    while (this.instructions < stop) {
      const moved = this.step();
      if (moved.kind === 'ended') return moved;
      if (this.verdict(false)?.safe === true) return moved;
    }
    return undefined;
  }

  /** What isAsyncSafePoint says here, the request aside. Undefined for a program without Go tables. */
  verdict(explain = true): Verdict | undefined {
    const go = this.session.go;
    if (go === undefined) return undefined;
    const { pc, sp, lr } = this.#thread;
    return go.preemption.isAsyncSafePoint(this.#g(go), pc, sp, lr, explain);
  }

  #g(go: Go): number {
    return this.#gOf(go, this.#thread);
  }

  /** g of a thread; 0 where it has none that could be read. */
  #gOf(go: Go, thread: ThreadView): number {
    try {
      return go.preemption.getg(thread);
    } catch (error) {
      if (error instanceof GuestReadError) return 0;
      throw error;
    }
  }

  /** Fires the timer here. Undefined when the program has no Go tables, or the goroutine has not moved since the last one. */
  fire(): Interrupt | undefined {
    const go = this.session.go;
    if (go === undefined) return undefined;
    let seen: Interrupt | undefined;
    const before = go.handler.listener;
    go.handler.listener = (interrupt) => {
      seen = interrupt;
      before?.(interrupt);
    };
    go.handler.interrupt(this.session.tid);
    go.handler.listener = before;
    return seen;
  }

  /** The instruction at PC, as the machine would fetch it. */
  instruction(): Decoded | undefined {
    try {
      return this.#machine.code.at(this.#machine.state.pc)?.decoded;
    } catch (error) {
      if (error instanceof GuestFault) return undefined;
      throw error;
    }
  }

  /** The stack of the running thread. */
  stack(limit: number): StackWalk | undefined {
    const go = this.session.go;
    if (go === undefined) return undefined;
    const { pc, sp, lr } = this.#thread;
    const gp = this.#g(go);
    return new Unwinder(go.program, go.memory).walk({ pc, sp, lr }, gp === 0 ? { limit } : { limit, gp });
  }

  /** Goroutines with the kind of safe-point that each stands at. */
  goroutines(): { readonly lines: readonly GoroutineLine[]; readonly how: string } | undefined {
    const go = this.session.go;
    if (go === undefined) return undefined;
    const { preemption } = go;
    const { runtime } = preemption;
    const threads = this.session.threads().map((thread) => ({ thread, g: this.#gOf(go, thread) }));
    const { gs, how } = runtime.goroutines(
      go.allgs,
      threads.map((t) => t.g),
    );
    const current = this.#g(go);
    const lines: GoroutineLine[] = [];
    for (const g of gs) {
      if (runtime.isDead(g)) continue;
      const on = threads.find((t) => t.g === g)?.thread;
      lines.push({ ...preemption.describe(g, on), running: g === current });
    }
    return { lines, how };
  }
}
