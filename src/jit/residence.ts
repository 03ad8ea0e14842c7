// Which registers are in a unit's locals where a block begins. What stands in the state block as well is loaded late, by the block that
// reads it or on the way to one that expects it: behind a call, most registers are written before they are read, if that much is executed
// at all, and each that is loaded takes one of the host's registers from then on.

import { endsInCall } from './blocks.ts';
import type { DataFlow } from './dataflow.ts';
import { type Plan, successorsOf } from './plan.ts';
import { both, type RegisterSet, type Usages, without } from './usage.ts';

export class Residence {
  readonly #flow: DataFlow;
  /** Per block: what is in locals when it begins; what it needs to have there; what is there at its end. */
  readonly #expected: RegisterSet[];
  readonly #reads: readonly RegisterSet[];
  readonly #sets: readonly RegisterSet[];

  /** @param parents see `parentsOf` */
  constructor(plan: Plan, flow: DataFlow, parents: Int32Array, index: ReadonlyMap<number, number>, usages: Usages) {
    const { blocks } = plan;
    this.#flow = flow;
    this.#reads = blocks.map((_, i) => flow.reads(i));
    this.#sets = blocks.map((_, i) => flow.sets(i));
    const least = blocks.map((_, i) => this.#least(i, usages));
    for (const [header, body] of plan.base.analysis.loops) {
      // What a loop reads comes before it, but for one with calls, behind which it is read again.
      const nodes = [...body].filter((node) => node > 0);
      if (header === 0 || nodes.some((node) => endsInCall(blocks[node - 1]!))) continue;
      for (const node of nodes) least[header - 1]!.addAll(both(flow.live[header - 1]!, this.#reads[node - 1]!));
    }
    const predecessors: number[][] = blocks.map(() => []);
    const resumed = new Set<number>();
    for (const [i, block] of blocks.entries()) {
      for (const pc of successorsOf(block.flow)) {
        const next = index.get(pc);
        if (next === undefined) continue;
        // Behind a call the locals hold nothing.
        if (endsInCall(block)) resumed.add(next);
        else predecessors[next]!.push(i);
      }
    }
    // What all ways to a block have there anyway stays there, as far as it is read: less and less, beginning with everything.
    this.#expected = blocks.map(() => usages.everything);
    for (let changed = true; changed; ) {
      changed = false;
      for (const i of blocks.keys()) {
        let expected: RegisterSet;
        const parent = parents[i]!;
        if (parent >= 0) expected = this.atEnd(parent);
        else {
          expected = least[i]!.copy();
          const ways = resumed.has(i) ? [] : predecessors[i]!;
          const [first, ...rest] = ways.map((p) => this.atEnd(p));
          if (first !== undefined) expected.addAll(both(rest.reduce(both, first), flow.live[i]!));
        }
        if (expected.equals(this.#expected[i]!)) continue;
        this.#expected[i] = expected;
        changed = true;
      }
    }
  }

  /** What differs from the state block has to be in locals. So have flags, which are not merely loaded. */
  #least(i: number, { flagSet, conditionSet }: Usages): RegisterSet {
    const set = this.#flow.dirty[i]!.copy();
    set.addAll(flagSet);
    set.addAll(conditionSet);
    return both(set, this.#flow.live[i]!);
  }

  /** What is in locals when a block begins. */
  expected(i: number): RegisterSet {
    return this.#expected[i]!;
  }

  /** What a block loads at its beginning. */
  missing(i: number): RegisterSet {
    return without(this.#reads[i]!, this.#expected[i]!);
  }

  /** What is in locals at a block's end. */
  atEnd(i: number): RegisterSet {
    const set = this.#expected[i]!.copy();
    set.addAll(this.#reads[i]!);
    set.addAll(this.#sets[i]!);
    return set;
  }

  /** What is loaded on the way from the end of one block to another. */
  between(from: number, to: number): RegisterSet {
    return without(this.#expected[to]!, this.atEnd(from));
  }
}
