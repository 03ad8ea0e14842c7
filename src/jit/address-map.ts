// A map from addresses to numbers that is asked at every interrupt: in two arrays, because a Map looks for a number that is no small one by
// way of an object of its own, which takes several times as long.

/** Equal to no address. */
const NOBODY = Number.NaN;
const AT_FIRST = 1024;

export class AddressMap {
  #addresses = new Float64Array(AT_FIRST).fill(NOBODY);
  #values = new Int32Array(AT_FIRST);
  #size = 0;

  /** Index of an address, or of the free place where it belongs. At least half of them are free. */
  #at(address: number): number {
    const addresses = this.#addresses;
    const mask = addresses.length - 1;
    // Instructions begin at any address, or at multiples of four.
    let at = (Math.imul(address, 0x9e3779b1) >>> 12) & mask;
    for (;;) {
      const there = addresses[at]!;
      if (there === address || Number.isNaN(there)) return at;
      at = (at + 1) & mask;
    }
  }

  /** The number of an address, none of which is negative; negative where there is none. */
  get(address: number): number {
    const at = this.#at(address);
    return this.#addresses[at] === address ? this.#values[at]! : -1;
  }

  set(address: number, value: number): void {
    const at = this.#at(address);
    this.#values[at] = value;
    if (this.#addresses[at] === address) return;
    this.#addresses[at] = address;
    this.#size++;
    if (2 * this.#size > this.#addresses.length) this.#moveTo(2 * this.#addresses.length);
  }

  /** All of them, in no order. */
  *entries(): Generator<readonly [address: number, value: number]> {
    const [addresses, values] = [this.#addresses, this.#values];
    for (const [i, address] of addresses.entries()) if (!Number.isNaN(address)) yield [address, values[i]!];
  }

  clear(): void {
    this.#begin(AT_FIRST);
  }

  /** Makes room for so many in all. */
  reserve(count: number): void {
    let room = this.#addresses.length;
    while (room < 2 * count) room *= 2;
    if (room > this.#addresses.length) this.#moveTo(room);
  }

  #moveTo(room: number): void {
    const all = [...this.entries()];
    this.#begin(room);
    for (const [address, value] of all) this.set(address, value);
  }

  #begin(room: number): void {
    this.#addresses = new Float64Array(room).fill(NOBODY);
    this.#values = new Int32Array(room);
    this.#size = 0;
  }
}
