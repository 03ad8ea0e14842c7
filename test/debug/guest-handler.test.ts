// SIGURG handled by the programs themselves, in machine code, and held against our model at every delivery.

import { describe, expect, it } from 'vitest';
import { asyncpreemptoff } from '../../src/goruntime/godebug.ts';
import { parseRelease } from '../../src/goruntime/version.ts';
import type { GuestCounts } from '../../src/index.ts';
import { safepoint } from '../support/cli.ts';
import { fixturePath, fixtureSpec, GOARCHES } from '../support/fixtures.ts';
import { sampled } from '../support/long.ts';
import { runFixture } from '../support/programs.ts';

/** Everything may be evaluated, an instruction at a time. */
const timeout = 120_000;

const cells = GOARCHES.flatMap((goarch) => ['1.19', '1.27'].map((release) => ({ purpose: 'hello', goarch, release })));

const total = (counts: GuestCounts): number =>
  counts.injected + Object.values(counts.refused).reduce((sum, n) => sum + n, 0);

describe.each(sampled(cells, 3))('the handler of $goarch, Go $release', { timeout }, (fixture) => {
  const schedule = { kind: 'every', n: 1511 } as const;

  it('does with every SIGURG what our model says, and the program ends as ever', () => {
    const { end, out, stats } = runFixture(fixture, { handler: 'guest', schedule });
    expect(end).toEqual({ kind: 'exit', status: 0 });
    expect(out).toBe(fixtureSpec('hello').want);
    const counts = stats.interrupts as GuestCounts;
    expect(counts.differences).toBe(0);
    expect(counts.delivered).toBeGreaterThan(100);
    expect(counts.injected).toBeGreaterThan(0);
    expect(counts.refused['unsafe-point']).toBeGreaterThan(0);
    expect(total(counts)).toBe(counts.delivered);
    expect(counts.sent).toBeGreaterThanOrEqual(counts.delivered - counts.own);
  });

  it('injects nothing with GODEBUG=asyncpreemptoff=1', () => {
    const env = ['GODEBUG=asyncpreemptoff=1'];
    const { end, stats } = runFixture(fixture, { handler: 'guest', schedule, env });
    expect(end).toEqual({ kind: 'exit', status: 0 });
    const counts = stats.interrupts as GuestCounts;
    expect(counts.delivered).toBeGreaterThan(50);
    expect(counts).toMatchObject({ injected: 0, differences: 0, refused: { want: counts.delivered } });
  });
});

describe('run --handler guest', { timeout }, () => {
  it('exits 1 and prints both sides where the program does something else than our model says', async () => {
    const path = fixturePath('hello', 'mips', '1.27');
    const wrong = ['--without', 'unsafe-point,asm,prefix'];
    const { status, out, err } = await safepoint(
      'run',
      '--handler',
      'guest',
      ...wrong,
      '--preempt',
      'every=1511',
      path,
    );
    expect(status).toBe(1);
    expect(out).toBe(fixtureSpec('hello').want);
    const lines = err.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(3);
    const line =
      /^safepoint: \S+: SIGURG at instruction \d+, 0x[0-9a-f]+ \S+ .*: ours calls asyncPreempt .*; the program goes on at 0x/;
    for (const text of lines) expect(text).toMatch(line);
  });

  it('compares the signals of the program itself too: sysmon preempts a tight loop', () => {
    const { end, stats } = runFixture({ purpose: 'tightloop', goarch: 'amd64', release: '1.27' }, { handler: 'guest' });
    expect(end).toEqual({ kind: 'exit', status: 0 });
    const counts = stats.interrupts as GuestCounts;
    expect(counts.sent).toBe(0);
    expect(counts.own).toBe(counts.delivered);
    expect(counts.injected).toBeGreaterThan(0);
    expect(counts.differences).toBe(0);
  });
});

describe('the host handler', { timeout }, () => {
  it('honours asyncpreemptoff too', () => {
    const fixture = { purpose: 'hello', goarch: 'mips64', release: '1.19' } as const;
    const schedule = { kind: 'every', n: 1511 } as const;
    const { interrupts } = runFixture(fixture, { schedule, env: ['GODEBUG=asyncpreemptoff=1'] }).stats;
    expect(interrupts.injected).toBe(0);
    expect(interrupts.refused).toEqual({ want: interrupts.delivered });
    expect(runFixture(fixture, { schedule }).stats.interrupts.injected).toBeGreaterThan(0);
  });
});

describe('asyncpreemptoff', () => {
  const off = (setting: string, release = 'go1.27'): boolean =>
    asyncpreemptoff(['PATH=/bin', `GODEBUG=${setting}`], parseRelease(release)!);

  it('is read as the runtime reads GODEBUG', () => {
    expect(off('asyncpreemptoff=1')).toBe(true);
    expect(off('madvdontneed=1,asyncpreemptoff=2,x=y')).toBe(true);
    expect(off('asyncpreemptoff=0')).toBe(false);
    expect(off('asyncpreemptoff=1,asyncpreemptoff=0')).toBe(false);
    expect(off('asyncpreemptoff=yes')).toBe(false);
    expect(off('asyncpreemptoff')).toBe(false);
    expect(asyncpreemptoff([], parseRelease('go1.27')!)).toBe(false);
  });

  it('follows from gccheckmark since Go 1.26', () => {
    expect(off('gccheckmark=1')).toBe(true);
    expect(off('gccheckmark=1', 'go1.25.3')).toBe(false);
  });
});
