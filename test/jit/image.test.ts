// Compiled code from run to run: a run that begins with another's code executes the same instructions, and what does not fit is not used.

import { describe, expect, it } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { HOTTEST } from '../../src/engine/decode.ts';
import { parseSchedule, Session, type SessionEnd } from '../../src/index.ts';
import type { CompilerStats } from '../../src/jit/compiler.ts';
import { jit } from '../../src/jit/compiler.ts';
import { CodeDamaged, type CodeImage, type CodeStore, type MachineCode, type NativeCode } from '../../src/jit/image.ts';
import { NO_LINKS } from '../../src/jit/links.ts';
import { POLICY } from '../../src/jit/policy.ts';
import { readElf } from '../../src/object/elf.ts';
import { bareMachine } from '../support/bare-machine.ts';
import { GOARCHES, loadFixture } from '../support/fixtures.ts';
import { KeptCode } from '../support/kept-code.ts';
import { differences, extentsOf, lockstep, start } from '../support/lockstep.ts';

const RELEASE = '1.27';
/** Nothing is compiled before the run has ended, and then all that was executed, however long that takes. */
const LATE = { threshold: 1_000_000, restShare: Number.POSITIVE_INFINITY };

/** Runs a program of the fixtures to its end with a store. */
function run(
  bytes: Uint8Array,
  store: CodeStore,
  policy = {},
): { readonly instructions: number; readonly stats: CompilerStats; readonly decoded: number; readonly worked: number } {
  let stats: CompilerStats | undefined;
  const onStats = (s: CompilerStats): void => {
    stats = s;
  };
  const process = start(bytes, [], jit({ extents: extentsOf(readElf(bytes)), policy, onStats, store }));
  expect(process.run()).toMatchObject({ kind: 'exit', status: 0 });
  const decoded = [...process.machine.code.blocks()].flatMap((block) =>
    [...block.numbers].filter((number) => number > 0),
  );
  let worked = 0;
  process.machine.keepCode(() => worked++);
  return { instructions: process.machine.instructions, stats: stats!, decoded: decoded.length, worked };
}

describe.each(GOARCHES)('%s', (goarch) => {
  const bytes = loadFixture('hello', goarch, RELEASE);

  it('a second run begins with what the first one executed, and leaves the evaluator next to nothing', () => {
    const store = new KeptCode();
    const first = run(bytes, store, LATE);
    const second = run(bytes, store, LATE);
    expect(first.stats).toMatchObject({ restored: 0 });
    expect(first.stats.instructions).toBeGreaterThan(10_000);
    expect(second.stats.restored).toBe(first.stats.instructions);
    expect(second.instructions).toBe(first.instructions);
    expect(second.stats.instructions).toBeLessThan(first.stats.instructions / 20);
  });

  it('the second run adds what it came by in the middle of the code, and after a few there is nothing to add', () => {
    const store = new KeptCode();
    const runs = [1, 2, 3, 4, 5].map(() => run(bytes, store, LATE));
    expect(runs[2]!.stats.restored).toBeGreaterThan(runs[1]!.stats.restored);
    expect(runs[4]!.stats).toMatchObject({ instructions: 0, flushes: 0 });
    // Whoever waits for the end of a run is told of the work that it makes.
    expect(runs[0]!.worked).toBeGreaterThan(0);
    expect(runs[4]!.worked).toBe(0);
    expect(new Set(runs.map(({ instructions }) => instructions)).size).toBe(1);
    // Calls of the kernel and of places in the middle of functions are compiled too.
    expect(runs.map(({ decoded }) => decoded)).toEqual([expect.any(Number), expect.any(Number), 0, 0, 0]);
  });

  it('what compiled code has found by itself the next run finds so from the start', () => {
    const store = new KeptCode();
    for (let i = 0; i < 3; i++) run(bytes, store, LATE);
    const unlinked = store.with(() => ({ linkedEntries: NO_LINKS }));
    const [enters, without] = [store, unlinked].map((from) => run(bytes, from, LATE).stats.enters);
    expect(2 * enters!).toBeLessThan(without!);
  });

  it('the state is the same all the way as in the evaluator', () => {
    const store = new KeptCode();
    for (let i = 0; i < 3; i++) run(bytes, store, LATE);
    const agreement = lockstep({ bytes, every: 1777, until: 500_000, store });
    expect(agreement.parted).toBeUndefined();
    expect(agreement.stats.restored).toBeGreaterThan(10_000);
  });
});

it('the places at which an earlier run was left in the middle of the code are entered', () => {
  // inc rax, eight times; jmp to the first
  const loop = [...Array.from({ length: 8 }, () => [0x48, 0xff, 0xc0]).flat(), 0xeb, 0xe6];
  const store = new KeptCode();
  const enters = [1, 2, 3].map(() => {
    const { machine, stats } = bareMachine(isaFor('amd64'), 0x100000, loop, [], { store });
    machine.run(5);
    for (let i = 0; i < 20; i++) {
      machine.run(3);
      machine.run(6);
    }
    machine.keepCode();
    return stats().enters;
  });
  // At the beginning of each round, and then at both places in its middle. Where the first budget was too small it goes on by two bridges,
  // which the host has to wake the first time.
  expect(enters.slice(1)).toEqual([1 + 20, 3 + 2 * 20]);
});

it('what is arrived at more often than can be counted is compiled when the run is over, as the hottest', () => {
  // inc rax; jmp to it
  const loop = [0x48, 0xff, 0xc0, 0xeb, 0xfb];
  const store = new KeptCode();
  const { machine, stats } = bareMachine(isaFor('amd64'), 0x100000, loop, [], { store, policy: LATE });
  machine.run(2 * (HOTTEST + 1000));
  expect(stats()).toMatchObject({ units: 0, enters: 0 });
  expect(machine.code.block(0x100000).heat[machine.code.index(0x100000)]).toBe(HOTTEST);
  machine.keepCode();
  expect(stats().units).toBe(1);
});

it('what an earlier run did not execute is compiled, although it was urgent before anything was', () => {
  // dec ecx; jne to it; dec edx; jne to that; nop
  const loops = [0xff, 0xc9, 0x75, 0xfc, 0xff, 0xca, 0x75, 0xfc, 0x90];
  const store = new KeptCode();
  const policy = { threshold: 10, urgent: 20, warmUp: 1000 };
  const units = [
    { RCX: 5000n, RDX: 1n },
    { RCX: 1n, RDX: 5000n },
  ].map((registers) => {
    const { machine, stats } = bareMachine(isaFor('amd64'), 0x100000, loops, [], { store, policy });
    for (const [name, value] of Object.entries(registers)) machine.state.set(machine.state.register(name), value);
    machine.run(9000);
    const made = stats().units;
    machine.keepCode();
    return made;
  });
  expect(units).toEqual([1, 1]);
});

it('a machine whose code has been kept goes on, with what it compiles anew', () => {
  // inc rax; inc rcx; jmp to the first
  const loop = [0x48, 0xff, 0xc0, 0x48, 0xff, 0xc1, 0xeb, 0xf8];
  const store = new KeptCode();
  const { machine, stats } = bareMachine(isaFor('amd64'), 0x100000, loop, [], { store });
  machine.run(300);
  const { units } = stats();
  machine.keepCode();
  expect(store.images.size).toBe(1);
  machine.run(300);
  expect(machine.state.get(machine.state.register('RAX'))).toBe(200n);
  expect(stats().units).toBeGreaterThan(units);
});

it('so does one whose code was about to be kept when something went wrong', () => {
  const bytes = loadFixture('hello', 'amd64', RELEASE);
  const ends = [jit({ extents: extentsOf(readElf(bytes)), policy: LATE, store: new KeptCode() }), undefined].map(
    (compiler) => {
      const process = start(bytes, [], compiler);
      process.run({ until: 200_000 });
      const tell = (): never => {
        throw new RangeError('as the test wants it');
      };
      if (compiler !== undefined) expect(() => process.machine.keepCode(tell)).toThrow(RangeError);
      return { ...process.run(), instructions: process.machine.instructions };
    },
  );
  expect(ends[0]).toEqual(ends[1]);
});

it('a run that says where it may stop later begins with the code that was kept for that, and stops there', () => {
  // inc rax; inc rcx; jmp to the first
  const loop = [0x48, 0xff, 0xc0, 0x48, 0xff, 0xc1, 0xeb, 0xf8];
  const stop = new Set([0x100003]);
  const store = new KeptCode();
  const runs = [1, 2].map(() => {
    const { machine, stats } = bareMachine(isaFor('amd64'), 0x100000, loop, [], { store });
    machine.futureBreakpoints = stop;
    expect(machine.run(300)).toBe('budget');
    const { restored } = stats();
    machine.breakpoints = stop;
    expect(machine.run(300)).toBe('breakpoint');
    expect(machine.state.pc).toBe(0x100003);
    machine.breakpoints = undefined;
    expect(machine.run(300)).toBe('budget');
    machine.keepCode();
    return { restored, flushes: stats().flushes };
  });
  expect(runs).toEqual([
    { restored: 0, flushes: 0 },
    { restored: expect.any(Number), flushes: 0 },
  ]);
  expect(runs[1]!.restored).toBeGreaterThan(0);
});

it('a machine goes on when what it has compiled is kept, and when there was nothing new to keep', () => {
  // inc rax; inc rcx; jmp to the first
  const loop = [0x48, 0xff, 0xc0, 0x48, 0xff, 0xc1, 0xeb, 0xf8];
  const store = new KeptCode();
  const evaluated = bareMachine(isaFor('amd64'), 0x100000, loop, [], undefined).machine;
  evaluated.run(600);
  const saved = [1, 2, 3, 4].map(() => {
    const { machine } = bareMachine(isaFor('amd64'), 0x100000, loop, [], { store, policy: { restArrivals: 0 } });
    const before = [...store.images.values()];
    machine.run(300);
    machine.keepCode();
    expect(machine.run(300)).toBe('budget');
    expect(differences(isaFor('amd64'), evaluated, machine)).toEqual([]);
    return [...store.images.values()].some((image) => !before.includes(image));
  });
  expect(saved[0]).toBe(true);
  expect(saved.at(-1)).toBe(false);
});

it('a long way from the middle of the code is gone part by part, a run after the other', () => {
  const store = new KeptCode();
  // inc eax, 800 times; jmp to the first
  const loop = [...Array.from({ length: 800 }, () => [0xff, 0xc0]).flat(), 0xe9, ...[0xbb, 0xf9, 0xff, 0xff]];
  const made = [1, 2, 3].map(() => {
    const { machine, stats } = bareMachine(isaFor('amd64'), 0x100000, loop, [], { store });
    machine.run(4000);
    for (let i = 0; i < 20; i++) {
      machine.run(20);
      machine.run(781);
    }
    const { units, instructions } = stats();
    machine.keepCode();
    return { units: stats().units - units, instructions: stats().instructions - instructions };
  });
  for (const { units, instructions } of made.slice(1)) {
    expect(units).toBeGreaterThan(0);
    expect(instructions).toBeLessThanOrEqual(200 * units);
  }
});

describe('code of another run', () => {
  const bytes = loadFixture('hello', 'amd64', RELEASE);
  const other = loadFixture('calls', 'amd64', RELEASE);
  const store = new KeptCode();
  run(bytes, store, LATE);

  it('is in few modules', () => {
    const { modules, held } = [...store.images.values()][0]!;
    expect(modules.length).toBeLessThan(held / POLICY.packInstructions + 3);
  });

  it('has what computes its flags', () => {
    expect([...store.images.values()][0]!.settler).toBeGreaterThanOrEqual(0);
  });

  it('is not used where the pages that it was compiled from have other bytes', () => {
    const { pageSums } = [...store.images.values()][0]!;
    const changed = store.with(() => ({ pageSums: pageSums.map((sum, i) => (i === 3 ? sum ^ 1 : sum)) }));
    expect(run(bytes, changed).stats.restored).toBe(0);
    expect(
      run(
        other,
        store.with(() => ({})),
      ).stats.restored,
    ).toBe(0);
  });

  it('is not used where its numbers of flags mean something else', () => {
    const lists = [...store.images.values()][0]!.flags;
    const twice = lists.map((list, i) => (i === 1 ? { ...list, number: lists[0]!.number } : list));
    expect(
      run(
        bytes,
        store.with(() => ({ flags: twice })),
      ).stats.restored,
    ).toBe(0);
  });

  it.each([
    ['what computes its flags', (settler: number, [first]: readonly number[]) => first === settler],
    ['the rest', (settler: number, [first]: readonly number[]) => first !== settler],
  ])('is made anew where %s cannot be read any more', (_what, isDamaged) => {
    const damaged = store.with(({ modules, settler }) => ({
      modules: modules.map((module) =>
        isDamaged(settler, module.slots)
          ? {
              ...module,
              get bytes(): never {
                throw new CodeDamaged('as the test wants it');
              },
            }
          : module,
      ),
    }));
    const { instructions, stats } = run(bytes, damaged, LATE);
    expect(instructions).toBe(run(bytes, store, LATE).instructions);
    expect(stats).toMatchObject({ flushes: 1 });
    expect(stats.restored).toBeGreaterThan(10_000);
    expect(run(bytes, damaged).stats.flushes).toBe(0);
  });

  it('stands on modules made of the machine code of the run before, unless the host does not accept it', () => {
    let accepts = true;
    const restored: number[] = [];
    const native: NativeCode = {
      of: (module) => ({ code: module.slice(), shell: new Uint8Array(0) }),
      restore: ({ code }: MachineCode) => {
        if (!accepts) return undefined;
        restored.push(code.length);
        return new WebAssembly.Module(code);
      },
      makeRoom: () => undefined,
    };
    const kept = Object.assign(new KeptCode(), { native });
    const host = (): CodeImage['host'] => [...kept.images.values()][0]!.host;
    run(bytes, kept, LATE);
    expect(restored).toEqual([]);
    const { support, driver } = host()!;
    run(bytes, kept, LATE);
    expect(restored.slice(0, 2)).toEqual([support.code.length, driver.code.length]);
    accepts = false;
    support.code.fill(0);
    const { instructions } = run(bytes, kept, LATE);
    expect(instructions).toBe(run(bytes, new KeptCode(), LATE).instructions);
    expect(host()!.support.code.slice(0, 4)).toEqual(Uint8Array.of(0, 0x61, 0x73, 0x6d));
  });

  it('grows by what a run with other arguments executes', () => {
    const bench = loadFixture('bench', 'amd64', RELEASE);
    const both = new KeptCode();
    const session = (...args: string[]): number => {
      const opened = Session.open(bench, { path: 'bench', args, codeStore: both, stdout: () => {}, stderr: () => {} });
      expect(opened.run()).toMatchObject({ kind: 'exit', status: 0 });
      opened.keepCode();
      return [...both.images.values()][0]!.held;
    };
    const hello = session('hello');
    const fannkuch = session('fannkuch');
    expect(fannkuch).toBeGreaterThan(hello);
  });

  it('serves preempted runs as well, by what they watch', () => {
    const calls = loadFixture('calls', 'mips', RELEASE);
    const kept = new KeptCode();
    const preempted = (): [SessionEnd, unknown, number] => {
      const schedule = parseSchedule('every=1009');
      const session = Session.open(calls, {
        path: 'calls',
        schedule,
        codeStore: kept,
        hostTimes: true,
        stdout: () => {},
      });
      const end = session.run();
      session.keepCode();
      const { interrupts, host } = session.stats(end, 0);
      return [end, interrupts, host!.restored];
    };
    const [end, interrupts, restored] = preempted();
    expect(restored).toBe(0);
    const again = preempted();
    expect(again.slice(0, 2)).toEqual([end, interrupts]);
    expect(again[2]).toBeGreaterThan(10_000);
  });
});
