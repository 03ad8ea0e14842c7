// Where each temporary of an op list stands while the list is evaluated: in a register, in the constant pool, or in a slot of its own.

import type { Register } from '../../isa/dsl/registers.ts';
import { type OpList, operandsOf, type Uop } from '../uop/ops.ts';
import { CONSTANTS, CONSTANTS_SIZE, STATE, TEMP_COUNT, TEMPS } from './layout.ts';
import type { Memory } from './memory.ts';

export const placeOf = (register: Register): number => (STATE + register.offset) >>> 2;

/** Constants that op lists share, each written once into memory. */
export class ConstantPool {
  readonly #memory: Memory;
  readonly #places = new Map<bigint, number>();
  #next = CONSTANTS;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Place of an i32 or i64 constant, or -1 when the pool is full. */
  place(value: bigint): number {
    const found = this.#places.get(value);
    if (found !== undefined) return found;
    if (this.#next + 8 > CONSTANTS + CONSTANTS_SIZE) return -1;
    this.#memory.view.setBigUint64(this.#next, value, true);
    const place = this.#next >>> 2;
    this.#places.set(value, place);
    this.#next += 8;
    return place;
  }
}

export interface Placement {
  /** Place of each temporary. */
  readonly places: readonly number[];
  /** By operation: whether it needs no step, because its result already stands where it belongs. */
  readonly elided: readonly boolean[];
}

/**
 * Chooses places. A `get` is read in the register itself where the register is not set before the value's last use; a value is
 * computed straight into the register that it is set to where nothing later in the list reads the old value or can still fault.
 * A program's start executes tens of thousands of different instructions once each: lists are short, and looking through one
 * again is cheaper than a Map.
 */
export function place(list: OpList, pool: ConstantPool): Placement {
  const { ops, temps } = list;
  const n = ops.length;
  const count = temps.length;
  if (count > TEMP_COUNT) throw new RangeError('an op list of too many temporaries');
  const places: number[] = [];
  const lastUse: number[] = [];
  const definedAt: number[] = [];
  const elided: boolean[] = [];
  for (let i = 0; i < count; i++) {
    places.push(slotOf(i));
    lastUse.push(-1);
    definedAt.push(-1);
  }
  /** No operation from here on can fault. */
  let quietFrom = 0;
  for (let i = 0; i < n; i++) {
    const uop = ops[i]!;
    elided.push(false);
    for (const temp of operandsOf(uop)) lastUse[temp] = i;
    if ('dst' in uop) definedAt[uop.dst] = i;
    if (uop.op === 'load' || uop.op === 'store' || uop.op === 'trap') quietFrom = i + 1;
  }

  for (let i = 0; i < n; i++) {
    const uop = ops[i]!;
    if (uop.op === 'const') {
      const at = pool.place(uop.value);
      if (at < 0) continue;
      places[uop.dst] = at;
      elided[i] = true;
    } else if (uop.op === 'get') {
      const set = nextSet(ops, uop.register, 0);
      if (set < lastUse[uop.dst]!) continue;
      places[uop.dst] = placeOf(uop.register);
      elided[i] = true;
    }
  }

  for (let i = 0; i < n; i++) {
    const uop = ops[i]!;
    if (uop.op !== 'set') continue;
    const { register, value } = uop;
    const from = definedAt[value]!;
    if (elided[from]! || places[value] !== slotOf(value) || quietFrom > from + 1) continue;
    if (nextSet(ops, register, 0) !== i || nextSet(ops, register, i + 1) !== n) continue;
    // Between the definition and the end: no reader of the old register, nothing that may fault, no other definition there.
    if (isReadAfter(ops, register, from, lastUse, elided)) continue;
    places[value] = placeOf(register);
    elided[i] = true;
  }
  return { places, elided };
}

/** The slot of its own of a temporary. */
const slotOf = (temp: number): number => (TEMPS + 16 * temp) >>> 2;

/** The first `set` of a register from operation `i` on, or the number of operations. */
function nextSet(ops: readonly Uop[], register: Register, i: number): number {
  for (; i < ops.length; i++) {
    const uop = ops[i]!;
    if (uop.op === 'set' && uop.register === register) break;
  }
  return i;
}

/** Whether anything after operation `from` reads a register, by a `get` or through a temporary that stands in it. */
function isReadAfter(
  ops: readonly Uop[],
  register: Register,
  from: number,
  lastUse: readonly number[],
  elided: readonly boolean[],
): boolean {
  for (let i = 0; i < ops.length; i++) {
    const uop = ops[i]!;
    if (uop.op !== 'get' || uop.register !== register) continue;
    if (i > from || (elided[i]! && lastUse[uop.dst]! > from)) return true;
  }
  return false;
}
