// `safepoint verify`: our verdicts, and what we read from the tables, against the program's own runtime.

import { Command, Option } from 'commander';
import {
  agrees,
  type CheckId,
  type Comparison,
  InputError,
  sideText,
  type VerifyProgramOptions,
  type VerifyReport,
  verifyProgram,
} from '../../src/index.ts';
import { examples, jsonOption, rulesOption, wholeNumber, withoutOption } from '../options.ts';
import { EXIT_CHECK_FAILED, EXIT_FINE, hex, type Output, Progress, progressBar, table, UserError } from '../output.ts';
import { openGoProgram, readProgram } from '../program.ts';
import { functionsOf } from './map.ts';

interface Options {
  readonly func?: string;
  readonly sample?: number;
  readonly rules: string;
  readonly without: ReadonlySet<CheckId>;
  readonly jobs: number;
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
    .addOption(new Option('--jobs <n>', 'worker threads').argParser(wholeNumber(1)).default(1))
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        ['verify --jobs 2 ./a.out', 'every instruction, on two threads'],
        ["verify --func '^mypkg\\.' ./a.out", 'only a package'],
        ['verify --sample 2000 --json ./a.out', 'two thousand PCs, spread evenly'],
      ),
    )
    .addHelpText(
      'after',
      '\nRuns the program to main.main, and calls its functions there, in a fork of the machine. On MIPS each PC is asked about twice: with' +
        '\nthe link register that a half-executed call leaves, and without. Exits 1 if anything differs.',
    )
    .action(async (path: string, options: Options) => {
      const report = await check(path, options, output);
      output.out(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : describe(path, report));
      done(agrees(report) ? EXIT_FINE : EXIT_CHECK_FAILED);
    });
}

async function check(path: string, options: Options, output: Output): Promise<VerifyReport> {
  const { func, sample, rules, without, jobs } = options;
  // The functions are found before anything runs: a name that is none is an error at once.
  if (func !== undefined) functionsOf(path, openGoProgram(path), func);
  const bytes = readProgram(path);
  const request: VerifyProgramOptions = {
    path,
    rules,
    without,
    ...(func === undefined ? {} : { func }),
    ...(sample === undefined ? {} : { sample }),
  };
  const progress = new Progress(output);
  try {
    return await verifyProgram(bytes, request, jobs, (done, total) => {
      const { seconds } = progress;
      progress.tick(() => progressBar(done / total, `${done} of ${total}, ${Math.round(done / seconds)}/s`, seconds));
    });
  } catch (error) {
    if (error instanceof InputError) throw new UserError(`${path}: ${error.message}`);
    throw error;
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
