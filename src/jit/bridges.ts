// Bridges: short units of the way from one address to the next entries, for what the other units do not do.
//
// They begin where the evaluator took over in the middle of what is compiled: where a thread was left at the end of its quantum, where a
// signal's handler returns to, places in runtime.duffzero that are called. And where a unit found its budget too small for the block that
// comes next: a bridge asks before each instruction, so that it stops exactly where the budget ends.

/** The addresses that bridges begin at, and the slots that they are in. */
export interface BridgeImage {
  readonly bridgePcs: Float64Array;
  readonly bridgeSlots: Int32Array;
}

/** More addresses are not remembered as wanted. */
const MOST_WANTED = 100_000;

export class Bridges {
  readonly #slots = new Map<number, number>();
  /** Where there is none yet, and the evaluator took over instead: how often. */
  readonly #wanted = new Map<number, number>();
  /** Which of them were wanted so often. */
  #pressing: number[] = [];
  readonly #threshold: number;

  /** @param threshold evaluations by which a bridge is pressing */
  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** The slot of the bridge from `pc`; negative where there is none. */
  slot(pc: number): number {
    return this.#slots.get(pc) ?? -1;
  }

  /** The evaluator takes over at `pc`. */
  want(pc: number): void {
    const times = (this.#wanted.get(pc) ?? 0) + 1;
    if (times > 1 || this.#wanted.size < MOST_WANTED) this.#wanted.set(pc, times);
    if (times === this.#threshold) this.#pressing.push(pc);
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

  /** All addresses from which bridges are wanted, most wanted first; they are forgotten. */
  takeAll(): readonly number[] {
    const pcs = [...this.#wanted].sort(([, a], [, b]) => b - a).map(([pc]) => pc);
    this.#wanted.clear();
    this.#pressing = [];
    return pcs;
  }

  /** There is one. */
  add(pc: number, slot: number): void {
    this.#slots.set(pc, slot);
  }

  /** The slots that they are in. */
  slots(): Iterable<number> {
    return this.#slots.values();
  }

  all(): BridgeImage {
    return {
      bridgePcs: Float64Array.from(this.#slots.keys()),
      bridgeSlots: Int32Array.from(this.#slots.values()),
    };
  }

  /** Takes over those of another run; there are none yet. */
  adopt({ bridgePcs, bridgeSlots }: BridgeImage): void {
    for (const [i, pc] of bridgePcs.entries()) this.#slots.set(pc, bridgeSlots[i]!);
  }

  clear(): void {
    this.#slots.clear();
    this.#wanted.clear();
    this.#pressing = [];
  }
}
