// Where a sweep stops to inject: functions by name, single places, and of these only what the program's tables call safe.

import type { Region } from '../engine/compiler.ts';
import type { SafePoints } from '../goruntime/safe-points.ts';
import type { Func } from '../goruntime/tables.ts';

/** Merged address ranges. */
export class Ranges implements Region {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  constructor(ranges: readonly (readonly [start: number, end: number])[]) {
    for (const [start, end] of [...ranges].sort((a, b) => a[0] - b[0])) {
      if (this.#ends.at(-1) === start) this.#ends[this.#ends.length - 1] = end;
      else {
        this.#starts.push(start);
        this.#ends.push(end);
      }
    }
  }

  get size(): number {
    return this.#starts.length;
  }

  has(pc: number): boolean {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! <= pc) low = middle + 1;
      else high = middle;
    }
    return low > 0 && pc < this.#ends[low - 1]!;
  }
}

/**
 * Places of a region, or of all code, at which fewer than so many arrivals were told. Compiled code may stop where that is no longer
 * so, and is asked again.
 */
export class FirstArrivals implements Region {
  readonly #region: Region | undefined;
  readonly #most: number;
  readonly #arrivals = new Map<number, number>();

  constructor(region: Region | undefined, most: number) {
    this.#region = region;
    this.#most = most;
  }

  arrive(pc: number): void {
    this.#arrivals.set(pc, (this.#arrivals.get(pc) ?? 0) + 1);
  }

  has(pc: number): boolean {
    return this.#region?.has(pc) !== false && (this.#arrivals.get(pc) ?? 0) < this.#most;
  }
}

/** All code of functions. */
export function rangesOf(funcs: Iterable<Func>): Ranges {
  const found: [number, number][] = [];
  for (const f of funcs) found.push([f.entry, f.end]);
  return new Ranges(found);
}

/**
 * Where an interrupt presents a PC of these functions that the tables do not refuse: at that PC, and in the delay slot of
 * a branch there, which presents the branch's. So each stretch of such PCs goes on for one instruction where there are
 * slots; what stands there without being one is refused when it is asked about.
 */
export function safeRangesOf(funcs: Iterable<Func>, points: SafePoints): Ranges {
  const found: [number, number][] = [];
  for (const f of funcs) {
    let last: [number, number] | undefined;
    for (const { start, end, verdict } of points.verdictRuns(f)) {
      if (verdict === 'unsafe') continue;
      const until = points.arch.delaySlot ? Math.min(end + points.arch.pcQuantum, f.end) : end;
      if (last !== undefined && start <= last[1]) last[1] = until;
      else {
        last = [start, until];
        found.push(last);
      }
    }
  }
  return new Ranges(found);
}
