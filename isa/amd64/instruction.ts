// A decoded instruction: its prefixes, ModRM, SIB, displacement and immediates, and the clause that they select.

import type { Effects } from '../dsl/effects.ts';
import type { Decoded, RepeatedMove } from '../dsl/isa.ts';
import type { Clause } from './clause.ts';
import { Exec } from './exec.ts';
import type { OperandSize } from './pattern.ts';
import { instructionText } from './text.ts';

export type Segment = 'none' | 'fs' | 'gs';

/** What the prefixes said. */
export interface Prefixes {
  /** The last of F2 and F3, or 0. */
  readonly rep: 0 | 0xf2 | 0xf3;
  /** 66. */
  readonly operand: boolean;
  /** 67. */
  readonly address: boolean;
  readonly lock: boolean;
  readonly segment: Segment;
  /** The REX byte, or 0. */
  readonly rex: number;
}

/** The address of a memory operand: registers by number, -1 for none. */
export interface MemoryForm {
  readonly base: number;
  readonly index: number;
  /** 0 to 3. */
  readonly scale: number;
  /** Signed. */
  readonly disp: number;
  /** The displacement counts from the end of the instruction. */
  readonly ripRelative: boolean;
}

export type Width = 16 | 32 | 64;

export interface InstructionFields {
  readonly clause: Clause;
  readonly length: number;
  readonly prefixes: Prefixes;
  /** Last byte of the opcode. */
  readonly opcode: number;
  /** ModRM.reg with REX.R, or the opcode's register with REX.B. */
  readonly reg: number;
  /** ModRM.rm with REX.B when it names a register. */
  readonly rm: number;
  /** When ModRM names memory. */
  readonly memory: MemoryForm | undefined;
  readonly width: Width;
  /** Immediates, displacements and absolute addresses in order: the first, sign-extended from its own size. */
  readonly imm: number | bigint;
  /** The second immediate (ENTER), as an unsigned byte. */
  readonly imm2: number;
}

export class Instruction implements Decoded, InstructionFields {
  readonly clause: Clause;
  readonly length: number;
  readonly prefixes: Prefixes;
  readonly opcode: number;
  readonly reg: number;
  readonly rm: number;
  readonly memory: MemoryForm | undefined;
  readonly width: Width;
  readonly imm: number | bigint;
  readonly imm2: number;

  constructor(fields: InstructionFields) {
    this.clause = fields.clause;
    this.length = fields.length;
    this.prefixes = fields.prefixes;
    this.opcode = fields.opcode;
    this.reg = fields.reg;
    this.rm = fields.rm;
    this.memory = fields.memory;
    this.width = fields.width;
    this.imm = fields.imm;
    this.imm2 = fields.imm2;
  }

  /** Bits of an operand size in this instruction. */
  bits(size: OperandSize): number {
    switch (size) {
      case 'v':
        return this.width;
      case 'z':
        return this.width === 16 ? 16 : 32;
      case 'y':
        return (this.prefixes.rex & 8) !== 0 ? 64 : 32;
      default:
        return size;
    }
  }

  get repeats(): RepeatedMove | undefined {
    return this.clause.repeats?.(this);
  }

  effect(e: Effects): void {
    this.clause.effect(new Exec(e, this));
  }

  text(pc: number): string {
    return instructionText(this, pc);
  }
}
