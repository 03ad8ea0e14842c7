// What compiled code does besides executing: it stops at breakpoints and before calls, tells an observer, and counts.
//
// A breakpoint is a word in memory that its instruction looks at, so that it costs nothing to set and clear one again; only the first
// time, what was compiled without is dropped. Counting is by block, taken back where a block is left in its middle.

import type { Breakpoints, Counter, Observer, Region, Watched } from '../engine/compiler.ts';
import type { Instruction } from '../engine/decode.ts';
import { COUNTS, COUNTS_END, PAGE_SIZE, STOPS, STOPS_END } from '../engine/layout.ts';
import type { Memory } from '../engine/memory.ts';
import type { Block } from './blocks.ts';

/** A table of fixed size is full: all compiled code is dropped and begins anew. */
export class CacheFull extends Error {
  override readonly name = 'CacheFull';
}

const UNKNOWN = 'unknown';

const NOTHING_TO_STOP_AT = { unseen: false, possible: true } as const;

/** Addresses of a block's instructions in the order of execution, slots included. */
function* addressesOf(block: Block): Generator<number> {
  for (const { pc, instruction, slot } of block.items) {
    yield pc;
    if (slot !== undefined) yield pc + instruction.length;
  }
}

export class Watch {
  readonly #memory: Memory;
  observer: Observer | undefined;
  counter: Counter | undefined;
  stopInCallSlots = false;
  #future: ReadonlySet<number> | undefined;
  /** The breakpoints whose words are on; equal to none where there was no room for all of them. */
  #breakpoints: Breakpoints | undefined | typeof UNKNOWN;
  /**
   * In which way code is compiled now: the same for runs whose code looks at the same words; undefined where it has numbers that only
   * this run knows.
   */
  variant: string | undefined = '';
  /** By address: where its word stands. */
  readonly #stops = new Map<number, number>();
  readonly #regions = new Map<Region, number>();
  /** Words that are on: the first of these. They change twice at each request for preemption. */
  readonly #on: number[] = [];
  #onCount = 0;
  #blocks: Block[] = [];
  #observed: { readonly pc: number; readonly instruction: Instruction }[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  /** Whether all is as it is wanted. Asked at each entry from outside; a set of breakpoints is not changed while it is wanted. */
  isCurrent({ breakpoints, futureBreakpoints, stopInCallSlots, observer, counter }: Watched): boolean {
    return (
      breakpoints === this.#breakpoints &&
      futureBreakpoints === this.#future &&
      stopInCallSlots === this.stopInCallSlots &&
      observer === this.observer &&
      counter === this.counter
    );
  }

  /**
   * Takes over what is wanted from now on.
   * @param compiled whether there is code from a page
   * @returns whether what is compiled is `stale`, because it lacks something, and whether compiled code can do it (`possible`)
   */
  update(
    wanted: Watched,
    compiled: (page: number) => boolean,
  ): { readonly stale: boolean; readonly possible: boolean } {
    let stale = wanted.stopInCallSlots !== this.stopInCallSlots || (wanted.observer !== undefined) !== this.observes;
    if (wanted.counter !== this.counter) {
      this.settle();
      stale = true;
    }
    this.stopInCallSlots = wanted.stopInCallSlots;
    this.observer = wanted.observer;
    this.counter = wanted.counter;
    const words = this.#stops.size + this.#regions.size;
    if (wanted.futureBreakpoints !== this.#future) {
      this.#future = wanted.futureBreakpoints;
      // Those that find no room, or code that does not look at them, are seen to when they come.
      for (const pc of this.#future) if (!compiled(Math.floor(pc / PAGE_SIZE))) this.#wordAt(this.#stops, pc);
    }
    const { unseen, possible } = this.#setBreakpoints(wanted.breakpoints, compiled);
    this.#breakpoints = possible ? wanted.breakpoints : UNKNOWN;
    if (stale || this.#stops.size + this.#regions.size !== words) this.variant = this.#variant();
    return { stale: stale || unseen, possible };
  }

  /** Turns the words on that are wanted, and the others off: whether there is code that does not look at one, and words for all. */
  #setBreakpoints(
    wanted: Breakpoints | undefined,
    compiled: (page: number) => boolean,
  ): { readonly unseen: boolean; readonly possible: boolean } {
    if (wanted === undefined && this.#onCount === 0) return NOTHING_TO_STOP_AT;
    const { i32 } = this.#memory;
    for (let i = 0; i < this.#onCount; i++) i32[this.#on[i]! >>> 2] = 0;
    this.#onCount = 0;
    let unseen = false;
    const turnOn = <K>(words: Map<K, number>, key: K, lacks: () => boolean): boolean => {
      const isNew = !words.has(key);
      const at = this.#wordAt(words, key);
      if (at === undefined) return false;
      if (isNew) unseen ||= lacks();
      i32[at >>> 2] = 1;
      this.#on[this.#onCount++] = at;
      return true;
    };
    let possible = true;
    if (wanted instanceof Set) {
      for (const pc of wanted as ReadonlySet<number>)
        possible &&= turnOn(this.#stops, pc, () => compiled(Math.floor(pc / PAGE_SIZE)));
    } else if (wanted !== undefined) possible = turnOn(this.#regions, wanted, () => true);
    return { unseen, possible };
  }

  /** Where the word of a place or region stands, off if it is new; undefined where there is no room for it. */
  #wordAt<K>(words: Map<K, number>, key: K): number | undefined {
    const known = words.get(key);
    if (known !== undefined) return known;
    const at = STOPS + 4 * (this.#stops.size + this.#regions.size);
    if (at >= STOPS_END) return undefined;
    words.set(key, at);
    this.#memory.i32[at >>> 2] = 0;
    return at;
  }

  #variant(): string | undefined {
    if (this.observes || this.counts || this.#regions.size > 0) return undefined;
    return `${this.stopInCallSlots ? 'slots ' : ''}${[...this.#stops.keys()].join(' ')}`;
  }

  /** Where the word of a place stands that all code looks at; 0 where there is none, or something else stops there as well. */
  wordOf(pc: number): number {
    return this.#regions.size > 0 ? 0 : (this.#stops.get(pc) ?? 0);
  }

  /** Where the words stand that decide whether to stop before an instruction: none for most. */
  stopsAt(pc: number): readonly number[] {
    const words: number[] = [];
    const own = this.#stops.get(pc);
    if (own !== undefined) words.push(own);
    for (const [region, at] of this.#regions) if (region.has(pc)) words.push(at);
    return words;
  }

  get observes(): boolean {
    return this.observer !== undefined;
  }

  get counts(): boolean {
    return this.counter !== undefined;
  }

  /** The number by which compiled code tells of an instruction. */
  numberOf(pc: number, instruction: Instruction): number {
    return this.#observed.push({ pc, instruction }) - 1;
  }

  /** Called by compiled code. */
  tell(number: number): void {
    const { pc, instruction } = this.#observed[number]!;
    this.observer?.(pc, instruction);
  }

  /** Where a block is counted. @throws CacheFull */
  countOf(block: Block): number {
    const at = COUNTS + 4 * this.#blocks.length;
    if (at >= COUNTS_END) throw new CacheFull('blocks that are counted');
    this.#blocks.push(block);
    this.#memory.i32[at >>> 2] = 0;
    return at;
  }

  /** A block was left after `executed` of its instructions. */
  leftAfter(block: Block, executed: number): void {
    let n = 0;
    for (const pc of addressesOf(block)) if (n++ >= executed) this.counter?.addTimes(pc, -1);
  }

  /** Hands the counts of blocks to the counter. */
  settle(): void {
    const { i32 } = this.#memory;
    for (const [i, block] of this.#blocks.entries()) {
      const at = (COUNTS >>> 2) + i;
      const times = i32[at]! >>> 0;
      if (times === 0) continue;
      i32[at] = 0;
      for (const pc of addressesOf(block)) this.counter?.addTimes(pc, times);
    }
  }

  /** All compiled code is dropped. */
  clear(): void {
    this.settle();
    this.#blocks = [];
    this.#observed = [];
  }
}
