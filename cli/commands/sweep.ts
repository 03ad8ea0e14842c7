// `safepoint sweep`: inject at every instruction of a range, and hold the oracles against each injection.

import { Command, Option } from 'commander';
import {
  type CheckId,
  InputError,
  type SweepFailure,
  type SweepOptions,
  type SweepResult,
  sweep,
} from '../../src/index.ts';
import {
  cpusOption,
  dirOption,
  envOption,
  examples,
  jsonOption,
  misplaced,
  rulesOption,
  seedOption,
  wholeNumber,
  withoutOption,
} from '../options.ts';
import { EXIT_CHECK_FAILED, EXIT_FINE, type Output, Progress, progressBar, table, UserError } from '../output.ts';
import { readProgram } from '../program.ts';

interface Options {
  readonly func?: string;
  readonly at?: string;
  readonly safeOnly?: boolean;
  readonly halfCalls?: boolean;
  readonly from?: number | string;
  readonly to?: number | string;
  readonly every: number;
  readonly perPlace?: number;
  readonly limit?: number;
  readonly full?: boolean;
  readonly sample?: number;
  readonly patience?: number;
  readonly without: ReadonlySet<CheckId>;
  readonly rules: string;
  readonly cpus: number;
  readonly seed: number;
  readonly dir: readonly string[];
  readonly env: readonly string[];
  readonly jobs: number;
  readonly json?: boolean;
}

/** Failures that are printed in full; the rest are counted. */
const SHOWN = 20;

/** A count of instructions in decimal, or a LOC. */
const bound = (text: string): number | string => (/^\d+$/.test(text) ? Number(text) : text);

export function sweepCommand(output: Output, done: (status: number) => void): Command {
  return new Command('sweep')
    .description(
      'preempt at every executed instruction of a range, each in a fork of the machine, and check what comes of it',
    )
    .argument('<PROG>', 'a Go program')
    .argument('[ARG...]', 'its arguments')
    .passThroughOptions()
    .option('--func <re>', 'only in functions whose name matches')
    .option('--at <loc>', 'only at this place')
    .option('--safe-only', "only at instructions that the program's tables call safe")
    .option('--half-calls', 'only between a MIPS call and its delay slot where the SP delta is 0')
    .addOption(new Option('--from <n|loc>', 'first place: instructions executed before it, or a LOC').argParser(bound))
    .addOption(new Option('--to <n|loc>', 'last place').argParser(bound))
    .addOption(new Option('--every <n>', 'only every n-th place').argParser(wholeNumber(1)).default(1))
    .addOption(
      new Option('--per-place <n>', 'at each instruction only its first n executions').argParser(wholeNumber(1)),
    )
    .addOption(new Option('--limit <n>', 'stop after so many injections').argParser(wholeNumber(1)))
    .option('--full', 'run the program to its end after each injection, and compare its output')
    .addOption(
      new Option('--sample <n>', 'run to the end after one injection of n; 0 for none (512)').argParser(wholeNumber(0)),
    )
    .addOption(
      new Option(
        '--patience <n>',
        'instructions within which the goroutine must be back (20000000, or twice what the program takes)',
      ).argParser(wholeNumber(1)),
    )
    .addOption(withoutOption())
    .addOption(rulesOption())
    .addOption(cpusOption())
    .addOption(seedOption())
    .addOption(dirOption())
    .addOption(envOption())
    .addOption(new Option('--jobs <n>', 'worker threads').argParser(wholeNumber(1)).default(1))
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        ["sweep --func '^main\\.' ./a.out", "at every instruction of the program's own code"],
        [
          "sweep --func 'mypkg\\.' --per-place 3 ./a.out",
          'at each instruction of a package, but not at each turn of its loops',
        ],
        ["sweep --func 'mypkg\\.' --every 7 --jobs 2 ./a.out", 'at each 7th of a package, on two threads'],
        [
          'sweep --from main.work --limit 1000 --full ./a.out',
          'a thousand injections from a place on, each to the end',
        ],
        ['sweep --half-calls --without half-call,unsafe-point ./a.out', 'what the checks are for'],
      ),
    )
    .addHelpText(
      'after',
      '\nDirectories are mapped read-only: the program runs many times over. The exit status is 1 if an oracle objects to an injection. Each failure is printed with the command that makes it alone.',
    )
    .action(async (path: string, args: readonly string[], options: Options, command: Command) => {
      const note = misplaced(command, args);
      if (note !== undefined) output.err(`safepoint: ${path}: ${note}`);
      done(await execute(path, args, options, output));
    });
}

async function execute(path: string, args: readonly string[], options: Options, output: Output): Promise<number> {
  const bytes = readProgram(path);
  const progress = new Progress(output);
  const { func, at, from, to, limit, patience } = options;
  if (typeof from === 'number' && typeof to === 'number' && to < from) {
    throw new UserError(`--from ${from} --to ${to}: the last place is before the first`);
  }
  const sample = options.full === true ? 1 : options.sample;
  const request: SweepOptions = {
    path,
    args,
    env: options.env,
    dirs: options.dir,
    cpus: options.cpus,
    seed: options.seed,
    rules: options.rules,
    without: options.without,
    every: options.every,
    safeOnly: options.safeOnly === true,
    halfCalls: options.halfCalls === true,
    ...(at === undefined ? {} : { at }),
    ...(func === undefined ? {} : { func }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(options.perPlace === undefined ? {} : { perPlace: options.perPlace }),
    ...(limit === undefined ? {} : { limit }),
    ...(patience === undefined ? {} : { patience }),
    ...(sample === undefined ? {} : { sample }),
  };
  let result: SweepResult;
  try {
    result = await sweep(bytes, request, options.jobs, ({ injections, failures, done }) => {
      progress.tick(() => bar(injections, failures, done, progress.seconds));
    });
  } catch (error) {
    if (error instanceof InputError) throw new UserError(`${path}: ${error.message}`);
    throw error;
  } finally {
    progress.end();
  }
  if (options.json === true) output.out(`${JSON.stringify(result, null, 2)}\n`);
  else print(result, output);
  if (result.attempts === 0) {
    throw new UserError(`${path}: no instruction of the range is executed, so nothing was swept; widen the range`);
  }
  return result.failures.length === 0 ? EXIT_FINE : EXIT_CHECK_FAILED;
}

function bar(injections: number, failures: number, done: number, seconds: number): string {
  const bad = failures === 0 ? '' : `, ${failures} failed`;
  return progressBar(done, `${injections} injections${bad}, ${Math.round(injections / seconds)}/s`, seconds);
}

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

function print(result: SweepResult, output: Output): void {
  const { attempts, injections, restarts, ranToEnd, refused, longestRefusal, perSecond, failures } = result;
  const rate = `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)}/s`;
  output.out(
    `${plural(injections, 'injection')} at ${plural(attempts, 'place')} (${rate}), ${plural(failures.length, 'failure')}\n`,
  );
  output.out(`${plural(restarts, 'restart')}; ${ranToEnd} run to the end of the program\n`);
  const rows = Object.entries(refused).sort((a, b) => b[1] - a[1]);
  if (rows.length > 0) {
    const { attempts: most, at } = longestRefusal;
    output.out(`refused by (at most ${most} in a row, from instruction ${at})\n`);
    output.out(table(rows.map(([check, n]) => [`  ${check}`, String(n)])));
  }
  for (const failure of failures.slice(0, SHOWN)) output.out(describe(failure));
  if (failures.length > SHOWN) output.out(`\n… and ${failures.length - SHOWN} more: --json lists them all\n`);
}

function describe({ at, pc, func, inSlot, oracle, detail, reproduce }: SweepFailure): string {
  const slot = inSlot ? ', in its delay slot' : '';
  return `\n${oracle}: at instruction ${at}, 0x${pc.toString(16)} ${func}${slot}\n  ${detail}\n  ${reproduce}\n`;
}
