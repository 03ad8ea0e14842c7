// THE vocabulary: the primitives that an instruction's effect may use. Types only.
//
// An effect is run once per instruction encoding, against a recorder (src/uop/record.ts) that writes down a flat list of
// operations; the evaluator and the wasm compiler read that list. So a host `if` in an effect may look only at decode-time facts
// (fields, variant); what depends on the guest's values goes through `select`, `when` and the conditional primitives.
//
// Precise faults rest on one rule, held by src/uop/verify.ts: whatever may fault or trap comes before every `set`, and at most one
// store is made, after all loads. An instruction that faults has then changed nothing.

import type { Register } from './registers.ts';
import type { Variant } from './variant.ts';
import type { VectorName } from './vector.ts';

/** Integer of 32 or 64 bits (floating point travels as its bits), or a 128-bit vector. */
export type Type = 'i32' | 'i64' | 'v128';

/** A value that an effect has computed: a handle, good only within the same recording. */
export interface Value {
  readonly type: Type;
  readonly id: number;
}

/** Two operands of one type (i32 or i64), a result of that type. Shift and rotate counts are taken modulo the width. */
export type BinaryName =
  | 'add'
  | 'sub'
  | 'mul'
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'shr'
  | 'sar'
  | 'rotl'
  | 'rotr'
  /** Quotients and remainders are total: a divisor of 0 gives 0, the signed overflow gives the dividend and 0. Clauses trap first. */
  | 'divu'
  | 'divs'
  | 'remu'
  | 'rems'
  /** High half of the 128-bit product; i64 only. */
  | 'mulhu'
  | 'mulhs';

/** Two operands of one type (i32 or i64), an i32 result of 0 or 1. */
export type CompareName = 'eq' | 'ne' | 'ltu' | 'lts' | 'leu' | 'les';

/** One operand, a result of the same type. */
export type UnaryName = 'clz' | 'ctz' | 'popcnt' | 'sext8' | 'sext16' | 'bswap';

/** Floating arithmetic on bits: i32 is binary32, i64 is binary64. Rounds to nearest even; NaNs follow the variant's rule. */
export type FloatBinaryName = 'fadd' | 'fsub' | 'fmul' | 'fdiv';
/** `feq flt fle` are false and `funord` is true when either operand is a NaN. */
export type FloatCompareName = 'feq' | 'flt' | 'fle' | 'funord';
export type Rounding = 'nearest' | 'zero' | 'ceil' | 'floor';

/** How an access that is not a multiple of its size is treated: done, an address error (MIPS), or a protection fault (SSE's aligned forms). */
export type Alignment = 'any' | 'natural' | 'strict';
export type AccessBytes = 1 | 2 | 4 | 8 | 16;
export interface AccessOptions {
  /** `any` when absent. */
  readonly align?: Alignment;
  /** An i32: where it is 0 the access neither takes place nor faults, and a load gives 0. */
  readonly when?: Value;
}

/** Why control is transferred; a hint for the prediction of returns, without meaning of its own. */
export type BranchKind = 'jump' | 'call' | 'return';

/** Synchronous exceptions, named for what happened; the kernel personality knows which signal each becomes. */
export type TrapKind =
  /** A system call; PC is past the instruction. */
  | 'syscall'
  /** INT3, BREAK. `code` is the instruction's code field. */
  | 'breakpoint'
  /** #DE, or MIPS's integer divide (a BREAK or TEQ code that the kernel reads). */
  | 'divide'
  /** Integer overflow of ADD, ADDI, SUB and the like on MIPS. */
  | 'overflow'
  /** A MIPS conditional trap; `code` is the instruction's code field. */
  | 'trap'
  /** An encoding that is not an instruction, #UD, or a reserved instruction exception. */
  | 'illegal'
  /** An instruction or operand that user programs may not use: #GP, coprocessor unusable. */
  | 'privileged';

export interface Effects {
  readonly variant: Variant;
  /** The type of an address and of a general register: i32 or i64 by the variant's width. */
  readonly word: 'i32' | 'i64';

  // Constants and registers
  const(type: 'i32' | 'i64', value: number | bigint): Value;
  /** Address of this instruction plus a constant, of type `word`. */
  pc(offset?: number): Value;
  get(register: Register): Value;
  set(register: Register, value: Value): void;
  /**
   * Sets status flags (RegisterFile.flags) as `effect` makes them of the inputs, which are i32 or i64, and of nothing else. It is
   * recorded once for all that give the same name, and an engine may put it off until a flag is read: most are overwritten unread.
   */
  flags(name: string, inputs: readonly Value[], effect: (e: Effects, inputs: readonly Value[]) => void): void;
  /** Number of instructions executed before this one, an i64: the only clock (RDTSC, RDHWR CC). */
  cycles(): Value;

  // Integers
  binary(name: BinaryName, a: Value, b: Value): Value;
  compare(name: CompareName, a: Value, b: Value): Value;
  unary(name: UnaryName, a: Value): Value;
  add(a: Value, b: Value): Value;
  sub(a: Value, b: Value): Value;
  mul(a: Value, b: Value): Value;
  and(a: Value, b: Value): Value;
  or(a: Value, b: Value): Value;
  xor(a: Value, b: Value): Value;
  /** All bits inverted. */
  not(a: Value): Value;
  shl(a: Value, n: Value): Value;
  shr(a: Value, n: Value): Value;
  sar(a: Value, n: Value): Value;
  eq(a: Value, b: Value): Value;
  ne(a: Value, b: Value): Value;
  ltu(a: Value, b: Value): Value;
  lts(a: Value, b: Value): Value;
  /** `a` where `condition` (an i32) is not 0, else `b`. Both are computed. */
  select(condition: Value, a: Value, b: Value): Value;
  /** Low half of an i64. */
  wrap(a: Value): Value;
  /** An i32 as i64, by sign or by zeros. */
  extendS(a: Value): Value;
  extendU(a: Value): Value;
  /** Quotient (low 64 bits) and remainder of the unsigned 128-bit dividend hi:lo by an i64; 0 where the divisor is 0. */
  divu128(hi: Value, lo: Value, divisor: Value): Value;
  remu128(hi: Value, lo: Value, divisor: Value): Value;

  // Memory. The byte order is the variant's; addresses have type `word`.
  /** 1, 2 and 4 bytes come zero-extended to `type`; 8 as i64; 16 as v128. */
  load(bytes: AccessBytes, address: Value, type: Type, options?: AccessOptions): Value;
  /** Stores the low `bytes` of the value. */
  store(bytes: AccessBytes, address: Value, value: Value, options?: AccessOptions): void;

  // Control. On a variant with delay slots the transfer takes place after the next instruction.
  branch(target: Value, kind?: BranchKind): void;
  /** To the target where the condition is not 0, else on. A branch with a delay slot has one either way. */
  branchIf(condition: Value, target: Value): void;
  /** Skips the delay slot (branch-likely not taken) where the condition is not 0. Comes after the branch. */
  nullifyIf(condition: Value): void;
  trap(kind: TrapKind, code?: number): void;
  trapIf(condition: Value, kind: TrapKind, code?: number): void;

  // Floating point, on bits
  float(name: FloatBinaryName, a: Value, b: Value): Value;
  fsqrt(a: Value): Value;
  floatCompare(name: FloatCompareName, a: Value, b: Value): Value;
  /** binary32 (i32) to binary64 (i64) and back. */
  widen(a: Value): Value;
  narrow(a: Value): Value;
  /** A signed integer to binary32 (`i32`) or binary64 (`i64`). */
  intToFloat(a: Value, to: 'i32' | 'i64'): Value;
  /** A float to a signed integer of type `to`; `invalid` for NaN and what does not fit. */
  floatToInt(a: Value, rounding: Rounding, to: 'i32' | 'i64', invalid: bigint): Value;

  // Vectors
  /** One of VECTOR_OPS (vector.ts); `imm` as the operation's row says. */
  vector(name: VectorName, operands: readonly Value[], imm?: readonly number[]): Value;
  v128(lo: bigint, hi: bigint): Value;
}
