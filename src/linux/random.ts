// Entropy for the guest: AT_RANDOM, getrandom, /dev/urandom. xoshiro128** (Blackman and Vigna), seeded by splitmix32; the same seed, the same bytes.

import type { Part } from './part.ts';

type Words = readonly [number, number, number, number];

const rotl = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

export class Random implements Part<Words> {
  #s: [number, number, number, number];

  constructor(seed: number) {
    let z = seed | 0;
    const next = (): number => {
      z = (z + 0x9e3779b9) | 0;
      let t = z ^ (z >>> 16);
      t = Math.imul(t, 0x21f0aaad);
      t ^= t >>> 15;
      t = Math.imul(t, 0x735a2d97);
      return t ^ (t >>> 15);
    };
    this.#s = [next(), next(), next(), next()];
  }

  /** The next 32 bits, unsigned. */
  u32(): number {
    const s = this.#s;
    const result = Math.imul(rotl(Math.imul(s[1], 5), 7), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11);
    return result;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.u32();
      for (let j = 0; j < 4 && i + j < length; j++) out[i + j] = word >>> (8 * j);
    }
    return out;
  }

  save(): Words {
    return [...this.#s];
  }

  restore(saved: Words): void {
    this.#s = [...saved];
  }
}
