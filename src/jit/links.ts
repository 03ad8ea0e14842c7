// The addresses for which compiled code finds what to go on with by itself, because an earlier look said so: kept for the next run, where each
// would be a way to the host once more.

import { firstOf } from './first-of.ts';

/** Addresses, and the slot that each leads to, in order of slots. */
export interface LinkImage {
  readonly pcs: Float64Array;
  readonly slots: Int32Array;
}

export const NO_LINKS: LinkImage = { pcs: new Float64Array(0), slots: new Int32Array(0) };

/** What a run has learnt is kept if it is more than this, and than a share of what was known: else all that is kept were written for little. */
const LEAST_NEWS = 32;
const NEWS_SHARE = 1 / 16;

/** Whether so much has been learnt that it is to be kept, where so much was known. */
export const isNews = (learnt: number, known: number): boolean => learnt > LEAST_NEWS + known * NEWS_SHARE;

export class Links {
  /** This run's. */
  readonly #own = new Set<number>();
  /** Another run's. */
  #adopted = NO_LINKS;
  readonly #link: (pc: number) => void;

  /** @param link lets compiled code find what an address leads to, whose unit is there */
  constructor(link: (pc: number) => void) {
    this.#link = link;
  }

  /** Links an address. */
  add(pc: number): void {
    this.#link(pc);
    this.#own.add(pc);
  }

  /** The units in some slots, which were another run's, are there now. */
  awoke(slots: readonly number[]): void {
    const adopted = this.#adopted;
    if (adopted === NO_LINKS) return;
    for (const slot of slots) {
      let i = firstOf(adopted.slots.length, (each) => adopted.slots[each]! >= slot);
      for (; adopted.slots[i] === slot; i++) this.#link(adopted.pcs[i]!);
    }
  }

  /** Whether so many have been linked that were not known before. */
  get isNews(): boolean {
    const { pcs } = this.#adopted;
    if (!isNews(this.#own.size, pcs.length)) return false;
    // Those that share an entry of a table are linked again and again.
    const known = new Set(pcs);
    return isNews([...this.#own].filter((pc) => !known.has(pc)).length, pcs.length);
  }

  /** All of them. @param slotOf the slot that an address leads to; undefined where it leads to none */
  image(slotOf: (pc: number) => number | undefined): LinkImage {
    const links: (readonly [pc: number, slot: number])[] = [];
    for (const pc of new Set([...this.#adopted.pcs, ...this.#own])) {
      const slot = slotOf(pc);
      if (slot !== undefined) links.push([pc, slot]);
    }
    links.sort(([, a], [, b]) => a - b);
    return { pcs: Float64Array.from(links, ([pc]) => pc), slots: Int32Array.from(links, ([, slot]) => slot) };
  }

  /** Takes over those of another run; there are none yet. */
  adopt(image: LinkImage): void {
    this.#adopted = image;
  }

  /** Forgets all of them. Whether there were any. */
  clear(): boolean {
    const any = this.#own.size + this.#adopted.pcs.length > 0;
    this.#own.clear();
    this.#adopted = NO_LINKS;
    return any;
  }
}
