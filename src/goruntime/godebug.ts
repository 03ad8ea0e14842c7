// The setting of GODEBUG that turns asynchronous preemption off.

import { isBefore, type Release } from './version.ts';

/**
 * Whether a program started with this environment never preempts asynchronously (runtime `parsedebugvars`):
 * asyncpreemptoff is not 0, or, in Go 1.26 and later, gccheckmark is above 0. The last setting of a name counts.
 * @param environment `NAME=VALUE` each
 */
export function asyncpreemptoff(environment: readonly string[], release: Release): boolean {
  // The runtime takes the first GODEBUG that it finds (gogetenv).
  const text = environment.find((entry) => entry.startsWith('GODEBUG='))?.slice('GODEBUG='.length) ?? '';
  const values = new Map<string, number>();
  for (const field of text.split(',')) {
    const [name, value] = field.split('=', 2);
    // Anything else than a whole number is passed over (atoi32).
    if (name !== undefined && value !== undefined && /^-?\d+$/.test(value)) values.set(name, Number(value));
  }
  if ((values.get('asyncpreemptoff') ?? 0) !== 0) return true;
  return !isBefore(release, '1.26') && (values.get('gccheckmark') ?? 0) > 0;
}
