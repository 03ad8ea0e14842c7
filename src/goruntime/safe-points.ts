// The part of isAsyncSafePoint that follows from the program's tables alone: findfunc, half-call, unsafe-point, asm,
// prefix, restart. Order and names of the checks are those of runtime/preempt.go.

import type { Arch } from '../arch/arch.ts';
import { maxRestartBytes } from './facts/constants.ts';
import {
  FUNCDATA_LocalsPointerMaps,
  PCDATA_InlTreeIndex,
  PCDATA_UnsafePoint,
  Restart1,
  Restart2,
  RestartAtEntry,
  UnsafePointSafe,
  UnsafePointUnsafe,
  unsafePointName,
} from './funcdata.ts';
import type { Rules } from './preempt-rules.ts';
import type { Func, GoTables } from './tables.ts';

/** The checks, in the order in which the runtime makes them. `want` stands before, in doSigPreempt. */
export type CheckId =
  | 'want'
  | 'curg'
  | 'canPreemptM'
  | 'stack'
  | 'findfunc'
  | 'half-call'
  | 'unsafe-point'
  | 'asm'
  | 'prefix'
  | 'restart';

export const CHECKS: readonly CheckId[] = [
  'want',
  'curg',
  'canPreemptM',
  'stack',
  'findfunc',
  'half-call',
  'unsafe-point',
  'asm',
  'prefix',
  'restart',
];

/** One check and how it went, with the values behind it. */
export interface CheckResult {
  readonly check: CheckId;
  readonly pass: boolean;
  readonly detail: string;
}

/** The answer of isAsyncSafePoint. */
export interface Verdict {
  readonly safe: boolean;
  /** `restart`: safe, with a resume PC other than the interrupted one. */
  readonly verdict: 'safe' | 'unsafe' | 'restart';
  /** Where the goroutine resumes; 0 if it is not safe. */
  readonly resume: number;
  /** The check that refused, or `restart` where that moved the PC; undefined for a plain safe-point. */
  readonly check: CheckId | undefined;
  /** A sentence with the values that decided. */
  readonly reason: string;
  /** Every check in order. One that was not switched off and did not pass decided; later ones are shown all the same. */
  readonly checks: readonly CheckResult[];
}

/** What decides, and what is left out. */
export interface SafePointOptions {
  readonly rules: Rules;
  /** Checks that are switched off. */
  readonly without?: ReadonlySet<CheckId>;
}

const NONE: ReadonlySet<CheckId> = new Set();

export const hex = (value: number): string => `0x${value.toString(16)}`;

/** What a check found, in words; made of two numbers, so that checks that every interrupt makes need no closure for it. */
type Detail = (a: number, b: number) => string;

/** Collects checks while they are made, and remembers the first one that refused. */
export class Trail {
  readonly checks: CheckResult[] | undefined;
  readonly without: ReadonlySet<CheckId>;
  refusedBy: CheckId | undefined = undefined;
  #sentence: Detail = () => '';
  #a = 0;
  #b = 0;

  /** @param explain whether to keep every check's detail; otherwise only that of the refusing one is made */
  constructor(without: ReadonlySet<CheckId>, explain: boolean) {
    this.checks = explain ? [] : undefined;
    this.without = without;
  }

  /** Notes a check. Returns true when it decides and nothing further needs to be asked. */
  refuses(check: CheckId, pass: boolean, detail: Detail, a = 0, b = 0): boolean {
    return (!pass || this.checks !== undefined) && this.#notes(check, pass, detail, a, b);
  }

  #notes(check: CheckId, pass: boolean, detail: Detail, a: number, b: number): boolean {
    const decides = !pass && this.refusedBy === undefined && !this.without.has(check);
    if (this.checks !== undefined) {
      const text = detail(a, b);
      this.checks.push({ check, pass, detail: text });
      if (decides) this.concludes(() => text);
    } else if (decides) {
      this.concludes(detail, a, b);
    }
    if (decides) this.refusedBy = check;
    return decides && this.checks === undefined;
  }

  /** Sets what the reason will be. It is made when it is asked for, which in a run is seldom. */
  concludes(sentence: Detail, a = 0, b = 0): void {
    this.#sentence = sentence;
    this.#a = a;
    this.#b = b;
  }

  /** The sentence of the refusing check, or of the conclusion. */
  get reason(): string {
    return this.#sentence(this.#a, this.#b);
  }
}

/** What was decided of one PC: refused by a check, to be restarted somewhere, or (neither) plainly safe. */
export interface Decision {
  readonly refusedBy: CheckId | undefined;
  /** Which of CHECKS that is, by index; negative for none. */
  readonly refusal: number;
  readonly restartAt: number | undefined;
}

const SAFE: Decision = { refusedBy: undefined, refusal: -1, restartAt: undefined };
const REFUSED: ReadonlyMap<CheckId | undefined, Decision> = new Map(
  CHECKS.map((check, i) => [check, { refusedBy: check, refusal: i, restartAt: undefined }]),
);

/** The decision of a check that refuses; that it is safe, of none. */
export const refusalBy = (check: CheckId | undefined): Decision => REFUSED.get(check) ?? SAFE;

function verdictOf(decision: Decision): Verdict['verdict'] {
  if (decision.refusedBy !== undefined) return 'unsafe';
  return decision.restartAt === undefined ? 'safe' : 'restart';
}

/** A verdict that makes its sentences only when asked for them. */
export class TableVerdict implements Verdict {
  readonly safe: boolean;
  readonly verdict: Verdict['verdict'];
  readonly resume: number;
  readonly check: CheckId | undefined;
  readonly #explain: () => Trail;
  #trail: Trail | undefined;

  constructor(decision: Decision, pc: number, explain: () => Trail) {
    this.verdict = verdictOf(decision);
    this.safe = this.verdict !== 'unsafe';
    this.resume = this.safe ? (decision.restartAt ?? pc) : 0;
    this.check = decision.refusedBy ?? (decision.restartAt === undefined ? undefined : 'restart');
    this.#explain = explain;
  }

  get #explained(): Trail {
    this.#trail ??= this.#explain();
    return this.#trail;
  }

  get reason(): string {
    return this.#explained.reason;
  }

  get checks(): readonly CheckResult[] {
    return this.#explained.checks ?? [];
  }
}

/** The decisions for one function: run i covers the PCs from end[i-1] (or the entry) up to end[i]. */
interface DecisionRuns {
  readonly end: readonly number[];
  readonly decision: readonly Decision[];
}

/** A stretch of code with one verdict: the unit of a map of a function. */
export interface VerdictRun {
  readonly start: number;
  readonly end: number;
  readonly verdict: Verdict['verdict'];
  readonly check: CheckId | undefined;
  /** Where a restart goes; undefined for the other verdicts. */
  readonly restartAt: number | undefined;
}

/** How many decisions are kept, each in the place that its PC says: loops are interrupted at the same instructions again and again. */
const KEPT_BITS = 14;
const KEPT = 1 << KEPT_BITS;
/** Equal to no PC. */
const NOWHERE = Number.NaN;

/** Decisions for one relation of LR to the PC. The PCs stand by themselves: what an interrupt looks at is mostly not in the processor's caches. */
class Kept {
  readonly pcs = new Float64Array(KEPT).fill(NOWHERE);
  readonly decisions = new Array<Decision>(KEPT).fill(SAFE);
}

/** Asks the tables of one program, by one set of rules. Decisions are kept for each function that was asked about. */
export class SafePoints {
  readonly tables: GoTables;
  readonly arch: Arch;
  readonly rules: Rules;
  readonly without: ReadonlySet<CheckId>;
  readonly #runs = new Map<number, DecisionRuns>();
  /** For LR other than PC+8, and for half-executed calls. */
  #kept: Kept | undefined;
  #keptHalf: Kept | undefined;

  constructor(tables: GoTables, arch: Arch, options: SafePointOptions) {
    this.tables = tables;
    this.arch = arch;
    this.rules = options.rules;
    this.without = options.without ?? NONE;
  }

  /**
   * The verdict for a PC, goroutine and stack aside.
   * @param lr the link register; it matters only where it is pc+8 on MIPS
   * @throws TableError if the tables are damaged where they are needed
   */
  isAsyncSafePointPC(pc: number, lr = 0): Verdict {
    return new TableVerdict(this.decision(pc, lr), pc, () => {
      const trail = new Trail(this.without, true);
      this.decide(pc, lr, trail);
      return trail;
    });
  }

  /** The same without words. */
  decision(pc: number, lr: number): Decision {
    const half = this.arch.linkRegister && lr === pc + 8;
    if (half) this.#keptHalf ??= new Kept();
    else this.#kept ??= new Kept();
    const { pcs, decisions } = (half ? this.#keptHalf : this.#kept)!;
    const place = (pc ^ (pc >>> KEPT_BITS)) & (KEPT - 1);
    if (pcs[place] !== pc) {
      decisions[place] = this.#decisionAt(pc, lr, half);
      pcs[place] = pc;
    }
    return decisions[place]!;
  }

  #decisionAt(pc: number, lr: number, halfCall: boolean): Decision {
    const f = halfCall ? undefined : this.tables.findfunc(pc);
    if (f === undefined) return this.decide(pc, lr, new Trail(this.without, false));
    const { end, decision } = this.#decisions(f);
    let low = 0;
    let high = end.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (end[middle]! > pc) high = middle;
      else low = middle + 1;
    }
    return decision[low]!;
  }

  /** The verdicts over a whole function, in address order, for LR other than PC+8. */
  verdictRuns(f: Func): VerdictRun[] {
    const { end, decision } = this.#decisions(f);
    return decision.map((d, i) => ({
      start: i === 0 ? f.entry : end[i - 1]!,
      end: end[i]!,
      verdict: verdictOf(d),
      check: d.refusedBy ?? (d.restartAt === undefined ? undefined : 'restart'),
      restartAt: d.restartAt,
    }));
  }

  #decisions(f: Func): DecisionRuns {
    let runs = this.#runs.get(f.index);
    if (runs === undefined) {
      runs = this.#decideAll(f);
      this.#runs.set(f.index, runs);
    }
    return runs;
  }

  /** What decides changes only where one of the two tables does, or where a sequence gets too long to restart. */
  #decideAll(f: Func): DecisionRuns {
    const { tables } = this;
    const unsafePoints = tables.pcdataRuns(f, PCDATA_UnsafePoint);
    const bounds = new Set<number>([f.end]);
    for (const end of unsafePoints?.end ?? []) {
      bounds.add(end);
      if (end + maxRestartBytes + 1 < f.end) bounds.add(end + maxRestartBytes + 1);
    }
    if (f.entry + maxRestartBytes + 1 < f.end) bounds.add(f.entry + maxRestartBytes + 1);
    for (const end of tables.pcdataRuns(f, PCDATA_InlTreeIndex)?.end ?? []) bounds.add(end);
    const end: number[] = [];
    const decision: Decision[] = [];
    let start = f.entry;
    for (const bound of [...bounds].sort((a, b) => a - b)) {
      if (bound <= start) continue;
      const made = this.decide(start, 0, new Trail(this.without, false));
      const last = decision.at(-1);
      if (last !== undefined && last.refusedBy === made.refusedBy && last.restartAt === made.restartAt) {
        end[end.length - 1] = bound;
      } else {
        end.push(bound);
        decision.push(made);
      }
      start = bound;
    }
    return { end, decision };
  }

  /** Makes the checks that need only tables, in order, noting them in `trail`. */
  decide(pc: number, lr: number, trail: Trail): Decision {
    const refused = (): Decision => refusalBy(trail.refusedBy);
    const { tables, rules } = this;

    const f = tables.findfunc(pc);
    if (trail.refuses('findfunc', f !== undefined, () => this.#describePlace(f, pc))) return refused();

    if (this.arch.linkRegister) {
      const spdelta = lr === pc + 8 && f !== undefined ? tables.funcspdelta(f, pc) : undefined;
      // The padding after assembly has no SP delta. The runtime throws there; as a verdict that can only be a refusal.
      const throws = spdelta !== undefined && f !== undefined && tables.funcspdeltaThrows(f, pc);
      const whole = spdelta !== 0 && !throws;
      if (trail.refuses('half-call', whole, () => describeHalfCall(throws, pc, lr, spdelta))) return refused();
    }

    // An invalid function has no tables (runtime `pcdatavalue2` and `funcdata` of a zero funcInfo).
    const up = f === undefined ? NO_TABLE : tables.pcdatavalue2(f, PCDATA_UnsafePoint, pc);
    const passes =
      up.covered && (rules.unsafePoint === 'only-safe' ? up.value === UnsafePointSafe : up.value !== UnsafePointUnsafe);
    const describe = (): string => this.#describeUnsafePoint(up.value, up.startpc, up.covered, passes);
    if (trail.refuses('unsafe-point', passes, describe)) return refused();

    const locals = f === undefined ? undefined : tables.funcdata(f, FUNCDATA_LocalsPointerMaps);
    const mark = f === undefined ? undefined : tables.assemblyMark(f);
    const isGo = locals !== undefined && mark === undefined;
    if (trail.refuses('asm', isGo, () => describeAsm(locals, mark))) return refused();

    const name = f === undefined ? '' : tables.innermostName(f, pc);
    const prefix = rules.prefixes.find((p) => name.startsWith(p));
    const nameless = rules.inlTreeStrict && f !== undefined && tables.inlTreeIndexIsMissing(f, pc);
    const describeName = (): string => {
      if (nameless)
        return 'the inline-tree table does not cover the PC: the runtime throws "invalid runtime symbol table"';
      const where =
        f !== undefined && name !== '' && name !== f.name ? `${name}, inlined into ${f.name},` : (f?.name ?? hex(pc));
      return prefix === undefined ? `${where} has no refused prefix` : `${where} begins with ${prefix}`;
    };
    if (trail.refuses('prefix', prefix === undefined && !nameless, describeName)) return refused();

    const target = rules.restart ? this.#restartTarget(f, up.value, up.startpc) : undefined;
    const bad =
      target !== undefined &&
      up.value !== RestartAtEntry &&
      (up.startpc === 0 || up.startpc > pc || pc - up.startpc > maxRestartBytes);
    const describeRestart = (): string => {
      if (target === undefined) return 'no restartable sequence: resumes where it was interrupted';
      if (bad)
        return `the sequence starts at ${hex(target)}, ${pc - target} bytes back: the runtime throws "bad restart PC"`;
      return `inside a restartable sequence (${unsafePointName(up.value)}): resumes at ${hex(target)}, ${pc - target} bytes back`;
    };
    if (trail.refuses('restart', !bad, describeRestart)) return refused();
    if (trail.refusedBy !== undefined) return refused();

    const restart = target !== undefined && !trail.without.has('restart');
    const aside = target === undefined ? '' : ' (inside a restartable sequence, but that check is off)';
    trail.concludes(() =>
      restart
        ? describeRestart()
        : `${name || (f?.name ?? hex(pc))}: user code at an instruction that the tables call safe${aside}`,
    );
    return restart ? { ...SAFE, restartAt: target } : SAFE;
  }

  #restartTarget(f: Func | undefined, up: number, startpc: number): number | undefined {
    switch (up) {
      case Restart1:
      case Restart2:
        return startpc;
      case RestartAtEntry:
        return f?.entry;
      default:
        return undefined;
    }
  }

  #describePlace(f: Func | undefined, pc: number): string {
    if (f === undefined) return `${hex(pc)} is in no Go function`;
    const offset = pc - f.entry;
    return `${hex(pc)} is ${f.name}${offset === 0 ? '' : `+${hex(offset)}`}`;
  }

  #describeUnsafePoint(value: number, startpc: number, covered: boolean, passes: boolean): string {
    if (!covered)
      return 'the unsafe-point table does not cover the PC: the runtime throws "invalid runtime symbol table"';
    const from = startpc === 0 ? 'no unsafe-point table' : `since ${hex(startpc)}`;
    const said = `PCDATA_UnsafePoint is ${value} (${unsafePointName(value)}, ${from})`;
    if (passes) return said;
    if (value === UnsafePointUnsafe) return `${said}: marked unsafe by the compiler or the assembler`;
    return `${said}: these rules take only ${UnsafePointSafe} for safe`;
  }
}

const NO_TABLE = { value: UnsafePointSafe, startpc: 0, covered: true } as const;

function describeHalfCall(throws: boolean, pc: number, lr: number, spdelta: number | undefined): string {
  if (throws)
    return 'LR is PC+8, and the SP table does not cover the PC: the runtime throws "invalid runtime symbol table"';
  if (spdelta === 0) return `LR ${hex(lr)} is PC+8 and the SP delta is 0: a call without a frame is half executed`;
  if (lr !== pc + 8) return `LR ${hex(lr)} is not PC+8`;
  return spdelta === undefined
    ? 'LR is PC+8, outside any function'
    : `LR is PC+8, but the SP delta is ${spdelta}: a frame exists`;
}

function describeAsm(locals: number | undefined, mark: string | undefined): string {
  if (locals === undefined) return 'no locals pointer map: assembly, or a function without Go frames';
  if (mark !== undefined) return `assembly, as ${mark} says`;
  return `compiled Go with a locals pointer map at ${hex(locals)}`;
}
