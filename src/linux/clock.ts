// Guest time. It derives from the instruction count and nothing else: one instruction takes `nsPerInstruction`, and when every
// thread waits, time skips to the next deadline.

import type { Part } from './part.ts';

/** Wall clock at boot, nanoseconds since 1970: 2024-01-01T00:00:00Z, unless an option says otherwise. */
export const DEFAULT_EPOCH = 1_704_067_200_000_000_000n;

/** The guest was switched on this long before the program began, so that CLOCK_MONOTONIC is never 0 (Go throws if it is). */
export const UPTIME_AT_START = 1_000_000_000;

export interface ClockOptions {
  /** Guest nanoseconds that one instruction takes; 1 by default. */
  readonly nsPerInstruction?: number;
  /** Wall clock at boot, nanoseconds since 1970. */
  readonly epoch?: bigint;
}

export class Clock implements Part<number> {
  readonly nsPerInstruction: number;
  readonly epoch: bigint;
  readonly #instructions: () => number;
  #skipped = UPTIME_AT_START;

  constructor(instructions: () => number, options: ClockOptions = {}) {
    this.#instructions = instructions;
    this.nsPerInstruction = options.nsPerInstruction ?? 1;
    this.epoch = options.epoch ?? DEFAULT_EPOCH;
  }

  /** Nanoseconds since boot (CLOCK_MONOTONIC). */
  now(): number {
    return Math.floor(this.#instructions() * this.nsPerInstruction) + this.#skipped;
  }

  /** Nanoseconds since boot when no instruction had been executed, by what has been skipped since. */
  get atStart(): number {
    return this.#skipped;
  }

  /** Nanoseconds since 1970 (CLOCK_REALTIME). */
  wall(): bigint {
    return this.epoch + BigInt(this.now());
  }

  /** The first instruction count at which `now()` has reached `time`; Infinity for Infinity. */
  countAt(time: number): number {
    return Math.ceil((time - this.#skipped) / this.nsPerInstruction);
  }

  /** Nothing runs: goes forward to `time` at once. */
  skipTo(time: number): void {
    this.#skipped += Math.max(0, time - this.now());
  }

  save(): number {
    return this.#skipped;
  }

  restore(skipped: number): void {
    this.#skipped = skipped;
  }
}
