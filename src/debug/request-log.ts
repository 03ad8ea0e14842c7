// Which kind of safe-point served each request for preemption of a run, and after how many instructions.

import type { Breakpoints } from '../engine/compiler.ts';
import type { Machine } from '../engine/machine.ts';
import { Grunning, Gscan, Gsyscall } from '../goruntime/facts/constants.ts';
import type { Preemption } from '../goruntime/preempt.ts';
import { type SafePointKind, stoppedKind } from '../goruntime/stop-kind.ts';
import { GuestReadError } from '../goruntime/view.ts';

/** Requests that one kind of safe-point served. */
export interface ServedCount {
  readonly served: number;
  /** From the request to the safe-point; 0 if none was served. */
  readonly meanInstructions: number;
}

/** The `kinds` of `--stats`. `unserved`: the goroutine ended first, or the program did. */
export type ServedKinds = Readonly<Record<SafePointKind, ServedCount>> & { readonly unserved: number };

interface Total {
  served: number;
  instructions: number;
}

/**
 * Follows each request until its goroutine stops running. An injected call serves it on the spot; otherwise the scheduler is where
 * it ends, so while requests are pending, and only then, the machine stops at the entry of runtime.schedule.
 */
export class RequestLog {
  readonly #machine: Machine;
  readonly #model: Preemption;
  readonly #schedule: number | undefined;
  /** Where it stops when there is nothing else to stop for. */
  readonly #alone: ReadonlySet<number>;
  /** How many requests are not served yet: mostly none or one, made and served at every interrupt. */
  #pending = 0;
  /** The first of these are of them: of which g each is, and the instruction count at which it was made. */
  readonly #gps: number[] = [];
  readonly #since: number[] = [];
  readonly #totals: Record<SafePointKind, Total> = {
    blocked: { served: 0, instructions: 0 },
    synchronous: { served: 0, instructions: 0 },
    asynchronous: { served: 0, instructions: 0 },
  };
  #unserved = 0;
  /** What stops the machine besides. */
  #others: Breakpoints | undefined;

  constructor(machine: Machine, model: Preemption) {
    this.#machine = machine;
    this.#model = model;
    this.#schedule = model.program.addressOf('runtime.schedule');
    this.#alone = new Set(this.#schedule === undefined ? [] : [this.#schedule]);
    machine.futureBreakpoints = this.#alone;
  }

  /** A request was made of gp, the goroutine that runs. */
  made(gp: number): void {
    if (this.#pending === 0) this.#watch();
    else if (this.#index(gp) >= 0) return;
    this.#gps[this.#pending] = gp;
    this.#since[this.#pending] = this.#machine.instructions;
    this.#pending++;
  }

  /** Where the request of gp stands; negative if there is none. */
  #index(gp: number): number {
    for (let i = this.#pending - 1; i >= 0; i--) if (this.#gps[i] === gp) return i;
    return -1;
  }

  /** gp was interrupted at an asynchronous safe-point, and a call was injected. */
  injected(gp: number): void {
    this.#served(gp, 'asynchronous');
  }

  /**
   * The machine has stopped at a breakpoint.
   * @returns whether nobody else wanted it to stop here
   */
  stopped(): boolean {
    const { state } = this.#machine;
    if (this.#pending === 0 || state.inSlot || state.pc !== this.#schedule) return false;
    // What is served goes, and the last one comes into its place.
    for (let i = this.#pending - 1; i >= 0; i--) this.#look(this.#gps[i]!);
    return this.#others?.has(this.#schedule) !== true;
  }

  /** What became of the requests so far. */
  kinds(): ServedKinds {
    const count = ({ served, instructions }: Total): ServedCount => ({
      served,
      meanInstructions: served === 0 ? 0 : Math.round((instructions / served) * 10) / 10,
    });
    const { blocked, synchronous, asynchronous } = this.#totals;
    return {
      synchronous: count(synchronous),
      asynchronous: count(asynchronous),
      blocked: count(blocked),
      unserved: this.#unserved + this.#pending,
    };
  }

  /** Forgets what is pending: after a snapshot is restored. */
  reset(): void {
    if (this.#pending > 0) this.#unwatch();
    this.#pending = 0;
  }

  #look(gp: number): void {
    try {
      const { runtime } = this.#model;
      const status = runtime.readgstatus(gp) & ~Gscan;
      // In a system call the request stays: the runtime poisons the guard again when the goroutine comes out.
      if (status === Grunning || status === Gsyscall) return;
      if (runtime.isDead(gp)) this.#drop(gp);
      else this.#served(gp, stoppedKind(this.#model, gp));
    } catch (error) {
      if (!(error instanceof GuestReadError)) throw error;
      this.#drop(gp);
    }
  }

  #served(gp: number, kind: SafePointKind): void {
    const i = this.#index(gp);
    if (i < 0) return;
    const total = this.#totals[kind];
    total.served++;
    total.instructions += this.#machine.instructions - this.#since[i]!;
    this.#forget(i);
  }

  #drop(gp: number): void {
    this.#unserved++;
    this.#forget(this.#index(gp));
  }

  #forget(i: number): void {
    this.#pending--;
    this.#gps[i] = this.#gps[this.#pending]!;
    this.#since[i] = this.#since[this.#pending]!;
    if (this.#pending === 0) this.#unwatch();
  }

  #watch(): void {
    const schedule = this.#schedule;
    if (schedule === undefined) return;
    const others = this.#machine.breakpoints;
    this.#others = others;
    if (others === undefined) this.#machine.breakpoints = this.#alone;
    else if (others instanceof Set) this.#machine.breakpoints = new Set([schedule, ...others]);
    else this.#machine.breakpoints = { has: (pc) => pc === schedule || others.has(pc) };
  }

  #unwatch(): void {
    this.#machine.breakpoints = this.#others;
    this.#others = undefined;
  }
}
