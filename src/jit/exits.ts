// The exits of compiled code, by the numbers that it leaves with: where the evaluator goes on. Number 0 stands for none.

import type { Block } from './blocks.ts';

/** What somebody who watches has to know of an exit. */
export interface WatchedExit {
  /** The block that is left in its middle. */
  readonly block: Block | undefined;
  /** The observer was told of the instruction at the address. */
  readonly told: boolean;
}

/** Instead of how many instructions are not executed: the last one that was is a system call. */
const SYSCALL = -1;

export class Exits {
  #pcs = new Float64Array(1024);
  #undone = new Int32Array(1024);
  #length = 1;
  readonly #watched = new Map<number, WatchedExit>();

  /** A number for leaving at `pc`, so many of the instructions that were counted not being executed. */
  add(pc: number, undone: number, watched: WatchedExit): number {
    const number = this.#add(pc, undone);
    if (watched.told || watched.block !== undefined) this.#watched.set(number, watched);
    return number;
  }

  /** A number for leaving behind a system call, with `next` as PC. */
  addSyscall(next: number): number {
    return this.#add(next, SYSCALL);
  }

  #add(pc: number, undone: number): number {
    if (this.#length === this.#pcs.length) {
      const [pcs, undone] = [this.#pcs, this.#undone];
      this.#pcs = new Float64Array(2 * pcs.length);
      this.#pcs.set(pcs);
      this.#undone = new Int32Array(2 * pcs.length);
      this.#undone.set(undone);
    }
    const number = this.#length++;
    this.#pcs[number] = pc;
    this.#undone[number] = undone;
    return number;
  }

  pc(number: number): number {
    return this.#pcs[number]!;
  }

  undone(number: number): number {
    return Math.max(this.#undone[number]!, 0);
  }

  isSyscall(number: number): boolean {
    return this.#undone[number] === SYSCALL;
  }

  watched(number: number): WatchedExit | undefined {
    return this.#watched.get(number);
  }

  clear(): void {
    this.#length = 1;
    this.#watched.clear();
  }

  /** All of them, but for what only who watches needs, in arrays by number. */
  all(): { readonly pcs: Float64Array; readonly undone: Int32Array } {
    return { pcs: this.#pcs.slice(0, this.#length), undone: this.#undone.slice(0, this.#length) };
  }

  /** Takes over those of another run; there are none yet. */
  adopt(pcs: Float64Array, undone: Int32Array): void {
    this.#pcs = Float64Array.from(pcs);
    this.#undone = Int32Array.from(undone);
    this.#length = pcs.length;
  }
}
