// What MIPS clauses say beyond the vocabulary: registers by number, 32-bit results, overflow traps, branches, FPU registers.
// Width and byte order of the target enter here, so that no clause names either.

import type { Effects, Value } from '../dsl/effects.ts';
import type { MipsRegisters } from './regs.ts';

const LINK = 31;

export class Machine {
  readonly e: Effects;
  readonly regs: MipsRegisters;
  readonly #wide: boolean;

  constructor(e: Effects, regs: MipsRegisters) {
    this.e = e;
    this.regs = regs;
    this.#wide = e.word === 'i64';
  }

  /** Constants: of the register width, and of 32 bits. */
  word(value: number | bigint): Value {
    return this.e.const(this.e.word, value);
  }
  i32(value: number): Value {
    return this.e.const('i32', value);
  }
  i64(value: number | bigint): Value {
    return this.e.const('i64', value);
  }

  /** A general register, whole. R0 is 0. */
  gpr(n: number): Value {
    return n === 0 ? this.word(0) : this.e.get(this.regs.gpr[n]!);
  }
  set(n: number, value: Value): void {
    if (n !== 0) this.e.set(this.regs.gpr[n]!, value);
  }

  /** The low 32 bits of a general register, which is all that 32-bit operations look at. */
  low(n: number): Value {
    return n === 0 ? this.i32(0) : this.narrowed(this.e.get(this.regs.gpr[n]!));
  }
  /** A 32-bit result: sign-extended where registers are wider (MIPS64 vol. II, "sign_extend" in every word operation). */
  setLow(n: number, value: Value): void {
    this.set(n, this.widened(value));
  }
  /** A truth value as a register's 0 or 1. */
  setBool(n: number, value: Value): void {
    this.set(n, this.#wide ? this.e.extendU(value) : value);
  }

  /** Between a register's width and its low 32 bits; nothing on 32-bit targets. */
  narrowed(value: Value): Value {
    return this.#wide ? this.e.wrap(value) : value;
  }
  widened(value: Value): Value {
    return this.#wide ? this.e.extendS(value) : value;
  }
  /** A result of either width as a register's value. */
  toWord(value: Value): Value {
    return value.type === 'i32' ? this.widened(value) : value;
  }

  isZero(value: Value): Value {
    return this.e.eq(value, this.e.const(value.type === 'i64' ? 'i64' : 'i32', 0));
  }
  isNegative(value: Value): Value {
    return this.e.lts(value, this.e.const(value.type === 'i64' ? 'i64' : 'i32', 0));
  }

  /** a + b, trapping where both operands have the sign that the sum has not. */
  addTrapping(a: Value, b: Value): Value {
    const { e } = this;
    const sum = e.add(a, b);
    e.trapIf(this.isNegative(e.and(e.xor(a, sum), e.xor(b, sum))), 'overflow');
    return sum;
  }
  /** a − b, trapping where the operands differ in sign and the difference has the sign of b. */
  subTrapping(a: Value, b: Value): Value {
    const { e } = this;
    const difference = e.sub(a, b);
    e.trapIf(this.isNegative(e.and(e.xor(a, b), e.xor(a, difference))), 'overflow');
    return difference;
  }

  /** An effective address, base register plus signed offset. */
  address(base: number, offset: number): Value {
    return offset === 0 ? this.gpr(base) : this.e.add(this.gpr(base), this.word(offset));
  }

  /** Destination of a branch: relative to the delay slot, in instructions. */
  target(offset: number): Value {
    return this.e.pc(4 + offset * 4);
  }
  /** Destination of J and JAL: within the 256 MB region of the delay slot. */
  region(instrIndex: number): Value {
    const { e } = this;
    return e.or(e.and(e.pc(4), this.word(-0x10000000)), this.word(instrIndex * 4));
  }
  branchIf(condition: Value, offset: number): void {
    this.e.branchIf(condition, this.target(offset));
  }
  /** Branch-likely: where it is not taken, the delay slot is nullified. */
  branchLikelyIf(condition: Value, offset: number): void {
    this.branchIf(condition, offset);
    this.e.nullifyIf(this.isZero(condition));
  }
  /** The return address lies past the delay slot. It is written before the slot executes, taken or not. */
  link(register = LINK): void {
    this.set(register, this.e.pc(8));
  }

  /**
   * An FPU register as 32 bits, or as 64. Where FPRs have 32 bits, 64 are an even register and the next, which holds the high half in
   * either byte order (MIPS64 vol. I, 5.5: FR = 0); the decoder has turned odd numbers away.
   */
  fpr(n: number, type: 'i32' | 'i64'): Value {
    const { e } = this;
    const register = e.get(this.regs.fpr[n]!);
    if (type === 'i32') return this.narrowed(register);
    if (this.#wide) return register;
    const high = e.extendU(e.get(this.regs.fpr[n + 1]!));
    return e.or(e.shl(high, this.i64(32)), e.extendU(register));
  }
  /** Of a 64-bit FPR, 32-bit results leave the upper half alone: UNPREDICTABLE to the manual, so in QEMU. */
  setFpr(n: number, value: Value): void {
    const { e } = this;
    const register = this.regs.fpr[n]!;
    if (value.type === 'i64' && !this.#wide) {
      e.set(register, e.wrap(value));
      e.set(this.regs.fpr[n + 1]!, this.highHalf(value));
    } else if (value.type === 'i32' && this.#wide) {
      const upper = e.and(e.get(register), this.i64(0xffffffff00000000n));
      e.set(register, e.or(upper, e.extendU(value)));
    } else {
      e.set(register, value);
    }
  }
  highHalf(value: Value): Value {
    return this.e.wrap(this.e.shr(value, this.i64(32)));
  }
  /** The upper 32 bits of a 64-bit FPU value: MFHC1, MTHC1. */
  fprHigh(n: number): Value {
    return this.#wide ? this.highHalf(this.e.get(this.regs.fpr[n]!)) : this.e.get(this.regs.fpr[n | 1]!);
  }
  setFprHigh(n: number, value: Value): void {
    const { e } = this;
    if (this.#wide) {
      const register = this.regs.fpr[n]!;
      const lower = e.extendU(e.wrap(e.get(register)));
      e.set(register, e.or(lower, e.shl(e.extendU(value), this.i64(32))));
    } else {
      e.set(this.regs.fpr[n | 1]!, value);
    }
  }

  /** An FPU condition code, an i32 of 0 or 1. */
  condition(cc: number): Value {
    const { e } = this;
    return e.and(e.shr(e.get(this.regs.fcr31), this.i32(conditionBit(cc))), this.i32(1));
  }
  setCondition(cc: number, value: Value): void {
    const { e } = this;
    const bit = conditionBit(cc);
    const others = e.and(e.get(this.regs.fcr31), this.i32(~(1 << bit)));
    e.set(this.regs.fcr31, e.or(others, e.shl(value, this.i32(bit))));
  }
}

/** Condition code 0 is bit 23 of FCSR, as in MIPS I; 1–7 are bits 25–31. */
const conditionBit = (cc: number): number => (cc === 0 ? 23 : 24 + cc);
