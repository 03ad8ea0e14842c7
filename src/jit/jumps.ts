// The jump cache: where an address hashes to. emit-jumps.ts says the same to compiled code.

import type { Isa } from '../../isa/dsl/isa.ts';
import { JUMP_BITS, JUMP_ENTRY } from '../engine/layout.ts';

/** Offset of an address's entry in the jump cache. */
export const jumpHash = (isa: Isa, pc: number): number => {
  const index = (pc | 0) >>> (31 - Math.clz32(isa.quantum));
  return ((index ^ (index >>> JUMP_BITS)) & ((1 << JUMP_BITS) - 1)) * JUMP_ENTRY;
};
