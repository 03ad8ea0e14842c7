// linux/mips: MIPS32 release 2, big-endian, o32 ABI.

import type { Variant } from '../../dsl/variant.ts';

export const MIPS: Variant = { goarch: 'mips', width: 32, bigEndian: true, delaySlot: true, nan: 'mips-legacy' };
