// The driver: a module that is there from the start, a small loop that goes from unit to unit by way of the jump cache until control leaves
// compiled code.

import type { Isa } from '../../isa/dsl/isa.ts';
import { JUMPS, LEFT_FLAG, STATE } from '../engine/layout.ts';
import { emitJumpHash } from './emit-jumps.ts';
import { UNIT_TYPE, unitType } from './transfers.ts';
import { assemble, Code, I32, I64, OP } from './wasm.ts';

/** Calls that may nest on the host's stack before it is unwound. A frame takes a few hundred bytes, of the 984 KB that V8 has. */
export const MAX_DEPTH = 220;

/** `drive(slot, entry, remaining)`: runs from a unit's entry, returns what remains; PC stands in the state block. */
export function driverModule(isa: Isa, memoryPages: number): Uint8Array<ArrayBuffer> {
  const wide = isa.variant.width === 64;
  const word = wide ? I64 : I32;
  const code = new Code(3);
  const [slot, entry, remaining] = [0, 1, 2] as const;
  const pc = code.local(word);
  const at = code.local(I32);
  const done = code.block();
  const next = code.loop();
  code.get(entry);
  code.get(remaining);
  code.i32(MAX_DEPTH);
  code.get(slot);
  code.callIndirect(UNIT_TYPE);
  code.set(remaining);
  code.set(pc);
  code.i32(0);
  code.memory(OP.i32_load, LEFT_FLAG);
  code.brIf(done);
  emitJumpHash(code, isa, pc);
  code.tee(at);
  code.memory(wide ? OP.i64_load : OP.i32_load, JUMPS);
  code.get(pc);
  code.op(wide ? OP.i64_eq : OP.i32_eq);
  code.get(remaining);
  code.i32(0);
  code.op(OP.i32_gt_s);
  code.op(OP.i32_and);
  code.if();
  code.get(at);
  code.memory(OP.i32_load, JUMPS + 8);
  code.set(slot);
  code.get(at);
  code.memory(OP.i32_load, JUMPS + 12);
  code.set(entry);
  code.br(next);
  code.end();
  code.i32(0);
  code.get(pc);
  code.memory(wide ? OP.i64_store : OP.i32_store, STATE + isa.registers.control.pc.offset);
  code.end();
  code.end();
  code.get(remaining);
  return assemble({
    types: [unitType(isa), { parameters: [I32, I32, I32], results: [I32] }],
    functions: [],
    memoryPages,
    bodies: [{ type: 1, body: code.body(), name: 'drive' }],
  });
}
