// linux/mips64le: MIPS64 release 2, little-endian, n64 ABI.

import type { Variant } from '../../dsl/variant.ts';

export const MIPS64LE: Variant = {
  goarch: 'mips64le',
  width: 64,
  bigEndian: false,
  delaySlot: true,
  nan: 'mips-legacy',
};
