// Flags that were put off, computed by WebAssembly: a function that knows the recipes met so far, in a slot of the table of its own. The
// host follows a recipe step by step, which takes a hundred times as long, and compiled code asks for flags at most of its entries.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { Variant } from '../../isa/dsl/variant.ts';
import { FLAGS_KIND } from '../engine/layout.ts';
import type { OpList, Uop } from '../uop/ops.ts';
import { assemble, type FunctionType } from './assemble.ts';
import { HELPER, HELPERS } from './helpers.ts';
import { Lowering, type RegisterAccess, type Surroundings } from './lower.ts';
import { valueType } from './lower-access.ts';
import { I32, OP, VOID } from './opcodes.ts';
import { loadFromState, storeToState } from './registers.ts';
import { helperType } from './support.ts';
import { Code } from './wasm.ts';

/** A list that makes flags of the inputs where these are kept, under its number. */
export interface NumberedRecipe {
  readonly number: number;
  readonly list: OpList;
}

export const SETTLER_TYPE: FunctionType = { parameters: [], results: [] };

class Settling implements Surroundings, RegisterAccess {
  readonly code = new Code(0);
  readonly variant: Variant;
  readonly fast = true;
  readonly registers: RegisterAccess = this;
  readonly #kind: number;
  readonly #lowering: Lowering;
  /** Registers of the present recipe, by where they are: those of different operations are not the same objects. */
  #registers = new Map<number, { readonly register: Register; readonly local: number }>();

  constructor(variant: Variant) {
    this.variant = variant;
    this.#kind = this.code.local(I32);
    this.#lowering = new Lowering(this);
  }

  #local(register: Register): number {
    return this.#registers.get(register.offset)!.local;
  }

  push(register: Register): void {
    this.code.get(this.#local(register));
  }

  beginSet(): void {
    // The value comes first.
  }

  endSet(register: Register): void {
    this.code.set(this.#local(register));
  }

  leave(): void {
    throw new Error('flags are made of values alone');
  }

  exit(): number {
    throw new Error('flags are made of values alone');
  }

  leaveIfLeft(): void {
    throw new Error('flags are made of values alone');
  }

  cycles(): void {
    throw new Error('flags do not tell the time');
  }

  /** The function: looks for the recipe, or hands over to the host. */
  emit(recipes: readonly NumberedRecipe[]): Code {
    const { code } = this;
    code.i32(0);
    code.memory(OP.i32_load, FLAGS_KIND);
    code.set(this.#kind);
    this.#among([...recipes].sort((a, b) => a.number - b.number));
    code.call(HELPER.settle);
    return code;
  }

  #among(recipes: readonly NumberedRecipe[]): void {
    const { code } = this;
    const middle = recipes.length >> 1;
    const recipe = recipes[middle];
    if (recipe === undefined) return;
    code.get(this.#kind);
    code.i32(recipe.number);
    const one = recipes.length === 1;
    code.op(one ? OP.i32_eq : OP.i32_lt_s);
    code.if(VOID);
    if (one) this.#follow(recipe.list);
    else {
      this.#among(recipes.slice(0, middle));
      code.else();
      this.#among(recipes.slice(middle));
    }
    code.end();
  }

  #follow(recipe: OpList): void {
    const { code } = this;
    this.#registers = new Map();
    const canonical = (register: Register): Register => {
      let known = this.#registers.get(register.offset);
      if (known === undefined) {
        known = { register, local: code.borrow(valueType(register.type)) };
        this.#registers.set(register.offset, known);
      }
      return known.register;
    };
    const ops = recipe.ops.map(
      (uop): Uop => (uop.op === 'get' || uop.op === 'set' ? { ...uop, register: canonical(uop.register) } : uop),
    );
    const list = { ...recipe, ops };
    const accessed = (op: 'get' | 'set'): Set<Register> =>
      new Set(ops.flatMap((uop) => (uop.op === op ? [uop.register] : [])));
    for (const register of accessed('get')) {
      loadFromState(code, register);
      code.set(this.#local(register));
    }
    this.#lowering.instruction({ list, needed: new Uint8Array(ops.length).fill(1), constants: [] });
    for (const register of accessed('set')) {
      code.i32(0);
      code.get(this.#local(register));
      storeToState(code, register);
    }
    code.i32(0);
    code.i32(0);
    code.memory(OP.i32_store, FLAGS_KIND);
    code.op(OP.return);
    for (const { register, local } of this.#registers.values()) code.release(valueType(register.type), local);
  }
}

/** A module whose one function fills a slot. */
export function settlerModule(
  isa: Isa,
  memoryPages: number,
  slot: number,
  recipes: readonly NumberedRecipe[],
): Uint8Array<ArrayBuffer> {
  return assemble({
    types: [SETTLER_TYPE, ...HELPERS.map((h) => helperType(isa, h))],
    functions: HELPERS.map((name, i) => ({ module: 'h', name, type: i + 1 })),
    memoryPages,
    bodies: [{ type: 0, body: new Settling(isa.variant).emit(recipes).body() }],
    slots: [slot],
  });
}
