// Scalar operations that are more than one instruction of WebAssembly: total division, wide products, and floating point with the
// architecture's rules. Operands are locals.

import type { BinaryName, FloatCompareName, Rounding } from '../../isa/dsl/effects.ts';
import type { Uop } from '../uop/ops.ts';
import { HELPER } from './helpers.ts';
import { F32, F64, I32, I64, type Names, OP, type Opcode, SATURATING, type ValueType } from './opcodes.ts';
import type { Code } from './wasm.ts';

type Int = 'i32' | 'i64';
const wide = (type: Int): 0 | 1 => (type === 'i32' ? 0 : 1);
const valueType = (type: Int): ValueType => (type === 'i32' ? I32 : I64);

const DIVISION: Readonly<Partial<Record<BinaryName, readonly [Opcode, Opcode]>>> = {
  divu: [OP.i32_div_u, OP.i64_div_u],
  divs: [OP.i32_div_s, OP.i64_div_s],
  remu: [OP.i32_rem_u, OP.i64_rem_u],
  rems: [OP.i32_rem_s, OP.i64_rem_s],
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

/** Total division: WebAssembly's traps on a divisor of 0 and on the signed overflow. */
export function division(code: Code, name: BinaryName, type: Int, a: number, b: number): void {
  const w = wide(type);
  const int = (value: number): void => (type === 'i32' ? code.i32(value) : code.i64(BigInt(value)));
  code.get(b);
  code.op(w === 0 ? OP.i32_eqz : OP.i64_eqz);
  code.if(valueType(type), false);
  int(0);
  code.else();
  if (name === 'divs') {
    code.get(b);
    int(-1);
    code.op(w === 0 ? OP.i32_eq : OP.i64_eq);
    code.if(valueType(type), false);
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
export function mulHigh(code: Code, name: 'mulhu' | 'mulhs', a: number, b: number): void {
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

/** Bytes reversed by swapping halves twice or three times, the last by a rotation. */
export function byteSwap(code: Code, type: Int, a: number): void {
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

export function wideDivision(code: Code, op: 'divu128' | 'remu128', hi: number, lo: number, divisor: number): void {
  // Compilers zero the upper half: then the host's own division does, unless the divisor is 0 (the helper knows).
  code.get(hi);
  code.op(OP.i64_eqz);
  code.get(divisor);
  code.i64(0n);
  code.op(OP.i64_ne);
  code.op(OP.i32_and);
  code.if(I64, true);
  code.get(lo);
  code.get(divisor);
  code.op(op === 'divu128' ? OP.i64_div_u : OP.i64_rem_u);
  code.else();
  code.get(hi);
  code.get(lo);
  code.get(divisor);
  code.call(HELPER[op]);
  code.end();
}

export function asFloat(code: Code, type: Int, local: number): void {
  code.get(local);
  code.op(type === 'i32' ? OP.f32_reinterpret_i32 : OP.f64_reinterpret_i64);
}

export function floats(code: Code, type: Int, a: number, b: number): void {
  asFloat(code, type, a);
  asFloat(code, type, b);
}

/** A result's bits; where it is a NaN, the bits that the architecture's rule makes of the operands. */
export function nanRule(code: Code, type: Int, a: number, b: number, compute: () => void): void {
  const float = type === 'i32' ? F32 : F64;
  const result = code.borrow(float);
  compute();
  code.tee(result);
  code.get(result);
  code.op(type === 'i32' ? OP.f32_eq : OP.f64_eq);
  code.if(valueType(type), true);
  code.get(result);
  code.op(type === 'i32' ? OP.i32_reinterpret_f32 : OP.i64_reinterpret_f64);
  code.else();
  code.get(a);
  code.get(b);
  code.call(type === 'i32' ? HELPER.nan32 : HELPER.nan64);
  code.end();
  code.release(float, result);
}

export function floatCompare(code: Code, name: FloatCompareName, type: Int, a: number, b: number): void {
  if (name === 'funord') {
    const ne = type === 'i32' ? OP.f32_ne : OP.f64_ne;
    floats(code, type, a, a);
    code.op(ne);
    floats(code, type, b, b);
    code.op(ne);
    code.op(OP.i32_or);
  } else {
    floats(code, type, a, b);
    code.op(FLOAT_COMPARE[name][wide(type)]);
  }
}

export function convertFloat(code: Code, widen: boolean, a: number): void {
  const from: Int = widen ? 'i32' : 'i64';
  floats(code, from, a, a);
  code.op(widen ? OP.f32_eq : OP.f64_eq);
  code.if(widen ? I64 : I32);
  asFloat(code, from, a);
  code.op(widen ? OP.f64_promote_f32 : OP.f32_demote_f64);
  code.op(widen ? OP.i64_reinterpret_f64 : OP.i32_reinterpret_f32);
  code.else();
  code.get(a);
  code.call(widen ? HELPER.widenNan : HELPER.narrowNan);
  code.end();
}

/** Rounded, then tested against the range: both bounds are exact in either format. */
export function floatToInt(code: Code, uop: Extract<Uop, { op: 'floatToInt' }>, push: (temp: number) => void): void {
  const single = uop.from === 'i32';
  const float = single ? F32 : F64;
  const rounded = code.borrow(float);
  const limit = uop.to === 'i32' ? 2 ** 31 : 2 ** 63;
  const bound = (value: number): void => (single ? code.f32(value) : code.f64(value));
  push(uop.a);
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
