// What the blocks of a unit need of each other: which registers differ from the state block, and which are read later on.

import type { Instruction } from '../engine/decode.ts';
import { type Block, endsInCall, isSwitched, skipsSlot } from './blocks.ts';
import { isHead, type Plan, successorsOf } from './plan.ts';
import { RegisterSet, type Usage, type Usages } from './usage.ts';

/** An instruction in a block. */
interface Executed {
  readonly usage: Usage;
  /** Compiled code may be left before it. */
  readonly mayExit: boolean;
  /** The slot of a branch that is executed only where the branch is taken. */
  readonly maySkip: boolean;
}

/** Stubs of a unit, the general ones included. */
const MOST_STUBS = 64;

export class DataFlow {
  /** Per block: what may differ from the state block, and what is read, at its beginning. */
  readonly dirty: readonly RegisterSet[];
  readonly live: readonly RegisterSet[];
  readonly #plan: Plan;
  readonly #usages: Usages;
  readonly #stops: (pc: number) => boolean;
  /** Registers that have no locals: they never differ, and are always read. */
  readonly #inState: RegisterSet;
  readonly #index: ReadonlyMap<number, number>;
  /** Of what the unit sets: the plain registers, the recipe for the flags, the flags. */
  readonly #plain = new RegisterSet();
  readonly #recipe = new RegisterSet();
  readonly #flags = new RegisterSet();
  readonly #stubSets: RegisterSet[];
  /** Numbers of exact stubs, by a hash of what they store. */
  readonly #stubsByHash = new Map<number, number[]>();
  readonly #sequences = new Map<Block, Executed[]>();

  /**
   * @param stops whether the unit may be left before the instruction at `pc` whatever that does
   * @param inState the registers that have no locals
   */
  constructor(plan: Plan, usages: Usages, stops: (pc: number) => boolean, inState: RegisterSet) {
    this.#plan = plan;
    this.#usages = usages;
    this.#stops = stops;
    this.#inState = inState;
    this.#index = new Map(plan.blocks.map((b, i) => [b.pc, i]));
    this.dirty = plan.blocks.map(() => new RegisterSet());
    this.live = plan.blocks.map(() => new RegisterSet());
    this.#flowDirty();
    this.#stubSets = [0, 1, 2, 3].map((stub) => this.#general(stub));
    this.#flowLive();
  }

  /** A block's instructions, slots included. */
  #sequence(block: Block): readonly Executed[] {
    let out = this.#sequences.get(block);
    if (out !== undefined) return out;
    out = [];
    const { exact } = this.#plan;
    const add = (pc: number, instruction: Instruction, leaves: boolean, maySkip: boolean): void => {
      const usage = this.#usages.of(instruction);
      out!.push({ usage, mayExit: usage.mayExit || leaves || exact || this.#stops(pc), maySkip });
    };
    for (const item of block.items) {
      const { pc, instruction, slot } = item;
      add(pc, instruction, isSwitched(item), false);
      if (slot !== undefined) add(pc + instruction.length, slot, false, skipsSlot(instruction));
    }
    this.#sequences.set(block, out);
    return out;
  }

  #blockSuccessors(block: Block): number[] {
    const out: number[] = [];
    for (const pc of successorsOf(block.flow)) {
      const i = this.#index.get(pc);
      if (i !== undefined) out.push(i);
    }
    return out;
  }

  #flowDirty(): void {
    const { blocks } = this.#plan;
    const sets = blocks.map((block) => {
      const all = new RegisterSet();
      for (const { usage } of this.#sequence(block)) all.addAll(usage.dirties);
      return all;
    });
    for (const all of sets) this.#plain.addAll(all);
    this.#plain.removeAll(this.#inState);
    this.#plain.removeAll(this.#usages.flagSet);
    this.#plain.removeAll(this.#usages.recipeSet);
    this.#recipe.addAll(this.#usages.recipeSet);
    this.#flags.addAll(this.#usages.flagSet);
    const work = blocks.map((_, i) => i);
    for (let i = work.pop(); i !== undefined; i = work.pop()) {
      const block = blocks[i]!;
      if (endsInCall(block)) continue;
      const out = this.#dirtyAtEnd(i);
      for (const next of this.#blockSuccessors(block)) if (this.dirty[next]!.addAll(out)) work.push(next);
    }
  }

  #flowLive(): void {
    const { blocks } = this.#plan;
    const predecessors: number[][] = blocks.map(() => []);
    for (const [i, block] of blocks.entries())
      for (const next of this.#blockSuccessors(block)) predecessors[next]!.push(i);
    const queued = new Uint8Array(blocks.length).fill(1);
    const work = blocks.map((_, i) => i);
    for (let i = work.pop(); i !== undefined; i = work.pop()) {
      queued[i] = 0;
      const live = this.#liveAfter(i);
      this.#backward(i, live, undefined);
      if (this.#leavesFirst(i)) this.#addStored(this.dirty[i]!, live);
      if (!this.live[i]!.addAll(live)) continue;
      for (const p of predecessors[i]!) {
        if (queued[p] === 1) continue;
        queued[p] = 1;
        work.push(p);
      }
    }
  }

  /** How many stubs there are. */
  get stubs(): number {
    return this.#stubSets.length;
  }

  /**
   * Number of the stub that stores what is dirty, -1 where nothing is. Each set has a stub of its own, which stores no more, so that the
   * rest need not be in locals; in a unit that has very many of them the later ones share general stubs.
   */
  stubFor(dirty: RegisterSet): number {
    if (dirty.empty) return -1;
    const hash = dirty.a ^ Math.imul(dirty.b, 0x9e3779b1) ^ Math.imul(dirty.c, 0x85ebca6b);
    let numbers = this.#stubsByHash.get(hash);
    for (const number of numbers ?? []) if (this.#stubSets[number]!.equals(dirty)) return number;
    if (this.#stubSets.length >= MOST_STUBS)
      return (dirty.meets(this.#recipe) ? 1 : 0) | (dirty.meets(this.#flags) ? 2 : 0);
    if (numbers === undefined) {
      numbers = [];
      this.#stubsByHash.set(hash, numbers);
    }
    const number = this.#stubSets.push(dirty.copy()) - 1;
    numbers.push(number);
    return number;
  }

  /** What it stores; never to be changed. */
  stubSet(stub: number): RegisterSet {
    return this.#stubSets[stub]!;
  }

  /** What a general stub stores: of what the unit sets, the plain registers; 1 and 2 for the recipe and the flags as well. */
  #general(stub: number): RegisterSet {
    const set = this.#plain.copy();
    if ((stub & 1) !== 0) set.addAll(this.#recipe);
    if ((stub & 2) !== 0) set.addAll(this.#flags);
    return set;
  }

  /** Adds what is read when control leaves here. */
  #addStored(dirty: RegisterSet, live: RegisterSet): void {
    const stub = this.stubFor(dirty);
    if (stub >= 0) live.addAll(this.stubSet(stub));
  }

  /** What may differ from the state block at a block's end; with `skipped`, where the last branch has skipped its slot. */
  #dirtyAtEnd(i: number, skipped = false): RegisterSet {
    const dirty = this.dirty[i]!.copy();
    for (const { usage, maySkip } of this.#sequence(this.#plan.blocks[i]!))
      if (!skipped || !maySkip) this.applyDirt(dirty, usage);
    return dirty;
  }

  /** What an instruction changes of what is dirty. */
  applyDirt(dirty: RegisterSet, usage: Usage): void {
    dirty.removeAll(usage.cleans);
    dirty.addAll(usage.dirties);
    dirty.removeAll(this.#inState);
  }

  #liveAfter(i: number): RegisterSet {
    const block = this.#plan.blocks[i]!;
    const live = this.#storedAfter(i);
    if (!endsInCall(block)) for (const n of this.#blockSuccessors(block)) live.addAll(this.live[n]!);
    return live;
  }

  /** Whether the unit may be left at a block's beginning, for want of budget. At a loop's head that was asked on the way to it. */
  #leavesFirst(i: number): boolean {
    return this.#plan.blocks[i]!.count > 0 && !isHead(this.#plan, i);
  }

  /** What is stored where control leaves the unit behind a block. */
  #storedAfter(i: number): RegisterSet {
    const block = this.#plan.blocks[i]!;
    const { flow } = block;
    const stored = new RegisterSet();
    const dirty = this.#dirtyAtEnd(i);
    if (flow.kind === 'leave' || flow.kind === 'syscall') this.#addStored(dirty, stored);
    else if (
      this.#blockSuccessors(block).length < successorsOf(flow).length ||
      endsInCall(block) ||
      (flow.kind === 'branch' && flow.target === undefined)
    )
      stored.addAll(dirty);
    if (!endsInCall(block) && this.#blockSuccessors(block).some((next) => isHead(this.#plan, next))) {
      this.#addStored(dirty, stored);
      // Where the slot is not executed, what it sets is not dirty.
      if (this.#sequence(block).at(-1)?.maySkip === true) this.#addStored(this.#dirtyAtEnd(i, true), stored);
    }
    return stored;
  }

  /** Registers that a block reads, or stores where it is left, without having set them itself. */
  reads(i: number): RegisterSet {
    const reads = this.#storedAfter(i);
    this.#backward(i, this.#liveAfter(i), undefined, reads);
    if (this.#leavesFirst(i)) this.#addStored(this.dirty[i]!, reads);
    return reads;
  }

  /** Registers that a block sets, whatever comes of it. */
  sets(i: number): RegisterSet {
    const sets = new RegisterSet();
    for (const { usage, maySkip } of this.#sequence(this.#plan.blocks[i]!)) if (!maySkip) sets.addAll(usage.sets);
    return sets;
  }

  /** For each instruction of a block, which of its operations are needed. */
  needs(i: number): Uint8Array[] {
    const needs: Uint8Array[] = [];
    this.#backward(i, this.#liveAfter(i), needs);
    return needs.reverse();
  }

  /**
   * Goes backwards through a block: what is live behind it becomes what is live before it. With `needs`, notes which operations are
   * needed, in reverse; with `reads`, what is read on the way.
   */
  #backward(i: number, live: RegisterSet, needs: Uint8Array[] | undefined, reads?: RegisterSet): void {
    const block = this.#plan.blocks[i]!;
    const sequence = this.#sequence(block);
    /** The stub for leaving at each instruction that may. */
    const stubs = new Int16Array(sequence.length).fill(-1);
    const dirty = this.dirty[i]!.copy();
    for (let k = 0; k < sequence.length; k++) {
      const { usage, mayExit } = sequence[k]!;
      if (mayExit) stubs[k] = this.stubFor(dirty);
      this.applyDirt(dirty, usage);
    }
    for (let k = sequence.length - 1; k >= 0; k--) {
      const { usage, maySkip } = sequence[k]!;
      live.addAll(this.#inState);
      needs?.push(this.#usages.needed(usage.list, live));
      const read = this.#usages.reads(usage, live);
      if (stubs[k]! >= 0) read.addAll(this.stubSet(stubs[k]!));
      for (const set of reads === undefined ? [live] : [live, reads]) {
        if (!maySkip) set.removeAll(usage.sets);
        set.addAll(read);
      }
    }
  }
}
