// Preemption changes no program's output, wherever it lands.

import { describe, expect, it } from 'vitest';
import { parseSchedule } from '../../src/index.ts';
import { fixtureSpec, GOARCHES, type Goarch } from '../support/fixtures.ts';
import { runFixture } from '../support/programs.ts';

const RELEASES = ['1.19', '1.27'];
const MIPS: readonly Goarch[] = ['mips', 'mipsle', 'mips64', 'mips64le'];

describe.each(GOARCHES)('%s', (goarch) => {
  describe.each(RELEASES)('go %s', (release) => {
    it.each([
      ['exitcode', 'every=97'],
      ['hello', 'every=97'],
      ['calls', 'every=1009'],
      ['channels', 'every=10007'],
      ['gcheavy', 'every=10007'],
      ['stackgrowth', 'random=7,mean=5000'],
    ])(
      '%s is not changed by --preempt %s, and is preempted',
      (purpose, schedule) => {
        const spec = fixtureSpec(purpose);
        const { end, out, stats } = runFixture({ purpose, goarch, release }, { schedule: parseSchedule(schedule) });
        expect(out).toBe(spec.want);
        expect(end).toEqual({ kind: 'exit', status: spec.exit });
        const { delivered, injected, refused } = stats.interrupts;
        expect(injected).toBeGreaterThan(0);
        expect(Object.values(refused).reduce((a, b) => a + b, injected)).toBe(delivered);
      },
      240_000,
    );

    it('channels on four CPUs is not changed either', () => {
      const spec = fixtureSpec('channels');
      const schedule = parseSchedule('every=10007');
      const { end, out } = runFixture({ purpose: 'channels', goarch, release }, { schedule, cpus: 4, seed: 3 });
      expect(out).toBe(spec.want);
      expect(end).toEqual({ kind: 'exit', status: spec.exit });
    }, 240_000);
  });
});

describe.each(MIPS)('the half-executed call on %s', (goarch) => {
  it.each(RELEASES)(
    'is refused at every call to morestack, and the stack still grows (go %s)',
    (release) => {
      const fixture = { purpose: 'stackgrowth', goarch, release };
      const { out, stats } = runFixture(fixture, { schedule: parseSchedule('half-call=frameless') });
      expect(out).toBe(fixtureSpec('stackgrowth').want);
      const { delivered, injected, refused } = stats.interrupts;
      expect(delivered).toBeGreaterThan(0);
      expect(injected).toBe(0);
      expect(refused).toEqual({ 'half-call': delivered });
    },
    240_000,
  );

  it.each(RELEASES)(
    'is accepted where a frame exists (go %s)',
    (release) => {
      const fixture = { purpose: 'exitcode', goarch, release };
      const { end, stats } = runFixture(fixture, { schedule: parseSchedule('half-call') });
      expect(end).toEqual({ kind: 'exit', status: 7 });
      expect(stats.interrupts.injected).toBeGreaterThan(0);
    },
    240_000,
  );
});

describe('determinism', () => {
  it.each(GOARCHES)(
    'two runs on %s with one seed execute the same instructions, another seed other ones',
    (goarch) => {
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
    },
    240_000,
  );
});
