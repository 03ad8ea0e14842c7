// What the engines need from an instruction set: its registers, a decoder, and for each instruction its effect and its text.

import type { Effects } from './effects.ts';
import type { RegisterFile } from './registers.ts';
import type { Variant } from './variant.ts';

/** One clause as its users see it: a name to list and test by, the family (file) it stands in, and the pattern of the manual. */
export interface ClauseInfo {
  readonly name: string;
  readonly family: string;
  readonly pattern: string;
}

/** An instruction found in memory. */
export interface Decoded {
  readonly clause: ClauseInfo;
  /** Bytes. */
  readonly length: number;
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
