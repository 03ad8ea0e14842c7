// Whole processes, ours and QEMU's, one after the other and round by round: medians and their ratios. `tsx test/bench/bench.ts --help`.
//
// The answers are compared first: a wrong answer has no speed. Where QEMU is not installed only our own times are printed, and why.

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { GOARCHES, type Goarch, listFixtures, loadFixture } from '../support/fixtures.ts';

const QEMU: Readonly<Record<Goarch, string>> = {
  amd64: 'qemu-x86_64',
  mips: 'qemu-mips',
  mipsle: 'qemu-mipsel',
  mips64: 'qemu-mips64',
  mips64le: 'qemu-mips64el',
};
const JOBS = ['hello', 'fannkuch', 'sha', 'tree', 'json', 'sort', 'spin'] as const;

const usage = `usage: tsx test/bench/bench.ts [--goarch A,B] [--jobs A,B] [--rounds N] [--release R]
Prints, for each GOARCH and job, the median seconds of whole processes: QEMU's, ours, and QEMU's divided by ours (above 1 we are faster).`;

function option(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

if (process.argv.includes('--help')) {
  console.log(usage);
  process.exit(0);
}

const goarches = (option('goarch')?.split(',') ?? [...GOARCHES]) as Goarch[];
const jobs = option('jobs')?.split(',') ?? [...JOBS];
const rounds = Number(option('rounds') ?? 3);
const installed = (command: string): boolean => spawnSync(command, ['--version']).error === undefined;
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Seconds and output of one process. */
function time(command: string, args: readonly string[]): { seconds: number; output: string; status: number | null } {
  const began = process.hrtime.bigint();
  const result: SpawnSyncReturns<string> = spawnSync(command, args, { encoding: 'utf8', timeout: 600_000 });
  return {
    seconds: Number(process.hrtime.bigint() - began) / 1e9,
    output: result.stdout,
    status: result.status,
  };
}

const directory = mkdtempSync(join(tmpdir(), 'safepoint-bench-'));
try {
  const ours = join(directory, 'run.mjs');
  buildSync({
    entryPoints: [fileURLToPath(new URL('./run-one.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: ours,
    logLevel: 'warning',
  });
  console.log('| GOARCH | job | QEMU s | ours s | QEMU / ours |\n|---|---|---|---|---|');
  const notes: string[] = [];
  for (const goarch of goarches) {
    const releases = listFixtures().filter((f) => f.purpose === 'bench' && f.goarch === goarch);
    const release = option('release') ?? releases.at(-1)?.release;
    if (release === undefined) {
      notes.push(`${goarch}: no bench fixture`);
      continue;
    }
    const program = join(directory, `bench.${goarch}`);
    writeFileSync(program, loadFixture('bench', goarch, release), { mode: 0o755 });
    const qemu = QEMU[goarch];
    const hasQemu = installed(qemu);
    if (!hasQemu) notes.push(`${goarch}: ${qemu} is not installed (Debian: qemu-user); our times stand alone`);
    const ratios: number[] = [];
    for (const job of jobs) {
      const theirs: number[] = [];
      const mine: number[] = [];
      let wrong = '';
      for (let round = 0; round < rounds && wrong === ''; round++) {
        const reference = hasQemu ? time(qemu, [program, job]) : undefined;
        const own = time(process.execPath, [ours, program, job]);
        if (own.status !== 0) wrong = `exit status ${own.status}`;
        else if (reference !== undefined && reference.output !== own.output) wrong = 'another answer than QEMU';
        if (reference !== undefined) theirs.push(reference.seconds);
        mine.push(own.seconds);
      }
      if (wrong !== '') {
        console.log(`| ${goarch} | ${job} | | | **${wrong}** |`);
        process.exitCode = 1;
        continue;
      }
      const [q, o] = [theirs.length > 0 ? median(theirs) : Number.NaN, median(mine)];
      if (job !== 'hello') ratios.push(q / o);
      console.log(`| ${goarch} | ${job} | ${q.toFixed(3)} | ${o.toFixed(3)} | ${(q / o).toFixed(2)} |`);
    }
    if (ratios.length > 1 && hasQemu) {
      const mean = Math.exp(ratios.reduce((sum, r) => sum + Math.log(r), 0) / ratios.length);
      console.log(`| ${goarch} | geometric mean without hello | | | ${mean.toFixed(2)} |`);
    }
  }
  for (const note of notes) console.log(`\n${note}`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
