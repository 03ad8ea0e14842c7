// What is compiled together: functions with those that they call, the ways between them, and in the end what a run leaves for the next one.

import type { CompilerParts } from '../engine/compiler.ts';
import { hostMilliseconds } from '../engine/host-clock.ts';
import { BLOCK_SIZE } from '../engine/layout.ts';
import type { Extent } from './blocks.ts';
import type { Compiled } from './compiled.ts';
import type { Plan } from './plan.ts';
import type { Policy } from './policy.ts';
import { CacheFull } from './watch.ts';

/** What is to be compiled, by start of the function: where it was arrived at, or is entered already and to be compiled `again`. */
type Wanted = Map<number, { readonly extent: Extent; readonly pcs: number[]; readonly again: boolean }>;

/** No time is too late. */
const ALWAYS = Number.POSITIVE_INFINITY;

export class Maker {
  readonly #parts: CompilerParts;
  readonly #policy: Policy;
  readonly #compiled: Compiled;
  /** The run is over: what is made now is to be kept, and nothing of it will be called. */
  #later = false;
  /** Who wants to know, meanwhile, that some of it has been made. */
  #working: (() => void) | undefined;

  constructor(parts: CompilerParts, policy: Policy, compiled: Compiled) {
    this.#parts = parts;
    this.#policy = policy;
    this.#compiled = compiled;
  }

  /**
   * What `action` has made is for later runs alone.
   * @param working is called each time when some of it is
   */
  forLater(working: (() => void) | undefined, action: () => void): void {
    this.#later = true;
    this.#working = working;
    try {
      action();
    } finally {
      this.#later = false;
      this.#working = undefined;
    }
  }

  /** Compiles the functions of some addresses and those that they call, in modules of a certain size, `until` it is so late. */
  compile(pcs: readonly number[], until = ALWAYS): void {
    const began = hostMilliseconds();
    if (this.#compiled.held > this.#policy.cacheInstructions) this.#compiled.flush();
    /** By start of the function: it may have been arrived at in its middle, in several places, and call itself. */
    const wanted: Wanted = new Map();
    const want = (pc: number): void => {
      const { start, extent } = this.#compiled.planner.extentOf(pc);
      const found = wanted.get(start);
      if (found === undefined) wanted.set(start, { extent, pcs: [pc], again: false });
      else found.pcs.push(pc);
    };
    for (const pc of pcs) if (!this.#isReached(pc)) want(pc);
    this.#compileWanted(wanted, want, until);
    this.#compiled.stats.milliseconds += hostMilliseconds() - began;
  }

  /**
   * Whether there is code for an address already, so that a bridge to the next entry is all that whoever arrives there lacks: unless it is to
   * be an entry.
   */
  #isReached(pc: number): boolean {
    const { entries, coverage, planner } = this.#compiled;
    if (entries.has(pc)) return true;
    const function_ = planner.function(planner.extentOf(pc).start);
    return function_ !== undefined && !function_.also.includes(pc) && coverage.begins(pc);
  }

  /** Compiles functions, and what `want` adds to them meanwhile. */
  #compileWanted(wanted: Wanted, want: (pc: number) => void, until: number): void {
    let plans: Plan[] = [];
    let size = 0;
    // A map is gone through in the order of insertion, with what is inserted meanwhile.
    for (const [start, { extent, pcs, again }] of wanted) {
      const made = this.#compiled.planner.plans(start, extent, pcs, again);
      plans.push(...made);
      for (const { instructions } of made) size += instructions;
      if (size > this.#policy.batchInstructions) {
        if (!this.#build(plans)) break;
        plans = [];
        size = 0;
        if (hostMilliseconds() > until) break;
      } else
        for (const callee of made.flatMap((each) => this.#compiled.planner.callees(each)))
          if (!wanted.has(this.#compiled.planner.extentOf(callee).start)) want(callee);
    }
    this.#build(plans);
  }

  /** Compiles what was visited often again, `until` it is so late. */
  makeFast(until = ALWAYS): void {
    const began = hostMilliseconds();
    const wanted: Wanted = new Map();
    for (const start of this.#compiled.visits.take()) {
      const function_ = this.#compiled.planner.function(start);
      if (function_ === undefined || function_.fast) continue;
      function_.fast = true;
      const pcs = this.#compiled.entries.of((slot) => this.#compiled.visits.isIn(slot, start));
      wanted.set(start, { extent: this.#compiled.planner.extentOf(start).extent, pcs, again: true });
    }
    if (wanted.size === 0) return;
    this.#compileWanted(wanted, () => undefined, until);
    this.#compiled.stats.milliseconds += hostMilliseconds() - began;
  }

  /** Makes a module of some units; whether there was room. */
  #build(plans: readonly Plan[]): boolean {
    if (plans.length === 0) return true;
    try {
      this.#compiled.add(plans, this.#later);
      if (this.#later) this.#parts.code.forgetInstructions();
      this.#working?.();
      return true;
    } catch (error) {
      if (!(error instanceof CacheFull)) throw error;
      this.#compiled.flush();
      this.#compiled.entries.forgetCells();
      return false;
    }
  }

  /** Compiles what was executed but not often enough for the sake of this run, `until` it is so late. */
  compileRest(until: number): void {
    const { code, isa } = this.#parts;
    const pcs: number[] = [];
    for (const block of code.blocks()) {
      const { heat } = block;
      for (let i = 0; i < heat.length; i++) {
        if (heat[i]! <= 0) continue;
        pcs.push(block.number * BLOCK_SIZE + i * isa.quantum);
      }
    }
    // What is held in the middle of a block was come back to: no reason to cut the block.
    const rest = this.#compiled.coverage
      .lacks(pcs)
      .sort((a, b) => this.#compiled.planner.heatOf(b) - this.#compiled.planner.heatOf(a));
    if (rest.length > 0 && this.#compiled.held <= this.#policy.cacheInstructions) this.compile(rest, until);
  }

  /** Compiles the bridges that are pressing, but for where it is arrivals that say that something is to be compiled. */
  compilePressing(): void {
    const pcs = this.#compiled.bridges.takePressing();
    const lacking = new Set(this.#compiled.coverage.lacks(pcs));
    this.compileBridges(pcs.filter((pc) => !lacking.has(pc) || this.#compiled.planner.heatOf(pc) === 0));
  }

  /**
   * Compiles the ways from where the evaluator took over to the next entries, `until` it is so late: the next run of the program comes by
   * the same places. They are units of their own, because entries there would cost the functions more than they save.
   */
  compileBridges(pcs: readonly number[], until = ALWAYS): void {
    if (this.#compiled.held > this.#policy.cacheInstructions) return;
    const began = hostMilliseconds();
    let plans: Plan[] = [];
    let size = 0;
    // What is interrupted in the middle of one that is exact goes on by it.
    const exactFirst = [...pcs].sort(
      (a, b) => Number(this.#compiled.bridges.wantsExact(b)) - Number(this.#compiled.bridges.wantsExact(a)),
    );
    /** Where what is made now can be entered. */
    const made = new Set<number>();
    const has = (pc: number): boolean => made.has(pc) || this.#compiled.bridges.place(pc) >= 0;
    for (const pc of exactFirst) {
      const exact = this.#compiled.bridges.wantsExact(pc);
      if (has(pc) || (!exact && this.#compiled.entries.has(pc))) continue;
      for (const bridge of exact ? this.#compiled.planner.exactBridges(pc, has) : this.#compiled.planner.bridges(pc)) {
        if (exact) for (const entry of bridge.entries) made.add(entry);
        plans.push(bridge);
        size += bridge.instructions;
      }
      if (size < this.#policy.batchInstructions) continue;
      const room = this.#build(plans);
      plans = [];
      size = 0;
      if (!room || hostMilliseconds() > until) break;
    }
    this.#build(plans);
    this.#compiled.stats.milliseconds += hostMilliseconds() - began;
  }
}
