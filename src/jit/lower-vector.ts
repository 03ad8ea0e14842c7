// Vector operations as WebAssembly SIMD. Most are one instruction; the few that WebAssembly lacks are put together here.

import type { VectorName } from '../../isa/dsl/vector.ts';
import { I32, OP, SIMD, V128 } from './opcodes.ts';
import type { Code } from './wasm.ts';

/** Operations that are one instruction on their operands, in order. */
const PLAIN: Readonly<Partial<Record<VectorName, number>>> = {
  'v128.and': SIMD.v128_and,
  'v128.or': SIMD.v128_or,
  'v128.xor': SIMD.v128_xor,
  'v128.andnot': SIMD.v128_andnot,
  'i8x16.add': SIMD.i8x16_add,
  'i16x8.add': SIMD.i16x8_add,
  'i32x4.add': SIMD.i32x4_add,
  'i64x2.add': SIMD.i64x2_add,
  'i8x16.sub': SIMD.i8x16_sub,
  'i16x8.sub': SIMD.i16x8_sub,
  'i32x4.sub': SIMD.i32x4_sub,
  'i64x2.sub': SIMD.i64x2_sub,
  'i8x16.add_sat_s': SIMD.i8x16_add_sat_s,
  'i8x16.add_sat_u': SIMD.i8x16_add_sat_u,
  'i16x8.add_sat_s': SIMD.i16x8_add_sat_s,
  'i16x8.add_sat_u': SIMD.i16x8_add_sat_u,
  'i8x16.sub_sat_s': SIMD.i8x16_sub_sat_s,
  'i8x16.sub_sat_u': SIMD.i8x16_sub_sat_u,
  'i16x8.sub_sat_s': SIMD.i16x8_sub_sat_s,
  'i16x8.sub_sat_u': SIMD.i16x8_sub_sat_u,
  'i8x16.avgr_u': SIMD.i8x16_avgr_u,
  'i16x8.avgr_u': SIMD.i16x8_avgr_u,
  'i8x16.min_u': SIMD.i8x16_min_u,
  'i8x16.max_u': SIMD.i8x16_max_u,
  'i16x8.min_s': SIMD.i16x8_min_s,
  'i16x8.max_s': SIMD.i16x8_max_s,
  'i16x8.mul': SIMD.i16x8_mul,
  'i32x4.dot_i16x8_s': SIMD.i32x4_dot_i16x8_s,
  'i8x16.eq': SIMD.i8x16_eq,
  'i16x8.eq': SIMD.i16x8_eq,
  'i32x4.eq': SIMD.i32x4_eq,
  'i8x16.gt_s': SIMD.i8x16_gt_s,
  'i16x8.gt_s': SIMD.i16x8_gt_s,
  'i32x4.gt_s': SIMD.i32x4_gt_s,
  'i8x16.narrow_i16x8_s': SIMD.i8x16_narrow_i16x8_s,
  'i8x16.narrow_i16x8_u': SIMD.i8x16_narrow_i16x8_u,
  'i16x8.narrow_i32x4_s': SIMD.i16x8_narrow_i32x4_s,
  'i8x16.bitmask': SIMD.i8x16_bitmask,
  'i32x4.bitmask': SIMD.i32x4_bitmask,
  'i64x2.bitmask': SIMD.i64x2_bitmask,
};

/** One instruction with a lane index. */
const LANE: Readonly<Partial<Record<VectorName, number>>> = {
  'i8x16.extract_lane_u': SIMD.i8x16_extract_lane_u,
  'i16x8.extract_lane_u': SIMD.i16x8_extract_lane_u,
  'i32x4.extract_lane': SIMD.i32x4_extract_lane,
  'i64x2.extract_lane': SIMD.i64x2_extract_lane,
  'i16x8.replace_lane': SIMD.i16x8_replace_lane,
  'i32x4.replace_lane': SIMD.i32x4_replace_lane,
  'i64x2.replace_lane': SIMD.i64x2_replace_lane,
};

/** Shifts: WebAssembly takes the count modulo the lane's width, so larger counts need a word of their own. */
const SHIFT: Readonly<Partial<Record<VectorName, readonly [opcode: number, width: number, arithmetic: boolean]>>> = {
  'i16x8.shl': [SIMD.i16x8_shl, 16, false],
  'i32x4.shl': [SIMD.i32x4_shl, 32, false],
  'i64x2.shl': [SIMD.i64x2_shl, 64, false],
  'i16x8.shr_u': [SIMD.i16x8_shr_u, 16, false],
  'i32x4.shr_u': [SIMD.i32x4_shr_u, 32, false],
  'i64x2.shr_u': [SIMD.i64x2_shr_u, 64, false],
  'i16x8.shr_s': [SIMD.i16x8_shr_s, 16, true],
  'i32x4.shr_s': [SIMD.i32x4_shr_s, 32, true],
};

/** Bytes of the odd 16-bit lanes of two vectors, in order: the high halves of eight 32-bit products. */
const HIGH_HALVES: readonly number[] = [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31];

function shuffle(code: Code, lanes: readonly number[]): void {
  code.simd(SIMD.i8x16_shuffle);
  for (const lane of lanes) code.u8(lane);
}

function zero(code: Code): void {
  code.simd(SIMD.v128_const);
  code.append(new Uint8Array(16));
}

/** Emits a vector operation; `push` puts an operand on the stack, once each and in any order. */
export function lowerVector(
  code: Code,
  name: VectorName,
  args: readonly number[],
  imm: readonly number[],
  push: (temp: number) => void,
): void {
  const plain = PLAIN[name];
  if (plain !== undefined) {
    for (const temp of args) push(temp);
    code.simd(plain);
    return;
  }
  const lane = LANE[name];
  if (lane !== undefined) {
    for (const temp of args) push(temp);
    code.simd(lane);
    code.u8(imm[0]!);
    return;
  }
  const shift = SHIFT[name];
  if (shift !== undefined) {
    shiftBy(code, shift, args, push);
    return;
  }
  const capture = (temp: number): number => {
    push(temp);
    const local = code.borrow(V128);
    code.set(local);
    return local;
  };
  switch (name) {
    case 'i8x16.shuffle':
      for (const temp of args) push(temp);
      shuffle(code, imm);
      return;
    case 'i16x8.mulhi_s':
    case 'i16x8.mulhi_u': {
      const signed = name === 'i16x8.mulhi_s';
      const a = capture(args[0]!);
      const b = capture(args[1]!);
      code.get(a);
      code.get(b);
      code.simd(signed ? SIMD.i32x4_extmul_low_i16x8_s : SIMD.i32x4_extmul_low_i16x8_u);
      code.get(a);
      code.get(b);
      code.simd(signed ? SIMD.i32x4_extmul_high_i16x8_s : SIMD.i32x4_extmul_high_i16x8_u);
      shuffle(code, HIGH_HALVES);
      code.release(V128, a);
      code.release(V128, b);
      return;
    }
    case 'i64x2.mul_even_u':
      for (const temp of args) {
        push(temp);
        code.i64(0xffffffffn);
        code.simd(SIMD.i64x2_splat);
        code.simd(SIMD.v128_and);
      }
      code.simd(SIMD.i64x2_mul);
      return;
    case 'i64x2.sad_u8': {
      // |a - b| as max - min; then sums of neighbours, from bytes to 64 bits.
      const a = capture(args[0]!);
      const b = capture(args[1]!);
      code.get(a);
      code.get(b);
      code.simd(SIMD.i8x16_max_u);
      code.get(a);
      code.get(b);
      code.simd(SIMD.i8x16_min_u);
      code.simd(SIMD.i8x16_sub);
      code.simd(SIMD.i16x8_extadd_pairwise_i8x16_u);
      code.simd(SIMD.i32x4_extadd_pairwise_i16x8_u);
      code.set(a);
      code.get(a);
      code.i64(0xffffffffn);
      code.simd(SIMD.i64x2_splat);
      code.simd(SIMD.v128_and);
      code.get(a);
      code.i32(32);
      code.simd(SIMD.i64x2_shr_u);
      code.simd(SIMD.i64x2_add);
      code.release(V128, a);
      code.release(V128, b);
      return;
    }
    case 'i32x4.low':
    case 'i64x2.low':
      zero(code);
      push(args[0]!);
      code.simd(name === 'i32x4.low' ? SIMD.i32x4_replace_lane : SIMD.i64x2_replace_lane);
      code.u8(0);
      return;
    case 'i64x2.make': {
      push(args[0]!);
      code.simd(SIMD.i64x2_splat);
      push(args[1]!);
      code.simd(SIMD.i64x2_replace_lane);
      code.u8(1);
      return;
    }
    default:
      throw new Error(`${name} has no lowering`);
  }
}

function shiftBy(
  code: Code,
  [opcode, width, arithmetic]: readonly [number, number, boolean],
  args: readonly number[],
  push: (temp: number) => void,
): void {
  const count = code.borrow(I32);
  push(args[1]!);
  code.set(count);
  push(args[0]!);
  if (arithmetic) {
    // As many copies of the sign as the lane is wide: one fewer shifts do the same.
    code.get(count);
    code.i32(width - 1);
    code.get(count);
    code.i32(width);
    code.op(OP.i32_lt_u);
    code.op(OP.select);
    code.simd(opcode);
  } else {
    code.get(count);
    code.simd(opcode);
    zero(code);
    code.get(count);
    code.i32(width);
    code.op(OP.i32_lt_u);
    code.op(OP.select);
  }
  code.release(I32, count);
}
