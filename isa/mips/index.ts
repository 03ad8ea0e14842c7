// One MIPS description, as many targets as there are variants.

import type { ClauseInfo, Isa } from '../dsl/isa.ts';
import { lazy } from '../dsl/lazy.ts';
import type { Variant } from '../dsl/variant.ts';
import { mipsClauses, mipsDecoder } from './families.ts';
import type { Insn } from './insn.ts';
import type { Pattern } from './pattern.ts';
import { mipsRegisters } from './regs.ts';

/** A clause of some target. `matcher` lets tests build encodings. */
export interface MipsClause extends ClauseInfo {
  readonly matcher: Pattern;
  readonly insn: Insn;
}

/** The instruction set of one MIPS target. */
export interface MipsIsa extends Isa {
  readonly clauses: readonly MipsClause[];
}

/** Bytes of an instruction. */
export const LENGTH = 4;

/** Builds the instruction set of a variant: MIPS32 or MIPS64 release 2, user mode, with FPU. */
export function mipsIsa(variant: Variant): MipsIsa {
  const registers = mipsRegisters(variant);
  const clauses = lazy(() => mipsClauses(variant));
  const decoder = lazy(() => mipsDecoder(variant, registers, clauses()));
  return {
    variant,
    registers: registers.file,
    maxLength: LENGTH,
    quantum: LENGTH,
    get clauses() {
      return clauses();
    },
    decode: (bytes, offset) => decoder()(bytes, offset),
  };
}
