// clock_gettime in compiled code, where it can do nothing but tell the time: the scheduler of Go asks for it at each preemption. The call itself
// is a row of src/linux/calls/time.ts, which does all that is left to it from here.

import { CALL_CLOCK, CALL_UNTIL, CALLS_TAKEN, STRETCH_END } from '../../engine/layout.ts';
import { I32, I64, OP } from '../../jit/opcodes.ts';
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from '../../linux/calls/time.ts';
import { NS } from '../../linux/time.ts';
import type { Emitter, Push } from './emitter.ts';
import type { InsideProgram } from './program.ts';

/** Makes the call that has just been executed, so many instructions being left of the budget; leaves where it is another. */
export function emitClockCall(e: Emitter, program: InsideProgram, left: Push): void {
  const { arch, callRegisters } = program;
  const { number, result, failed } = callRegisters;
  const [clockRegister, addressRegister] = callRegisters.arguments as [string, string];
  const isI32 = (value: Push, wanted: number): Push => e.op(OP.i32_eq, value, e.i32(wanted));
  e.leaveUnless(isI32(e.low(e.getRegister(number)), program.clockGettime));
  const clock = e.let(I32, e.low(e.getRegister(clockRegister)));
  e.leaveUnless(e.op(OP.i32_or, isI32(clock, CLOCK_MONOTONIC), isI32(clock, CLOCK_REALTIME)));
  // With the budget ended somebody is to be asked, and from here on it may be another thread's turn.
  e.leaveUnless(e.op(OP.i32_gt_s, left, e.i32(0)));
  const executed = e.op(OP.i64_sub, e.load(OP.i64_load, STRETCH_END), e.op(OP.i64_extend_i32_s, left));
  const now = e.let(I64, executed);
  e.leaveUnless(e.op(OP.f64_lt, e.op(OP.f64_convert_i64_s, now), e.load(OP.f64_load, CALL_UNTIL)));
  const address = e.let(e.pointer, e.getRegister(addressRegister));
  e.leaveIf(e.op(OP.i32_and, e.low(address), e.i32(arch.pointerSize - 1)));
  const setSeconds = e.writable(address, 0, 'pointer');
  const setRest = e.writable(address, arch.pointerSize, 'pointer');

  const sinceBoot = e.let(I64, e.op(OP.i64_add, now, e.op(OP.i64_trunc_f64_u, e.load(OP.f64_load, CALL_CLOCK))));
  const base: Push = e.op(OP.select, e.i64(program.epoch), e.i64(0n), isI32(clock, CLOCK_REALTIME));
  const time = e.let(I64, e.op(OP.i64_add, sinceBoot, base));
  const word = (value: Push): Push => (e.wide ? value : e.op(OP.i32_wrap_i64, value));
  setSeconds(word(e.op(OP.i64_div_u, time, e.i64(BigInt(NS)))));
  setRest(word(e.op(OP.i64_rem_u, time, e.i64(BigInt(NS)))));
  e.setRegister(result, e.address(0));
  if (failed !== undefined) e.setRegister(failed, e.address(0));
  e.count(CALLS_TAKEN);
  e.breakLink();
}
