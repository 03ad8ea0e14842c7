// Which addresses compiled blocks hold, those of earlier runs included.

import type { Block } from './blocks.ts';

export class Coverage {
  /** Where blocks begin, and where they end. */
  readonly #known = new Map<number, number>();
  /** Those of another run that are not among them yet: mostly nobody asks. */
  #adopted: { readonly starts: Float64Array; readonly sizes: Int32Array } | undefined;

  get #ends(): Map<number, number> {
    if (this.#adopted !== undefined) {
      const { starts, sizes } = this.#adopted;
      this.#adopted = undefined;
      for (const [i, start] of starts.entries()) this.#known.set(start, start + sizes[i]!);
    }
    return this.#known;
  }

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
    const known = this.#ends;
    const starts = Float64Array.from(known.keys()).sort();
    /** For each start: where the furthest of the blocks ends that begin there or before. */
    const ends: number[] = [];
    let furthest = 0;
    for (const start of starts) {
      furthest = Math.max(furthest, known.get(start)!);
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
    this.#adopted = undefined;
    this.#known.clear();
  }

  /** Where all blocks begin, and how many bytes they have. */
  all(): { readonly starts: Float64Array; readonly sizes: Int32Array } {
    const ends = this.#ends;
    return { starts: Float64Array.from(ends.keys()), sizes: Int32Array.from([...ends].map(([pc, end]) => end - pc)) };
  }

  /** Takes over the blocks of another run; there are none yet. */
  adopt(starts: Float64Array, sizes: Int32Array): void {
    this.#adopted = { starts, sizes };
  }
}
