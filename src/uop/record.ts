// The recorder: an Effects that writes an instruction's effect down as a flat op list. The one bridge from clauses to engines.

import type {
  AccessBytes,
  AccessOptions,
  BinaryName,
  BranchKind,
  CompareName,
  Effects,
  FloatBinaryName,
  FloatCompareName,
  Rounding,
  TrapKind,
  Type,
  UnaryName,
  Value,
} from '../../isa/dsl/effects.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { Variant } from '../../isa/dsl/variant.ts';
import { VECTOR_OPS, type VectorName } from '../../isa/dsl/vector.ts';
import { type FlagsRecipe, isRecipeOp, type OpList, type Uop } from './ops.ts';

/** A clause used the vocabulary wrongly: a mistake in the clause, not in the guest. */
export class EffectError extends Error {
  override readonly name = 'EffectError';
}

const MASK: Readonly<Record<'i32' | 'i64', bigint>> = { i32: 0xffffffffn, i64: 0xffffffffffffffffn };

/** What op lists of one variant share: recipes of flags, by name, and the types of temporaries. */
export class SharedParts {
  readonly #byName = new Map<string, FlagsRecipe>();
  readonly #temps = new Map<string, readonly Type[]>();

  /** An array of these types: thousands of lists have one of a few hundred. */
  temps(types: readonly Type[]): readonly Type[] {
    const key = types.join();
    let shared = this.#temps.get(key);
    if (shared === undefined) {
      shared = types.slice();
      this.#temps.set(key, shared);
    }
    return shared;
  }

  /** @throws EffectError for a recipe that does more than compute and set */
  of(
    variant: Variant,
    name: string,
    inputs: readonly ('i32' | 'i64')[],
    effect: (e: Effects, inputs: readonly Value[]) => void,
  ): FlagsRecipe {
    let recipe = this.#byName.get(name);
    if (recipe === undefined) {
      const recorder = new Recorder(variant, this);
      const values = inputs.map((type) => recorder.input(type));
      effect(recorder, values);
      const list = recorder.finish();
      const ops = list.ops.filter(isRecipeOp);
      if (ops.length < list.ops.length) throw new EffectError(`${name}: a recipe of flags only computes and sets`);
      recipe = { name, list: { ...list, ops }, inputs };
      this.#byName.set(name, recipe);
    }
    if (recipe.inputs.length !== inputs.length || recipe.inputs.some((type, i) => type !== inputs[i]))
      throw new EffectError(`${name}: recorded with inputs ${recipe.inputs.join(' ')}, not ${inputs.join(' ')}`);
    return recipe;
  }
}

/**
 * Records `effect` for a variant.
 * @param shared with the lists that have been recorded already
 * @throws EffectError when operand types do not fit, with what was expected.
 */
export function record(variant: Variant, effect: (e: Effects) => void, shared = new SharedParts()): OpList {
  const recorder = new Recorder(variant, shared);
  effect(recorder);
  return recorder.finish();
}

class Recorder implements Effects {
  readonly variant: Variant;
  readonly word: 'i32' | 'i64';
  readonly #ops: Uop[] = [];
  readonly #temps: Type[] = [];
  readonly #shared: SharedParts;

  constructor(variant: Variant, shared: SharedParts) {
    this.variant = variant;
    this.#shared = shared;
    this.word = variant.width === 64 ? 'i64' : 'i32';
  }

  finish(): OpList {
    // No longer than they are: what grows by one at a time has room for seventeen.
    const ops = this.#ops.slice();
    let [branches, terminal, loads, stores, traps] = [false, false, false, false, false];
    for (const o of ops) {
      if (o.op === 'load') loads = true;
      else if (o.op === 'store') stores = true;
      else if (o.op === 'branch') branches = true;
      else if (o.op === 'trap') traps = true;
      if ((o.op === 'branch' || o.op === 'trap') && o.when === undefined) terminal = true;
    }
    return {
      ops,
      temps: this.#shared.temps(this.#temps),
      branches,
      terminal,
      accesses: loads || stores,
      stores,
      traps,
    };
  }

  /** A temporary that is assigned from outside. */
  input(type: 'i32' | 'i64'): Value {
    return this.#new(type);
  }

  #new(type: Type): Value {
    return { type, id: this.#temps.push(type) - 1 };
  }

  #int(value: Value): 'i32' | 'i64' {
    if (value.type === 'v128') throw new EffectError('an integer operand is wanted, not v128');
    return value.type;
  }

  #same(a: Value, b: Value): 'i32' | 'i64' {
    if (a.type !== b.type) throw new EffectError(`operands of types ${a.type} and ${b.type}`);
    return this.#int(a);
  }

  #want(type: Type, value: Value): number {
    if (value.type !== type) throw new EffectError(`${type} is wanted, not ${value.type}`);
    return value.id;
  }

  const(type: 'i32' | 'i64', value: number | bigint): Value {
    const dst = this.#new(type);
    this.#ops.push({ op: 'const', dst: dst.id, type, value: BigInt(value) & MASK[type] });
    return dst;
  }

  v128(lo: bigint, hi: bigint): Value {
    const dst = this.#new('v128');
    this.#ops.push({ op: 'const128', dst: dst.id, lo: lo & MASK.i64, hi: hi & MASK.i64 });
    return dst;
  }

  pc(offset = 0): Value {
    const dst = this.#new(this.word);
    this.#ops.push({ op: 'pc', dst: dst.id, type: this.word, offset });
    return dst;
  }

  get(register: Register): Value {
    const dst = this.#new(register.type);
    this.#ops.push({ op: 'get', dst: dst.id, register });
    return dst;
  }

  set(register: Register, value: Value): void {
    this.#ops.push({ op: 'set', register, value: this.#want(register.type, value) });
  }

  flags(name: string, inputs: readonly Value[], effect: (e: Effects, inputs: readonly Value[]) => void): void {
    const types = inputs.map((value) => this.#int(value));
    const recipe = this.#shared.of(this.variant, name, types, effect);
    this.#ops.push({ op: 'flags', recipe, inputs: inputs.map((value) => value.id) });
  }

  cycles(): Value {
    const dst = this.#new('i64');
    this.#ops.push({ op: 'cycles', dst: dst.id });
    return dst;
  }

  binary(name: BinaryName, a: Value, b: Value): Value {
    const type = this.#same(a, b);
    if ((name === 'mulhu' || name === 'mulhs') && type !== 'i64') throw new EffectError(`${name} is for i64`);
    const dst = this.#new(type);
    this.#ops.push({ op: 'binary', name, dst: dst.id, type, a: a.id, b: b.id });
    return dst;
  }

  compare(name: CompareName, a: Value, b: Value): Value {
    const type = this.#same(a, b);
    const dst = this.#new('i32');
    this.#ops.push({ op: 'compare', name, dst: dst.id, type, a: a.id, b: b.id });
    return dst;
  }

  unary(name: UnaryName, a: Value): Value {
    const type = this.#int(a);
    const dst = this.#new(type);
    this.#ops.push({ op: 'unary', name, dst: dst.id, type, a: a.id });
    return dst;
  }

  add(a: Value, b: Value): Value {
    return this.binary('add', a, b);
  }

  sub(a: Value, b: Value): Value {
    return this.binary('sub', a, b);
  }

  mul(a: Value, b: Value): Value {
    return this.binary('mul', a, b);
  }

  and(a: Value, b: Value): Value {
    return this.binary('and', a, b);
  }

  or(a: Value, b: Value): Value {
    return this.binary('or', a, b);
  }

  xor(a: Value, b: Value): Value {
    return this.binary('xor', a, b);
  }

  not(a: Value): Value {
    return this.binary('xor', a, this.const(this.#int(a), -1));
  }

  shl(a: Value, n: Value): Value {
    return this.binary('shl', a, n);
  }

  shr(a: Value, n: Value): Value {
    return this.binary('shr', a, n);
  }

  sar(a: Value, n: Value): Value {
    return this.binary('sar', a, n);
  }

  eq(a: Value, b: Value): Value {
    return this.compare('eq', a, b);
  }

  ne(a: Value, b: Value): Value {
    return this.compare('ne', a, b);
  }

  ltu(a: Value, b: Value): Value {
    return this.compare('ltu', a, b);
  }

  lts(a: Value, b: Value): Value {
    return this.compare('lts', a, b);
  }

  select(condition: Value, a: Value, b: Value): Value {
    if (a.type !== b.type) throw new EffectError(`select between ${a.type} and ${b.type}`);
    const dst = this.#new(a.type);
    this.#ops.push({ op: 'select', dst: dst.id, type: a.type, when: this.#want('i32', condition), a: a.id, b: b.id });
    return dst;
  }

  #convert(op: 'wrap' | 'extendS' | 'extendU' | 'widen' | 'narrow', from: Type, to: Type, a: Value): Value {
    const source = this.#want(from, a);
    const dst = this.#new(to);
    this.#ops.push({ op, dst: dst.id, a: source });
    return dst;
  }

  wrap(a: Value): Value {
    return this.#convert('wrap', 'i64', 'i32', a);
  }

  extendS(a: Value): Value {
    return this.#convert('extendS', 'i32', 'i64', a);
  }

  extendU(a: Value): Value {
    return this.#convert('extendU', 'i32', 'i64', a);
  }

  widen(a: Value): Value {
    return this.#convert('widen', 'i32', 'i64', a);
  }

  narrow(a: Value): Value {
    return this.#convert('narrow', 'i64', 'i32', a);
  }

  #wide(op: 'divu128' | 'remu128', hi: Value, lo: Value, divisor: Value): Value {
    for (const v of [hi, lo, divisor]) this.#want('i64', v);
    const dst = this.#new('i64');
    this.#ops.push({ op, dst: dst.id, hi: hi.id, lo: lo.id, divisor: divisor.id });
    return dst;
  }

  divu128(hi: Value, lo: Value, divisor: Value): Value {
    return this.#wide('divu128', hi, lo, divisor);
  }

  remu128(hi: Value, lo: Value, divisor: Value): Value {
    return this.#wide('remu128', hi, lo, divisor);
  }

  #accessType(bytes: AccessBytes, type: Type): void {
    const fits = bytes === 16 ? type === 'v128' : bytes === 8 ? type === 'i64' : type !== 'v128';
    if (!fits) throw new EffectError(`an access of ${bytes} bytes cannot have type ${type}`);
  }

  #when(options: AccessOptions): number | undefined {
    return options.when === undefined ? undefined : this.#want('i32', options.when);
  }

  load(bytes: AccessBytes, address: Value, type: Type, options: AccessOptions = {}): Value {
    this.#accessType(bytes, type);
    const at = this.#want(this.word, address);
    const when = this.#when(options);
    const dst = this.#new(type);
    this.#ops.push({ op: 'load', dst: dst.id, type, bytes, align: options.align ?? 'any', address: at, when });
    return dst;
  }

  store(bytes: AccessBytes, address: Value, value: Value, options: AccessOptions = {}): void {
    this.#accessType(bytes, value.type);
    const at = this.#want(this.word, address);
    const when = this.#when(options);
    this.#ops.push({
      op: 'store',
      type: value.type,
      bytes,
      align: options.align ?? 'any',
      address: at,
      value: value.id,
      when,
    });
  }

  branch(target: Value, kind: BranchKind = 'jump'): void {
    this.#ops.push({ op: 'branch', kind, target: this.#want(this.word, target), when: undefined });
  }

  branchIf(condition: Value, target: Value): void {
    const when = this.#want('i32', condition);
    this.#ops.push({ op: 'branch', kind: 'jump', target: this.#want(this.word, target), when });
  }

  nullifyIf(condition: Value): void {
    if (!this.variant.delaySlot) throw new EffectError('this variant has no delay slots');
    this.#ops.push({ op: 'nullify', when: this.#want('i32', condition) });
  }

  trap(kind: TrapKind, code = 0): void {
    this.#ops.push({ op: 'trap', kind, code, when: undefined });
  }

  trapIf(condition: Value, kind: TrapKind, code = 0): void {
    this.#ops.push({ op: 'trap', kind, code, when: this.#want('i32', condition) });
  }

  float(name: FloatBinaryName, a: Value, b: Value): Value {
    const type = this.#same(a, b);
    const dst = this.#new(type);
    this.#ops.push({ op: 'float', name, dst: dst.id, type, a: a.id, b: b.id });
    return dst;
  }

  fsqrt(a: Value): Value {
    const type = this.#int(a);
    const dst = this.#new(type);
    this.#ops.push({ op: 'fsqrt', dst: dst.id, type, a: a.id });
    return dst;
  }

  floatCompare(name: FloatCompareName, a: Value, b: Value): Value {
    const type = this.#same(a, b);
    const dst = this.#new('i32');
    this.#ops.push({ op: 'floatCompare', name, dst: dst.id, type, a: a.id, b: b.id });
    return dst;
  }

  intToFloat(a: Value, to: 'i32' | 'i64'): Value {
    const from = this.#int(a);
    const dst = this.#new(to);
    this.#ops.push({ op: 'intToFloat', dst: dst.id, from, to, a: a.id });
    return dst;
  }

  floatToInt(a: Value, rounding: Rounding, to: 'i32' | 'i64', invalid: bigint): Value {
    const from = this.#int(a);
    const dst = this.#new(to);
    this.#ops.push({ op: 'floatToInt', dst: dst.id, from, to, rounding, invalid: invalid & MASK[to], a: a.id });
    return dst;
  }

  vector(name: VectorName, operands: readonly Value[], imm: readonly number[] = []): Value {
    const row = VECTOR_OPS[name];
    if (operands.length !== row.operands.length || imm.length !== row.immediates) {
      throw new EffectError(`${name} takes ${row.operands.length} operands and ${row.immediates} immediates`);
    }
    const args = operands.map((value, i) => this.#want(row.operands[i] ?? 'v128', value));
    const dst = this.#new(row.result);
    this.#ops.push({ op: 'vector', name, dst: dst.id, args, imm });
    return dst;
  }
}
