// linux/mipsle: MIPS32 release 2, little-endian, o32 ABI.

import type { Variant } from '../../dsl/variant.ts';

export const MIPSLE: Variant = { goarch: 'mipsle', width: 32, bigEndian: false, delaySlot: true, nan: 'mips-legacy' };
