// Floating point of SSE and SSE2: arithmetic, comparisons, logic, shuffles (SDM vol. 1, 10.4.1 to 10.4.4 and 11.4.1).
//
// What of MXCSR has an effect: the rounding control, on conversions to integers (sse-convert.ts) and nothing else. Results are
// rounded to nearest, denormals are neither read as zeros nor flushed (DAZ and FTZ), the exception flags are not set, and no exception is taken
// whatever the masks say. All of that is as a program sees it that leaves MXCSR at its reset value and does not read the flags.

import type { FloatBinaryName, Value } from '../dsl/effects.ts';
import type { VectorName } from '../dsl/vector.ts';
import { clause, family, type Row } from './clause.ts';
import type { Exec } from './exec.ts';
import { setFlags } from './flags.ts';
import { fromLanes, immediateByte, type LaneBits, lane, lanesOf, selectors, shuffle, withLow } from './lanes.ts';
import { interleave } from './sse-int.ts';

/** One of the four formats of an instruction: the suffix of its name, its prefix, its second operand. */
interface Format {
  readonly suffix: 'PS' | 'PD' | 'SS' | 'SD';
  readonly prefix: 'NP' | '66' | 'F3' | 'F2';
  readonly source: 'xmm/m128' | 'xmm/m64' | 'xmm/m32';
  readonly bits: LaneBits;
  readonly packed: boolean;
}

const PS: Format = { suffix: 'PS', prefix: 'NP', source: 'xmm/m128', bits: 32, packed: true };
const PD: Format = { suffix: 'PD', prefix: '66', source: 'xmm/m128', bits: 64, packed: true };
const SS: Format = { suffix: 'SS', prefix: 'F3', source: 'xmm/m32', bits: 32, packed: false };
const SD: Format = { suffix: 'SD', prefix: 'F2', source: 'xmm/m64', bits: 64, packed: false };
const ALL = [PS, PD, SS, SD];

/** A lane of the result from the same lanes of destination and source. */
type OnLanes = (x: Exec, a: Value, b: Value) => Value;
type OnLane = (x: Exec, b: Value) => Value;

/** destination := destination op source in every lane, or in the low one. */
const combine = (x: Exec, f: Format, effect: OnLanes): void => {
  const source = x.read(1);
  const destination = x.read(0);
  if (!f.packed) {
    x.write(0, withLow(x, destination, effect(x, lane(x, destination, f.bits, 0), source)));
    return;
  }
  const from = lanesOf(x, source, f.bits);
  const results = lanesOf(x, destination, f.bits).map((a, n) => effect(x, a, from[n]!));
  x.write(0, fromLanes(x, results));
};

/** destination := op source in every lane, or in the low one. */
const map = (x: Exec, f: Format, effect: OnLane): void => {
  const source = x.read(1);
  if (f.packed) {
    const results = lanesOf(x, source, f.bits).map((b) => effect(x, b));
    x.write(0, fromLanes(x, results));
  } else x.write(0, withLow(x, x.read(0), effect(x, source)));
};

const binary = (name: string, opcode: string, formats: readonly Format[], effect: OnLanes): readonly Row[] =>
  formats.map((f) =>
    clause(`${name}${f.suffix} xmm, ${f.source}`, `${f.prefix} 0F ${opcode} /r`, (x) => combine(x, f, effect)),
  );

const unary = (name: string, opcode: string, formats: readonly Format[], effect: OnLane): readonly Row[] =>
  formats.map((f) =>
    clause(`${name}${f.suffix} xmm, ${f.source}`, `${f.prefix} 0F ${opcode} /r`, (x) => map(x, f, effect)),
  );

const arithmetic =
  (name: FloatBinaryName): OnLanes =>
  (x, a, b) =>
    x.e.float(name, a, b);

/** The source unless the destination is strictly less (greater): so also where either is a NaN, and for zeros of either sign. */
const min: OnLanes = (x, a, b) => x.e.select(x.e.floatCompare('flt', a, b), a, b);
const max: OnLanes = (x, a, b) => x.e.select(x.e.floatCompare('flt', b, a), a, b);

const SIGN = 0x80000000;
const EXPONENT = 0x7f800000;

/**
 * RCP and RSQRT. The manual asks for a relative error of at most 1.5 * 2^-12 and leaves the bits open; these are the bits that Intel's
 * processors give: `exact`, in binary64, of the operand cut to `indexBits` of fraction plus half a step, then rounded to 12 bits
 * of fraction. Denormal operands count as zeros, denormal results are zeros.
 */
const estimate = (x: Exec, operand: Value, indexBits: number, exact: (value: Value) => Value): Value => {
  const { e } = x;
  const mask = (value: Value, bits: number): Value => e.and(value, e.const('i32', bits));
  const step = 1 << (23 - indexBits);
  const exponent = mask(operand, EXPONENT);
  const middle = e.or(mask(operand, -step), e.const('i32', step >> 1));
  const cut = e.select(x.isZero(exponent), mask(operand, SIGN), middle);
  const half = e.const('i64', 1n << 39n);
  const rounded = e.and(e.add(exact(e.widen(cut)), half), e.const('i64', -(1n << 40n)));
  const result = e.narrow(rounded);
  const flushed = e.select(x.isZero(mask(result, EXPONENT)), mask(result, SIGN), result);
  // Infinities and NaNs have no steps, and NaNs keep their payload.
  const special = e.eq(exponent, e.const('i32', EXPONENT));
  return e.select(special, e.narrow(exact(e.widen(operand))), flushed);
};

const ONE = 0x3ff0000000000000n;
const rcp: OnLane = (x, b) => estimate(x, b, 11, (v) => x.e.float('fdiv', x.e.const('i64', ONE), v));
const rsqrt: OnLane = (x, b) => estimate(x, b, 10, (v) => x.e.float('fdiv', x.e.const('i64', ONE), x.e.fsqrt(v)));

/** The predicates of CMPccPS and the like, by the low two bits of the immediate; bit 2 negates (SDM vol. 2, CMPPD). */
const PREDICATES = ['feq', 'flt', 'fle', 'funord'] as const;

/** A lane of ones where the predicate holds. Of the immediate only three bits count without VEX. */
const compare: OnLanes = (x, a, b) => {
  const { e } = x;
  const imm = immediateByte(x);
  const holds = e.floatCompare(PREDICATES[imm & 3]!, a, b);
  // 1 becomes -1 and 0 stays; of the negation 0 becomes -1.
  const ones = (imm & 4) === 0 ? e.sub(e.const('i32', 0), holds) : e.sub(holds, e.const('i32', 1));
  return a.type === 'i64' ? e.extendS(ones) : ones;
};

/** COMI and UCOMI differ in the exceptions that they raise, of which there are none here. */
const comi = (x: Exec, bits: LaneBits): void => {
  const { e } = x;
  const b = x.read(1);
  const a = lane(x, x.read(0), bits, 0);
  const unordered = e.floatCompare('funord', a, b);
  const zero = e.const('i32', 0);
  setFlags(x, {
    zf: e.or(unordered, e.floatCompare('feq', a, b)),
    pf: unordered,
    cf: e.or(unordered, e.floatCompare('flt', a, b)),
    of: zero,
    sf: zero,
    af: zero,
  });
};

/** All 128 bits, whatever the format says. */
const logic = (name: string, opcode: string, effect: OnLanes): readonly Row[] =>
  [PS, PD].map((f) =>
    clause(`${name}${f.suffix} xmm, ${f.source}`, `${f.prefix} 0F ${opcode} /r`, (x) =>
      x.write(0, effect(x, x.read(0), x.read(1))),
    ),
  );

const bitwise =
  (operation: VectorName): OnLanes =>
  (x, a, b) =>
    x.e.vector(operation, [a, b]);

const unpack =
  (high: boolean, bytes: 4 | 8) =>
  (x: Exec): void =>
    x.write(0, interleave(x, x.read(0), x.read(1), bytes, high));

/** Two lanes of the destination, then two of the source. */
const shufps = (x: Exec): void => {
  const [a, b, c, d] = selectors(immediateByte(x));
  x.write(0, shuffle(x, x.read(0), x.read(1), 4, [a, b, c + 4, d + 4]));
};

const shufpd = (x: Exec): void => {
  const imm = immediateByte(x);
  x.write(0, shuffle(x, x.read(0), x.read(1), 8, [imm & 1, 2 + ((imm >> 1) & 1)]));
};

export const SSE_FLOAT = family('sse-float', () => [
  ...binary('ADD', '58', ALL, arithmetic('fadd')),
  ...binary('SUB', '5C', ALL, arithmetic('fsub')),
  ...binary('MUL', '59', ALL, arithmetic('fmul')),
  ...binary('DIV', '5E', ALL, arithmetic('fdiv')),
  ...unary('SQRT', '51', ALL, (x, b) => x.e.fsqrt(b)),
  ...unary('RCP', '53', [PS, SS], rcp),
  ...unary('RSQRT', '52', [PS, SS], rsqrt),
  ...binary('MIN', '5D', ALL, min),
  ...binary('MAX', '5F', ALL, max),

  ...ALL.map((f) =>
    clause(`CMP${f.suffix} xmm, ${f.source}, imm8`, `${f.prefix} 0F C2 /r ib`, (x) => combine(x, f, compare)),
  ),
  clause('COMISS xmm, xmm/m32', 'NP 0F 2F /r', (x) => comi(x, 32)),
  clause('COMISD xmm, xmm/m64', '66 0F 2F /r', (x) => comi(x, 64)),
  clause('UCOMISS xmm, xmm/m32', 'NP 0F 2E /r', (x) => comi(x, 32)),
  clause('UCOMISD xmm, xmm/m64', '66 0F 2E /r', (x) => comi(x, 64)),

  ...logic('AND', '54', bitwise('v128.and')),
  ...logic('ANDN', '55', (x, a, b) => x.e.vector('v128.andnot', [b, a])),
  ...logic('OR', '56', bitwise('v128.or')),
  ...logic('XOR', '57', bitwise('v128.xor')),

  clause('SHUFPS xmm, xmm/m128, imm8', 'NP 0F C6 /r ib', shufps),
  clause('SHUFPD xmm, xmm/m128, imm8', '66 0F C6 /r ib', shufpd),
  clause('UNPCKLPS xmm, xmm/m128', 'NP 0F 14 /r', unpack(false, 4)),
  clause('UNPCKLPD xmm, xmm/m128', '66 0F 14 /r', unpack(false, 8)),
  clause('UNPCKHPS xmm, xmm/m128', 'NP 0F 15 /r', unpack(true, 4)),
  clause('UNPCKHPD xmm, xmm/m128', '66 0F 15 /r', unpack(true, 8)),
]);
