// All rows of MIPS and the decoder of them: what decoding the first instruction takes. A run that finds all of its code compiled decodes
// nothing, and loads none of it (cli/later.ts).

import type { Effects } from '../dsl/effects.ts';
import type { Decoded, Isa } from '../dsl/isa.ts';
import type { Variant } from '../dsl/variant.ts';
import { ALU } from './alu.ts';
import { ATOMIC } from './atomic.ts';
import { BRANCH } from './branch.ts';
import { DecisionTree } from './decoder.ts';
import { FPU_ARITH } from './fpu-arith.ts';
import { FPU_COMPARE } from './fpu-compare.ts';
import { FPU_CONVERT } from './fpu-convert.ts';
import { FPU_MOVE } from './fpu-move.ts';
import { LENGTH, type MipsClause } from './index.ts';
import type { Insn } from './insn.ts';
import { Machine } from './machine.ts';
import { MEMORY } from './memory.ts';
import { MULDIV } from './muldiv.ts';
import type { Fields } from './pattern.ts';
import type { MipsRegisters } from './regs.ts';
import { TRAP } from './trap.ts';

/** The families in the order of the manual's chapters, each in a file of its name. */
const FAMILIES: readonly (readonly [family: string, rows: () => readonly Insn[]])[] = [
  ['alu', ALU],
  ['muldiv', MULDIV],
  ['branch', BRANCH],
  ['memory', MEMORY],
  ['atomic', ATOMIC],
  ['trap', TRAP],
  ['fpu-arith', FPU_ARITH],
  ['fpu-compare', FPU_COMPARE],
  ['fpu-convert', FPU_CONVERT],
  ['fpu-move', FPU_MOVE],
];

class Instruction implements Decoded {
  readonly clause: MipsClause;
  readonly length = LENGTH;
  readonly #fields: Fields;
  readonly #registers: MipsRegisters;
  readonly #width: 32 | 64;

  constructor(clause: MipsClause, fields: Fields, registers: MipsRegisters, width: 32 | 64) {
    this.clause = clause;
    this.#fields = fields;
    this.#registers = registers;
    this.#width = width;
  }

  effect(e: Effects): void {
    this.clause.insn.effect(new Machine(e, this.#registers), this.#fields);
  }

  text(pc: number): string {
    return this.clause.insn.print(this.#fields, { pc, width: this.#width });
  }
}

/** The rows that a variant has. */
export const mipsClauses = (variant: Variant): readonly MipsClause[] =>
  FAMILIES.flatMap(([family, rows]) =>
    rows()
      .filter((row) => row.width === undefined || row.width === variant.width)
      .map((row): MipsClause => ({ name: row.name, family, pattern: row.text, matcher: row.pattern, insn: row })),
  );

/** A decoder of some rows. */
export function mipsDecoder(variant: Variant, registers: MipsRegisters, clauses: readonly MipsClause[]): Isa['decode'] {
  const tree = new DecisionTree(clauses.map((item) => ({ mask: item.matcher.mask, value: item.matcher.value, item })));
  const evenPairs = variant.width === 32;
  return (bytes, offset) => {
    if (offset + LENGTH > bytes.length) return 'short';
    const [b0, b1, b2, b3] = [bytes[offset]!, bytes[offset + 1]!, bytes[offset + 2]!, bytes[offset + 3]!];
    const word = variant.bigEndian
      ? (b0 << 24) | (b1 << 16) | (b2 << 8) | b3
      : (b3 << 24) | (b2 << 16) | (b1 << 8) | b0;
    const clause = tree.find(word);
    if (clause === undefined) return undefined;
    const fields = clause.matcher.extract(word);
    if (evenPairs && clause.insn.pairs.some((name) => (fields[name] & 1) !== 0)) return undefined;
    return new Instruction(clause, fields, registers, variant.width);
  };
}
