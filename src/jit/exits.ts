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

/** All exits, by number, four words of each: the address, low and high; how many of the instructions that were counted are not executed; why. */
export interface ExitImage {
  readonly words: Int32Array;
}

const WORDS = 4;
const AT_FIRST = 1024;

export class Exits {
  /** Together: they are asked for at every exit, and mostly not in the processor's caches. */
  #words: Int32Array = new Int32Array(WORDS * AT_FIRST);
  #length = 1;
  readonly #watched = new Map<number, WatchedExit>();

  /** A number for leaving at `pc`, so many of the instructions that were counted not being executed. */
  add(kind: ExitKind, pc: number, undone: number, watched: WatchedExit): number {
    const at = WORDS * this.#length;
    if (at === this.#words.length) this.#grow();
    const words = this.#words;
    words[at] = pc;
    words[at + 1] = Math.floor(pc / 2 ** 32);
    words[at + 2] = undone;
    words[at + 3] = kind;
    const number = this.#length++;
    if (watched.told || watched.block !== undefined) this.#watched.set(number, watched);
    return number;
  }

  #grow(): void {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
  }

  pc(number: number): number {
    const at = WORDS * number;
    return (this.#words[at + 1]! >>> 0) * 2 ** 32 + (this.#words[at]! >>> 0);
  }

  undone(number: number): number {
    return this.#words[WORDS * number + 2]!;
  }

  kind(number: number): ExitKind {
    return this.#words[WORDS * number + 3] as ExitKind;
  }

  watched(number: number): WatchedExit | undefined {
    // Mostly nobody watches, and this is asked for at every exit.
    return this.#watched.size === 0 ? undefined : this.#watched.get(number);
  }

  clear(): void {
    // What they are in may be another run's.
    this.#words = new Int32Array(WORDS * AT_FIRST);
    this.#length = 1;
    this.#watched.clear();
  }

  /** All of them, but for what only who watches needs. */
  all(): ExitImage {
    return { words: this.#words.slice(0, WORDS * this.#length) };
  }

  /** Takes over those of another run; there are none yet. They are not copied: there is no room in them for another. */
  adopt({ words }: ExitImage): void {
    this.#words = words;
    this.#length = words.length / WORDS;
  }
}
