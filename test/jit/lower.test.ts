// The two meanings of the vocabulary, held against each other: every operation, on random and on awkward operands, under each NaN rule.

import { describe, expect, test } from 'vitest';
import { amd64Isa } from '../../isa/amd64/index.ts';
import type { AccessBytes, BinaryName, CompareName, Rounding, UnaryName } from '../../isa/dsl/effects.ts';
import { VECTOR_OPS, type VectorName } from '../../isa/dsl/vector.ts';
import type { Variant } from '../../isa/index.ts';
import { MIPS } from '../../isa/mips/targets/mips.ts';
import { MIPS64LE } from '../../isa/mips/targets/mips64le.ts';
import { PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { bareMachine } from '../support/bare-machine.ts';
import { Random } from '../support/random.ts';
import { type ToyEffect, type ToyRegisters, toyIsa } from '../support/toy-isa.ts';

const CODE = 0x10000;
const DATA = 0x20000;
const PAGES = 4;

interface Case {
  readonly name: string;
  readonly effect: ToyEffect;
  /** Registers that hold addresses in the data area, of the width of the target. */
  readonly addresses?: boolean;
}

const INTS = ['i32', 'i64'] as const;
const BINARIES: readonly BinaryName[] = 'add sub mul and or xor shl shr sar rotl rotr divu divs remu rems'.split(
  ' ',
) as BinaryName[];
const COMPARES: readonly CompareName[] = ['eq', 'ne', 'ltu', 'lts', 'leu', 'les'];
const UNARIES: readonly UnaryName[] = ['clz', 'ctz', 'popcnt', 'sext8', 'sext16', 'bswap'];
const ROUNDINGS: readonly Rounding[] = ['nearest', 'zero', 'ceil', 'floor'];

const result = (r: ToyRegisters, type: string) => (type === 'i32' ? r.r32 : type === 'i64' ? r.r64 : r.r128);
const bank = (r: ToyRegisters, type: 'i32' | 'i64' | 'v128') => r[type];

function* cases(variant: Variant): Iterable<Case> {
  for (const type of INTS) {
    for (const name of BINARIES)
      yield {
        name: `${name}.${type}`,
        effect: (e, r) => e.set(result(r, type), e.binary(name, e.get(r[type][0]!), e.get(r[type][1]!))),
      };
    for (const name of COMPARES)
      yield {
        name: `${name}.${type}`,
        effect: (e, r) => e.set(r.r32, e.compare(name, e.get(r[type][0]!), e.get(r[type][1]!))),
      };
    for (const name of UNARIES)
      yield { name: `${name}.${type}`, effect: (e, r) => e.set(result(r, type), e.unary(name, e.get(r[type][0]!))) };
    for (const name of ['fadd', 'fsub', 'fmul', 'fdiv'] as const)
      yield {
        name: `${name}.${type}`,
        effect: (e, r) => e.set(result(r, type), e.float(name, e.get(r[type][0]!), e.get(r[type][1]!))),
      };
    for (const name of ['feq', 'flt', 'fle', 'funord'] as const)
      yield {
        name: `${name}.${type}`,
        effect: (e, r) => e.set(r.r32, e.floatCompare(name, e.get(r[type][0]!), e.get(r[type][1]!))),
      };
    yield { name: `fsqrt.${type}`, effect: (e, r) => e.set(result(r, type), e.fsqrt(e.get(r[type][0]!))) };
    for (const to of INTS) {
      yield {
        name: `intToFloat.${type}.${to}`,
        effect: (e, r) => e.set(result(r, to), e.intToFloat(e.get(r[type][0]!), to)),
      };
      for (const rounding of ROUNDINGS)
        yield {
          name: `floatToInt.${type}.${to} ${rounding}`,
          effect: (e, r) =>
            e.set(
              result(r, to),
              e.floatToInt(e.get(r[type][0]!), rounding, to, 0x8000000000000000n >> (to === 'i32' ? 32n : 0n)),
            ),
        };
    }
  }
  for (const type of ['i32', 'i64', 'v128'] as const)
    yield {
      name: `select.${type}`,
      effect: (e, r) =>
        e.set(result(r, type), e.select(e.get(r.i32[2]!), e.get(bank(r, type)[0]!), e.get(bank(r, type)[1]!))),
    };
  for (const name of ['mulhu', 'mulhs'] as const)
    yield { name, effect: (e, r) => e.set(r.r64, e.binary(name, e.get(r.i64[0]!), e.get(r.i64[1]!))) };
  for (const name of ['divu128', 'remu128'] as const) {
    yield { name, effect: (e, r) => e.set(r.r64, e[name](e.get(r.i64[0]!), e.get(r.i64[1]!), e.get(r.i64[2]!))) };
    yield {
      name: `${name}, high half 0`,
      effect: (e, r) => e.set(r.r64, e[name](e.const('i64', 0), e.get(r.i64[1]!), e.get(r.i64[2]!))),
    };
  }
  yield { name: 'wrap', effect: (e, r) => e.set(r.r32, e.wrap(e.get(r.i64[0]!))) };
  yield { name: 'extendS', effect: (e, r) => e.set(r.r64, e.extendS(e.get(r.i32[0]!))) };
  yield { name: 'extendU', effect: (e, r) => e.set(r.r64, e.extendU(e.get(r.i32[0]!))) };
  yield { name: 'widen', effect: (e, r) => e.set(r.r64, e.widen(e.get(r.i32[0]!))) };
  yield { name: 'narrow', effect: (e, r) => e.set(r.r32, e.narrow(e.get(r.i64[0]!))) };
  yield { name: 'cycles', effect: (e, r) => e.set(r.r64, e.cycles()) };
  yield { name: 'const128', effect: (e, r) => e.set(r.r128, e.v128(0x0123456789abcdefn, 0xfedcba9876543210n)) };
  yield {
    name: 'pc',
    effect: (e, r) => e.set(variant.width === 64 ? r.r64 : r.r32, e.pc(12)),
  };
  yield {
    name: 'a register set while an older value of it is wanted',
    effect: (e, r) => {
      const old = e.get(r.i64[0]!);
      const other = e.get(r.i64[1]!);
      e.set(r.i64[0]!, other);
      e.set(r.i64[1]!, old);
      e.set(r.r64, e.sub(old, e.get(r.i64[0]!)));
    },
  };
  for (const [name, row] of Object.entries(VECTOR_OPS)) {
    const lanes = name.startsWith('i8x16') ? 16 : name.startsWith('i16x8') ? 8 : name.startsWith('i32x4') ? 4 : 2;
    const variants = row.immediates === 1 ? lanes : 1;
    for (let lane = 0; lane < variants; lane++) {
      yield {
        name: row.immediates === 1 ? `${name} ${lane}` : name,
        effect: (e, r) => {
          const used = { i32: 0, i64: 0, v128: 0 };
          const operands = row.operands.map((type) => e.get(bank(r, type)[used[type]++]!));
          const imm =
            row.immediates === 16
              ? [3, 31, 0, 16, 7, 7, 25, 1, 15, 14, 30, 2, 8, 9, 20, 11]
              : row.immediates === 1
                ? [lane]
                : [];
          e.set(result(r, row.result), e.vector(name as VectorName, operands, imm));
        },
      };
    }
    if (row.operands[1] === 'i32' && row.immediates === 0)
      yield {
        name: `${name}, small count`,
        effect: (e, r) =>
          e.set(r.r128, e.vector(name as VectorName, [e.get(r.v128[0]!), e.and(e.get(r.i32[0]!), e.const('i32', 31))])),
      };
  }
  const sizes: readonly (readonly [AccessBytes, 'i32' | 'i64' | 'v128'])[] = [
    [1, 'i32'],
    [2, 'i32'],
    [4, 'i32'],
    [1, 'i64'],
    [2, 'i64'],
    [4, 'i64'],
    [8, 'i64'],
    ...(variant.bigEndian ? [] : ([[16, 'v128']] as const)),
  ];
  const word = variant.width === 64 ? 'i64' : 'i32';
  for (const [bytes, type] of sizes) {
    for (const align of ['any', 'natural', 'strict'] as const) {
      yield {
        name: `load${bytes * 8}.${type} ${align}`,
        addresses: true,
        effect: (e, r) => e.set(result(r, type), e.load(bytes, e.get(r[word][2]!), type, { align })),
      };
      yield {
        name: `store${bytes * 8}.${type} ${align}`,
        addresses: true,
        effect: (e, r) => e.store(bytes, e.get(r[word][2]!), e.get(bank(r, type)[0]!), { align }),
      };
    }
    yield {
      name: `load${bytes * 8}.${type} when`,
      addresses: true,
      effect: (e, r) => e.set(result(r, type), e.load(bytes, e.get(r[word][2]!), type, { when: e.get(r.i32[0]!) })),
    };
    yield {
      name: `store${bytes * 8}.${type} when`,
      addresses: true,
      effect: (e, r) => e.store(bytes, e.get(r[word][2]!), e.get(bank(r, type)[1]!), { when: e.get(r.i32[0]!) }),
    };
  }
  for (const kind of ['overflow', 'trap'] as const)
    yield {
      name: `trapIf ${kind}`,
      effect: (e, r) => {
        e.trapIf(e.lts(e.get(r.i64[0]!), e.get(r.i64[1]!)), kind, 5);
        e.set(r.r32, e.get(r.i32[0]!));
      },
    };
}

const DATA_PAGES = [
  { at: DATA, size: PAGES * 4096, protection: PROT_READ | PROT_WRITE },
  { at: DATA + PAGES * 4096, size: 4096, protection: PROT_READ },
];

const VARIANTS: readonly Variant[] = [amd64Isa().variant, MIPS64LE, MIPS];

describe.each(VARIANTS)('lowering for $goarch', (variant) => {
  describe.each([
    ['fast', 0],
    ['short', 1 << 20],
  ])('%s', (_how, visits) => {
    const all = [...cases(variant)];
    const { isa, registers } = toyIsa(
      variant,
      all.map((c) => c.effect),
    );
    const length = variant.delaySlot ? 3 : 2;

    test.each(all.map((c, i) => [c.name, i] as const))('%s means what the evaluator says', (_name, i) => {
      const c = all[i]!;
      const word = (op: number): number[] => [op & 0xff, op >> 8, 0, 0];
      const code = [...word(i), ...word(0xffff), ...word(0xfffe)];
      const { machine: evaluated } = bareMachine(isa, CODE, code, DATA_PAGES, undefined);
      const { machine: compiled, stats } = bareMachine(isa, CODE, code, DATA_PAGES, { policy: { visits } });
      const both = [evaluated, compiled];
      const random = new Random(i + 1);
      for (const m of both) {
        m.memory.write(
          DATA,
          Uint8Array.from({ length: PAGES * 4096 }, (_, k) => (k * 7 + (k >> 8)) & 0xff),
          true,
        );
        // Once round, so that the loop is compiled.
        if (c.addresses === true) m.state.set(registers[variant.width === 64 ? 'i64' : 'i32'][2]!, BigInt(DATA));
        m.state.set(registers.i64[1]!, 0n);
        m.run(2 * length);
        expect(m.state.pc).toBe(CODE);
      }
      for (let round = 0; round < 80; round++) {
        for (const r of isa.registers.all) {
          if (Object.values(isa.registers.control).includes(r)) continue;
          const value = r.type === 'v128' ? random.value() | (random.value() << 64n) : random.value();
          for (const m of both) m.state.set(r, value);
        }
        if (c.addresses === true) {
          const near = random.pick([
            DATA + 8,
            DATA + 4096 - 16,
            DATA + 2 * 4096 - 8,
            DATA + PAGES * 4096 - 8,
            DATA + PAGES * 4096 + 100,
          ]);
          const address = BigInt(near + random.below(24)) + (random.below(40) === 0 ? 1n << 40n : 0n);
          for (const m of both) m.state.set(registers[variant.width === 64 ? 'i64' : 'i32'][2]!, address);
        }
        const stops = both.map((m) => m.run(length));
        expect(stops[1]).toBe(stops[0]);
        // Compared by hand: an `expect` for each register would take minutes.
        const wrong: string[] = [];
        if (compiled.instructions !== evaluated.instructions) wrong.push('instructions');
        if (stops[0] === 'fault' && `${compiled.fault}` !== `${evaluated.fault}`)
          wrong.push(`${compiled.fault}, not ${evaluated.fault}`);
        for (const r of isa.registers.all) {
          const [is, should] = [compiled.state.get(r), evaluated.state.get(r)];
          if (r !== isa.registers.control.pending && is !== should)
            wrong.push(`${r.name} ${is.toString(16)}, not ${should.toString(16)}`);
        }
        if (c.addresses === true && c.name.startsWith('store')) {
          const [is, should] = both.map((m) => m.memory.read(DATA, PAGES * 4096));
          if (Buffer.compare(is!, should!) !== 0) wrong.push('memory');
        }
        expect(wrong).toEqual([]);
        for (const m of both) m.state.jump(CODE);
      }
      expect(stats().enters).toBeGreaterThan(60);
    });
  });
});
