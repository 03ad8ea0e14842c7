// The driver: a module that is there from the start, a small loop that goes from unit to unit by way of the jump cache until control leaves
// compiled code, or its budget has ended and the host gives no more.

import type { Isa } from '../../isa/dsl/isa.ts';
import { BRIDGE_JUMPS, BRIDGE_WAY, BRIDGE_WAYS, JUMPS, LEFT_FLAG } from '../engine/layout.ts';
import { assemble } from './assemble.ts';
import { emitJumpHash } from './emit-jumps.ts';
import { addressOps, emitMore, pcAddress } from './emit-left.ts';
import { I32, OP } from './opcodes.ts';
import { UNIT_TYPE, unitType } from './transfers.ts';
import { Code } from './wasm.ts';

/** Calls that may nest on the host's stack before it is unwound. A frame takes a few hundred bytes, of the 984 KB that V8 has. */
export const MAX_DEPTH = 220;

/** Types of the module, and its import, by index. */
const DRIVE_TYPE = 1;
const MORE_TYPE = 2;
const MORE = 0;

/** `drive(slot, entry, remaining)`: runs from a unit's entry, returns what remains; PC stands in the state block. */
export function driverModule(isa: Isa, memoryPages: number): Uint8Array<ArrayBuffer> {
  const { type, load, store, equal } = addressOps(isa);
  const code = new Code(3);
  const [slot, entry, remaining] = [0, 1, 2] as const;
  const pc = code.local(type);
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
  // Where its budget has ended as well: the unit asks for some before anything else, at an exit that has a number.
  const look = code.loop();
  emitJumpHash(code, isa, pc);
  code.set(at);
  /** Goes on by a table's entry at `at`, if that is the address's. */
  const lookIn = (table: number): void => {
    code.get(at);
    code.memory(load, table);
    code.get(pc);
    code.op(equal);
    code.if();
    code.get(at);
    code.memory(OP.i32_load, table + 8);
    code.set(slot);
    code.get(at);
    code.memory(OP.i32_load, table + 12);
    code.set(entry);
    code.br(next);
    code.end();
  };
  lookIn(JUMPS);
  for (let way = 0; way < BRIDGE_WAYS; way++) {
    // From one way to the next.
    if (way > 0) {
      code.get(at);
      code.i32(BRIDGE_WAY * (way ^ (way - 1)));
      code.op(OP.i32_xor);
      code.set(at);
    }
    lookIn(BRIDGE_JUMPS);
  }
  code.get(remaining);
  code.i32(0);
  code.op(OP.i32_le_s);
  code.if();
  code.i32(0);
  code.get(pc);
  code.memory(store, pcAddress(isa));
  emitMore(
    code,
    MORE,
    remaining,
    () => code.i32(0),
    () => code.br(done),
  );
  code.i32(0);
  code.memory(load, pcAddress(isa));
  code.set(pc);
  code.br(look);
  code.end();
  code.i32(0);
  code.get(pc);
  code.memory(store, pcAddress(isa));
  code.end();
  code.end();
  code.end();
  code.get(remaining);
  return assemble({
    types: [unitType(isa), { parameters: [I32, I32, I32], results: [I32] }, { parameters: [I32], results: [I32] }],
    functions: [{ module: 'h', name: 'more', type: MORE_TYPE }],
    memoryPages,
    bodies: [{ type: DRIVE_TYPE, body: code.body(), name: 'drive' }],
  });
}
