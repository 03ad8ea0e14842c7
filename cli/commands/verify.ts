// `safepoint verify`: our verdicts, and what we read from the tables, against the program's own runtime.

import { Command, Option } from 'commander';
import {
  agrees,
  type CheckId,
  type Comparison,
  Session,
  sideText,
  type VerifyReport,
  verify,
} from '../../src/index.ts';
import { examples, jsonOption, rulesOption, wholeNumber, withoutOption } from '../options.ts';
import { EXIT_CHECK_FAILED, EXIT_FINE, hex, type Output, Progress, table } from '../output.ts';
import { openGoProgram, readProgram, userErrors } from '../program.ts';
import { functionsOf } from './map.ts';

interface Options {
  readonly func?: string;
  readonly sample?: number;
  readonly rules: string;
  readonly without: ReadonlySet<CheckId>;
  readonly json?: boolean;
}

/** Differences of one kind that are printed; `--json` has them all. */
const MOST_SHOWN = 20;

export function verifyCommand(output: Output, done: (status: number) => void): Command {
  return new Command('verify')
    .description("our verdict at every instruction against that of the program's own runtime.isAsyncSafePoint")
    .argument('<PROG>', 'a Go program, with symbols or without')
    .addOption(new Option('--func <re>', 'only functions of this name, or whose names match'))
    .addOption(new Option('--sample <n>', 'only so many PCs, spread evenly').argParser(wholeNumber(1)))
    .addOption(rulesOption())
    .addOption(withoutOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        ['verify ./a.out', 'every instruction; minutes for a great program'],
        ["verify --func '^mypkg\\.' ./a.out", 'only a package'],
        ['verify --sample 2000 --json ./a.out', 'two thousand PCs, spread evenly'],
      ),
    )
    .addHelpText(
      'after',
      '\nRuns the program to main.main, and calls its functions there, in a fork of the machine. On MIPS each PC is asked about twice: with' +
        '\nthe link register that a half-executed call leaves, and without. Exits 1 if anything differs.',
    )
    .action((path: string, options: Options) => {
      const report = check(path, options, output);
      output.out(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : describe(path, report));
      done(agrees(report) ? EXIT_FINE : EXIT_CHECK_FAILED);
    });
}

function check(path: string, options: Options, output: Output): VerifyReport {
  const { func, sample, rules, without } = options;
  // The functions are found before anything runs: a name that is none is an error at once.
  const functions = func === undefined ? undefined : functionsOf(path, openGoProgram(path), func);
  const bytes = readProgram(path);
  const progress = new Progress(output);
  const onProgress = (at: number, total: number): void => {
    progress.tick(() => {
      const left = at === 0 ? '' : `, ${Math.ceil((progress.seconds / at) * (total - at))} s left`;
      return `${at} of ${total}${left}`;
    });
  };
  try {
    return userErrors(path, () => {
      const session = Session.open(bytes, { path, rules, without });
      return verify(session, {
        onProgress,
        ...(functions === undefined ? {} : { functions }),
        ...(sample === undefined ? {} : { sample }),
      });
    });
  } finally {
    progress.end();
  }
}

function describe(path: string, report: VerifyReport): string {
  const { totals, disagreed, asyncPreemptStack } = report;
  const lines: string[] = [];
  for (const { pc, func, lr, ours, theirs } of disagreed.slice(0, MOST_SHOWN)) {
    const link = lr === 0 ? '' : ` with LR ${hex(lr)}`;
    const by = ours.check === undefined ? '' : ` (${ours.check})`;
    lines.push(
      `${hex(pc)} ${func ?? '(no function)'}${link}: ours ${sideText(ours)}${by}, the runtime's ${sideText(theirs)}`,
    );
  }
  more(lines, disagreed.length);
  const rows: (readonly [string, Comparison])[] = [
    ['goroutine, M, P and stack', report.live],
    ['findfunc', report.findfunc],
    ['funcname', report.funcname],
    ['funcMaxSPDelta', report.funcMaxSPDelta],
    ['funcline', report.funcline],
  ];
  for (const [name, { disagreed: differ }] of rows) {
    for (const { at, ours, theirs } of differ.slice(0, MOST_SHOWN)) {
      lines.push(`${name}, ${at}: ours ${ours}, the runtime's ${theirs}`);
    }
    more(lines, differ.length);
  }
  const { ours, theirs } = asyncPreemptStack;
  const summary = table([
    [
      'isAsyncSafePoint',
      `${report.pcs} PCs`,
      `${report.pcs - report.agreed} disagree`,
      `${totals.safe} safe, ${totals.restart} restart, ${totals.unsafe} unsafe`,
    ],
    ...rows.map(([name, c]) => [name, `${c.compared} compared`, c.skipped ?? `${c.disagreed.length} disagree`]),
    [
      'asyncPreemptStack',
      `${ours}`,
      theirs === null ? 'not measured' : theirs === ours ? '0 disagree' : `is ${theirs}`,
    ],
  ]);
  lines.push(`${path}: ${report.go} ${report.goarch}, rules ${report.rules}`, summary.trimEnd());
  return `${lines.join('\n')}\n`;
}

function more(lines: string[], count: number): void {
  if (count > MOST_SHOWN) lines.push(`… and ${count - MOST_SHOWN} more; --json prints them all`);
}
