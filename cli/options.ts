// Options that several commands share, each read in one place.

import { type Command, InvalidArgumentError, Option } from 'commander';
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

const collect = (text: string, before: readonly string[]): readonly string[] => [...before, text];

function variable(text: string, before: readonly string[]): readonly string[] {
  if (!/^[^=]+=/.test(text)) throw new InvalidArgumentError('wanted NAME=VALUE.');
  return [...before, text];
}

// How a program is run, wherever it is.

export const cpusOption = (): Option =>
  new Option('--cpus <n>', 'CPUs that the program sees').argParser(wholeNumber(1)).default(1);

export const seedOption = (): Option =>
  new Option('--seed <n>', 'chooses entropy and schedule; with 0 threads change only at the ends of loops')
    .argParser(wholeNumber(0))
    .default(0);

export const envOption = (): Option =>
  new Option('--env <name=value>', 'an environment variable; the host passes on none (repeatable)')
    .argParser(variable)
    .default([], 'none');

/** @param preset directories that are mapped unless the option says otherwise */
export const dirOption = (preset: readonly string[] = []): Option =>
  new Option('--dir <host[:guest][:ro]>', 'let the program see a directory of the host (repeatable)')
    .argParser(collect)
    .default(preset, preset.join(' ') || 'none');

/** Text below a command's options: command lines to begin with, and what they do. */
export function examples(...lines: readonly (readonly [command: string, does: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  const rows = lines.map(([command, does]) => `  safepoint ${command.padEnd(width)}  # ${does}`);
  return `\nExamples:\n${rows.join('\n')}`;
}

/**
 * What a person must be told who wrote an option of the command's after the program's name, where it is the program's.
 * Undefined if nobody did.
 */
export function misplaced(command: Command, args: readonly string[]): string | undefined {
  const own = command.options.map((option) => option.long);
  const found = args.find((arg) => own.includes(arg.split('=', 1)[0]));
  if (found === undefined) return undefined;
  return `note: ${found} stands after the program's name, and is given to the program; options of safepoint stand before it\n`;
}

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
