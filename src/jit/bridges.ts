// Bridges: short units of the way from one address to the next entries, for what the other units do not do.
//
// They begin where the evaluator took over in the middle of what is compiled: where a thread was left at the end of its quantum, where a
// signal's handler returns to, places in runtime.duffzero that are called. And where a unit found its budget too small for the block that
// comes next: such a bridge is exact, which takes more code. It asks before each instruction, and stops where the budget ends.

/** The addresses that exact bridges begin at, and the slots that they are in. */
export interface BridgeImage {
  readonly bridgePcs: Float64Array;
  readonly bridgeSlots: Int32Array;
}

/** More addresses are not remembered as wanted. */
const MOST_WANTED = 100_000;

export class Bridges {
  /** Of those that are exact; the others are entries and nothing else. */
  readonly #slots = new Map<number, number>();
  /** Where a budget was too small, and there is none that is exact. */
  readonly #exhausted = new Set<number>();
  /** Where there is none yet, and the evaluator took over instead: how often. */
  readonly #wanted = new Map<number, number>();
  /** Which of them were wanted so often. */
  #pressing: number[] = [];
  readonly #threshold: number;

  /** @param threshold evaluations by which a bridge is pressing */
  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** The slot of the exact bridge from `pc`; negative where there is none. */
  slot(pc: number): number {
    return this.#slots.get(pc) ?? -1;
  }

  /** The evaluator takes over at `pc`; with `exhausted`, because the budget is too small for what comes next. */
  want(pc: number, exhausted: boolean): void {
    if (exhausted && this.#exhausted.size < MOST_WANTED) this.#exhausted.add(pc);
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

  /** Whether the bridge from `pc` is to be exact. */
  wantsExact(pc: number): boolean {
    return this.#exhausted.has(pc);
  }

  /** There is one that is exact. */
  add(pc: number, slot: number): void {
    this.#slots.set(pc, slot);
    this.#exhausted.delete(pc);
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
    this.#exhausted.clear();
    this.#wanted.clear();
    this.#pressing = [];
  }
}
