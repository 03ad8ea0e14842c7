// From addresses to units: which function an address is in, what of it was executed and is to be compiled, and what is known of the
// functions that were.

import type { CompilerParts } from '../engine/compiler.ts';
import { GuestFault } from '../engine/memory.ts';
import { type Blocks, type Extent, findBlocks } from './blocks.ts';
import type { Coverage } from './coverage.ts';
import type { Entries } from './entries.ts';
import type { CodeImage } from './image.ts';
import { type Plan, plan } from './plan.ts';
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
}

const known = (also: readonly number[], fast: boolean, adopted: boolean): Known => ({
  also: [...also],
  jumps: new Map(),
  compiled: 0,
  fast,
  adopted,
});

/** What plans are made of and for. */
interface Given {
  readonly parts: CompilerParts;
  readonly extents: FunctionExtents | undefined;
  readonly policy: Policy;
  readonly usages: Usages;
  readonly watch: Watch;
  /** What is compiled. */
  readonly coverage: Coverage;
  readonly entries: Entries;
}

/** Instructions of a unit. What a bridge does not reach the evaluator takes over again, and the next run has another bridge from there. */
const MOST_OF_FUNCTION = 6000;
const MOST_OF_BRIDGE = 50;

export class Planner {
  readonly #given: Given;
  /** By start. */
  readonly #functions = new Map<number, Known>();

  constructor(given: Given) {
    this.#given = given;
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

  /** A unit of a function that was arrived at in some places; undefined where it is to stay with the evaluator. */
  plan(start: number, extent: Extent, pcs: readonly number[]): Plan | undefined {
    const { policy } = this.#given;
    let function_ = this.#functions.get(start);
    if (function_ === undefined) {
      function_ = known([], policy.visits === 0, false);
      this.#functions.set(start, function_);
    }
    if (function_.compiled >= policy.maxCompilations) return undefined;
    const { also } = function_;
    const prunes = function_.compiled < policy.prunings;
    const cold = (at: number): boolean => prunes && this.#isCold(at);
    const { blocks, resumes } = this.#blocks([start, ...also, ...pcs], extent, cold, () => false, MOST_OF_FUNCTION);
    if (blocks.length > policy.maxBlocks) return undefined;
    if (!blocks.some((b) => b.pc === start && b.count > 0)) return undefined;
    function_.compiled++;
    return plan(start, also, pcs, blocks, resumes, false);
  }

  /** A unit of the way from an address in what is compiled to the next entries. */
  bridge(pc: number): Plan | undefined {
    const { entries, policy } = this.#given;
    const { blocks, resumes } = this.#blocks(
      [pc],
      this.extentOf(pc).extent,
      (at) => this.#isCold(at),
      (at) => entries.has(at),
      MOST_OF_BRIDGE,
    );
    if (blocks.length > policy.maxBlocks || !blocks.some((b) => b.pc === pc && b.count > 0)) return undefined;
    return plan(pc, [], [], blocks, resumes, true);
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
    return findBlocks(parts.code, usages.folds, starts, extent, rules, cold);
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
  all(): CodeImage['functions'] {
    return [...this.#functions].map(([start, { also, fast }]) => ({
      start,
      also,
      fast,
    }));
  }

  /** Takes over what another run knew. */
  adopt(functions: CodeImage['functions']): void {
    for (const { start, also, fast } of functions) this.#functions.set(start, known(also, fast, true));
  }

  clear(): void {
    this.#functions.clear();
  }
}
