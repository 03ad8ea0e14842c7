// Options that several commands share, each read in one place.

import { InvalidArgumentError, Option } from 'commander';
import { CHECKS, type CheckId, type GoProgram, type Rules } from '../src/index.ts';
import { UserError } from './output.ts';

/** `--without CHECK,…` */
export const withoutOption = (): Option =>
  new Option('--without <checks>', `switch checks off: ${CHECKS.join(',')}`)
    .argParser((text: string): ReadonlySet<CheckId> => {
      const checks = text.split(',');
      for (const check of checks) {
        if (!CHECKS.includes(check as CheckId)) {
          throw new InvalidArgumentError(`there is no check ${check}; the checks are ${CHECKS.join(' ')}.`);
        }
      }
      return new Set(checks as CheckId[]);
    })
    .default(new Set<CheckId>(), 'none');

/** `--rules auto|seed|1.19|…` */
export const rulesOption = (): Option =>
  new Option('--rules <which>', 'auto (the release that built the program), seed, or a release such as 1.19').default(
    'auto',
  );

/** The rules that `--rules` names. @throws UserError */
export function rulesOf(program: GoProgram, name: string): Rules {
  const rules = program.rulesNamed(name);
  if (rules === undefined)
    throw new UserError(`--rules ${name}: no such rules; try auto, seed or a release such as 1.19`);
  return rules;
}

export const jsonOption = (): Option => new Option('--json', 'print one JSON document on stdout');

/** A whole number from `min` up. */
export const wholeNumber =
  (min: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < min) {
      throw new InvalidArgumentError(`wanted a whole number from ${min} up.`);
    }
    return value;
  };

/** An address in hexadecimal (0x…) or decimal. */
export function address(text: string): number {
  const value = Number(text);
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('wanted an address such as 0x401000.');
  }
  return value;
}
