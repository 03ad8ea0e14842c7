// The timer: turns a schedule into interrupts at exact instructions.

import type { Machine } from '../engine/machine.ts';
import type { GoProgram } from '../goruntime/program.ts';
import { generator, type Schedule } from './schedule.ts';
import type { Thread } from './view.ts';

/**
 * After a refused interrupt at one place (`at=`), the timer comes again after so many instructions: suspendG sends its
 * next signal after half of its yieldDelay of 10 µs (runtime/preempt.go), and one instruction takes a nanosecond.
 */
const RETRY = 5000;

/** What the timer does with the thread that runs: returns whether the interrupt was served (and need not come again). */
export type Interrupted = (tid: number) => boolean;

/** The timer of one run. The kernel asks `next`, stops there, and calls `fire`; `stopped` is called at breakpoints. */
export interface Timer {
  /** The first instruction count, not before `now`, at which an interrupt lands; Infinity when none is known yet. */
  next(now: number): number;
  fire(now: number, tid: number): void;
  /** The machine stopped at a place that the timer asked for. */
  stopped(now: number, tid: number): void;
}

class EveryTimer implements Timer {
  readonly #n: number;
  readonly #interrupt: Interrupted;

  constructor(n: number, interrupt: Interrupted) {
    this.#n = n;
    this.#interrupt = interrupt;
  }

  next(now: number): number {
    return Math.max(1, Math.ceil(now / this.#n)) * this.#n;
  }

  fire(_now: number, tid: number): void {
    this.#interrupt(tid);
  }

  stopped(): void {}
}

/** Interarrival times are exponential with the given mean, at least one instruction. */
class RandomTimer implements Timer {
  readonly #random: () => number;
  readonly #mean: number;
  readonly #interrupt: Interrupted;
  #due = 0;

  constructor(seed: number, mean: number, interrupt: Interrupted) {
    this.#random = generator(seed);
    this.#mean = mean;
    this.#interrupt = interrupt;
    this.#draw(0);
  }

  #draw(now: number): void {
    this.#due = now + Math.max(1, Math.round(-this.#mean * Math.log(1 - this.#random())));
  }

  next(): number {
    return this.#due;
  }

  fire(now: number, tid: number): void {
    this.#interrupt(tid);
    this.#draw(now);
  }

  stopped(): void {}
}

class PlaceTimer implements Timer {
  readonly #hit: number;
  readonly #interrupt: Interrupted;
  #hits = 0;
  #due = Number.POSITIVE_INFINITY;

  constructor(machine: Machine, pcs: readonly number[], hit: number, interrupt: Interrupted) {
    this.#hit = hit;
    this.#interrupt = interrupt;
    machine.breakpoints = new Set(pcs);
  }

  next(): number {
    return this.#due;
  }

  fire(now: number, tid: number): void {
    this.#due = this.#interrupt(tid) ? Number.POSITIVE_INFINITY : now + RETRY;
  }

  stopped(now: number, tid: number): void {
    if (++this.#hits === this.#hit) this.fire(now, tid);
  }
}

class HalfCallTimer implements Timer {
  readonly #thread: Thread;
  readonly #program: GoProgram;
  readonly #frameless: boolean;
  readonly #interrupt: Interrupted;

  constructor(machine: Machine, thread: Thread, program: GoProgram, frameless: boolean, interrupt: Interrupted) {
    this.#thread = thread;
    this.#program = program;
    this.#frameless = frameless;
    this.#interrupt = interrupt;
    machine.stopInCallSlots = true;
  }

  next(): number {
    return Number.POSITIVE_INFINITY;
  }

  fire(): void {}

  stopped(_now: number, tid: number): void {
    if (this.#frameless) {
      const { tables } = this.#program;
      const f = tables.findfunc(this.#thread.pc);
      if (f === undefined || tables.funcspdelta(f, this.#thread.pc) !== 0) return;
    }
    this.#interrupt(tid);
  }
}

/**
 * The timer for a schedule.
 * @param pcs the places of an `at` schedule
 */
export function timerFor(
  schedule: Schedule,
  machine: Machine,
  thread: Thread,
  program: GoProgram,
  pcs: readonly number[],
  interrupt: Interrupted,
): Timer {
  switch (schedule.kind) {
    case 'every':
      return new EveryTimer(schedule.n, interrupt);
    case 'all':
      return new EveryTimer(1, interrupt);
    case 'random':
      return new RandomTimer(schedule.seed, schedule.mean, interrupt);
    case 'at':
      return new PlaceTimer(machine, pcs, schedule.hit, interrupt);
    case 'half-call':
      return new HalfCallTimer(machine, thread, program, schedule.frameless, interrupt);
  }
}
