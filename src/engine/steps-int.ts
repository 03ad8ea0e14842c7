// Integer operations of the evaluator. 64-bit values are pairs of words; division and high products go through bigint.

import type { BinaryName, CompareName, UnaryName } from '../../isa/dsl/effects.ts';
import type { Host, Step } from './steps.ts';

type Build2 = (h: Host, d: number, a: number) => Step;
type Build3 = (h: Host, d: number, a: number, b: number) => Step;

/** High word of the unsigned product of two words. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a0 * b1 + a1 * b0 + ((a0 * b0) >>> 16);
  return (a1 * b1 + Math.floor(middle / 65536)) | 0;
}

const big =
  (f: (a: bigint, b: bigint) => bigint): Build3 =>
  (h, d, a, b) =>
  () => {
    h.i64[d >> 1] = f(h.i64[a >> 1]!, h.i64[b >> 1]!);
  };

const bigU =
  (f: (a: bigint, b: bigint) => bigint): Build3 =>
  (h, d, a, b) =>
  () => {
    h.u64[d >> 1] = f(h.u64[a >> 1]!, h.u64[b >> 1]!);
  };

const word =
  (f: (a: number, b: number) => number): Build3 =>
  ({ i32 }, d, a, b) =>
  () => {
    i32[d] = f(i32[a]!, i32[b]!);
  };

const BINARY_32: Readonly<Record<BinaryName, Build3>> = {
  add:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = i32[a]! + i32[b]!;
    },
  sub:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = i32[a]! - i32[b]!;
    },
  mul:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = Math.imul(i32[a]!, i32[b]!);
    },
  and:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = i32[a]! & i32[b]!;
    },
  or:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = i32[a]! | i32[b]!;
    },
  xor:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = i32[a]! ^ i32[b]!;
    },
  shl:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = i32[a]! << i32[b]!;
    },
  shr:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = i32[a]! >>> i32[b]!;
    },
  sar:
    ({ i32 }, d, a, b) =>
    () => {
      i32[d] = i32[a]! >> i32[b]!;
    },
  rotl: word((a, n) => (a << n) | (a >>> (-n & 31))),
  rotr: word((a, n) => (a >>> n) | (a << (-n & 31))),
  divu: word((a, b) => (b === 0 ? 0 : Math.floor((a >>> 0) / (b >>> 0)))),
  divs: word((a, b) => (b === 0 ? 0 : Math.trunc(a / b))),
  remu: word((a, b) => (b === 0 ? 0 : (a >>> 0) % (b >>> 0))),
  rems: word((a, b) => (b === 0 ? 0 : a % b)),
  mulhu: word(mulHigh),
  mulhs: word((a, b) => (mulHigh(a, b) - (a < 0 ? b : 0) - (b < 0 ? a : 0)) | 0),
};

const BINARY_64: Readonly<Record<BinaryName, Build3>> = {
  add:
    ({ i32 }, d, a, b) =>
    () => {
      const al = i32[a]!;
      const low = (al + i32[b]!) | 0;
      const high = i32[a + 1]! + i32[b + 1]! + (low >>> 0 < al >>> 0 ? 1 : 0);
      i32[d] = low;
      i32[d + 1] = high;
    },
  sub:
    ({ i32 }, d, a, b) =>
    () => {
      const al = i32[a]!;
      const bl = i32[b]!;
      const high = i32[a + 1]! - i32[b + 1]! - (al >>> 0 < bl >>> 0 ? 1 : 0);
      i32[d] = al - bl;
      i32[d + 1] = high;
    },
  mul:
    ({ i32 }, d, a, b) =>
    () => {
      const al = i32[a]!;
      const bl = i32[b]!;
      const high = mulHigh(al, bl) + Math.imul(al, i32[b + 1]!) + Math.imul(i32[a + 1]!, bl);
      i32[d] = Math.imul(al, bl);
      i32[d + 1] = high;
    },
  and:
    ({ i32 }, d, a, b) =>
    () => {
      const high = i32[a + 1]! & i32[b + 1]!;
      i32[d] = i32[a]! & i32[b]!;
      i32[d + 1] = high;
    },
  or:
    ({ i32 }, d, a, b) =>
    () => {
      const high = i32[a + 1]! | i32[b + 1]!;
      i32[d] = i32[a]! | i32[b]!;
      i32[d + 1] = high;
    },
  xor:
    ({ i32 }, d, a, b) =>
    () => {
      const high = i32[a + 1]! ^ i32[b + 1]!;
      i32[d] = i32[a]! ^ i32[b]!;
      i32[d + 1] = high;
    },
  shl:
    ({ i32 }, d, a, b) =>
    () => {
      const n = i32[b]! & 63;
      const low = i32[a]!;
      const high = i32[a + 1]!;
      i32[d] = n < 32 ? low << n : 0;
      i32[d + 1] = n === 0 ? high : n < 32 ? (high << n) | (low >>> (32 - n)) : low << (n - 32);
    },
  shr:
    ({ i32 }, d, a, b) =>
    () => {
      const n = i32[b]! & 63;
      const low = i32[a]!;
      const high = i32[a + 1]!;
      i32[d] = n === 0 ? low : n < 32 ? (low >>> n) | (high << (32 - n)) : high >>> (n - 32);
      i32[d + 1] = n < 32 ? high >>> n : 0;
    },
  sar:
    ({ i32 }, d, a, b) =>
    () => {
      const n = i32[b]! & 63;
      const low = i32[a]!;
      const high = i32[a + 1]!;
      i32[d] = n === 0 ? low : n < 32 ? (low >>> n) | (high << (32 - n)) : high >> (n - 32);
      i32[d + 1] = n < 32 ? high >> n : high >> 31;
    },
  rotl: bigU((a, n) => (a << (n & 63n)) | (a >> (-n & 63n))),
  rotr: bigU((a, n) => (a >> (n & 63n)) | (a << (-n & 63n))),
  divu: bigU((a, b) => (b === 0n ? 0n : a / b)),
  divs: big((a, b) => (b === 0n ? 0n : a / b)),
  remu: bigU((a, b) => (b === 0n ? 0n : a % b)),
  rems: big((a, b) => (b === 0n ? 0n : a % b)),
  mulhu: bigU((a, b) => (a * b) >> 64n),
  mulhs: big((a, b) => (a * b) >> 64n),
};

const test32 =
  (f: (a: number, b: number) => boolean): Build3 =>
  ({ i32 }, d, a, b) =>
  () => {
    i32[d] = f(i32[a]!, i32[b]!) ? 1 : 0;
  };

const COMPARE_32: Readonly<Record<CompareName, Build3>> = {
  eq: test32((a, b) => a === b),
  ne: test32((a, b) => a !== b),
  ltu: test32((a, b) => a >>> 0 < b >>> 0),
  lts: test32((a, b) => a < b),
  leu: test32((a, b) => a >>> 0 <= b >>> 0),
  les: test32((a, b) => a <= b),
};

/** By high words and, where these are equal, by low words. */
const test64 =
  (highs: (a: number, b: number) => boolean, lows: (a: number, b: number) => boolean): Build3 =>
  ({ i32 }, d, a, b) =>
  () => {
    const ah = i32[a + 1]!;
    const bh = i32[b + 1]!;
    i32[d] = (ah === bh ? lows(i32[a]! >>> 0, i32[b]! >>> 0) : highs(ah, bh)) ? 1 : 0;
  };

const COMPARE_64: Readonly<Record<CompareName, Build3>> = {
  eq: test64(
    () => false,
    (a, b) => a === b,
  ),
  ne: test64(
    () => true,
    (a, b) => a !== b,
  ),
  ltu: test64(
    (a, b) => a >>> 0 < b >>> 0,
    (a, b) => a < b,
  ),
  lts: test64(
    (a, b) => a < b,
    (a, b) => a < b,
  ),
  leu: test64(
    (a, b) => a >>> 0 < b >>> 0,
    (a, b) => a <= b,
  ),
  les: test64(
    (a, b) => a < b,
    (a, b) => a <= b,
  ),
};

function popcnt(value: number): number {
  let v = value - ((value >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

const ctz = (value: number): number => (value === 0 ? 32 : 31 - Math.clz32(value & -value));
const bswap = (v: number): number => (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);

const unary32 =
  (f: (a: number) => number): Build2 =>
  ({ i32 }, d, a) =>
  () => {
    i32[d] = f(i32[a]!);
  };

/** A 64-bit result from both words; the high word of the result is `high`. */
const unary64 =
  (low: (low: number, high: number) => number, high: (low: number, high: number) => number): Build2 =>
  ({ i32 }, d, a) =>
  () => {
    const l = i32[a]!;
    const h = i32[a + 1]!;
    i32[d] = low(l, h);
    i32[d + 1] = high(l, h);
  };

const UNARY_32: Readonly<Record<UnaryName, Build2>> = {
  clz: unary32(Math.clz32),
  ctz: unary32(ctz),
  popcnt: unary32(popcnt),
  sext8: unary32((a) => (a << 24) >> 24),
  sext16: unary32((a) => (a << 16) >> 16),
  bswap: unary32(bswap),
};

const zero = (): number => 0;
const UNARY_64: Readonly<Record<UnaryName, Build2>> = {
  clz: unary64((l, h) => (h === 0 ? 32 + Math.clz32(l) : Math.clz32(h)), zero),
  ctz: unary64((l, h) => (l === 0 ? 32 + ctz(h) : ctz(l)), zero),
  popcnt: unary64((l, h) => popcnt(l) + popcnt(h), zero),
  sext8: unary64(
    (l) => (l << 24) >> 24,
    (l) => (l << 24) >> 31,
  ),
  sext16: unary64(
    (l) => (l << 16) >> 16,
    (l) => (l << 16) >> 31,
  ),
  bswap: unary64(
    (_, h) => bswap(h),
    (l) => bswap(l),
  ),
};

export const binaryStep = (h: Host, name: BinaryName, type: 'i32' | 'i64', d: number, a: number, b: number): Step =>
  (type === 'i32' ? BINARY_32 : BINARY_64)[name](h, d, a, b);

export const compareStep = (h: Host, name: CompareName, type: 'i32' | 'i64', d: number, a: number, b: number): Step =>
  (type === 'i32' ? COMPARE_32 : COMPARE_64)[name](h, d, a, b);

export const unaryStep = (h: Host, name: UnaryName, type: 'i32' | 'i64', d: number, a: number): Step =>
  (type === 'i32' ? UNARY_32 : UNARY_64)[name](h, d, a);

export const wrapStep: Build2 =
  ({ i32 }, d, a) =>
  () => {
    i32[d] = i32[a]!;
  };

export const extendSStep: Build2 =
  ({ i32 }, d, a) =>
  () => {
    const low = i32[a]!;
    i32[d] = low;
    i32[d + 1] = low >> 31;
  };

export const extendUStep: Build2 =
  ({ i32 }, d, a) =>
  () => {
    i32[d] = i32[a]!;
    i32[d + 1] = 0;
  };

/** Quotient or remainder of hi:lo by a divisor of 64 bits. */
export const wideStep =
  ({ u64 }: Host, op: 'divu128' | 'remu128', d: number, hi: number, lo: number, divisor: number): Step =>
  () => {
    const by = u64[divisor >> 1]!;
    const dividend = (u64[hi >> 1]! << 64n) | u64[lo >> 1]!;
    u64[d >> 1] = by === 0n ? 0n : op === 'divu128' ? dividend / by : dividend % by;
  };
