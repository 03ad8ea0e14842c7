// When the timer interrupt lands: the forms of `--preempt`, and the schedule that each one is.

/** A `--preempt` argument that is not one. One line: what is wrong; what to try. */
export class ScheduleError extends Error {
  override readonly name = 'ScheduleError';
}

/**
 * - `every`: at each multiple of `n` instructions;
 * - `at`: at the `hit`th arrival at a place, and again shortly after for as long as it is refused;
 * - `random`: after exponentially distributed numbers of instructions;
 * - `half-call`: between each MIPS call and its delay slot, or only where the SP delta is 0;
 * - `all`: at every instruction.
 */
export type Schedule = Timing & {
  /** Only the stack guard is poisoned (`sync,…`): no interrupt, so that the next check of a prologue serves the request. */
  readonly synchronous?: true;
};

type Timing =
  | { readonly kind: 'every'; readonly n: number }
  | { readonly kind: 'at'; readonly place: string; readonly hit: number }
  | { readonly kind: 'random'; readonly seed: number; readonly mean: number }
  | { readonly kind: 'half-call'; readonly frameless: boolean }
  | { readonly kind: 'all' };

export const SCHEDULE_HELP = '[sync,]every=N | at=LOC[,hit=K] | random=SEED,mean=N | half-call[=frameless] | all';

const SYNCHRONOUS = 'sync,';

function positive(text: string | undefined, what: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new ScheduleError(`${what} must be a whole number from 1 up, not ${JSON.stringify(text ?? '')}`);
  }
  return value;
}

/** Reads a `--preempt` argument. @throws ScheduleError */
export function parseSchedule(text: string): Schedule {
  if (!text.startsWith(SYNCHRONOUS)) return parseTiming(text);
  return { ...parseTiming(text.slice(SYNCHRONOUS.length)), synchronous: true };
}

function parseTiming(text: string): Timing {
  const equals = text.indexOf('=');
  const kind = equals < 0 ? text : text.slice(0, equals);
  const rest = equals < 0 ? undefined : text.slice(equals + 1);
  switch (kind) {
    case 'every':
      return { kind, n: positive(rest, 'every=N') };
    case 'at': {
      const match = /^(.+?)(?:,hit=(.*))?$/.exec(rest ?? '');
      if (match === null) throw new ScheduleError('at= wants a place: 0xADDR, func, func+0xOFF or file.go:LINE');
      return { kind, place: match[1]!, hit: match[2] === undefined ? 1 : positive(match[2], 'hit=K') };
    }
    case 'random': {
      const match = /^(\d+),mean=(\d+)$/.exec(rest ?? '');
      if (match === null) throw new ScheduleError('random= wants a seed and a mean: random=SEED,mean=N');
      return { kind, seed: Number(match[1]), mean: positive(match[2], 'mean=N') };
    }
    case 'half-call':
      if (rest !== undefined && rest !== 'frameless') throw new ScheduleError('half-call takes only =frameless');
      return { kind, frameless: rest === 'frameless' };
    case 'all':
      if (rest === undefined) return { kind };
      break;
  }
  throw new ScheduleError(`no such schedule: ${text}; try ${SCHEDULE_HELP}`);
}

/** A small seeded generator (splitmix32): the same numbers on every machine. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}
