// From addresses to units: which function an address is in, what of it was executed and is to be compiled, and what is known of the
// functions that were.

import type { CompilerParts } from '../engine/compiler.ts';
import { GuestFault } from '../engine/memory.ts';
import { type Block, type Blocks, type Extent, split } from './blocks.ts';
import { MOST_ENTRIES } from './bridges.ts';
import type { Coverage } from './coverage.ts';
import type { Entries } from './entries.ts';
import { findBlocks, plan } from './making.ts';
import type { Plan } from './plan.ts';
import type { Policy } from './policy.ts';
import type { Usages } from './usage.ts';
import type { Watch } from './watch.ts';

/** Where functions begin and end, from the program's own tables. */
export type FunctionExtents = (pc: number) => Extent | undefined;

/** What is known of a function that was compiled. */
interface Known {
  /** Addresses at which it is to be entered besides. */
  readonly also: number[];
  /** Indirect jumps to addresses in it that are no entries. */
  readonly jumps: Map<number, number>;
  /** How often it was compiled. */
  compiled: number;
  /** Its code is to be fast from now on, instead of short. */
  fast: boolean;
  /** An earlier run had compiled it. */
  readonly adopted: boolean;
  /** It is too large for one unit: each is of a part, from where it was arrived at, and known by its own start as well. */
  divided: boolean;
}

const known = (also: readonly number[], fast: boolean, adopted: boolean, divided: boolean): Known => ({
  also: [...also],
  jumps: new Map(),
  compiled: 0,
  fast,
  adopted,
  divided,
});

/**
 * What is known of functions, as data: mostly nobody asks for it again. Of each its start, whether it is to be fast and is divided, and how
 * many addresses of `also` are its own.
 */
export interface FunctionImage {
  readonly functionStarts: Float64Array;
  readonly functionFlags: Uint8Array;
  readonly functionAlso: Int32Array;
  readonly also: Float64Array;
}

const FAST = 1;
const DIVIDED = 2;

/** How many operations there are to compile. */
function operationsIn(blocks: readonly Block[]): number {
  let operations = 0;
  for (const { items } of blocks)
    for (const { instruction, slot } of items) operations += instruction.list.ops.length + (slot?.list.ops.length ?? 0);
  return operations;
}

/** What plans are made of and for. */
interface Given {
  readonly parts: CompilerParts;
  readonly extents: FunctionExtents | undefined;
  readonly policy: Policy;
  readonly usages: () => Usages;
  readonly watch: Watch;
  /** What is compiled. */
  readonly coverage: Coverage;
  readonly entries: Entries;
}

/** Instructions of a unit. A function that has more is divided. */
const MOST_OF_FUNCTION = 6000;
const MOST_OF_PART = 2000;
/**
 * What a bridge does not reach the evaluator takes over again, and the next run has another bridge from there: with 200 all is there one run
 * earlier than with 50, in the fourth, and 400 find nothing more.
 */
const MOST_OF_BRIDGE = 200;
/** A bridge that is exact has an entry for each of them. */
const MOST_OF_EXACT = Math.min(100, MOST_ENTRIES);

/** Whether something is executed at `start`. */
const beginsAt = (start: number, blocks: readonly Block[]): boolean =>
  blocks.some(({ pc, count }) => pc === start && count > 0);

export class Planner {
  readonly #given: Given;
  /** By start. */
  readonly #known = new Map<number, Known>();
  /** What another run knew and is not among them yet. */
  #adopted: FunctionImage | undefined;

  constructor(given: Given) {
    this.#given = given;
  }

  get #functions(): Map<number, Known> {
    if (this.#adopted !== undefined) {
      const { functionStarts, functionFlags, functionAlso, also } = this.#adopted;
      this.#adopted = undefined;
      let from = 0;
      for (const [i, start] of functionStarts.entries()) {
        const flags = functionFlags[i]!;
        const own = also.subarray(from, from + functionAlso[i]!);
        from += own.length;
        this.#known.set(start, known([...own], (flags & FAST) !== 0, true, (flags & DIVIDED) !== 0));
      }
    }
    return this.#known;
  }

  /** What is known of the function that begins at `start`, if it was compiled. */
  function(start: number): Known | undefined {
    return this.#functions.get(start);
  }

  /** The function that an address is in. */
  extentOf(pc: number): { readonly start: number; readonly extent: Extent } {
    const { extents, policy } = this.#given;
    const extent = extents?.(pc);
    if (extent !== undefined) return { start: extent.start, extent };
    return {
      start: pc,
      extent: { start: Math.max(pc - policy.reach, 0), end: pc + policy.reach },
    };
  }

  /**
   * Units of a function that was arrived at in some places; none where it is to stay with the evaluator.
   * @param again whether they are to take the place of one unit, which can be entered in all of these places
   */
  plans(start: number, extent: Extent, pcs: readonly number[], again: boolean): Plan[] {
    const { policy } = this.#given;
    const function_ = this.#knownOf(start, false);
    if (function_.compiled >= policy.maxCompilations) return [];
    if (!function_.divided) {
      const { also } = function_;
      const starts = [start, ...also, ...pcs];
      const found = this.#blocks(starts, extent, this.#coldIn(function_), () => false, MOST_OF_FUNCTION);
      const { blocks, resumes, complete } = found;
      if (complete && this.#fits(blocks)) {
        if (!beginsAt(start, blocks)) return [];
        function_.compiled++;
        return [plan(start, also, pcs, blocks, resumes, false)];
      }
      function_.divided = true;
    }
    return again ? this.#part(start, extent, pcs, new Set()) : this.#parts(extent, pcs);
  }

  /** Units of parts of a function. */
  #parts(extent: Extent, pcs: readonly number[]): Plan[] {
    const made: Plan[] = [];
    const entered = new Set<number>();
    const held = new Set<number>();
    for (const pc of [...pcs].sort((a, b) => a - b)) {
      if (held.has(pc)) continue;
      for (const part of this.#part(pc, extent, [], entered)) {
        made.push(part);
        for (const entry of part.entries) entered.add(entry);
        for (const { items } of part.blocks) for (const item of items) held.add(item.pc);
      }
    }
    return made;
  }

  /**
   * A unit from a place on, up to those that can be entered otherwise.
   * @param also entries of its own
   * @param entered what is going to be an entry
   */
  #part(start: number, extent: Extent, also: readonly number[], entered: ReadonlySet<number>): Plan[] {
    const { entries } = this.#given;
    const part = this.#knownOf(start, true);
    const cold = this.#coldIn(part);
    const ends = (at: number): boolean => entered.has(at) || entries.has(at);
    for (let most = MOST_OF_PART; most > 0; most >>>= 1) {
      const { blocks, resumes } = this.#blocks([start, ...also], extent, cold, ends, most);
      if (!this.#fits(blocks)) continue;
      if (!beginsAt(start, blocks)) break;
      part.compiled++;
      return [plan(start, also, [], blocks, resumes, false)];
    }
    return [];
  }

  /** Whether blocks are not too many for a unit. */
  #fits(blocks: readonly Block[]): boolean {
    const { maxBlocks, maxOperations } = this.#given.policy;
    return blocks.length <= maxBlocks && operationsIn(blocks) <= maxOperations;
  }

  /** What is known of a function or part, from now on if nothing is. */
  #knownOf(start: number, divided: boolean): Known {
    let function_ = this.#functions.get(start);
    if (function_ === undefined) {
      function_ = known([], this.#given.policy.visits === 0, false, divided);
      this.#functions.set(start, function_);
    }
    return function_;
  }

  /** What is to be left out of a function. */
  #coldIn({ compiled }: Known): (pc: number) => boolean {
    return compiled < this.#given.policy.prunings ? (at) => this.#isCold(at) : () => false;
  }

  /** A unit of the way from an address in what is compiled to the next entries; none where there is nothing to execute. */
  bridges(pc: number): Plan[] {
    const { entries } = this.#given;
    const { blocks, resumes } = this.#way(pc, (at) => entries.has(at), MOST_OF_BRIDGE);
    return this.#begins(pc, blocks) ? [plan(pc, [], [], blocks, resumes, false)] : [];
  }

  /**
   * The same, exact, which can be entered at each instruction. Where control can come into other code at the address, as at a loop's head,
   * the rest is a unit of its own: else the loop would go on here.
   * @param has whether another one can be entered there
   */
  exactBridges(pc: number, has: (at: number) => boolean): Plan[] {
    const { entries } = this.#given;
    if (!entries.has(pc)) return this.#exact(pc, (at) => entries.has(at) || has(at));
    const first = this.#exact(pc, (at) => at !== pc);
    const flow = first[0]?.blocks[0]?.flow;
    if (flow?.kind !== 'fall' || entries.has(flow.next) || has(flow.next)) return first;
    return [...first, ...this.#exact(flow.next, (at) => entries.has(at) || has(at))];
  }

  #exact(pc: number, ends: (at: number) => boolean): Plan[] {
    const blocks = this.#way(pc, ends, MOST_OF_EXACT).blocks.flatMap(split);
    const all = blocks.map((block) => block.pc);
    return this.#begins(pc, blocks) ? [plan(pc, all, [], blocks, [], true)] : [];
  }

  #way(pc: number, ends: (at: number) => boolean, most: number): Blocks {
    return this.#blocks([pc], this.extentOf(pc).extent, (at) => this.#isCold(at), ends, most);
  }

  #begins(pc: number, blocks: readonly Block[]): boolean {
    return this.#fits(blocks) && beginsAt(pc, blocks);
  }

  #blocks(
    starts: readonly number[],
    extent: Extent,
    cold: (pc: number) => boolean,
    ends: (pc: number) => boolean,
    most: number,
  ): Blocks {
    const { parts, usages, watch } = this.#given;
    const { stopInCallSlots: leaveCalls, counts: whole } = watch;
    const rules = {
      delaySlot: parts.isa.variant.delaySlot,
      leaveCalls,
      whole,
      ends,
      most,
    };
    return findBlocks(parts.code, usages().folds, starts, extent, rules, cold);
  }

  /** Never arrived at by the evaluator, in this run or those before it whose code this one has. */
  #isCold(pc: number): boolean {
    if (this.#given.coverage.begins(pc)) return false;
    try {
      const { code } = this.#given.parts;
      return code.block(pc).heat[code.index(pc)] === 0;
    } catch (error) {
      if (error instanceof GuestFault) return true;
      throw error;
    }
  }

  /** Arrivals at an address; 0 where there is no code, and where it is compiled. */
  heatOf(pc: number): number {
    try {
      const { code } = this.#given.parts;
      return Math.max(code.block(pc).heat[code.index(pc)]!, 0);
    } catch (error) {
      if (error instanceof GuestFault) return 0;
      throw error;
    }
  }

  /** What to compile along: the functions that this one calls and that have been called before. */
  callees(p: Plan): number[] {
    const { entries, policy } = this.#given;
    const out: number[] = [];
    const own = new Set(p.blocks.map((b) => b.pc));
    for (const { flow } of p.blocks) {
      if (flow.kind !== 'branch' || flow.target === undefined) continue;
      const { target } = flow;
      if (own.has(target) || entries.has(target)) continue;
      if (this.heatOf(target) >= policy.alongThreshold) out.push(target);
    }
    return out;
  }

  /** What the next run is to know of functions. */
  all(): FunctionImage {
    if (this.#adopted !== undefined) return this.#adopted;
    const functions = [...this.#known.values()];
    return {
      functionStarts: Float64Array.from(this.#known.keys()),
      functionFlags: Uint8Array.from(functions, ({ fast, divided }) => (fast ? FAST : 0) | (divided ? DIVIDED : 0)),
      functionAlso: Int32Array.from(functions, ({ also }) => also.length),
      also: Float64Array.from(functions.flatMap(({ also }) => also)),
    };
  }

  /** Takes over what another run knew; there is nothing yet. */
  adopt({ functionStarts, functionFlags, functionAlso, also }: FunctionImage): void {
    this.#adopted = { functionStarts, functionFlags, functionAlso, also };
  }

  clear(): void {
    this.#known.clear();
    this.#adopted = undefined;
  }
}
