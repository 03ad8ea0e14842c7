// What a unit does when it has left by an exit, all registers being in the state block: mostly it returns, and the driver hands over to the
// host. But where only budget is lacking it goes on (`ExitPlaces`): by the exact bridge, in its own place on the host's stack, so that whoever
// waits for a return is not disturbed; and where the budget has ended it asks the host for more, which an interrupt that changes nothing gives.

import type { Isa } from '../../isa/dsl/isa.ts';
import {
  DECISION_ENTRY,
  DECISIONS,
  LEFT_FLAG,
  LEFT_HERE,
  PASSED,
  PLACE_BITS,
  PLACE_ENTRY,
  PLACE_NUMBER,
  PLACE_PC,
  PLACE_RETURN,
  PLACE_SLOT,
  PLACE_UNDONE,
  PLACES,
  STATE,
} from '../engine/layout.ts';
import { I32, I64, OP, type ValueType, VOID } from './opcodes.ts';
import type { Code } from './wasm.ts';

/** Opcodes for addresses. */
export function addressOps(isa: Isa): {
  readonly type: ValueType;
  readonly load: typeof OP.i64_load | typeof OP.i32_load;
  readonly store: typeof OP.i64_store | typeof OP.i32_store;
  readonly equal: typeof OP.i64_eq | typeof OP.i32_eq;
} {
  return isa.variant.width === 64
    ? { type: I64, load: OP.i64_load, store: OP.i64_store, equal: OP.i64_eq }
    : { type: I32, load: OP.i32_load, store: OP.i32_store, equal: OP.i32_eq };
}

export const pcAddress = (isa: Isa): number => STATE + isa.registers.control.pc.offset;

/** Sets LEFT_FLAG to a number. */
export function emitSetLeft(code: Code, number: number): void {
  code.i32(0);
  code.i32(number);
  code.memory(OP.i32_store, LEFT_FLAG);
}

/**
 * Asks the host for more budget, PC being in the state block, into `remaining`.
 * @param more index of the function
 * @param place pushes that of the exit in DECISIONS, or 0
 * @param none emits what is done where there is none
 */
export function emitMore(code: Code, more: number, remaining: number, place: () => void, none: () => void): void {
  // Compiled code may be dropped meanwhile: no number means anything then.
  emitSetLeft(code, LEFT_HERE);
  place();
  code.call(more);
  code.tee(remaining);
  code.op(OP.i32_eqz);
  code.if(VOID, false);
  none();
  code.end();
  emitSetLeft(code, 0);
}

/**
 * `left(remaining, depth)`, of the units' results: called in the place of a unit that has left.
 * @param unitType index of the units' type
 * @param helpers indexes of what asks the host, or whoever stands in its place
 */
export function emitLeft(
  code: Code,
  isa: Isa,
  unitType: number,
  helpers: Readonly<Record<'more' | 'passes', number>>,
): void {
  const [remaining, depth] = [0, 1] as const;
  const { type, load, store, equal } = addressOps(isa);
  const exit = code.local(I32);
  const at = code.local(I32);
  const decision = code.local(I32);
  const pc = code.local(type);
  /** No caller waits for this address. */
  const leave = (): void => {
    if (type === I64) code.i64(-1n);
    else code.i32(-1);
    code.get(remaining);
    code.op(OP.return);
  };
  const field = (offset: number): void => {
    code.get(at);
    code.memory(OP.i32_load, PLACES + offset);
  };
  const address = (offset: number): void => {
    code.get(decision);
    code.memory(load, DECISIONS + offset);
  };
  const isPlace = (): void => {
    field(0);
    code.get(exit);
    code.op(OP.i32_eq);
  };
  const hasBridge = (): void => {
    field(PLACE_SLOT);
    code.i32(0);
    code.op(OP.i32_ge_s);
  };
  const bridge = (number = () => field(PLACE_NUMBER)): void => {
    number();
    code.get(remaining);
    code.get(depth);
    field(PLACE_SLOT);
    code.returnCallIndirect(unitType);
  };
  code.i32(0);
  code.memory(OP.i32_load, LEFT_FLAG);
  code.tee(exit);
  // Half of an even number; of an odd one there is none.
  code.i32(((1 << PLACE_BITS) - 1) << 1);
  code.op(OP.i32_and);
  code.i32(Math.log2(PLACE_ENTRY) - 1);
  code.op(OP.i32_shl);
  code.set(at);
  isPlace();
  code.op(OP.i32_eqz);
  code.if();
  leave();
  code.end();
  const decisionOf = (): void => {
    code.get(at);
    code.i32(Math.log2(DECISION_ENTRY / PLACE_ENTRY));
    code.op(OP.i32_shl);
  };
  field(PLACE_NUMBER);
  code.i32(0);
  code.op(OP.i32_lt_s);
  code.if(VOID, false);
  // What of the block is not executed is executed when it begins again.
  const left = code.local(I32);
  code.get(remaining);
  field(PLACE_UNDONE);
  code.op(OP.i32_add);
  code.set(left);
  decisionOf();
  code.get(left);
  code.call(helpers.passes);
  code.op(OP.i32_eqz);
  code.if();
  leave();
  code.end();
  emitSetLeft(code, 0);
  code.get(left);
  code.set(remaining);
  bridge(() => {
    field(PLACE_NUMBER);
    code.i32(~PASSED);
    code.op(OP.i32_and);
  });
  code.end();
  code.get(remaining);
  code.i32(0);
  code.op(OP.i32_gt_s);
  code.if();
  hasBridge();
  code.op(OP.i32_eqz);
  code.if();
  leave();
  code.end();
  emitSetLeft(code, 0);
  bridge();
  code.end();
  code.get(remaining);
  field(PLACE_UNDONE);
  code.op(OP.i32_add);
  code.if();
  leave();
  code.end();
  decisionOf();
  code.set(decision);
  code.i32(0);
  address(PLACE_PC);
  code.memory(store, pcAddress(isa));
  emitMore(code, helpers.more, remaining, () => code.get(decision), leave);
  // Whoever took the interrupt may have let the thread go on elsewhere.
  code.i32(0);
  code.memory(load, pcAddress(isa));
  code.tee(pc);
  address(PLACE_RETURN);
  code.op(equal);
  isPlace();
  code.op(OP.i32_and);
  hasBridge();
  code.op(OP.i32_and);
  code.if();
  bridge();
  code.end();
  code.get(pc);
  code.get(remaining);
}
