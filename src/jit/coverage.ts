// Which addresses compiled blocks hold, those of earlier runs included.

import type { Block } from './blocks.ts';
import { firstOf } from './first-of.ts';

/** Where blocks begin, in order, and how many bytes each of them has. */
interface Blocks {
  readonly starts: Float64Array;
  readonly sizes: Int32Array;
}

const NO_BLOCKS: Blocks = { starts: new Float64Array(0), sizes: new Int32Array(0) };

export class Coverage {
  /** Of this run's blocks, by where they begin: how many bytes they have. */
  readonly #sizes = new Map<number, number>();
  /** Another run's: they are looked into where they lie, since mostly nobody asks for more than a few. */
  #adopted = NO_BLOCKS;

  add(block: Block): void {
    const last = block.items.at(-1);
    if (last === undefined) return;
    this.#sizes.set(block.pc, last.pc + last.instruction.length + (last.slot?.length ?? 0) - block.pc);
  }

  /** Whether a block begins here. */
  begins(pc: number): boolean {
    if (this.#sizes.has(pc)) return true;
    const { starts } = this.#adopted;
    return starts[firstOf(starts.length, (i) => starts[i]! >= pc)] === pc;
  }

  /** Those of some addresses that no block holds, not even in its middle. */
  lacks(pcs: readonly number[]): number[] {
    const { starts, sizes } = this.all();
    let i = 0;
    /** Where the furthest of the blocks ends that begin at the address or before. */
    let end = 0;
    return [...pcs]
      .sort((a, b) => a - b)
      .filter((pc) => {
        for (; i < starts.length && starts[i]! <= pc; i++) end = Math.max(end, starts[i]! + sizes[i]!);
        return end <= pc;
      });
  }

  clear(): void {
    this.#adopted = NO_BLOCKS;
    this.#sizes.clear();
  }

  /** All of them. Where one of this run's begins where another's does, it is that. */
  all(): Blocks {
    const adopted = this.#adopted;
    const own = this.#sizes;
    if (own.size === 0) return adopted;
    const starts = Float64Array.from([...adopted.starts.filter((start) => !own.has(start)), ...own.keys()]).sort();
    const sizes = new Int32Array(starts.length);
    let i = 0;
    for (const [k, start] of starts.entries()) {
      while (i < adopted.starts.length && adopted.starts[i]! < start) i++;
      sizes[k] = own.get(start) ?? adopted.sizes[i]!;
    }
    return { starts, sizes };
  }

  /** Takes over the blocks of another run; there are none yet. */
  adopt(starts: Float64Array, sizes: Int32Array): void {
    this.#adopted = { starts, sizes };
  }
}
