// `safepoint bench`: our speed against what is installed, as ratios of whole processes.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { GOARCHES, type Goarch } from '../../src/index.ts';
import { esbuildJobs, FIXTURE_JOBS, fixtureJobs, type Job, OUTSIDE_OF_MEANS } from '../bench/jobs.ts';
import { type Basis, type Measured, meanRatio, measure, type Parties, RUNS_BEFORE, ratio } from '../bench/measure.ts';
import { others, ours } from '../bench/runners.ts';
import { examples, jsonOption, wholeNumber } from '../options.ts';
import { EXIT_CHECK_FAILED, EXIT_FINE, type Output, Progress, table, UserError } from '../output.ts';
import { openElf } from '../program.ts';

interface Options {
  readonly goarch: readonly Goarch[];
  readonly jobs?: readonly string[];
  readonly release?: string;
  readonly rounds?: number;
  readonly short?: boolean;
  readonly esbuild: readonly string[];
  readonly with?: string;
  readonly cpu?: boolean;
  readonly env: readonly string[];
  readonly json?: boolean;
}

/** Who runs the jobs of one GOARCH, and who cannot. */
export interface PartiesOf extends Parties {
  readonly missing: readonly string[];
  /** QEMU's name and version. */
  readonly qemu: string | undefined;
}

/** The variable that names esbuild executables where the option does not, separated by colons. */
const ESBUILD_VARIABLE = 'SAFEPOINT_BENCH_ESBUILD';
/** What the short form runs: start-up, and the two jobs that end soonest. */
const SHORT_JOBS = ['hello', 'fannkuch', 'sort'];
const ROUNDS = 3;

const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];

const oneOf =
  <T extends string>(all: readonly T[], what: string) =>
  (text: string): readonly T[] => {
    const chosen = text.split(',');
    for (const each of chosen) {
      if (!all.includes(each as T))
        throw new InvalidArgumentError(`there is no ${what} ${each}; try ${all.join(', ')}.`);
    }
    return chosen as T[];
  };

/** @param parties who runs the jobs of a GOARCH; tests hand in their own */
export function benchCommand(
  output: Output,
  done: (status: number) => void,
  parties: (goarch: Goarch) => PartiesOf = (goarch) => {
    const { runners, missing, qemu } = others(goarch);
    return { ours, others: runners, missing, qemu };
  },
): Command {
  return new Command('bench')
    .description('measure whole processes, ours and what is installed (user-mode QEMU, the processor), in turn')
    .argument('[PROG]', "a program; by default the jobs of this project's bench fixture")
    .argument('[ARG...]', 'its arguments')
    .passThroughOptions()
    .addOption(
      new Option('--goarch <list>', 'only these').argParser(oneOf(GOARCHES, 'GOARCH')).default(GOARCHES, 'all five'),
    )
    .addOption(
      new Option('--jobs <list>', `only these of ${FIXTURE_JOBS.join(',')}`).argParser(oneOf(FIXTURE_JOBS, 'job')),
    )
    .option('--release <go>', 'of the bench fixture (the newest)')
    .addOption(new Option('--rounds <n>', `rounds whose median counts (${ROUNDS})`).argParser(wholeNumber(1)))
    .option('--short', `one round of ${SHORT_JOBS.join(', ')}`)
    .addOption(
      new Option('--esbuild <file>', 'also let this esbuild bundle some hundred modules (repeatable)')
        .argParser(collect)
        .default([], `those that ${ESBUILD_VARIABLE} names`),
    )
    .option('--with <options>', 'what these options of run cost, as a ratio: --with "--preempt every=1009"')
    .option('--cpu', 'compare CPU time instead of time on the wall, for a machine that others use')
    .addOption(
      new Option('--env <name=value>', "PROG's environment (repeatable)").argParser(collect).default([], 'none'),
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        ['bench --short', 'a few minutes: three jobs, one round'],
        ['bench --goarch mips --jobs json --cpu', 'one job on one target, by CPU time'],
        ['bench ./a.out arg', 'a program of your own'],
      ),
    )
    .addHelpText(
      'after',
      '\nRatios are their time by ours: above 1 we are faster. `first` is our first run, which finds no compiled code;' +
        `\n${RUNS_BEFORE - 1} more, which are not counted, compile what is left, and the rounds begin with what they kept. Each process` +
        '\ngets the environment of its job and nothing of yours.' +
        '\nThe exit status is 1 where an answer is wrong.',
    )
    .action((path: string | undefined, args: readonly string[], options: Options) => {
      const folder = mkdtempSync(join(tmpdir(), 'safepoint-bench-'));
      try {
        done(execute(jobsOf(path, args, options, folder), options, folder, output, parties));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
}

function jobsOf(path: string | undefined, args: readonly string[], options: Options, folder: string): Job[] {
  if (path !== undefined) {
    const name = [path.slice(path.lastIndexOf('/') + 1), ...args].join(' ');
    return [{ name, goarch: openElf(path).goarch, program: path, args, env: options.env }];
  }
  const names = options.jobs ?? (options.short === true ? SHORT_JOBS : FIXTURE_JOBS);
  const jobs = fixtureJobs(folder, options.goarch, names, options.release);
  if (jobs === undefined) throw new UserError('bench: an installed package has no programs to measure; name one');
  const fromVariable = (process.env[ESBUILD_VARIABLE] ?? '').split(':').filter((file) => file !== '');
  const esbuild = esbuildJobs(folder, options.esbuild.length > 0 ? options.esbuild : fromVariable);
  return [...jobs, ...esbuild.filter((job) => options.goarch.includes(job.goarch))];
}

const number = (value: number | undefined, digits = 2): string => (value === undefined ? '' : value.toFixed(digits));

const HEADINGS = [
  'GOARCH',
  'job',
  'native s',
  'QEMU s',
  'first s',
  'ours s',
  'QEMU/ours',
  'M instr/s',
  'compiling',
  'MB',
  'guest MB',
];

function row(measured: Measured, basis: Basis, withCost: boolean): string[] {
  const { goarch, name, wrong, rate, compilingShare, peakMemory, resident, optionsCost } = measured;
  if (wrong !== undefined) return [goarch, name, `wrong: ${wrong}`];
  const times = basis === 'cpu' ? measured.cpu : measured.seconds;
  return [
    goarch,
    name,
    ...(['native', 'qemu'] as const).map((who) => number(times[who], 3)),
    number(measured.first, 3),
    number(times.ours, 3),
    number(ratio(measured, 'qemu', basis)),
    number(rate / 1e6, 1),
    `${Math.round(compilingShare * 100)} %`,
    number(peakMemory / 1e6, 0),
    number(resident / 1e6, 0),
    ...(withCost ? [number(optionsCost)] : []),
  ];
}

/** The document of `--json`. */
interface Report {
  readonly version: 1;
  readonly node: string;
  readonly qemu: string | null;
  readonly basis: Basis;
  readonly rounds: number;
  readonly with: string | null;
  readonly jobs: readonly (Measured & { readonly ratios: { readonly qemu?: number; readonly native?: number } })[];
  /** Geometric means of the ratios to QEMU by GOARCH, start-up aside. */
  readonly means: Readonly<Record<string, number>>;
  /** Who could not be compared with, and why. */
  readonly missing: readonly string[];
}

function execute(
  jobs: readonly Job[],
  options: Options,
  folder: string,
  output: Output,
  parties: (goarch: Goarch) => PartiesOf,
): number {
  const progress = new Progress(output);
  const basis: Basis = options.cpu === true ? 'cpu' : 'wall';
  const rounds = options.rounds ?? (options.short === true ? 1 : ROUNDS);
  const extra = options.with === undefined ? {} : { options: options.with.split(' ').filter((word) => word !== '') };
  const measured: Measured[] = [];
  const missing = new Set<string>();
  const known = new Map<Goarch, PartiesOf>();
  for (const [i, job] of jobs.entries()) {
    const who = known.get(job.goarch) ?? parties(job.goarch);
    known.set(job.goarch, who);
    for (const each of who.missing) missing.add(each);
    const cache = join(folder, `code-${i}`);
    const tick = (doing: string): void =>
      progress.tick(() => `[${i + 1}/${jobs.length}] ${job.goarch} ${job.name}: ${doing}`);
    measured.push(measure({ ...job, cache }, who, { rounds, folder, basis, tick, ...extra }));
  }
  progress.end();
  const goarches = [...known.keys()];
  const means = goarches.flatMap((goarch) => {
    const mean = meanRatio(
      measured.filter((m) => m.goarch === goarch),
      basis,
    );
    return mean === undefined ? [] : [[goarch, mean] as const];
  });
  const qemu = [...known.values()].find((who) => who.qemu !== undefined)?.qemu;
  if (options.json === true) {
    const ratiosOf = (m: Measured): { qemu?: number; native?: number } =>
      Object.fromEntries(
        (['qemu', 'native'] as const).flatMap((to) => {
          const value = ratio(m, to, basis);
          return value === undefined ? [] : [[to, value]];
        }),
      );
    const report: Report = {
      version: 1,
      node: process.version,
      qemu: qemu ?? null,
      basis,
      rounds,
      with: options.with ?? null,
      jobs: measured.map((m) => ({ ...m, ratios: ratiosOf(m) })),
      means: Object.fromEntries(means),
      missing: [...missing],
    };
    output.out(`${JSON.stringify(report, null, 2)}\n`);
  } else {
    const what = basis === 'cpu' ? 'CPU seconds' : 'seconds';
    output.out(
      `Node ${process.version}; ${qemu ?? 'no QEMU'}; ${rounds === 1 ? 'one round' : `medians of ${rounds} rounds`}, ${what} of whole processes; ours after ${RUNS_BEFORE} runs\n\n`,
    );
    const headings = options.with === undefined ? HEADINGS : [...HEADINGS, options.with];
    output.out(table([headings, ...measured.map((m) => row(m, basis, options.with !== undefined))]));
    if (means.length > 0) output.out(`\nQEMU/ours, geometric mean without ${OUTSIDE_OF_MEANS.join(' and ')}\n`);
    output.out(table(means.map(([goarch, mean]) => [goarch, number(mean)])));
    for (const note of [...missing, ...measured.flatMap((m) => m.notes)]) output.out(`\n${note}\n`);
  }
  return measured.some((m) => m.wrong !== undefined) ? EXIT_CHECK_FAILED : EXIT_FINE;
}
