// The amd64 description: 64-bit user mode at the x86-64-v1 baseline (SSE2, nothing later).

import type { Isa } from '../dsl/isa.ts';
import { lazy } from '../dsl/lazy.ts';
import type { Variant } from '../dsl/variant.ts';
import { ARITH } from './arith.ts';
import { ATOMIC } from './atomic.ts';
import { BITS } from './bits.ts';
import { BRANCH } from './branch.ts';
import type { Clause } from './clause.ts';
import { buildTable, decode, MAX_LENGTH } from './decode.ts';
import { LOGIC } from './logic.ts';
import { MOV } from './mov.ts';
import { MULDIV } from './muldiv.ts';
import { REGISTERS } from './regs.ts';
import { SHIFT } from './shift.ts';
import { SSE_CONVERT } from './sse-convert.ts';
import { SSE_FLOAT } from './sse-float.ts';
import { SSE_INT } from './sse-int.ts';
import { SSE_MOVE } from './sse-move.ts';
import { STACK } from './stack.ts';
import { STRING } from './string.ts';
import { SYSTEM } from './system.ts';

export const AMD64: Variant = { goarch: 'amd64', width: 64, bigEndian: false, delaySlot: false, nan: 'x86' };

const FAMILIES: readonly (() => readonly Clause[])[] = [
  MOV,
  STACK,
  ARITH,
  LOGIC,
  SHIFT,
  MULDIV,
  BITS,
  ATOMIC,
  STRING,
  BRANCH,
  SYSTEM,
  SSE_MOVE,
  SSE_INT,
  SSE_FLOAT,
  SSE_CONVERT,
];

/** Every clause, family by family. */
export const amd64Clauses = lazy((): readonly Clause[] => FAMILIES.flatMap((rows) => rows()));

/**
 * Builds the description. Its decode table belongs to this instance, and is built when the first instruction is decoded: a run that finds
 * all of its code compiled decodes nothing.
 */
export const amd64Isa = (): Isa => {
  const table = lazy(() => buildTable(amd64Clauses()));
  return {
    variant: AMD64,
    registers: REGISTERS,
    maxLength: MAX_LENGTH,
    quantum: 1,
    get clauses() {
      return amd64Clauses();
    },
    decode: (bytes, offset) => decode(table(), bytes, offset),
  };
};
