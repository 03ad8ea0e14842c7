// linux/mips64: MIPS64 release 2, big-endian, n64 ABI.

import type { Variant } from '../../dsl/variant.ts';

export const MIPS64: Variant = { goarch: 'mips64', width: 64, bigEndian: true, delaySlot: true, nan: 'mips-legacy' };
