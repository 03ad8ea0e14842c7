// Where control can come into compiled code, and how compiled code finds these places: by link cells where it knows the address, by the
// jump cache where only the guest does. The evaluator finds them by the heat of its blocks of code.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { CodeBlock, DecodeCache } from '../engine/decode.ts';
import { BLOCK_SIZE, CELL_SIZE, CELLS, CELLS_END, JUMPS } from '../engine/layout.ts';
import { firstOf } from './first-of.ts';
import { beginJumps, forgetJumps, jumpHash, putJump } from './jumps.ts';
import { type LinkImage, Links } from './links.ts';
import { CacheFull } from './watch.ts';

/** The number of the entry at a unit's start: an entry's is its index plus one. */
export const START_ENTRY = 1;

/** A place in a unit. */
export interface Entry {
  /** The table slot of the unit. */
  readonly slot: number;
  readonly number: number;
}

/** The heat of addresses at which there is compiled code. */
const COMPILED = -1;

const LACKING = 1 << 14;
const lackingAt = (pc: number): number => (pc ^ (pc >>> 14)) & (LACKING - 1);
/** Not remembered, so that memory for what is never asked is not touched. */
const NOWHERE = 0;

/** All entries, in order of address, and the addresses that cells stand for, from the first cell on. */
export interface EntryImage {
  readonly entryPcs: Float64Array;
  /** Slot and number of each. */
  readonly entries: Int32Array;
  readonly cells: Float64Array;
  /** The entries that compiled code found by itself. */
  readonly linkedEntries: LinkImage;
}

export class Entries {
  readonly #isa: Isa;
  readonly #i32: Int32Array;
  readonly #code: DecodeCache;
  /** Whether the unit in a slot is not there yet: compiled code does not go to it by itself. */
  readonly #sleeps: (slot: number) => boolean;
  /** Those of this run. */
  readonly #byPc = new Map<number, Entry>();
  /** Those that were taken over: their addresses, in order, and slot and number of each. */
  #adopted: Float64Array = new Float64Array(0);
  #adoptedEntries: Int32Array = new Int32Array(0);
  /** Addresses without one that were asked for last, by the low bits: what is interrupted comes back in the middle of everything. */
  readonly #lacking = new Float64Array(LACKING);
  readonly #cells = new Map<number, number>();
  #nextCell = CELLS;
  /** Those that compiled code goes to by itself: their units are there. */
  readonly links = new Links((pc) => this.#link(pc, this.get(pc)!));

  constructor(isa: Isa, i32: Int32Array, code: DecodeCache, sleeps: (slot: number) => boolean) {
    this.#isa = isa;
    this.#i32 = i32;
    this.#code = code;
    this.#sleeps = sleeps;
    beginJumps(i32, isa, JUMPS);
  }

  get(pc: number): Entry | undefined {
    const lacking = lackingAt(pc);
    if (this.#lacking[lacking] === pc && pc !== NOWHERE) return undefined;
    const known = this.#byPc.get(pc);
    if (known !== undefined) return known;
    const i = this.#firstFrom(pc);
    if (this.#adopted[i] === pc) return this.#adoptedEntry(i);
    this.#lacking[lacking] = pc;
    return undefined;
  }

  has(pc: number): boolean {
    return this.#byPc.has(pc) || this.#adopted[this.#firstFrom(pc)] === pc;
  }

  /** Index of the first entry that was taken over whose address is not below `pc`. */
  #firstFrom(pc: number): number {
    const adopted = this.#adopted;
    return firstOf(adopted.length, (i) => adopted[i]! >= pc);
  }

  #adoptedEntry(i: number): Entry {
    return { slot: this.#adoptedEntries[2 * i]!, number: this.#adoptedEntries[2 * i + 1]! };
  }

  /** All of them, by address. */
  #all(): Map<number, Entry> {
    const all = new Map<number, Entry>();
    for (const [i, pc] of this.#adopted.entries()) all.set(pc, this.#adoptedEntry(i));
    for (const [pc, entry] of this.#byPc) all.set(pc, entry);
    return all;
  }

  /** The slots that they are in. */
  slots(): Set<number> {
    return new Set([...this.#all().values()].map(({ slot }) => slot));
  }

  /** Addresses of those in some slots. */
  of(isIn: (slot: number) => boolean): number[] {
    return [...this.#all()].flatMap(([pc, { slot }]) => (isIn(slot) ? [pc] : []));
  }

  /** Adds one, or puts it in the place of another. */
  add(pc: number, entry: Entry): void {
    this.#byPc.set(pc, entry);
    this.#lacking[lackingAt(pc)] = NOWHERE;
    this.#code.block(pc).heat[this.#code.index(pc)] = COMPILED;
    this.#link(pc, entry);
  }

  /** The word at which the jump cache has slot and number of an address's entry; negative where it has another's. */
  linked(pc: number): number {
    const i32 = this.#i32;
    const at = (JUMPS + jumpHash(this.#isa, pc)) >>> 2;
    return i32[at] === (pc | 0) && i32[at + 1] === Math.floor(pc / 2 ** 32) ? at + 2 : -1;
  }

  #link(pc: number, entry: Entry): void {
    const cell = this.#cells.get(pc);
    if (cell !== undefined) this.#fill(cell, entry);
    putJump(this.#i32, this.#isa, pc, entry.slot, entry.number);
  }

  /** Address of the link cell of `pc`. @throws CacheFull */
  cell(pc: number): number {
    let cell = this.#cells.get(pc);
    if (cell === undefined) {
      if (this.#nextCell + CELL_SIZE > CELLS_END) throw new CacheFull('link cells');
      cell = this.#nextCell;
      this.#nextCell += CELL_SIZE;
      this.#cells.set(pc, cell);
      const entry = this.get(pc);
      this.#fill(cell, entry !== undefined && !this.#sleeps(entry.slot) ? entry : undefined);
    }
    return cell;
  }

  #fill(cell: number, entry: Entry | undefined): void {
    this.#i32[cell >>> 2] = entry?.slot ?? -1;
    this.#i32[(cell >>> 2) + 1] = entry?.number ?? 0;
  }

  /** Tells a block of code what of it is compiled. */
  met({ number, heat }: CodeBlock): void {
    const adopted = this.#adopted;
    const from = number * BLOCK_SIZE;
    for (let i = this.#firstFrom(from); i < adopted.length && adopted[i]! < from + BLOCK_SIZE; i++)
      heat[this.#code.index(adopted[i]!)] = COMPILED;
  }

  all(): EntryImage {
    const entries = [...this.#all()].sort(([a], [b]) => a - b);
    return {
      entryPcs: Float64Array.from(entries, ([pc]) => pc),
      entries: Int32Array.from(entries.flatMap(([, { slot, number }]) => [slot, number])),
      cells: Float64Array.from(this.#cells.keys()),
      linkedEntries: this.links.image((pc) => this.get(pc)?.slot),
    };
  }

  /** Takes over those of another run, whose units all sleep; there are none yet. */
  adopt({ entryPcs, entries, cells, linkedEntries }: EntryImage): void {
    this.forgetCells();
    for (let i = 0; i < cells.length; i++) this.#cells.set(cells[i]!, CELLS + CELL_SIZE * i);
    this.#nextCell = CELLS + CELL_SIZE * cells.length;
    this.#i32.fill(-1, CELLS >>> 2, this.#nextCell >>> 2);
    // Most blocks of code are never looked at any more: only those that are hear of their entries.
    this.#lacking.fill(NOWHERE);
    this.#adopted = entryPcs;
    this.#adoptedEntries = entries;
    this.links.adopt(linkedEntries);
    for (const block of this.#code.blocks()) this.met(block);
  }

  /** Forgets all of them. The cells remain, and lead nowhere. */
  clear(): void {
    this.#byPc.clear();
    this.#adopted = new Float64Array(0);
    this.#adoptedEntries = new Int32Array(0);
    for (const block of this.#code.blocks()) block.heat.fill(0);
    for (const cell of this.#cells.values()) this.#i32[cell >>> 2] = -1;
    this.links.clear();
    forgetJumps(this.#i32, this.#isa, JUMPS);
  }

  /** Forgets which addresses the cells stand for, where no code has any of them. */
  forgetCells(): void {
    this.#cells.clear();
    this.#nextCell = CELLS;
  }
}
