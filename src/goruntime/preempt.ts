// Asynchronous preemption from outside: runtime/preempt.go and the signal handler's part of it, function by function.
// Names and the order of checks are the runtime's; what differs among releases is in preempt-rules.ts.

import {
  Gcopystack,
  Gpreempted,
  Grunnable,
  Grunning,
  Gscan,
  Gsyscall,
  Gwaiting,
  gstatusName,
  Prunning,
  pstatusName,
} from './facts/constants.ts';
import { RuntimeView } from './goroutines.ts';
import { TableError } from './pcvalue.ts';
import type { Rules } from './preempt-rules.ts';
import type { GoProgram } from './program.ts';
import {
  type CheckId,
  type Decision,
  hex,
  refusalBy,
  SafePoints,
  TableVerdict,
  Trail,
  type Verdict,
} from './safe-points.ts';
import type { GuestMemory } from './view.ts';
import { type Context, GuestReadError, getg, type ThreadView } from './view.ts';

export interface PreemptOptions {
  /** Default: the rules of the program's own release. */
  readonly rules?: Rules;
  /** Checks that are switched off. */
  readonly without?: ReadonlySet<CheckId>;
  /** Whether the program runs with asynchronous preemption turned off: see godebug.ts. */
  readonly asyncpreemptoff?: boolean;
}

/** The reason of every refusal while asynchronous preemption is turned off. */
export const OFF = 'GODEBUG turns asynchronous preemption off';

/** Which of the three kinds of safe-points a goroutine is stopped at, if any. */
export interface StopClass {
  readonly kind: 'blocked' | 'synchronous' | 'asynchronous' | 'none';
  readonly reason: string;
}

/** A goroutine as it stands. */
export interface GoroutineState extends StopClass {
  readonly g: number;
  readonly goid: number;
  readonly status: string;
}

/** A refusal that follows from the live structures. Its reason quotes memory, as that is when it is first asked for. */
export class LiveRefusal implements Verdict {
  readonly safe = false;
  readonly verdict = 'unsafe';
  readonly resume = 0;
  readonly check: CheckId;
  readonly #trail: Trail;
  #reason: string | undefined;

  constructor(trail: Trail, check: CheckId) {
    this.#trail = trail;
    this.check = check;
  }

  get reason(): string {
    this.#reason ??= this.#trail.reason;
    return this.#reason;
  }

  get checks(): Verdict['checks'] {
    return this.#trail.checks ?? [{ check: this.check, pass: false, detail: this.reason }];
  }
}

/** The preemption model over one running program. */
export class Preemption {
  readonly program: GoProgram;
  readonly memory: GuestMemory;
  readonly rules: Rules;
  readonly without: ReadonlySet<CheckId>;
  readonly asyncpreemptoff: boolean;
  readonly safePoints: SafePoints;
  /** Whether goroutines in secret mode are refused. */
  readonly checksSecret: boolean;
  /** Whether the check of that name is switched off. */
  readonly #wantedAlways: boolean;
  /** For those who want no words. */
  readonly #wordless: Trail;
  #runtime: RuntimeView | undefined;
  #asyncPreemptStack: number | undefined;

  constructor(program: GoProgram, memory: GuestMemory, options: PreemptOptions = {}) {
    this.program = program;
    this.memory = memory;
    this.rules = options.rules ?? program.rules;
    this.without = options.without ?? new Set();
    this.#wantedAlways = this.without.has('want');
    this.#wordless = new Trail(this.without, false);
    this.asyncpreemptoff = options.asyncpreemptoff ?? false;
    this.safePoints = new SafePoints(program.tables, program.arch, { rules: this.rules, without: this.without });
    this.checksSecret = this.rules.secret && program.release.text.includes('runtimesecret');
  }

  /** Made when it is first asked for: a run without interrupts has no use for the offsets, which take reading DWARF. */
  get runtime(): RuntimeView {
    this.#runtime ??= new RuntimeView(this.memory, this.program.offsets);
    return this.#runtime;
  }

  /**
   * Bytes of stack that an injected call needs, as the runtime's init computes it.
   * @throws TableError if the tables are damaged there
   */
  get asyncPreemptStack(): number {
    this.#asyncPreemptStack ??= this.program.asyncPreemptStack(this.rules);
    return this.#asyncPreemptStack;
  }

  /**
   * Reads now what would be read when it is first needed.
   * @throws TableError if the tables are damaged there
   */
  prepare(): void {
    void this.runtime;
    void this.asyncPreemptStack;
  }

  /** g of the running thread. */
  getg(thread: ThreadView): number {
    return getg(this.program.arch, this.memory, thread);
  }

  /** Whether mp is in a state that is safe to preempt. `pp` and `curg` are its P, which must not be 0, and its goroutine. */
  canPreemptM(mp: number, pp: number, curg: number): boolean {
    const { runtime } = this;
    return (
      runtime.locks(mp) === 0 &&
      runtime.mallocing(mp) === 0 &&
      runtime.preemptoffLength(mp) === 0 &&
      runtime.pstatus(pp) === Prunning &&
      !(this.rules.curgNotInSyscall && this.#isInSyscall(curg))
    );
  }

  /** Go 1.26: m.curg == nil also refuses. */
  #isInSyscall(curg: number): boolean {
    return curg === 0 || (this.runtime.readgstatus(curg) & ~Gscan) === Gsyscall;
  }

  /**
   * Whether an asynchronous preemption is queued for gp. Checks both the G and the P.
   * @param mp its M, for whom knows it
   */
  wantAsyncPreempt(gp: number, mp?: number): boolean {
    const { runtime } = this;
    if ((runtime.readgstatus(gp) & ~Gscan) !== Grunning) return false;
    if (runtime.preempt(gp)) return true;
    const pp = runtime.p(mp ?? runtime.m(gp));
    return pp !== 0 && runtime.ppreempt(pp);
  }

  /**
   * Requests preemption of gp as the runtime does (`preemptone`): the flag, the poisoned guard, and the P's flag.
   * @param known its M, for whom knows it
   */
  requestPreempt(gp: number, known?: number): void {
    const { runtime } = this;
    runtime.setPreempt(gp, true);
    runtime.poisonStackguard(gp);
    const mp = known ?? runtime.m(gp);
    const pp = mp === 0 ? 0 : runtime.p(mp);
    if (pp !== 0) runtime.setPpreempt(pp, true);
  }

  /**
   * Whether gp, interrupted at PC with SP and LR, is at an asynchronous safe-point.
   * @param explain make every check and keep its detail, instead of stopping at the one that decides
   * @throws TableError if the program's tables are damaged where they are needed
   */
  isAsyncSafePoint(gp: number, pc: number, sp: number, lr: number, explain = false): Verdict {
    const trail = new Trail(this.without, explain);
    if (this.#liveChecks(gp, sp, trail)) return new LiveRefusal(trail, trail.refusedBy ?? 'curg');
    if (!explain) return this.safePoints.isAsyncSafePointPC(pc, lr);
    return new TableVerdict(this.safePoints.decide(pc, lr, trail), pc, () => trail);
  }

  /** Whether the checks of isAsyncSafePoint that come before the program's tables (curg, canPreemptM, stack) all pass. */
  isLeftToTables(gp: number, sp: number): boolean {
    this.#wordless.refusedBy = undefined;
    return !this.#liveChecks(gp, sp, this.#wordless);
  }

  /** curg, canPreemptM and stack. Returns true when one of them decides, or could not be made. */
  #liveChecks(gp: number, sp: number, trail: Trail): boolean {
    if (gp === 0) {
      trail.refuses('curg', false, this.#describeCurg, gp, 0);
      trail.refusedBy = 'curg';
      return true;
    }
    let making: CheckId = 'curg';
    try {
      const { runtime } = this;
      const mp = runtime.m(gp);
      const curg = mp === 0 ? 0 : runtime.curg(mp);
      const onUserG = mp !== 0 && curg === gp;
      if (trail.refuses('curg', onUserG, this.#describeCurg, gp, mp)) return true;

      making = 'canPreemptM';
      const pp = mp === 0 ? 0 : runtime.p(mp);
      const canPreempt = pp !== 0 && this.canPreemptM(mp, pp, curg);
      if (trail.refuses('canPreemptM', canPreempt, this.#describeM, mp, pp)) return true;

      making = 'stack';
      return this.#stackCheck(gp, sp, trail);
    } catch (error) {
      // A thread that is not (yet) running Go has no g, or none that is one.
      if (!(error instanceof GuestReadError)) throw error;
      return unreadable(trail, making, gp, error);
    }
  }

  #stackCheck(gp: number, sp: number, trail: Trail): boolean {
    const { runtime } = this;
    const lo = runtime.stackLo(gp);
    const ready = this.program.asyncPreemptStackIsSet(this.memory);
    const room = ready && sp >= lo && sp - lo >= this.asyncPreemptStack;
    const secret = this.checksSecret && runtime.secret(gp) !== 0;
    return trail.refuses('stack', room && !secret, this.#describeStack, gp, sp);
  }

  readonly #describeStack = (gp: number, sp: number): string => {
    const lo = this.runtime.stackLo(gp);
    if (this.checksSecret && this.runtime.secret(gp) !== 0) return 'the goroutine is in secret mode';
    if (!this.program.asyncPreemptStackIsSet(this.memory))
      return 'the runtime has not yet computed asyncPreemptStack, so nothing is preempted';
    if (sp < lo) return `SP ${hex(sp)} is below stack.lo ${hex(lo)}`;
    return `SP ${hex(sp)} is ${sp - lo} bytes above stack.lo ${hex(lo)}; an injected call needs ${this.asyncPreemptStack}`;
  };

  readonly #describeCurg = (gp: number, mp: number): string => {
    if (gp === 0) return 'the thread runs no goroutine (g is nil)';
    if (mp === 0) return `g ${hex(gp)} has no M`;
    const curg = this.runtime.curg(mp);
    if (curg === gp) return `goroutine ${this.runtime.goid(gp)} is the user goroutine of its M`;
    const which = gp === this.runtime.g0(mp) ? 'g0' : gp === this.runtime.gsignal(mp) ? 'gsignal' : `g ${hex(gp)}`;
    return `the thread runs ${which}, not the user goroutine of its M (m.curg is ${hex(curg)})`;
  };

  readonly #describeM = (mp: number, pp: number): string => {
    const { runtime } = this;
    if (mp === 0) return 'there is no M';
    if (pp === 0) return 'the M has no P';
    const parts = [`m.locks ${runtime.locks(mp)}`, `mallocing ${runtime.mallocing(mp)}`];
    parts.push(`preemptoff ${JSON.stringify(runtime.preemptoff(mp))}`, `p.status ${pstatusName(runtime.pstatus(pp))}`);
    if (this.rules.curgNotInSyscall && this.#isInSyscall(runtime.curg(mp))) parts.push('m.curg is in a system call');
    return parts.join(', ');
  };

  /**
   * The timer interrupt (runtime `doSigPreempt`): if gp wants it and stands at a safe-point, rewrites the context so that
   * it seems to have called runtime.asyncPreempt; in any case acknowledges the request to the M. In common cases compiled code does the same
   * (src/debug/inside/interrupt.ts).
   * @returns the decision; it is refused by `want` if nothing was queued
   */
  doSigPreempt(gp: number, context: Context): Decision {
    // sighandler does not get as far as doSigPreempt, which would acknowledge.
    if (this.asyncpreemptoff) return refusalBy('want');
    const decision = this.#wants(gp) ? this.#decide(gp, context) : refusalBy('want');
    if (decision.refusedBy === undefined)
      this.pushCall(context, this.program.asyncPreempt, decision.restartAt ?? context.pc);
    this.#acknowledge(gp);
    return decision;
  }

  /** isAsyncSafePoint without words. */
  #decide(gp: number, { pc, sp, lr }: Context): Decision {
    const trail = this.#wordless;
    trail.refusedBy = undefined;
    return this.#liveChecks(gp, sp, trail) ? refusalBy(trail.refusedBy ?? 'curg') : this.safePoints.decision(pc, lr);
  }

  /** What doSigPreempt is about to decide, with every check. */
  explainSigPreempt(gp: number, { pc, sp, lr }: Context): Verdict {
    if (!this.asyncpreemptoff && this.#wants(gp)) return this.isAsyncSafePoint(gp, pc, sp, lr, true);
    const trail = new Trail(this.without, true);
    if (this.asyncpreemptoff) trail.refuses('want', false, () => OFF);
    else trail.refuses('want', false, this.#describeWant, gp, 0);
    return new LiveRefusal(trail, 'want');
  }

  #wants(gp: number): boolean {
    if (this.#wantedAlways) return true;
    try {
      return gp !== 0 && this.wantAsyncPreempt(gp);
    } catch (error) {
      if (error instanceof GuestReadError) return false;
      throw error;
    }
  }

  readonly #describeWant = (gp: number): string => {
    try {
      if (gp === 0) return 'the thread runs no goroutine';
      const status = this.runtime.readgstatus(gp);
      if ((status & ~Gscan) !== Grunning) return `the status of g is ${gstatusName(status)}, not running`;
      return 'neither g.preempt nor p.preempt is set';
    } catch (error) {
      if (error instanceof GuestReadError) return error.message;
      throw error;
    }
  };

  /** m.preemptGen += 1, m.signalPending = 0: else suspendG waits for ever, and preemptM never signals again. */
  #acknowledge(gp: number): void {
    const { runtime } = this;
    try {
      const mp = gp === 0 ? 0 : runtime.m(gp);
      if (mp === 0) return;
      runtime.setPreemptGen(mp, runtime.preemptGen(mp) + 1);
      if (this.rules.signalPending) runtime.setSignalPending(mp, 0);
    } catch (error) {
      if (!(error instanceof GuestReadError)) throw error;
    }
  }

  /**
   * Makes the context look as if the code at `resumePC` had just called `target` (runtime `sigctxt.pushCall`).
   * amd64: the PC is pushed. MIPS: LR is pushed, where the unwinder looks for it, and becomes the resume PC.
   */
  pushCall(context: Context, target: number, resumePC: number): void {
    const { arch } = this.program;
    const sp = context.sp - arch.pointerSize;
    this.memory.writePointer(sp, arch.linkRegister ? context.lr : resumePC);
    context.sp = sp;
    if (arch.linkRegister) context.lr = resumePC;
    context.pc = target;
  }

  /**
   * A goroutine of a list, as it stands. What is none, or has garbage where it is looked at, is listed with what could not be read.
   * @param thread the thread that runs it; undefined if none does
   */
  describe(gp: number, thread: ThreadView | undefined): GoroutineState {
    let goid = 0;
    let status = 'unreadable';
    try {
      goid = this.runtime.goid(gp);
      status = gstatusName(this.runtime.readgstatus(gp));
      return { g: gp, goid, status, ...this.classify(gp, thread) };
    } catch (error) {
      if (!(error instanceof GuestReadError || error instanceof TableError)) throw error;
      return { g: gp, goid, status, kind: 'none', reason: error.message };
    }
  }

  /**
   * Which kind of safe-point goroutine gp is stopped at.
   * @param thread the thread that runs it; undefined if none does
   * @throws GuestReadError if gp is no goroutine
   */
  classify(gp: number, thread: ThreadView | undefined): StopClass {
    const { runtime } = this;
    const status = runtime.readgstatus(gp) & ~Gscan;
    if (status === Gcopystack) return { kind: 'none', reason: 'its stack is being copied' };
    if (status === Gwaiting || status === Grunnable || status === Gsyscall || status === Gpreempted) {
      const how = runtime.asyncSafePoint(gp) ? ', having been preempted asynchronously' : '';
      return { kind: 'blocked', reason: `it is ${gstatusName(status)}${how}` };
    }
    if (status !== Grunning) return { kind: 'none', reason: `its status is ${gstatusName(status)}` };
    if (thread === undefined) return { kind: 'none', reason: 'it is running, but on no thread that is known' };
    const name = this.program.tables.findfunc(thread.pc)?.name ?? '';
    const requested = runtime.stackguardIsPoisoned(gp) || runtime.preempt(gp);
    if (SYNCHRONOUS.has(name) && requested && !runtime.asyncSafePoint(gp)) {
      return {
        kind: 'synchronous',
        reason: `the stack check of a prologue failed on the poisoned guard, and led to ${name}`,
      };
    }
    if (runtime.asyncSafePoint(gp) || name === 'runtime.asyncPreempt' || name === 'runtime.asyncPreempt2') {
      return {
        kind: 'asynchronous',
        reason: `an injected call of runtime.asyncPreempt is under way (${name || hex(thread.pc)})`,
      };
    }
    const verdict = this.isAsyncSafePoint(this.getg(thread), thread.pc, thread.sp, thread.lr);
    return { kind: verdict.safe ? 'asynchronous' : 'none', reason: verdict.reason };
  }
}

/** A check that could not be made refuses as well, switched off or not. */
function unreadable(trail: Trail, making: CheckId, gp: number, error: GuestReadError): true {
  trail.refuses(making, false, () => `g ${hex(gp)} is no goroutine: ${error.message}`);
  if (trail.refusedBy === undefined) {
    trail.refusedBy = making;
    trail.concludes(() => error.message);
  }
  return true;
}

/** Functions on the way from a failed stack check to the scheduler. */
const SYNCHRONOUS: ReadonlySet<string> = new Set([
  'runtime.morestack',
  'runtime.morestack_noctxt',
  'runtime.newstack',
  'runtime.gopreempt_m',
  'runtime.preemptPark',
]);
