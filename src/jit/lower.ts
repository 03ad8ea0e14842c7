// The second and last meaning of the vocabulary: each operation as WebAssembly. The first is the evaluator's (src/engine/evaluate.ts).
//
// A temporary is emitted where it is used when it is used once, so that expressions nest; else it goes through a local. Registers are
// locals too, so a `get` costs nothing; where a register is set while an older `get` of it is still to be used, that value is
// put aside first.

import type { BinaryName, CompareName, FloatCompareName, Rounding } from '../../isa/dsl/effects.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { Variant } from '../../isa/dsl/variant.ts';
import { PAGE_SIZE, SCRATCH, TLB, TLB_ADDEND, TLB_ENTRIES, TLB_ENTRY, TLB_READ, TLB_WRITE } from '../engine/layout.ts';
import { type OpList, operandsOf, type Uop } from '../uop/ops.ts';
import { lowerVector } from './lower-vector.ts';
import { type Code, F32, F64, I32, I64, OP, type Opcode, SATURATING, SIMD, V128, type ValueType } from './wasm.ts';

/** Functions that compiled code calls where an operation is rare or long. Indexes of imports, in this order (`supportModule`). */
export const HELPERS = [
  'load',
  'store',
  'nan32',
  'nan64',
  'widenNan',
  'narrowNan',
  'divu128',
  'remu128',
  'flags',
] as const;
export type Helper = (typeof HELPERS)[number];
export const HELPER: Readonly<Record<Helper, number>> = {
  load: 0,
  store: 1,
  nan32: 2,
  nan64: 3,
  widenNan: 4,
  narrowNan: 5,
  divu128: 6,
  remu128: 7,
  flags: 8,
};

/** Index of a module's first unit. */
export const FIRST_UNIT = HELPERS.length;

type Load = Extract<Uop, { op: 'load' }>;
type Store = Extract<Uop, { op: 'store' }>;
type Int = 'i32' | 'i64';

/** What surrounds the operations of an instruction: the function being compiled. */
export interface Surroundings {
  readonly code: Code;
  readonly variant: Variant;
  /** The local that holds a register. */
  local(register: Register): number;
  /** Emits leaving to the evaluator at the current instruction, which has changed nothing yet. */
  leave(): void;
  /** Pushes the number of instructions executed before the current one, an i64. */
  cycles(): void;
}

/** What an instruction's branch needs, once its other effects are emitted. */
export interface BranchValues {
  readonly target: number;
  readonly when: number | undefined;
  /** Skips the delay slot where not 0. */
  readonly nullify: number | undefined;
}

const VALUE_TYPES: Readonly<Record<string, ValueType>> = { i32: I32, i64: I64, v128: V128 };
export const valueType = (type: string): ValueType => VALUE_TYPES[type]!;

type Names<K extends string> = Readonly<Record<K, readonly [i32: Opcode, i64: Opcode]>>;

const BINARY: Readonly<Partial<Record<BinaryName, readonly [Opcode, Opcode]>>> = {
  add: [OP.i32_add, OP.i64_add],
  sub: [OP.i32_sub, OP.i64_sub],
  mul: [OP.i32_mul, OP.i64_mul],
  and: [OP.i32_and, OP.i64_and],
  or: [OP.i32_or, OP.i64_or],
  xor: [OP.i32_xor, OP.i64_xor],
  shl: [OP.i32_shl, OP.i64_shl],
  shr: [OP.i32_shr_u, OP.i64_shr_u],
  sar: [OP.i32_shr_s, OP.i64_shr_s],
  rotl: [OP.i32_rotl, OP.i64_rotl],
  rotr: [OP.i32_rotr, OP.i64_rotr],
};
const DIVISION: Readonly<Partial<Record<BinaryName, readonly [Opcode, Opcode]>>> = {
  divu: [OP.i32_div_u, OP.i64_div_u],
  divs: [OP.i32_div_s, OP.i64_div_s],
  remu: [OP.i32_rem_u, OP.i64_rem_u],
  rems: [OP.i32_rem_s, OP.i64_rem_s],
};
const COMPARE: Names<CompareName> = {
  eq: [OP.i32_eq, OP.i64_eq],
  ne: [OP.i32_ne, OP.i64_ne],
  ltu: [OP.i32_lt_u, OP.i64_lt_u],
  lts: [OP.i32_lt_s, OP.i64_lt_s],
  leu: [OP.i32_le_u, OP.i64_le_u],
  les: [OP.i32_le_s, OP.i64_le_s],
};
const FLOAT: Names<'fadd' | 'fsub' | 'fmul' | 'fdiv'> = {
  fadd: [OP.f32_add, OP.f64_add],
  fsub: [OP.f32_sub, OP.f64_sub],
  fmul: [OP.f32_mul, OP.f64_mul],
  fdiv: [OP.f32_div, OP.f64_div],
};
const FLOAT_COMPARE: Names<Exclude<FloatCompareName, 'funord'>> = {
  feq: [OP.f32_eq, OP.f64_eq],
  flt: [OP.f32_lt, OP.f64_lt],
  fle: [OP.f32_le, OP.f64_le],
};
const ROUND: Readonly<Record<Rounding, readonly [Opcode, Opcode]>> = {
  nearest: [OP.f32_nearest, OP.f64_nearest],
  zero: [OP.f32_trunc, OP.f64_trunc],
  ceil: [OP.f32_ceil, OP.f64_ceil],
  floor: [OP.f32_floor, OP.f64_floor],
};

const LOAD: Readonly<Record<number, readonly [Opcode, Opcode]>> = {
  1: [OP.i32_load8_u, OP.i64_load8_u],
  2: [OP.i32_load16_u, OP.i64_load16_u],
  4: [OP.i32_load, OP.i64_load32_u],
  8: [OP.i64_load, OP.i64_load],
};
const STORE: Readonly<Record<number, readonly [Opcode, Opcode]>> = {
  1: [OP.i32_store8, OP.i64_store8],
  2: [OP.i32_store16, OP.i64_store16],
  4: [OP.i32_store, OP.i64_store32],
  8: [OP.i64_store, OP.i64_store],
};

const ALIGN_CODE = { any: 0, natural: 1, strict: 2 } as const;
const ALIGNMENTS = ['any', 'natural', 'strict'] as const;

/** An access in one number, for the out-of-line path: bytes and alignment. */
export const packAccess = (access: Load | Store): number => access.bytes | (ALIGN_CODE[access.align] << 8);
export const unpackAccess = (packed: number): Pick<Load, 'bytes' | 'align'> => ({
  bytes: (packed & 0xff) as Load['bytes'],
  align: ALIGNMENTS[packed >> 8]!,
});

const wide = (type: string): 0 | 1 => (type === 'i32' ? 0 : 1);

/** Emits the operations of one instruction after another. */
export class Lowering {
  readonly #s: Surroundings;
  readonly #code: Code;
  #list: OpList = {
    ops: [],
    temps: [],
    branches: false,
    terminal: false,
    accesses: false,
    stores: false,
    traps: false,
  };
  #constants: readonly (bigint | undefined)[] = [];
  /** How often each temporary is still to be read. */
  #uses: Int32Array = new Int32Array(0);
  /** The local of each temporary that has one, or -1. */
  #locals: Int32Array = new Int32Array(0);
  #definitions: (Uop | undefined)[] = [];

  constructor(surroundings: Surroundings) {
    this.#s = surroundings;
    this.#code = surroundings.code;
  }

  /**
   * Emits an instruction, but for its branch, whose operands are to be pushed by `push` or put aside by `capture` before the next
   * instruction.
   */
  instruction(list: OpList, needed: Uint8Array, constants: readonly (bigint | undefined)[]): BranchValues | undefined {
    this.#list = list;
    this.#constants = constants;
    const n = list.temps.length;
    this.#uses = new Int32Array(n);
    this.#locals = new Int32Array(n).fill(-1);
    this.#definitions = new Array<Uop | undefined>(n);
    const { ops } = list;
    for (let i = 0; i < ops.length; i++) {
      if (needed[i] === 0) continue;
      const uop = ops[i]!;
      if ('dst' in uop) {
        this.#definitions[uop.dst] = uop;
        // The operands of what is known already are not read.
        if (this.constant(uop.dst) !== undefined) continue;
      }
      for (const temp of operandsOf(uop)) this.#uses[temp]!++;
    }
    let branch: Extract<Uop, { op: 'branch' }> | undefined;
    let nullify: number | undefined;
    for (let i = 0; i < ops.length; i++) {
      if (needed[i] === 0) continue;
      const uop = ops[i]!;
      switch (uop.op) {
        case 'set':
          this.#set(uop.register, uop.value, i);
          break;
        case 'load':
          this.#load(uop);
          break;
        case 'store':
          this.#store(uop);
          break;
        case 'trap':
          this.#trap(uop);
          break;
        case 'branch':
          branch = uop;
          break;
        case 'nullify':
          nullify = uop.when;
          break;
        default:
          this.#pure(uop);
      }
    }
    return branch === undefined ? undefined : { target: branch.target, when: branch.when, nullify };
  }

  /** Pushes a temporary, consuming one of its uses. */
  push(temp: number): void {
    const code = this.#code;
    const constant = this.constant(temp);
    const type = this.#list.temps[temp]!;
    if (constant !== undefined) {
      if (type === 'i32') code.i32(Number(BigInt.asIntN(32, constant)));
      else code.i64(constant);
      return;
    }
    const left = --this.#uses[temp]!;
    const local = this.#locals[temp]!;
    if (local >= 0) {
      code.get(local);
      if (left === 0) code.release(valueType(type), local);
      return;
    }
    const uop = this.#definitions[temp]!;
    if (uop.op === 'get') code.get(this.#s.local(uop.register));
    else this.#expression(uop);
  }

  /** Puts a temporary into a local of its own, which the caller gives back; consumes one use. */
  capture(temp: number): number {
    const type = valueType(this.#list.temps[temp]!);
    this.push(temp);
    const local = this.#code.borrow(type);
    this.#code.set(local);
    return local;
  }

  /** Value of a temporary that is a constant. */
  constant(temp: number): bigint | undefined {
    const uop = this.#definitions[temp];
    return uop?.op === 'const' ? uop.value : this.#constants[temp];
  }

  #keep(temp: number): void {
    const type = valueType(this.#list.temps[temp]!);
    const local = this.#code.borrow(type);
    this.#code.set(local);
    this.#locals[temp] = local;
  }

  #pure(uop: Uop): void {
    if (!('dst' in uop) || uop.op === 'get' || this.constant(uop.dst) !== undefined) return;
    const uses = this.#uses[uop.dst]!;
    if (uses === 0 || uses === 1) return;
    this.#expression(uop);
    this.#keep(uop.dst);
  }

  #set(register: Register, value: number, position: number): void {
    const code = this.#code;
    const local = this.#s.local(register);
    this.push(value);
    for (let i = 0; i < position; i++) {
      const uop = this.#list.ops[i]!;
      if (uop.op !== 'get' || uop.register !== register) continue;
      if (this.#uses[uop.dst]! <= 0 || this.#locals[uop.dst]! >= 0 || this.#definitions[uop.dst] === undefined)
        continue;
      code.get(local);
      this.#keep(uop.dst);
    }
    code.set(local);
  }

  #trap(uop: Extract<Uop, { op: 'trap' }>): void {
    if (uop.when === undefined) {
      this.#s.leave();
      return;
    }
    this.push(uop.when);
    this.#code.if();
    this.#s.leave();
    this.#code.end();
  }

  // Memory

  /** Pushes the address, keeping it in a local, and leaves on the stack whether the TLB has it. The entry's address is kept as well. */
  #probe(access: Load | Store, tag: number, address: number, entry: number): void {
    const code = this.#code;
    const { variant } = this.#s;
    const is64 = variant.width === 64;
    // On a big-endian target the addresses of narrow accesses are changed in their low bits, which only aligned ones may be.
    const exact = access.align !== 'any' || variant.bigEndian;
    const mask = exact ? -PAGE_SIZE | (access.bytes - 1) : -PAGE_SIZE;
    const slack = exact ? 0 : access.bytes - 1;
    this.push(access.address);
    code.tee(address);
    if (is64) code.op(OP.i32_wrap_i64);
    code.i32(Math.log2(PAGE_SIZE / TLB_ENTRY));
    code.op(OP.i32_shr_u);
    code.i32((TLB_ENTRIES - 1) * TLB_ENTRY);
    code.op(OP.i32_and);
    code.tee(entry);
    code.memory(is64 ? OP.i64_load : OP.i32_load, TLB + tag);
    code.get(address);
    if (is64) {
      if (slack !== 0) {
        code.i64(BigInt(slack));
        code.op(OP.i64_add);
      }
      code.i64(BigInt(mask));
      code.op(OP.i64_and);
      code.op(OP.i64_eq);
    } else {
      if (slack !== 0) {
        code.i32(slack);
        code.op(OP.i32_add);
      }
      code.i32(mask);
      code.op(OP.i32_and);
      code.op(OP.i32_eq);
    }
  }

  #host(access: Load | Store, address: number, entry: number): void {
    const code = this.#code;
    const { variant } = this.#s;
    code.get(address);
    if (variant.width === 64) code.op(OP.i32_wrap_i64);
    code.get(entry);
    code.memory(OP.i32_load, TLB + TLB_ADDEND);
    code.op(OP.i32_add);
    if (variant.bigEndian && access.bytes < 8) {
      code.i32(8 - access.bytes);
      code.op(OP.i32_xor);
    }
  }

  /** Calls the out-of-line path; leaves where it says so. */
  #miss(access: Load | Store, helper: 'load' | 'store', address: number): void {
    const code = this.#code;
    code.get(address);
    code.i32(packAccess(access));
    code.call(HELPER[helper]);
    code.if();
    this.#s.leave();
    code.end();
  }

  #read(access: Load, offset: number): void {
    const code = this.#code;
    if (access.type === 'v128') code.simdMemory(SIMD.v128_load, offset);
    else code.memory(LOAD[access.bytes]![wide(access.type)], offset);
  }

  #write(access: Store, offset: number): void {
    const code = this.#code;
    if (access.type === 'v128') code.simdMemory(SIMD.v128_store, offset);
    else code.memory(STORE[access.bytes]![wide(access.type)], offset);
  }

  #zero(type: string): void {
    const code = this.#code;
    if (type === 'i32') code.i32(0);
    else if (type === 'i64') code.i64(0n);
    else {
      code.simd(SIMD.v128_const);
      code.append(new Uint8Array(16));
    }
  }

  #load(uop: Load): void {
    const code = this.#code;
    const type = valueType(uop.type);
    const addressType = this.#s.variant.width === 64 ? I64 : I32;
    if (uop.when !== undefined) {
      this.push(uop.when);
      code.if(type);
    }
    const address = code.borrow(addressType);
    const entry = code.borrow(I32);
    this.#probe(uop, TLB_READ, address, entry);
    code.if(type);
    this.#host(uop, address, entry);
    this.#read(uop, 0);
    code.else();
    this.#miss(uop, 'load', address);
    code.i32(0);
    this.#read(uop, SCRATCH);
    code.end();
    if (uop.when !== undefined) {
      code.else();
      this.#zero(uop.type);
      code.end();
    }
    code.release(addressType, address);
    code.release(I32, entry);
    if (this.#uses[uop.dst] === 0) code.op(OP.drop);
    else this.#keep(uop.dst);
  }

  #store(uop: Store): void {
    const code = this.#code;
    const addressType = this.#s.variant.width === 64 ? I64 : I32;
    const type = valueType(uop.type);
    // The value may be wanted on both paths: it goes through a local.
    const value = this.capture(uop.value);
    if (uop.when !== undefined) {
      this.push(uop.when);
      code.if();
    }
    const address = code.borrow(addressType);
    const entry = code.borrow(I32);
    this.#probe(uop, TLB_WRITE, address, entry);
    code.if();
    this.#host(uop, address, entry);
    code.get(value);
    this.#write(uop, 0);
    code.else();
    code.i32(0);
    code.get(value);
    this.#write(uop, SCRATCH);
    this.#miss(uop, 'store', address);
    code.end();
    if (uop.when !== undefined) code.end();
    code.release(addressType, address);
    code.release(I32, entry);
    code.release(type, value);
  }

  // Expressions: everything that has no effect

  #expression(uop: Uop): void {
    const code = this.#code;
    switch (uop.op) {
      case 'const128': {
        code.simd(SIMD.v128_const);
        const bytes = new DataView(new ArrayBuffer(16));
        bytes.setBigUint64(0, uop.lo, true);
        bytes.setBigUint64(8, uop.hi, true);
        code.append(new Uint8Array(bytes.buffer));
        return;
      }
      case 'get':
        code.get(this.#s.local(uop.register));
        return;
      case 'cycles':
        this.#s.cycles();
        return;
      case 'binary':
        this.#binary(uop);
        return;
      case 'compare':
        this.push(uop.a);
        this.push(uop.b);
        code.op(COMPARE[uop.name][wide(uop.type)]);
        return;
      case 'unary':
        this.#unary(uop);
        return;
      case 'select':
        this.push(uop.a);
        this.push(uop.b);
        this.push(uop.when);
        if (uop.type === 'v128') {
          // The untyped select takes numbers and vectors alike.
          code.op(OP.select);
        } else code.op(OP.select);
        return;
      case 'wrap':
        this.push(uop.a);
        code.op(OP.i32_wrap_i64);
        return;
      case 'extendS':
        this.push(uop.a);
        code.op(OP.i64_extend_i32_s);
        return;
      case 'extendU':
        this.push(uop.a);
        code.op(OP.i64_extend_i32_u);
        return;
      case 'divu128':
      case 'remu128':
        this.#wideDivision(uop);
        return;
      case 'float': {
        const a = this.capture(uop.a);
        const b = this.capture(uop.b);
        this.#nanRule(uop.type, a, b, () => {
          this.#floats(uop.type, a, b);
          code.op(FLOAT[uop.name][wide(uop.type)]);
        });
        code.release(valueType(uop.type), a);
        code.release(valueType(uop.type), b);
        return;
      }
      case 'fsqrt': {
        const a = this.capture(uop.a);
        this.#nanRule(uop.type, a, a, () => {
          this.#asFloat(uop.type, a);
          code.op(uop.type === 'i32' ? OP.f32_sqrt : OP.f64_sqrt);
        });
        code.release(valueType(uop.type), a);
        return;
      }
      case 'floatCompare':
        this.#floatCompare(uop);
        return;
      case 'widen':
      case 'narrow':
        this.#convertFloat(uop);
        return;
      case 'intToFloat':
        this.push(uop.a);
        if (uop.to === 'i32') {
          code.op(uop.from === 'i32' ? OP.f32_convert_i32_s : OP.f32_convert_i64_s);
          code.op(OP.i32_reinterpret_f32);
        } else {
          code.op(uop.from === 'i32' ? OP.f64_convert_i32_s : OP.f64_convert_i64_s);
          code.op(OP.i64_reinterpret_f64);
        }
        return;
      case 'floatToInt':
        this.#floatToInt(uop);
        return;
      case 'vector':
        lowerVector(code, uop.name, uop.args, uop.imm, (temp) => this.push(temp));
        return;
      default:
        throw new Error(`${uop.op} is no expression`);
    }
  }

  #binary(uop: Extract<Uop, { op: 'binary' }>): void {
    const code = this.#code;
    const plain = BINARY[uop.name];
    if (plain !== undefined) {
      this.push(uop.a);
      this.push(uop.b);
      code.op(plain[wide(uop.type)]);
      return;
    }
    const type = valueType(uop.type);
    const a = this.capture(uop.a);
    const b = this.capture(uop.b);
    if (uop.name === 'mulhu' || uop.name === 'mulhs') this.#mulHigh(uop.name, a, b);
    else this.#division(uop.name, uop.type, a, b);
    code.release(type, a);
    code.release(type, b);
  }

  /** Total division: WebAssembly's traps on a divisor of 0 and on the signed overflow. */
  #division(name: BinaryName, type: Int, a: number, b: number): void {
    const code = this.#code;
    const w = wide(type);
    const int = (value: number): void => (type === 'i32' ? code.i32(value) : code.i64(BigInt(value)));
    code.get(b);
    code.op(w === 0 ? OP.i32_eqz : OP.i64_eqz);
    code.if(valueType(type));
    int(0);
    code.else();
    if (name === 'divs') {
      code.get(b);
      int(-1);
      code.op(w === 0 ? OP.i32_eq : OP.i64_eq);
      code.if(valueType(type));
      int(0);
      code.get(a);
      code.op(w === 0 ? OP.i32_sub : OP.i64_sub);
      code.else();
    }
    code.get(a);
    code.get(b);
    code.op(DIVISION[name]![w]);
    if (name === 'divs') code.end();
    code.end();
  }

  /** High half of a 64 by 64 bit product, from four products of halves. */
  #mulHigh(name: 'mulhu' | 'mulhs', a: number, b: number): void {
    const code = this.#code;
    const low = (x: number): void => {
      code.get(x);
      code.i64(0xffffffffn);
      code.op(OP.i64_and);
    };
    const high = (x: number): void => {
      code.get(x);
      code.i64(32n);
      code.op(OP.i64_shr_u);
    };
    const middle = code.borrow(I64);
    const cross = code.borrow(I64);
    // middle = aHigh * bLow + (aLow * bLow >> 32); it cannot overflow.
    high(a);
    low(b);
    code.op(OP.i64_mul);
    low(a);
    low(b);
    code.op(OP.i64_mul);
    code.i64(32n);
    code.op(OP.i64_shr_u);
    code.op(OP.i64_add);
    code.set(middle);
    // cross = aLow * bHigh + low half of middle
    low(a);
    high(b);
    code.op(OP.i64_mul);
    low(middle);
    code.op(OP.i64_add);
    code.set(cross);
    high(a);
    high(b);
    code.op(OP.i64_mul);
    high(middle);
    code.op(OP.i64_add);
    high(cross);
    code.op(OP.i64_add);
    if (name === 'mulhs') {
      for (const [x, y] of [
        [a, b],
        [b, a],
      ] as const) {
        code.get(x);
        code.i64(63n);
        code.op(OP.i64_shr_s);
        code.get(y);
        code.op(OP.i64_and);
        code.op(OP.i64_sub);
      }
    }
    code.release(I64, middle);
    code.release(I64, cross);
  }

  #unary(uop: Extract<Uop, { op: 'unary' }>): void {
    const code = this.#code;
    const w = wide(uop.type);
    if (uop.name === 'bswap') {
      const a = this.capture(uop.a);
      this.#byteSwap(uop.type, a);
      code.release(valueType(uop.type), a);
      return;
    }
    this.push(uop.a);
    const opcodes: Names<'clz' | 'ctz' | 'popcnt' | 'sext8' | 'sext16'> = {
      clz: [OP.i32_clz, OP.i64_clz],
      ctz: [OP.i32_ctz, OP.i64_ctz],
      popcnt: [OP.i32_popcnt, OP.i64_popcnt],
      sext8: [OP.i32_extend8_s, OP.i64_extend8_s],
      sext16: [OP.i32_extend16_s, OP.i64_extend16_s],
    };
    code.op(opcodes[uop.name][w]);
  }

  /** Bytes reversed by swapping halves twice or three times, the last by a rotation. */
  #byteSwap(type: Int, a: number): void {
    const code = this.#code;
    if (type === 'i32') {
      for (const [mask, amount, op] of [
        [0x00ff00ff, 8, OP.i32_rotr],
        [-0x00ff0100, 8, OP.i32_rotl],
      ] as const) {
        code.get(a);
        code.i32(mask | 0);
        code.op(OP.i32_and);
        code.i32(amount);
        code.op(op);
      }
      code.op(OP.i32_or);
      return;
    }
    const t = code.borrow(I64);
    code.get(a);
    code.set(t);
    for (const [mask, amount] of [
      [0x00ff00ff00ff00ffn, 8n],
      [0x0000ffff0000ffffn, 16n],
    ] as const) {
      code.get(t);
      code.i64(mask);
      code.op(OP.i64_and);
      code.i64(amount);
      code.op(OP.i64_shl);
      code.get(t);
      code.i64(amount);
      code.op(OP.i64_shr_u);
      code.i64(mask);
      code.op(OP.i64_and);
      code.op(OP.i64_or);
      code.set(t);
    }
    code.get(t);
    code.i64(32n);
    code.op(OP.i64_rotl);
    code.release(I64, t);
  }

  #wideDivision(uop: Extract<Uop, { op: 'divu128' | 'remu128' }>): void {
    const code = this.#code;
    const hi = this.capture(uop.hi);
    const lo = this.capture(uop.lo);
    const divisor = this.capture(uop.divisor);
    // Compilers zero the upper half: then the host's own division does, unless the divisor is 0 (the helper knows).
    code.get(hi);
    code.op(OP.i64_eqz);
    code.get(divisor);
    code.i64(0n);
    code.op(OP.i64_ne);
    code.op(OP.i32_and);
    code.if(I64);
    code.get(lo);
    code.get(divisor);
    code.op(uop.op === 'divu128' ? OP.i64_div_u : OP.i64_rem_u);
    code.else();
    code.get(hi);
    code.get(lo);
    code.get(divisor);
    code.call(HELPER[uop.op]);
    code.end();
    for (const local of [hi, lo, divisor]) code.release(I64, local);
  }

  // Floating point

  #asFloat(type: Int, local: number): void {
    this.#code.get(local);
    this.#code.op(type === 'i32' ? OP.f32_reinterpret_i32 : OP.f64_reinterpret_i64);
  }

  #floats(type: Int, a: number, b: number): void {
    this.#asFloat(type, a);
    this.#asFloat(type, b);
  }

  /** A result's bits; where it is a NaN, the bits that the architecture's rule makes of the operands. */
  #nanRule(type: Int, a: number, b: number, compute: () => void): void {
    const code = this.#code;
    const float = type === 'i32' ? F32 : F64;
    const result = code.borrow(float);
    compute();
    code.tee(result);
    code.get(result);
    code.op(type === 'i32' ? OP.f32_eq : OP.f64_eq);
    code.if(valueType(type));
    code.get(result);
    code.op(type === 'i32' ? OP.i32_reinterpret_f32 : OP.i64_reinterpret_f64);
    code.else();
    code.get(a);
    code.get(b);
    code.call(type === 'i32' ? HELPER.nan32 : HELPER.nan64);
    code.end();
    code.release(float, result);
  }

  #floatCompare(uop: Extract<Uop, { op: 'floatCompare' }>): void {
    const code = this.#code;
    const a = this.capture(uop.a);
    const b = this.capture(uop.b);
    if (uop.name === 'funord') {
      const ne = uop.type === 'i32' ? OP.f32_ne : OP.f64_ne;
      this.#floats(uop.type, a, a);
      code.op(ne);
      this.#floats(uop.type, b, b);
      code.op(ne);
      code.op(OP.i32_or);
    } else {
      this.#floats(uop.type, a, b);
      code.op(FLOAT_COMPARE[uop.name][wide(uop.type)]);
    }
    code.release(valueType(uop.type), a);
    code.release(valueType(uop.type), b);
  }

  #convertFloat(uop: Extract<Uop, { op: 'widen' | 'narrow' }>): void {
    const code = this.#code;
    const widen = uop.op === 'widen';
    const from: Int = widen ? 'i32' : 'i64';
    const a = this.capture(uop.a);
    this.#floats(from, a, a);
    code.op(widen ? OP.f32_eq : OP.f64_eq);
    code.if(widen ? I64 : I32);
    this.#asFloat(from, a);
    code.op(widen ? OP.f64_promote_f32 : OP.f32_demote_f64);
    code.op(widen ? OP.i64_reinterpret_f64 : OP.i32_reinterpret_f32);
    code.else();
    code.get(a);
    code.call(widen ? HELPER.widenNan : HELPER.narrowNan);
    code.end();
    code.release(valueType(from), a);
  }

  /** Rounded, then tested against the range: both bounds are exact in either format. */
  #floatToInt(uop: Extract<Uop, { op: 'floatToInt' }>): void {
    const code = this.#code;
    const single = uop.from === 'i32';
    const float = single ? F32 : F64;
    const rounded = code.borrow(float);
    const limit = uop.to === 'i32' ? 2 ** 31 : 2 ** 63;
    const bound = (value: number): void => (single ? code.f32(value) : code.f64(value));
    this.push(uop.a);
    code.op(single ? OP.f32_reinterpret_i32 : OP.f64_reinterpret_i64);
    code.op(ROUND[uop.rounding][wide(uop.from)]);
    code.tee(rounded);
    bound(-limit);
    code.op(single ? OP.f32_ge : OP.f64_ge);
    code.get(rounded);
    bound(limit);
    code.op(single ? OP.f32_lt : OP.f64_lt);
    code.op(OP.i32_and);
    code.if(valueType(uop.to));
    code.get(rounded);
    code.u8(0xfc);
    if (uop.to === 'i32') code.unsigned(single ? SATURATING.i32_f32_s : SATURATING.i32_f64_s);
    else code.unsigned(single ? SATURATING.i64_f32_s : SATURATING.i64_f64_s);
    code.else();
    if (uop.to === 'i32') code.i32(Number(BigInt.asIntN(32, uop.invalid)));
    else code.i64(uop.invalid);
    code.end();
    code.release(float, rounded);
  }
}
