// Where a unit's registers live. In a fast unit each has a local: loaded at entries and behind calls, stored where control leaves. In a
// short one they stay in the state block, but for flags that are put off, and are read once a block.

import type { Register } from '../../isa/dsl/registers.ts';
import { STATE } from '../engine/layout.ts';
import { HELPER } from './helpers.ts';
import type { RegisterAccess } from './lower.ts';
import { valueType } from './lower-access.ts';
import { OP, SIMD } from './opcodes.ts';
import { RegisterSet, type Usages } from './usage.ts';
import type { Code } from './wasm.ts';

/** Pushes what the state block has of a register. */
export function loadFromState(code: Code, { type, offset }: Register): void {
  code.i32(0);
  if (type === 'v128') code.simdMemory(SIMD.v128_load, STATE + offset);
  else code.memory(type === 'i64' ? OP.i64_load : OP.i32_load, STATE + offset);
}

/** Stores a register's value, which was pushed behind a 0, to the state block. */
export function storeToState(code: Code, { type, offset }: Register): void {
  if (type === 'v128') code.simdMemory(SIMD.v128_store, STATE + offset);
  else code.memory(type === 'i64' ? OP.i64_store : OP.i32_store, STATE + offset);
}

export class Registers implements RegisterAccess {
  /** Those that have no locals of their own. */
  readonly inState: RegisterSet;
  readonly #code: Code;
  readonly #usages: Usages;
  readonly #locals: Int32Array;
  /** Of `inState` those whose value is in a local nevertheless, in this block. */
  readonly #cached = new RegisterSet();
  /** Nesting of the block: what stands deeper may not be executed. */
  #blockDepth = 0;

  constructor(code: Code, usages: Usages, fast: boolean) {
    this.#code = code;
    this.#usages = usages;
    this.inState = fast ? new RegisterSet() : usages.plainSet;
    this.#locals = new Int32Array(usages.registers.length).fill(-1);
  }

  /** A block begins: nothing is known of what was read before. */
  beginBlock(): void {
    this.#cached.clear();
    this.#blockDepth = this.#code.depth;
  }

  /** What was read from the state block is read again. */
  forget(): void {
    this.#cached.clear();
  }

  push(register: Register): void {
    const code = this.#code;
    const index = this.#index(register);
    if (!this.inState.has(index) || this.#cached.has(index)) {
      code.get(this.#local(index));
      return;
    }
    loadFromState(code, register);
    if (code.depth !== this.#blockDepth) return;
    code.tee(this.#local(index));
    this.#cached.add(index);
  }

  beginSet(register: Register): void {
    if (this.inState.has(this.#index(register))) this.#code.i32(0);
  }

  endSet(register: Register): void {
    const code = this.#code;
    const index = this.#index(register);
    if (!this.inState.has(index)) {
      code.set(this.#local(index));
      return;
    }
    if (code.depth === this.#blockDepth) {
      code.tee(this.#local(index));
      this.#cached.add(index);
    } else this.#cached.delete(index);
    storeToState(code, register);
  }

  /** State block to locals. */
  load(registers: RegisterSet): void {
    const { flagSet, conditionSet } = this.#usages;
    if (registers.meets(flagSet) || registers.meets(conditionSet)) this.#loadConditions(registers);
    for (const i of registers.indexes()) {
      if (conditionSet.has(i) || this.inState.has(i)) continue;
      loadFromState(this.#code, this.#usages.registers[i]!);
      this.#code.set(this.#local(i));
    }
  }

  /** Locals to state block. */
  store(registers: RegisterSet): void {
    const code = this.#code;
    for (const i of registers.indexes()) {
      code.i32(0);
      code.get(this.#local(i));
      storeToState(code, this.#usages.registers[i]!);
    }
  }

  /** Has the flags in the state block computed, and the conditions, which it does not hold, from them. */
  #loadConditions(registers: RegisterSet): void {
    const { flags } = this.#usages;
    if (flags === undefined) return;
    const code = this.#code;
    code.call(HELPER.flags);
    const { carry, zero, sign, overflow } = flags.registers;
    const condition = (register: Register, push: () => void): void => {
      const index = this.#index(register);
      if (!registers.has(index)) return;
      push();
      code.set(this.#local(index));
    };
    const less = (): void => {
      loadFromState(code, sign);
      loadFromState(code, overflow);
      code.op(OP.i32_xor);
    };
    condition(flags.less, less);
    condition(flags.lessEqual, () => {
      less();
      loadFromState(code, zero);
      code.op(OP.i32_or);
    });
    condition(flags.belowEqual, () => {
      loadFromState(code, carry);
      loadFromState(code, zero);
      code.op(OP.i32_or);
    });
  }

  #index(register: Register): number {
    return this.#usages.indexOf.get(register)!;
  }

  #local(index: number): number {
    let local = this.#locals[index]!;
    if (local < 0) {
      local = this.#code.local(valueType(this.#usages.registers[index]!.type));
      this.#locals[index] = local;
    }
    return local;
  }
}
