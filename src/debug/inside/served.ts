// Where requests for preemption are served, in compiled code: what `RequestLog.stopped` does at runtime.schedule where a single one is pending.

import { STRETCH_END, TAKEN, TAKEN_STATE } from '../../engine/layout.ts';
import { Grunnable, Gscan, Gwaiting } from '../../goruntime/facts/constants.ts';
import { F64, I32, OP } from '../../jit/opcodes.ts';
import {
  HASH_FACTOR,
  KINDS,
  OFFSETS,
  SERVED_SIZE,
  STOPPED,
  STOPPED_SET,
  STOPPED_SHIFT,
  STOPPED_SIZE,
} from '../handler-state.ts';
import type { Emitter, Push } from './emitter.ts';
import type { InsideProgram } from './program.ts';

/** gp.atomicstatus without the scan bit. */
export function emitStatus(e: Emitter, { offsets }: InsideProgram, gp: Push): Push {
  return e.let(I32, e.op(OP.i32_and, e.field(gp, offsets.g.atomicstatus, 4), e.i32(~Gscan)));
}

/** Says that something has changed of what the host has an idea of. */
export function emitTaken(e: Emitter, bits: number): void {
  e.store(OP.i32_store, TAKEN, e.op(OP.i32_or, e.load(OP.i32_load, TAKEN), e.i32(bits)));
}

/** Counts the pending request as served by a kind of safe-point, by index, and lets its breakpoint go. */
export function emitServe(e: Emitter, kind: Push, now: Push): void {
  const at = e.let(I32, e.op(OP.i32_mul, kind, e.i32(SERVED_SIZE)));
  e.count(OFFSETS.served, e.f64(1), at);
  e.count(OFFSETS.served + 8, e.op(OP.f64_sub, now, e.load(OP.f64_load, OFFSETS.pendingSince)), at);
  e.store(OP.i32_store, OFFSETS.pending, e.i32(0));
  e.store(OP.i32_store, 0, e.i32(0), e.load(OP.i32_load, OFFSETS.stop));
}

/** Serves the pending request, so many instructions being left of the budget; leaves where it is not for it to do so. */
export function emitServed(e: Emitter, program: InsideProgram, left: Push): void {
  const { code } = e;
  const { g } = program.offsets;
  e.leaveUnless(e.op(OP.i32_eq, e.load(OP.i32_load, OFFSETS.pending), e.i32(1)));
  e.leaveUnless(e.load(OP.i32_load, OFFSETS.stop));
  const pending = e.load(OP.f64_load, OFFSETS.pendingG);
  const gp = e.let(e.pointer, e.op(e.wide ? OP.i64_trunc_f64_u : OP.i32_trunc_f64_u, pending));
  const status = emitStatus(e, program, gp);
  const is = (wanted: number): Push => e.op(OP.i32_eq, status, e.i32(wanted));
  e.leaveUnless(e.op(OP.i32_or, is(Grunnable), is(Gwaiting)));
  const kind = code.local(I32);
  e.when(
    e.field(gp, g.asyncSafePoint, 1),
    () => e.set(kind, e.i32(KINDS.indexOf('asynchronous'))),
    () => {
      e.leaveUnless(e.isZero(e.field(gp, g.syscallsp, 'pointer')));
      const pc = e.field(gp, g.schedPc, 'pointer');
      const hash = e.op(OP.i32_mul, e.low(pc), e.i32(HASH_FACTOR | 0));
      const set = e.op(OP.i32_shr_u, hash, e.i32(STOPPED_SHIFT));
      const local = code.local(I32);
      const at = e.get(local);
      e.set(local, e.op(OP.i32_mul, set, e.i32(STOPPED_SET)));
      const next = code.loop();
      const there = e.load(OP.f64_load, OFFSETS.stoppedPcs + STOPPED.pc, at);
      e.when(e.op(OP.f64_ne, there, e.number(pc)), () => {
        e.set(local, e.op(OP.i32_add, at, e.i32(STOPPED_SIZE)));
        e.leaveUnless(e.op(OP.i32_and, at, e.i32(STOPPED_SET - 1)));
        code.br(next);
      });
      code.end();
      e.set(kind, e.load(OP.i32_load, OFFSETS.stoppedPcs + STOPPED.kind, at));
    },
  );
  const executed = e.op(OP.i64_sub, e.load(OP.i64_load, STRETCH_END), e.op(OP.i64_extend_i32_s, left));
  emitServe(e, e.get(kind), e.let(F64, e.op(OP.f64_convert_i64_s, executed)));
  emitTaken(e, TAKEN_STATE);
}
