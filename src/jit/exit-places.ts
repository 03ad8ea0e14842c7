// Exits at which compiled code goes on by itself (`emitLeft`): where the budget does not suffice, or has ended, and there is an exact bridge.

import {
  type DECIDED_CALL,
  DECIDED_NOTHING,
  type DECIDED_STOP,
  PLACE_BITS,
  PLACE_DECISION,
  PLACE_ENTRY,
  PLACE_HALF,
  PLACE_HALF_RESUME,
  PLACE_NUMBER,
  PLACE_PC,
  PLACE_RESUME,
  PLACE_RETURN,
  PLACE_SLOT,
  PLACE_UNDONE,
  PLACES,
} from '../engine/layout.ts';
import { numberOf, slotOf } from './bridges.ts';
import type { Inside } from './inside.ts';

const at = (exit: number): number => (PLACES + (exit & ((1 << PLACE_BITS) - 1)) * PLACE_ENTRY) >>> 2;

/** What an exit is that may be passed. */
export type Passed = typeof DECIDED_STOP | typeof DECIDED_CALL;

export class ExitPlaces {
  readonly #i32: Int32Array;
  readonly #inside: () => Inside | undefined;
  #used = false;

  constructor(i32: Int32Array, inside: () => Inside | undefined) {
    this.#i32 = i32;
    this.#inside = inside;
  }

  #setAddress(word: number, address: number): void {
    this.#i32[word] = address | 0;
    this.#i32[word + 1] = Math.floor(address / 2 ** 32);
  }

  /**
   * Lets compiled code go on at an exit where nothing is lacking but budget.
   * @param undone how many of the instructions that were counted are not executed
   * @param pc its address
   * @param epc where an interrupt there returns to
   * @param place of the bridge that stands for `epc`, whose unit is there; negative where there is none
   */
  add(exit: number, undone: number, pc: number, epc: number, place: number): void {
    const word = place < 0 ? this.#put(exit, undone, -1, 0) : this.#put(exit, undone, slotOf(place), numberOf(place));
    this.#setAddress(word + (PLACE_PC >>> 2), pc);
    this.#setAddress(word + (PLACE_RETURN >>> 2), epc);
    this.#i32[word + (PLACE_DECISION >>> 2)] = DECIDED_NOTHING;
    this.#i32[word + (PLACE_HALF >>> 2)] = DECIDED_NOTHING;
  }

  /**
   * Has the next interrupt at a place taken within compiled code: most places see no second one, and deciding takes longer than an interrupt.
   * What is decided where a call is half executed comes last.
   * @param place its offset from PLACES
   */
  decide(place: number): void {
    const word = (PLACES + place) >>> 2;
    const plain = this.#i32[word + (PLACE_DECISION >>> 2)]!;
    if (plain === DECIDED_NOTHING) this.#decide(word, false, PLACE_DECISION, PLACE_RESUME);
    else if (plain > 0 && this.#i32[word + (PLACE_HALF >>> 2)] === DECIDED_NOTHING)
      this.#decide(word, true, PLACE_HALF, PLACE_HALF_RESUME);
  }

  #decide(word: number, half: boolean, decisionAt: number, resumeAt: number): void {
    const inside = this.#inside();
    if (inside === undefined) return;
    const returns = word + (PLACE_RETURN >>> 2);
    const pc = this.#i32[returns + 1]! * 2 ** 32 + (this.#i32[returns]! >>> 0);
    const { decision, resume } = inside.decide(pc, half);
    this.#i32[word + (decisionAt >>> 2)] = decision;
    this.#setAddress(word + (resumeAt >>> 2), resume);
  }

  /** The same of a breakpoint, or of a system call, behind which an entry, or an exact bridge, leads on: its slot, and a number. */
  addPassed(exit: number, decision: Passed, undone: number, slot: number, number: number): void {
    const word = this.#put(exit, undone, slot, number);
    this.#i32[word + (PLACE_DECISION >>> 2)] = decision;
  }

  /** Whether it is known. */
  has(exit: number): boolean {
    return this.#i32[at(exit)] === exit;
  }

  #put(exit: number, undone: number, slot: number, number: number): number {
    const i32 = this.#i32;
    const word = at(exit);
    i32[word] = exit;
    i32[word + (PLACE_SLOT >>> 2)] = slot;
    i32[word + (PLACE_NUMBER >>> 2)] = number;
    i32[word + (PLACE_UNDONE >>> 2)] = undone;
    this.#used = true;
    return word;
  }

  /** Forgets all of them. */
  clear(): void {
    // Mostly there are none, and memory that was never touched is not to be.
    if (this.#used) this.#i32.fill(0, at(0), at(0) + ((PLACE_ENTRY << PLACE_BITS) >>> 2));
    this.#used = false;
  }
}
