// The narrow view through which the Go model sees a program: memory, and the registers of a thread. Nothing else.

import type { Arch } from '../arch/arch.ts';
import type { Elf, Segment } from '../object/elf.ts';
import type { ProgramFile } from '../object/file.ts';

/** The guest address could not be read or written. */
export class GuestReadError extends Error {
  override readonly name = 'GuestReadError';
  readonly addr: number;

  /** @param what was to be read, where it is known: `g.m at offset 0x18 of 0xc000002380` */
  constructor(addr: number, doing = 'read', what?: string) {
    const at = `${addr < 0 ? '-' : ''}0x${Math.abs(addr).toString(16)}`;
    super(what === undefined ? `cannot ${doing} guest memory at ${at}` : `cannot ${doing} ${what}: no memory at ${at}`);
    this.addr = addr;
  }
}

/** Runs an access, and has its error say what was to be read or written. @throws GuestReadError */
export function naming<T>(what: () => string, doing: 'read' | 'write', access: () => T): T {
  try {
    return access();
  } catch (error) {
    if (error instanceof GuestReadError) throw new GuestReadError(error.addr, doing, what());
    throw error;
  }
}

/**
 * Guest memory in the guest's byte order. Addresses are numbers: exact for every user address (below 2^53).
 * Every access throws GuestReadError where nothing is mapped.
 */
export interface GuestMemory {
  readonly pointerSize: 4 | 8;
  readonly bigEndian: boolean;
  readU8(addr: number): number;
  readU16(addr: number): number;
  readU32(addr: number): number;
  readU64(addr: number): bigint;
  /** A pointer-sized word. Exact below 2^53; a greater value is no address, and its rounding changes nothing. */
  readPointer(addr: number): number;
  writeU8(addr: number, value: number): void;
  writeU32(addr: number, value: number): void;
  /** Stores a pointer-sized word; negative values are stored in two's complement. */
  writePointer(addr: number, value: number): void;
  /** A short way to the fields of structures of one kind, if there is one. */
  fields?(): Fields;
}

/**
 * A way to the fields of structures, for whom asks for several of the same one, each at an offset, not negative, of its address. What is
 * read and written, and what is thrown, is as `GuestMemory` says.
 */
export interface Fields {
  readU8(base: number, offset: number): number;
  readU32(base: number, offset: number): number;
  readPointer(base: number, offset: number): number;
  writeU8(base: number, offset: number, value: number): void;
  writeU32(base: number, offset: number, value: number): void;
  writePointer(base: number, offset: number, value: number): void;
}

/** Fields of a memory that has no shorter way to them. */
export class PlainFields implements Fields {
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  readU8(base: number, offset: number): number {
    return this.#memory.readU8(base + offset);
  }

  readU32(base: number, offset: number): number {
    return this.#memory.readU32(base + offset);
  }

  readPointer(base: number, offset: number): number {
    return this.#memory.readPointer(base + offset);
  }

  writeU8(base: number, offset: number, value: number): void {
    this.#memory.writeU8(base + offset, value);
  }

  writeU32(base: number, offset: number, value: number): void {
    this.#memory.writeU32(base + offset, value);
  }

  writePointer(base: number, offset: number, value: number): void {
    this.#memory.writePointer(base + offset, value);
  }
}

/** The registers of a stopped thread that the Go model looks at. */
export interface ThreadView {
  readonly pc: number;
  readonly sp: number;
  /** The link register; 0 on targets that have none. */
  readonly lr: number;
  /** The register that holds g (R30 on MIPS, R14 on amd64). */
  readonly g: number;
  /** The thread pointer (FS base on amd64); not used on MIPS. */
  readonly tls: number;
}

/** A thread context that an injected call rewrites (runtime `sigctxt`). */
export interface Context {
  pc: number;
  sp: number;
  /** The link register; writes are ignored on targets that have none. */
  lr: number;
}

/** g of the running thread (runtime `getg`, `sigFetchG`): TLS holds the master copy on amd64, R30 on MIPS. */
export function getg(arch: Arch, memory: GuestMemory, thread: ThreadView): number {
  return arch.gTlsOffset === undefined ? thread.g : memory.readPointer(thread.tls + arch.gTlsOffset);
}

/** A segment, whose bytes are read when they are first wanted: much is asked of the tables, and little of the code. */
class Area {
  readonly addr: number;
  readonly end: number;
  readonly executable: boolean;
  readonly writable: boolean;
  readonly #read: () => Uint8Array;
  #bytes: Uint8Array | undefined;
  #view: DataView | undefined;

  constructor(file: ProgramFile, { vaddr, memsz, offset, filesz, executable, writable }: Segment) {
    this.addr = vaddr;
    this.end = vaddr + memsz;
    this.executable = executable;
    this.writable = writable;
    this.#read = () => file.range(offset, filesz);
  }

  get bytes(): Uint8Array {
    this.#bytes ??= this.#read();
    return this.#bytes;
  }

  get view(): DataView {
    if (this.#view === undefined) {
      const { buffer, byteOffset, byteLength } = this.bytes;
      this.#view = new DataView(buffer, byteOffset, byteLength);
    }
    return this.#view;
  }
}

/**
 * The memory of a program as its file has it, before it runs: enough for tables, code and initialised data.
 * What the file does not back (bss) reads as zero. Writes throw.
 */
export class ImageView implements GuestMemory {
  readonly pointerSize: 4 | 8;
  readonly bigEndian: boolean;
  readonly #areas: readonly Area[];

  constructor(elf: Elf) {
    this.pointerSize = elf.class === 64 ? 8 : 4;
    this.bigEndian = elf.bigEndian;
    this.#areas = elf.loads.map((segment) => new Area(elf.file, segment));
  }

  /** The mapped ranges, by address. */
  areas(): readonly {
    readonly addr: number;
    readonly end: number;
    readonly executable: boolean;
    readonly writable: boolean;
  }[] {
    return this.#areas;
  }

  /** Bytes of the file from `addr` to the end of its segment; undefined where no file bytes are loaded. */
  bytesFrom(addr: number): Uint8Array | undefined {
    const area = this.#find(addr);
    return area && addr - area.addr < area.bytes.length ? area.bytes.subarray(addr - area.addr) : undefined;
  }

  #find(addr: number): Area | undefined {
    for (const area of this.#areas) if (addr >= area.addr && addr < area.end) return area;
    return undefined;
  }

  #at(addr: number, size: number): Area {
    const area = this.#find(addr);
    if (area === undefined || addr + size > area.end) throw new GuestReadError(addr);
    return area;
  }

  readU8(addr: number): number {
    const area = this.#at(addr, 1);
    return area.bytes[addr - area.addr] ?? 0;
  }

  readU16(addr: number): number {
    const area = this.#at(addr, 2);
    const offset = addr - area.addr;
    return offset + 2 <= area.bytes.length ? area.view.getUint16(offset, !this.bigEndian) : 0;
  }

  readU32(addr: number): number {
    const area = this.#at(addr, 4);
    const offset = addr - area.addr;
    return offset + 4 <= area.bytes.length ? area.view.getUint32(offset, !this.bigEndian) : 0;
  }

  readU64(addr: number): bigint {
    const area = this.#at(addr, 8);
    const offset = addr - area.addr;
    return offset + 8 <= area.bytes.length ? area.view.getBigUint64(offset, !this.bigEndian) : 0n;
  }

  readPointer(addr: number): number {
    return this.pointerSize === 4 ? this.readU32(addr) : Number(this.readU64(addr));
  }

  writeU8(addr: number): never {
    throw new GuestReadError(addr, 'write (a file image is read-only)');
  }

  writeU32(addr: number): never {
    throw new GuestReadError(addr, 'write (a file image is read-only)');
  }

  writePointer(addr: number): never {
    throw new GuestReadError(addr, 'write (a file image is read-only)');
  }
}
