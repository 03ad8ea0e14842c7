// Which addresses compiled blocks hold, those of earlier runs included.

import type { Block } from './blocks.ts';

export class Coverage {
  /** Where blocks begin, and where they end. */
  readonly #ends = new Map<number, number>();

  add(block: Block): void {
    const last = block.items.at(-1);
    if (last === undefined) return;
    this.#ends.set(block.pc, last.pc + last.instruction.length + (last.slot?.length ?? 0));
  }

  /** Whether a block begins here. */
  begins(pc: number): boolean {
    return this.#ends.has(pc);
  }

  /** Those of some addresses that no block holds, not even in its middle. */
  lacks(pcs: readonly number[]): number[] {
    const starts = Float64Array.from(this.#ends.keys()).sort();
    /** For each start: where the furthest of the blocks ends that begin there or before. */
    const ends: number[] = [];
    let furthest = 0;
    for (const start of starts) {
      furthest = Math.max(furthest, this.#ends.get(start)!);
      ends.push(furthest);
    }
    let i = 0;
    return [...pcs]
      .sort((a, b) => a - b)
      .filter((pc) => {
        while (i < starts.length && starts[i]! <= pc) i++;
        return i === 0 || ends[i - 1]! <= pc;
      });
  }

  clear(): void {
    this.#ends.clear();
  }

  /** Where all blocks begin, and how many bytes they have. */
  all(): { readonly starts: Float64Array; readonly sizes: Int32Array } {
    return {
      starts: Float64Array.from(this.#ends.keys()),
      sizes: Int32Array.from([...this.#ends].map(([pc, end]) => end - pc)),
    };
  }

  /** Adds the blocks of another run. */
  adopt(starts: Float64Array, sizes: Int32Array): void {
    for (const [i, start] of starts.entries()) this.#ends.set(start, start + sizes[i]!);
  }
}
