// The 128-bit part of the vocabulary: each operation's operands and result, one row each.
// Names are WebAssembly's where it has the operation, because its meaning is then the one defined there (lane 0 is the low one).

import type { Type } from './effects.ts';

export interface VectorOp {
  readonly operands: readonly Type[];
  readonly result: Type;
  /** How many immediate numbers: 1 for a lane index, 16 for a shuffle. */
  readonly immediates: 0 | 1 | 16;
}

const V: readonly Type[] = ['v128'];
const VV: readonly Type[] = ['v128', 'v128'];
const VI: readonly Type[] = ['v128', 'i32'];

const op = (operands: readonly Type[], result: Type, immediates: 0 | 1 | 16 = 0): VectorOp => ({
  operands,
  result,
  immediates,
});
const binary = op(VV, 'v128');
/** The count is an unsigned i32; counts of the lane's width and more give 0, or copies of the sign for `sar`. */
const shift = op(VI, 'v128');
const extract32 = op(V, 'i32', 1);

export const VECTOR_OPS = {
  'v128.and': binary,
  'v128.or': binary,
  'v128.xor': binary,
  /** a AND NOT b. */
  'v128.andnot': binary,

  'i8x16.add': binary,
  'i16x8.add': binary,
  'i32x4.add': binary,
  'i64x2.add': binary,
  'i8x16.sub': binary,
  'i16x8.sub': binary,
  'i32x4.sub': binary,
  'i64x2.sub': binary,
  'i8x16.add_sat_s': binary,
  'i8x16.add_sat_u': binary,
  'i16x8.add_sat_s': binary,
  'i16x8.add_sat_u': binary,
  'i8x16.sub_sat_s': binary,
  'i8x16.sub_sat_u': binary,
  'i16x8.sub_sat_s': binary,
  'i16x8.sub_sat_u': binary,
  'i8x16.avgr_u': binary,
  'i16x8.avgr_u': binary,
  'i8x16.min_u': binary,
  'i8x16.max_u': binary,
  'i16x8.min_s': binary,
  'i16x8.max_s': binary,
  'i16x8.mul': binary,
  /** High halves of the 32-bit products. */
  'i16x8.mulhi_s': binary,
  'i16x8.mulhi_u': binary,
  /** Products of the even 32-bit lanes, as 64-bit lanes (PMULUDQ). */
  'i64x2.mul_even_u': binary,
  'i32x4.dot_i16x8_s': binary,
  /** Sums of absolute differences of bytes, one per half (PSADBW). */
  'i64x2.sad_u8': binary,
  'i8x16.eq': binary,
  'i16x8.eq': binary,
  'i32x4.eq': binary,
  'i8x16.gt_s': binary,
  'i16x8.gt_s': binary,
  'i32x4.gt_s': binary,
  'i8x16.narrow_i16x8_s': binary,
  'i8x16.narrow_i16x8_u': binary,
  'i16x8.narrow_i32x4_s': binary,

  'i16x8.shl': shift,
  'i32x4.shl': shift,
  'i64x2.shl': shift,
  'i16x8.shr_u': shift,
  'i32x4.shr_u': shift,
  'i64x2.shr_u': shift,
  'i16x8.shr_s': shift,
  'i32x4.shr_s': shift,

  /** 16 byte indexes into a (0–15) and b (16–31). */
  'i8x16.shuffle': op(VV, 'v128', 16),

  'i8x16.bitmask': op(V, 'i32'),
  'i32x4.bitmask': op(V, 'i32'),
  'i64x2.bitmask': op(V, 'i32'),

  'i8x16.extract_lane_u': extract32,
  'i16x8.extract_lane_u': extract32,
  'i32x4.extract_lane': extract32,
  'i64x2.extract_lane': op(V, 'i64', 1),
  'i16x8.replace_lane': op(VI, 'v128', 1),
  'i32x4.replace_lane': op(VI, 'v128', 1),
  'i64x2.replace_lane': op(['v128', 'i64'], 'v128', 1),
  /** The low lane from an i32 or i64, zeros above. */
  'i32x4.low': op(['i32'], 'v128'),
  'i64x2.low': op(['i64'], 'v128'),
  /** Low half, high half. */
  'i64x2.make': op(['i64', 'i64'], 'v128'),
} as const satisfies Readonly<Record<string, VectorOp>>;

export type VectorName = keyof typeof VECTOR_OPS;
