// The timer's interrupt in compiled code: what `HostHandler.interrupt` does where it is simple.

import {
  DECIDED_REFUSED,
  DECIDED_SAFE,
  DECISIONS,
  PLACE_DECISION,
  PLACE_HALF,
  PLACE_HALF_RESUME,
  PLACE_PC,
  PLACE_RESUME,
  PLACE_RETURN,
  STATE,
  STRETCH_END,
  TAKE_EVERY,
  TAKE_UNTIL,
  TAKEN_STATE,
  TAKEN_STRETCHES,
  WINDOW,
} from '../../engine/layout.ts';
import { Grunning, Prunning, stackPreempt } from '../../goruntime/facts/constants.ts';
import { CHECKS, type CheckId } from '../../goruntime/safe-points.ts';
import { F64, I32, I64, OP } from '../../jit/opcodes.ts';
import {
  FILTER_BIT_SHIFTS,
  FILTER_WORD_SHIFT,
  FILTER_WORDS,
  HASH_FACTOR,
  KINDS,
  MOST_NOTES,
  NOTE,
  NOTE_SIZE,
  OFFSETS,
  PAST,
  PAST_SIZE,
  REFUSERS,
  RESTART_LIMIT,
} from '../handler-state.ts';
import type { Emitter, Push } from './emitter.ts';
import type { InsideProgram } from './program.ts';
import { emitServe, emitStatus, emitTaken } from './served.ts';

const checkIndex = (check: CheckId): number => CHECKS.indexOf(check);

/**
 * Takes the interrupt at an exit whose budget has ended (layout.ts, DECISIONS), and returns for how many instructions to go on; leaves where it is
 * not for it to do so, nothing having changed. Names and order are those of the handler and of `Preemption`.
 */
export function emitInterrupt(e: Emitter, program: InsideProgram, place: Push): void {
  const { code } = e;
  const { arch, offsets, isa } = program;
  const { g, m, p } = offsets;
  const pointerLoad = e.wide ? OP.i64_load : OP.i32_load;
  const pointerStore = e.wide ? OP.i64_store : OP.i32_store;

  // Whether it is for us
  e.leaveUnless(place);
  const every = e.let(I32, e.load(OP.i32_load, TAKE_EVERY));
  const end = e.let(I64, e.load(OP.i64_load, STRETCH_END));
  const now = e.let(F64, e.op(OP.f64_convert_i64_s, end));
  const next = e.let(I64, e.op(OP.i64_add, end, e.op(OP.i64_extend_i32_s, every)));
  e.leaveUnless(e.op(OP.f64_le, e.op(OP.f64_convert_i64_s, next), e.load(OP.f64_load, TAKE_UNTIL)));

  // Who was interrupted, and where
  const pc = e.let(e.pointer, e.load(pointerLoad, DECISIONS + PLACE_RETURN, place));
  const sp = e.let(e.pointer, e.getRegister(arch.spRegister));
  const gp =
    arch.gTlsOffset === undefined
      ? e.let(e.pointer, e.getRegister(arch.gRegister))
      : e.field(e.getRegister('FS_BASE'), arch.gTlsOffset, 'pointer');
  e.leaveUnlessStructure(gp);
  const pcNumber = e.let(F64, e.number(pc));
  const spNumber = e.let(F64, e.number(sp));
  const gNumber = e.let(F64, e.number(gp));
  const pastLocal = code.local(I32);
  const past = e.get(pastLocal);
  const isOfG = e.op(OP.f64_eq, e.load(OP.f64_load, PAST.gp, past), gNumber);
  const isOf =
    (word: number): Push =>
    () => {
      e.set(pastLocal, e.load(OP.i32_load, word));
      e.both(e.op(OP.i32_ne, past, e.i32(0)), isOfG)();
    };
  e.when(e.not(isOf(OFFSETS.latest)), () => {
    e.when(e.not(isOf(OFFSETS.former)), () => {
      e.set(pastLocal, e.i32(OFFSETS.pasts));
      const next = code.loop();
      e.leaveIf(e.op(OP.i32_ge_s, past, e.load(OP.i32_load, OFFSETS.pastsEnd)));
      e.when(e.not(isOfG), () => {
        e.set(pastLocal, e.op(OP.i32_add, past, e.i32(PAST_SIZE)));
        code.br(next);
      });
      code.end();
    });
    e.store(OP.i32_store, OFFSETS.former, e.load(OP.i32_load, OFFSETS.latest));
    e.store(OP.i32_store, OFFSETS.latest, past);
  });
  const was = (field: number): Push => e.load(OP.f64_load, field, past);
  const equals = (field: number, value: Push): Push => e.op(OP.f64_eq, was(field), value);

  /** Out of a slot, if the thread is in one: its branch is where an exception returns to. */
  const setPc = (value: Push): void => {
    const { control } = isa.registers;
    e.store(pointerStore, STATE + control.pc.offset, value);
    if (arch.delaySlot) e.store(OP.i32_store, STATE + control.slot.offset, e.i32(0));
  };
  const goOn = (): void => {
    e.breakLink();
    e.store(OP.i64_store, STRETCH_END, next);
    e.store(OP.i32_store, WINDOW, e.i32(-1));
    e.store(OP.i32_store, WINDOW + 4, e.i32(-2));
    emitTaken(e, TAKEN_STRETCHES | TAKEN_STATE);
    every();
    code.op(OP.return);
  };

  // A goroutine that has not moved
  const again = e.both(equals(PAST.refusedPc, pcNumber), equals(PAST.refusedSp, spNumber));
  e.leaveIf(e.both(again, e.op(OP.f64_le, e.op(OP.f64_sub, now, was(PAST.refusedAt)), e.f64(1))));
  const from = e.op(OP.f64_ge, pcNumber, was(PAST.injectedFrom));
  const to = e.op(OP.f64_le, pcNumber, was(PAST.injectedTo));
  e.when(e.both(e.both(from, to), equals(PAST.injectedSp, spNumber)), () => {
    const isFirst = e.op(OP.f64_ne, was(PAST.resumedAt), was(PAST.resumedAt));
    e.when(isFirst, () => e.store(OP.f64_store, PAST.resumedAt, now, past));
    e.when(e.op(OP.f64_le, e.op(OP.f64_sub, now, was(PAST.resumedAt)), e.f64(RESTART_LIMIT)), () => {
      // It is let go on where it is, which may be a slot.
      e.leaveUnless(e.equal(pc, e.load(pointerLoad, DECISIONS + PLACE_PC, place)));
      goOn();
    });
  });

  // What is decided of the place: half a call may be executed there
  const decisionLocal = code.local(I32);
  const resumeLocal = code.local(e.pointer);
  const decision = e.get(decisionLocal);
  const resume = e.get(resumeLocal);
  const decided = (decisionAt: number, resumeAt: number) => (): void => {
    e.set(decisionLocal, e.load(OP.i32_load, DECISIONS + decisionAt, place));
    e.set(resumeLocal, e.load(pointerLoad, DECISIONS + resumeAt, place));
  };
  const plainly = decided(PLACE_DECISION, PLACE_RESUME);
  if (arch.lrRegister === undefined) plainly();
  else {
    const half = e.equal(e.getRegister(arch.lrRegister), e.add(pc, 8));
    e.when(half, decided(PLACE_HALF, PLACE_HALF_RESUME), plainly);
  }
  e.leaveUnless(e.op(OP.i32_gt_s, decision, e.i32(0)));

  const mp = e.field(gp, g.m, 'pointer');
  e.leaveUnlessStructure(mp);
  const isRunning = e.op(OP.i32_eq, emitStatus(e, program, gp), e.i32(Grunning));
  /** Finds what acknowledging writes. */
  const acknowledgement = (): (() => void) => {
    const countGeneration = e.counter(mp, m.preemptGen);
    const at = program.signalPending ? m.signalPending : undefined;
    const setPending = at === undefined ? undefined : e.writable(mp, at, 4);
    return () => {
      countGeneration();
      setPending?.(e.i32(0));
    };
  };
  const refuse = (check: Push): void => {
    e.store(OP.f64_store, PAST.refusedPc, pcNumber, past);
    e.store(OP.f64_store, PAST.refusedSp, spNumber, past);
    e.store(OP.f64_store, PAST.refusedAt, now, past);
    e.count(OFFSETS.delivered);
    e.count(OFFSETS.refused, e.f64(1), e.let(I32, e.op(OP.i32_mul, check, e.i32(8))));
    setPc(pc);
  };

  // No goroutine that anybody could want to preempt: g0, mostly
  e.when(e.not(e.equal(e.field(mp, m.curg, 'pointer'), gp)), () => {
    e.leaveIf(isRunning);
    acknowledgement()();
    refuse(e.i32(checkIndex('want')));
    goOn();
  });
  e.leaveUnless(isRunning);
  e.leaveUnless(e.load(OP.i32_load, OFFSETS.stop));
  e.leaveIf(e.equal(e.field(mp, m.g0, 'pointer'), gp));
  const pp = e.field(mp, m.p, 'pointer');
  e.leaveUnlessStructure(pp);
  const pending = e.let(I32, e.load(OP.i32_load, OFFSETS.pending));
  e.leaveIf(e.op(OP.i32_gt_s, pending, e.i32(1)));
  const wanted = e.let(I32, e.op(OP.i32_or, e.field(gp, g.preempt, 1), e.field(pp, p.preempt, 1)));

  // canPreemptM, the stack, and what the tables say
  const held = e.op(OP.i32_or, e.field(mp, m.locks, 4), e.field(mp, m.mallocing, 4));
  const preemptoff = e.field(mp, m.preemptoff + arch.pointerSize, 'pointer');
  const runs = e.op(OP.i32_eq, e.field(pp, p.status, 4), e.i32(Prunning));
  const checkLocal = code.local(I32);
  const check = e.get(checkLocal);
  e.when(
    e.both(e.both(e.not(held), e.isZero(preemptoff)), runs),
    () => {
      const lo = e.field(gp, g.stackLo, 'pointer');
      e.leaveUnless(e.op(e.wide ? OP.i64_le_u : OP.i32_le_u, lo, sp));
      const room = e.number(e.op(e.wide ? OP.i64_sub : OP.i32_sub, sp, lo));
      e.leaveUnless(e.op(OP.f64_ge, room, e.f64(program.asyncPreemptStack)));
      e.set(checkLocal, e.op(OP.i32_sub, decision, e.i32(DECIDED_REFUSED)));
    },
    () => e.set(checkLocal, e.i32(checkIndex('canPreemptM'))),
  );
  const isSafe = e.op(OP.i32_eq, check, e.i32(DECIDED_SAFE - DECIDED_REFUSED));

  // All that is to be written must be there before anything is.
  const poison = e.writable(gp, g.stackguard0, 'pointer');
  const setPreempt = e.writable(gp, g.preempt, 1);
  const setPpreempt = e.writable(pp, p.preempt, 1);
  const acknowledge = acknowledgement();
  const pushed = e.let(e.pointer, e.add(sp, -arch.pointerSize));
  let push: ((value: Push) => void) | undefined;
  e.when(isSafe, () => {
    push = e.writable(pushed, 0, 'pointer');
  });
  const notedLocal = code.local(I32);
  const noted = e.get(notedLocal);
  e.set(notedLocal, e.load(OP.i32_load, OFFSETS.noted));
  e.when(e.not(isSafe), () => {
    // The last ones may be of what has been forgotten since.
    const last = e.op(OP.i32_mul, e.op(OP.i32_sub, noted, e.i32(1)), e.i32(NOTE_SIZE));
    const isOfPast = e.op(OP.i32_eq, e.load(OP.i32_load, OFFSETS.notes + NOTE.past, last), past);
    const generation = e.load(OP.f64_load, OFFSETS.notes + NOTE.generation, last);
    const again = code.loop();
    e.when(noted, () =>
      e.when(e.both(isOfPast, e.op(OP.f64_ne, generation, was(PAST.generation))), () => {
        e.set(notedLocal, e.op(OP.i32_sub, noted, e.i32(1)));
        code.br(again);
      }),
    );
    code.end();
    e.leaveIf(e.op(OP.i32_ge_s, noted, e.i32(MOST_NOTES)));
  });
  /** The bits of the place among the refusals, and the word that they are in. */
  const hash = e.let(I32, e.op(OP.i32_mul, e.op(OP.i32_xor, e.low(pc), e.low(sp)), e.i32(HASH_FACTOR | 0)));
  const bit = (shift: number): Push =>
    e.op(OP.i64_shl, e.i64(1n), e.op(OP.i64_extend_i32_u, e.op(OP.i32_shr_u, hash, e.i32(shift))));
  const bits = e.let(I64, e.op(OP.i64_or, ...FILTER_BIT_SHIFTS.map(bit)));
  const inFilter = e.op(OP.i32_shl, e.op(OP.i32_shr_u, hash, e.i32(FILTER_WORD_SHIFT)), e.i32(3));
  const filterAt = e.let(I32, e.op(OP.i32_add, past, inFilter));
  const filter = e.load(OP.i64_load, PAST.filter, filterAt);
  e.when(e.not(wanted), () => {
    e.leaveIf(pending);
    e.leaveIf(e.op(OP.i64_eq, e.op(OP.i64_and, filter, bits), bits));

    // requestPreempt
    setPreempt(e.i32(1));
    poison(e.address(stackPreempt));
    setPpreempt(e.i32(1));
    e.store(OP.i32_store, OFFSETS.pending, e.i32(1));
    e.store(OP.f64_store, OFFSETS.pendingG, gNumber);
    e.store(OP.f64_store, OFFSETS.pendingSince, now);
    e.store(OP.i32_store, 0, e.i32(1), e.load(OP.i32_load, OFFSETS.stop));
  });
  acknowledge();
  e.when(isSafe, () => {
    // pushCall
    push?.(arch.lrRegister === undefined ? resume : e.getRegister(arch.lrRegister));
    e.setRegister(arch.spRegister, pushed);
    if (arch.lrRegister !== undefined) e.setRegister(arch.lrRegister, resume);
    setPc(e.address(program.asyncPreempt));

    e.store(OP.f64_store, PAST.generation, e.op(OP.f64_add, was(PAST.generation), e.f64(1)), past);
    for (let word = 0; word < FILTER_WORDS; word++) e.store(OP.i64_store, PAST.filter + 8 * word, e.i64(0n), past);
    e.store(OP.f64_store, PAST.injectedFrom, e.number(resume), past);
    e.store(OP.f64_store, PAST.injectedTo, pcNumber, past);
    e.store(OP.f64_store, PAST.injectedSp, spNumber, past);
    e.store(OP.f64_store, PAST.resumedAt, e.f64(Number.NaN), past);
    e.count(OFFSETS.delivered);
    e.count(OFFSETS.injected);
    const isPending = e.load(OP.i32_load, OFFSETS.pending);
    const isPendingOfG = e.op(OP.f64_eq, e.load(OP.f64_load, OFFSETS.pendingG), gNumber);
    e.when(e.both(isPending, isPendingOfG), () => emitServe(e, e.i32(KINDS.indexOf('asynchronous')), now));
    goOn();
  });
  e.store(OP.i64_store, PAST.filter, e.op(OP.i64_or, filter, bits), filterAt);
  const note = e.let(I32, e.op(OP.i32_mul, noted, e.i32(NOTE_SIZE)));
  const byState = e.op(OP.i32_eq, check, e.i32(checkIndex('canPreemptM')));
  const [state, tables] = [e.i32(REFUSERS.indexOf('state')), e.i32(REFUSERS.indexOf('tables'))];
  e.store(OP.i32_store, OFFSETS.notes + NOTE.past, past, note);
  e.store(OP.i32_store, OFFSETS.notes + NOTE.by, e.op(OP.select, state, tables, byState), note);
  e.store(OP.f64_store, OFFSETS.notes + NOTE.generation, was(PAST.generation), note);
  e.store(OP.f64_store, OFFSETS.notes + NOTE.pc, pcNumber, note);
  e.store(OP.f64_store, OFFSETS.notes + NOTE.sp, spNumber, note);
  e.store(OP.i32_store, OFFSETS.noted, e.op(OP.i32_add, noted, e.i32(1)));
  refuse(check);
  goOn();
}
