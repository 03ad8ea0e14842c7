// From the bits in an argument register to what a handler computes with.

import type { ArgType } from '../call.ts';
import type { WordSize } from './layout.ts';

/** Whether a type takes 64 bits on every ABI. */
export const isPair = (type: ArgType): boolean => type === 'i64' || type === 'u64';

/**
 * The exact bits of a call's arguments, unsigned: 64 of them on 64-bit ABIs and for pairs, else 32. Kept in halves, because nearly all of
 * them are only ever wanted as numbers.
 */
export class ArgumentBits {
  readonly #low: number[] = [];
  readonly #high: number[] = [];

  /** Adds an argument. */
  push(low: number, high: number): void {
    this.#low.push(low);
    this.#high.push(high);
  }

  at(i: number): bigint {
    return (BigInt(this.#high[i]!) << 32n) | BigInt(this.#low[i]!);
  }

  /** The values of the arguments by their types (see ArgType). */
  values(types: readonly ArgType[], word: WordSize): number[] {
    const values: number[] = [];
    // No closure, here where every call comes by.
    for (let i = 0; i < types.length; i++) values.push(convert(types[i]!, this.#low[i]!, this.#high[i]!, word));
    return values;
  }
}

function convert(type: ArgType, low: number, high: number, word: WordSize): number {
  switch (type) {
    case 'int':
    case 'fd':
    case 'dirfd':
    case 'signal':
    case 'clock':
      return low | 0;
    case 'uint':
    case 'flags':
    case 'hex':
    case 'mode':
      return low;
    case 'long':
      return word === 4 ? low | 0 : (high | 0) * 2 ** 32 + low;
    case 'i64':
      return (high | 0) * 2 ** 32 + low;
    default:
      return high * 2 ** 32 + low;
  }
}
