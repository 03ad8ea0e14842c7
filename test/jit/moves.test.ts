// Repeated moves: as many at once as there may be, and in every way that one can tell as if each had been done by itself.

import { describe, expect, it } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import type { Machine } from '../../src/engine/machine.ts';
import { PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { HELPERS } from '../../src/jit/helpers.ts';
import { supportModule } from '../../src/jit/support.ts';
import { bareMachine, FORMS, watch } from '../support/bare-machine.ts';
import { differences } from '../support/lockstep.ts';
import { Random } from '../support/random.ts';

const isa = isaFor('amd64');
const CODE = 0x100000;
const DATA = 0x200000;
const SIZE = 0x8000;
const PAGES = [{ at: DATA, size: SIZE, protection: PROT_READ | PROT_WRITE }];

/** The moves, each followed by a jump back to itself, so that one is as hot as the next. */
const MOVES = {
  movsb: [0xf3, 0xa4],
  movsw: [0xf3, 0x66, 0xa5],
  movsd: [0xf3, 0xa5],
  movsq: [0xf3, 0x48, 0xa5],
  'movsq of 32 bits of address': [0xf3, 0x67, 0x48, 0xa5],
} as const;
const BYTES = { movsb: 1, movsw: 2, movsd: 4, movsq: 8, 'movsq of 32 bits of address': 8 } as const;

function begin(name: keyof typeof MOVES, compiled: Parameters<typeof bareMachine>[4]): Machine {
  const code = MOVES[name];
  const { machine } = bareMachine(isa, CODE, [...code, 0xeb, -(code.length + 2) & 0xff], PAGES, compiled);
  for (let i = 0; i < SIZE; i += 4) machine.memory.writeU32(DATA + i, Math.imul(i, 0x9e3779b1) >>> 0);
  return machine;
}

function setMove(machine: Machine, from: number, to: number, count: number, down: boolean): void {
  const set = (register: string, value: number): void =>
    machine.state.set(machine.state.register(register), BigInt(value));
  set('RSI', from);
  set('RDI', to);
  set('RCX', count);
  set('DF', Number(down));
}

const memoryOf = (machine: Machine): Uint8Array => {
  const bytes = new Uint8Array(SIZE);
  for (let i = 0; i < SIZE; i++) bytes[i] = machine.memory.readU8(DATA + i);
  return bytes;
};

describe.each(FORMS)('code that is %s', (_, visits) => {
  const policy = { visits, bridgeThreshold: 2, exactThreshold: 2, bridgeBatch: 1 };
  it.each(Object.keys(MOVES) as (keyof typeof MOVES)[])(
    '%s does what the evaluator does, wherever it is stopped',
    (name) => {
      const random = new Random(7);
      const compiled = begin(name, { policy });
      const evaluated = begin(name, undefined);
      const bytes = BYTES[name];
      for (let round = 0; round < 120; round++) {
        const down = random.below(4) === 0;
        const count = random.below(600);
        const from = DATA + 0x2800 + random.below(0x3000);
        // Near to the source, on either side, every third time.
        const to = round % 3 === 0 ? from + random.below(64) - 32 : DATA + 0x2800 + random.below(0x3000);
        for (const machine of [compiled, evaluated])
          setMove(machine, from, to, count * Math.min(bytes, 4) < 0x2000 ? count : 8, down);
        for (let left = count + 2; left > 0; ) {
          const budget = 1 + random.below(900);
          const window = random.below(3) === 0 ? random.below(300) : 0;
          for (const machine of [compiled, evaluated]) machine.run(budget, window);
          expect(compiled.instructions).toBe(evaluated.instructions);
          expect(differences(isa, evaluated, compiled)).toEqual([]);
          left -= budget;
        }
        for (const machine of [compiled, evaluated]) machine.run(2000);
      }
      expect(memoryOf(compiled)).toEqual(memoryOf(evaluated));
    },
  );

  it('each is still told of and counted where somebody wants that', () => {
    const [told, evaluated] = [{ policy }, undefined].map((how) => {
      const machine = begin('movsq', how);
      const seen = watch(machine);
      for (let round = 0; round < 10; round++) {
        setMove(machine, DATA, DATA + 0x4000, 300, false);
        machine.run(302);
      }
      machine.settleCounts();
      return seen;
    });
    expect(told).toEqual(evaluated);
  });
});

it('moves nothing beyond a page, nothing that is not known, and nothing that it would read again', () => {
  const { machine } = bareMachine(isa, CODE, [0x90], PAGES, undefined);
  const { memory } = machine;
  const nobody = Object.fromEntries(HELPERS.map((name) => [name, () => 0]));
  const e = { m: memory.wasm, t: new WebAssembly.Table({ element: 'anyfunc', initial: 1 }) };
  const pages = memory.wasm.buffer.byteLength / 65536;
  const module = new WebAssembly.Module(supportModule(isa, pages));
  const { moves } = new WebAssembly.Instance(module, { e, h: nobody }).exports as {
    moves: (source: bigint, destination: bigint, most: number, bytes: number) => number;
  };
  const move = (from: number, to: number, most: number): number => moves(BigInt(from), BigInt(to), most, 8);
  const [first, second, third] = [DATA, DATA + 0x1000, DATA + 0x2000] as const;
  // What is written and read from outside comes to be known.
  memory.writeU32(first + 16, 0x12345678);
  memory.writeU32(second, 0);
  expect(move(first, second, 20)).toBe(20);
  expect(memory.readU32(second + 16)).toBe(0x12345678);
  expect(move(first + 0xfe0, second, 20)).toBe(4);
  expect(move(first, second + 0xffc, 20)).toBe(0);
  expect(move(first, third, 20)).toBe(0);
  expect(move(third, first, 20)).toBe(0);
  // A page that was only read is known to be readable.
  memory.readU32(third);
  expect([move(first, third, 20), move(third, first, 20)]).toEqual([0, 20]);
  expect([move(first, first + 8, 20), move(first, first + 160, 20), move(first + 8, first, 20)]).toEqual([0, 20, 20]);
});

it('a fault in the middle finds the turns before it done', () => {
  const ends = [{}, undefined].map((how) => {
    const machine = begin('movsq', how);
    for (let round = 0; round < 10; round++) {
      setMove(machine, DATA, DATA + 0x4000, 100, false);
      machine.run(102);
    }
    setMove(machine, DATA, DATA + SIZE - 400, 500, false);
    expect(machine.run(10_000)).toBe('fault');
    const register = (name: string): bigint => machine.state.get(machine.state.register(name));
    return { at: machine.fault.address, done: [register('RSI'), register('RDI'), register('RCX')] };
  });
  expect(ends[0]).toEqual(ends[1]);
  expect(ends[0]!.done).toEqual([BigInt(DATA + 400), BigInt(DATA + SIZE), 450n]);
});
