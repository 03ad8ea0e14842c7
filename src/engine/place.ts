// Where each temporary of an op list stands while the list is evaluated: in a register, in the constant pool, or in a slot of its own.

import type { Type } from '../../isa/dsl/effects.ts';
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
  /** Operations that need no step, because their result already stands where it belongs. */
  readonly elided: ReadonlySet<Uop>;
}

/**
 * Chooses places. A `get` is read in the register itself where the register is not set before the value's last use; a value is
 * computed straight into the register that it is set to where nothing later in the list reads the old value or can still fault.
 * A program's start executes tens of thousands of different instructions once each, so this goes over the list only a few times.
 */
export function place(list: OpList, pool: ConstantPool): Placement {
  const { ops, temps } = list;
  const n = ops.length;
  if (temps.length > TEMP_COUNT) throw new RangeError('an op list of too many temporaries');
  const places = temps.map((_: Type, i: number) => (TEMPS + 16 * i) >>> 2);
  const elided = new Set<Uop>();
  const lastUse = new Int32Array(temps.length).fill(-1);
  const definedAt = new Int32Array(temps.length).fill(-1);
  const setAt = new Map<Register, number>();
  const setTwice = new Set<Register>();
  /** The last `get` of each register, and the last reading of one that is aliased. */
  const lastGet = new Map<Register, number>();
  /** No operation from here on can fault. */
  let quietFrom = 0;
  for (let i = 0; i < n; i++) {
    const uop = ops[i]!;
    for (const temp of operandsOf(uop)) lastUse[temp] = i;
    if ('dst' in uop) definedAt[uop.dst] = i;
    if (uop.op === 'set') {
      if (setAt.has(uop.register)) setTwice.add(uop.register);
      else setAt.set(uop.register, i);
    } else if (uop.op === 'get') lastGet.set(uop.register, i);
    else if (uop.op === 'load' || uop.op === 'store' || uop.op === 'trap') quietFrom = i + 1;
  }

  const lastRead = new Map<Register, number>();
  for (const uop of ops) {
    if (uop.op === 'const') {
      const at = pool.place(uop.value);
      if (at < 0) continue;
      places[uop.dst] = at;
      elided.add(uop);
    } else if (uop.op === 'get') {
      const set = setAt.get(uop.register);
      if (set !== undefined && set < lastUse[uop.dst]!) continue;
      places[uop.dst] = placeOf(uop.register);
      lastRead.set(uop.register, Math.max(lastRead.get(uop.register) ?? -1, lastUse[uop.dst]!));
      elided.add(uop);
    }
  }

  for (const [register, i] of setAt) {
    if (setTwice.has(register)) continue;
    const uop = ops[i]!;
    if (uop.op !== 'set') continue;
    const from = definedAt[uop.value]!;
    if (elided.has(ops[from]!) || places[uop.value] !== (TEMPS + 16 * uop.value) >>> 2) continue;
    // Between the definition and the end: no reader of the old register, nothing that may fault, no other definition there.
    if ((lastRead.get(register) ?? -1) > from || (lastGet.get(register) ?? -1) > from || quietFrom > from + 1) continue;
    places[uop.value] = placeOf(register);
    elided.add(uop);
  }
  return { places, elided };
}
