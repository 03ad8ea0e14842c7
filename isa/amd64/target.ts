// linux/amd64: 64-bit user mode at the x86-64-v1 baseline (SSE2, nothing later).

import type { Variant } from '../dsl/variant.ts';

export const AMD64: Variant = { goarch: 'amd64', width: 64, bigEndian: false, delaySlot: false, nan: 'x86' };

/** Bytes of an instruction: one of more is a general-protection fault (SDM vol. 2, 2.3.11). */
export const MAX_LENGTH = 15;
