// Tables of jumps, the jump cache (JUMPS) and that of exact bridges (BRIDGE_JUMPS): where an address hashes to, which emit-jumps.ts says to compiled code,
// and what is put there.

import type { Isa } from '../../isa/dsl/isa.ts';
import { JUMP_BITS, JUMP_ENTRY } from '../engine/layout.ts';

/** Offset of an address's entry in the jump cache. */
export const jumpHash = (isa: Isa, pc: number): number => {
  const index = (pc | 0) >>> (31 - Math.clz32(isa.quantum));
  return ((index ^ (index >>> JUMP_BITS)) & ((1 << JUMP_BITS) - 1)) * JUMP_ENTRY;
};

/** Lets compiled code that looks for an address in a table find slot and number of a unit's entry. */
export function putJump(i32: Int32Array, isa: Isa, table: number, pc: number, slot: number, number: number): void {
  const at = (table + jumpHash(isa, pc)) >>> 2;
  i32[at] = pc | 0;
  i32[at + 1] = Math.floor(pc / 2 ** 32);
  i32[at + 2] = slot;
  i32[at + 3] = number;
}

/** Prepares a table of zeros: its first entry gets a tag that no address there has; in the others zeros match nothing. */
export function beginJumps(i32: Int32Array, isa: Isa, table: number): void {
  i32[table >>> 2] = isa.quantum;
}

/** Forgets what a table has. */
export function forgetJumps(i32: Int32Array, isa: Isa, table: number): void {
  i32.fill(0, table >>> 2, (table + (JUMP_ENTRY << JUMP_BITS)) >>> 2);
  beginJumps(i32, isa, table);
}
