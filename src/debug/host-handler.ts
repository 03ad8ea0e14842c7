// The `host` handler: at a timer interrupt, does in the runtime's place what its signal handler does.

import type { Machine } from '../engine/machine.ts';
import type { Preemption } from '../goruntime/preempt.ts';
import type { GoProgram } from '../goruntime/program.ts';
import type { CheckId, Verdict } from '../goruntime/safe-points.ts';
import { GuestReadError } from '../goruntime/view.ts';
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

/** Where a refused interrupt left a goroutine. One object for all of them, as of `Injected`: there are hundreds of thousands in a second. */
interface Refused {
  pc: number;
  sp: number;
  at: number;
}

/** An injected call into a goroutine: where it goes on, and up to where it had come. */
interface Injected {
  from: number;
  to: number;
  sp: number;
  /** When the first interrupt came after the goroutine had resumed; undefined until then. */
  resumedAt: number | undefined;
}

/** Who refused an interrupt: what the goroutine and its M were doing, or the tables. */
type Refuser = 'state' | 'tables';

const STATE_CHECKS: ReadonlySet<CheckId> = new Set(['curg', 'canPreemptM', 'stack']);

/** More places of one goroutine are not remembered. */
const PLACES = 4096;

/** A branch that runs again comes to its slot one instruction later. */
const SLOT = 1;
/** No restartable sequence is longer: the runtime throws beyond 20 bytes. */
const RESTART_LIMIT = 20;

const nameOf = (pc: number, sp: number): string => `${pc} ${sp}`;

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
 */
export class HostHandler {
  readonly preemption: Preemption;
  readonly counts: InterruptCounts = { delivered: 0, injected: 0, refused: {} };
  listener: InterruptListener | undefined;
  /** Follows what becomes of the requests. */
  requests: RequestLog | undefined;
  readonly #machine: Machine;
  readonly #thread: Thread;
  /** The last refused interrupt of each goroutine, by g. */
  readonly #lastRefused = new Map<number, Refused>();
  /** The last injected call into each goroutine, by g. Interrupts within that call do not make it forgotten. */
  readonly #lastInjected = new Map<number, Injected>();
  /** The places at which interrupts of each goroutine were refused since it was last preempted, and by whom. */
  readonly #refusals = new Map<number, Map<string, Refuser>>();

  constructor(machine: Machine, program: GoProgram, preemption: Preemption) {
    this.#machine = machine;
    this.#thread = threadOf(machine, program.arch);
    this.preemption = preemption;
  }

  /**
   * Takes the interrupt on the thread whose registers the machine holds.
   * @returns the verdict, or undefined when the goroutine has not moved since the last one
   */
  interrupt(tid: number): Verdict | undefined {
    const thread = this.#thread;
    const { pc, sp, lr, inSlot } = thread;
    const gp = this.#getg();
    if (this.#hasNotMoved(gp, pc, sp, this.#machine.instructions)) return undefined;

    const requested = this.#request(gp, true);
    const verdict = this.preemption.doSigPreempt(gp, thread, this.listener !== undefined);
    thread.exceptionReturn();
    this.interrupted(gp, pc, sp, verdict);
    this.counts.delivered++;
    if (verdict.safe) {
      this.counts.injected++;
      this.requests?.injected(gp);
    } else if (verdict.check !== undefined) {
      this.counts.refused[verdict.check] = (this.counts.refused[verdict.check] ?? 0) + 1;
    }
    if (this.listener !== undefined) {
      const at = this.#machine.instructions;
      this.listener({ at, tid, goid: this.#goid(gp), pc, sp, lr, inSlot, requested, verdict });
    }
    return verdict;
  }

  /** Whether the goroutine that runs stands where the last interrupt left it, and is to be let go on. */
  get standsStill(): boolean {
    const { pc, sp } = this.#thread;
    return this.#hasNotMoved(this.#getg(), pc, sp, this.#machine.instructions);
  }

  /** Remembers an interrupt of gp at a place, and what came of it. */
  interrupted(
    gp: number,
    pc: number,
    sp: number,
    { safe, resume, check }: Pick<Verdict, 'safe' | 'resume' | 'check'>,
  ): void {
    if (safe) {
      const refusals = this.#refusals.get(gp);
      // Clearing makes a table, even of an empty map.
      if (refusals !== undefined && refusals.size > 0) refusals.clear();
      const last = this.#lastInjected.get(gp);
      if (last === undefined) {
        this.#lastInjected.set(gp, { from: resume, to: pc, sp, resumedAt: undefined });
        return;
      }
      last.from = resume;
      last.to = pc;
      last.sp = sp;
      last.resumedAt = undefined;
      return;
    }
    if (check !== undefined && check !== 'want')
      this.#refused(gp, pc, sp, STATE_CHECKS.has(check) ? 'state' : 'tables');
    const at = this.#machine.instructions;
    const last = this.#lastRefused.get(gp);
    if (last === undefined) {
      this.#lastRefused.set(gp, { pc, sp, at });
      return;
    }
    last.pc = pc;
    last.sp = sp;
    last.at = at;
  }

  #refused(gp: number, pc: number, sp: number, by: Refuser): void {
    let places = this.#refusals.get(gp);
    if (places === undefined || places.size >= PLACES) {
      places = new Map();
      this.#refusals.set(gp, places);
    }
    places.set(nameOf(pc, sp), by);
  }

  /**
   * Whether a goroutine stands where the last interrupt left it. After a refused one that is the same PC, or the branch whose slot was
   * interrupted and is about to run again. After an injected one it is anywhere from the resume PC to the interrupted one.
   */
  #hasNotMoved(gp: number, pc: number, sp: number, now: number): boolean {
    const refused = this.#lastRefused.get(gp);
    if (refused !== undefined && pc === refused.pc && sp === refused.sp && now - refused.at <= SLOT) return true;
    const injected = this.#lastInjected.get(gp);
    if (injected === undefined || pc < injected.from || pc > injected.to || sp !== injected.sp) return false;
    // The first interrupt after the resume starts the clock: when it comes is the scheduler's business.
    injected.resumedAt ??= now;
    return now - injected.resumedAt <= RESTART_LIMIT;
  }

  /** Forgets where goroutines were: after a snapshot is restored. */
  reset(): void {
    this.#lastRefused.clear();
    this.#lastInjected.clear();
    this.#refusals.clear();
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
    return this.#request(this.#getg(), asynchronous);
  }

  #request(gp: number, asynchronous: boolean): boolean {
    try {
      if (!this.#isUserGoroutine(gp) || this.preemption.wantAsyncPreempt(gp)) return false;
      const { runtime } = this.preemption;
      const refusals = this.#refusals.get(gp);
      const { pc, sp } = this.#thread;
      const by = refusals === undefined || refusals.size === 0 ? undefined : refusals.get(nameOf(pc, sp));
      if (by === 'state') return false;
      if (by === 'tables') runtime.setPreempt(gp, true);
      else if (asynchronous) this.preemption.requestPreempt(gp);
      else {
        runtime.setPreempt(gp, true);
        runtime.poisonStackguard(gp);
        // The next check of a prologue serves it: only the last place counts.
        refusals?.clear();
        this.#refused(gp, pc, sp, 'tables');
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
      return this.#isUserGoroutine(gp) && sp < runtime.stackHi(gp) && this.preemption.isLeftToTables(gp, sp);
    } catch (error) {
      return unreadable(error, false);
    }
  }

  /** Whether gp is a goroutine that somebody could want to preempt: not g0, not gsignal, not what stands there before the first g. */
  #isUserGoroutine(gp: number): boolean {
    const { runtime } = this.preemption;
    const mp = gp === 0 ? 0 : runtime.m(gp);
    return mp !== 0 && runtime.curg(mp) === gp && runtime.g0(mp) !== gp;
  }
}

/** What stands for what could not be read: a thread that runs no Go yet has no g, or none that is one. */
function unreadable<T>(error: unknown, instead: T): T {
  if (error instanceof GuestReadError) return instead;
  throw error;
}
