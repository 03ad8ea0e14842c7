// golang.org/issue/71591: programs for 32-bit MIPS that Go 1.23.5 builds without inlining hang in the spin lock of 64-bit atomics,
// because one instruction at which the lock is held counts as safe. src/goruntime/PREFIXES.md tells the story.
import { describe, expect, test } from 'vitest';
import {
  type CheckId,
  GoProgram,
  readElf,
  SafePoints,
  type SweepOptions,
  type SweepResult,
  sweep,
} from '../../src/index.ts';
import { type Goarch, loadFixture } from '../support/fixtures.ts';
import { LONG, sampled } from '../support/long.ts';
import { runFixture } from '../support/programs.ts';

const RELEASE = '1.23';
const TARGETS: readonly Goarch[] = ['mips', 'mipsle'];
/** The third instruction of unlock's prologue, which saves LR where the first has saved it already. */
const PLACE = 'internal/runtime/atomic.unlock+0x8';
/** No goroutine of these programs is away for longer, hangs aside. */
const PATIENCE = 100_000;
const TIMEOUT = 600_000;

const swept = (fixture: string, goarch: Goarch, options: Partial<SweepOptions>): Promise<SweepResult> =>
  sweep(loadFixture(fixture, goarch, RELEASE), { path: fixture, sample: 0, patience: PATIENCE, ...options });

describe.each(sampled(TARGETS, 2))('Go 1.23.5 for %s, without inlining', (goarch) => {
  test('the tables call one instruction of unlock safe, and the name is refused from 1.23.8 on only', () => {
    const program = GoProgram.open(readElf(loadFixture('noinline', goarch, RELEASE)));
    expect(program.release.text).toBe('go1.23.5');
    const [unlock] = program.tables.funcsNamed('internal/runtime/atomic.unlock');
    const verdicts = (rules: string): (readonly [number, CheckId | undefined])[] => {
      const points = new SafePoints(program.tables, program.arch, { rules: program.rulesNamed(rules)! });
      return points
        .verdictRuns(unlock!)
        .filter((run) => run.check !== 'unsafe-point')
        .flatMap((run) => Array.from({ length: (run.end - run.start) / 4 }, (_, i) => run.start + 4 * i))
        .map((pc) => [pc - unlock!.entry, points.isAsyncSafePointPC(pc).check]);
    };
    expect(verdicts('auto')).toEqual([[8, undefined]]);
    expect(verdicts('1.23.8')).toEqual([[8, 'prefix']]);
  });

  test(
    'a preemption there leaves the lock taken, every thread spins for it, and refusing the name is the cure',
    async () => {
      const options = { at: PLACE, limit: 1 };
      const { attempts, failures } = await swept('noinline', goarch, options);
      expect(failures).toMatchObject([
        { oracle: 'progress', detail: expect.stringMatching(/thread \d+ at internal\/runtime\/atomic\.spinLock/) },
      ]);
      const cured = await swept('noinline', goarch, { at: PLACE, rules: '1.23.8', to: failures[0]!.at });
      expect(cured).toMatchObject({ injections: 0, refused: { prefix: 1 } });

      // The program's own runtime, sent a real SIGURG at the same arrival, does the same.
      const fixture = { purpose: 'noinline', goarch, release: RELEASE };
      const schedule = { kind: 'at', place: PLACE, hit: attempts } as const;
      const { end, stats } = runFixture(fixture, { schedule, handler: 'guest', maxInstructions: 1_500_000 });
      expect(end).toMatchObject({ kind: 'limit', place: expect.stringContaining('internal/runtime/atomic.spinLock') });
      expect(stats.interrupts).toMatchObject({ injected: 1 });
    },
    TIMEOUT,
  );
});

describe.each(sampled(TARGETS, 2, 1))('Go 1.23.5 for %s', (goarch) => {
  test(
    'no instruction of internal/runtime does harm where unlock is inlined',
    async () => {
      const program = GoProgram.open(readElf(loadFixture('runtimework', goarch, RELEASE)));
      expect(program.tables.funcsNamed('internal/runtime/atomic.unlock')).toEqual([]);
      const options = { func: '^internal/runtime/', safeOnly: true, limit: 60 };
      const result = await swept('runtimework', goarch, options);
      expect(result.failures).toEqual([]);
      expect(result.injections).toBe(60);
    },
    TIMEOUT,
  );
});

// Every dynamic occurrence of every such instruction: minutes.
describe.runIf(LONG).each(TARGETS.flatMap((goarch) => [1, 4].map((cpus) => [goarch, cpus] as const)))(
  'all of internal/runtime on %s with --cpus %d',
  (goarch, cpus) => {
    const options = { func: '^internal/runtime/', safeOnly: true, cpus };

    test(
      'with inlining, nothing does harm',
      async () => {
        const result = await swept('runtimework', goarch, { ...options, sample: 8 });
        expect(result.failures).toEqual([]);
        expect(result.injections).toBeGreaterThan(300);
      },
      TIMEOUT,
    );

    test(
      'without, one instruction does, every time, and no other',
      async () => {
        const { failures } = await swept('noinline', goarch, options);
        const there = await swept('noinline', goarch, { ...options, func: '^internal/runtime/atomic\\.unlock$' });
        expect(new Set(failures.map((f) => f.func.split(' ')[0]))).toEqual(new Set([PLACE]));
        expect(new Set(failures.map((f) => f.oracle))).toEqual(new Set(['progress']));
        expect(failures.length).toBe(there.injections);
      },
      TIMEOUT,
    );
  },
);
