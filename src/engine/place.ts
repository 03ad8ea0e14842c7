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

const changesNothingElse = (uop: Uop): boolean =>
  uop.op !== 'load' && uop.op !== 'store' && uop.op !== 'trap' && uop.op !== 'branch' && uop.op !== 'nullify';

/**
 * Chooses places. A `get` is read in the register itself where the register is not set before the value's last use; a value is
 * computed straight into the register that it is set to where nothing later in the list reads the old value or can still fault.
 */
export function place(list: OpList, pool: ConstantPool): Placement {
  const { ops, temps } = list;
  if (temps.length > TEMP_COUNT) throw new RangeError('an op list of too many temporaries');
  const places = temps.map((_: Type, i: number) => (TEMPS + 16 * i) >>> 2);
  const elided = new Set<Uop>();
  const lastUse = new Map<number, number>();
  for (const [i, uop] of ops.entries()) for (const temp of operandsOf(uop)) lastUse.set(temp, i);
  const setAt = new Map<Register, number>();
  const setTwice = new Set<Register>();
  for (const [i, uop] of ops.entries()) {
    if (uop.op !== 'set') continue;
    if (setAt.has(uop.register)) setTwice.add(uop.register);
    else setAt.set(uop.register, i);
  }

  const aliased = new Map<number, Register>();
  for (const uop of ops) {
    if (uop.op === 'const') {
      const at = pool.place(uop.value);
      if (at < 0) continue;
      places[uop.dst] = at;
      elided.add(uop);
    } else if (uop.op === 'get') {
      const set = setAt.get(uop.register);
      if (set !== undefined && set < (lastUse.get(uop.dst) ?? -1)) continue;
      places[uop.dst] = placeOf(uop.register);
      aliased.set(uop.dst, uop.register);
      elided.add(uop);
    }
  }

  const definedAt = new Map<number, number>();
  for (const [i, uop] of ops.entries()) if ('dst' in uop) definedAt.set(uop.dst, i);
  for (const [i, uop] of ops.entries()) {
    if (uop.op !== 'set' || setTwice.has(uop.register)) continue;
    const from = definedAt.get(uop.value)!;
    const source = ops[from]!;
    if (elided.has(source) || places[uop.value] !== (TEMPS + 16 * uop.value) >>> 2) continue;
    // Between the definition and the end: no reader of the old register, nothing that may fault, no other definition there.
    const rest = ops.slice(from + 1);
    const readsOld = rest.some((later) => operandsOf(later).some((temp) => aliased.get(temp) === uop.register));
    const readsNow = rest.some((later) => later.op === 'get' && later.register === uop.register);
    const quiet = rest.every((later) => changesNothingElse(later) || later.op === 'branch' || later.op === 'nullify');
    if (readsOld || readsNow || !quiet || i < from) continue;
    places[uop.value] = placeOf(uop.register);
    elided.add(uop);
  }
  return { places, elided };
}
