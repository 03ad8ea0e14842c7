// Floating-point operations of the evaluator. The host's arithmetic is IEEE 754's; NaNs follow the variant's rule.

import type { FloatBinaryName, FloatCompareName, Rounding } from '../../isa/dsl/effects.ts';
import { convertNan, propagateNan } from './float.ts';
import type { Host, Step } from './steps.ts';

type Int = 'i32' | 'i64';

const ARITHMETIC: Readonly<Record<FloatBinaryName, (a: number, b: number) => number>> = {
  fadd: (a, b) => a + b,
  fsub: (a, b) => a - b,
  fmul: (a, b) => a * b,
  fdiv: (a, b) => a / b,
};

/** Binary32 results are rounded twice, first to binary64; for these operations that gives what rounding once does (Figueroa 1995). */
export function floatStep(h: Host, name: FloatBinaryName, type: Int, d: number, a: number, b: number): Step {
  const f = ARITHMETIC[name];
  const { f32, f64, u32, u64 } = h;
  const rule = h.variant.nan;
  if (type === 'i32') {
    return () => {
      const r = f(f32[a]!, f32[b]!);
      if (Number.isNaN(r)) u32[d] = Number(propagateNan(rule, 32, [BigInt(u32[a]!), BigInt(u32[b]!)]));
      else f32[d] = r;
    };
  }
  return () => {
    const r = f(f64[a >> 1]!, f64[b >> 1]!);
    if (Number.isNaN(r)) u64[d >> 1] = propagateNan(rule, 64, [u64[a >> 1]!, u64[b >> 1]!]);
    else f64[d >> 1] = r;
  };
}

export function sqrtStep(h: Host, type: Int, d: number, a: number): Step {
  const { f32, f64, u32, u64 } = h;
  const rule = h.variant.nan;
  if (type === 'i32') {
    return () => {
      const r = Math.sqrt(f32[a]!);
      if (Number.isNaN(r)) u32[d] = Number(propagateNan(rule, 32, [BigInt(u32[a]!)]));
      else f32[d] = r;
    };
  }
  return () => {
    const r = Math.sqrt(f64[a >> 1]!);
    if (Number.isNaN(r)) u64[d >> 1] = propagateNan(rule, 64, [u64[a >> 1]!]);
    else f64[d >> 1] = r;
  };
}

const COMPARISONS: Readonly<Record<FloatCompareName, (a: number, b: number) => boolean>> = {
  feq: (a, b) => a === b,
  flt: (a, b) => a < b,
  fle: (a, b) => a <= b,
  funord: (a, b) => Number.isNaN(a) || Number.isNaN(b),
};

export function floatCompareStep(h: Host, name: FloatCompareName, type: Int, d: number, a: number, b: number): Step {
  const f = COMPARISONS[name];
  const { f32, f64, i32 } = h;
  if (type === 'i32') {
    return () => {
      i32[d] = f(f32[a]!, f32[b]!) ? 1 : 0;
    };
  }
  return () => {
    i32[d] = f(f64[a >> 1]!, f64[b >> 1]!) ? 1 : 0;
  };
}

export function widenStep(h: Host, d: number, a: number): Step {
  const { f32, f64, u32, u64 } = h;
  const rule = h.variant.nan;
  return () => {
    const value = f32[a]!;
    if (Number.isNaN(value)) u64[d >> 1] = convertNan(rule, 32, BigInt(u32[a]!));
    else f64[d >> 1] = value;
  };
}

export function narrowStep(h: Host, d: number, a: number): Step {
  const { f32, f64, u32, u64 } = h;
  const rule = h.variant.nan;
  return () => {
    const value = f64[a >> 1]!;
    if (Number.isNaN(value)) u32[d] = Number(convertNan(rule, 64, u64[a >> 1]!));
    else f32[d] = value;
  };
}

/** An i64 to binary32 in one rounding: what binary64 cannot hold is cut to 53 bits with a sticky last bit. */
function toFloat32(value: bigint): number {
  if (value === BigInt.asIntN(53, value)) return Math.fround(Number(value));
  const cut = value >> 11n;
  const sticky = value === cut << 11n ? 0n : 1n;
  return Math.fround(Number(cut | sticky)) * 2048;
}

export function intToFloatStep(h: Host, from: Int, to: Int, d: number, a: number): Step {
  const { f32, f64, i32, i64 } = h;
  if (from === 'i32') {
    if (to === 'i32') {
      return () => {
        f32[d] = i32[a]!;
      };
    }
    return () => {
      f64[d >> 1] = i32[a]!;
    };
  }
  if (to === 'i32') {
    return () => {
      f32[d] = toFloat32(i64[a >> 1]!);
    };
  }
  return () => {
    f64[d >> 1] = Number(i64[a >> 1]!);
  };
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

const ROUND: Readonly<Record<Rounding, (value: number) => number>> = {
  nearest: roundEven,
  zero: Math.trunc,
  ceil: Math.ceil,
  floor: Math.floor,
};

export function floatToIntStep(
  h: Host,
  from: Int,
  to: Int,
  rounding: Rounding,
  invalid: bigint,
  d: number,
  a: number,
): Step {
  const { f32, f64, i32, i64 } = h;
  const round = ROUND[rounding];
  const source = from === 'i32' ? (): number => f32[a]! : (): number => f64[a >> 1]!;
  if (to === 'i32') {
    const bad = Number(BigInt.asIntN(32, invalid));
    return () => {
      const r = round(source());
      i32[d] = r >= -(2 ** 31) && r < 2 ** 31 ? r : bad;
    };
  }
  const bad = BigInt.asIntN(64, invalid);
  return () => {
    const r = round(source());
    i64[d >> 1] = r >= -(2 ** 63) && r < 2 ** 63 ? BigInt(r) : bad;
  };
}
