// Preemption changes no program's output, wherever it lands.

import { describe, expect, it } from 'vitest';
import { parseSchedule } from '../../src/index.ts';
import { fixtureSpec, GOARCHES, type Goarch, listFixtures, NO_GO } from '../support/fixtures.ts';
import { LONG, sampled } from '../support/long.ts';
import { runFixture } from '../support/programs.ts';

const RELEASES = ['1.19', '1.27'];
const MIPS: readonly Goarch[] = ['mips', 'mipsle', 'mips64', 'mips64le'];

const cells = (goarches: readonly Goarch[]) =>
  goarches.flatMap((goarch) => RELEASES.map((release) => ({ goarch, release })));

/** Every program of the matrix under the three intervals takes hours; the sample has the quick ones, each with an interval to match. */
const PROGRAMS = LONG
  ? [...new Set(listFixtures().map((f) => f.purpose))].flatMap((p) => [97, 1009, 10007].map((n) => [p, `every=${n}`]))
  : [
      ['hello', 'every=97'],
      ['calls', 'every=1009'],
      ['channels', 'every=10007'],
      ['stackgrowth', 'random=7,mean=50000'],
    ];

describe.each(PROGRAMS)('%s', (purpose, schedule) => {
  const targets = listFixtures().filter((f) => f.purpose === purpose && f.release !== NO_GO);

  it.each(sampled(targets, 5))(
    `of Go $release for $goarch is not changed by --preempt ${schedule}, and is preempted`,
    ({ goarch, release }) => {
      const spec = fixtureSpec(purpose!);
      const fixture = { purpose: purpose!, goarch, release };
      const { end, out, stats } = runFixture(fixture, { schedule: parseSchedule(schedule!) });
      expect(out).toBe(spec.want);
      expect(end).toEqual({ kind: 'exit', status: spec.exit });
      const { delivered, injected, refused } = stats.interrupts;
      expect(injected).toBeGreaterThan(0);
      expect(Object.values(refused).reduce((a, b) => a + b, injected)).toBe(delivered);
    },
  );
});

it.each(sampled(cells(GOARCHES), 3))('channels on four CPUs of $goarch, Go $release, is not changed either', (cell) => {
  const spec = fixtureSpec('channels');
  const options = { schedule: parseSchedule('every=10007'), cpus: 4, seed: 3 };
  const { end, out } = runFixture({ purpose: 'channels', ...cell }, options);
  expect(out).toBe(spec.want);
  expect(end).toEqual({ kind: 'exit', status: spec.exit });
});

describe('the half-executed call', () => {
  it.each(sampled(cells(MIPS), 3))(
    'is refused at every call to morestack on $goarch, and the stack still grows (Go $release)',
    (cell) => {
      const fixture = { purpose: 'stackgrowth', ...cell };
      const { out, stats } = runFixture(fixture, { schedule: parseSchedule('half-call=frameless') });
      expect(out).toBe(fixtureSpec('stackgrowth').want);
      const { delivered, injected, refused } = stats.interrupts;
      expect(delivered).toBeGreaterThan(0);
      expect(injected).toBe(0);
      expect(refused).toEqual({ 'half-call': delivered });
    },
  );

  it.each(sampled(cells(MIPS), 3, 1))('is accepted on $goarch where a frame exists (Go $release)', (cell) => {
    const fixture = { purpose: 'exitcode', ...cell };
    const { end, stats } = runFixture(fixture, { schedule: parseSchedule('half-call') });
    expect(end).toEqual({ kind: 'exit', status: 7 });
    expect(stats.interrupts.injected).toBeGreaterThan(0);
  });
});

describe('determinism', () => {
  it.each(GOARCHES)('two runs on %s with one seed execute the same instructions, another seed other ones', (goarch) => {
    const hash = (seed: number): string => {
      const fixture = { purpose: 'hello', goarch, release: '1.27' };
      const { stats } = runFixture(fixture, {
        seed,
        cpus: 2,
        traceHash: true,
        schedule: parseSchedule('every=1009'),
      });
      return `${stats.traceHash} ${stats.instructions}`;
    };
    const first = hash(1);
    expect(hash(1)).toBe(first);
    expect(hash(2)).not.toBe(first);
  });
});
