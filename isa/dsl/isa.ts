// What the engines need from an instruction set: its registers, a decoder, and for each instruction its effect and its text.

import type { Effects } from './effects.ts';
import type { Register, RegisterFile } from './registers.ts';
import type { Variant } from './variant.ts';

/** One clause as its users see it: a name to list and test by, the family (file) it stands in, and the pattern of the manual. */
export interface ClauseInfo {
  readonly name: string;
  readonly family: string;
  readonly pattern: string;
}

/**
 * What an instruction that branches to itself does, said a second time for whoever can do many of its turns at once: while `count` is not 0,
 * it moves `bytes` bytes from the address in `source` to that in `destination`, moves both on by as many, and counts down.
 */
export interface RepeatedMove {
  readonly bytes: number;
  readonly source: Register;
  readonly destination: Register;
  readonly count: Register;
  /** An i32: where it is not 0, the addresses go down instead. */
  readonly down: Register;
}

/** An instruction found in memory. */
export interface Decoded {
  readonly clause: ClauseInfo;
  /** Bytes. */
  readonly length: number;
  readonly repeats?: RepeatedMove | undefined;
  /** Writes the effect down. The result depends on the encoding alone: PC enters through `e.pc()`. */
  effect(e: Effects): void;
  /** Assembly text in the manual's (MIPS) or Intel's (amd64) syntax. `pc` is this instruction's address; targets print as 0x… */
  text(pc: number): string;
}

export interface Isa {
  readonly variant: Variant;
  readonly registers: RegisterFile;
  /** Longest encoding in bytes, and the unit that instruction addresses are a multiple of. */
  readonly maxLength: number;
  readonly quantum: number;
  readonly clauses: readonly ClauseInfo[];
  /**
   * Decodes the instruction whose bytes, in guest order, start at `bytes[offset]`. `undefined` when they are no instruction of this
   * target, `'short'` when more bytes are needed than there are.
   */
  decode(bytes: Uint8Array, offset: number): Decoded | 'short' | undefined;
}
