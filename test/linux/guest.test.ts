// What small programs see of the kernel: arguments, results, faults, signals, time.

import { describe, expect, test } from 'vitest';
import { SIG_IGN } from '../../src/linux/abi/frames.ts';
import type { InterruptSource } from '../../src/linux/process.ts';
import { DATA, type Guest, mips, mipsCode, startElf, TEXT, tinyElf } from '../support/guest.ts';

const { li, lui, ori, lw, sw, b, jr, nop, syscall } = mips;
const LIMIT = { until: 100_000 };
const [V0, V1, A0, A1, A2, A3, T0, T1, SP, RA] = [2, 3, 4, 5, 6, 7, 8, 9, 29, 31] as const;

const o32 = (words: readonly number[], goarch: 'mips' | 'mipsle' = 'mips'): Guest =>
  startElf(tinyElf(goarch, mipsCode(goarch, words)));
const n64 = (words: readonly number[], goarch: 'mips64' | 'mips64le' = 'mips64'): Guest =>
  startElf(tinyElf(goarch, mipsCode(goarch, words)));
const amd64 = (...bytes: number[]): Guest => startElf(tinyElf('amd64', Uint8Array.from(bytes)));
const register = ({ process }: Guest, name: string): bigint =>
  process.machine.state.get(process.machine.state.register(name));

/** li v0, number; syscall */
const call = (number: number): number[] => [li(V0, number), syscall];
const EXIT = [li(A0, 7), ...call(4246)];
const STAY = [b(-1), nop];

describe.each(['mips', 'mipsle'] as const)('o32 on %s', (goarch) => {
  test('takes the fifth and sixth argument from the stack', () => {
    const guest = o32(
      [
        li(T0, -1),
        sw(T0, 16, SP),
        sw(0, 20, SP),
        li(A0, 0),
        li(A1, 8192),
        li(A2, 3),
        li(A3, 0x802),
        ...call(4090),
        ...STAY,
      ],
      goarch,
    );
    expect(guest.process.run({ until: 20 })).toEqual({ kind: 'instructions' });
    expect(register(guest, 'R7')).toBe(0n);
    const address = Number(register(guest, 'R2'));
    const vma = guest.process.kernel.mm.find(address);
    expect([vma?.start, vma!.end - vma!.start, vma?.prot]).toEqual([address, 8192, 3]);
  });

  test('passes 64-bit arguments in an even pair, in the order of its bytes', () => {
    // ftruncate64(fd, _, high:low) of a descriptor that is not open; the argument bits are what is looked at.
    const guest = o32([li(A0, 99), li(A1, 0x111), li(A2, 0x222), li(A3, 0x333), ...STAY], goarch);
    guest.process.run({ until: 5 });
    const { raw } = guest.process.kernel.abi.arguments(guest.process.machine, ['fd', 'i64']);
    expect([raw.at(0), raw.at(1)]).toEqual([99n, goarch === 'mips' ? 0x222_0000_0333n : 0x333_0000_0222n]);
  });

  test('flags an error in R7, with the MIPS number in R2', () => {
    const guest = o32([...call(4999), ...STAY], goarch);
    guest.process.run({ until: 4 });
    expect([register(guest, 'R2'), register(guest, 'R7')]).toEqual([89n, 1n]);
    expect([...guest.process.stats.unknown]).toEqual([['syscall 4999', 1]]);
  });

  test('leaves R3 alone', () => {
    const guest = o32([li(V1, 77), ...call(4020), ...STAY], goarch);
    guest.process.run({ until: 5 });
    expect([register(guest, 'R2'), register(guest, 'R3')]).toEqual([1000n, 77n]);
  });
});

test('amd64 returns errors as negative numbers', () => {
  // mov eax, 999; syscall; jmp .
  const guest = amd64(0xb8, 0xe7, 0x03, 0, 0, 0x0f, 0x05, 0xeb, 0xfe);
  guest.process.run({ until: 4 });
  expect(BigInt.asIntN(64, register(guest, 'RAX'))).toBe(-38n);
});

test('exit_group ends the process with the low byte of the status', () => {
  expect(o32([li(A0, 0x107), ...call(4246)]).process.run(LIMIT)).toEqual({ kind: 'exit', status: 7 });
});

describe('a program that goes wrong dies as on Linux', () => {
  test.each([
    ['a fault in a delay slot is at the branch', o32([b(4), lw(T0, 0, 0)]), 'SIGSEGV', 11, TEXT, 0n],
    ['a store to its own code', o32([lui(T0, 1), sw(0, 0, T0)]), 'SIGSEGV', 11, TEXT + 4, BigInt(TEXT)],
    ['teq with code 7', o32([mips.teq(0, 0, 7)]), 'SIGFPE', 8, TEXT, BigInt(TEXT)],
    ['break 6', o32([mips.break(6)]), 'SIGFPE', 8, TEXT, BigInt(TEXT)],
    ['break 0', o32([mips.break(0)]), 'SIGTRAP', 5, TEXT, BigInt(TEXT)],
    ['a kernel address on MIPS', o32([lui(T0, 0x8000), lw(T0, 0, T0)]), 'SIGBUS', 10, TEXT + 4, undefined],
    ['int3', amd64(0xcc), 'SIGTRAP', 5, TEXT + 1, undefined],
    ['ud2', amd64(0x0f, 0x0b), 'SIGILL', 4, TEXT, BigInt(TEXT)],
    ['a jump to 0', amd64(0x31, 0xc0, 0xff, 0xe0), 'SIGSEGV', 11, 0, 0n],
    ['hlt', amd64(0xf4), 'SIGSEGV', 11, TEXT, 0n],
  ])('%s', (_, guest, name, signal, pc, address) => {
    const outcome = guest.process.run(LIMIT);
    expect(outcome).toMatchObject({ kind: 'signal', name, signal, pc, ...(address === undefined ? {} : { address }) });
  });
});

describe('unaligned accesses on MIPS', () => {
  const base = [lui(T0, DATA >>> 16), lui(T1, 0x1234), ori(T1, T1, 0x5678)];

  test('are repaired, and count as one instruction', () => {
    const guest = o32([...base, sw(T1, 2, T0), lw(V0, 2, T0), ...STAY]);
    guest.process.run({ until: 5 });
    expect(register(guest, 'R2')).toBe(0x1234_5678n);
    expect(guest.process.machine.state.pc).toBe(TEXT + 20);
    expect([...guest.process.machine.memory.read(DATA + 2, 4)]).toEqual([0x12, 0x34, 0x56, 0x78]);
  });

  test('are repaired in a delay slot, and control goes where the branch said', () => {
    const guest = o32([...base, b(3), sw(T1, 1, T0), nop, nop, ...STAY], 'mipsle');
    guest.process.run({ until: 5 });
    expect(guest.process.machine.state.pc).toBe(TEXT + 28);
    expect([...guest.process.machine.memory.read(DATA + 1, 4)]).toEqual([0x78, 0x56, 0x34, 0x12]);
  });

  test('of 8 bytes on mips64', () => {
    const guest = n64([...base, mips.sd(T1, 4, T0), ...STAY]);
    guest.process.run({ until: 4 });
    expect(guest.process.machine.memory.readU64(DATA + 4)).toBe(0x1234_5678n);
  });

  test('are SIGBUS after sysmips(MIPS_FIXADE, 0)', () => {
    const guest = o32([...base, li(A0, 7), li(A1, 0), ...call(4149), lui(T0, DATA >>> 16), lw(V0, 2, T0)]);
    expect(guest.process.run(LIMIT)).toMatchObject({ kind: 'signal', name: 'SIGBUS', pc: TEXT + 32 });
  });
});

describe('signals', () => {
  const HANDLER = TEXT + 0x100;
  /** Installs HANDLER for SIGUSR1 (16) with SA_SIGINFO, and sends it to the only thread. */
  const install = (number: { sigaction: number; tgkill: number }, wide: boolean): number[] => {
    const words = [
      lui(T0, DATA >>> 16),
      li(T1, 8),
      sw(T1, 0, T0),
      lui(T1, HANDLER >>> 16),
      ori(T1, T1, HANDLER & 0xffff),
      wide ? mips.sd(T1, 8, T0) : sw(T1, 4, T0),
      li(A0, 16),
      mips.addiu(A1, T0, 0),
      li(A2, 0),
      li(A3, 16),
      ...call(number.sigaction),
      li(A0, 1000),
      li(A1, 1000),
      li(A2, 16),
      ...call(number.tgkill),
    ];
    const after = [li(A0, 7), li(V0, wide ? 5205 : 4246), syscall];
    const code = [...words, ...after];
    while (code.length < 0x100 / 4) code.push(nop);
    return [...code, jr(RA), nop];
  };

  test.each([
    ['o32', o32(install({ sigaction: 4194, tgkill: 4266 }, false)), 32, 40, 616],
    ['n64', n64(install({ sigaction: 5013, tgkill: 5225 }, true)), 616, 40, 640],
  ] as const)(
    'on %s: the frame is the kernel’s, and returning restores everything',
    (_, guest, pcAt, regsAt, maskAt) => {
      const { machine } = guest.process;
      machine.breakpoints = new Set([HANDLER]);
      expect(guest.process.run(LIMIT)).toMatchObject({ kind: 'breakpoint', pc: HANDLER });
      const sp = Number(register(guest, 'R29'));
      const uc = Number(register(guest, 'R6'));
      expect([register(guest, 'R4'), Number(register(guest, 'R5')) - sp, uc - sp]).toEqual([16n, 24, 152]);
      expect(Number(register(guest, 'R25'))).toBe(HANDLER);
      // siginfo: signo, code (SI_TKILL), errno in MIPS order
      const info = Number(register(guest, 'R5'));
      expect([machine.memory.readU32(info), machine.memory.readU32(info + 4) | 0]).toEqual([16, -6]);
      const resume = Number(machine.memory.readU64(uc + pcAt));
      expect(resume).toBe(TEXT + 17 * 4);
      expect(machine.memory.readU64(uc + regsAt + 8 * 8)).toBe(BigInt(DATA));
      expect(machine.memory.readU64(uc + regsAt + 8 * 29)).toBeGreaterThan(BigInt(sp));
      expect(machine.memory.readU64(uc + maskAt)).toBe(0n);
      // The handler runs with its own signal blocked.
      expect(guest.process.kernel.current?.mask).toBe(1n << 15n);
      machine.breakpoints = new Set([resume]);
      expect(guest.process.run(LIMIT)).toMatchObject({ kind: 'breakpoint', pc: resume });
      expect([register(guest, 'R2'), register(guest, 'R7'), register(guest, 'R8')]).toEqual([0n, 0n, BigInt(DATA)]);
      expect(guest.process.kernel.current?.mask).toBe(0n);
      machine.breakpoints = undefined;
      expect(guest.process.run(LIMIT)).toEqual({ kind: 'exit', status: 7 });
    },
  );

  test('without a handler, SIGUSR1 kills', () => {
    const guest = o32([li(A0, 1000), li(A1, 16), ...call(4037), ...EXIT]);
    expect(guest.process.run(LIMIT)).toMatchObject({ kind: 'signal', name: 'SIGUSR1', signal: 16 });
  });

  test('SIGURG is ignored by default', () => {
    const guest = o32([li(A0, 1000), li(A1, 21), ...call(4037), ...EXIT]);
    expect(guest.process.run(LIMIT)).toEqual({ kind: 'exit', status: 7 });
  });
});

describe('waiting', () => {
  test('costs no instructions: time skips', () => {
    const guest = o32([lui(A0, DATA >>> 16), li(T0, 3), sw(T0, 0, A0), li(A1, 0), ...call(4166), ...EXIT]);
    const before = guest.process.kernel.clock.now();
    expect(guest.process.run(LIMIT)).toEqual({ kind: 'exit', status: 7 });
    expect(guest.process.machine.instructions).toBe(9);
    expect(guest.process.kernel.clock.now() - before).toBeGreaterThanOrEqual(3e9);
  });

  test('for what nobody can do is a deadlock, and says where', () => {
    const guest = o32([lui(A0, DATA >>> 16), li(A1, 128), li(A2, 0), li(A3, 0), ...call(4238)]);
    expect(guest.process.run(LIMIT)).toEqual({ kind: 'deadlock', waiting: [{ tid: 1000, call: 'futex' }] });
  });

  test('futex with another value returns EAGAIN at once', () => {
    const guest = o32([lui(A0, DATA >>> 16), li(A1, 128), li(A2, 5), li(A3, 0), ...call(4238), ...STAY]);
    guest.process.run({ until: 6 });
    expect([register(guest, 'R2'), register(guest, 'R7')]).toEqual([11n, 1n]);
  });
});

describe('interrupt sources', () => {
  test('stop the thread at the exact instruction, in a delay slot too', () => {
    const guest = o32([nop, b(1), nop, ...STAY]);
    const seen: (readonly [number, number, boolean, number])[] = [];
    guest.process.run({
      until: 6,
      interrupts: [
        {
          next: (now) => now,
          fire: ({ machine }) => {
            seen.push([machine.instructions, machine.state.pc, machine.state.inSlot, machine.state.epc]);
          },
        },
      ],
    });
    expect(seen.slice(0, 4)).toEqual([
      [0, TEXT, false, TEXT],
      [1, TEXT + 4, false, TEXT + 4],
      [2, TEXT + 8, true, TEXT + 4],
      [3, TEXT + 12, false, TEXT + 12],
    ]);
  });
});

describe('an interrupt that says that it is quiet', () => {
  test('comes and goes as any other, whatever else happens', () => {
    // Two threads in a loop, a timer whose signal is ignored, and threads that change at any instruction.
    const clone = [lui(A0, 1), ori(A0, A0, 0x0f00), li(A1, 0), ...call(4120)];
    const seen = [false, true].map((quiet) => {
      const guest = startElf(tinyElf('mips', mipsCode('mips', [...clone, ...STAY])), { seed: 1 });
      const { timers, clock, signals } = guest.process.kernel;
      timers.setInterval(0, clock.now() + 5000, 20_011);
      signals.setAction(14, { ...signals.action(14), handler: SIG_IGN });
      const places: string[] = [];
      const source: InterruptSource = {
        next: (now) => Math.ceil(now / 7) * 7,
        fire: ({ machine }, { tid }) => {
          const { pc, inSlot } = machine.state;
          const { expires } = timers.interval(0);
          places.push(`${machine.instructions} ${tid} ${pc} ${inSlot} ${expires}`);
        },
        quiet,
      };
      for (const until of [50_000, 50_001, 300_000]) guest.process.run({ until, interrupts: [source] });
      return { places, instructions: guest.process.machine.instructions };
    });
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[0]!.places).toHaveLength(Math.ceil(300_001 / 7));
  });
});

describe('a change of threads', () => {
  test('in a delay slot is an interrupt: the thread goes on at the branch', () => {
    // Two threads in a loop of a branch and its slot; with a seed they change at any instruction.
    const clone = [lui(A0, 1), ori(A0, A0, 0x0f00), li(A1, 0), ...call(4120)];
    const guest = startElf(tinyElf('mips', mipsCode('mips', [...clone, ...STAY])), { seed: 1 });
    /** Of each change: whether the one thread was left in a slot, and the other one begins in one. */
    const changes: (readonly [left: boolean, begins: boolean])[] = [];
    let last = { tid: 0, inSlot: false };
    guest.process.run({
      until: 1_000_000,
      interrupts: [
        {
          next: (now) => now,
          fire: ({ machine }, { tid }) => {
            const { inSlot } = machine.state;
            if (tid !== last.tid) changes.push([last.inSlot, inSlot]);
            last = { tid, inSlot };
          },
        },
      ],
    });
    expect(guest.process.kernel.tasks).toHaveLength(2);
    expect(changes.length).toBeGreaterThan(10);
    expect(changes.some(([left]) => left)).toBe(true);
    expect(changes.every(([, begins]) => !begins)).toBe(true);
  });
});

test('a snapshot is the whole process: the same run again from there', () => {
  const guest = o32([li(T0, 0), mips.addiu(T0, T0, 1), sw(T0, 0, SP), b(-3), nop]);
  guest.process.run({ until: 1001 });
  const snapshot = guest.process.save();
  const run = (): bigint => {
    guest.process.run({ until: 5001 });
    return register(guest, 'R8');
  };
  const first = run();
  guest.process.restore(snapshot);
  expect(guest.process.machine.instructions).toBe(1001);
  expect(run()).toBe(first);
});
