// Exits at which compiled code goes on by itself (`emitLeft`): where the budget does not suffice, or has ended, and there is an exact bridge.

import {
  PLACE_BITS,
  PLACE_ENTRY,
  PLACE_NUMBER,
  PLACE_PC,
  PLACE_RETURN,
  PLACE_SLOT,
  PLACE_UNDONE,
  PLACES,
} from '../engine/layout.ts';
import { numberOf, slotOf } from './bridges.ts';

const at = (exit: number): number => (PLACES + (exit & ((1 << PLACE_BITS) - 1)) * PLACE_ENTRY) >>> 2;

export class ExitPlaces {
  readonly #i32: Int32Array;
  #used = false;

  constructor(i32: Int32Array) {
    this.#i32 = i32;
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
    const i32 = this.#i32;
    const word = at(exit);
    i32[word] = exit;
    i32[word + (PLACE_SLOT >>> 2)] = place < 0 ? -1 : slotOf(place);
    i32[word + (PLACE_NUMBER >>> 2)] = place < 0 ? 0 : numberOf(place);
    i32[word + (PLACE_UNDONE >>> 2)] = undone;
    this.#setAddress(word + (PLACE_PC >>> 2), pc);
    this.#setAddress(word + (PLACE_RETURN >>> 2), epc);
    this.#used = true;
  }

  /** Forgets all of them. */
  clear(): void {
    // Mostly there are none, and memory that was never touched is not to be.
    if (this.#used) this.#i32.fill(0, at(0), at(0) + ((PLACE_ENTRY << PLACE_BITS) >>> 2));
    this.#used = false;
  }
}
