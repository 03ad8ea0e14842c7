// Places of one goroutine (PC and SP) and what is known of each: asked, filled and cleared at nearly every interrupt, so by number, and
// without making anything.

const AT_FIRST = 16;

export class Places<T> {
  #pcs = new Float64Array(AT_FIRST);
  #sps = new Float64Array(AT_FIRST);
  /** A slot is taken where this says so of the present generation: clearing begins the next one. */
  #taken = new Float64Array(AT_FIRST);
  #known: T[] = [];
  #generation = 1;
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** The slot of a place, or the free one where it belongs. Half of them are free at least. */
  #slot(pc: number, sp: number): number {
    const mask = this.#taken.length - 1;
    // Both are multiples of words, and near to each other.
    let slot = (Math.imul(pc ^ Math.imul(sp, 0x9e3779b1), 0x85ebca6b) >>> 16) & mask;
    while (this.#taken[slot] === this.#generation && (this.#pcs[slot] !== pc || this.#sps[slot] !== sp))
      slot = (slot + 1) & mask;
    return slot;
  }

  get(pc: number, sp: number): T | undefined {
    if (this.#size === 0) return undefined;
    const slot = this.#slot(pc, sp);
    return this.#taken[slot] === this.#generation ? this.#known[slot] : undefined;
  }

  set(pc: number, sp: number, known: T): void {
    const slot = this.#slot(pc, sp);
    this.#known[slot] = known;
    if (this.#taken[slot] === this.#generation) return;
    this.#taken[slot] = this.#generation;
    this.#pcs[slot] = pc;
    this.#sps[slot] = sp;
    this.#size++;
    if (2 * this.#size > this.#taken.length) this.#grow();
  }

  clear(): void {
    if (this.#size === 0) return;
    this.#generation++;
    this.#size = 0;
  }

  #grow(): void {
    const [pcs, sps, taken, known, generation] = [this.#pcs, this.#sps, this.#taken, this.#known, this.#generation];
    const size = 2 * taken.length;
    this.#pcs = new Float64Array(size);
    this.#sps = new Float64Array(size);
    this.#taken = new Float64Array(size);
    this.#known = [];
    this.#generation = 1;
    this.#size = 0;
    for (const [slot, of] of taken.entries()) if (of === generation) this.set(pcs[slot]!, sps[slot]!, known[slot]!);
  }
}
