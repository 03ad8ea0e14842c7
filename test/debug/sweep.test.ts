// Sweeps of small ranges: nothing is wrong with all checks in place, and what a missing check lets through is found.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { main } from '../../cli/main.ts';
import { InstructionCounts } from '../../src/debug/profile.ts';
import { Session, type SweepOptions, type SweepResult, sweep } from '../../src/index.ts';
import { fixturePath, GOARCHES, type Goarch, loadFixture } from '../support/fixtures.ts';
import { sampled } from '../support/long.ts';

const RELEASE = '1.27';
const MIPS = ['mips', 'mipsle', 'mips64', 'mips64le'] as const;
const TIMEOUT = 120_000;

const swept = (fixture: string, goarch: Goarch, options: Partial<SweepOptions>): Promise<SweepResult> =>
  sweep(loadFixture(fixture, goarch, RELEASE), { path: fixture, sample: 0, ...options });

describe.each(sampled(GOARCHES, 3))('on %s', (goarch) => {
  test(
    'no injection into main.* of a program of calls does harm',
    async () => {
      const result = await swept('calls', goarch, { func: '^main\\.', limit: 40 });
      expect(result.failures).toEqual([]);
      expect(result.injections).toBe(40);
      expect(result.attempts).toBeGreaterThan(result.injections);
      expect(result.refused['unsafe-point']).toBe(result.attempts - result.injections);
    },
    TIMEOUT,
  );

  test(
    'a goroutine preempted while it holds a lock of its M is found',
    async () => {
      const options = { func: '^sync\\.\\(\\*Pool\\)\\.(pin|pinSlow)$', limit: 16 };
      const kept = await swept('hello', goarch, options);
      expect(kept.failures).toEqual([]);
      expect(kept.refused.canPreemptM).toBeGreaterThan(0);
      const removed = await swept('hello', goarch, { ...options, without: new Set(['canPreemptM'] as const) });
      const { at, reproduce } = removed.failures.find((f) => f.oracle === 'end')!;
      expect(removed.failures.find((f) => f.oracle === 'end')!.detail).toContain('schedule: holding locks');
      expect(removed.failures.map((f) => f.oracle)).toContain('locks');
      expect(reproduce).toBe(`safepoint sweep --from ${at} --to ${at} --full --without canPreemptM hello`);
    },
    TIMEOUT,
  );
});

describe.each(sampled(MIPS, 2))('on %s', (goarch) => {
  test(
    'a sequence through R23 that is resumed in its middle is found, and one that is restarted is not',
    async () => {
      const options = { func: '^main\\.main$', limit: 60 };
      const kept = await swept('hello', goarch, options);
      expect(kept.failures).toEqual([]);
      expect(kept.restarts).toBeGreaterThan(0);
      const removed = await swept('hello', goarch, { ...options, without: new Set(['restart'] as const) });
      expect(removed.restarts).toBe(0);
      expect(removed.failures[0]).toMatchObject({ oracle: 'registers', detail: expect.stringContaining('R23 was') });
    },
    TIMEOUT,
  );

  test(
    'a half-executed call loses its caller when the guards against it are off',
    async () => {
      const options = { func: '^main\\.', halfCalls: true, limit: 1, to: 1_000_000 };
      const kept = await swept('stackgrowth', goarch, options);
      expect(kept.injections).toBe(0);
      expect(kept.refused['half-call']).toBeGreaterThan(0);
      const removed = await swept('stackgrowth', goarch, {
        ...options,
        without: new Set(['half-call', 'unsafe-point'] as const),
      });
      expect(removed.failures).toMatchObject([
        { oracle: 'unwind', inSlot: true, func: expect.stringMatching(/^main\./) },
      ]);
    },
    TIMEOUT,
  );
});

test(
  'the program is run to its end after a sampled injection, and its output compared',
  async () => {
    const options = { func: '^main\\.main$', limit: 3, sample: 1 };
    const result = await swept('hello', 'amd64', options);
    expect(result).toMatchObject({ injections: 3, ranToEnd: 3, failures: [] });
    const harmful = { func: '^gosave_systemstack_switch$', limit: 6, sample: 1, without: new Set(['asm'] as const) };
    const removed = await swept('hello', 'amd64', harmful);
    expect(removed.failures.map((f) => f.oracle)).toContain('output');
  },
  TIMEOUT,
);

test(
  'an injection is the same whatever range it is part of',
  async () => {
    const options = { func: '^gogo$', without: new Set(['stack', 'asm'] as const), limit: 4 };
    const { failures } = await swept('hello', 'amd64', options);
    const first = failures[0]!;
    const alone = await swept('hello', 'amd64', { from: first.at, to: first.at, without: options.without });
    expect(alone.attempts).toBe(1);
    expect(alone.failures).toEqual(failures.filter((f) => f.at === first.at));
  },
  TIMEOUT,
);

test(
  'shares of a sweep make its injections among them',
  async () => {
    const options = { func: '^main\\.', limit: 20, without: new Set(['restart'] as const) };
    const whole = await swept('hello', 'mips', options);
    const shares = await Promise.all(
      [0, 1].map((index) => swept('hello', 'mips', { ...options, share: { index, of: 2 } })),
    );
    expect(shares.map((s) => s.injections)).toEqual([20, 20]);
    const together = shares.flatMap((s) => s.failures).sort((a, b) => a.at - b.at);
    expect(together).toEqual(whole.failures);
  },
  TIMEOUT,
);

describe('safepoint sweep', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sweep-'));
  afterAll(() => rmSync(dir, { recursive: true }));

  const run = async (...args: string[]): Promise<{ status: number; out: string; err: string }> => {
    let out = '';
    let err = '';
    const output = {
      out: (text: string) => {
        out += text;
      },
      err: (text: string) => {
        err += text;
      },
      guest: () => {},
      isTerminal: false,
    };
    const status = await main(['sweep', ...args], output);
    return { status, out, err };
  };

  test(
    'exits 1 with a failure in its document, and its command makes it again',
    async () => {
      const path = fixturePath('hello', 'amd64', RELEASE);
      const first = await run(
        '--json',
        '--without',
        'stack,asm',
        '--func',
        '^gogo$',
        '--limit',
        '2',
        '--sample',
        '0',
        path,
      );
      expect(first.status).toBe(1);
      const document = JSON.parse(first.out) as SweepResult;
      expect(document).toMatchObject({ version: 1, injections: 2, perSecond: expect.any(Number) });
      const { reproduce } = document.failures[0]!;
      const [, , ...again] = reproduce.split(' ');
      const second = await run(...again);
      expect(second.status).toBe(1);
      expect(second.out).toContain(reproduce);
    },
    TIMEOUT,
  );

  test.each([
    [['--func', '('], /--func \(: not a regular expression/],
    [['--func', '^no\\.such'], /no function's name matches/],
    [['--without', 'luck'], /there is no check luck/],
    [['--every', '0'], /whole number from 1 up/],
    [['--from', 'no.such'], /no function no\.such/],
  ])(
    'bad arguments %j are one line and status 2',
    async (args, message) => {
      const { status, out, err } = await run(...args, fixturePath('hello', 'amd64', RELEASE));
      expect(status).toBe(2);
      expect(out).toBe('');
      expect(err).toMatch(message);
      expect(err.split('\n')).toHaveLength(2);
    },
    TIMEOUT,
  );
});

test(
  'only instructions that the tables call safe are visited when that is asked for, and none of them is left out',
  async () => {
    const options = { func: '^main\\.', to: 480_000 };
    const all = await swept('hello', 'mips', options);
    const safe = await swept('hello', 'mips', { ...options, safeOnly: true });
    expect(safe.injections).toBe(all.injections);
    expect(safe.restarts).toBe(all.restarts);
    expect(safe.attempts).toBeLessThan(all.attempts);
    expect(safe.failures).toEqual([]);
  },
  TIMEOUT,
);

test(
  'with a bound for each place, every instruction of the range is visited, and none more often',
  async () => {
    const session = Session.open(loadFixture('panics', 'mips', RELEASE), { path: 'panics', stdout: () => {} });
    const counts = new InstructionCounts(() => session.machine.instructions);
    session.machine.counter = counts;
    session.run();
    session.machine.settleCounts();
    const times = [...counts.entries()]
      .filter(([pc]) => session.go!.program.tables.findfunc(pc)?.name.startsWith('main.') === true)
      .map(([, n]) => n);
    const visits = (most: number): number => times.reduce((sum, n) => sum + Math.min(n, most), 0);
    for (const perPlace of [1, 2]) {
      const { attempts, failures } = await swept('panics', 'mips', { func: '^main\\.', perPlace });
      expect(attempts).toBe(visits(perPlace));
      expect(failures).toEqual([]);
    }
    expect(visits(1)).toBeLessThan(visits(2));
  },
  TIMEOUT,
);

test(
  'a goroutine whose deep stack the collector scans first is waited for, unless the caller says how long',
  async () => {
    const place = { from: 7_232_314, to: 7_232_314 };
    const waited = await swept('stackgrowth', 'mips', place);
    expect(waited).toMatchObject({ injections: 1, failures: [] });
    const impatient = await swept('stackgrowth', 'mips', { ...place, patience: 8_000_000 });
    expect(impatient.failures.map((f) => f.oracle)).toEqual(['progress']);
  },
  TIMEOUT,
);
