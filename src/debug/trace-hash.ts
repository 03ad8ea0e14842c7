// A hash over the executed PCs: two runs that executed the same instructions have the same one.

const PRIME = 0x01000193;

/** FNV-1a over the words of each PC, in two lanes. */
export class TraceHash {
  #a = 0x811c9dc5 | 0;
  #b = 0x9e3779b9 | 0;

  add(pc: number): void {
    const low = pc | 0;
    const high = (pc / 2 ** 32) | 0;
    this.#a = Math.imul(this.#a ^ low, PRIME);
    this.#b = Math.imul(this.#b ^ (low >>> 16) ^ (low << 16) ^ high, PRIME) + this.#a;
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return [this.#a, this.#b].map((v) => (v >>> 0).toString(16).padStart(8, '0')).join('');
  }
}
