// The second and last meaning of the vocabulary: each operation as WebAssembly. The first is the evaluator's (src/engine/evaluate.ts).
//
// A temporary is emitted where it is used when it is used once, so that expressions nest; else it goes through a local. Registers are
// mostly locals too, so a `get` costs nothing; where a register is set while an older `get` of it is still to be used, that value is
// put aside first.

import type { BinaryName, CompareName } from '../../isa/dsl/effects.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { Variant } from '../../isa/dsl/variant.ts';
import { type OpList, operandsOf, type Uop } from '../uop/ops.ts';
import { type Comparison, Comparisons, type Operand } from './comparisons.ts';
import type { Emitted, Member, Members } from './groups.ts';
import { AccessLowering, valueType } from './lower-access.ts';
import {
  asFloat,
  byteSwap,
  convertFloat,
  division,
  floatCompare,
  floats,
  floatToInt,
  mulHigh,
  nanRule,
  wideDivision,
} from './lower-scalar.ts';
import { lowerVector } from './lower-vector.ts';
import { I32, I64, type Names, OP, type Opcode, SIMD, VOID } from './opcodes.ts';
import type { Code } from './wasm.ts';

type Load = Extract<Uop, { op: 'load' }>;
type Store = Extract<Uop, { op: 'store' }>;

/** Where the registers are. */
export interface RegisterAccess {
  /** Pushes a register's value. */
  push(register: Register): void;
  /** Sets a register to the value that is pushed between these two. */
  beginSet(register: Register): void;
  endSet(register: Register): void;
}

/** What surrounds the operations of an instruction: the function being compiled. */
export interface Surroundings {
  readonly code: Code;
  readonly variant: Variant;
  /** Whether registers live in locals, and accesses look into the TLB in line; if not, code is to be short. */
  readonly fast: boolean;
  readonly registers: RegisterAccess;
  /** Emits leaving to the evaluator at the current instruction, which has changed nothing yet. */
  leave(): void;
  /** The number of the exit for that. */
  exit(): number;
  /** Emits leaving by an exit that a helper has taken, where it says so: the value on the stack. */
  leaveIfLeft(): void;
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
const wide = (type: string): 0 | 1 => (type === 'i32' ? 0 : 1);

/** Emits the operations of one instruction after another. */
export class Lowering {
  readonly #s: Surroundings;
  readonly #code: Code;
  readonly #accesses: AccessLowering;
  readonly #comparisons = new Comparisons();
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
    this.#accesses = new AccessLowering(surroundings, (temp) => this.push(temp));
  }

  /** Begins a block of a tree (`Group`). */
  begin(tree: number): void {
    this.#accesses.begin(tree);
    this.#comparisons.clear();
  }

  /**
   * Emits an instruction, but for its system call and its branch, whose operands are to be pushed by `push` or put aside by `capture`
   * before the next instruction.
   */
  instruction({ list, needed, constants }: Emitted, members?: Members): BranchValues | undefined {
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
          this.#load(uop, members?.get(i));
          break;
        case 'store':
          this.#store(uop, members?.get(i));
          break;
        case 'trap':
          // A system call ends its block, and the unit leaves behind it.
          if (uop.kind !== 'syscall') this.#trap(uop);
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
      this.#constant(type, constant);
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
    if (uop.op === 'get') this.#s.registers.push(uop.register);
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
    this.#s.registers.beginSet(register);
    this.push(value);
    for (let i = 0; i < position; i++) {
      const uop = this.#list.ops[i]!;
      if (uop.op !== 'get' || uop.register !== register) continue;
      if (this.#uses[uop.dst]! <= 0 || this.#locals[uop.dst]! >= 0 || this.#definitions[uop.dst] === undefined)
        continue;
      this.#s.registers.push(register);
      this.#keep(uop.dst);
    }
    this.#s.registers.endSet(register);
    // Registers that are in the state block are best read once.
    if (this.#s.fast) this.#comparisons.set(register, this.#comparisonOf(value));
  }

  /** The comparison that a temporary is the result of, if its operands are registers and constants. */
  #comparisonOf(temp: number): Comparison | undefined {
    let uop = this.#definitions[temp];
    if (uop?.op === 'extendU') uop = this.#definitions[uop.a];
    if (uop?.op !== 'compare') return undefined;
    const operand = (temp: number): Operand | undefined => {
      const uop = this.#definitions[temp];
      if (uop?.op !== 'get') return this.constant(temp);
      return this.#locals[temp]! >= 0 ? undefined : uop.register;
    };
    const [a, b] = [operand(uop.a), operand(uop.b)];
    return a === undefined || b === undefined ? undefined : { name: uop.name, type: uop.type, a, b };
  }

  #trap(uop: Extract<Uop, { op: 'trap' }>): void {
    if (uop.when === undefined) {
      this.#s.leave();
      return;
    }
    this.push(uop.when);
    this.#code.if(VOID, false);
    this.#s.leave();
    this.#code.end();
  }

  #load(uop: Load, member: Member | undefined): void {
    this.#accesses.load(uop, member);
    if (this.#uses[uop.dst] === 0) this.#code.op(OP.drop);
    else this.#keep(uop.dst);
  }

  #store(uop: Store, member: Member | undefined): void {
    // The value may be wanted on both paths: it goes through a local.
    const value = this.capture(uop.value);
    this.#accesses.store(uop, member, value);
    this.#code.release(valueType(uop.type), value);
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
        this.#s.registers.push(uop.register);
        return;
      case 'cycles':
        this.#s.cycles();
        return;
      case 'binary':
        this.#binary(uop);
        return;
      case 'compare':
        if (this.#comparedBefore(uop)) return;
        this.push(uop.a);
        if (uop.name === 'eq' && this.constant(uop.b) === 0n) {
          code.op(uop.type === 'i32' ? OP.i32_eqz : OP.i64_eqz);
          return;
        }
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
        {
          const [hi, lo, divisor] = [this.capture(uop.hi), this.capture(uop.lo), this.capture(uop.divisor)];
          wideDivision(code, uop.op, hi, lo, divisor);
          for (const local of [hi, lo, divisor]) code.release(I64, local);
        }
        return;
      case 'float': {
        const a = this.capture(uop.a);
        const b = this.capture(uop.b);
        nanRule(code, uop.type, a, b, () => {
          floats(code, uop.type, a, b);
          code.op(FLOAT[uop.name][wide(uop.type)]);
        });
        code.release(valueType(uop.type), a);
        code.release(valueType(uop.type), b);
        return;
      }
      case 'fsqrt': {
        const a = this.capture(uop.a);
        nanRule(code, uop.type, a, a, () => {
          asFloat(code, uop.type, a);
          code.op(uop.type === 'i32' ? OP.f32_sqrt : OP.f64_sqrt);
        });
        code.release(valueType(uop.type), a);
        return;
      }
      case 'floatCompare': {
        const a = this.capture(uop.a);
        const b = this.capture(uop.b);
        floatCompare(code, uop.name, uop.type, a, b);
        code.release(valueType(uop.type), a);
        code.release(valueType(uop.type), b);
        return;
      }
      case 'widen':
      case 'narrow':
        {
          const a = this.capture(uop.a);
          convertFloat(code, uop.op === 'widen', a);
          code.release(uop.op === 'widen' ? I32 : I64, a);
        }
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
        floatToInt(code, uop, (temp) => this.push(temp));
        return;
      case 'vector':
        lowerVector(code, uop.name, uop.args, uop.imm, (temp) => this.push(temp));
        return;
      default:
        throw new Error(`${uop.op} is no expression`);
    }
  }

  /** Where a register is compared with 0 that has the result of a comparison, pushes what follows from that; whether it was so. */
  #comparedBefore(uop: Extract<Uop, { op: 'compare' }>): boolean {
    if ((uop.name !== 'eq' && uop.name !== 'ne') || this.constant(uop.b) !== 0n) return false;
    const tested = this.#definitions[uop.a];
    if (tested?.op !== 'get' || this.#locals[uop.a]! >= 0) return false;
    const zero = this.#comparisons.whereZero(tested.register);
    if (zero === undefined) return false;
    this.#uses[uop.a]!--;
    for (const operand of [zero.a, zero.b]) {
      if (typeof operand !== 'bigint') this.#s.registers.push(operand);
      else this.#constant(zero.type, operand);
    }
    this.#code.op(COMPARE[zero.name][wide(zero.type)]);
    if (uop.name === 'ne') this.#code.op(OP.i32_eqz);
    return true;
  }

  #constant(type: string, value: bigint): void {
    if (type === 'i32') this.#code.i32(Number(BigInt.asIntN(32, value)));
    else this.#code.i64(value);
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
    if (uop.name === 'mulhu' || uop.name === 'mulhs') mulHigh(code, uop.name, a, b);
    else division(code, uop.name, uop.type, a, b);
    code.release(type, a);
    code.release(type, b);
  }

  #unary(uop: Extract<Uop, { op: 'unary' }>): void {
    const code = this.#code;
    const w = wide(uop.type);
    if (uop.name === 'bswap') {
      const a = this.capture(uop.a);
      byteSwap(code, uop.type, a);
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
}
