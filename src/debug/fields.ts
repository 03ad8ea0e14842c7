// Fields of structures in the machine's memory, as the Go model reads and writes them: an interrupt asks for twenty of three structures, so
// each structure is looked for once.

import { PAGE_SIZE } from '../engine/layout.ts';
import { GuestFault, type Memory } from '../engine/memory.ts';
import type { Fields, GuestMemory } from '../goruntime/view.ts';

/** No access to a field is longer. */
const LONGEST = 8;
const NOWHERE = Number.NaN;

/** Where a structure is. */
class Found {
  base = NOWHERE;
  /** In the host's memory, as an index of words. */
  host = 0;
  /** The last offset at which a field is surely in the same page; negative where there is none. */
  last = -1;
  /** Whether it may be written there. */
  writable = false;
  /** `memory.changes` when that was so. */
  changes = -1;
}

export class MachineFields implements Fields {
  readonly #memory: Memory;
  /** For what is not in the same page as the structure's beginning, or nowhere: it says so as it should be said. */
  readonly #rest: GuestMemory;
  /** The two structures that were asked for last: interrupts find a goroutine, and the g0 of its M. */
  #latest = new Found();
  #former = new Found();

  constructor(memory: Memory, rest: GuestMemory) {
    this.#memory = memory;
    this.#rest = rest;
  }

  /** Whether the field is in the page of `#latest`. */
  #has(base: number, offset: number): boolean {
    const latest = this.#latest;
    if (base !== latest.base || latest.changes !== this.#memory.changes) this.#find(base);
    return offset <= this.#latest.last;
  }

  #find(base: number): void {
    const found = this.#former;
    this.#former = this.#latest;
    this.#latest = found;
    if (base === found.base && found.changes === this.#memory.changes) return;
    found.base = NOWHERE;
    found.last = -1;
    found.writable = false;
    if ((base & (LONGEST - 1)) === 0) this.#look(base, 'read');
  }

  /** As `#has`, for writing. */
  #hasWritable(base: number, offset: number): boolean {
    if (!this.#has(base, offset)) return false;
    const latest = this.#latest;
    if (!latest.writable) latest.writable = this.#look(base, 'write');
    return latest.writable;
  }

  #look(base: number, access: 'read' | 'write'): boolean {
    const found = this.#latest;
    try {
      found.host = this.#memory.translate(base, access) >>> 2;
    } catch (error) {
      if (error instanceof GuestFault) return false;
      throw error;
    }
    found.base = base;
    found.last = PAGE_SIZE - (base & (PAGE_SIZE - 1)) - LONGEST;
    found.changes = this.#memory.changes;
    return true;
  }

  /** Index of the word at an offset, whose low bits do not count. */
  #word(offset: number): number {
    return (this.#latest.host + (offset >>> 2)) ^ (this.#memory.swizzle >>> 2);
  }

  #byte(offset: number): number {
    return (((this.#latest.host << 2) + offset) ^ this.#memory.swizzle) >>> 0;
  }

  readU8(base: number, offset: number): number {
    return this.#has(base, offset) ? this.#memory.u8[this.#byte(offset)]! : this.#rest.readU8(base + offset);
  }

  readU32(base: number, offset: number): number {
    if (!this.#has(base, offset) || (offset & 3) !== 0) return this.#rest.readU32(base + offset);
    return this.#memory.i32[this.#word(offset)]! >>> 0;
  }

  readPointer(base: number, offset: number): number {
    if (this.#rest.pointerSize === 4) return this.readU32(base, offset);
    if (!this.#has(base, offset) || (offset & 7) !== 0) return this.#rest.readPointer(base + offset);
    const at = this.#latest.host + (offset >>> 2);
    const { i32 } = this.#memory;
    return (i32[at + 1]! >>> 0) * 2 ** 32 + (i32[at]! >>> 0);
  }

  writeU8(base: number, offset: number, value: number): void {
    if (this.#hasWritable(base, offset)) this.#memory.u8[this.#byte(offset)] = value;
    else this.#rest.writeU8(base + offset, value);
  }

  writeU32(base: number, offset: number, value: number): void {
    if (this.#hasWritable(base, offset) && (offset & 3) === 0) this.#memory.i32[this.#word(offset)] = value;
    else this.#rest.writeU32(base + offset, value);
  }

  writePointer(base: number, offset: number, value: number): void {
    if (this.#rest.pointerSize === 4) this.writeU32(base, offset, value);
    else if (this.#hasWritable(base, offset) && (offset & 7) === 0) {
      const at = this.#latest.host + (offset >>> 2);
      const { i32 } = this.#memory;
      i32[at] = value | 0;
      i32[at + 1] = Math.floor(value / 2 ** 32) | 0;
    } else this.#rest.writePointer(base + offset, value);
  }
}
