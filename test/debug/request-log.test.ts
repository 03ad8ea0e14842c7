import { describe, expect, test, vi } from 'vitest';
import { parseSchedule } from '../../src/debug/schedule.ts';
import { open } from './sessions.ts';

vi.setConfig({ testTimeout: 120_000 });

describe('--preempt sync,…', () => {
  test('is the same schedule without interrupts', () => {
    expect(parseSchedule('sync,every=7')).toEqual({ kind: 'every', n: 7, synchronous: true });
    expect(parseSchedule('sync,at=main.f,hit=2')).toEqual({ kind: 'at', place: 'main.f', hit: 2, synchronous: true });
    expect(() => parseSchedule('sync,')).toThrow(/no such schedule/);
  });

  test.each(['amd64', 'mips', 'mips64le'] as const)(
    'serves calls at prologues on %s, and injects nothing',
    (goarch) => {
      const opened = open('calls', goarch, '1.27', { schedule: parseSchedule('sync,every=4999') });
      const end = opened.session.run();
      const { kinds, interrupts } = opened.session.stats(end, 0);
      expect(end).toEqual({ kind: 'exit', status: 0 });
      expect(opened.printed()).toBe(opened.want);
      expect(interrupts).toMatchObject({ delivered: 0, injected: 0 });
      expect(kinds?.synchronous.served).toBeGreaterThan(50);
      expect(kinds?.synchronous.meanInstructions).toBeGreaterThan(1);
      expect(kinds?.asynchronous.served).toBe(0);
    },
  );
});

describe('--preempt', () => {
  test('serves a loop without calls where it is interrupted, at once', () => {
    const opened = open('tightloop', 'mipsle', '1.27', { schedule: parseSchedule('every=49999') });
    const end = opened.session.run();
    const { kinds, interrupts } = opened.session.stats(end, 0);
    expect(opened.printed()).toBe(opened.want);
    expect(kinds?.asynchronous.served).toBeGreaterThan(5);
    expect(kinds?.asynchronous.served).toBe('injected' in interrupts ? interrupts.injected : undefined);
  });
});
