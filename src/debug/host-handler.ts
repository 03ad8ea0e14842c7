// The `host` handler: at a timer interrupt, does in the runtime's place what its signal handler does.

import type { Machine } from '../engine/machine.ts';
import type { Preemption } from '../goruntime/preempt.ts';
import type { GoProgram } from '../goruntime/program.ts';
import { CHECKS, type CheckId, type Decision, type Verdict } from '../goruntime/safe-points.ts';
import { GuestReadError } from '../goruntime/view.ts';
import { HandlerState, type Past, RESTART_LIMIT } from './handler-state.ts';
import type { RequestLog } from './request-log.ts';
import { type Thread, threadOf } from './view.ts';

/** One timer interrupt that was delivered, as it was decided. */
export interface Interrupt {
  /** Instructions executed before it. */
  readonly at: number;
  readonly tid: number;
  readonly goid: number;
  /** What the interrupt presents: in a delay slot the branch's address. */
  readonly pc: number;
  readonly sp: number;
  readonly lr: number;
  readonly inSlot: boolean;
  /** Whether this interrupt made a new request, rather than finding one pending. */
  readonly requested: boolean;
  readonly verdict: Verdict;
}

/** What became of the interrupts of a run. */
export interface InterruptCounts {
  delivered: number;
  injected: number;
  readonly refused: Partial<Record<CheckId, number>>;
}

/** Checks that refuse because of what the goroutine and its M are doing; the others go by the tables. */
export const STATE_CHECKS: ReadonlySet<CheckId> = new Set(['curg', 'canPreemptM', 'stack']);

/** A branch that runs again comes to its slot one instruction later. */
const SLOT = 1;

export type InterruptListener = (interrupt: Interrupt) => void;

/**
 * Requests a preemption of the running goroutine as the runtime does (`preemptone`), holds PC, SP and LR against the tables, and
 * rewrites the context.
 *
 * An interrupt that finds a goroutine where the last one left it would do the same again for ever (inject, yield, resume, inject;
 * or poison the guard, fail the stack check, yield, check again). So a goroutine that has not moved is let go on. And a request has
 * effects of its own where the interrupt is refused: a prologue yields at the poisoned guard, gcDrain returns without having marked
 * anything when its worker is to be preempted. A timer in step with such a turn would keep it from ever doing more. So until a
 * goroutine is next preempted, a place that refused an interrupt is not the place of a second request (where its M was the reason),
 * or of one that does not poison the guard (where the tables were).
 *
 * What it does in common cases compiled code does by itself (inside/interrupt.ts), with what `state` has: a change here is one there, and
 * test/debug/inside.test.ts compares them.
 */
export class HostHandler {
  readonly preemption: Preemption;
  listener: InterruptListener | undefined;
  /** Follows what becomes of the requests. */
  requests: RequestLog | undefined;
  /** What it keeps of the interrupts and of goroutines. */
  readonly state: HandlerState;
  readonly #machine: Machine;
  readonly #thread: Thread;

  constructor(machine: Machine, program: GoProgram, preemption: Preemption) {
    this.state = new HandlerState(machine.memory);
    this.#machine = machine;
    this.#thread = threadOf(machine, program.arch);
    this.preemption = preemption;
  }

  /** What became of the interrupts so far. */
  get counts(): InterruptCounts {
    const { state } = this;
    const refused: InterruptCounts['refused'] = {};
    for (const [i, check] of CHECKS.entries()) if (state.refusedBy(i) > 0) refused[check] = state.refusedBy(i);
    return { delivered: state.delivered, injected: state.injected, refused };
  }

  /**
   * Takes the interrupt on the thread whose registers the machine holds.
   * @returns what was decided, or undefined when the goroutine has not moved since the last one
   */
  interrupt(tid: number): Decision | undefined {
    const thread = this.#thread;
    const { pc, sp } = thread;
    const gp = this.#getg();
    const past = this.#past(gp);
    if (this.#hasNotMoved(past, pc, sp, this.#machine.instructions)) return undefined;

    const { preemption, listener } = this;
    const presented = listener === undefined ? undefined : { pc, sp, lr: thread.lr, inSlot: thread.inSlot };
    const requested = this.#request(past, pc, sp, true);
    const verdict = listener === undefined ? undefined : preemption.explainSigPreempt(gp, thread);
    const decision = preemption.doSigPreempt(gp, thread);
    thread.exceptionReturn();
    const { refusedBy, restartAt } = decision;
    this.#remember(past, pc, sp, refusedBy, restartAt ?? pc);
    this.state.count(decision.refusal);
    if (refusedBy === undefined) this.requests?.injected(gp);
    if (listener !== undefined && presented !== undefined && verdict !== undefined) {
      const at = this.#machine.instructions;
      listener({ at, tid, goid: this.#goid(gp), ...presented, requested, verdict });
    }
    return decision;
  }

  /** Whether the goroutine that runs stands where the last interrupt left it, and is to be let go on. */
  get standsStill(): boolean {
    const { pc, sp } = this.#thread;
    return this.#hasNotMoved(this.#past(this.#getg()), pc, sp, this.#machine.instructions);
  }

  #past(gp: number): Past {
    this.state.takeOverNotes();
    return this.state.past(gp);
  }

  /** Remembers an interrupt of gp at a place, and what came of it: who refused it, or where the injected call returns to. */
  interrupted(gp: number, pc: number, sp: number, refusedBy: CheckId | undefined, resume: number): void {
    this.#remember(this.#past(gp), pc, sp, refusedBy, resume);
  }

  #remember(past: Past, pc: number, sp: number, refusedBy: CheckId | undefined, resume: number): void {
    if (refusedBy === undefined) {
      past.forgetRefusals();
      past.injected(resume, pc, sp);
      return;
    }
    if (refusedBy !== 'want') past.refuse(pc, sp, STATE_CHECKS.has(refusedBy) ? 'state' : 'tables');
    past.refused(pc, sp, this.#machine.instructions);
  }

  /**
   * Whether a goroutine stands where the last interrupt left it. After a refused one that is the same PC, or the branch whose slot was
   * interrupted and is about to run again. After an injected one it is anywhere from the resume PC to the interrupted one.
   */
  #hasNotMoved(past: Past, pc: number, sp: number, now: number): boolean {
    if (pc === past.refusedPc && sp === past.refusedSp && now - past.refusedAt <= SLOT) return true;
    if (!(pc >= past.injectedFrom && pc <= past.injectedTo && sp === past.injectedSp)) return false;
    // The first interrupt after the resume starts the clock: when it comes is the scheduler's business.
    if (Number.isNaN(past.resumedAt)) past.resumedAt = now;
    return now - past.resumedAt <= RESTART_LIMIT;
  }

  /** Forgets where goroutines were: after a snapshot is restored. */
  reset(): void {
    this.state.forget();
    this.requests?.reset();
  }

  #getg(): number {
    try {
      return this.preemption.getg(this.#thread);
    } catch (error) {
      return unreadable(error, 0);
    }
  }

  #goid(gp: number): number {
    try {
      return gp === 0 ? 0 : this.preemption.runtime.goid(gp);
    } catch (error) {
      return unreadable(error, 0);
    }
  }

  /**
   * Makes a new request where the thread runs a user goroutine and none is pending. Returns whether it did.
   * @param asynchronous whether an interrupt is to follow; else only the guard is poisoned, as under asyncpreemptoff
   */
  request(asynchronous = true): boolean {
    const { pc, sp } = this.#thread;
    return this.#request(this.#past(this.#getg()), pc, sp, asynchronous);
  }

  #request(past: Past, pc: number, sp: number, asynchronous: boolean): boolean {
    const { gp } = past;
    try {
      const mp = this.#userM(gp);
      if (mp === 0 || this.preemption.wantAsyncPreempt(gp, mp)) return false;
      const { runtime } = this.preemption;
      const by = past.refuser(pc, sp);
      if (by === 'state') return false;
      if (by === 'tables') runtime.setPreempt(gp, true);
      else if (asynchronous) this.preemption.requestPreempt(gp, mp);
      else {
        runtime.setPreempt(gp, true);
        runtime.poisonStackguard(gp);
        // The next check of a prologue serves it: only the last place counts.
        past.forgetRefusals();
        past.refuse(pc, sp, 'tables');
      }
      this.requests?.made(gp);
      return true;
    } catch (error) {
      return unreadable(error, false);
    }
  }

  /**
   * Whether the thread stands in code of a user goroutine, on its stack, where only the tables can speak against a preemption: the checks
   * that isAsyncSafePoint makes before it looks at the PC pass. (`gogo` has the goroutine's g already, but runs on the stack of g0.)
   */
  get runsPreemptibly(): boolean {
    try {
      const { sp } = this.#thread;
      const gp = this.#getg();
      const { runtime } = this.preemption;
      return this.#userM(gp) !== 0 && sp < runtime.stackHi(gp) && this.preemption.isLeftToTables(gp, sp);
    } catch (error) {
      return unreadable(error, false);
    }
  }

  /**
   * The M of a goroutine that somebody could want to preempt; 0 if gp is none: g0, gsignal, or what stands there before the first g.
   */
  #userM(gp: number): number {
    const { runtime } = this.preemption;
    const mp = gp === 0 ? 0 : runtime.m(gp);
    return mp !== 0 && runtime.curg(mp) === gp && runtime.g0(mp) !== gp ? mp : 0;
  }
}

/** What stands for what could not be read: a thread that runs no Go yet has no g, or none that is one. */
function unreadable<T>(error: unknown, instead: T): T {
  if (error instanceof GuestReadError) return instead;
  throw error;
}
