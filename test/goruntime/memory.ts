// A sparse guest memory for tests: what was never written is not mapped.
import type { Arch } from '../../src/arch/arch.ts';
import { type GuestMemory, GuestReadError } from '../../src/goruntime/view.ts';

export class SparseMemory implements GuestMemory {
  readonly pointerSize: 4 | 8;
  readonly bigEndian: boolean;
  readonly bytes = new Map<number, number>();

  constructor(arch: Arch) {
    this.pointerSize = arch.pointerSize;
    this.bigEndian = arch.bigEndian;
  }

  /** Maps `size` zero bytes. */
  map(addr: number, size: number): void {
    for (let i = 0; i < size; i++) this.bytes.set(addr + i, 0);
  }

  #read(addr: number, size: number): bigint {
    let value = 0n;
    for (let i = 0; i < size; i++) {
      const byte = this.bytes.get(addr + (this.bigEndian ? i : size - 1 - i));
      if (byte === undefined) throw new GuestReadError(addr);
      value = (value << 8n) | BigInt(byte);
    }
    return value;
  }

  #write(addr: number, size: number, value: bigint): void {
    if (!this.bytes.has(addr) || !this.bytes.has(addr + size - 1)) throw new GuestReadError(addr, 'write');
    let left = BigInt.asUintN(8 * size, value);
    for (let i = 0; i < size; i++) {
      this.bytes.set(addr + (this.bigEndian ? size - 1 - i : i), Number(left & 0xffn));
      left >>= 8n;
    }
  }

  readU8(addr: number): number {
    return Number(this.#read(addr, 1));
  }
  readU16(addr: number): number {
    return Number(this.#read(addr, 2));
  }
  readU32(addr: number): number {
    return Number(this.#read(addr, 4));
  }
  readU64(addr: number): bigint {
    return this.#read(addr, 8);
  }
  readPointer(addr: number): number {
    return Number(this.#read(addr, this.pointerSize));
  }
  writeU8(addr: number, value: number): void {
    this.#write(addr, 1, BigInt(value));
  }
  writeU32(addr: number, value: number): void {
    this.#write(addr, 4, BigInt(value));
  }
  writePointer(addr: number, value: number): void {
    this.#write(addr, this.pointerSize, BigInt(value));
  }
}
