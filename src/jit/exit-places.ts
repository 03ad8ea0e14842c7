// Exits at which compiled code goes on by itself (`emitLeft`): where the budget does not suffice, or has ended, and there is an exact bridge.
// Each is learnt when it is first taken, which a way to the host takes longer than all else that is done there: they are kept for the next run.

import {
  type DECIDED_CALL,
  DECIDED_NOTHING,
  type DECIDED_STOP,
  DECISION_ENTRY,
  DECISIONS,
  PASSED,
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
import { firstOf } from './first-of.ts';
import type { Inside } from './inside.ts';
import { isNews } from './links.ts';

/** What a run has learnt, for the next one. */
export interface PlaceImage {
  /** Of each exit what PLACES and DECISIONS have of it, in order of slots. */
  readonly exitPlaces: Int32Array;
  readonly exitDecisions: Int32Array;
  /** By what was decided (`Inside.name`). */
  readonly decidedBy: string;
}

/** Words of an exit, in either. */
const PLACE_WORDS = PLACE_ENTRY >>> 2;
const DECISION_WORDS = (PLACE_HALF_RESUME + 8) >>> 2;

const NOTHING_KEPT: PlaceImage = {
  exitPlaces: new Int32Array(0),
  exitDecisions: new Int32Array(0),
  decidedBy: '',
};

/** Of an exit that no bridge goes on from. */
const NO_SLOT = -1;

const indexOf = (exit: number): number => (exit >>> 1) & ((1 << PLACE_BITS) - 1);
/** First word of what PLACES, and DECISIONS, have of an exit. */
const placeAt = (exit: number): number => (PLACES + indexOf(exit) * PLACE_ENTRY) >>> 2;
const decisionAt = (exit: number): number => (DECISIONS + indexOf(exit) * DECISION_ENTRY) >>> 2;

/** What an exit is that may be passed. */
export type Passed = typeof DECIDED_STOP | typeof DECIDED_CALL;

export class ExitPlaces {
  readonly #i32: Int32Array;
  readonly #inside: () => Inside | undefined;
  #used = false;
  readonly #sleeps: (slot: number) => boolean;
  /** What another run has learnt. */
  #kept: PlaceImage = NOTHING_KEPT;
  /** Whether what was decided there would be decided here. */
  #trusts = true;
  /** How much has been learnt since. */
  #learnt = 0;

  /**
   * @param i32 the one memory
   * @param sleeps whether the unit in a slot is another run's, and not there yet
   */
  constructor(i32: Int32Array, inside: () => Inside | undefined, sleeps: (slot: number) => boolean) {
    this.#i32 = i32;
    this.#inside = inside;
    this.#sleeps = sleeps;
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
    const news =
      place < 0 ? this.#put(exit, undone, NO_SLOT, 0) : this.#put(exit, undone, slotOf(place), numberOf(place));
    if (!news) return;
    const word = decisionAt(exit);
    this.#setAddress(word + (PLACE_PC >>> 2), pc);
    this.#setAddress(word + (PLACE_RETURN >>> 2), epc);
    this.#forgetDecisions(word);
  }

  #forgetDecisions(word: number): void {
    this.#i32[word + (PLACE_DECISION >>> 2)] = DECIDED_NOTHING;
    this.#i32[word + (PLACE_HALF >>> 2)] = DECIDED_NOTHING;
  }

  /**
   * Has the next interrupt at a place taken within compiled code: most places see no second one, and deciding takes longer than an interrupt.
   * What is decided where a call is half executed comes last.
   * @param place its offset from DECISIONS
   */
  decide(place: number): void {
    const word = (DECISIONS + place) >>> 2;
    const plain = this.#i32[word + (PLACE_DECISION >>> 2)]!;
    if (plain === DECIDED_NOTHING) this.#decide(word, false, PLACE_DECISION, PLACE_RESUME);
    else if (plain > 0 && this.#i32[word + (PLACE_HALF >>> 2)] === DECIDED_NOTHING)
      this.#decide(word, true, PLACE_HALF, PLACE_HALF_RESUME);
  }

  #decide(word: number, half: boolean, decisionField: number, resumeField: number): void {
    const inside = this.#inside();
    if (inside === undefined) return;
    const returns = word + (PLACE_RETURN >>> 2);
    const pc = this.#i32[returns + 1]! * 2 ** 32 + (this.#i32[returns]! >>> 0);
    const { decision, resume } = inside.decide(pc, half);
    this.#i32[word + (decisionField >>> 2)] = decision;
    this.#setAddress(word + (resumeField >>> 2), resume);
    this.#learnt++;
  }

  /** The same of a breakpoint, or of a system call, behind which an entry, or an exact bridge, leads on: its slot, and a number. */
  addPassed(exit: number, decision: Passed, undone: number, slot: number, number: number): void {
    if (this.#put(exit, undone, slot, number | PASSED)) this.#i32[decisionAt(exit) + (PLACE_DECISION >>> 2)] = decision;
  }

  /** Whether it is known. */
  has(exit: number): boolean {
    return this.#i32[placeAt(exit)] === exit;
  }

  /** Whether that was not known. Of an exit nothing else changes: what was decided there holds as long as it is known. */
  #put(exit: number, undone: number, slot: number, number: number): boolean {
    const i32 = this.#i32;
    const word = placeAt(exit);
    if (i32[word] === exit && i32[word + (PLACE_SLOT >>> 2)] === slot && i32[word + (PLACE_NUMBER >>> 2)] === number)
      return false;
    i32[word] = exit;
    i32[word + (PLACE_SLOT >>> 2)] = slot;
    i32[word + (PLACE_NUMBER >>> 2)] = number;
    i32[word + (PLACE_UNDONE >>> 2)] = undone;
    this.#used = true;
    this.#learnt++;
    return true;
  }

  // From run to run

  /** Whether so much has been learnt that it is to be kept. */
  get isNews(): boolean {
    return isNews(this.#learnt, this.#keptCount);
  }

  /** All that was learnt. @param inUse whether the unit in a slot is kept as well */
  image(inUse: (slot: number) => boolean): PlaceImage {
    const known: { readonly slot: number; readonly place: Int32Array; readonly decision: Int32Array }[] = [];
    const add = (places: Int32Array, place: number, decisions: Int32Array, decision: number): void => {
      const slot = places[place + (PLACE_SLOT >>> 2)]!;
      if (slot >= 0 && !inUse(slot)) return;
      known.push({
        slot,
        place: places.subarray(place, place + PLACE_WORDS),
        decision: decisions.subarray(decision, decision + DECISION_WORDS),
      });
    };
    const i32 = this.#i32;
    if (this.#used) {
      for (let index = 0; index < 1 << PLACE_BITS; index++)
        if (i32[placeAt(2 * index)] !== 0) add(i32, placeAt(2 * index), i32, decisionAt(2 * index));
    }
    // What somebody else decided is not handed on as ours; those who sleep are learnt anew.
    const { exitPlaces, exitDecisions } = this.#kept;
    for (let k = 0; this.#trusts && k < this.#keptCount; k++)
      if (this.#sleeps(this.#keptSlot(k))) add(exitPlaces, PLACE_WORDS * k, exitDecisions, DECISION_WORDS * k);
    known.sort((a, b) => a.slot - b.slot);
    const image = {
      exitPlaces: new Int32Array(PLACE_WORDS * known.length),
      exitDecisions: new Int32Array(DECISION_WORDS * known.length),
      decidedBy: this.#inside()?.name ?? this.#kept.decidedBy,
    };
    for (const [k, { place, decision }] of known.entries()) {
      image.exitPlaces.set(place, PLACE_WORDS * k);
      image.exitDecisions.set(decision, DECISION_WORDS * k);
    }
    return image;
  }

  /** Begins with what another run has learnt. Where units have to be there first, `awoke` says that they are. */
  adopt(image: PlaceImage): void {
    const inside = this.#inside();
    this.#kept = image;
    this.#trusts = inside === undefined || inside.name === image.decidedBy;
    this.#learnt = 0;
    this.awoke([NO_SLOT]);
  }

  get #keptCount(): number {
    return this.#kept.exitPlaces.length / PLACE_WORDS;
  }

  #keptSlot(k: number): number {
    return this.#kept.exitPlaces[PLACE_WORDS * k + (PLACE_SLOT >>> 2)]!;
  }

  /** The units in some slots, which were another run's, are there now. */
  awoke(slots: readonly number[]): void {
    const count = this.#keptCount;
    if (count === 0) return;
    for (const slot of slots) {
      let k = firstOf(count, (each) => this.#keptSlot(each) >= slot);
      for (; k < count && this.#keptSlot(k) === slot; k++) this.#takeOver(k);
    }
  }

  /** Takes over what is kept of an exit. */
  #takeOver(k: number): void {
    const i32 = this.#i32;
    const { exitPlaces, exitDecisions } = this.#kept;
    const exit = exitPlaces[PLACE_WORDS * k]!;
    const passed = (exitPlaces[PLACE_WORDS * k + (PLACE_NUMBER >>> 2)]! & PASSED) !== 0;
    // What was passed in another's place is to be learnt anew.
    if (passed && !this.#trusts) return;
    const [place, decision] = [placeAt(exit), decisionAt(exit)];
    for (let i = 0; i < PLACE_WORDS; i++) i32[place + i] = exitPlaces[PLACE_WORDS * k + i]!;
    for (let i = 0; i < DECISION_WORDS; i++) i32[decision + i] = exitDecisions[DECISION_WORDS * k + i]!;
    if (!this.#trusts) this.#forgetDecisions(decision);
    this.#used = true;
  }

  /** Forgets all of them. */
  clear(): void {
    this.#kept = NOTHING_KEPT;
    this.#learnt = 0;
    // Mostly there are none, and memory that was never touched is not to be.
    if (this.#used) this.#i32.fill(0, placeAt(0), placeAt(0) + ((PLACE_ENTRY << PLACE_BITS) >>> 2));
    this.#used = false;
  }
}
