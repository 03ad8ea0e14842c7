// The command lines that do again what was done here: for messages that a person copies into a shell.

import type { CheckId } from '../goruntime/safe-points.ts';
import type { SweepOptions } from './sweep.ts';

/** A word of a command line, quoted for a POSIX shell where it must be. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** What of a session changes its verdicts and its course, as options that every command spells alike. */
export interface SharedOptions {
  readonly env?: readonly string[] | undefined;
  readonly dirs?: readonly string[] | undefined;
  readonly cpus?: number | undefined;
  readonly seed?: number | undefined;
  readonly rules?: string | undefined;
  readonly without?: ReadonlySet<CheckId> | undefined;
}

function shared({ env = [], dirs = [], cpus, seed, rules, without }: SharedOptions): string[] {
  const words: string[] = [];
  if (without !== undefined && without.size > 0) words.push('--without', [...without].join(','));
  if (rules !== undefined && rules !== 'auto') words.push('--rules', rules);
  if (cpus !== undefined && cpus !== 1) words.push('--cpus', String(cpus));
  if (seed !== undefined && seed !== 0) words.push('--seed', String(seed));
  for (const variable of env) words.push('--env', variable);
  for (const dir of dirs) words.push('--dir', dir);
  return words;
}

/**
 * `safepoint COMMAND …`, ready for a shell. Options that have their usual value are left out.
 * @param own options of the command alone, in order: a flag that is true stands without a value, one that is undefined or false not at all
 * @param operands the program and what follows it
 */
export function commandLine(
  command: string,
  own: Readonly<Record<string, string | number | boolean | undefined>>,
  options: SharedOptions,
  operands: readonly string[],
): string {
  const words = ['safepoint', command];
  for (const [name, value] of Object.entries(own)) {
    if (value === undefined || value === false) continue;
    words.push(`--${name}`);
    if (value !== true) words.push(String(value));
  }
  return [...words, ...shared(options), ...operands].map(quoted).join(' ');
}

/** The command that makes a sweep again. */
export function sweepCommandLine(options: SweepOptions): string {
  const {
    path,
    args = [],
    func,
    at,
    safeOnly,
    from,
    to,
    every,
    perPlace,
    limit,
    halfCalls,
    sample,
    patience,
  } = options;
  const own = {
    func,
    at,
    'safe-only': safeOnly,
    'half-calls': halfCalls,
    from,
    to,
    every: every === 1 ? undefined : every,
    'per-place': perPlace,
    limit,
    full: sample === 1,
    sample: sample === 1 ? undefined : sample,
    patience,
  };
  return commandLine('sweep', own, options, [path, ...args]);
}
