// The timer: turns a schedule into interrupts at exact instructions.

import type { Machine } from '../engine/machine.ts';
import type { GoProgram } from '../goruntime/program.ts';
import type { HostHandler } from './host-handler.ts';
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
  /** After how many instructions it comes again and again, whatever happens; none where that is not so. */
  readonly every?: number;
}

/** No LL/SC sequence of Go's is longer. An interrupt breaks the link, so a shorter interval would let none of them ever finish. */
const LINKED_SEQUENCE = 32;

class EveryTimer implements Timer {
  readonly #n: number;
  readonly every?: number;
  readonly #thread: Thread;
  readonly #interrupt: Interrupted;
  /** Where the last linked sequence was broken: within it the timer lets the next attempt through. */
  #broken = -1;

  constructor(n: number, thread: Thread, interrupt: Interrupted) {
    this.#n = n;
    if (n >= LINKED_SEQUENCE) this.every = n;
    this.#thread = thread;
    this.#interrupt = interrupt;
  }

  next(now: number): number {
    if (this.#n < LINKED_SEQUENCE && this.#isNear() && this.#thread.linked) return now + 1;
    return Math.max(1, Math.ceil(now / this.#n)) * this.#n;
  }

  #isNear(): boolean {
    return Math.abs(this.#thread.pc - this.#broken) < LINKED_SEQUENCE * 4;
  }

  fire(_now: number, tid: number): void {
    if (this.#thread.linked) this.#broken = this.#thread.pc;
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

/** Lands between each MIPS call and its delay slot, wherever it is for the check of half-executed calls, or a later one, to decide. */
class HalfCallTimer implements Timer {
  readonly #thread: Thread;
  readonly #program: GoProgram;
  readonly #handler: HostHandler;
  readonly #frameless: boolean;
  readonly #interrupt: Interrupted;

  constructor(parts: TimerParts, frameless: boolean) {
    const { machine, thread, program, handler, interrupt } = parts;
    this.#thread = thread;
    this.#program = program;
    this.#handler = handler;
    this.#frameless = frameless;
    this.#interrupt = interrupt;
    machine.stopInCallSlots = true;
  }

  next(): number {
    return Number.POSITIVE_INFINITY;
  }

  fire(): void {}

  stopped(_now: number, tid: number): void {
    // Elsewhere (g0, an M that holds locks) an earlier check would decide, and the slot would never be asked about.
    if (!this.#handler.runsPreemptibly) return;
    if (this.#frameless) {
      const { tables } = this.#program;
      const f = tables.findfunc(this.#thread.pc);
      if (f === undefined || tables.funcspdelta(f, this.#thread.pc) !== 0) return;
    }
    this.#interrupt(tid);
  }
}

/** What timers are made of. */
export interface TimerParts {
  readonly machine: Machine;
  readonly thread: Thread;
  readonly program: GoProgram;
  readonly handler: HostHandler;
  readonly interrupt: Interrupted;
}

/**
 * The timer for a schedule.
 * @param pcs the places of an `at` schedule
 */
export function timerFor(schedule: Schedule, parts: TimerParts, pcs: readonly number[]): Timer {
  const { machine, thread, interrupt } = parts;
  switch (schedule.kind) {
    case 'every':
      return new EveryTimer(schedule.n, thread, interrupt);
    case 'all':
      return new EveryTimer(1, thread, interrupt);
    case 'random':
      return new RandomTimer(schedule.seed, schedule.mean, interrupt);
    case 'at':
      return new PlaceTimer(machine, pcs, schedule.hit, interrupt);
    case 'half-call':
      return new HalfCallTimer(parts, schedule.frameless);
  }
}
