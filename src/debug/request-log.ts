// Which kind of safe-point served each request for preemption of a run, and after how many instructions.

import type { Breakpoints } from '../engine/compiler.ts';
import type { Machine } from '../engine/machine.ts';
import { Grunning, Gscan, Gsyscall } from '../goruntime/facts/constants.ts';
import type { Preemption } from '../goruntime/preempt.ts';
import { type SafePointKind, stoppedKind } from '../goruntime/stop-kind.ts';
import { GuestReadError } from '../goruntime/view.ts';
import type { HandlerState } from './handler-state.ts';

/** Requests that one kind of safe-point served. */
export interface ServedCount {
  readonly served: number;
  /** From the request to the safe-point; 0 if none was served. */
  readonly meanInstructions: number;
}

/** The `kinds` of `--stats`. `unserved`: the goroutine ended first, or the program did. */
export type ServedKinds = Readonly<Record<SafePointKind, ServedCount>> & { readonly unserved: number };

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
  /**
   * Has how many requests are not served yet, mostly none or one, made and served at every interrupt, and the first one: compiled code
   * makes and serves it as well.
   */
  readonly #state: HandlerState;
  /** The others, from index 1 on: of which g each is, and the instruction count at which it was made. */
  readonly #gps: number[] = [];
  readonly #since: number[] = [];
  #unserved = 0;
  /** What stops the machine besides. */
  #others: Breakpoints | undefined;
  /** The machine stops at runtime.schedule. */
  #watching = false;

  constructor(machine: Machine, model: Preemption, state: HandlerState) {
    this.#machine = machine;
    this.#state = state;
    this.#model = model;
    this.#schedule = model.program.addressOf('runtime.schedule');
    this.#alone = new Set(this.#schedule === undefined ? [] : [this.#schedule]);
    machine.futureBreakpoints = this.#alone;
  }

  /** Where requests are served; undefined for a program that has no such place. */
  get place(): number | undefined {
    return this.#schedule;
  }

  /** Whether nothing else stops the machine. */
  get isAlone(): boolean {
    const { breakpoints } = this.#machine;
    return breakpoints === undefined || breakpoints === this.#alone;
  }

  /** Has the machine stop where requests are served if any are pending: compiled code may have made or served one. */
  catchUp(): void {
    const pending = this.#state.pending > 0;
    if (pending === this.#watching) return;
    if (pending) this.#watch();
    else this.#unwatch();
  }

  /** A request was made of gp, the goroutine that runs. */
  made(gp: number): void {
    if (this.#index(gp) >= 0) return;
    this.#put(this.#state.pending, gp, this.#machine.instructions);
    this.#state.pending++;
    this.catchUp();
  }

  #gp(i: number): number {
    return i === 0 ? this.#state.pendingG : this.#gps[i]!;
  }

  #madeAt(i: number): number {
    return i === 0 ? this.#state.pendingSince : this.#since[i]!;
  }

  #put(i: number, gp: number, since: number): void {
    if (i === 0) this.#state.setPending(gp, since);
    this.#gps[i] = gp;
    this.#since[i] = since;
  }

  /** Where the request of gp stands; negative if there is none. */
  #index(gp: number): number {
    for (let i = this.#state.pending - 1; i >= 0; i--) if (this.#gp(i) === gp) return i;
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
    if (this.#state.pending === 0 || state.inSlot || state.pc !== this.#schedule) return false;
    // What is served goes, and the last one comes into its place.
    for (let i = this.#state.pending - 1; i >= 0; i--) this.#look(this.#gp(i));
    return this.#others?.has(this.#schedule) !== true;
  }

  /** What became of the requests so far. */
  kinds(): ServedKinds {
    const count = (kind: SafePointKind): ServedCount => {
      const { served, instructions } = this.#state.served(kind);
      return { served, meanInstructions: served === 0 ? 0 : Math.round((instructions / served) * 10) / 10 };
    };
    return {
      synchronous: count('synchronous'),
      asynchronous: count('asynchronous'),
      blocked: count('blocked'),
      unserved: this.#unserved + this.#state.pending,
    };
  }

  /** Forgets what is pending: after a snapshot is restored. */
  reset(): void {
    this.#state.pending = 0;
    this.catchUp();
  }

  #look(gp: number): void {
    try {
      const { runtime } = this.#model;
      const status = runtime.readgstatus(gp) & ~Gscan;
      // In a system call the request stays: the runtime poisons the guard again when the goroutine comes out.
      if (status === Grunning || status === Gsyscall) return;
      if (runtime.isDead(gp)) this.#drop(gp);
      else {
        const kind = stoppedKind(this.#model, gp);
        if (!runtime.asyncSafePoint(gp) && runtime.syscallSp(gp) === 0)
          this.#state.knowStopped(runtime.schedPc(gp), kind);
        this.#served(gp, kind);
      }
    } catch (error) {
      if (!(error instanceof GuestReadError)) throw error;
      this.#drop(gp);
    }
  }

  #served(gp: number, kind: SafePointKind): void {
    const i = this.#index(gp);
    if (i < 0) return;
    this.#state.countServed(kind, this.#machine.instructions - this.#madeAt(i));
    this.#forget(i);
  }

  #drop(gp: number): void {
    this.#unserved++;
    this.#forget(this.#index(gp));
  }

  #forget(i: number): void {
    this.#state.pending--;
    const last = this.#state.pending;
    this.#put(i, this.#gp(last), this.#madeAt(last));
    this.catchUp();
  }

  #watch(): void {
    const schedule = this.#schedule;
    this.#watching = true;
    if (schedule === undefined) return;
    const others = this.#machine.breakpoints;
    this.#others = others;
    if (others === undefined) this.#machine.breakpoints = this.#alone;
    else if (others instanceof Set) this.#machine.breakpoints = new Set([schedule, ...others]);
    else this.#machine.breakpoints = { has: (pc) => pc === schedule || others.has(pc) };
  }

  #unwatch(): void {
    this.#watching = false;
    if (this.#schedule === undefined) return;
    this.#machine.breakpoints = this.#others;
    this.#others = undefined;
  }
}
