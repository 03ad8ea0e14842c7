// Bridges: short units of the way from one address to the next entries, for what the other units do not do.
//
// They begin where the evaluator took over in the middle of what is compiled: where a thread was left at the end of its quantum, where a
// signal's handler returns to, places in runtime.duffzero that are called. And where a unit found its budget too small for the block that
// comes next: such a bridge is exact, which takes more code. It asks before each instruction, stops where the budget ends, and can be entered
// at each, so that what is interrupted there goes on by the same bridge.

import type { Isa } from '../../isa/dsl/isa.ts';
import { BRIDGE_JUMPS } from '../engine/layout.ts';
import { firstOf } from './first-of.ts';
import { beginJumps, forgetJumps, putBridgeJump } from './jumps.ts';
import { type LinkImage, Links } from './links.ts';

/** Addresses, and the place of each in an exact bridge. */
interface PlacedBridges {
  readonly pcs: Float64Array;
  readonly places: Int32Array;
}

export interface BridgeImage {
  /** Those that exact bridges can be entered at, in order. */
  readonly bridges: PlacedBridges;
  /** Of them those that the driver found. */
  readonly linkedBridges: LinkImage;
}

const NO_BRIDGES: PlacedBridges = { pcs: new Float64Array(0), places: new Int32Array(0) };

const placed = (bridges: readonly (readonly [pc: number, place: number])[]): PlacedBridges => ({
  pcs: Float64Array.from(bridges, ([pc]) => pc),
  places: Int32Array.from(bridges, ([, place]) => place),
});

/** A place in a bridge as one number: its slot, and the number of an entry, of which there are no more than that leaves room for. */
const NUMBER_BITS = 8;
export const MOST_ENTRIES = (1 << NUMBER_BITS) - 1;
export const placeIn = (slot: number, number: number): number => (slot << NUMBER_BITS) | number;
export const slotOf = (place: number): number => place >>> NUMBER_BITS;
export const numberOf = (place: number): number => place & ((1 << NUMBER_BITS) - 1);

/** More addresses are not remembered as wanted. */
const MOST_WANTED = 100_000;

export class Bridges {
  /** Of this run's, those that are exact, by address; the others are entries and nothing else. */
  readonly #places = new Map<number, number>();
  /** Of another run's those that are exact. */
  #adopted = NO_BRIDGES;
  /** Where there is none yet, and the evaluator took over instead: how often because the budget was too small, and how often otherwise. */
  readonly #exhausted = new Map<number, number>();
  readonly #wanted = new Map<number, number>();
  /** Where threads were interrupted: what comes back there belongs to no loop that it would do good to enter. */
  readonly #interrupted = new Set<number>();
  /** Which of them were wanted so often. */
  #pressing: number[] = [];
  readonly #threshold: number;
  readonly #exactThreshold: number;
  readonly #isa: Isa;
  readonly #i32: Int32Array;
  /** Those that the driver goes to by itself: their units are there. */
  readonly links: Links;

  /**
   * @param i32 the one memory
   * @param threshold evaluations by which a bridge is pressing
   * @param exactThreshold the same for one that is to be exact
   */
  constructor(isa: Isa, i32: Int32Array, threshold: number, exactThreshold: number) {
    this.#isa = isa;
    this.#i32 = i32;
    beginJumps(i32, isa, BRIDGE_JUMPS);
    this.links = new Links((pc) => {
      const place = this.place(pc);
      putBridgeJump(i32, isa, pc, slotOf(place), numberOf(place));
    });
    this.#threshold = threshold;
    this.#exactThreshold = exactThreshold;
  }

  /** The place in an exact bridge that stands for `pc`; negative where there is none. */
  place(pc: number): number {
    const place = this.#places.get(pc);
    if (place !== undefined) return place;
    const { pcs, places } = this.#adopted;
    const i = firstOf(pcs.length, (each) => pcs[each]! >= pc);
    return pcs[i] === pc ? places[i]! : -1;
  }

  /** The evaluator takes over at `pc`; with `exhausted`, because the budget is too small for what comes next. */
  want(pc: number, exhausted: boolean): void {
    const wanted = exhausted ? this.#exhausted : this.#wanted;
    const times = (wanted.get(pc) ?? 0) + 1;
    if (times > 1 || wanted.size < MOST_WANTED) wanted.set(pc, times);
    if (times === (exhausted ? this.#exactThreshold : this.#threshold)) this.#pressing.push(pc);
  }

  /** A thread was interrupted and will come back to `pc`. */
  interruptedAt(pc: number): void {
    if (this.#interrupted.size < MOST_WANTED) this.#interrupted.add(pc);
  }

  wasInterrupted(pc: number): boolean {
    return this.#interrupted.has(pc);
  }

  /** How many are pressing. */
  get pressing(): number {
    return this.#pressing.length;
  }

  /** Addresses from which bridges are pressing; they are forgotten. */
  takePressing(): readonly number[] {
    const pcs = this.#pressing;
    this.#pressing = [];
    for (const pc of pcs) this.#wanted.delete(pc);
    return pcs;
  }

  /** All addresses from which bridges are wanted, most wanted first. Where they are to be exact that is remembered until there is one. */
  takeAll(): readonly number[] {
    const wanted = [...this.#exhausted, ...this.#wanted].sort(([, a], [, b]) => b - a);
    const pcs = [...new Set(wanted.map(([pc]) => pc))];
    this.#wanted.clear();
    this.#pressing = [];
    return pcs;
  }

  /** Whether the bridge from `pc` is to be exact. */
  wantsExact(pc: number): boolean {
    return this.#exhausted.has(pc);
  }

  /** There is one that is exact. */
  add(pc: number, place: number): void {
    this.#places.set(pc, place);
    this.#exhausted.delete(pc);
  }

  /** The slots that they are in. */
  slots(): Set<number> {
    const slots = new Set<number>();
    for (const places of [this.#places.values(), this.#adopted.places])
      for (const place of places) slots.add(slotOf(place));
    return slots;
  }

  /** @param isEntry whether there is an entry at an address, which is to be found there instead */
  all(isEntry: (pc: number) => boolean): BridgeImage {
    const byPc = new Map<number, number>();
    for (const [i, pc] of this.#adopted.pcs.entries()) byPc.set(pc, this.#adopted.places[i]!);
    for (const [pc, place] of this.#places) byPc.set(pc, place);
    return {
      bridges: placed([...byPc].sort(([a], [b]) => a - b)),
      linkedBridges: this.links.image((pc) => (isEntry(pc) ? undefined : slotOf(this.place(pc)))),
    };
  }

  /** Takes over those of another run; there are none yet. */
  adopt({ bridges, linkedBridges }: BridgeImage): void {
    this.#adopted = bridges;
    this.links.adopt(linkedBridges);
  }

  clear(): void {
    // Mostly there are none, and memory that was never touched is not to be.
    if (this.links.clear()) forgetJumps(this.#i32, this.#isa, BRIDGE_JUMPS);
    this.#adopted = NO_BRIDGES;
    this.#places.clear();
    this.#exhausted.clear();
    this.#wanted.clear();
    this.#interrupted.clear();
    this.#pressing = [];
  }
}
