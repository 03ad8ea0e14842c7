// From the bits in an argument register to what a handler computes with.

import type { ArgType } from '../call.ts';
import type { WordSize } from './layout.ts';

/** Whether a type takes 64 bits on every ABI. */
export const isPair = (type: ArgType): boolean => type === 'i64' || type === 'u64';

/** The value of an argument by its type (see ArgType). `raw` holds the unsigned bits of the register or pair. */
export function convert(type: ArgType, raw: bigint, word: WordSize): number {
  switch (type) {
    case 'int':
    case 'fd':
    case 'dirfd':
    case 'signal':
    case 'clock':
      return Number(BigInt.asIntN(32, raw));
    case 'uint':
    case 'flags':
    case 'hex':
    case 'mode':
      return Number(BigInt.asUintN(32, raw));
    case 'long':
      return Number(BigInt.asIntN(word * 8, raw));
    case 'i64':
      return Number(BigInt.asIntN(64, raw));
    default:
      return Number(raw);
  }
}
