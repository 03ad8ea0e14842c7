// The clause: one row of the manual with its meaning. See README.md for how to write one.

import type { ClauseInfo, RepeatedMove } from '../dsl/isa.ts';
import { lazy } from '../dsl/lazy.ts';
import type { Exec } from './exec.ts';
import type { Instruction } from './instruction.ts';
import { type OperandSpec, type Pattern, parseForm, parsePattern } from './pattern.ts';

export interface Clause extends ClauseInfo {
  /**
   * In capitals. Names separated by `/` are those for operand sizes 16, 32 and 64; a final `cc` is replaced by the condition.
   */
  readonly mnemonic: string;
  readonly encoding: Pattern;
  readonly operands: readonly OperandSpec[];
  readonly effect: (x: Exec) => void;
  /** What it does many times over with REP, if that is one move after the other. */
  readonly repeats: ((i: Instruction) => RepeatedMove | undefined) | undefined;
}

/** A row that its family is to name. */
export type Row = (family: string) => Clause;

/** `form` is the manual's instruction column, `pattern` its opcode column (pattern.ts has the grammar). */
export const clause = (form: string, pattern: string, effect: Clause['effect'], repeats?: Clause['repeats']): Row => {
  const { mnemonic, operands } = parseForm(form);
  const encoding = parsePattern(pattern, operands);
  return (family) => ({ name: `${form} (${pattern})`, family, pattern, mnemonic, operands, encoding, effect, repeats });
};

/** The rows of one file, under its name, made when they are wanted. */
export const family = (name: string, rows: () => readonly Row[]): (() => readonly Clause[]) =>
  lazy(() => rows().map((row) => row(name)));
