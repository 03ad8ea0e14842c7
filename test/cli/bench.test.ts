// `bench` as a command: what it compares, and what it says when there is nothing to compare with. The processes are made up.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import type { Job } from '../../cli/bench/jobs.ts';
import { ours, type Ran, type Runner } from '../../cli/bench/runners.ts';
import { benchCommand, type PartiesOf } from '../../cli/commands/bench.ts';
import { fixturePath } from '../support/fixtures.ts';

const ran = (seconds: number, stdout = 'ok\n'): Ran => ({ status: 0, stdout, seconds, cpu: seconds * 2 });
const STATS = { instructions: 3e6, host: { compiling: 0.5, peakMemory: 90e6, resident: 10e6 } };

/** Ours takes the times given, the answers' run first. */
function parties(ours: readonly number[], qemu?: (job: Job) => Ran): PartiesOf {
  let at = 0;
  const runner =
    (options: readonly string[] = []): Runner =>
    (job) => {
      const file = options[options.indexOf('--stats') + 1];
      if (options.includes('--stats')) writeFileSync(file!, JSON.stringify(STATS));
      else if (options.length > 0) return ran(9, job.name);
      return ran(ours[at++ % ours.length]!, job.name);
    };
  return {
    ours: runner,
    others: qemu === undefined ? {} : { qemu },
    missing: qemu === undefined ? ['qemu-mips is not installed (Debian: qemu-user)'] : [],
    qemu: qemu === undefined ? undefined : 'qemu-mips 7.2',
  };
}

async function bench(who: PartiesOf, ...args: readonly string[]): Promise<{ status: number; out: string }> {
  const said: string[] = [];
  let status = -1;
  const say = (text: string): void => void said.push(text);
  const output = { out: say, err: say, guest: () => undefined, isTerminal: false };
  const done = (value: number): void => {
    status = value;
  };
  const program = new Command().enablePositionalOptions();
  program.addCommand(benchCommand(output, done, () => who));
  await program.parseAsync(['bench', '--goarch', 'mips', ...args], { from: 'user' });
  return { status, out: said.join('') };
}

describe('bench', () => {
  it('gives our process nothing of its own environment but what says where the cache is', () => {
    const folder = mkdtempSync(join(tmpdir(), 'safepoint-test-'));
    const script = process.argv[1]!;
    try {
      process.argv[1] = join(folder, 'environment.cjs');
      writeFileSync(process.argv[1], 'process.stdout.write(Object.keys(process.env).join())');
      process.env.NODE_EXTRA_CA_CERTS = '/dev/null';
      const job: Job = {
        name: 'hello',
        goarch: 'mips',
        program: 'hello',
        args: [],
        env: ['GOMAXPROCS=1'],
        cache: folder,
      };
      const names = ours()(job).stdout.split(',');
      expect(names).toContain('SAFEPOINT_CACHE');
      expect(['SAFEPOINT_CACHE', 'XDG_CACHE_HOME', 'HOME']).toEqual(expect.arrayContaining(names));
    } finally {
      process.argv[1] = script;
      delete process.env.NODE_EXTRA_CA_CERTS;
      rmSync(folder, { recursive: true });
    }
  });

  it('gives the ratio of medians, of every job and their mean without start-up', async () => {
    const who = parties([5, 7, 7, 7, 1, 3, 2], (job) => ran(job.name === 'hello' ? 1 : 8, job.name));
    const { status, out } = await bench(who, '--jobs', 'hello,json,sort', '--json');
    const report = JSON.parse(out);
    expect(status).toBe(0);
    expect(report).toMatchObject({ version: 1, qemu: 'qemu-mips 7.2', basis: 'wall', rounds: 3, missing: [] });
    // The answers' run takes 5, those that are not counted 7; of the rounds 1, 3, 2 the median is 2.
    expect(report.jobs).toMatchObject([
      { name: 'hello', goarch: 'mips', seconds: { ours: 2, qemu: 1 }, ratios: { qemu: 0.5 } },
      { name: 'json', rate: 1.5e6, compilingShare: 0.1, peakMemory: 90e6, resident: 10e6, ratios: { qemu: 4 } },
      { name: 'sort', ratios: { qemu: 4 } },
    ]);
    expect(report.means.mips).toBeCloseTo(4);
  });

  it('leaves esbuild out of the mean, as it does start-up', async () => {
    const who = parties([2], (job) => ran(job.name === 'esbuild' ? 1 : 8, job.name));
    const { out } = await bench(who, '--jobs', 'json', '--esbuild', fixturePath('hello', 'mips', '1.27'), '--json');
    const report = JSON.parse(out);
    expect(report.jobs).toMatchObject([
      { name: 'json', ratios: { qemu: 4 } },
      { name: 'esbuild', ratios: { qemu: 0.5 } },
    ]);
    expect(report.means.mips).toBeCloseTo(4);
  });

  it('compares CPU time, and measures what options cost, when asked', async () => {
    const who = parties([3], (job) => ran(6, job.name));
    const { out } = await bench(who, '--jobs', 'json', '--cpu', '--with', '--preempt every=1009', '--json');
    const report = JSON.parse(out);
    expect(report).toMatchObject({ basis: 'cpu', with: '--preempt every=1009' });
    expect(report.jobs[0]).toMatchObject({ cpu: { ours: 6, qemu: 12 }, optionsCost: 3, ratios: { qemu: 2 } });
  });

  it('says plainly that QEMU is missing, and gives our own times', async () => {
    const { status, out } = await bench(parties([2]), '--short');
    expect(status).toBe(0);
    expect(out).toMatch(/^Node v\S+; no QEMU; one round, seconds of whole processes; ours after 4 runs\n/);
    expect(out).toMatch(/^mips {4}fannkuch +2\.000 /m);
    expect(out).toMatch(/\nqemu-mips is not installed \(Debian: qemu-user\)\n/);
  });

  it('refuses to time a wrong answer', async () => {
    const { status, out } = await bench(
      parties([1], () => ran(1, 'something else')),
      '--jobs',
      'json',
    );
    expect(status).toBe(1);
    expect(out).toMatch(/^mips {4}json +wrong: another answer than qemu$/m);
  });
});
