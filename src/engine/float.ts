// Floating-point rules that IEEE 754 leaves to the architecture: which NaN an operation gives.

import type { NanRule } from '../../isa/dsl/variant.ts';

/** NaN handling for one format, on bits. `quiet` is the top bit of the fraction. */
interface Format {
  readonly exponent: bigint;
  readonly fraction: bigint;
  readonly quiet: bigint;
}

const FORMATS: Readonly<Record<32 | 64, Format>> = {
  32: { exponent: 0x7f800000n, fraction: 0x007fffffn, quiet: 0x00400000n },
  64: { exponent: 0x7ff0000000000000n, fraction: 0x000fffffffffffffn, quiet: 0x0008000000000000n },
};

const isNan = (f: Format, bits: bigint): boolean => (bits & f.exponent) === f.exponent && (bits & f.fraction) !== 0n;

/** The NaN that an operation without NaN operands gives (0/0, ∞−∞, √−1). */
export function defaultNan(rule: NanRule, width: 32 | 64): bigint {
  const f = FORMATS[width];
  if (rule === 'x86') return (width === 32 ? 1n << 31n : 1n << 63n) | f.exponent | f.quiet;
  return f.exponent | (f.fraction & ~f.quiet);
}

/**
 * The NaN that results when an operation on these operand bits gives a NaN.
 * x86: a signalling NaN among the operands is made quiet, and the first operand that is a NaN is taken. MIPS legacy: a signalling
 * NaN (top fraction bit set) gives the default NaN, else the first quiet one is taken.
 */
export function propagateNan(rule: NanRule, width: 32 | 64, operands: readonly bigint[]): bigint {
  const f = FORMATS[width];
  const nans = operands.filter((bits) => isNan(f, bits));
  const first = nans[0];
  if (first === undefined) return defaultNan(rule, width);
  if (rule === 'x86') return first | f.quiet;
  return nans.some((bits) => (bits & f.quiet) !== 0n) ? defaultNan(rule, width) : first;
}

/** A NaN carried from one format to the other: sign and leading fraction bits are kept, and the result is quiet. */
export function convertNan(rule: NanRule, from: 32 | 64, bits: bigint): bigint {
  const to = from === 32 ? 64 : 32;
  const source = FORMATS[from];
  const target = FORMATS[to];
  if (rule === 'mips-legacy' && (bits & source.quiet) !== 0n) return defaultNan(rule, to);
  const sign = from === 32 ? (bits >> 31n) << 63n : (bits >> 63n) << 31n;
  const fraction = from === 32 ? (bits & source.fraction) << 29n : (bits & source.fraction) >> 29n;
  const nan = sign | target.exponent | fraction;
  if (rule === 'x86') return nan | target.quiet;
  return fraction === 0n ? defaultNan(rule, to) : nan;
}
