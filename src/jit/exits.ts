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

/** All exits, by number: the address; how many of the instructions that were counted are not executed; why. */
export interface ExitImage {
  readonly pcs: Float64Array;
  readonly undone: Int32Array;
  readonly kinds: Uint8Array;
}

const AT_FIRST = 1024;

export class Exits {
  #pcs: Float64Array = new Float64Array(AT_FIRST);
  #undone: Int32Array = new Int32Array(AT_FIRST);
  #kinds: Uint8Array = new Uint8Array(AT_FIRST);
  #length = 1;
  readonly #watched = new Map<number, WatchedExit>();

  /** A number for leaving at `pc`, so many of the instructions that were counted not being executed. */
  add(kind: ExitKind, pc: number, undone: number, watched: WatchedExit): number {
    if (this.#length === this.#pcs.length) this.#grow();
    const number = this.#length++;
    this.#pcs[number] = pc;
    this.#undone[number] = undone;
    this.#kinds[number] = kind;
    if (watched.told || watched.block !== undefined) this.#watched.set(number, watched);
    return number;
  }

  #grow(): void {
    const size = 2 * this.#length;
    const { pcs, undone, kinds } = this.all();
    this.#pcs = new Float64Array(size);
    this.#pcs.set(pcs);
    this.#undone = new Int32Array(size);
    this.#undone.set(undone);
    this.#kinds = new Uint8Array(size);
    this.#kinds.set(kinds);
  }

  pc(number: number): number {
    return this.#pcs[number]!;
  }

  undone(number: number): number {
    return this.#undone[number]!;
  }

  kind(number: number): ExitKind {
    return this.#kinds[number] as ExitKind;
  }

  watched(number: number): WatchedExit | undefined {
    // Mostly nobody watches, and this is asked for at every exit.
    return this.#watched.size === 0 ? undefined : this.#watched.get(number);
  }

  clear(): void {
    // What they are in may be another run's.
    this.#pcs = new Float64Array(AT_FIRST);
    this.#undone = new Int32Array(AT_FIRST);
    this.#kinds = new Uint8Array(AT_FIRST);
    this.#length = 1;
    this.#watched.clear();
  }

  /** All of them, but for what only who watches needs. */
  all(): ExitImage {
    const n = this.#length;
    return { pcs: this.#pcs.slice(0, n), undone: this.#undone.slice(0, n), kinds: this.#kinds.slice(0, n) };
  }

  /** Takes over those of another run; there are none yet. They are not copied: there is no room in them for another. */
  adopt({ pcs, undone, kinds }: ExitImage): void {
    this.#pcs = pcs;
    this.#undone = undone;
    this.#kinds = kinds;
    this.#length = pcs.length;
  }
}
