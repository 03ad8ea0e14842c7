// The machine's loop: where an instruction may stand, where it stops, and flags that are put off until somebody looks at them.

import { describe, expect, it } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import type { Machine } from '../../src/engine/machine.ts';
import { bareMachine } from '../support/bare-machine.ts';
import { CODE_ADDRESS, execute } from '../support/driver.ts';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('on mips', () => {
  const isa = isaFor('mips');

  it('an address between instructions cannot be executed, though both of them have been', () => {
    // nop; jr $8; nop
    const bytes = hex('00000000 01000008 00000000');
    for (const [target, stop] of [
      [CODE_ADDRESS, 'done'],
      [CODE_ADDRESS + 2, { fault: 'alignment', address: CODE_ADDRESS + 2 }],
    ] as const) {
      const outcome = execute(isa, { bytes, registers: { R8: BigInt(target) }, count: 4 });
      expect(outcome.stop).toEqual(stop);
    }
  });
});

describe('a run that may end early', () => {
  // Instructions of a round, and where in it the branch backwards stands.
  const LOOPS = {
    // loop: addiu $2, $2, 1; addiu $3, $3, 2; bne $2, $4, loop; addiu $5, $5, 3; b forward; nop; forward: jal loop; nop
    mips: {
      code: '24420001 24630002 1444fffd 24a50003 10000001 00000000 0c004000 00000000',
      round: 4,
      branch: 2,
      at: 8,
    },
    // loop: inc eax; add ecx, 2; cmp eax, edx; jne loop; jmp forward; forward: call loop
    amd64: { code: 'ffc0 83c102 39d0 75f7 eb00 e8f0ffffff', round: 4, branch: 3, at: 7 },
  } as const;
  const ROUNDS = 50;

  describe.each(['mips', 'amd64'] as const)('on %s', (goarch) => {
    const isa = isaFor(goarch);
    const loop = LOOPS[goarch];

    function begin(engine: 'evaluated' | 'compiled', rounds = ROUNDS): Machine {
      const { machine } = bareMachine(isa, CODE_ADDRESS, hex(loop.code), [], engine === 'compiled' ? {} : undefined);
      machine.state.set(machine.state.register(goarch === 'mips' ? 'R4' : 'RDX'), BigInt(rounds));
      return machine;
    }

    describe.each(['evaluated', 'compiled'] as const)('%s', (engine) => {
      it('ends before the first branch backwards that is within the window', () => {
        const { round, branch, at } = loop;
        for (let budget = 60; budget < 60 + round; budget++) {
          const machine = begin(engine);
          const window = 10;
          expect(machine.run(budget, window)).toBe('budget');
          const first = Math.ceil((budget - window - branch) / round) * round + branch;
          expect(machine.instructions).toBe(first);
          expect(machine.state.pc).toBe(CODE_ADDRESS + at);
          expect(machine.atSwitchPoint).toBe(true);
        }
      });

      it('executes nothing where it stands before one already, and all of its budget without a window', () => {
        const machine = begin(engine);
        machine.run(60, 10);
        const before = machine.instructions;
        expect(machine.run(7, 7)).toBe('budget');
        expect(machine.instructions).toBe(before);
        expect(machine.run(7)).toBe('budget');
        expect(machine.instructions).toBe(before + 7);
      });

      it('goes on for as long as it is given more, and is asked where its budget has ended', () => {
        const machine = begin(engine);
        const given = [7, 1, 30, 0];
        const asked: number[] = [];
        const more = (): number => {
          asked.push(machine.instructions);
          return given[asked.length - 1]!;
        };
        expect(machine.run(20, 0, { more })).toBe('budget');
        expect(asked).toEqual([20, 27, 28, 58]);
        const other = begin(engine);
        other.run(58);
        expect(machine.state.save()).toEqual(other.state.save());
      });

      it('has no window in what it is given besides', () => {
        const machine = begin(engine);
        const { round } = loop;
        let asked = 0;
        // No branch backwards is within the window, but one is among the last instructions of what is given.
        const budget = 10 * round + loop.branch;
        const given = 2 * round + 1;
        machine.run(budget, round - 2, { more: () => (asked++ === 0 ? given : 0) });
        expect(machine.instructions).toBe(budget + given);
      });

      it('passes a breakpoint where it is told to, each time, whether or not that remains', () => {
        const { round, at } = loop;
        for (const remains of [true, false]) {
          const machine = begin(engine);
          machine.breakpoints = new Set([CODE_ADDRESS + at]);
          const asked: number[] = [];
          const passes = (): boolean => {
            expect(machine.state.pc).toBe(CODE_ADDRESS + at);
            asked.push(machine.instructions);
            if (!remains && asked.length === 3) machine.breakpoints = undefined;
            return asked.length <= 10;
          };
          expect(machine.run(10 * round, 0, { passes })).toBe('budget');
          expect(machine.instructions).toBe(10 * round);
          const all = Array.from({ length: 10 }, (_, i) => i * round + loop.branch);
          expect(asked).toEqual(remains ? all : all.slice(0, 3));
          const other = begin(engine);
          other.run(10 * round);
          expect(machine.state.save()).toEqual(other.state.save());
        }
      });

      it('stops at one that it is not to pass', () => {
        const machine = begin(engine);
        machine.breakpoints = new Set([CODE_ADDRESS + loop.at]);
        let asked = 0;
        expect(machine.run(100, 0, { passes: () => ++asked < 4 })).toBe('breakpoint');
        expect(machine.instructions).toBe(3 * loop.round + loop.branch);
      });

      it('ends at its budget where nothing within the window is a branch backwards', () => {
        const machine = begin(engine);
        const { round, branch } = loop;
        const budget = 10 * round + branch;
        expect(machine.run(budget, round - 2)).toBe('budget');
        expect(machine.instructions).toBe(budget);
      });

      it('does not end before calls, jumps forward and delay slots', () => {
        const machine = begin(engine, 1);
        // As far as the call, or its slot.
        const budget = goarch === 'mips' ? 7 : 5;
        machine.run(loop.branch, 0);
        expect(machine.atSwitchPoint).toBe(true);
        machine.run(1, 0);
        expect(machine.atSwitchPoint).toBe(false);
        machine.run(budget - loop.branch - 1, budget);
        expect(machine.instructions).toBe(budget);
        expect(machine.state.inSlot).toBe(goarch === 'mips');
      });
    });
  });
});

describe('flags on amd64', () => {
  const isa = isaFor('amd64');
  const FLAGS = ['CF', 'PF', 'AF', 'ZF', 'SF', 'OF'];

  function machineWith(code: string, registers: Readonly<Record<string, bigint>>): Machine {
    const { machine } = bareMachine(isa, CODE_ADDRESS, hex(code), [], undefined);
    for (const [name, value] of Object.entries(registers)) machine.state.set(machine.state.register(name), value);
    return machine;
  }

  const flagsOf = ({ state }: Machine): string =>
    FLAGS.filter((name) => state.get(state.register(name)) !== 0n).join(' ');

  // sub eax, ebx; mov ecx, eax; inc ecx; adc edx, 0; shl edx, 3; test edx, edx; sete al; stc; dec ecx; lea eax, [rax+1]
  const CODE = '29d8 89c1 ffc1 83d200 c1e203 85d2 0f94c0 f9 ffc9 8d4001';
  const COUNT = 10;

  it.each([
    [3n, 5n, 0n],
    [5n, 3n, 0xffffffffn],
    [0x80000000n, 1n, 0x1fffffffn],
    [0n, 0n, 0n],
  ])('are the same whether somebody looks after each instruction or only at the end: %d %d %d', (rax, rbx, rdx) => {
    const registers = { RAX: rax, RBX: rbx, RDX: rdx };
    for (let count = 1; count <= COUNT; count++) {
      const looked = machineWith(CODE, registers);
      const seen: string[] = [];
      for (let i = 0; i < count; i++) {
        looked.step();
        seen.push(flagsOf(looked));
      }
      const atOnce = machineWith(CODE, registers);
      expect(atOnce.run(count)).toBe('budget');
      expect(flagsOf(atOnce)).toBe(seen.at(-1));
      expect(atOnce.state.save()).toEqual(looked.state.save());
      const stepped = machineWith(CODE, registers);
      for (let i = 0; i < count; i++) stepped.step();
      expect(stepped.state.save()).toEqual(looked.state.save());
    }
  });

  it('are those that were written last, by an instruction or from outside', () => {
    // cmp eax, ebx; sete cl
    const machine = machineWith('39d8 0f94c1', { RAX: 1n, RBX: 2n });
    machine.step();
    machine.state.set(machine.state.register('ZF'), 1n);
    expect(flagsOf(machine)).toBe('CF PF AF ZF SF');
    machine.step();
    expect(machine.state.get(machine.state.register('RCX'))).toBe(1n);
  });

  it('that were put off do not outlive the state that they belong to', () => {
    const machine = machineWith('39d8', { RAX: 1n, RBX: 2n });
    const before = machine.state.save();
    machine.step();
    machine.state.load(before);
    expect(flagsOf(machine)).toBe('');
  });
});
