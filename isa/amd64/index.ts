// The amd64 description: 64-bit user mode at the x86-64-v1 baseline (SSE2, nothing later).

import type { Isa } from '../dsl/isa.ts';
import { lazy } from '../dsl/lazy.ts';
import { amd64Clauses, amd64Decoder } from './families.ts';
import { REGISTERS } from './regs.ts';
import { AMD64, MAX_LENGTH } from './target.ts';

/** Builds the description. Its decode table belongs to this instance, and is built when the first instruction is decoded. */
export const amd64Isa = (): Isa => {
  const decoder = lazy(() => amd64Decoder());
  return {
    variant: AMD64,
    registers: REGISTERS,
    maxLength: MAX_LENGTH,
    quantum: 1,
    get clauses() {
      return amd64Clauses();
    },
    decode: (bytes, offset) => decoder()(bytes, offset),
  };
};
