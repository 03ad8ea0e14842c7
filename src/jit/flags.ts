// Status flags put off. An instruction that sets all flags writes down what they are made of (its inputs and which recipe to follow)
// in place of computing them; whoever needs them from outside follows the recipe. Inside a unit, flags that are read are computed as
// usual, and conditions on several flags after a subtraction become the comparison of its operands.
//
// All this is done on op lists: registers of the compiler's own stand for the recipe's number, its inputs and the conditions.

import type { FlagRegisters, Register } from '../../isa/dsl/registers.ts';
import { type FlagsPutOff, flagsInput } from '../engine/flags.ts';
import { FLAGS_INPUT_COUNT, FLAGS_KIND, STATE } from '../engine/layout.ts';
import { type OpList, operandsOf, type Uop } from '../uop/ops.ts';

/** How a list treats the flags. */
export interface Rewritten {
  readonly list: OpList;
  /** `deferred`: sets the recipe. `eager`: sets flags itself, all of which must then be current. */
  readonly flags: 'none' | 'deferred' | 'eager';
}

const own = (name: string, offset: number): Register => ({ name, type: 'i32', offset: offset - STATE });

type Binary = Extract<Uop, { op: 'binary' }>;
type Compare = Extract<Uop, { op: 'compare' }>;

/** What flags are made of: a value of the instruction's, or a flag as it was. */
interface Leaf {
  readonly temp?: number;
  readonly register?: Register;
}

interface PutOff {
  readonly number: number;
  readonly leaves: readonly Leaf[];
}

export class Flags {
  readonly registers: FlagRegisters;
  /** Number of the recipe, 0 where the flags are current. */
  readonly kind = own('flags kind', FLAGS_KIND);
  readonly inputs: readonly Register[] = Array.from({ length: FLAGS_INPUT_COUNT }, (_, i) => flagsInput(i, 'i64'));
  /** Conditions: sign ≠ overflow; that or zero; carry or zero. They live in locals only. */
  readonly less = own('less', 0);
  readonly lessEqual = own('less or equal', 0);
  readonly belowEqual = own('below or equal', 0);
  readonly #putOff: FlagsPutOff;
  readonly #cache = new WeakMap<OpList, Rewritten>();

  constructor(registers: FlagRegisters, putOff: FlagsPutOff) {
    this.registers = registers;
    this.#putOff = putOff;
  }

  /** @param source the instruction's own list, of which `list` is what it is with the recipes written out */
  rewrite(list: OpList, source: OpList): Rewritten {
    let found = this.#cache.get(list);
    if (found === undefined) {
      found = this.#rewrite(list, source);
      this.#cache.set(list, found);
    }
    return found;
  }

  #rewrite(list: OpList, source: OpList): Rewritten {
    const { all } = this.registers;
    const values = new Map<Register, number>();
    for (const uop of list.ops) if (uop.op === 'set' && all.includes(uop.register)) values.set(uop.register, uop.value);
    if (values.size === 0) return { list: this.#readConditions(list), flags: 'none' };
    const out = new Extended(list);
    const recipe = this.#recorded(source) ?? this.#recipe(list, values);
    if (recipe === undefined) out.set(this.kind, out.constant(0n));
    else {
      for (const [i, leaf] of recipe.leaves.entries()) {
        const value = leaf.temp ?? out.get(leaf.register!);
        out.set(this.inputs[i]!, out.types[value] === 'i32' ? out.extend(value) : value);
      }
      out.set(this.kind, out.constant(BigInt(recipe.number)));
    }
    this.#setConditions(out, values);
    return { list: out.finish(), flags: recipe === undefined ? 'eager' : 'deferred' };
  }

  /** The recipe that was recorded, if it makes all flags. */
  #recorded(source: OpList): PutOff | undefined {
    const flags = source.ops.filter((uop) => uop.op === 'flags');
    const sets = source.ops.some((uop) => uop.op === 'set' && this.registers.all.includes(uop.register));
    const [uop] = flags;
    if (uop?.op !== 'flags' || flags.length > 1 || sets) return undefined;
    const { number, setsAll } = this.#putOff.of(uop.recipe);
    return setsAll ? { number, leaves: uop.inputs.map((temp) => ({ temp })) } : undefined;
  }

  /** The operations that make the flags of a few inputs; undefined where it takes too many or what cannot be kept. */
  #recipe(list: OpList, values: ReadonlyMap<Register, number>): PutOff | undefined {
    const wanted = new Set<number>(values.values());
    const slice: Uop[] = [];
    const leaves: Leaf[] = [];
    for (let i = list.ops.length - 1; i >= 0; i--) {
      const uop = list.ops[i]!;
      if (!('dst' in uop) || !wanted.has(uop.dst)) continue;
      if (uop.op === 'get' || uop.op === 'load') {
        if (list.temps[uop.dst] === 'v128') return undefined;
        leaves.push({ temp: uop.dst });
      } else if (uop.op === 'pc' || uop.op === 'cycles' || uop.op === 'vector') return undefined;
      else {
        slice.push(uop);
        for (const temp of operandsOf(uop)) wanted.add(temp);
      }
    }
    for (const register of this.registers.all) if (!values.has(register)) leaves.push({ register });
    if (leaves.length > FLAGS_INPUT_COUNT) return undefined;
    const out = new Extended({ ...list, ops: [], temps: list.temps });
    const kept: [Register, number][] = [];
    for (const [i, leaf] of leaves.entries()) {
      const input = out.get(this.inputs[i]!);
      if (leaf.register !== undefined) kept.push([leaf.register, out.wrap(input)]);
      else if (list.temps[leaf.temp!] === 'i32') out.push({ op: 'wrap', dst: leaf.temp!, a: input });
      else out.push({ op: 'get', dst: leaf.temp!, register: this.inputs[i]! });
    }
    for (const uop of slice.reverse()) out.push(uop);
    for (const [register, value] of [...values, ...kept]) out.set(register, value);
    const made = { ...out.finish(), accesses: false, stores: false, traps: false, branches: false };
    return { leaves, number: this.#putOff.numberOf(made) };
  }

  #setConditions(out: Extended, values: ReadonlyMap<Register, number>): void {
    const { carry, zero, sign, overflow } = this.registers;
    const touches = (...registers: Register[]): boolean => registers.some((r) => values.has(r));
    const value = (register: Register): number => values.get(register) ?? out.get(register);
    const definition = (temp: number | undefined): Uop | undefined =>
      temp === undefined ? undefined : out.ops.find((o) => 'dst' in o && o.dst === temp);
    const difference = this.#difference(definition, values.get(sign), values.get(overflow));
    if (touches(sign, overflow, zero)) {
      if (difference !== undefined) {
        out.set(this.less, out.compare('lts', difference));
        out.set(this.lessEqual, out.compare('les', difference));
      } else {
        const v = definition(values.get(overflow));
        const less =
          v?.op === 'const' && v.value === 0n ? value(sign) : out.binary('xor', value(sign), value(overflow));
        out.set(this.less, less);
        out.set(this.lessEqual, out.binary('or', value(zero), less));
      }
    }
    if (!touches(carry, zero)) return;
    const below = definition(values.get(carry));
    const equal = definition(values.get(zero));
    if (
      below?.op === 'compare' &&
      below.name === 'ltu' &&
      equal?.op === 'compare' &&
      equal.name === 'eq' &&
      below.a === equal.a &&
      below.b === equal.b
    ) {
      out.set(this.belowEqual, out.compare('leu', below));
    } else out.set(this.belowEqual, out.binary('or', value(carry), value(zero)));
  }

  /** The operands of the subtraction whose sign and overflow these are: r < 0 and (a ^ b) & (a ^ r) < 0 with r = a - b. */
  #difference(
    definition: (temp: number | undefined) => Uop | undefined,
    sign: number | undefined,
    overflow: number | undefined,
  ): Binary | undefined {
    const negative = (temp: number | undefined): Compare | undefined => {
      const c = definition(temp);
      if (c?.op !== 'compare' || c.name !== 'lts') return undefined;
      const zero = definition(c.b);
      return zero?.op === 'const' && zero.value === 0n ? c : undefined;
    };
    const binary = (temp: number | undefined, name: string): Binary | undefined => {
      const b = definition(temp);
      return b?.op === 'binary' && b.name === name ? b : undefined;
    };
    const r = binary(negative(sign)?.a, 'sub');
    const both = binary(negative(overflow)?.a, 'and');
    const ab = binary(both?.a, 'xor');
    const ar = binary(both?.b, 'xor');
    if (r === undefined || ab === undefined || ar === undefined) return undefined;
    const fits = ab.a === r.a && ab.b === r.b && ar.a === r.a && ar.b === r.dst;
    return fits ? r : undefined;
  }

  /** Replaces conditions that are put together from flags by the registers that hold them. */
  #readConditions(list: OpList): OpList {
    const { carry, zero, sign, overflow } = this.registers;
    const holds = new Map<number, Register>();
    let changed = false;
    const ops = list.ops.map((uop): Uop => {
      if (uop.op === 'get') {
        holds.set(uop.dst, uop.register);
        return uop;
      }
      if (uop.op !== 'binary' || (uop.name !== 'xor' && uop.name !== 'or')) return uop;
      const a = holds.get(uop.a);
      const b = holds.get(uop.b);
      const are = (x: Register, y: Register): boolean => (a === x && b === y) || (a === y && b === x);
      let register: Register | undefined;
      if (uop.name === 'xor' && are(sign, overflow)) register = this.less;
      else if (uop.name === 'or' && are(zero, this.less)) register = this.lessEqual;
      else if (uop.name === 'or' && are(carry, zero)) register = this.belowEqual;
      if (register === undefined) return uop;
      holds.set(uop.dst, register);
      changed = true;
      return { op: 'get', dst: uop.dst, register };
    });
    return changed ? { ...list, ops } : list;
  }
}

/** An op list with more at its end. */
class Extended {
  readonly #list: OpList;
  readonly ops: Uop[];
  readonly types: OpList['temps'][number][];

  constructor(list: OpList) {
    this.#list = list;
    this.ops = [...list.ops];
    this.types = [...list.temps];
  }

  push(uop: Uop): void {
    this.ops.push(uop);
  }

  #new(type: 'i32' | 'i64'): number {
    return this.types.push(type) - 1;
  }

  get(register: Register): number {
    const dst = this.types.push(register.type) - 1;
    this.push({ op: 'get', dst, register });
    return dst;
  }

  set(register: Register, value: number): void {
    this.push({ op: 'set', register, value });
  }

  constant(value: bigint): number {
    const dst = this.#new('i32');
    this.push({ op: 'const', dst, type: 'i32', value });
    return dst;
  }

  extend(a: number): number {
    const dst = this.#new('i64');
    this.push({ op: 'extendU', dst, a });
    return dst;
  }

  wrap(a: number): number {
    const dst = this.#new('i32');
    this.push({ op: 'wrap', dst, a });
    return dst;
  }

  compare(name: Compare['name'], of: { readonly type: 'i32' | 'i64'; readonly a: number; readonly b: number }): number {
    const dst = this.#new('i32');
    this.push({ op: 'compare', name, dst, type: of.type, a: of.a, b: of.b });
    return dst;
  }

  binary(name: 'or' | 'xor', a: number, b: number): number {
    const dst = this.#new('i32');
    this.push({ op: 'binary', name, dst, type: 'i32', a, b });
    return dst;
  }

  finish(): OpList {
    return { ...this.#list, ops: this.ops.slice(), temps: this.types.slice() };
  }
}
