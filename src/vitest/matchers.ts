// Matchers over programs. Each failure says what decided, and ends with the command line that shows it again.

import {
  agrees,
  type CheckResult,
  type Comparison,
  commandLine,
  functionsNamed,
  GoProgram,
  InputError,
  NotGoError,
  readElf,
  SafePoints,
  Session,
  type SweepFailure,
  type SweepOptions,
  type SweepResult,
  sideText,
  sweep,
  sweepCommandLine,
  type VerifyReport,
  verify,
} from '../index.ts';
import { Place, Program } from './program.ts';

/** Where `toSurvivePreemption` injects: the options of `safepoint sweep`. */
export interface SweepRange
  extends Pick<
    SweepOptions,
    'at' | 'safeOnly' | 'halfCalls' | 'from' | 'to' | 'every' | 'perPlace' | 'limit' | 'sample' | 'patience'
  > {
  /** Only in functions whose name matches. */
  readonly func?: RegExp | string;
  /** Worker threads (1). */
  readonly jobs?: number;
}

export interface SafePointOptions {
  /** The link register at the interrupt (MIPS): PC+8 is a half-executed call. */
  readonly lr?: number;
}

export interface VerifyRange {
  /** Only functions of this name, or whose names match. */
  readonly func?: RegExp | string;
  /** Only so many PCs, spread evenly. */
  readonly sample?: number;
}

/** What a matcher returns to vitest. */
interface Result {
  readonly pass: boolean;
  readonly message: () => string;
}

/** Failures and disagreements that a message shows in full. */
const SHOWN = 5;

const hex = (value: number): string => `0x${value.toString(16)}`;

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** The text of a pattern. Commands know no flags, and a message must name a command that does the same. */
function sourceOf(pattern: RegExp | string | undefined): string | undefined {
  if (pattern === undefined || typeof pattern === 'string') return pattern;
  if (pattern.flags !== '')
    throw new InputError(`func ${pattern}: flags are not supported; put it without /${pattern.flags}`);
  return pattern.source;
}

function programOf(matcher: string, received: unknown): Program {
  if (received instanceof Program) return received;
  throw new TypeError(`${matcher} wants program(PATH), and got ${String(received)}`);
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}

function more(shown: number, all: number): string[] {
  return all > shown ? [`… and ${all - shown} more`] : [];
}

// toSurvivePreemption

function describeFailure({ at, pc, func, inSlot, oracle, detail, reproduce }: SweepFailure): string {
  const slot = inSlot ? ', in its delay slot' : '';
  return `${oracle}: at instruction ${at}, ${hex(pc)} ${func}${slot}\n  ${detail}\n  ${reproduce}`;
}

function describeRefusals({ refused }: SweepResult): string {
  const rows = Object.entries(refused).sort((a, b) => b[1] - a[1]);
  return rows.map(([check, n]) => `${check} ${n}`).join(', ');
}

/**
 * Injects a preemption at every executed instruction of a range, each in a fork of the machine, and holds the oracles of `safepoint
 * sweep` against what comes of it. A range in which no injection is made proves nothing, and is an error with `not` too.
 */
export async function toSurvivePreemption(received: unknown, range: SweepRange = {}): Promise<Result> {
  const { path, bytes, options } = programOf('toSurvivePreemption', received);
  const { jobs = 1, func, ...rest } = range;
  const source = sourceOf(func);
  const request: SweepOptions = { path, ...options, ...rest, ...(source === undefined ? {} : { func: source }) };
  const result = await sweep(bytes, request, jobs);
  const { injections, attempts, failures, goarch, go } = result;
  const command = sweepCommandLine(request);
  if (injections === 0) {
    const why =
      attempts === 0
        ? 'no instruction of it is executed'
        : `all ${attempts} attempts were refused: ${describeRefusals(result)}`;
    throw new InputError(`${path}: nothing was injected in the range: ${why}\n  ${command}`);
  }
  return {
    pass: failures.length === 0,
    message: () =>
      [
        `${path} (${go} ${goarch}): ${plural(failures.length, 'objection')} to ${plural(injections, 'injection')}`,
        ...failures.slice(0, SHOWN).map((failure) => indented(describeFailure(failure))),
        ...more(SHOWN, failures.length),
        `all of them: ${command}`,
      ].join('\n'),
  };
}

// toBeSafePoint

interface Judged {
  readonly pc: number;
  readonly safe: boolean;
  readonly text: string;
}

function openGoProgram({ path, bytes }: Program): GoProgram {
  try {
    return GoProgram.open(readElf(bytes));
  } catch (error) {
    if (error instanceof NotGoError) throw new InputError(`${path}: ${error.message}`);
    throw error;
  }
}

const describeChecks = (checks: readonly CheckResult[]): string =>
  checks.map(({ check, pass, detail }) => `  ${check} ${pass ? 'pass' : 'refuse'}: ${detail}`).join('\n');

/**
 * Asks the program's tables whether a goroutine that is interrupted at a place may be preempted there. A restart is a safe-point
 * too: one that resumes at the start of its sequence. Where a line of source is at several places, all of them must be safe;
 * with `not`, none.
 */
export function toBeSafePoint(
  this: { readonly isNot?: boolean },
  received: unknown,
  options: SafePointOptions = {},
): Result {
  if (!(received instanceof Place)) {
    throw new TypeError(`toBeSafePoint wants program(PATH).at(LOC), and got ${String(received)}`);
  }
  const { program, text } = received;
  const go = openGoProgram(program);
  const { without } = program.options;
  const name = program.options.rules ?? 'auto';
  const rules = go.rulesNamed(name);
  if (rules === undefined) throw new InputError(`no rules ${name}; try auto, seed or a release such as 1.19`);
  const points = new SafePoints(go.tables, go.arch, { rules, ...(without === undefined ? {} : { without }) });
  const { lr } = options;
  const judged = go.locate(text).pcs.map((pc): Judged => {
    const verdict = points.isAsyncSafePointPC(pc, lr ?? 0);
    const f = go.tables.findfunc(pc);
    const where = f === undefined ? hex(pc) : `${hex(pc)} ${f.name}+${hex(pc - f.entry)}`;
    const by = verdict.check === undefined ? '' : ` (${verdict.check})`;
    const own = { lr: lr === undefined ? undefined : hex(lr) };
    const command = commandLine('explain', own, { rules: program.options.rules, without }, [program.path, hex(pc)]);
    return {
      pc,
      safe: verdict.safe,
      text: `${where} is ${verdict.verdict}${by}: ${verdict.reason}\n${describeChecks(verdict.checks)}\n  ${command}`,
    };
  });
  const pass = this.isNot === true ? judged.some((j) => j.safe) : judged.every((j) => j.safe);
  return {
    pass,
    message: () => {
      const wrong = judged.filter((j) => j.safe === pass);
      const places = judged.length === 1 ? '' : `, at ${wrong.length} of its ${judged.length} places`;
      return [
        `${text} in ${program.path} (${go.release.text} ${go.arch.goarch}, rules ${rules.name}) is ${pass ? 'a' : 'no'} safe-point${places}`,
        ...wrong.slice(0, SHOWN).map((j) => indented(j.text)),
        ...more(SHOWN, wrong.length),
      ].join('\n');
    },
  };
}

// toAgreeWithItsRuntime

function describeDisagreements(report: VerifyReport): string[] {
  const points = report.disagreed.map(({ pc, func, lr, ours, theirs }) => {
    const link = lr === 0 ? '' : ` with LR ${hex(lr)}`;
    const by = ours.check === undefined ? '' : ` (${ours.check})`;
    return `${hex(pc)} ${func ?? '(no function)'}${link}: ours ${sideText(ours)}${by}, the runtime's ${sideText(theirs)}`;
  });
  const { live, findfunc, funcname, funcMaxSPDelta, funcline, asyncPreemptStack } = report;
  const rows: readonly (readonly [string, Comparison])[] = Object.entries({
    'goroutine, M, P and stack': live,
    findfunc,
    funcname,
    funcMaxSPDelta,
    funcline,
  });
  const values = rows.flatMap(([name, { disagreed }]) =>
    disagreed.map(({ at, ours, theirs }) => `${name}, ${at}: ours ${ours}, the runtime's ${theirs}`),
  );
  const { ours, theirs } = asyncPreemptStack;
  if (theirs !== null && theirs !== ours) values.push(`asyncPreemptStack: ours ${ours}, the runtime's ${theirs}`);
  return [...points, ...values];
}

/** Compares our verdicts with those of the program's own `runtime.isAsyncSafePoint`, called in a fork of the machine. */
export function toAgreeWithItsRuntime(received: unknown, range: VerifyRange = {}): Result {
  const { path, bytes, options } = programOf('toAgreeWithItsRuntime', received);
  const { sample } = range;
  const func = sourceOf(range.func);
  const session = Session.open(bytes, { path, ...options });
  if (session.go === undefined) throw new InputError(`${path}: ${session.notGo}`);
  const functions = func === undefined ? undefined : functionsNamed(session.go.program.tables, func);
  const report = verify(session, {
    ...(functions === undefined ? {} : { functions }),
    ...(sample === undefined ? {} : { sample }),
  });
  const { rules, without } = options;
  const command = commandLine('verify', { func, sample }, { rules, without }, [path]);
  return {
    pass: agrees(report),
    message: () => {
      const { pcs, agreed, go, goarch } = report;
      const found = describeDisagreements(report);
      return [
        `${path} (${go} ${goarch}, rules ${report.rules}): our model and the program's own runtime agree at ${agreed} of ${plural(pcs, 'PC')}`,
        ...found.slice(0, SHOWN).map(indented),
        ...more(SHOWN, found.length),
        `all of it: ${command}`,
      ].join('\n');
    },
  };
}
