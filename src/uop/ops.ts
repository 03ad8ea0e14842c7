// The vocabulary as data: one flat list of operations per instruction, in single assignment.

import type {
  AccessBytes,
  Alignment,
  BinaryName,
  BranchKind,
  CompareName,
  FloatBinaryName,
  FloatCompareName,
  Rounding,
  TrapKind,
  Type,
  UnaryName,
} from '../../isa/dsl/effects.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { VectorName } from '../../isa/dsl/vector.ts';

/** Number of a temporary. Temporaries are assigned once, in order, from 0. */
export type Temp = number;
type Int = 'i32' | 'i64';

/**
 * One operation. `type` is the type of the operands where they share one; `dst` is the temporary that receives the result.
 * The meaning of each name stands in isa/dsl/effects.ts.
 */
export type Uop =
  | { readonly op: 'const'; readonly dst: Temp; readonly type: Int; readonly value: bigint }
  | { readonly op: 'const128'; readonly dst: Temp; readonly lo: bigint; readonly hi: bigint }
  | { readonly op: 'pc'; readonly dst: Temp; readonly type: Int; readonly offset: number }
  | { readonly op: 'get'; readonly dst: Temp; readonly register: Register }
  | { readonly op: 'set'; readonly register: Register; readonly value: Temp }
  | { readonly op: 'flags'; readonly recipe: FlagsRecipe; readonly inputs: readonly Temp[] }
  | { readonly op: 'cycles'; readonly dst: Temp }
  | {
      readonly op: 'binary';
      readonly name: BinaryName;
      readonly dst: Temp;
      readonly type: Int;
      readonly a: Temp;
      readonly b: Temp;
    }
  | {
      readonly op: 'compare';
      readonly name: CompareName;
      readonly dst: Temp;
      readonly type: Int;
      readonly a: Temp;
      readonly b: Temp;
    }
  | { readonly op: 'unary'; readonly name: UnaryName; readonly dst: Temp; readonly type: Int; readonly a: Temp }
  | {
      readonly op: 'select';
      readonly dst: Temp;
      readonly type: Type;
      readonly when: Temp;
      readonly a: Temp;
      readonly b: Temp;
    }
  | { readonly op: 'wrap' | 'extendS' | 'extendU'; readonly dst: Temp; readonly a: Temp }
  | {
      readonly op: 'divu128' | 'remu128';
      readonly dst: Temp;
      readonly hi: Temp;
      readonly lo: Temp;
      readonly divisor: Temp;
    }
  | {
      readonly op: 'load';
      readonly dst: Temp;
      readonly type: Type;
      readonly bytes: AccessBytes;
      readonly align: Alignment;
      readonly address: Temp;
      readonly when: Temp | undefined;
    }
  | {
      readonly op: 'store';
      readonly type: Type;
      readonly bytes: AccessBytes;
      readonly align: Alignment;
      readonly address: Temp;
      readonly value: Temp;
      readonly when: Temp | undefined;
    }
  | { readonly op: 'branch'; readonly kind: BranchKind; readonly target: Temp; readonly when: Temp | undefined }
  | { readonly op: 'nullify'; readonly when: Temp }
  | { readonly op: 'trap'; readonly kind: TrapKind; readonly code: number; readonly when: Temp | undefined }
  | {
      readonly op: 'float';
      readonly name: FloatBinaryName;
      readonly dst: Temp;
      readonly type: Int;
      readonly a: Temp;
      readonly b: Temp;
    }
  | { readonly op: 'fsqrt'; readonly dst: Temp; readonly type: Int; readonly a: Temp }
  | {
      readonly op: 'floatCompare';
      readonly name: FloatCompareName;
      readonly dst: Temp;
      readonly type: Int;
      readonly a: Temp;
      readonly b: Temp;
    }
  | { readonly op: 'widen' | 'narrow'; readonly dst: Temp; readonly a: Temp }
  | { readonly op: 'intToFloat'; readonly dst: Temp; readonly from: Int; readonly to: Int; readonly a: Temp }
  | {
      readonly op: 'floatToInt';
      readonly dst: Temp;
      readonly from: Int;
      readonly to: Int;
      readonly rounding: Rounding;
      readonly invalid: bigint;
      readonly a: Temp;
    }
  | {
      readonly op: 'vector';
      readonly name: VectorName;
      readonly dst: Temp;
      readonly args: readonly Temp[];
      readonly imm: readonly number[];
    };

const RECIPE_OPS = ['const', 'set', 'binary', 'compare', 'unary', 'wrap', 'extendS', 'extendU', 'select'] as const;
/** What a recipe of flags may consist of: it computes and sets, and neither reads registers nor can fault. */
export type RecipeOp = Extract<Uop, { op: (typeof RECIPE_OPS)[number] }>;

export const isRecipeOp = (uop: Uop): uop is RecipeOp => (RECIPE_OPS as readonly string[]).includes(uop.op);

/** How status flags are made of a few inputs: recorded once, and shared by the lists of many instructions. */
export interface FlagsRecipe {
  readonly name: string;
  /** The inputs are its first temporaries, assigned from outside. */
  readonly list: OpList & { readonly ops: readonly RecipeOp[] };
  readonly inputs: readonly Int[];
}

/** What an instruction does, and what an engine must know of it before running it. */
export interface OpList {
  readonly ops: readonly Uop[];
  /** Type of each temporary. */
  readonly temps: readonly Type[];
  /** Transfers control, conditionally or not. */
  readonly branches: boolean;
  /** Ends a block for certain: an unconditional branch or trap. */
  readonly terminal: boolean;
  /** May fault on memory. */
  readonly accesses: boolean;
  readonly stores: boolean;
  /** May trap. */
  readonly traps: boolean;
}

/** The temporaries that an operation reads, in the order of its fields. */
export function operandsOf(uop: Uop): readonly Temp[] {
  switch (uop.op) {
    case 'const':
    case 'const128':
    case 'pc':
    case 'get':
    case 'cycles':
      return [];
    case 'set':
      return [uop.value];
    case 'flags':
      return uop.inputs;
    case 'binary':
    case 'compare':
    case 'float':
    case 'floatCompare':
      return [uop.a, uop.b];
    case 'select':
      return [uop.when, uop.a, uop.b];
    case 'divu128':
    case 'remu128':
      return [uop.hi, uop.lo, uop.divisor];
    case 'load':
      return uop.when === undefined ? [uop.address] : [uop.address, uop.when];
    case 'store':
      return uop.when === undefined ? [uop.address, uop.value] : [uop.address, uop.value, uop.when];
    case 'branch':
      return uop.when === undefined ? [uop.target] : [uop.target, uop.when];
    case 'nullify':
      return [uop.when];
    case 'trap':
      return uop.when === undefined ? [] : [uop.when];
    case 'vector':
      return uop.args;
    default:
      return [uop.a];
  }
}

/** The list with the recipes of its flags written out where they are asked for; the list itself if there are none. */
export function writtenOut(list: OpList): OpList {
  if (!list.ops.some((uop) => uop.op === 'flags')) return list;
  const temps = [...list.temps];
  const ops: Uop[] = [];
  for (const uop of list.ops) {
    if (uop.op !== 'flags') {
      ops.push(uop);
      continue;
    }
    const own = uop.recipe.list;
    const renamed = [...uop.inputs];
    for (const type of own.temps.slice(renamed.length)) renamed.push(temps.push(type) - 1);
    for (const part of own.ops) ops.push(withTemps(part, (temp) => renamed[temp]!));
  }
  return { ...list, ops: ops.slice(), temps: temps.slice() };
}

/** The list with its temporaries numbered in the order of their appearance, and no others: alike for lists that do alike. */
export function compacted(list: OpList): OpList {
  const numbers = new Map<Temp, Temp>();
  const temps: Type[] = [];
  const of = (temp: Temp): Temp => {
    let number = numbers.get(temp);
    if (number === undefined) {
      number = temps.push(list.temps[temp]!) - 1;
      numbers.set(temp, number);
    }
    return number;
  };
  return { ...list, ops: list.ops.map((uop) => withTemps(uop, of)), temps };
}

/** Fields of operations that are temporaries, where they are numbers. */
const TEMPS = ['dst', 'a', 'b', 'when', 'hi', 'lo', 'divisor', 'address', 'value', 'target', 'inputs', 'args'];

/** An operation over other temporaries. */
function withTemps<U extends Uop>(uop: U, of: (temp: Temp) => Temp): U {
  const renamed: Record<string, unknown> = { ...uop };
  for (const field of TEMPS) {
    const temps = renamed[field];
    if (typeof temps === 'number') renamed[field] = of(temps);
    else if (Array.isArray(temps)) renamed[field] = temps.map(of);
  }
  return renamed as U;
}
