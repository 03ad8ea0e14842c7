// The register file of a description: names, types and places in the state block.

import type { Type } from './effects.ts';

/** One register. `offset` is in bytes from the start of the state block, aligned to the register's size. */
export interface Register {
  readonly name: string;
  readonly type: Type;
  readonly offset: number;
}

/** The registers that the engine itself moves. Each holds an i64, whatever the width of the target. */
export interface ControlRegisters {
  /** Address of the instruction to execute next; in a delay slot the slot's own address. */
  readonly pc: Register;
  /** Where control goes after the delay slot. Meaningful while `slot` is 1. */
  readonly pending: Register;
  /** i32: 1 when the instruction to execute next stands in a delay slot. */
  readonly slot: Register;
}

/**
 * Status flags in the usual sense, each an i32 of 0 or 1: nearly every instruction sets them, few read them. An engine may put off
 * computing them, and may read `sign != overflow` after a subtraction as the comparison that it is.
 */
export interface FlagRegisters {
  readonly carry: Register;
  readonly zero: Register;
  readonly sign: Register;
  readonly overflow: Register;
  /** These four and the others that are set along with them. */
  readonly all: readonly Register[];
}

export interface RegisterFile {
  readonly control: ControlRegisters;
  /** Every register, control registers included, in display order. */
  readonly all: readonly Register[];
  readonly byName: ReadonlyMap<string, Register>;
  readonly flags: FlagRegisters | undefined;
  /** Bytes that the state block takes. */
  readonly size: number;
}

const SIZES: Readonly<Record<Type, number>> = { i32: 4, i64: 8, v128: 16 };

/** Bytes that a value of this type takes. */
export const sizeOf = (type: Type): number => SIZES[type];

/** Lays registers out one after another. The control registers always come first, at fixed offsets. */
export class RegisterFileBuilder {
  readonly #all: Register[] = [];
  #offset = 0;
  readonly #control: ControlRegisters = {
    pc: this.add('pc', 'i64'),
    pending: this.add('pending', 'i64'),
    slot: this.add('slot', 'i32'),
  };

  add(name: string, type: Type): Register {
    const size = sizeOf(type);
    this.#offset = (this.#offset + size - 1) & -size;
    const register: Register = { name, type, offset: this.#offset };
    this.#offset += size;
    this.#all.push(register);
    return register;
  }

  build(flags?: FlagRegisters): RegisterFile {
    const byName = new Map(this.#all.map((r) => [r.name, r]));
    if (byName.size !== this.#all.length) throw new Error('two registers of one name');
    return { control: this.#control, all: this.#all, byName, flags, size: (this.#offset + 15) & -16 };
  }
}
