// Conversions of SSE and SSE2 (SDM vol. 1, 10.4.3 and 11.4.1.6). Rows that name MMX registers (CVTPI2PS and the like) are absent.
//
// To integers, MXCSR.RC decides the rounding except in the CVTT forms; NaNs and what does not fit give the integer indefinite value.
// Conversions to floating point round to nearest (see sse-float.ts).

import type { Rounding, Value } from '../dsl/effects.ts';
import { clause, family } from './clause.ts';
import type { Exec } from './exec.ts';
import { fromLanes, lane, lanesOf, withLow } from './lanes.ts';
import { MXCSR } from './regs.ts';

/** The integer indefinite value (SDM vol. 1, table 4-1). */
const INDEFINITE = { i32: 1n << 31n, i64: 1n << 63n } as const;

/** MXCSR.RC (SDM vol. 1, table 4-8). */
const RC_SHIFT = 13;

const toInt = (x: Exec, value: Value, rounding: Rounding, to: 'i32' | 'i64'): Value =>
  x.e.floatToInt(value, rounding, to, INDEFINITE[to]);

const truncated = (x: Exec, value: Value, to: 'i32' | 'i64'): Value => toInt(x, value, 'zero', to);

const rounded = (x: Exec, value: Value, to: 'i32' | 'i64'): Value => {
  const { e } = x;
  const control = e.get(MXCSR);
  const low = x.bit(control, RC_SHIFT);
  const high = x.bit(control, RC_SHIFT + 1);
  const by = (rounding: Rounding): Value => toInt(x, value, rounding, to);
  return e.select(high, e.select(low, by('zero'), by('ceil')), e.select(low, by('floor'), by('nearest')));
};

type ToInt = typeof truncated;

/** A general register from the low lane. */
const scalarToInt = (convert: ToInt) => (x: Exec) => x.write(0, convert(x, x.read(1), x.type));

/** The low lane from a general register or memory; the rest stays. */
const intToScalar = (to: 'i32' | 'i64') => (x: Exec) => {
  const value = x.e.intToFloat(x.read(1), to);
  x.write(0, withLow(x, x.read(0), value));
};

/** The low lane in the other format; the rest stays. */
const scalarToScalar = (convert: (x: Exec, value: Value) => Value) => (x: Exec) => {
  const value = convert(x, x.read(1));
  x.write(0, withLow(x, x.read(0), value));
};
const widen = (x: Exec, value: Value): Value => x.e.widen(value);
const narrow = (x: Exec, value: Value): Value => x.e.narrow(value);

/** Four lanes of 32 bits to as many. */
const four = (convert: (x: Exec, value: Value) => Value) => (x: Exec) => {
  const results = lanesOf(x, x.read(1), 32).map((value) => convert(x, value));
  x.write(0, fromLanes(x, results));
};

/** The low two lanes of 32 bits, read as 64 bits, to two of 64. */
const twoUp = (convert: (x: Exec, value: Value) => Value) => (x: Exec) => {
  const { e } = x;
  const pair = x.read(1);
  const lanes = [e.wrap(pair), e.wrap(e.shr(pair, e.const('i64', 32)))];
  const results = lanes.map((value) => convert(x, value));
  x.write(0, fromLanes(x, results));
};

/** Two lanes of 64 bits to the low two of 32; the upper half becomes zeros. */
const twoDown = (convert: (x: Exec, value: Value) => Value) => (x: Exec) => {
  const v = x.read(1);
  const results = [lane(x, v, 64, 0), lane(x, v, 64, 1)].map((value) => convert(x, value));
  const zero = x.e.const('i32', 0);
  x.write(0, fromLanes(x, [...results, zero, zero]));
};

export const SSE_CONVERT = family('sse-convert', () => [
  clause('CVTPS2PD xmm, xmm/m64', 'NP 0F 5A /r', twoUp(widen)),
  clause('CVTPD2PS xmm, xmm/m128', '66 0F 5A /r', twoDown(narrow)),
  clause('CVTSS2SD xmm, xmm/m32', 'F3 0F 5A /r', scalarToScalar(widen)),
  clause('CVTSD2SS xmm, xmm/m64', 'F2 0F 5A /r', scalarToScalar(narrow)),

  clause(
    'CVTPD2DQ xmm, xmm/m128',
    'F2 0F E6 /r',
    twoDown((x, v) => rounded(x, v, 'i32')),
  ),
  clause(
    'CVTTPD2DQ xmm, xmm/m128',
    '66 0F E6 /r',
    twoDown((x, v) => truncated(x, v, 'i32')),
  ),
  clause(
    'CVTDQ2PD xmm, xmm/m64',
    'F3 0F E6 /r',
    twoUp((x, v) => x.e.intToFloat(v, 'i64')),
  ),
  clause(
    'CVTPS2DQ xmm, xmm/m128',
    '66 0F 5B /r',
    four((x, v) => rounded(x, v, 'i32')),
  ),
  clause(
    'CVTTPS2DQ xmm, xmm/m128',
    'F3 0F 5B /r',
    four((x, v) => truncated(x, v, 'i32')),
  ),
  clause(
    'CVTDQ2PS xmm, xmm/m128',
    'NP 0F 5B /r',
    four((x, v) => x.e.intToFloat(v, 'i32')),
  ),

  clause('CVTSS2SI ry, xmm/m32', 'F3 0F 2D /r', scalarToInt(rounded)),
  clause('CVTSD2SI ry, xmm/m64', 'F2 0F 2D /r', scalarToInt(rounded)),
  clause('CVTTSS2SI ry, xmm/m32', 'F3 0F 2C /r', scalarToInt(truncated)),
  clause('CVTTSD2SI ry, xmm/m64', 'F2 0F 2C /r', scalarToInt(truncated)),
  clause('CVTSI2SS xmm, r/my', 'F3 0F 2A /r', intToScalar('i32')),
  clause('CVTSI2SD xmm, r/my', 'F2 0F 2A /r', intToScalar('i64')),
]);
