// The jump cache for compiled code: where an address hashes to, as jumps.ts has it.

import type { Isa } from '../../isa/dsl/isa.ts';
import { JUMP_BITS, JUMP_ENTRY } from '../engine/layout.ts';
import { OP } from './opcodes.ts';
import type { Code } from './wasm.ts';

/** Pushes the offset of an address's entry in the jump cache. */
export function emitJumpHash(code: Code, isa: Isa, target: number): void {
  const shift = Math.log2(isa.quantum);
  const low = (): void => {
    code.get(target);
    if (isa.variant.width === 64) code.op(OP.i32_wrap_i64);
  };
  low();
  if (shift > 0) {
    code.i32(shift);
    code.op(OP.i32_shr_u);
  }
  low();
  code.i32(JUMP_BITS + shift);
  code.op(OP.i32_shr_u);
  code.op(OP.i32_xor);
  code.i32((1 << JUMP_BITS) - 1);
  code.op(OP.i32_and);
  code.i32(Math.log2(JUMP_ENTRY));
  code.op(OP.i32_shl);
}
