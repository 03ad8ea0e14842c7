// Lanes of XMM values: taking them out, putting them together, and the byte orders of the shuffles.

import type { Value } from '../dsl/effects.ts';
import type { Exec } from './exec.ts';

/** Width of a lane in bits; floating point travels as its bits. */
export type LaneBits = 32 | 64;

/** Lane n as an i32 or i64. */
export const lane = (x: Exec, v: Value, bits: LaneBits, n: number): Value =>
  x.e.vector(bits === 32 ? 'i32x4.extract_lane' : 'i64x2.extract_lane', [v], [n]);

/** All lanes, the low one first. */
export const lanesOf = (x: Exec, v: Value, bits: LaneBits): Value[] =>
  Array.from({ length: 128 / bits }, (_, n) => lane(x, v, bits, n));

/** The vector of these lanes, the low one first; absent ones are zeros. */
export const fromLanes = (x: Exec, lanes: readonly Value[]): Value => {
  const [low, ...rest] = lanes as readonly [Value, ...Value[]];
  if (low.type === 'i64') {
    return rest[0] === undefined ? x.e.vector('i64x2.low', [low]) : x.e.vector('i64x2.make', [low, rest[0]]);
  }
  let v = x.e.vector('i32x4.low', [low]);
  for (const [k, value] of rest.entries()) v = x.e.vector('i32x4.replace_lane', [v, value], [k + 1]);
  return v;
};

/** `v` with its low lane replaced by an i32 or i64: what scalar instructions write. */
export const withLow = (x: Exec, v: Value, low: Value): Value =>
  x.e.vector(low.type === 'i64' ? 'i64x2.replace_lane' : 'i32x4.replace_lane', [v, low], [0]);

export const zeroVector = (x: Exec): Value => x.e.v128(0n, 0n);

/**
 * A shuffle in lanes of `bytes`: result lane k is lane `order[k]` of `a`, or of `b` where the number is beyond the lanes of `a`.
 */
export const shuffle = (x: Exec, a: Value, b: Value, bytes: 1 | 2 | 4 | 8, order: readonly number[]): Value => {
  const indexes = order.flatMap((n) => Array.from({ length: bytes }, (_, k) => n * bytes + k));
  return x.e.vector('i8x16.shuffle', [a, b], indexes);
};

/** The four 2-bit fields of a shuffle's immediate, the low one first. */
export const selectors = (imm: number): readonly [number, number, number, number] => [
  imm & 3,
  (imm >> 2) & 3,
  (imm >> 4) & 3,
  (imm >> 6) & 3,
];

/** The immediate byte of the instruction. */
export const immediateByte = (x: Exec): number => Number(x.i.imm) & 0xff;
