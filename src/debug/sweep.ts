// Sweeps: at every executed instruction of a range, forks the machine, injects a preemption, and holds the oracles against it.

import type { Breakpoints } from '../engine/compiler.ts';
import { Grunning, Gscan } from '../goruntime/facts/constants.ts';
import { LocationError } from '../goruntime/locate.ts';
import type { CheckId, Verdict } from '../goruntime/safe-points.ts';
import { GuestReadError } from '../goruntime/view.ts';
import { sweepCommandLine } from './command-line.ts';
import type { Go } from './go.ts';
import { InputError } from './input-error.ts';
import { boundariesOf } from './listing.ts';
import { Session, type SessionEnd, type SessionOptions, type SessionSnapshot } from './session.ts';
import { framesText, type OracleName, Oracles, sameFrames } from './sweep-oracles.ts';
import { FirstArrivals, Ranges, rangesOf, safeRangesOf } from './sweep-places.ts';
import { type Thread, threadOf } from './view.ts';

export type { OracleName } from './sweep-oracles.ts';

export interface SweepOptions
  extends Pick<SessionOptions, 'path' | 'args' | 'env' | 'cpus' | 'seed' | 'dirs' | 'rules' | 'without'> {
  /** Only in functions whose name this matches, as `--func` gives it. */
  readonly func?: string;
  /** Only at this LOC. */
  readonly at?: string;
  /** Only at instructions that the program's tables do not refuse; others are passed without being counted. */
  readonly safeOnly?: boolean;
  /** Only between a MIPS call and its delay slot, where the SP delta is 0: the half-executed call of isAsyncSafePoint. */
  readonly halfCalls?: boolean;
  /** First and last place: instructions executed before it, or a LOC (its first arrival). */
  readonly from?: number | string;
  readonly to?: number | string;
  /** Of the places in the range, every n-th. */
  readonly every?: number;
  /** At each instruction of the range, only its first n executions. */
  readonly perPlace?: number;
  /** Most injections. */
  readonly limit?: number;
  /** One injection of so many is also run to the program's end, and its output compared: 1 for each, 0 for none. */
  readonly sample?: number;
  /** Instructions within which the goroutine must be back; 20 million, or twice as many as the program takes, if that is more. */
  readonly patience?: number;
  /** Of all injections, those of one worker among several. */
  readonly share?: { readonly index: number; readonly of: number };
}

/** An injection that an oracle objects to. */
export interface SweepFailure {
  /** Instructions executed before it. */
  readonly at: number;
  /** What the interrupt presents: in a delay slot the branch's address. */
  readonly pc: number;
  readonly func: string;
  readonly inSlot: boolean;
  readonly oracle: OracleName;
  readonly detail: string;
  /** A command that makes this injection alone. */
  readonly reproduce: string;
}

/** How the undisturbed program goes. */
export interface Reference {
  readonly instructions: number;
  readonly end: SessionEnd;
  readonly stdout: string;
}

export interface SweepResult {
  readonly version: 1;
  readonly goarch: string;
  readonly go: string;
  /** Places where an injection was tried, and those where one was made. */
  readonly attempts: number;
  readonly injections: number;
  readonly restarts: number;
  /** Injections that were also run to the program's end. */
  readonly ranToEnd: number;
  readonly refused: Partial<Record<CheckId, number>>;
  /** The most attempts in a row that were refused, and where they began. */
  readonly longestRefusal: { readonly attempts: number; readonly at: number };
  readonly seconds: number;
  readonly perSecond: number;
  readonly failures: readonly SweepFailure[];
}

/** Told now and then how far a sweep is. */
export type SweepProgress = (so: {
  readonly injections: number;
  readonly failures: number;
  readonly done: number;
}) => void;

/** The goroutine is normally back after one turn of the scheduler; others may have theirs before. */
const PATIENCE = 20_000_000;
/** If it is not, it is waited for until the whole program would have run so often. */
const TIMES_AS_PATIENT = 2;
/** Attempts of one goroutine in a row that may be refused: suspendG tries for as long as it takes, but the GC waits for it. */
const MOST_REFUSED = 20_000_000;
/** One of so many injections runs to the end of the program unless the caller says otherwise. */
const SAMPLE = 512;
const MOST_FAILURES = 10_000;
/** Much longer than the undisturbed run, and it is a hang. */
const TIMES_LONGER = 20;
const AT_LEAST = 20_000_000;

/** Instructions that a branch takes where it takes most. */
const BRANCH_AND_SLOT = 2;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** What the guest printed, so that it can be taken back with the machine. */
class Printed {
  text = '';

  readonly add = (bytes: Uint8Array): void => {
    this.text += Buffer.from(bytes).toString('latin1');
  };
}

/** What an end looks like to a person: the status, or what killed it, and what the runtime said. */
function describeEnd(end: SessionEnd, stderr: string): string {
  const said = /^(?:fatal error|panic|runtime: .*|SIG[A-Z]+): .*$/m.exec(stderr)?.[0] ?? stderr.split('\n', 1)[0] ?? '';
  const words = said === '' ? '' : `, saying ${JSON.stringify(said)}`;
  switch (end.kind) {
    case 'exit':
      return `exit status ${end.status}${words}`;
    case 'signal':
      return `killed by ${end.name} at ${end.place}: ${end.reason}${words}`;
    case 'deadlock':
      return `every thread waits for ever: ${end.reason}${words}`;
    case 'limit':
      return `still running after ${end.instructions} instructions${words}`;
  }
}

/** A sweep's program, whose output is collected. */
function sessionOptions(options: SweepOptions, out: Printed, err: Printed): SessionOptions {
  const { path, args, env, cpus, seed, dirs, rules, without } = options;
  return {
    path,
    stdout: out.add,
    stderr: err.add,
    // A sweep runs the program thousands of times over: it must not change the host's files.
    ...(dirs === undefined ? {} : { dirs: dirs.map((dir) => (dir.endsWith(':ro') ? dir : `${dir}:ro`)) }),
    ...(args === undefined ? {} : { args }),
    ...(env === undefined ? {} : { env }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(seed === undefined ? {} : { seed }),
    ...(rules === undefined ? {} : { rules }),
    ...(without === undefined ? {} : { without }),
  };
}

/** One program, swept. */
export class Sweep {
  readonly session: Session;
  readonly #options: SweepOptions;
  readonly #go: Go;
  readonly #thread: Thread;
  readonly #oracles: Oracles;
  readonly #out = new Printed();
  readonly #err = new Printed();
  readonly #refused: Partial<Record<CheckId, number>> = {};
  readonly #failures: SweepFailure[] = [];
  readonly #bytes: Uint8Array;
  #reference: Reference | undefined;
  #returns: ReadonlySet<number> | undefined;
  #attempts = 0;
  #injections = 0;
  #restarts = 0;
  #ranToEnd = 0;
  #refusals = { attempts: 0, at: 0 };
  #longest = { attempts: 0, at: 0 };

  /**
   * @param reference how the undisturbed program goes, if that is known
   * @throws InputError for a program that is none, has no Go tables, or does not fit the options
   */
  constructor(bytes: Uint8Array, options: SweepOptions, reference?: Reference) {
    this.#bytes = bytes;
    this.session = Session.open(bytes, sessionOptions(options, this.#out, this.#err));
    const { go } = this.session;
    if (go === undefined) throw new InputError(this.session.notGo ?? 'no Go program');
    this.#options = options;
    this.#go = go;
    this.#thread = threadOf(this.session.machine, this.session.arch);
    this.#oracles = new Oracles(this.session, go);
    this.#reference = reference;
  }

  /** How the program goes undisturbed: run once, in a machine of its own, when first asked for. */
  reference(): Reference {
    if (this.#reference === undefined) {
      const out = new Printed();
      const session = Session.open(this.#bytes, sessionOptions(this.#options, out, new Printed()));
      const end = session.run();
      session.close();
      this.#reference = { instructions: session.machine.instructions, end, stdout: out.text };
    }
    return this.#reference;
  }

  #rewind(snapshot: SessionSnapshot, out: string, err: string): void {
    this.session.restore(snapshot);
    this.#out.text = out;
    this.#err.text = err;
  }

  /** Sweeps the range. */
  run(progress?: SweepProgress): SweepResult {
    const began = performance.now();
    const { every = 1, limit = Number.POSITIVE_INFINITY, perPlace } = this.#options;
    const first = perPlace === undefined ? undefined : new FirstArrivals(this.#ranges(), perPlace);
    const ranges = first ?? this.#ranges();
    const from = this.#goTo(this.#options.from, 0);
    const { machine } = this.session;
    let places = 0;
    let last = typeof this.#options.to === 'number' ? this.#options.to : Number.POSITIVE_INFINITY;
    const until = typeof this.#options.to === 'string' ? new Set(this.#locate(this.#options.to)) : undefined;
    // Only who wants to see how far the sweep is needs to know how long the program is.
    const length = progress === undefined || Number.isFinite(last) ? last : this.reference().instructions;
    const span = Math.max(1, length - from);
    const { halfCalls = false } = this.#options;
    while (this.#injections < limit && machine.instructions <= last) {
      if (halfCalls && !this.#isHalfCall()) {
        if (this.#advanceToCallSlot(last) !== 'there') break;
      } else if (ranges === undefined || ranges.has(machine.state.pc)) {
        first?.arrive(machine.state.pc);
        if (places++ % every === 0) {
          this.#attempt();
          progress?.({
            injections: this.#injections,
            failures: this.#failures.length,
            done: (machine.instructions - from) / span,
          });
        }
        if (until?.has(machine.state.pc) === true) last = machine.instructions;
        if (machine.instructions >= last) break;
        if (this.session.advance(machine.instructions + 1) !== undefined) break;
      } else if (halfCalls) {
        if (this.#advanceToCallSlot(last) !== 'there') break;
      } else if (this.#advanceTo(ranges, last) !== 'there') break;
    }
    const seconds = (performance.now() - began) / 1000;
    return {
      version: 1,
      goarch: this.session.arch.goarch,
      go: this.#go.program.release.text,
      attempts: this.#attempts,
      injections: this.#injections,
      restarts: this.#restarts,
      ranToEnd: this.#ranToEnd,
      refused: this.#refused,
      longestRefusal: this.#longest,
      seconds,
      perSecond: this.#injections / Math.max(seconds, 1e-9),
      failures: this.#failures,
    };
  }

  /** The place or the code of the functions that is asked for; undefined for all. */
  #ranges(): Ranges | undefined {
    const { func, at, safeOnly = false } = this.#options;
    if (at !== undefined) return new Ranges(this.#locate(at).map((pc) => [pc, pc + 1]));
    if (func === undefined && !safeOnly) return undefined;
    let pattern: RegExp;
    try {
      pattern = new RegExp(func ?? '');
    } catch {
      throw new InputError(`--func ${func}: not a regular expression`);
    }
    const funcs = [...this.#go.program.tables.funcs()].filter((f) => pattern.test(f.name));
    if (funcs.length === 0) throw new InputError(`--func ${func}: no function's name matches`);
    return safeOnly ? safeRangesOf(funcs, this.#go.preemption.safePoints) : rangesOf(funcs);
  }

  /** @throws InputError where the program has no such place */
  #locate(place: string): readonly number[] {
    try {
      return this.session.locate(place);
    } catch (error) {
      if (error instanceof LocationError) throw new InputError(error.message);
      throw error;
    }
  }

  /** Goes to a bound. Returns the instruction count there. */
  #goTo(bound: number | string | undefined, otherwise: number): number {
    const { machine } = this.session;
    if (typeof bound === 'string') {
      if (this.#advanceTo(new Set(this.#locate(bound)), Number.POSITIVE_INFINITY) !== 'there') {
        throw new InputError(`--from ${bound}: the program never gets there`);
      }
    } else if ((bound ?? otherwise) > 0) this.session.advance(bound ?? otherwise);
    return machine.instructions;
  }

  /** Runs on until the next instruction is one of `places`, or `limit` instructions are executed. */
  #advanceTo(places: Breakpoints, limit: number): 'there' | 'limit' | SessionEnd {
    const { machine } = this.session;
    machine.breakpoints = places;
    try {
      const end = this.session.advance(limit);
      if (end !== undefined) return end;
      return machine.instructions < limit || places.has(machine.state.pc) ? 'there' : 'limit';
    } finally {
      machine.breakpoints = undefined;
    }
  }

  #isHalfCall(): boolean {
    const { pc, lr, inSlot } = this.#thread;
    if (!inSlot || lr !== pc + 8) return false;
    const { tables } = this.#go.program;
    const f = tables.findfunc(pc);
    return f !== undefined && tables.funcspdelta(f, pc) === 0;
  }

  /** Runs on until the next instruction stands in the delay slot of a call, or `limit` instructions are executed. */
  #advanceToCallSlot(limit: number): 'there' | 'limit' | SessionEnd {
    const { machine } = this.session;
    machine.stopInCallSlots = true;
    try {
      const end = this.session.advance(limit);
      return end ?? (machine.instructions < limit ? 'there' : 'limit');
    } finally {
      machine.stopInCallSlots = false;
    }
  }

  #attempt(): void {
    this.#attempts++;
    const { pc, sp, lr } = this.#thread;
    const { preemption } = this.#go;
    const gp = this.#getg();
    const verdict = preemption.isAsyncSafePoint(gp, pc, sp, lr);
    if (!verdict.safe) return this.#refuse(verdict.check ?? 'unsafe-point');
    if (!preemption.without.has('want') && (preemption.runtime.readgstatus(gp) & ~Gscan) !== Grunning) {
      return this.#refuse('want');
    }
    this.#refusals = { attempts: 0, at: 0 };
    const { share } = this.#options;
    const number = this.#injections++;
    if (verdict.verdict === 'restart') this.#restarts++;
    if (share === undefined || number % share.of === share.index) this.#inject(gp, verdict, number);
  }

  #getg(): number {
    try {
      return this.#go.preemption.getg(this.#thread);
    } catch (error) {
      if (error instanceof GuestReadError) return 0;
      throw error;
    }
  }

  #refuse(check: CheckId): void {
    this.#refused[check] = (this.#refused[check] ?? 0) + 1;
    if (this.#refusals.attempts === 0) this.#refusals.at = this.session.machine.instructions;
    this.#refusals.attempts++;
    if (this.#refusals.attempts > this.#longest.attempts) this.#longest = { ...this.#refusals };
    if (this.#refusals.attempts === MOST_REFUSED) {
      this.#fail('progress', `${MOST_REFUSED} attempts in a row were refused`);
    }
  }

  #fail(oracle: OracleName, detail: string): void {
    if (this.#failures.length >= MOST_FAILURES) return;
    const { pc, inSlot } = this.#thread;
    const at = this.session.machine.instructions;
    const func = this.session.placeOf(pc);
    this.#failures.push({ at, pc, func, inSlot, oracle, detail, reproduce: this.#reproduce(at) });
  }

  /** The command that makes the injection at one place alone. */
  #reproduce(at: number): string {
    const {
      func: _func,
      at: _at,
      safeOnly: _safe,
      halfCalls: _half,
      every: _every,
      perPlace: _perPlace,
      limit: _limit,
      ...same
    } = this.#options;
    return sweepCommandLine({ ...same, from: at, to: at, sample: 1 });
  }

  /** One injection: the machine is as before when this returns. */
  #inject(gp: number, verdict: Verdict, number: number): void {
    const out = this.#out.text;
    const err = this.#err.text;
    const snapshot = this.session.save();
    const found: { oracle: OracleName; detail: string }[] = [];
    const objects = (oracle: OracleName, detail: string | undefined): boolean => {
      if (detail !== undefined) found.push({ oracle, detail });
      return detail !== undefined;
    };
    try {
      objects('locks', this.#locksHeld(gp));
      const walk = this.#oracles.walk(gp);
      objects('unwind', this.#oracles.unsound(walk));
      const before = this.#oracles.observe(gp);
      this.#rewind(snapshot, out, err);

      this.#request(gp);
      const { machine } = this.session;
      const { refusedBy } = this.#go.preemption.doSigPreempt(gp, this.#thread);
      this.#thread.exceptionReturn();
      if (refusedBy !== undefined) {
        this.#refused[refusedBy] = (this.#refused[refusedBy] ?? 0) + 1;
        this.#injections--;
        return;
      }
      const injected = this.#oracles.walk(gp);
      const restarted = verdict.resume !== before.pc;
      // A restart changes the PC of the frame that is resumed, and nothing else of the stack.
      if (!restarted && injected.stop !== 'limit' && !sameFrames(injected.frames, walk.frames, 1)) {
        const [are, were] = [framesText(injected.frames.slice(1)), framesText(walk.frames)];
        objects('unwind', `under the injected call the frames are ${are} instead of ${were}`);
      }
      if (injected.stop === 'complete' || injected.stop === 'limit')
        objects('scan', this.#oracles.unscannable(injected));
      const from = machine.instructions;
      let patience = this.#options.patience ?? PATIENCE;
      let resumed = this.#untilResumed(gp, verdict.resume, before.sp, from + patience);
      if (resumed === 'limit' && this.#options.patience === undefined) {
        // The collector may have a stack of many thousand frames to scan first.
        patience = Math.max(PATIENCE, TIMES_AS_PATIENT * this.reference().instructions);
        resumed = this.#untilResumed(gp, verdict.resume, before.sp, from + patience);
      }
      if (resumed === 'limit')
        objects('progress', `not back after ${patience} instructions: ${this.#whereThreadsAre()}`);
      else if (resumed !== 'there') {
        // A goroutine that the program does not wait for may well not have its turn again.
        if (!this.#asUndisturbed(resumed))
          objects('end', `before the goroutine is back: ${describeEnd(resumed, this.#err.text.slice(err.length))}`);
      } else {
        const damaged = [
          objects('registers', this.#oracles.registers(before, restarted)),
          objects('stack', this.#oracles.stack(before, gp)),
          restarted && objects('path', this.#oracles.again(before)),
        ];
        const path = damaged.includes(true) ? undefined : this.#oracles.path(before, gp);
        if (path?.end === undefined) objects('path', path?.detail);
        else objects('end', `${path.detail}: ${describeEnd(path.end, this.#err.text.slice(err.length))}`);
        const { sample = SAMPLE } = this.#options;
        if (sample > 0 && number % sample === 0 && path?.end === undefined) objects('output', this.#toTheEnd(err));
      }
    } finally {
      this.#rewind(snapshot, out, err);
      this.session.process.kernel.drop(snapshot.kernel);
    }
    for (const { oracle, detail } of found) this.#fail(oracle, detail);
  }

  /** Requests the preemption as preemptone does: of the user goroutine of the M, which is gp unless that check is off. */
  #request(gp: number): void {
    const { preemption } = this.#go;
    try {
      const mp = preemption.runtime.m(gp);
      const curg = mp === 0 ? 0 : preemption.runtime.curg(mp);
      if (curg !== 0) preemption.requestPreempt(curg);
    } catch (error) {
      if (!(error instanceof GuestReadError)) throw error;
    }
  }

  #locksHeld(gp: number): string | undefined {
    const { runtime } = this.#go.preemption;
    const mp = runtime.m(gp);
    if (mp === 0) return 'the goroutine has no M';
    const held: string[] = [];
    if (runtime.locks(mp) !== 0) held.push(`m.locks is ${runtime.locks(mp)}`);
    if (runtime.mallocing(mp) !== 0) held.push(`m.mallocing is ${runtime.mallocing(mp)}`);
    if (runtime.preemptoffLength(mp) !== 0) held.push(`m.preemptoff is ${JSON.stringify(runtime.preemptoff(mp))}`);
    return held.length === 0 ? undefined : held.join(', ');
  }

  /**
   * Runs until gp stands at `resume` with the SP that it was interrupted with. It gets there by the last branch of asyncPreempt: to stop
   * at that one, and not at another place for each injection, costs compiled code nothing.
   */
  #untilResumed(gp: number, resume: number, sp: number, limit: number): 'there' | 'limit' | SessionEnd {
    const { machine } = this.session;
    let places: ReadonlySet<number> = this.#lastBranch();
    for (;;) {
      const reached = this.#advanceTo(places, limit);
      if (reached !== 'there') return reached;
      if (this.#getg() !== gp) continue;
      for (let i = 0; i < BRANCH_AND_SLOT && machine.state.pc !== resume; i++) {
        const end = this.session.step();
        if (end !== undefined) return end;
      }
      if (machine.state.pc === resume && this.#getg() === gp && this.#thread.sp === sp && !machine.state.inSlot)
        return 'there';
      // Another thread's turn in between, or it goes somewhere else first.
      places = new Set([resume]);
    }
  }

  /** The last branch of asyncPreempt, which leads back to what was interrupted: nothing comes after it (runtime/mkpreempt.go). */
  #lastBranch(): ReadonlySet<number> {
    if (this.#returns === undefined) {
      const { code, isa } = this.session.machine;
      const { program } = this.#go;
      const { entry, end } = program.tables.findfunc(program.asyncPreempt)!;
      const branches = [...boundariesOf(isa, program.image, entry, end)].filter((pc) => code.at(pc)?.list.branches);
      this.#returns = new Set(branches.slice(-1));
    }
    return this.#returns;
  }

  /** What every thread does: told of a goroutine that does not come back. */
  #whereThreadsAre(): string {
    const { kernel } = this.session.process;
    return this.session
      .threads()
      .map(({ pc }, i) => {
        const call = kernel.tasks[i]?.blocked?.name;
        return `thread ${i + 1} ${call === undefined ? `at ${this.session.placeOf(pc)}` : `waits in ${call}`}`;
      })
      .join(', ');
  }

  #asUndisturbed(end: SessionEnd): boolean {
    const reference = this.reference();
    return (
      end.kind === reference.end.kind && end.status === reference.end.status && this.#out.text === reference.stdout
    );
  }

  /** Runs to the end and compares. */
  #toTheEnd(err: string): string | undefined {
    this.#ranToEnd++;
    const reference = this.reference();
    const { machine } = this.session;
    const limit = Math.max(reference.instructions * TIMES_LONGER, machine.instructions + AT_LEAST);
    const end =
      this.session.advance(limit) ??
      ({ kind: 'limit', status: 1, instructions: machine.instructions, place: hex(machine.state.epc) } as const);
    if (end.kind !== reference.end.kind || end.status !== reference.end.status) {
      return `${describeEnd(end, this.#err.text.slice(err.length))}; undisturbed: ${describeEnd(reference.end, '')}`;
    }
    if (this.#out.text === reference.stdout) return undefined;
    const lines = this.#out.text.split('\n');
    const want = reference.stdout.split('\n');
    const line = lines.findIndex((text, i) => text !== want[i]);
    if (line < 0) return `prints ${lines.length - 1} lines instead of ${want.length - 1}`;
    return `line ${line + 1} of the output is ${JSON.stringify(lines[line])} instead of ${JSON.stringify(want[line] ?? '')}`;
  }
}
