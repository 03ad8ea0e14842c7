// The clause: one row of the manual with its meaning. See README.md for how to write one.

import type { ClauseInfo } from '../dsl/isa.ts';
import type { Exec } from './exec.ts';
import { type OperandSpec, type Pattern, parseForm, parsePattern } from './pattern.ts';

export interface Clause extends ClauseInfo {
  /**
   * In capitals. Names separated by `/` are those for operand sizes 16, 32 and 64; a final `cc` is replaced by the condition.
   */
  readonly mnemonic: string;
  readonly encoding: Pattern;
  readonly operands: readonly OperandSpec[];
  readonly effect: (x: Exec) => void;
}

/** A row before its family has named it. */
export type Row = Omit<Clause, 'family'>;

/** `form` is the manual's instruction column, `pattern` its opcode column (pattern.ts has the grammar). */
export const clause = (form: string, pattern: string, effect: (x: Exec) => void): Row => {
  const { mnemonic, operands } = parseForm(form);
  return {
    name: `${form} (${pattern})`,
    pattern,
    mnemonic,
    operands,
    encoding: parsePattern(pattern, operands),
    effect,
  };
};

/** The rows of one file, under its name. */
export const family = (name: string, rows: readonly Row[]): readonly Clause[] =>
  rows.map((row) => ({ ...row, family: name }));
