// suspendG and resumeG of runtime/preempt.go as a state machine: each step is one turn of suspendG's loop, taken between
// two guest instructions, so that every compare-and-swap of the original succeeds or the status it needs is not there.

import {
  Gcopystack,
  Gdead,
  Gdeadextra,
  Gleaked,
  Gpreempted,
  Grunnable,
  Grunning,
  Gscan,
  Gsyscall,
  Gwaiting,
  gstatusName,
  stackGuard,
} from './facts/constants.ts';
import type { Preemption } from './preempt.ts';
import { isBefore } from './version.ts';

/** What the runtime would throw. */
export class SuspendError extends Error {
  override readonly name = 'SuspendError';
}

/** Runtime `suspendGState`. */
export interface SuspendGState {
  readonly g: number;
  /** It was not suspended because it is dead; it may be reused. */
  readonly dead: boolean;
  /** This suspension took it from preempted to waiting, so resumeG must see that it is readied. */
  readonly stopped: boolean;
}

/** What one turn of the loop came to. Times are guest nanoseconds. */
export type SuspendStep =
  | { readonly kind: 'suspended'; readonly state: SuspendGState }
  | {
      readonly kind: 'wait';
      /** Why it has to wait. */
      readonly reason: string;
      /** The M to which preemptM should send its signal now; undefined if none is due. */
      readonly preemptM: number | undefined;
      /** When to take the next step at the latest: osyield until then lets the guest run. */
      readonly until: number;
    };

/** runtime `yieldDelay`: see golang.org/cl/21503. */
const yieldDelay = 10_000;

/** One caller of suspendG for one goroutine. Several may run for the same one: the scan bit makes them take turns. */
export class Suspension {
  readonly #model: Preemption;
  readonly #gp: number;
  readonly #has126: boolean;
  #stopped = false;
  #asyncM: number | undefined;
  #asyncGen = 0;
  #nextPreemptM = 0;
  #nextYield: number | undefined;

  constructor(model: Preemption, gp: number) {
    this.#model = model;
    this.#gp = gp;
    this.#has126 = !isBefore(model.program.release, '1.26');
  }

  /**
   * One turn of the loop.
   * @param now guest time in nanoseconds
   * @throws SuspendError where the runtime throws: a status that no goroutine has
   */
  step(now: number): SuspendStep {
    const { runtime } = this.#model;
    const gp = this.#gp;
    const status = runtime.readgstatus(gp);
    switch (status) {
      case Gdead:
        return { kind: 'suspended', state: { g: gp, dead: true, stopped: false } };
      case Gcopystack:
        return this.#wait(now, 'its stack is being copied', undefined);
      case Grunning:
        return this.#running(now);
      case Gpreempted:
        // Claim it from whoever suspended it.
        this.#stopped = true;
        return this.#claim(Gwaiting);
      case Grunnable:
      case Gsyscall:
      case Gwaiting:
        return this.#claim(status);
    }
    if (this.#has126 && status === Gdeadextra)
      return { kind: 'suspended', state: { g: gp, dead: true, stopped: false } };
    if (this.#has126 && status === Gleaked) return this.#claim(status);
    if (status & Gscan) return this.#wait(now, 'someone else is suspending it', undefined);
    throw new SuspendError(`invalid g status ${gstatusName(status)} of g 0x${gp.toString(16)}`);
  }

  /** Sets the scan bit and clears the request: the goroutine is ours, at a safe-point. */
  #claim(status: number): SuspendStep {
    const { runtime, program } = this.#model;
    const gp = this.#gp;
    runtime.setgstatus(gp, status | Gscan);
    runtime.setPreemptStop(gp, false);
    runtime.setPreempt(gp, false);
    runtime.setStackguard0(gp, runtime.stackLo(gp) + stackGuard(program.release));
    return { kind: 'suspended', state: { g: gp, dead: false, stopped: this.#stopped } };
  }

  #running(now: number): SuspendStep {
    const { runtime } = this.#model;
    const gp = this.#gp;
    const mp = runtime.m(gp);
    const gen = mp === 0 ? 0 : runtime.preemptGen(mp);
    const pending = runtime.preemptStop(gp) && runtime.preempt(gp) && runtime.stackguardIsPoisoned(gp);
    if (pending && this.#asyncM === mp && this.#asyncGen === gen) {
      return this.#wait(now, 'it runs, and the request is pending', undefined);
    }
    runtime.setPreemptStop(gp, true);
    runtime.setPreempt(gp, true);
    runtime.poisonStackguard(gp);
    const needAsync = this.#asyncM !== mp || this.#asyncGen !== gen;
    this.#asyncM = mp;
    this.#asyncGen = gen;
    const signal = needAsync && mp !== 0 && now >= this.#nextPreemptM;
    if (signal) this.#nextPreemptM = now + yieldDelay / 2;
    return this.#wait(now, 'it runs; a preemption has been requested', signal ? mp : undefined);
  }

  #wait(now: number, reason: string, preemptM: number | undefined): SuspendStep {
    this.#nextYield ??= now + yieldDelay;
    // Until the first yield the original spins (procyield); afterwards it yields the CPU at half the delay.
    if (now >= this.#nextYield) this.#nextYield = now + yieldDelay / 2;
    return { kind: 'wait', reason, preemptM, until: this.#nextYield };
  }
}

/**
 * Undoes a suspension.
 * @returns whether the goroutine has to be readied (runtime `ready`), because the suspension stopped it
 * @throws SuspendError where the runtime throws: the goroutine is not one that suspendG left
 */
export function resumeG(model: Preemption, state: SuspendGState): boolean {
  if (state.dead) return false;
  const { runtime } = model;
  const status = runtime.readgstatus(state.g);
  switch (status) {
    case Grunnable | Gscan:
    case Gwaiting | Gscan:
    case Gsyscall | Gscan:
      runtime.setgstatus(state.g, status & ~Gscan);
      return state.stopped;
  }
  if (status === (Gleaked | Gscan) && !isBefore(model.program.release, '1.26')) {
    runtime.setgstatus(state.g, Gleaked);
    return state.stopped;
  }
  throw new SuspendError(`unexpected g status ${gstatusName(status)} of g 0x${state.g.toString(16)}`);
}
