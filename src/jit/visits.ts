// How often control comes by in functions whose code is short: each such unit counts in a word of its own, and tells of every so many.

import { VISITS, VISITS_END } from '../engine/layout.ts';
import { CacheFull } from './watch.ts';

/** How a unit that is short counts how often control comes in and turns in its loops. */
export interface Visits {
  /** Address of the count. */
  readonly at: number;
  /** Each time that so many are reached, a power of two, the host is told of the unit. */
  readonly every: number;
  /** Its slot. */
  readonly unit: number;
}

/** The start of the function in a slot that holds none: flags, and bridges. */
export const NO_FUNCTION = -1;

/** By how many times what is told of once is told of at once. */
const URGENT = 8;
const CAPACITY = (VISITS_END - VISITS) >>> 2;

export class VisitCounts {
  readonly #i32: Int32Array;
  readonly #every: number;
  /** By slot: where the function begins that is in it. */
  #starts: number[] = [];
  /** How often there was word of a function, by its start. */
  readonly #told = new Map<number, number>();
  /** Starts of those of which there was, since `take`. */
  #often: number[] = [];
  #urgent = false;

  constructor(i32: Int32Array, every: number) {
    this.#i32 = i32;
    this.#every = every;
  }

  /** What the unit in a slot counts by. @throws CacheFull */
  of(slot: number): Visits {
    if (slot >= CAPACITY) throw new CacheFull('counts of visits');
    const at = VISITS + 4 * slot;
    this.#i32[at >>> 2] = 0;
    return { at, every: this.#every, unit: slot };
  }

  /** A slot has been filled. */
  fill(slot: number, start: number): void {
    this.#starts[slot] = start;
  }

  /** Whether the function that begins at `start` is in a slot. */
  isIn(slot: number, start: number): boolean {
    return this.#starts[slot] === start;
  }

  /** Called by compiled code. */
  readonly tell = (slot: number): void => {
    // Only units of functions count.
    const start = this.#starts[slot]!;
    const times = (this.#told.get(start) ?? 0) + 1;
    this.#told.set(start, times);
    if (times === 1) this.#often.push(start);
    this.#urgent ||= times === URGENT;
  };

  /** Whether it is time to do something about what there was word of: it is so many functions, or urgent for one. */
  due(functions: number): boolean {
    return this.#urgent || this.#often.length >= functions;
  }

  /** Starts of the functions of which there was word. */
  take(): readonly number[] {
    const starts = this.#often;
    this.#often = [];
    this.#urgent = false;
    return starts;
  }

  /** The starts by slot. */
  all(slots: number): Float64Array {
    return Float64Array.from({ length: slots }, (_, slot) => this.#starts[slot] ?? NO_FUNCTION);
  }

  /** Takes over those of another run; there are none yet. */
  adopt(starts: Float64Array): void {
    this.#starts = Array.from(starts);
    this.#i32.fill(0, VISITS >>> 2, (VISITS >>> 2) + Math.min(starts.length, CAPACITY));
  }

  clear(): void {
    this.#starts = [];
    this.#told.clear();
    this.#often = [];
    this.#urgent = false;
  }
}
