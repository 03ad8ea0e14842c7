// An access in one number, for the way past a TLB's miss: how compiled code tells the host what it wants.

import type { Uop } from '../uop/ops.ts';

type Access = Pick<Extract<Uop, { op: 'load' }>, 'bytes' | 'align'>;

const ALIGN_CODE = { any: 0, natural: 1, strict: 2 } as const;
const ALIGNMENTS = ['any', 'natural', 'strict'] as const;

export const PACKED_ALIGN_BIT = 5;
export const PACKED_EXIT_BIT = 7;

/** Bytes, alignment, and the exit to take where the evaluator is to execute it. */
export const packAccess = (access: Access, exit: number): number =>
  access.bytes | (ALIGN_CODE[access.align] << PACKED_ALIGN_BIT) | (exit << PACKED_EXIT_BIT);

export const unpackAccess = (packed: number): Access => ({
  bytes: (packed & ((1 << PACKED_ALIGN_BIT) - 1)) as Access['bytes'],
  align: ALIGNMENTS[(packed >>> PACKED_ALIGN_BIT) & ((1 << (PACKED_EXIT_BIT - PACKED_ALIGN_BIT)) - 1)]!,
});
