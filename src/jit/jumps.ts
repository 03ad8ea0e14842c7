// Tables of jumps, the jump cache (JUMPS) and that of exact bridges (BRIDGE_JUMPS): where an address hashes to, which emit-jumps.ts says to compiled code,
// and what is put there.

import type { Isa } from '../../isa/dsl/isa.ts';
import { BRIDGE_JUMPS, BRIDGE_WAY, BRIDGE_WAYS, JUMP_BITS, JUMP_ENTRY, JUMPS } from '../engine/layout.ts';

/** Offset of an address's entry in the jump cache. */
export const jumpHash = (isa: Isa, pc: number): number => {
  const index = (pc | 0) >>> (31 - Math.clz32(isa.quantum));
  return ((index ^ (index >>> JUMP_BITS)) & ((1 << JUMP_BITS) - 1)) * JUMP_ENTRY;
};

/** Lets compiled code that looks for an address in the jump cache find slot and number of a unit's entry. */
export function putJump(i32: Int32Array, isa: Isa, pc: number, slot: number, number: number): void {
  put(i32, (JUMPS + jumpHash(isa, pc)) >>> 2, pc, slot, number);
}

/** The same for that of exact bridges. */
export function putBridgeJump(i32: Int32Array, isa: Isa, pc: number, slot: number, number: number): void {
  const home = (BRIDGE_JUMPS + jumpHash(isa, pc)) >>> 2;
  const way = (k: number): number => home ^ ((BRIDGE_WAY * k) >>> 2);
  let at = home;
  for (let k = 0; k < BRIDGE_WAYS; k++) {
    const tag = i32[way(k)]!;
    if (tag !== 0 && tag !== (pc | 0)) continue;
    at = way(k);
    break;
  }
  put(i32, at, pc, slot, number);
}

function put(i32: Int32Array, at: number, pc: number, slot: number, number: number): void {
  i32[at] = pc | 0;
  i32[at + 1] = Math.floor(pc / 2 ** 32);
  i32[at + 2] = slot;
  i32[at + 3] = number;
}

/** Prepares a table of zeros: where address 0 is looked for there are tags that no address there has; elsewhere zeros match nothing. */
export function beginJumps(i32: Int32Array, isa: Isa, table: number): void {
  for (let way = 0; way < BRIDGE_WAYS; way++) i32[(table + BRIDGE_WAY * way) >>> 2] = BRIDGE_WAYS * isa.quantum;
}

/** Forgets what a table has. */
export function forgetJumps(i32: Int32Array, isa: Isa, table: number): void {
  i32.fill(0, table >>> 2, (table + (JUMP_ENTRY << JUMP_BITS)) >>> 2);
  beginJumps(i32, isa, table);
}
