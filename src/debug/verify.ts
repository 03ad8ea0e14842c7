// The guest is the judge: our verdict, and what we read from a program's tables, against the program's own runtime, asked by calling it.

import { isaFor } from '../../isa/index.ts';
import { Gscan, Gsyscall, Prunning } from '../goruntime/facts/constants.ts';
import { PCDATA_UnsafePoint } from '../goruntime/funcdata.ts';
import type { CheckId, Verdict } from '../goruntime/safe-points.ts';
import type { Func } from '../goruntime/tables.ts';
import { isBefore } from '../goruntime/version.ts';
import type { Go } from './go.ts';
import { type CallEnd, type Callee, GuestCaller, type Signature } from './guest-call.ts';
import { InputError } from './input-error.ts';
import { boundariesOf } from './listing.ts';
import type { Session } from './session.ts';

/** A verdict as either side gives it. A safe one says where the goroutine resumes. */
export interface Side {
  readonly verdict: 'safe' | 'unsafe' | 'throw';
  readonly resume: number | null;
  /** Ours: the check that refused or moved the PC. */
  readonly check?: CheckId;
  /** What runtime.throw is told, or what else went wrong. */
  readonly message?: string;
}

/** One PC that the two sides do not agree about. */
export interface Disagreement {
  readonly pc: number;
  readonly func: string | null;
  /** The link register that the interrupt presents (MIPS). */
  readonly lr: number;
  readonly ours: Side;
  readonly theirs: Side;
}

/** One other value that differs. */
export interface Difference {
  readonly at: string;
  readonly ours: string;
  readonly theirs: string;
}

/** How one function of the runtime compared with ours. */
export interface Comparison {
  /** Calls that were compared; 0 where `skipped` says why. */
  readonly compared: number;
  readonly disagreed: readonly Difference[];
  readonly skipped?: string;
}

/** The document of `verify --json`. */
export interface VerifyReport {
  readonly version: 1;
  readonly goarch: string;
  readonly go: string;
  readonly rules: string;
  /** PCs that were asked about, on MIPS with two link registers each. */
  readonly pcs: number;
  /** PCs of which every answer agreed. */
  readonly agreed: number;
  readonly disagreed: readonly Disagreement[];
  readonly totals: { readonly safe: number; readonly unsafe: number; readonly restart: number };
  /** The checks of goroutine, M, P and stack, with each field that they read set to something that refuses. */
  readonly live: Comparison;
  readonly asyncPreemptStack: { readonly ours: number; readonly theirs: number | null };
  readonly findfunc: Comparison;
  readonly funcname: Comparison;
  readonly funcMaxSPDelta: Comparison;
  readonly funcline: Comparison;
  /** Calls of the program's functions, and instructions executed in them. */
  readonly calls: number;
  readonly instructions: number;
}

/** Told now and then how much of it is done: PCs, functions and lines together. */
export type VerifyProgress = (done: number, total: number) => void;

/** One part of several, which are of equal size and together all. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

export interface VerifyOptions {
  /** The functions to look at; all when absent. */
  readonly functions?: readonly Func[];
  /** Ask only about so many PCs, spread evenly; about all when absent. */
  readonly sample?: number;
  /** Of all that is to be asked, one part; the first has what is asked once. */
  readonly share?: Share;
  readonly onProgress?: VerifyProgress;
}

/** Whether everything agreed. */
export function agrees(report: VerifyReport): boolean {
  const { live, findfunc, funcname, funcMaxSPDelta, funcline, asyncPreemptStack } = report;
  return (
    report.disagreed.length === 0 &&
    [live, findfunc, funcname, funcMaxSPDelta, funcline].every((c) => c.disagreed.length === 0) &&
    (asyncPreemptStack.theirs === null || asyncPreemptStack.theirs === asyncPreemptStack.ours)
  );
}

/** What several shares of one verification make together. */
export function mergeReports(reports: readonly VerifyReport[]): VerifyReport {
  const sum = (value: (report: VerifyReport) => number): number => reports.reduce((n, r) => n + value(r), 0);
  const merged = (pick: (report: VerifyReport) => Comparison): Comparison => {
    const { skipped } = pick(reports[0]!);
    return {
      compared: sum((r) => pick(r).compared),
      disagreed: reports.flatMap((r) => pick(r).disagreed),
      ...(skipped === undefined ? {} : { skipped }),
    };
  };
  return {
    ...reports[0]!,
    pcs: sum((r) => r.pcs),
    agreed: sum((r) => r.agreed),
    disagreed: reports.flatMap((r) => r.disagreed),
    totals: {
      safe: sum((r) => r.totals.safe),
      unsafe: sum((r) => r.totals.unsafe),
      restart: sum((r) => r.totals.restart),
    },
    findfunc: merged((r) => r.findfunc),
    funcname: merged((r) => r.funcname),
    funcMaxSPDelta: merged((r) => r.funcMaxSPDelta),
    funcline: merged((r) => r.funcline),
    calls: sum((r) => r.calls),
    instructions: sum((r) => r.instructions),
  };
}

const WORD2: Signature['args'] = ['uintptr', 'uintptr'];
const IS_ASYNC_SAFE_POINT: Signature = { args: [...WORD2, ...WORD2], results: ['bool', 'uintptr'] };
const FINDFUNC: Signature = { args: ['uintptr'], results: WORD2 };
const FUNCNAME: Signature = { args: WORD2, results: WORD2 };
const FUNC_NAME: Signature = { args: ['uintptr', 'int32'], results: WORD2 };
const FUNC_MAX_SP_DELTA: Signature = { args: WORD2, results: ['int32'] };
const FUNCLINE1: Signature = { args: [...WORD2, 'uintptr', 'bool'], results: [...WORD2, 'int32'] };

/** Calls after which what they wrote (caches of the runtime's) is undone: nothing depends on it. */
const RESET_EVERY = 4096;

const hex = (value: number): string => `0x${value.toString(16)}`;

class Tally {
  compared = 0;
  readonly disagreed: Difference[] = [];
  skipped: string | undefined;

  add(at: () => string, ours: string | number, theirs: string | number): void {
    this.compared++;
    if (ours !== theirs) this.disagreed.push({ at: at(), ours: String(ours), theirs: String(theirs) });
  }

  get result(): Comparison {
    const { compared, disagreed, skipped } = this;
    return { compared, disagreed, ...(skipped === undefined ? {} : { skipped }) };
  }
}

/**
 * Runs the program to where its runtime can be asked, and asks it.
 * @param session fresh: nothing has run
 * @throws InputError for a program whose runtime cannot be asked
 */
export function verify(session: Session, options: VerifyOptions = {}): VerifyReport {
  const { go } = session;
  if (go === undefined) throw new InputError(session.notGo ?? 'not a Go program');
  if (isBefore(go.program.release, '1.15')) {
    throw new InputError(`${go.program.release.text} is too old: verify can ask the runtimes of Go 1.15 and later`);
  }
  if (go.program.addressOf('runtime.isAsyncSafePoint') === undefined) {
    throw new InputError('the program has no function runtime.isAsyncSafePoint to ask');
  }
  const caller = GuestCaller.start(session);
  try {
    return new Verifier(go, caller, options).report();
  } finally {
    caller.close();
  }
}

class Verifier {
  readonly #go: Go;
  readonly #caller: GuestCaller;
  readonly #options: VerifyOptions;
  readonly #isAsyncSafePoint: Callee;
  readonly #strings = new Map<string, string>();
  /** A PC that both sides call safe. */
  #safePC: number | undefined;
  /** How much has been asked, of how much. */
  #done = 0;
  #total = 0;

  constructor(go: Go, caller: GuestCaller, options: VerifyOptions) {
    this.#go = go;
    this.#caller = caller;
    this.#options = options;
    this.#isAsyncSafePoint = caller.callee('runtime.isAsyncSafePoint', IS_ASYNC_SAFE_POINT)!;
  }

  report(): VerifyReport {
    const { program, preemption } = this.#go;
    const functions = this.#options.functions ?? [...program.tables.funcs()];
    const places = this.#part(this.#places(functions));
    const sampled = this.#part(this.#sampled(functions));
    const lines = this.#part(this.#sampled(functions.flatMap((f) => this.#lineStarts(f).map((pc) => ({ f, pc })))));
    this.#total = places.length + sampled.length + lines.length;
    const points = this.#points(places);
    const tables = this.#tables(sampled, lines);
    const once = (this.#options.share?.index ?? 0) === 0;
    const live = once ? this.#live() : { compared: 0, disagreed: [] };
    const theirs = once ? this.#asyncPreemptStack() : null;
    return {
      version: 1,
      goarch: program.arch.goarch,
      go: program.release.text,
      rules: preemption.rules.name,
      ...points,
      live,
      asyncPreemptStack: { ours: preemption.asyncPreemptStack, theirs },
      ...tables,
      calls: this.#caller.calls,
      instructions: this.#caller.instructions,
    };
  }

  #tick(): void {
    this.#options.onProgress?.(this.#done++, this.#total);
  }

  /** This share of a list: a stretch, so that the shares one after another are the list. */
  #part<T>(all: readonly T[]): readonly T[] {
    const { index, of } = this.#options.share ?? { index: 0, of: 1 };
    return all.slice(Math.floor((all.length * index) / of), Math.floor((all.length * (index + 1)) / of));
  }

  #call(callee: Callee, args: readonly number[]): CallEnd {
    const end = this.#caller.call(callee, args);
    if (this.#caller.calls % RESET_EVERY === 0) this.#caller.reset();
    return end;
  }

  // isAsyncSafePoint

  #points(places: readonly number[]): Pick<VerifyReport, 'pcs' | 'agreed' | 'disagreed' | 'totals'> {
    const { program } = this.#go;
    const { tables, arch } = program;
    const disagreed: Disagreement[] = [];
    const totals = { safe: 0, unsafe: 0, restart: 0 };
    let agreed = 0;
    for (const pc of places) {
      this.#tick();
      let same = true;
      for (const lr of arch.linkRegister ? [0, pc + 8] : [0]) {
        const verdict = this.#ours(pc, this.#caller.sp, lr);
        const theirs = this.#theirs(this.#caller.gp, pc, this.#caller.sp, lr);
        const ours = this.#side(verdict, pc);
        if (lr === 0) totals[verdict.verdict]++;
        if (agree(ours, theirs)) {
          if (theirs.verdict === 'safe') this.#safePC ??= pc;
          continue;
        }
        same = false;
        disagreed.push({ pc, func: tables.findfunc(pc)?.name ?? null, lr, ours, theirs });
      }
      if (same) agreed++;
    }
    return { pcs: places.length, agreed, disagreed, totals };
  }

  /** The instruction boundaries to ask about: padding included, and with them places just outside the functions. */
  #places(functions: readonly Func[]): readonly number[] {
    const { tables, arch, image } = this.#go.program;
    const isa = isaFor(arch.goarch);
    const all: number[] = [];
    for (const f of functions) for (const pc of boundariesOf(isa, image, f.entry, f.end)) all.push(pc);
    if (this.#options.functions === undefined) all.push(tables.minpc - arch.pcQuantum, tables.maxpc, 0);
    return this.#sampled(all);
  }

  #ours(pc: number, sp: number, lr: number, gp = this.#caller.gp): Verdict {
    return this.#go.preemption.isAsyncSafePoint(gp, pc, sp, lr);
  }

  /** Our verdict as a side of a comparison: where the tables are damaged, the runtime throws, and we say with what. */
  #side(verdict: Verdict, pc: number): Side {
    const check = verdict.check === undefined ? {} : { check: verdict.check };
    if (verdict.safe) return { verdict: 'safe', resume: verdict.resume, ...check };
    const message = this.#throws(verdict, pc);
    if (message !== undefined) return { verdict: 'throw', resume: null, ...check, message };
    return { verdict: 'unsafe', resume: null, ...check };
  }

  #throws(verdict: Verdict, pc: number): string | undefined {
    if (verdict.check === 'restart') return 'bad restart PC';
    const { tables } = this.#go.program;
    const { rules } = this.#go.preemption;
    const f = tables.findfunc(pc);
    const throws =
      f !== undefined &&
      ((verdict.check === 'half-call' && tables.funcspdeltaThrows(f, pc)) ||
        (verdict.check === 'unsafe-point' && !tables.pcdatavalue2(f, PCDATA_UnsafePoint, pc).covered) ||
        (verdict.check === 'prefix' && rules.inlTreeStrict && tables.inlTreeIndexIsMissing(f, pc)));
    return throws ? 'invalid runtime symbol table' : undefined;
  }

  #theirs(gp: number, pc: number, sp: number, lr: number): Side {
    const end = this.#call(this.#isAsyncSafePoint, [gp, pc, sp, lr]);
    if (end.kind !== 'returned') {
      return { verdict: 'throw', resume: null, message: end.kind === 'throw' ? end.message : end.reason };
    }
    const [safe, resume] = end.results as [number, number];
    return safe === 0 ? { verdict: 'unsafe', resume: null } : { verdict: 'safe', resume };
  }

  // The checks of goroutine, M, P and stack

  /** Sets each field that the checks read to a value that may refuse, and asks both sides at a PC that is safe. */
  #live(): Comparison {
    const tally = new Tally();
    const { memory, preemption, program } = this.#go;
    const { runtime } = preemption;
    const { gp, sp } = this.#caller;
    const pc = this.#aSafePC();
    if (pc === undefined) return { compared: 0, disagreed: [], skipped: 'no PC that was asked about is safe' };
    const mp = runtime.m(gp);
    const pp = runtime.p(mp);
    const { g, m, p } = program.offsets;
    const lo = runtime.stackLo(gp);
    const need = preemption.asyncPreemptStack;
    const cases: readonly (readonly [name: string, poke: () => void, gp?: number, sp?: number])[] = [
      ['as it is', () => undefined],
      ['gp = g0', () => undefined, runtime.g0(mp)],
      ['gp = gsignal', () => undefined, runtime.gsignal(mp)],
      ['m.curg = nil', () => memory.writePointer(mp + m.curg, 0)],
      ['m.p = 0', () => memory.writePointer(mp + m.p, 0)],
      ['m.locks = 1', () => memory.writeU32(mp + m.locks, 1)],
      ['m.mallocing = 1', () => memory.writeU32(mp + m.mallocing, 1)],
      ['len(m.preemptoff) = 1', () => memory.writePointer(mp + m.preemptoff + memory.pointerSize, 1)],
      ...[0, 2, 3, 4].map((s) => [`p.status = ${s}`, () => memory.writeU32(pp + p.status, s)] as const),
      ['p.status = running', () => memory.writeU32(pp + p.status, Prunning)],
      ['g.atomicstatus = syscall', () => runtime.setgstatus(gp, Gsyscall)],
      ['g.atomicstatus = syscall+scan', () => runtime.setgstatus(gp, Gsyscall | Gscan)],
      ['g.stack.lo = SP + 1', () => memory.writePointer(gp + g.stackLo, sp + 1)],
      ['SP = stack.lo - 1', () => undefined, gp, lo - 1],
      ['SP = stack.lo', () => undefined, gp, lo],
      ['SP = stack.lo + asyncPreemptStack - 1', () => undefined, gp, lo + need - 1],
      ['SP = stack.lo + asyncPreemptStack', () => undefined, gp, lo + need],
    ];
    for (const [name, poke, g = gp, stack = sp] of cases) {
      poke();
      const ours = this.#side(this.#ours(pc, stack, 0, g), pc);
      const theirs = this.#theirs(g, pc, stack, 0);
      tally.add(() => name, sideText(ours), sideText(theirs));
      this.#caller.reset();
    }
    return tally.result;
  }

  /** A PC that both sides call safe: one that was asked about, else the first one in main.main or in the whole program. */
  #aSafePC(): number | undefined {
    if (this.#safePC !== undefined) return this.#safePC;
    const { safePoints } = this.#go.preemption;
    for (const f of this.#go.program.tables.funcs()) {
      const run = safePoints.verdictRuns(f).find((r) => r.verdict === 'safe');
      if (run !== undefined && this.#theirs(this.#caller.gp, run.start, this.#caller.sp, 0).verdict === 'safe') {
        this.#safePC = run.start;
        return run.start;
      }
    }
    return undefined;
  }

  /** The program's own asyncPreemptStack, found without its address: the least room above stack.lo that is enough. */
  #asyncPreemptStack(): number | null {
    const { runtime } = this.#go.preemption;
    const { gp, sp } = this.#caller;
    const pc = this.#aSafePC();
    if (pc === undefined) return null;
    const lo = runtime.stackLo(gp);
    let no = -1;
    let yes = sp - lo;
    while (yes - no > 1) {
      const middle = Math.floor((no + yes) / 2);
      if (this.#theirs(gp, pc, lo + middle, 0).verdict === 'safe') yes = middle;
      else no = middle;
    }
    return yes;
  }

  // What the runtime reads from its tables

  #tables(
    functions: readonly Func[],
    lines: readonly { readonly f: Func; readonly pc: number }[],
  ): Pick<VerifyReport, 'findfunc' | 'funcname' | 'funcMaxSPDelta' | 'funcline'> {
    const caller = this.#caller;
    const find = caller.callee('runtime.findfunc', FINDFUNC);
    const name = caller.callee('runtime.funcname', FUNCNAME);
    const nameOf = caller.callee('runtime.(*moduledata).funcName', FUNC_NAME);
    const most = caller.callee('runtime.funcMaxSPDelta', FUNC_MAX_SP_DELTA);
    const line = caller.callee('runtime.funcline1', FUNCLINE1);
    const findfunc = new Tally();
    const funcname = new Tally();
    const funcMaxSPDelta = new Tally();
    const funcline = new Tally();
    const absent = (tally: Tally, what: string): void => {
      tally.skipped = `the program has no function runtime.${what}`;
    };
    if (most === undefined) absent(funcMaxSPDelta, 'funcMaxSPDelta');
    if (line === undefined) absent(funcline, 'funcline1');
    if (name === undefined && nameOf === undefined) absent(funcname, 'funcname');
    if (find === undefined) {
      for (const tally of [findfunc, funcname, funcMaxSPDelta, funcline]) absent(tally, 'findfunc');
      return tallied({ findfunc, funcname, funcMaxSPDelta, funcline });
    }
    const { tables } = this.#go.program;
    const first = (end: readonly number[] | string): string => (typeof end === 'string' ? end : hex(end[0]!));
    const string = (end: readonly number[] | string): string =>
      typeof end === 'string' ? end : this.#string(end[0]!, end[1]!);
    for (const f of functions) {
      this.#tick();
      const record = tables.table.addr + f.record.at;
      const info = this.#words(find, [f.entry]);
      findfunc.add(() => f.name, hex(record), first(info));
      findfunc.add(() => `${f.name}, last byte`, hex(record), first(this.#words(find, [f.end - 1])));
      if (typeof info === 'string' || info[0] !== record) continue;
      const ourName = f.record.nameOff === 0 ? '' : f.name;
      if (name !== undefined) funcname.add(() => hex(f.entry), ourName, string(this.#words(name, info)));
      else if (nameOf !== undefined) {
        funcname.add(() => hex(f.entry), ourName, string(this.#words(nameOf, [info[1]!, f.record.nameOff])));
      }
      // Without a pcsp table the runtime decodes what stands at offset 0 of pctab, which belongs to nothing: markers such as
      // go:textfipsstart, whose depth nobody asks for.
      if (most !== undefined && f.record.pcsp !== 0) {
        const depth = this.#words(most, info);
        funcMaxSPDelta.add(() => f.name, tables.funcMaxSPDelta(f), typeof depth === 'string' ? depth : depth[0]!);
      }
    }
    if (line === undefined) return tallied({ findfunc, funcname, funcMaxSPDelta, funcline });
    let info: readonly number[] | string = '';
    for (const [i, { f, pc }] of lines.entries()) {
      this.#tick();
      if (lines[i - 1]?.f !== f) info = this.#words(find, [f.entry]);
      if (typeof info === 'string') continue;
      const { file = '?', line: ourLine } = tables.fileLine(f, pc);
      const end = this.#words(line, [...info, pc, 0]);
      const theirs = typeof end === 'string' ? end : `${string(end)}:${end[2]!}`;
      funcline.add(() => `${hex(pc)} ${f.name}`, `${file}:${ourLine}`, theirs);
    }
    return tallied({ findfunc, funcname, funcMaxSPDelta, funcline });
  }

  /** With `sample`, as many as that, spread evenly. */
  #sampled<T>(all: readonly T[]): readonly T[] {
    const { sample } = this.#options;
    if (sample === undefined || sample >= all.length) return all;
    return Array.from({ length: sample }, (_, i) => all[Math.floor((i * all.length) / sample)]!);
  }

  /** Where a function's file or line changes, and its last byte. */
  #lineStarts(f: Func): readonly number[] {
    const { tables } = this.#go.program;
    const starts = new Set<number>([f.entry, f.end - 1]);
    for (const table of ['pcln', 'pcfile'] as const)
      for (const end of tables.fixedRuns(f, table)?.end ?? []) if (end < f.end) starts.add(end);
    return [...starts].sort((a, b) => a - b);
  }

  /** The results of a call, or why there are none. */
  #words(callee: Callee, args: readonly number[]): readonly number[] | string {
    const end = this.#call(callee, args);
    if (end.kind === 'returned') return end.results;
    return end.kind === 'throw' ? `throw: ${end.message}` : end.reason;
  }

  /** A string of the tables', which never changes. */
  #string(pointer: number, length: number): string {
    const key = `${pointer} ${length}`;
    let text = this.#strings.get(key);
    if (text === undefined) {
      text = this.#caller.string(pointer, length);
      this.#strings.set(key, text);
    }
    return text;
  }
}

function tallied<K extends string>(tallies: Readonly<Record<K, Tally>>): Record<K, Comparison> {
  const entries = Object.entries<Tally>(tallies).map(([key, tally]) => [key, tally.result]);
  return Object.fromEntries(entries) as Record<K, Comparison>;
}

function agree(ours: Side, theirs: Side): boolean {
  return ours.verdict === theirs.verdict && ours.resume === theirs.resume && ours.message === theirs.message;
}

/** A verdict in a few words: `resume 0x4a1000`, `unsafe (asm)`. */
export function sideText(side: Side): string {
  if (side.verdict === 'safe') return `resume ${hex(side.resume ?? 0)}`;
  return side.verdict === 'throw' ? `throw ${JSON.stringify(side.message ?? '')}` : 'unsafe';
}
