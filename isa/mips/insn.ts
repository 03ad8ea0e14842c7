// The clause: one instruction's syntax, pattern and effect together, checked when the table is built.

import type { Machine } from './machine.ts';
import { type FieldName, type Fields, type FieldsOf, Pattern } from './pattern.ts';
import { type Place, Syntax } from './syntax.ts';

export interface Options<P extends string> {
  /** Only on targets of this width. */
  readonly width?: 64;
  /**
   * Fields naming a 64-bit FPU operand. Where FPRs have 32 bits (FR = 0) such an operand is an even register and the next one; an odd
   * number is a reserved instruction.
   */
  readonly pairs?: readonly (keyof FieldsOf<P>)[];
  /** Other spellings, tried in order: the syntax, and the field values for which it is the usual one. */
  readonly aliases?: readonly (readonly [syntax: string, when: Partial<FieldsOf<P>>])[];
}

interface Alias {
  readonly syntax: Syntax;
  readonly when: readonly (readonly [FieldName, number])[];
}

/** One row of the description. */
export interface Insn {
  readonly name: string;
  readonly text: string;
  readonly pattern: Pattern;
  readonly width: 64 | undefined;
  readonly pairs: readonly FieldName[];
  effect(m: Machine, fields: Fields): void;
  print(fields: Fields, place: Place): string;
}

/**
 * Makes a clause: assembly syntax, pattern, effect.
 * The effect gets the fields that the pattern names, and no others: TypeScript reads the pattern.
 * A pattern or syntax that makes no sense throws when the row is made.
 */
export function insn<const P extends string>(
  syntax: string,
  text: P,
  effect: (m: Machine, fields: FieldsOf<P>) => void,
  options: Options<NoInfer<P>> = {},
): Insn {
  const pattern = new Pattern(text);
  const usual = new Syntax(syntax, pattern);
  const aliases = (options.aliases ?? []).map(
    ([spelling, when]): Alias => ({
      syntax: new Syntax(spelling, pattern),
      when: Object.entries(when) as [FieldName, number][],
    }),
  );
  return {
    name: usual.mnemonic,
    text,
    pattern,
    width: options.width,
    pairs: (options.pairs ?? []) as readonly FieldName[],
    effect: effect as (m: Machine, fields: Fields) => void,
    print(fields, place) {
      const alias = aliases.find(({ when }) => when.every(([name, value]) => fields[name] === value));
      return (alias?.syntax ?? usual).print(fields, place);
    },
  };
}
