// Real programs under the kernel: start, output, determinism, and signals at any instruction.

import { describe, expect, test } from 'vitest';
import { GOARCHES, loadFixture } from '../support/fixtures.ts';
import { startElf } from '../support/guest.ts';

const RELEASE = '1.27';
const hello = (goarch: (typeof GOARCHES)[number], options: Parameters<typeof startElf>[1] = {}) =>
  startElf(loadFixture('hello', goarch, RELEASE), { args: ['hello'], ...options });

describe.each(GOARCHES)('hello on %s', (goarch) => {
  test('runs to its end, the same each time', { timeout: 60_000 }, () => {
    const counts = [0, 1].map(() => {
      const guest = hello(goarch);
      expect(guest.process.run({ until: 5_000_000 })).toEqual({ kind: 'exit', status: 0 });
      expect(guest.output.text(1)).toBe('hello, world\n');
      return guest.process.machine.instructions;
    });
    expect(counts[0]).toBe(counts[1]);
  });

  test('is not disturbed by SIGURG every 997 instructions, with four CPUs and another schedule', {
    timeout: 60_000,
  }, () => {
    const guest = hello(goarch, { cpus: 4, seed: 3 });
    const signal = guest.process.kernel.abi.signals.number('SIGURG');
    let sent = 0;
    const outcome = guest.process.run({
      until: 20_000_000,
      interrupts: [
        {
          next: (now) => Math.ceil(now / 997) * 997,
          fire: (kernel, task) => {
            sent++;
            kernel.signalTask(task, { signal, code: -6, pid: 1000, uid: 1000 });
          },
        },
      ],
    });
    expect(outcome).toEqual({ kind: 'exit', status: 0 });
    expect(guest.output.text(1)).toBe('hello, world\n');
    expect(sent).toBeGreaterThan(100);
  });

  test('goes on from a snapshot as it went on before', { timeout: 60_000 }, () => {
    const guest = hello(goarch);
    guest.process.run({ until: 150_001 });
    const snapshot = guest.process.save();
    const ends = [0, 1].map(() => {
      const outcome = guest.process.run({ until: 5_000_000 });
      const end = [outcome, guest.process.machine.instructions, guest.output.text(1)];
      guest.process.restore(snapshot);
      return end;
    });
    expect(ends[0]).toEqual(ends[1]);
    expect(ends[0]?.[2]).toBe('hello, world\n');
  });
});
