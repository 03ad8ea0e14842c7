// An instruction set made of given effects, one per opcode: to try the vocabulary itself.

import { RegisterFileBuilder } from '../../isa/dsl/registers.ts';
import type { Decoded, Effects, Isa, Register, Variant } from '../../isa/index.ts';

export interface ToyRegisters {
  /** Three registers of each type to read, and one of each to write. */
  readonly i32: readonly Register[];
  readonly i64: readonly Register[];
  readonly v128: readonly Register[];
  readonly r32: Register;
  readonly r64: Register;
  readonly r128: Register;
}

export type ToyEffect = (e: Effects, r: ToyRegisters) => void;

/** Opcode 0xffff branches to the instruction before it, 0xfffe is a no-op; every instruction takes four bytes, the first two the opcode. */
export function toyIsa(variant: Variant, effects: readonly ToyEffect[]): { isa: Isa; registers: ToyRegisters } {
  const builder = new RegisterFileBuilder();
  const bank = (name: string, type: 'i32' | 'i64' | 'v128'): Register[] =>
    [0, 1, 2].map((n) => builder.add(`${name}${n}`, type));
  const registers: ToyRegisters = {
    i32: bank('i', 'i32'),
    i64: bank('l', 'i64'),
    v128: bank('v', 'v128'),
    r32: builder.add('r32', 'i32'),
    r64: builder.add('r64', 'i64'),
    r128: builder.add('r128', 'v128'),
  };
  const decoded = (opcode: number): Decoded | undefined => {
    const effect: ToyEffect | undefined =
      opcode === 0xffff ? (e) => e.branch(e.pc(-4)) : opcode === 0xfffe ? () => undefined : effects[opcode];
    if (effect === undefined) return undefined;
    return {
      clause: { name: `op${opcode}`, family: 'toy', pattern: '' },
      length: 4,
      effect: (e) => effect(e, registers),
      text: () => `op${opcode}`,
    };
  };
  return {
    registers,
    isa: {
      variant,
      registers: builder.build(),
      maxLength: 4,
      quantum: 4,
      clauses: [],
      decode: (bytes, offset) => decoded(bytes[offset]! | (bytes[offset + 1]! << 8)),
    },
  };
}
