// Who runs when.
//
// Policy. All threads run on one host thread, one at a time, in one order of execution that the seed determines. A thread runs
// until it waits or yields, or another is ready when it has used its quantum; then the next ready thread runs. Threads become ready at
// the end of the queue. One whose sleep is over waits for its turn as well: it interrupts nobody before the end of a quantum (the
// RUN_TO_PARITY of Linux 6.6, kernel/sched/features.h), which keeps Go's monitor, which sleeps for microseconds, from cutting up everything.
// With seed 0 the queue is served in order, every quantum is QUANTUM instructions long, and threads change where it costs little: at the
// first switch point (`engine/switch-points.ts`) from there on, or SLACK instructions later where there is none. Any other seed draws
// the length of each quantum, mostly a fraction of that, and the next thread from the whole queue, and threads change at exactly that
// instruction, whatever it is, so that each seed is another schedule, with many more changes, and every one is fair: a ready thread is
// passed over at most MAX_PASSED times.
//
// The number of CPUs that the guest sees changes nothing here: it is what sched_getaffinity says, so that Go makes as many Ps,
// whose Ms then interleave at quantum ends. One clock serves them all. A thread that nobody lets run does not exist: threads
// have no priorities.

import type { Part } from './part.ts';
import { Random } from './random.ts';

/**
 * Instructions that a thread may run before others get their turn: as nanoseconds what Linux has on machines with eight CPUs or more. A
 * slice is 3 ms there (kernel/sched/fair.c, sysctl_sched_min_granularity up to 6.5, sysctl_sched_base_slice in 6.6: 0.75 ms, times
 * get_update_sysctl_factor(), which is 4), and the tick notices that it is over: 250 in a second by default (kernel/Kconfig.hz).
 */
export const QUANTUM = 4_000_000;
/** The range of those that are drawn. */
const DRAWN_LEAST = 2500;
const DRAWN_RANGE = 40_000;
/** How much later than it is due a change of threads may come. */
const SLACK = 4096;
const MAX_PASSED = 8;

interface Ready {
  readonly tid: number;
  /** How often a later one was chosen. */
  readonly passed: number;
}

interface Saved {
  readonly queue: readonly Ready[];
  readonly quantumEnd: number;
  readonly switchedIn: number;
  readonly random: unknown;
}

export class Scheduler implements Part<Saved> {
  readonly #random: Random | undefined;
  /** Instructions by which a change of threads may be late. */
  readonly slack: number;
  #queue: readonly Ready[] = [];
  /** Instruction count at which the running thread's quantum ends: from there on it runs only while no other is ready. */
  quantumEnd = 0;
  /** Instruction count at which it began to run. */
  switchedIn = 0;

  constructor(seed: number) {
    this.#random = seed === 0 ? undefined : new Random(seed ^ 0x5c4ed);
    this.slack = seed === 0 ? SLACK : 0;
  }

  /** Whether another thread is waiting for its turn. */
  get contended(): boolean {
    return this.#queue.length > 0;
  }

  /** The running thread lets the others run first. */
  yield(): void {
    this.quantumEnd = Number.NEGATIVE_INFINITY;
  }

  /** The thread can run: it goes to the end of the queue, unless it is in it. */
  ready(tid: number): void {
    if (!this.#queue.some((r) => r.tid === tid)) this.#queue = [...this.#queue, { tid, passed: 0 }];
  }

  remove(tid: number): void {
    this.#queue = this.#queue.filter((r) => r.tid !== tid);
  }

  /** Takes the thread that runs next out of the queue and begins its quantum at instruction `now`. */
  next(now: number): number | undefined {
    const queue = this.#queue;
    if (queue.length === 0) return undefined;
    let index = 0;
    let quantum = QUANTUM;
    if (this.#random !== undefined) {
      const starved = queue.findIndex((r) => r.passed >= MAX_PASSED);
      index = starved >= 0 ? starved : this.#random.u32() % queue.length;
      quantum = DRAWN_LEAST + (this.#random.u32() % DRAWN_RANGE);
    }
    const chosen = queue[index]!;
    this.#queue = [...queue.slice(0, index).map((r) => ({ ...r, passed: r.passed + 1 })), ...queue.slice(index + 1)];
    this.quantumEnd = now + quantum;
    this.switchedIn = now;
    return chosen.tid;
  }

  save(): Saved {
    return {
      queue: this.#queue,
      quantumEnd: this.quantumEnd,
      switchedIn: this.switchedIn,
      random: this.#random?.save(),
    };
  }

  restore(saved: Saved): void {
    this.#queue = saved.queue;
    this.quantumEnd = saved.quantumEnd;
    this.switchedIn = saved.switchedIn;
    this.#random?.restore(saved.random as ReturnType<Random['save']>);
  }
}
