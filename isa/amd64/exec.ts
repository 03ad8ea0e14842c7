// What an effect works with: the vocabulary, and the operands of its instruction as values.

import type { AccessBytes, AccessOptions, Effects, Type, Value } from '../dsl/effects.ts';
import type { Register } from '../dsl/registers.ts';
import type { Instruction } from './instruction.ts';
import type { OperandSpec } from './pattern.ts';
import { FS_BASE, GPR, GS_BASE, RAX, RCX, RDX, XMM } from './regs.ts';

/** The type that carries integers of this many bits. Bytes and words travel zero-extended in an i32. */
export const typeOf = (bits: number): 'i32' | 'i64' => (bits === 64 ? 'i64' : 'i32');

/**
 * One run of an effect. `read` and `write` go to operands by their position; the arithmetic works at the instruction's `size` and
 * keeps bytes and words zero-extended. `e` is the vocabulary itself.
 */
export class Exec {
  readonly e: Effects;
  readonly i: Instruction;
  /** Bits of the first operand, or the operand size where there is none. */
  readonly size: number;
  readonly type: 'i32' | 'i64';
  #address: Value | undefined;

  constructor(e: Effects, i: Instruction) {
    this.e = e;
    this.i = i;
    const first = i.clause.operands[0];
    if (i.clause.encoding.operandSize === 'b') this.size = 8;
    else this.size = first === undefined || first.size === 0 ? i.width : i.bits(first.size);
    this.type = typeOf(this.size);
  }

  // Operands

  #spec(k: number): OperandSpec {
    const spec = this.i.clause.operands[k];
    if (spec === undefined) throw new Error(`${this.i.clause.name} has no operand ${k}`);
    return spec;
  }

  /** Whether ModRM names memory. */
  get inMemory(): boolean {
    return this.i.memory !== undefined;
  }

  /** Writes operand 0 and sets the flags: a store, which may fault, goes first, and otherwise the flags, before their inputs are overwritten. */
  writeWithFlags(value: () => Value, flags: () => void): void {
    const stores = this.inMemory && this.#spec(0).place === 'rm';
    if (!stores) flags();
    this.write(0, value());
    if (stores) flags();
  }

  /**
   * The value of operand k: general registers, memory and immediates of up to 32 bits as i32, zero-extended, 64 as i64, 128 as v128.
   * Of an XMM register behind `xmm/m64` or `xmm/m32`, the low lane.
   */
  read(k: number): Value {
    const { e, i } = this;
    const spec = this.#spec(k);
    const bits = i.bits(spec.size);
    switch (spec.place) {
      case 'reg':
        return this.getGpr(i.reg, bits);
      case 'rm':
        return i.memory === undefined ? this.getGpr(i.rm, bits) : this.load(bits, this.address());
      case 'mem':
        return this.load(bits, this.address(), bits === 128 && !spec.unaligned ? { align: 'strict' } : {});
      case 'xmm':
        return e.get(XMM[i.reg]!);
      case 'xmm-rm':
        if (i.memory !== undefined)
          return this.load(bits, this.address(), bits === 128 && !spec.unaligned ? { align: 'strict' } : {});
        return this.#lowLane(e.get(XMM[i.rm]!), bits);
      case 'acc':
        return this.getGpr(RAX, bits);
      case 'cl':
        return this.getGpr(RCX, 8);
      case 'dx':
        return this.getGpr(RDX, 16);
      case 'one':
        return e.const('i32', 1);
      case 'imm':
        // An imm8 is an unsigned byte; other immediates are extended to the first operand by sign.
        return spec.size === 8 ? e.const('i32', Number(i.imm) & 0xff) : this.immediate();
      case 'simm':
        return this.immediate();
      case 'imm2':
        return e.const('i32', i.imm2);
      case 'moffs':
        return this.load(bits, this.absolute());
      case 'segment':
        throw new Error(`${i.clause.name}: the row reads its segment register itself`);
      case 'rel':
        return e.pc(i.length + Number(i.imm));
    }
  }

  /** Stores to operand k, or sets its register. Writes of 32 bits zero the upper half; of 8 and 16 leave the rest. */
  write(k: number, value: Value): void {
    const { e, i } = this;
    const spec = this.#spec(k);
    const bits = i.bits(spec.size);
    switch (spec.place) {
      case 'reg':
        this.setGpr(i.reg, bits, value);
        return;
      case 'rm':
        if (i.memory === undefined) this.setGpr(i.rm, bits, value);
        else this.store(bits, this.address(), value);
        return;
      case 'mem':
        this.store(bits, this.address(), value, bits === 128 && !spec.unaligned ? { align: 'strict' } : {});
        return;
      case 'xmm':
        e.set(XMM[i.reg]!, value);
        return;
      case 'xmm-rm':
        if (i.memory === undefined) e.set(XMM[i.rm]!, value);
        else this.store(bits, this.address(), value, bits === 128 && !spec.unaligned ? { align: 'strict' } : {});
        return;
      case 'acc':
        this.setGpr(RAX, bits, value);
        return;
      case 'moffs':
        this.store(bits, this.absolute(), value);
        return;
      default:
        throw new Error(`${i.clause.name}: operand ${k} cannot be written`);
    }
  }

  /** The immediate at the type of the first operand, sign-extended (and cut to a byte or word). */
  immediate(): Value {
    const { imm } = this.i;
    if (this.size === 8) return this.e.const('i32', Number(imm) & 0xff);
    if (this.size === 16) return this.e.const('i32', Number(imm) & 0xffff);
    return this.e.const(this.type, imm);
  }

  #lowLane(v: Value, bits: number): Value {
    if (bits === 128) return v;
    if (bits === 64) return this.e.vector('i64x2.extract_lane', [v], [0]);
    if (bits === 32) return this.e.vector('i32x4.extract_lane', [v], [0]);
    return this.e.vector('i16x8.extract_lane_u', [v], [0]);
  }

  // Memory

  /** The memory operand's address without the segment's base: what LEA computes. An i64; zero-extended from 32 bits under 67. */
  effectiveAddress(): Value {
    const { e, i } = this;
    const m = i.memory;
    if (m === undefined) throw new Error(`${i.clause.name}: not a memory operand`);
    let address: Value | undefined;
    if (m.ripRelative) address = e.pc(i.length + m.disp);
    else {
      if (m.base >= 0) address = e.get(GPR[m.base]!);
      if (m.index >= 0) {
        const index = e.get(GPR[m.index]!);
        const scaled = m.scale === 0 ? index : e.shl(index, e.const('i64', m.scale));
        address = address === undefined ? scaled : e.add(address, scaled);
      }
      const disp = m.disp;
      if (address === undefined) address = e.const('i64', disp);
      else if (disp !== 0) address = e.add(address, e.const('i64', disp));
    }
    return this.truncateAddress(address);
  }

  /** To the address size. */
  truncateAddress(address: Value): Value {
    return this.i.prefixes.address ? this.e.extendU(this.e.wrap(address)) : address;
  }

  /** Adds the base of FS or GS where a prefix names one. */
  linear(address: Value): Value {
    switch (this.i.prefixes.segment) {
      case 'none':
        return address;
      case 'fs':
        return this.e.add(this.e.get(FS_BASE), address);
      case 'gs':
        return this.e.add(this.e.get(GS_BASE), address);
    }
  }

  /** The memory operand's linear address. */
  address(): Value {
    this.#address ??= this.linear(this.effectiveAddress());
    return this.#address;
  }

  /** The linear address of a moffs operand. */
  absolute(): Value {
    const { imm, prefixes } = this.i;
    return this.linear(this.e.const('i64', prefixes.address ? Number(imm) >>> 0 : imm));
  }

  load(bits: number, address: Value, options?: AccessOptions): Value {
    const type: Type = bits === 128 ? 'v128' : typeOf(bits);
    return this.e.load((bits >> 3) as AccessBytes, address, type, options);
  }

  store(bits: number, address: Value, value: Value, options?: AccessOptions): void {
    this.e.store((bits >> 3) as AccessBytes, address, value, options);
  }

  // Registers

  /** Without REX, byte registers 4 to 7 are the second bytes of 0 to 3. */
  #isHighByte(n: number, bits: number): boolean {
    return bits === 8 && n >= 4 && n < 8 && this.i.prefixes.rex === 0;
  }

  /** All 64 bits of a general register. */
  register(n: number): Register {
    return GPR[n]!;
  }

  /** A general register by number, as an operand of `bits`. */
  getGpr(n: number, bits: number): Value {
    const { e } = this;
    if (bits === 64) return e.get(GPR[n]!);
    if (this.#isHighByte(n, bits)) {
      const word = e.wrap(e.get(GPR[n - 4]!));
      return e.and(e.shr(word, e.const('i32', 8)), e.const('i32', 0xff));
    }
    const low = e.wrap(e.get(GPR[n]!));
    return bits === 32 ? low : e.and(low, e.const('i32', bits === 16 ? 0xffff : 0xff));
  }

  setGpr(n: number, bits: number, value: Value): void {
    const { e } = this;
    if (bits === 64) e.set(GPR[n]!, value);
    else if (bits === 32) e.set(GPR[n]!, e.extendU(value));
    else if (this.#isHighByte(n, bits)) this.#merge(GPR[n - 4]!, 0xff00n, e.shl(value, e.const('i32', 8)));
    else this.#merge(GPR[n]!, bits === 16 ? 0xffffn : 0xffn, value);
  }

  /** `value` has no bits outside the mask. */
  #merge(register: Register, mask: bigint, value: Value): void {
    const { e } = this;
    const rest = e.and(e.get(register), e.const('i64', BigInt.asIntN(64, ~mask)));
    e.set(register, e.or(rest, e.extendU(value)));
  }

  // Arithmetic at the instruction's size

  const(value: number): Value {
    return this.e.const(this.type, value);
  }

  /** Cuts a byte or word back to its size. */
  fit(value: Value): Value {
    return this.size < 32 ? this.e.and(value, this.e.const('i32', this.size === 8 ? 0xff : 0xffff)) : value;
  }

  /** A byte or word as i32 by sign; wider values as they are. */
  signed(value: Value, bits: number = this.size): Value {
    return bits === 8 ? this.e.unary('sext8', value) : bits === 16 ? this.e.unary('sext16', value) : value;
  }

  add(a: Value, b: Value): Value {
    return this.fit(this.e.add(a, b));
  }

  sub(a: Value, b: Value): Value {
    return this.fit(this.e.sub(a, b));
  }

  not(a: Value): Value {
    return this.fit(this.e.not(a));
  }

  /** Converts an i32 of 0 or more to the instruction's type. */
  widen(a: Value): Value {
    return this.type === 'i64' ? this.e.extendU(a) : a;
  }

  /** Bit n of a value, as an i32 of 0 or 1. */
  bit(value: Value, n: number): Value {
    const { e } = this;
    const moved = n === 0 ? value : e.shr(value, e.const(value.type as 'i32' | 'i64', n));
    const low = value.type === 'i64' ? e.wrap(moved) : moved;
    return e.and(low, e.const('i32', 1));
  }

  /** The sign bit at the instruction's size. */
  sign(value: Value): Value {
    return this.size < 32 ? this.e.shr(value, this.e.const('i32', this.size - 1)) : this.e.lts(value, this.const(0));
  }

  /** i32: 1 where the value is 0. */
  isZero(value: Value): Value {
    return this.e.eq(value, this.e.const(value.type as 'i32' | 'i64', 0));
  }

  isNonzero(value: Value): Value {
    return this.e.ne(value, this.e.const(value.type as 'i32' | 'i64', 0));
  }
}
