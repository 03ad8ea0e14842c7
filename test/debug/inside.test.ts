// Interrupts that are taken within compiled code: the same as those that the handler takes, on every target.

import { describe, expect, test, vi } from 'vitest';
import { parseSchedule } from '../../src/debug/schedule.ts';
import { Session, type SessionOptions, type Stats } from '../../src/debug/session.ts';
import { GOARCHES } from '../../src/index.ts';
import { fixtureSpec, type Goarch, loadFixture } from '../support/fixtures.ts';
import { KeptCode } from '../support/kept-code.ts';

vi.setConfig({ testTimeout: 300_000 });

interface Ran {
  readonly stats: Omit<Stats, 'seconds'>;
  readonly printed: string;
  /** Interrupts that came to the handler. */
  readonly handled: number;
}

/** Runs a fixture. @param listens whether somebody listens to interrupts, so that all of them come to the handler */
function run(purpose: string, goarch: Goarch, options: Partial<SessionOptions>, listens = false): Ran {
  let printed = '';
  const session = Session.open(loadFixture(purpose, goarch, '1.27'), {
    path: purpose,
    args: fixtureSpec(purpose).args,
    ...options,
    stdout: (chunk) => {
      printed += Buffer.from(chunk).toString();
    },
  });
  const { handler } = session.go!;
  if (listens) handler.listener = () => undefined;
  const interrupt = vi.spyOn(handler, 'interrupt');
  const end = session.run();
  const { seconds: _, ...stats } = session.stats(end, 0);
  session.keepCode();
  return { stats, printed, handled: interrupt.mock.calls.length };
}

const delivered = ({ stats }: Ran): number => ('delivered' in stats.interrupts ? stats.interrupts.delivered : 0);

describe.each(GOARCHES)('%s', (goarch) => {
  test('goroutines that hand work to each other are interrupted as by the handler', () => {
    const schedule = parseSchedule('every=307');
    const [inside, outside] = [false, true].map((listens) => run('channels', goarch, { schedule }, listens));
    expect(inside!.stats).toEqual(outside!.stats);
    expect(inside!.printed).toBe(fixtureSpec('channels').want);
    expect(outside!.handled).toBeGreaterThanOrEqual(delivered(outside!));
    expect(inside!.handled).toBeLessThan(0.75 * delivered(inside!));
  });

  test('the instructions executed are those that the evaluator executes', () => {
    const options = { schedule: parseSchedule('every=101'), traceHash: true };
    const compiled = run('timers', goarch, options);
    const evaluated = run('timers', goarch, { ...options, engine: 'evaluate' });
    expect(compiled.stats).toEqual(evaluated.stats);
    expect(compiled.handled).toBeLessThan(evaluated.handled);
  });
});

test('what earlier runs decided of places is known, but not where other rules decide', () => {
  const codeStore = new KeptCode();
  const options = { schedule: parseSchedule('every=307') };
  const [first, second] = [1, 2].map(() => run('channels', 'mips64le', { ...options, codeStore }));
  expect(second!.stats).toEqual(first!.stats);
  expect(second!.handled).toBeLessThan(first!.handled);
  const seed = { ...options, rules: 'seed' };
  expect(run('channels', 'mips64le', { ...seed, codeStore }).stats).toEqual(run('channels', 'mips64le', seed).stats);
});

test('each system call is traced, whoever is interrupted', () => {
  const schedule = parseSchedule('every=307');
  const lines: string[] = [];
  const traced = run('channels', 'mips64le', { schedule, strace: (line) => lines.push(line) });
  const { syscalls } = run('channels', 'mips64le', { schedule }).stats;
  expect(traced.stats.syscalls).toEqual(syscalls);
  expect(lines.filter((line) => line.includes('clock_gettime'))).toHaveLength(syscalls.clock_gettime!);
});

test('checks that are switched off are left to the handler', () => {
  const ran = run('channels', 'amd64', { schedule: parseSchedule('every=997'), without: new Set(['prefix']) });
  expect(ran.handled).toBeGreaterThanOrEqual(delivered(ran));
});
