// The MIPS register file: general registers, HI and LO, the FPU, and what LL/SC and RDHWR keep.

import { type Register, type RegisterFile, RegisterFileBuilder } from '../dsl/registers.ts';
import type { Variant } from '../dsl/variant.ts';

export interface MipsRegisters {
  readonly file: RegisterFile;
  /** R0–R31. The slot of R0 exists for display and always holds 0: nothing reads or writes it. */
  readonly gpr: readonly Register[];
  readonly hi: Register;
  readonly lo: Register;
  /** F0–F31: 64 bits each on 64-bit targets (Status.FR = 1, the n64 ABI), 32 on the others (FR = 0, o32). */
  readonly fpr: readonly Register[];
  /** FCSR: condition codes in bits 23 and 25–31, rounding mode in bits 0 and 1. */
  readonly fcr31: Register;
  /** LLbit is i32, 0 or 1. The kernel personality clears it wherever hardware executes ERET. */
  readonly llBit: Register;
  readonly llAddr: Register;
  /** The thread pointer that RDHWR 29 reads (CP0 UserLocal). */
  readonly userLocal: Register;
}

/** The register file of a variant; names are R0–R31, HI, LO, F0–F31, FCR31, LLbit, LLaddr, UserLocal. */
export function mipsRegisters(variant: Variant): MipsRegisters {
  const word = variant.width === 64 ? 'i64' : 'i32';
  const builder = new RegisterFileBuilder();
  const bank = (letter: string) => Array.from({ length: 32 }, (_, n) => builder.add(`${letter}${n}`, word));
  const gpr = bank('R');
  const hi = builder.add('HI', word);
  const lo = builder.add('LO', word);
  const fpr = bank('F');
  const fcr31 = builder.add('FCR31', 'i32');
  const llBit = builder.add('LLbit', 'i32');
  const llAddr = builder.add('LLaddr', word);
  const userLocal = builder.add('UserLocal', word);
  return { file: builder.build(), gpr, hi, lo, fpr, fcr31, llBit, llAddr, userLocal };
}
