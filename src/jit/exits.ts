// The exits of compiled code, by the numbers that it leaves with: where it goes on, and why it was left. Number 0 stands for none.

import type { Block } from './blocks.ts';

/** Why compiled code is left. */
export const EXIT = {
  /** For the evaluator to go on. */
  evaluator: 0,
  /** The last instruction is a system call. */
  syscall: 1,
  /** The budget is nearly used up, and the next instruction is a switch point. */
  switchPoint: 2,
  /** The budget does not suffice for what comes next. */
  budget: 3,
  /** A breakpoint is on. */
  breakpoint: 4,
} as const;
export type ExitKind = (typeof EXIT)[keyof typeof EXIT];

/** What somebody who watches has to know of an exit. */
export interface WatchedExit {
  /** The block that is left in its middle. */
  readonly block: Block | undefined;
  /** The observer was told of the instruction at the address. */
  readonly told: boolean;
}

/** Of each exit four words: the address, low and high; how many of the instructions that were counted are not executed; why. */
export interface ExitImage {
  /** Those at which compiled code may go on by itself (`ExitPlaces`), by half of their numbers, which are even… */
  readonly passable: Int32Array;
  /** …and the others, the same. Their numbers are odd. */
  readonly others: Int32Array;
}

const WORDS = 4;
const AT_FIRST = 512;

/** Exits of either kind. */
class ExitList {
  /** Together: they are asked for at every exit, and mostly not in the processor's caches. */
  words: Int32Array = new Int32Array(WORDS * AT_FIRST);
  /** The first one stands for none. */
  length = 1;

  add(kind: ExitKind, pc: number, undone: number): number {
    const at = WORDS * this.length;
    if (at === this.words.length) {
      const words = new Int32Array(2 * at);
      words.set(this.words);
      this.words = words;
    }
    const { words } = this;
    words[at] = pc;
    words[at + 1] = Math.floor(pc / 2 ** 32);
    words[at + 2] = undone;
    words[at + 3] = kind;
    return this.length++;
  }

  all(): Int32Array {
    return this.words.slice(0, WORDS * this.length);
  }

  /** They are not copied: there is no room in them for another. */
  adopt(words: Int32Array): void {
    this.words = words;
    this.length = words.length / WORDS;
  }
}

/** Whether compiled code may go on by itself at an exit. What is known of those lies in order of their numbers, the fewer the closer together. */
const isPassable = (kind: ExitKind): boolean =>
  kind === EXIT.budget || kind === EXIT.syscall || kind === EXIT.breakpoint;

export class Exits {
  #passable = new ExitList();
  #others = new ExitList();
  readonly #watched = new Map<number, WatchedExit>();

  /** A number for leaving at `pc`, so many of the instructions that were counted not being executed. */
  add(kind: ExitKind, pc: number, undone: number, watched: WatchedExit): number {
    const number = isPassable(kind)
      ? 2 * this.#passable.add(kind, pc, undone)
      : 2 * this.#others.add(kind, pc, undone) + 1;
    if (watched.told || watched.block !== undefined) this.#watched.set(number, watched);
    return number;
  }

  #word(number: number, word: number): number {
    const { words } = (number & 1) === 0 ? this.#passable : this.#others;
    return words[WORDS * (number >>> 1) + word]!;
  }

  pc(number: number): number {
    return (this.#word(number, 1) >>> 0) * 2 ** 32 + (this.#word(number, 0) >>> 0);
  }

  undone(number: number): number {
    return this.#word(number, 2);
  }

  kind(number: number): ExitKind {
    return this.#word(number, 3) as ExitKind;
  }

  watched(number: number): WatchedExit | undefined {
    // Mostly nobody watches, and this is asked for at every exit.
    return this.#watched.size === 0 ? undefined : this.#watched.get(number);
  }

  clear(): void {
    // What they are in may be another run's.
    this.#passable = new ExitList();
    this.#others = new ExitList();
    this.#watched.clear();
  }

  /** All of them, but for what only who watches needs. */
  all(): ExitImage {
    return { passable: this.#passable.all(), others: this.#others.all() };
  }

  /** Takes over those of another run; there are none yet. */
  adopt({ passable, others }: ExitImage): void {
    this.#passable.adopt(passable);
    this.#others.adopt(others);
  }
}
