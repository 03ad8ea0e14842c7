// A small seeded generator: the same seed gives the same tests everywhere.

/** Mulberry32, and values that are likely to go wrong. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** An unsigned 32-bit integer. */
  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** 0 … n-1. */
  below(n: number): number {
    return this.u32() % n;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** An unsigned 64-bit integer, often at an edge of some format. */
  value(): bigint {
    switch (this.below(6)) {
      case 0:
        return this.pick(EDGES);
      case 1:
        return BigInt(this.below(256));
      case 2:
        return BigInt.asUintN(64, -BigInt(this.below(256)));
      case 3:
        return (this.pick(EDGES) & 0xffffffffn) | (BigInt(this.u32()) << 32n);
      case 4:
        return BigInt.asUintN(64, this.pick(EDGES) + BigInt(this.below(5)) - 2n);
      default:
        return this.u64();
    }
  }
}

const bits64 = (x: number): bigint => new BigUint64Array(new Float64Array([x]).buffer)[0]!;
const bits32 = (x: number): bigint => BigInt(new Uint32Array(new Float32Array([x]).buffer)[0]!);

/** Signs, carries, halves; floats of both formats: zeros, infinities, NaNs of both kinds, subnormals, the ends of integer ranges. */
const EDGES: readonly bigint[] = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0xffffffffffffffffn,
  0xffffffff00000000n,
  0xffffffff80000000n,
  0x7fc00000n,
  0x7f800001n,
  0x7fbfffffn,
  0xffc00000n,
  0x7ff8000000000000n,
  0x7ff0000000000001n,
  0x7ff7ffffffffffffn,
  0xfff8000000000000n,
  ...[0, -0, 1, -1, 0.5, 1.5, 2.5, -2.5, 1e-310, 5e-324, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(
    bits64,
  ),
  ...[2 ** 31, -(2 ** 31), 2 ** 63, -(2 ** 63), 2 ** 53, 2147483647.5, -2147483648.5, 1e300].map(bits64),
  ...[0, -0, 1, -1, 0.5, 1.5, 2.5, 1e-40, Number.POSITIVE_INFINITY, 2 ** 31, -(2 ** 31), 2 ** 63, 1e30].map(bits32),
];
