// The handler's half in compiled code: what `HostHandler.interrupt` and `RequestLog.stopped` do in the common cases, without a way out to the
// host, which takes several times as long as the rest. It decides nothing of its own: whatever is out of the ordinary (memory that the TLB does
// not have, a goroutine that has not moved, a place of which nothing is known, a second request) is left to them, before anything has changed.
//
// `more(place)` takes the interrupt at an exit of compiled code (layout.ts, PLACES), whose budget has ended, and returns for how many
// instructions to go on. `stopped(remaining)` serves the pending request where compiled code has come to runtime.schedule with so many
// instructions left, and returns whether it may go on.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { Arch } from '../arch/arch.ts';
import {
  DECIDED_REFUSED,
  DECIDED_SAFE,
  PLACE_DECISION,
  PLACE_RESUME,
  PLACE_RETURN,
  PLACES,
  STATE,
  STRETCH_END,
  TAKE_EVERY,
  TAKE_UNTIL,
  TAKEN,
  TAKEN_STATE,
  TAKEN_STRETCHES,
  TLB_READ,
  TLB_WRITE,
  WINDOW,
} from '../engine/layout.ts';
import { Grunnable, Grunning, Gscan, Gwaiting, Prunning, stackPreempt } from '../goruntime/facts/constants.ts';
import type { StructOffsets } from '../goruntime/facts/structs.ts';
import { CHECKS, type CheckId } from '../goruntime/safe-points.ts';
import { emitTlbFind } from '../jit/lower-access.ts';
import { assemble, Code, F64, I32, I64, OP, type Opcode, VOID } from '../jit/wasm.ts';
import {
  FILTER_FACTOR,
  KINDS,
  MOST_NOTES,
  NOTE,
  NOTE_SIZE,
  OFFSETS,
  PAST,
  REFUSERS,
  STOPPED,
  STOPPED_MASK,
  STOPPED_SIZE,
} from './handler-state.ts';

/** What it has to know of a program. */
export interface HandledProgram {
  readonly isa: Isa;
  readonly arch: Arch;
  readonly offsets: StructOffsets;
  /** Entry of runtime.asyncPreempt, and the stack that a call of it needs. */
  readonly asyncPreempt: number;
  readonly asyncPreemptStack: number;
  /** Whether an interrupt is acknowledged in m.signalPending as well. */
  readonly signalPending: boolean;
}

/** Emits something that leaves one value on the stack. */
type Push = () => void;

const MORE = 0;
const checkIndex = (check: CheckId): number => CHECKS.indexOf(check);

/** Emits one function of it: short names for what it does all the time. */
class Emitter {
  readonly code: Code;
  readonly wide: boolean;
  readonly #program: HandledProgram;
  /** Where it is left to the host. */
  #host = 0;

  constructor(program: HandledProgram, parameters: number) {
    this.#program = program;
    this.wide = program.arch.pointerSize === 8;
    this.code = new Code(parameters);
  }

  get pointer(): typeof I64 | typeof I32 {
    return this.wide ? I64 : I32;
  }

  /** Emits what leaves to the host by `leaveIf`, and the host's part. */
  orHost(emit: () => void, host: () => void): void {
    this.#host = this.code.block();
    emit();
    this.code.end();
    host();
  }

  leaveIf(condition: Push): void {
    condition();
    this.code.brIf(this.#host);
  }

  leaveUnless(condition: Push): void {
    condition();
    this.code.op(OP.i32_eqz);
    this.code.brIf(this.#host);
  }

  when(condition: Push, emit: () => void, otherwise?: () => void): void {
    condition();
    this.code.if(VOID);
    emit();
    if (otherwise !== undefined) {
      this.code.else();
      otherwise();
    }
    this.code.end();
  }

  // Expressions

  i32 = (value: number): Push => () => this.code.i32(value);
  f64 = (value: number): Push => () => this.code.f64(value);
  address = (value: number): Push => () => (this.wide ? this.code.i64(BigInt(value)) : this.code.i32(value | 0));
  get = (local: number): Push => () => this.code.get(local);
  op =
    (opcode: Opcode, ...operands: readonly Push[]): Push =>
    () => {
      for (const push of operands) push();
      this.code.op(opcode);
    };
  both = (a: Push, b: Push): Push => this.op(OP.i32_and, a, b);
  not = (a: Push): Push => this.op(OP.i32_eqz, a);
  /** Of addresses, or numbers of an address's width. */
  equal = (a: Push, b: Push): Push => this.op(this.wide ? OP.i64_eq : OP.i32_eq, a, b);
  isZero = (a: Push): Push => this.op(this.wide ? OP.i64_eqz : OP.i32_eqz, a);
  low = (a: Push): Push => (this.wide ? this.op(OP.i32_wrap_i64, a) : a);
  /** An address as a number. */
  number = (a: Push): Push => this.op(this.wide ? OP.f64_convert_i64_u : OP.f64_convert_i32_u, a);
  /** From memory of ours: at a fixed offset of what a local has. */
  load =
    (opcode: Opcode, offset: number, base?: Push): Push =>
    () => {
      if (base === undefined) this.code.i32(0);
      else base();
      this.code.memory(opcode, offset);
    };

  let(type: typeof I32 | typeof I64 | typeof F64, value: Push): number {
    const local = this.code.local(type);
    value();
    this.code.set(local);
    return local;
  }

  /** Into memory of ours. */
  store(opcode: Opcode, offset: number, value: Push, base?: Push): void {
    if (base === undefined) this.code.i32(0);
    else base();
    value();
    this.code.memory(opcode, offset);
  }

  /** Adds 1, or something else, to a number in memory of ours. */
  count(offset: number, by: Push = this.f64(1)): void {
    this.store(OP.f64_store, offset, this.op(OP.f64_add, this.load(OP.f64_load, offset), by));
  }

  // The guest

  register(name: string): Register {
    return this.#program.isa.registers.byName.get(name)!;
  }

  /** A register as wide as an address. */
  getRegister = (name: string): Push =>
    this.load(this.wide ? OP.i64_load : OP.i32_load, STATE + this.register(name).offset);

  setRegister(name: string, value: Push): void {
    this.store(this.wide ? OP.i64_store : OP.i32_store, STATE + this.register(name).offset, value);
  }

  /** A local with the host's address of so many bytes of the guest's, at an offset from an address. */
  #found(base: Push, offset: number, bytes: number, tag: number): number {
    const { code } = this;
    const address = code.borrow(this.pointer);
    this.op(this.wide ? OP.i64_add : OP.i32_add, base, this.address(offset))();
    code.set(address);
    const host = code.local(I32);
    emitTlbFind(code, this.wide, address, tag, host);
    code.op(OP.i32_eqz);
    code.brIf(this.#host);
    code.release(this.pointer, address);
    if (this.#program.arch.bigEndian && bytes < 8) {
      this.op(OP.i32_xor, this.get(host), this.i32(8 - bytes))();
      code.set(host);
    }
    return host;
  }

  /** Reads a field of a structure: a byte, a word, or as much as an address. */
  field(base: Push, offset: number, bytes: 1 | 4 | 'pointer'): Push {
    const size = bytes === 'pointer' ? this.#program.arch.pointerSize : bytes;
    const host = this.#found(base, offset, size, TLB_READ);
    const load = size === 1 ? OP.i32_load8_u : size === 4 ? OP.i32_load : OP.i64_load;
    const local = this.let(size === 8 ? I64 : I32, this.load(load, 0, this.get(host)));
    return this.get(local);
  }

  /** Finds a field that is to be written: what writes it. */
  writable(base: Push, offset: number, bytes: 1 | 4 | 'pointer'): (value: Push) => void {
    const size = bytes === 'pointer' ? this.#program.arch.pointerSize : bytes;
    const host = this.#found(base, offset, size, TLB_WRITE);
    const store = size === 1 ? OP.i32_store8 : size === 4 ? OP.i32_store : OP.i64_store;
    return (value) => this.store(store, 0, value, this.get(host));
  }

  /** The same of a counter of 32 bits: what adds 1. */
  counter(base: Push, offset: number): () => void {
    const host = this.#found(base, offset, 4, TLB_WRITE);
    return () =>
      this.store(OP.i32_store, 0, this.op(OP.i32_add, this.load(OP.i32_load, 0, this.get(host)), this.i32(1)), this.get(host));
  }

  /** gp.atomicstatus without the scan bit. */
  status(gp: Push): number {
    const word = this.field(gp, this.#program.offsets.g.atomicstatus, 4);
    return this.let(I32, this.op(OP.i32_and, word, this.i32(~Gscan)));
  }

  noteTaken(bits: number): void {
    this.store(OP.i32_store, TAKEN, this.op(OP.i32_or, this.load(OP.i32_load, TAKEN), this.i32(bits)));
  }

  /** Counts the pending request as served by a kind of safe-point, which a local has the index of, and lets its breakpoint go. */
  serve(kind: Push, now: Push): void {
    const at = this.let(I32, this.op(OP.i32_mul, kind, this.i32(16)));
    const add = (offset: number, by: Push): void =>
      this.store(
        OP.f64_store,
        offset,
        this.op(OP.f64_add, this.load(OP.f64_load, offset, this.get(at)), by),
        this.get(at),
      );
    add(OFFSETS.served, this.f64(1));
    add(OFFSETS.served + 8, this.op(OP.f64_sub, now, this.load(OP.f64_load, OFFSETS.pendingSince)));
    this.store(OP.i32_store, OFFSETS.pending, this.i32(0));
    this.store(OP.i32_store, 0, this.i32(0), this.load(OP.i32_load, OFFSETS.stop));
  }
}

/** `stopped(remaining)`. */
function stopped(program: HandledProgram): Code {
  const e = new Emitter(program, 1);
  const { code } = e;
  const { g } = program.offsets;
  e.orHost(
    () => {
      e.leaveUnless(e.op(OP.i32_eq, e.load(OP.i32_load, OFFSETS.pending), e.i32(1)));
      e.leaveUnless(e.load(OP.i32_load, OFFSETS.stop));
      const g_ = e.get(e.let(e.pointer, e.op(e.wide ? OP.i64_trunc_f64_u : OP.i32_trunc_f64_u, e.load(OP.f64_load, OFFSETS.pendingG))));
      const status = e.get(e.status(g_));
      const is = (wanted: number): Push => e.op(OP.i32_eq, status, e.i32(wanted));
      e.leaveUnless(e.op(OP.i32_or, is(Grunnable), is(Gwaiting)));
      const kind = code.local(I32);
      const asyncSafePoint = e.field(g_, g.asyncSafePoint, 1);
      e.when(
        asyncSafePoint,
        () => {
          code.i32(KINDS.indexOf('asynchronous'));
          code.set(kind);
        },
        () => {
          e.leaveUnless(e.isZero(e.field(g_, g.syscallsp, 'pointer')));
          const pc = e.field(g_, g.schedPc, 'pointer');
          const index = e.op(OP.i32_and, e.op(OP.i32_shr_u, e.low(pc), e.i32(2)), e.i32(STOPPED_MASK));
          const at = e.get(e.let(I32, e.op(OP.i32_mul, index, e.i32(STOPPED_SIZE))));
          e.leaveUnless(e.op(OP.f64_eq, e.load(OP.f64_load, OFFSETS.stoppedPcs + STOPPED.pc, at), e.number(pc)));
          e.load(OP.i32_load, OFFSETS.stoppedPcs + STOPPED.kind, at)();
          code.set(kind);
        },
      );
      const left = e.op(OP.i64_extend_i32_s, e.get(0));
      const now = e.op(OP.f64_convert_i64_s, e.op(OP.i64_sub, e.load(OP.i64_load, STRETCH_END), left));
      e.serve(e.get(kind), now);
      e.noteTaken(TAKEN_STATE);
      code.i32(1);
      code.op(OP.return);
    },
    () => code.i32(0),
  );
  return code;
}

/** `more(place)`. */
function more(program: HandledProgram): Code {
  const e = new Emitter(program, 1);
  const { code } = e;
  const { arch, offsets, isa } = program;
  const { g, m, p } = offsets;
  const pointerLoad = e.wide ? OP.i64_load : OP.i32_load;
  const pointerStore = e.wide ? OP.i64_store : OP.i32_store;
  const place = e.get(0);

  const take = (): void => {
    // Whether it is for us
    e.leaveUnless(place);
    const decision = e.get(e.let(I32, e.load(OP.i32_load, PLACES + PLACE_DECISION, place)));
    e.leaveUnless(e.op(OP.i32_gt_s, decision, e.i32(0)));
    const every = e.get(e.let(I32, e.load(OP.i32_load, TAKE_EVERY)));
    const end = e.get(e.let(I64, e.load(OP.i64_load, STRETCH_END)));
    const now = e.get(e.let(F64, e.op(OP.f64_convert_i64_s, end)));
    const next = e.get(e.let(I64, e.op(OP.i64_add, end, e.op(OP.i64_extend_i32_s, every))));
    e.leaveUnless(e.op(OP.f64_le, e.op(OP.f64_convert_i64_s, next), e.load(OP.f64_load, TAKE_UNTIL)));

    // Who was interrupted, and where
    const pc = e.get(e.let(e.pointer, e.load(pointerLoad, PLACES + PLACE_RETURN, place)));
    const sp = e.get(e.let(e.pointer, e.getRegister(arch.spRegister)));
    const g_ =
      arch.gTlsOffset === undefined
        ? e.get(e.let(e.pointer, e.getRegister(arch.gRegister)))
        : e.field(e.getRegister('FS_BASE'), arch.gTlsOffset, 'pointer');
    const pcNumber = e.get(e.let(F64, e.number(pc)));
    const spNumber = e.get(e.let(F64, e.number(sp)));
    const gNumber = e.get(e.let(F64, e.number(g_)));
    const past = code.local(I32);
    const past_ = e.get(past);
    const isOf = (word: number): Push => {
      e.load(OP.i32_load, word)();
      code.set(past);
      return e.both(
        e.op(OP.i32_ne, past_, e.i32(0)),
        e.op(OP.f64_eq, e.load(OP.f64_load, PAST.gp, past_), gNumber),
      );
    };
    e.when(e.not(() => isOf(OFFSETS.latest)()), () => {
      e.leaveUnless(() => isOf(OFFSETS.former)());
      e.store(OP.i32_store, OFFSETS.former, e.load(OP.i32_load, OFFSETS.latest));
      e.store(OP.i32_store, OFFSETS.latest, past_);
    });
    const was = (field: number): Push => e.load(OP.f64_load, field, past_);

    // It has moved
    e.leaveIf(
      e.both(
        e.both(e.op(OP.f64_eq, was(PAST.refusedPc), pcNumber), e.op(OP.f64_eq, was(PAST.refusedSp), spNumber)),
        e.op(OP.f64_le, e.op(OP.f64_sub, now, was(PAST.refusedAt)), e.f64(1)),
      ),
    );
    e.leaveIf(
      e.both(
        e.both(e.op(OP.f64_ge, pcNumber, was(PAST.injectedFrom)), e.op(OP.f64_le, pcNumber, was(PAST.injectedTo))),
        e.op(OP.f64_eq, was(PAST.injectedSp), spNumber),
      ),
    );

    const mp = e.field(g_, g.m, 'pointer');
    e.leaveIf(e.isZero(mp));
    const status = e.get(e.status(g_));
    const isRunning = e.op(OP.i32_eq, status, e.i32(Grunning));
    const acknowledge = (): (() => void) => {
      const generation = e.counter(mp, m.preemptGen);
      const pending =
        program.signalPending && m.signalPending !== undefined ? e.writable(mp, m.signalPending, 4) : undefined;
      return () => {
        generation();
        pending?.(e.i32(0));
      };
    };
    const refuse = (check: Push): void => {
      e.store(OP.f64_store, PAST.refusedPc, pcNumber, past_);
      e.store(OP.f64_store, PAST.refusedSp, spNumber, past_);
      e.store(OP.f64_store, PAST.refusedAt, now, past_);
      const at = e.get(e.let(I32, e.op(OP.i32_mul, check, e.i32(8))));
      e.store(OP.f64_store, OFFSETS.refused, e.op(OP.f64_add, e.load(OP.f64_load, OFFSETS.refused, at), e.f64(1)), at);
      // The exception's return: out of a slot, to its branch.
      setPc(pc);
    };
    const setPc = (value: Push): void => {
      const { control } = isa.registers;
      e.store(pointerStore, STATE + control.pc.offset, value);
      if (arch.delaySlot) e.store(OP.i32_store, STATE + control.slot.offset, e.i32(0));
    };
    const goOn = (): void => {
      e.count(OFFSETS.delivered);
      const link = isa.registers.byName.get('LLbit');
      if (link !== undefined) {
        if (link.type !== 'i32') throw new Error('LLbit has another width');
        e.store(OP.i32_store, STATE + link.offset, e.i32(0));
      }
      e.store(OP.i64_store, STRETCH_END, next);
      e.store(OP.i32_store, WINDOW, e.i32(-1));
      e.store(OP.i32_store, WINDOW + 4, e.i32(-2));
      e.noteTaken(TAKEN_STRETCHES | TAKEN_STATE);
      every();
      code.op(OP.return);
    };

    // No goroutine that anybody could want to preempt: g0, mostly
    e.when(e.not(e.equal(e.field(mp, m.curg, 'pointer'), g_)), () => {
      e.leaveIf(isRunning);
      const acknowledged = acknowledge();
      acknowledged();
      refuse(e.i32(checkIndex('want')));
      goOn();
    });
    e.leaveUnless(isRunning);
    e.leaveUnless(e.load(OP.i32_load, OFFSETS.stop));
    e.leaveIf(e.equal(e.field(mp, m.g0, 'pointer'), g_));
    if (arch.linkRegister)
      // A call may be half executed.
      e.leaveIf(
        e.equal(
          e.getRegister(arch.lrRegister!),
          e.op(e.wide ? OP.i64_add : OP.i32_add, pc, e.address(8)),
        ),
      );
    const pp = e.field(mp, m.p, 'pointer');
    e.leaveIf(e.isZero(pp));
    const pending = e.get(e.let(I32, e.load(OP.i32_load, OFFSETS.pending)));
    e.leaveIf(e.op(OP.i32_gt_s, pending, e.i32(1)));
    const preempt = e.field(g_, g.preempt, 1);
    const ppreempt = e.field(pp, p.preempt, 1);
    const wanted = e.get(e.let(I32, e.op(OP.i32_or, preempt, ppreempt)));
    const isPendingG = e.op(OP.f64_eq, e.load(OP.f64_load, OFFSETS.pendingG), gNumber);

    // The decision: index of the check that refuses, or less than that of any
    const words = [e.field(mp, m.locks, 4), e.field(mp, m.mallocing, 4)];
    const preemptoff = e.field(mp, m.preemptoff + arch.pointerSize, 'pointer');
    const prunning = e.op(OP.i32_eq, e.field(pp, p.status, 4), e.i32(Prunning));
    const idle = e.both(e.not(e.op(OP.i32_or, words[0]!, words[1]!)), e.isZero(preemptoff));
    const check = code.local(I32);
    const check_ = e.get(check);
    e.when(
      e.both(idle, prunning),
      () => {
        const lo = e.field(g_, g.stackLo, 'pointer');
        const room = e.number(e.op(e.wide ? OP.i64_sub : OP.i32_sub, sp, lo));
        e.leaveUnless(e.op(e.wide ? OP.i64_le_u : OP.i32_le_u, lo, sp));
        e.leaveUnless(e.op(OP.f64_ge, room, e.f64(program.asyncPreemptStack)));
        e.op(OP.i32_sub, decision, e.i32(DECIDED_REFUSED))();
        code.set(check);
      },
      () => {
        code.i32(checkIndex('canPreemptM'));
        code.set(check);
      },
    );
    const isSafe = e.op(OP.i32_eq, check_, e.i32(DECIDED_SAFE - DECIDED_REFUSED));

    // All that is to be written must be there, before anything is
    const poison = e.writable(g_, g.stackguard0, 'pointer');
    const setPreempt = e.writable(g_, g.preempt, 1);
    const setPpreempt = e.writable(pp, p.preempt, 1);
    const acknowledged = acknowledge();
    const slot = e.get(e.let(e.pointer, e.op(e.wide ? OP.i64_sub : OP.i32_sub, sp, e.address(arch.pointerSize))));
    let push: ((value: Push) => void) | undefined;
    e.when(isSafe, () => {
      push = e.writable(slot, 0, 'pointer');
    });
    /** The bit of the place among the refusals. */
    const hash = e.op(
      OP.i32_shr_u,
      e.op(OP.i32_mul, e.op(OP.i32_xor, e.low(pc), e.low(sp)), e.i32(FILTER_FACTOR | 0)),
      e.i32(26),
    );
    const bit = e.get(
      e.let(I64, () => {
        code.i64(1n);
        e.op(OP.i64_extend_i32_u, hash)();
        code.op(OP.i64_shl);
      }),
    );
    const filter = e.load(OP.i64_load, PAST.filter, past_);
    const noted = e.get(e.let(I32, e.load(OP.i32_load, OFFSETS.noted)));
    e.when(e.not(isSafe), () => e.leaveIf(e.op(OP.i32_ge_s, noted, e.i32(MOST_NOTES))));
    e.when(e.not(wanted), () => {
      e.leaveIf(pending);
      e.leaveIf(e.op(OP.i64_ne, e.op(OP.i64_and, filter, bit), () => code.i64(0n)));

      // preemptone
      setPreempt(e.i32(1));
      poison(e.address(stackPreempt));
      setPpreempt(e.i32(1));
      e.store(OP.i32_store, OFFSETS.pending, e.i32(1));
      e.store(OP.f64_store, OFFSETS.pendingG, gNumber);
      e.store(OP.f64_store, OFFSETS.pendingSince, now);
      e.store(OP.i32_store, 0, e.i32(1), e.load(OP.i32_load, OFFSETS.stop));
    });
    acknowledged();
    e.when(isSafe, () => {
      const resume = e.load(pointerLoad, PLACES + PLACE_RESUME, place);
      // pushCall
      const pushed = arch.linkRegister ? e.getRegister(arch.lrRegister!) : resume;
      push?.(pushed);
      e.setRegister(arch.spRegister, slot);
      if (arch.linkRegister) e.setRegister(arch.lrRegister!, resume);
      e.store(OP.f64_store, PAST.generation, e.op(OP.f64_add, was(PAST.generation), e.f64(1)), past_);
      e.store(OP.i64_store, PAST.filter, () => code.i64(0n), past_);
      e.store(OP.f64_store, PAST.injectedFrom, e.number(resume), past_);
      e.store(OP.f64_store, PAST.injectedTo, pcNumber, past_);
      e.store(OP.f64_store, PAST.injectedSp, spNumber, past_);
      e.store(OP.f64_store, PAST.resumedAt, e.f64(Number.NaN), past_);
      e.count(OFFSETS.injected);
      const isPending = e.load(OP.i32_load, OFFSETS.pending);
      e.when(e.both(isPending, isPendingG), () => e.serve(e.i32(KINDS.indexOf('asynchronous')), now));
      setPc(e.address(program.asyncPreempt));
      goOn();
    });
    e.store(OP.i64_store, PAST.filter, e.op(OP.i64_or, filter, bit), past_);
    const note = e.get(e.let(I32, e.op(OP.i32_mul, noted, e.i32(NOTE_SIZE))));
    const isState = e.op(OP.i32_eq, check_, e.i32(checkIndex('canPreemptM')));
    const by: Push = () => {
      code.i32(REFUSERS.indexOf('state'));
      code.i32(REFUSERS.indexOf('tables'));
      isState();
      code.op(OP.select);
    };
    e.store(OP.i32_store, OFFSETS.notes + NOTE.past, past_, note);
    e.store(OP.i32_store, OFFSETS.notes + NOTE.by, by, note);
    e.store(OP.f64_store, OFFSETS.notes + NOTE.generation, was(PAST.generation), note);
    e.store(OP.f64_store, OFFSETS.notes + NOTE.pc, pcNumber, note);
    e.store(OP.f64_store, OFFSETS.notes + NOTE.sp, spNumber, note);
    e.store(OP.i32_store, OFFSETS.noted, e.op(OP.i32_add, noted, e.i32(1)));
    refuse(check_);
    goOn();
  };
  e.orHost(take, () => {
    code.get(0);
    code.call(MORE);
  });
  return code;
}

/** Imports `h.more`, the host's half; exports `more` and `stopped`. */
export function handlerModule(program: HandledProgram, memoryPages: number): Uint8Array<ArrayBuffer> {
  return assemble({
    types: [{ parameters: [I32], results: [I32] }],
    functions: [{ module: 'h', name: 'more', type: 0 }],
    memoryPages,
    bodies: [
      { type: 0, body: more(program).body(), name: 'more' },
      { type: 0, body: stopped(program).body(), name: 'stopped' },
    ],
  });
}
