// Measuring: the answers first, then runs of ours in which what is left to compile is compiled, then rounds in which everybody runs each
// job in turn, so that what disturbs the machine disturbs all.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Job, OUTSIDE_OF_MEANS } from './jobs.ts';
import type { Ran, Runner, RunnerName } from './runners.ts';

/** Our runs before the rounds, the answers' one included: in the next one there is nothing left to compile (test/bench/README.md). */
export const RUNS_BEFORE = 4;

/** Which time is compared: that on the wall, or that of the processors, which a busy machine distorts less. */
export type Basis = 'wall' | 'cpu';

/** Medians of one job. Ratios are of times, theirs by ours: above 1 we are faster. */
export interface Measured {
  readonly name: string;
  readonly goarch: string;
  /** Why there are no times: a wrong answer has no speed. */
  readonly wrong?: string;
  /** Why somebody else's times are missing, or stand for less than they should. */
  readonly notes: readonly string[];
  readonly seconds: Partial<Readonly<Record<RunnerName, number>>>;
  readonly cpu: Partial<Readonly<Record<RunnerName, number>>>;
  /** Our first run, which finds no compiled code; wall time. */
  readonly first: number;
  /** Ours with further options, by ours. */
  readonly optionsCost?: number;
  readonly instructions: number;
  /** Guest instructions per second of our whole process. */
  readonly rate: number;
  /** Of our first run's time. */
  readonly compilingShare: number;
  /** Bytes, of our process and of the guest's pages in it. */
  readonly peakMemory: number;
  readonly resident: number;
}

export interface Parties {
  readonly ours: (options?: readonly string[]) => Runner;
  readonly others: Partial<Readonly<Record<'qemu' | 'native', Runner>>>;
}

export interface MeasureOptions {
  readonly rounds: number;
  /** Options of `run` whose cost is to be measured. */
  readonly options?: readonly string[];
  /** For files of our own. */
  readonly folder: string;
  readonly basis: Basis;
  readonly tick?: (done: string) => void;
}

/** What is read of the document of `run --stats`. */
interface RunStats {
  readonly instructions: number;
  readonly host: { readonly compiling: number; readonly peakMemory: number; readonly resident: number };
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

export const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

const same = (a: Ran, b: Ran): boolean => a.status === b.status && a.stdout === b.stdout;

/** Measures one job. */
export function measure(job: Job, parties: Parties, options: MeasureOptions): Measured {
  const { rounds, folder, tick } = options;
  const statsFile = join(folder, 'stats.json');
  const none = {
    seconds: {},
    cpu: {},
    first: 0,
    instructions: 0,
    rate: 0,
    compilingShare: 0,
    peakMemory: 0,
    resident: 0,
  };
  const named = { name: job.name, goarch: job.goarch };
  tick?.('answers');
  const first = parties.ours(['--stats', statsFile])(job);
  if (first.status !== 0) return { ...named, ...none, notes: [], wrong: `exit status ${first.status}` };
  const stats = JSON.parse(readFileSync(statsFile, 'utf8')) as RunStats;
  const notes: string[] = [];
  const runners: Partial<Record<RunnerName, Runner>> = { ours: parties.ours() };
  for (const [name, runner] of Object.entries(parties.others) as ['qemu' | 'native', Runner][]) {
    const theirs = runner(job);
    if (theirs.status !== 0) notes.push(`${job.goarch} ${job.name}: ${name} ends with status ${theirs.status}`);
    else if (!same(first, theirs)) return { ...named, ...none, notes, wrong: `another answer than ${name}` };
    else runners[name] = runner;
  }
  const times: Record<string, Ran[]> = {};
  const optional = options.options === undefined ? [] : [['options', parties.ours(options.options)] as const];
  for (let run = 1; run < RUNS_BEFORE; run++) {
    tick?.(`run ${run + 1}, not counted`);
    for (const runner of [runners.ours!, ...optional.map(([, runner]) => runner)]) runner(job);
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, runner] of [...Object.entries(runners), ...optional]) {
      tick?.(`round ${round + 1}, ${name}`);
      const ran = runner(job);
      if (ran.status !== 0 || ran.stdout !== first.stdout)
        return { ...named, ...none, notes, wrong: `${name}: another answer in round ${round + 1}` };
      times[name] = [...(times[name] ?? []), ran];
    }
  }
  const names = Object.keys(runners) as RunnerName[];
  const seconds = Object.fromEntries(names.map((name) => [name, median(times[name]!.map((r) => r.seconds))]));
  const cpu = Object.fromEntries(names.map((name) => [name, median(times[name]!.map((r) => r.cpu ?? Number.NaN))]));
  const timeOf = (ran: Ran): number => (options.basis === 'cpu' ? (ran.cpu ?? Number.NaN) : ran.seconds);
  return {
    ...named,
    notes,
    seconds,
    cpu,
    first: first.seconds,
    ...(times.options === undefined
      ? {}
      : { optionsCost: median(times.options.map(timeOf)) / median(times.ours!.map(timeOf)) }),
    instructions: stats.instructions,
    rate: stats.instructions / seconds.ours!,
    compilingShare: stats.host.compiling / first.seconds,
    peakMemory: stats.host.peakMemory,
    resident: stats.host.resident,
  };
}

/** How many times faster than somebody we are; undefined where they did not run. */
export function ratio(measured: Measured, to: 'qemu' | 'native', basis: Basis): number | undefined {
  const times = basis === 'cpu' ? measured.cpu : measured.seconds;
  return times[to] === undefined || times.ours === undefined ? undefined : times[to] / times.ours;
}

/** Geometric mean of the ratios to QEMU, but for what stands outside of means. */
export function meanRatio(all: readonly Measured[], basis: Basis): number | undefined {
  const ratios = all.filter((m) => !OUTSIDE_OF_MEANS.includes(m.name)).flatMap((m) => ratio(m, 'qemu', basis) ?? []);
  return ratios.length === 0 ? undefined : geometricMean(ratios);
}
