// Guest memory: pages of a 64-bit address space in frames of one WebAssembly.Memory, behind a software TLB; snapshots by copy on write.
//
// Byte order: the frames keep each aligned 8-byte unit in little-endian order, whatever the guest's. On a big-endian guest an aligned
// access of n bytes is then the host's own at the address XOR (8 - n), and needs no swap.
//
// Snapshots: a frame belongs to the epoch in which it was made. Taking a snapshot begins a new epoch; a page whose frame is older
// than the newest snapshot is copied on its first write, and the old entry goes into that snapshot. So the cost of a snapshot is in
// proportion to the pages written after it.

import {
  FRAMES,
  INVALID_TAG,
  PAGE_BITS,
  PAGE_SIZE,
  SECOND_SHIFT,
  TLB,
  TLB_ADDEND,
  TLB_ENTRIES,
  TLB_ENTRY,
  TLB_READ,
  TLB_SECOND,
  TLB_SECOND_ENTRIES,
  TLB_WRITE,
} from './layout.ts';

export type Access = 'read' | 'write' | 'execute';

/** Protection bits, as Linux numbers them (PROT_READ, PROT_WRITE, PROT_EXEC). */
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

/**
 * `unmapped`: nothing is mapped there; `protection`: the mapping forbids it; `alignment`: the address is not a multiple of the access;
 * `range`: the address lies beyond user space (and may have been rounded).
 */
export type FaultReason = 'unmapped' | 'protection' | 'alignment' | 'range';

/**
 * An access that the guest's address space does not allow. An event of the guest, not an error of ours, and no Error: one captures the
 * host's stack when it is made, which takes longer than everything else about it.
 */
export class GuestFault {
  readonly address: number;
  readonly access: Access;
  readonly reason: FaultReason;

  constructor(address: number, access: Access, reason: FaultReason) {
    this.address = address;
    this.access = access;
    this.reason = reason;
  }

  get message(): string {
    return `${this.access} of 0x${this.address.toString(16)}: ${this.reason}`;
  }
}

/** The host has no frames left for the guest. */
export class OutOfMemory extends Error {
  override readonly name = 'OutOfMemory';
}

/** Says what is mapped where: the kernel's view of the address space. */
export interface PageSource {
  /** Protection bits of the mapping that holds `address`, or -1 where there is none. */
  protectionAt(address: number): number;
  /** What a mapped page begins with, at most PAGE_SIZE bytes in guest order, zeros behind them, until the next call; undefined where it is all zeros. */
  contentsAt?(page: number): Uint8Array | undefined;
}

/** Told when a page that held decoded instructions is written, remapped or unmapped. */
export type CodeListener = (page: number) => void;

/** A page-table entry: frame number << 8 | flags; 0 when absent. */
const PRESENT = 0x10;
const CODE = 0x08;
const PROT = 0x07;
const LEAF_BITS = 10;
const LEAF = 1 << LEAF_BITS;

/** What a snapshot remembers: the entries that have changed since, by page number. */
export interface MemorySnapshot {
  readonly epoch: number;
  readonly saved: Map<number, number>;
}

/** What has happened to pages: counts. */
export interface PageEvents {
  /** First accesses to a page. */
  touched: number;
  /** Copies made because a snapshot holds the page that is written. */
  copied: number;
  /** Writes to pages from which instructions had been fetched. */
  codeWrites: number;
}

const SIZE_MAX = 2 ** 32;

/** The epoch of frames that hold what their mapping says, and are older than every snapshot: whatever comes after one copies them. */
const AS_MAPPED = 0;

/** Word at which the TLB entry of a page stands, by its number or the low 32 bits of that. */
const firstEntry = (page: number): number => (TLB + (page & (TLB_ENTRIES - 1)) * TLB_ENTRY) >>> 2;
/** The same in the second one: `emitSecondEntry` of src/jit/support.ts says the same. */
const secondEntry = (page: number): number =>
  (TLB_SECOND + ((page ^ ((page | 0) >>> SECOND_SHIFT)) & (TLB_SECOND_ENTRIES - 1)) * TLB_ENTRY) >>> 2;

export class Memory {
  readonly wasm: WebAssembly.Memory;
  readonly bigEndian: boolean;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly i64: BigInt64Array;
  readonly f64: Float64Array;
  readonly view: DataView;
  /** First address that user programs may not have. */
  readonly limit: number;
  readonly events: PageEvents = { touched: 0, copied: 0, codeWrites: 0 };
  /** Grows whenever what `translate` said of some page may not hold any more. */
  changes = 0;
  /** XOR of the address for accesses of 1, 2 and 4 bytes. */
  readonly swizzle: number;
  readonly #table = new Map<number, Int32Array>();
  #lastTop = -1;
  #lastLeaf: Int32Array | undefined;
  readonly #frameEpoch: Int32Array;
  /** Pages whose TLB entries were made writable since these were flushed; more than it holds stand for all. */
  readonly #writable = new Int32Array(TLB_ENTRIES);
  #writableCount = 0;
  readonly #free: number[] = [];
  #nextFrame: number;
  readonly #frameLimit: number;
  /** Stands in for every page that has been read and never written. */
  readonly #zeroFrame: number;
  /** Frames of this epoch and later are no snapshot's: they may be written and freed. */
  #privateFrom = 0;
  #framesUsed = 0;
  #epoch = 1;
  readonly #snapshots: MemorySnapshot[] = [];
  /** Pages that are not present, and are to hold code as soon as they are. */
  readonly #expectedCode = new Set<number>();
  #source: PageSource = { protectionAt: () => -1 };
  #codeListener: CodeListener = () => undefined;

  /**
   * @param size bytes of host address space to set aside, at most 4 GiB; the host commits only what is touched.
   * @param limit end of user space: 2^47 on amd64, 2^31 for o32, 2^40 for n64 (Linux TASK_SIZE).
   */
  constructor(options: { bigEndian: boolean; limit: number; size?: number }) {
    const pages = Math.floor(Math.min(options.size ?? SIZE_MAX, SIZE_MAX) / 65536);
    this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bigEndian = options.bigEndian;
    this.limit = options.limit;
    this.swizzle = options.bigEndian ? 7 : 0;
    const buffer = this.wasm.buffer;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.f64 = new Float64Array(buffer);
    this.view = new DataView(buffer);
    this.#frameLimit = buffer.byteLength / PAGE_SIZE;
    this.#frameEpoch = new Int32Array(this.#frameLimit);
    this.#nextFrame = FRAMES >>> PAGE_BITS;
    this.#zeroFrame = this.#nextFrame++;
    this.#frameEpoch[this.#zeroFrame] = -1;
    // Tags of zeros are those of page 0. It is looked for where it belongs, and where an access goes round the end of the address space.
    for (const page of [0, 2 ** (32 - PAGE_BITS) - 1, -1]) this.#dropTlb(page);
  }

  setSource(source: PageSource): void {
    this.#source = source;
  }

  setCodeListener(listener: CodeListener): void {
    this.#codeListener = listener;
  }

  /** Frames in use, in bytes: what the guest costs. */
  get residentBytes(): number {
    return this.#framesUsed * PAGE_SIZE;
  }

  // The page table

  #leaf(page: number, make: boolean): Int32Array | undefined {
    const top = Math.floor(page / LEAF);
    if (top === this.#lastTop) return this.#lastLeaf;
    let leaf = this.#table.get(top);
    if (leaf === undefined && make) {
      leaf = new Int32Array(LEAF);
      this.#table.set(top, leaf);
    }
    if (leaf !== undefined) {
      this.#lastTop = top;
      this.#lastLeaf = leaf;
    }
    return leaf;
  }

  #entry(page: number): number {
    return this.#leaf(page, false)?.[page % LEAF] ?? 0;
  }

  #setEntry(page: number, entry: number): void {
    const leaf = this.#leaf(page, true)!;
    const old = leaf[page % LEAF]!;
    const newest = this.#snapshots.at(-1);
    if (newest !== undefined && !newest.saved.has(page)) newest.saved.set(page, old);
    leaf[page % LEAF] = entry;
    if ((old & CODE) !== 0 && (entry & CODE) === 0) this.#codeListener(page);
    // The TLB knows nothing of a page that was not present.
    if ((old & PRESENT) === 0) return;
    this.#dropTlb(page);
    if (old >>> 8 !== entry >>> 8) this.#release(old >>> 8);
  }

  /** Frees a frame that no snapshot holds. */
  #release(frame: number): void {
    if (this.#frameEpoch[frame]! >= this.#privateFrom) this.#freeFrame(frame);
  }

  #freeFrame(frame: number): void {
    if (frame === this.#zeroFrame) return;
    this.#framesUsed--;
    this.#free.push(frame);
  }

  #allocate(): number {
    let frame = this.#free.pop();
    if (frame === undefined) {
      if (this.#nextFrame >= this.#frameLimit)
        throw new OutOfMemory('the guest has used all of the memory set aside for it');
      frame = this.#nextFrame++;
    }
    this.#framesUsed++;
    this.#frameEpoch[frame] = this.#epoch;
    return frame;
  }

  #allocateZeroed(): number {
    const recycled = this.#free.length > 0;
    const frame = this.#allocate();
    if (recycled) this.u8.fill(0, frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
    return frame;
  }

  // Translation

  /**
   * Host address of a guest address, making the page present (and private, for a write) where the mapping allows the access.
   * The host address is that of the little-endian unit: XOR with the swizzle for narrower accesses.
   * @throws GuestFault
   */
  translate(address: number, access: Access): number {
    if (access !== 'execute') {
      const { i32 } = this;
      const at = firstEntry((address | 0) >>> PAGE_BITS);
      const tag = access === 'read' ? at + TLB_READ / 4 : at + TLB_WRITE / 4;
      const known = i32[tag] === (address & -PAGE_SIZE) && i32[tag + 1] === (Math.floor(address / 2 ** 32) | 0);
      if (known) return (address + i32[at + TLB_ADDEND / 4]!) >>> 0;
    }
    return this.#translateMiss(address, access);
  }

  #translateMiss(address: number, access: Access): number {
    const page = Math.floor(address / PAGE_SIZE);
    let entry = this.#entry(page);
    if ((entry & PRESENT) === 0) {
      if (!(address < this.limit)) throw new GuestFault(address, access, 'range');
      const prot = this.#source.protectionAt(address);
      if (prot < 0) throw new GuestFault(address, access, 'unmapped');
      entry = (this.#zeroFrame << 8) | PRESENT | prot;
      this.#check(entry, address, access);
      entry = this.#bringIn(page, entry);
      this.events.touched++;
    } else {
      this.#check(entry, address, access);
    }
    if (access === 'write') {
      if ((entry & CODE) !== 0) {
        entry &= ~CODE;
        this.#setEntry(page, entry);
        this.events.codeWrites++;
      }
      entry = this.#makePrivate(page, entry);
    }
    const base = (entry >>> 8) * PAGE_SIZE;
    if (access !== 'execute') this.#fillTlb(page, base, this.#writableAsItIs(entry));
    return base + (address % PAGE_SIZE);
  }

  /** Makes a page present. @param entry of a page of zeros @returns its entry */
  #bringIn(page: number, entry: number): number {
    const contents = this.#source.contentsAt?.(page * PAGE_SIZE);
    let made = entry;
    if (contents !== undefined) {
      const frame = this.#allocateZeroed();
      this.#copyIn(frame * PAGE_SIZE, contents);
      this.#frameEpoch[frame] = AS_MAPPED;
      made = (frame << 8) | (entry & 0xff);
    }
    if (this.#expectedCode.delete(page)) made |= CODE;
    this.#setEntry(page, made);
    return made;
  }

  #check(entry: number, address: number, access: Access): void {
    // A page that can be read or executed at all can be both: the targets have no execute-only pages, and Go asks for none.
    const wanted = access === 'write' ? PROT_WRITE : access === 'execute' ? PROT_EXEC : PROT_READ | PROT_EXEC;
    if ((entry & wanted) === 0) throw new GuestFault(address, access, 'protection');
  }

  #makePrivate(page: number, entry: number): number {
    const frame = entry >>> 8;
    if (this.#frameEpoch[frame]! >= this.#privateFrom) return entry;
    let fresh: number;
    if (frame === this.#zeroFrame) {
      fresh = this.#allocateZeroed();
    } else {
      fresh = this.#allocate();
      this.events.copied++;
      this.u8.copyWithin(fresh * PAGE_SIZE, frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
    }
    const changed = (fresh << 8) | (entry & 0xff);
    this.#setEntry(page, changed);
    return changed;
  }

  /** Whether a write needs nothing but the store: what is read today is mostly written next, and need not miss again. */
  #writableAsItIs(entry: number): boolean {
    return (entry & (PROT_WRITE | CODE)) === PROT_WRITE && this.#frameEpoch[entry >>> 8]! >= this.#privateFrom;
  }

  #fillTlb(page: number, base: number, writable: boolean): void {
    const low = (page * PAGE_SIZE) | 0;
    const high = Math.floor(page / 2 ** (32 - PAGE_BITS)) | 0;
    if (writable && this.#writableCount++ < TLB_ENTRIES) this.#writable[this.#writableCount - 1] = page | 0;
    this.#fillEntry(firstEntry(page), low, high, base, writable);
    this.#fillEntry(secondEntry(page), low, high, base, writable);
  }

  #fillEntry(at: number, low: number, high: number, base: number, writable: boolean): void {
    const i32 = this.i32;
    i32[at + TLB_READ / 4] = low;
    i32[at + TLB_READ / 4 + 1] = high;
    i32[at + TLB_WRITE / 4] = writable ? low : INVALID_TAG;
    i32[at + TLB_WRITE / 4 + 1] = writable ? high : INVALID_TAG;
    i32[at + TLB_ADDEND / 4] = (base - low) | 0;
  }

  #dropTlb(page: number): void {
    this.changes++;
    this.#dropEntry(firstEntry(page));
    this.#dropEntry(secondEntry(page));
  }

  #dropEntry(at: number): void {
    const i32 = this.i32;
    i32[at + TLB_READ / 4] = INVALID_TAG;
    i32[at + TLB_READ / 4 + 1] = INVALID_TAG;
    i32[at + TLB_WRITE / 4] = INVALID_TAG;
    i32[at + TLB_WRITE / 4 + 1] = INVALID_TAG;
  }

  #flushTlbWrites(): void {
    this.changes++;
    const forget = (at: number): void => {
      this.i32[at + TLB_WRITE / 4] = INVALID_TAG;
      this.i32[at + TLB_WRITE / 4 + 1] = INVALID_TAG;
    };
    if (this.#writableCount <= TLB_ENTRIES) {
      for (let i = 0; i < this.#writableCount; i++) {
        forget(firstEntry(this.#writable[i]!));
        forget(secondEntry(this.#writable[i]!));
      }
    } else {
      for (let i = 0; i < TLB_ENTRIES; i++) forget((TLB + i * TLB_ENTRY) >>> 2);
      for (let i = 0; i < TLB_SECOND_ENTRIES; i++) forget((TLB_SECOND + i * TLB_ENTRY) >>> 2);
    }
    this.#writableCount = 0;
  }

  // What the kernel does to mappings. Addresses and lengths are multiples of the page size.

  /** Calls `visit` for each present page of a range. */
  #eachPresent(start: number, length: number, visit: (page: number, entry: number) => void): void {
    const first = Math.floor(start / PAGE_SIZE);
    const end = Math.ceil((start + length) / PAGE_SIZE);
    const inLeaf = (top: number, leaf: Int32Array): void => {
      const from = Math.max(first - top * LEAF, 0);
      const to = Math.min(end - top * LEAF, LEAF);
      for (let i = from; i < to; i++) if ((leaf[i]! & PRESENT) !== 0) visit(top * LEAF + i, leaf[i]!);
    };
    const firstTop = Math.floor(first / LEAF);
    const lastTop = Math.floor((end - 1) / LEAF);
    if (lastTop - firstTop > this.#table.size) {
      for (const [top, leaf] of this.#table) if (top >= firstTop && top <= lastTop) inLeaf(top, leaf);
    } else {
      for (let top = firstTop; top <= lastTop; top++) {
        const leaf = this.#table.get(top);
        if (leaf !== undefined) inLeaf(top, leaf);
      }
    }
  }

  /** Drops the contents of a range: the next access finds what the source says, and zeros. (munmap, MADV_DONTNEED.) */
  discard(start: number, length: number): void {
    const first = Math.floor(start / PAGE_SIZE);
    const end = Math.ceil((start + length) / PAGE_SIZE);
    const forget = (page: number): void => {
      if (this.#expectedCode.delete(page)) this.#codeListener(page);
    };
    if (end - first <= this.#expectedCode.size) for (let page = first; page < end; page++) forget(page);
    else for (const page of this.#expectedCode) if (page >= first && page < end) forget(page);
    this.#eachPresent(start, length, (page) => this.#setEntry(page, 0));
  }

  /** Gives the present pages of a range new protection bits. (mprotect; the source must say the same.) */
  protect(start: number, length: number, prot: number): void {
    this.#eachPresent(start, length, (page, entry) => {
      this.#setEntry(page, (entry & ~(PROT | CODE)) | prot);
    });
  }

  /** Whether each page of the range has a frame, for mincore. */
  present(address: number): boolean {
    return (this.#entry(Math.floor(address / PAGE_SIZE)) & PRESENT) !== 0;
  }

  // Instructions

  /** Whether instructions have been fetched from the page that holds `address`, so that writing there changes code. */
  holdsCode(address: number): boolean {
    return (this.#entry(Math.floor(address / PAGE_SIZE)) & CODE) !== 0;
  }

  /** Bytes of the instruction page that holds `address`, in guest order, marking it so that the code listener hears of changes. */
  codePage(address: number): Uint8Array {
    const host = this.translate(address, 'execute');
    const page = Math.floor(address / PAGE_SIZE);
    const entry = this.#entry(page);
    if ((entry & CODE) === 0) {
      this.#leaf(page, true)![page % LEAF] = entry | CODE;
      this.#dropTlb(page);
    }
    return this.#copyOut(host - (host % PAGE_SIZE), PAGE_SIZE);
  }

  /**
   * What `codePage` gives, and the listener hears of changes in the same way; but a page that is not present is left so, and its bytes are
   * no copy and valid until the next call: whoever has compiled it need not have it again.
   * @throws GuestFault
   */
  compiledPage(address: number): Uint8Array {
    const page = Math.floor(address / PAGE_SIZE);
    const base = page * PAGE_SIZE;
    if (this.#entry(page) === 0 && (this.#source.protectionAt(base) & PROT_EXEC) !== 0) {
      const contents = this.#source.contentsAt?.(base);
      if (contents?.length === PAGE_SIZE) {
        this.#expectedCode.add(page);
        return contents;
      }
    }
    return this.codePage(address);
  }

  // The host's own accesses, in guest byte order

  #copyOut(host: number, length: number): Uint8Array {
    if (!this.bigEndian) return this.u8.slice(host, host + length);
    const out = new Uint8Array(length);
    let i = 0;
    if (host % 8 === 0) {
      const view = new DataView(out.buffer);
      for (; i + 8 <= length; i += 8) {
        view.setInt32(i, this.i32[((host + i) >>> 2) + 1]!);
        view.setInt32(i + 4, this.i32[(host + i) >>> 2]!);
      }
    }
    for (; i < length; i++) out[i] = this.u8[(host + i) ^ 7]!;
    return out;
  }

  #copyIn(host: number, bytes: Uint8Array): void {
    if (!this.bigEndian) {
      this.u8.set(bytes, host);
      return;
    }
    const { length } = bytes;
    let i = 0;
    if (host % 8 === 0) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, length);
      for (; i + 8 <= length; i += 8) {
        this.i32[((host + i) >>> 2) + 1] = view.getInt32(i);
        this.i32[(host + i) >>> 2] = view.getInt32(i + 4);
      }
    }
    for (; i < length; i++) this.u8[(host + i) ^ 7] = bytes[i]!;
  }

  /** Copies bytes out of the guest. @throws GuestFault */
  read(address: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = address + done;
      const chunk = Math.min(length - done, PAGE_SIZE - (at % PAGE_SIZE));
      out.set(this.#copyOut(this.translate(at, 'read'), chunk), done);
      done += chunk;
    }
    return out;
  }

  /** Copies bytes into the guest; `force` ignores protection, as a loader or debugger does. @throws GuestFault */
  write(address: number, bytes: Uint8Array, force = false): void {
    for (let done = 0; done < bytes.length; ) {
      const at = address + done;
      const chunk = Math.min(bytes.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      const host = force ? this.#translateForced(at) : this.translate(at, 'write');
      this.#copyIn(host, bytes.subarray(done, done + chunk));
      done += chunk;
    }
  }

  #translateForced(address: number): number {
    const page = Math.floor(address / PAGE_SIZE);
    let entry = this.#entry(page);
    if ((entry & PRESENT) === 0) {
      const prot = this.#source.protectionAt(address);
      if (prot < 0) throw new GuestFault(address, 'write', 'unmapped');
      entry = this.#bringIn(page, (this.#zeroFrame << 8) | PRESENT | prot);
    }
    if ((entry & CODE) !== 0) {
      entry &= ~CODE;
      this.#setEntry(page, entry);
    }
    return (this.#makePrivate(page, entry) >>> 8) * PAGE_SIZE + (address % PAGE_SIZE);
  }

  /** A NUL-terminated string of at most `max` bytes, the NUL not included. @throws GuestFault */
  readCString(address: number, max = 4096): Uint8Array {
    const out: number[] = [];
    for (let i = 0; i < max; i++) {
      const byte = this.readU8(address + i);
      if (byte === 0) break;
      out.push(byte);
    }
    return Uint8Array.from(out);
  }

  readU8(address: number): number {
    return this.u8[this.translate(address, 'read') ^ this.swizzle]!;
  }

  readU16(address: number): number {
    const a = this.readU8(address);
    const b = this.readU8(address + 1);
    return this.bigEndian ? (a << 8) | b : a | (b << 8);
  }

  readU32(address: number): number {
    if ((address & 3) === 0) return this.i32[(this.translate(address, 'read') ^ (this.swizzle & 4)) >>> 2]! >>> 0;
    const a = this.readU16(address);
    const b = this.readU16(address + 2);
    return (this.bigEndian ? (a << 16) | b : a | (b << 16)) >>> 0;
  }

  readU64(address: number): bigint {
    // In whichever order its bytes are, they stand together, and as the host has them.
    if ((address & 7) === 0) return BigInt.asUintN(64, this.i64[this.translate(address, 'read') >>> 3]!);
    const a = BigInt(this.readU32(address));
    const b = BigInt(this.readU32(address + 4));
    return this.bigEndian ? (a << 32n) | b : a | (b << 32n);
  }

  /** 64 bits that are an address: exact below 2^53, which every user address is. */
  readAddress(address: number): number {
    if ((address & 7) !== 0) return Number(this.readU64(address));
    const at = this.translate(address, 'read') >>> 2;
    return (this.i32[at + 1]! >>> 0) * 2 ** 32 + (this.i32[at]! >>> 0);
  }

  writeU8(address: number, value: number): void {
    this.u8[this.translate(address, 'write') ^ this.swizzle] = value;
  }

  writeU16(address: number, value: number): void {
    this.writeU8(address, this.bigEndian ? value >>> 8 : value);
    this.writeU8(address + 1, this.bigEndian ? value : value >>> 8);
  }

  writeU32(address: number, value: number): void {
    if ((address & 3) === 0) {
      this.i32[(this.translate(address, 'write') ^ (this.swizzle & 4)) >>> 2] = value;
      return;
    }
    this.writeU16(address, this.bigEndian ? value >>> 16 : value);
    this.writeU16(address + 2, this.bigEndian ? value : value >>> 16);
  }

  writeU64(address: number, value: bigint): void {
    if ((address & 7) === 0) {
      this.i64[this.translate(address, 'write') >>> 3] = value;
      return;
    }
    const low = Number(BigInt.asUintN(32, value));
    const high = Number(BigInt.asUintN(32, value >> 32n));
    this.writeU32(address, this.bigEndian ? high : low);
    this.writeU32(address + 4, this.bigEndian ? low : high);
  }

  /** An address as 64 bits, a negative one in two's complement. */
  writeAddress(address: number, value: number): void {
    if ((address & 7) !== 0) {
      this.writeU64(address, BigInt(value));
      return;
    }
    const at = this.translate(address, 'write') >>> 2;
    this.i32[at] = value | 0;
    this.i32[at + 1] = Math.floor(value / 2 ** 32) | 0;
  }

  // Snapshots

  /** Remembers the memory as it is. Cost: the TLB's write half; later, a copy of each page that is written. */
  snapshot(): MemorySnapshot {
    const snapshot: MemorySnapshot = { epoch: ++this.#epoch, saved: new Map() };
    this.#snapshots.push(snapshot);
    this.#privateFrom = snapshot.epoch;
    this.#flushTlbWrites();
    return snapshot;
  }

  /**
   * Puts the memory back as it was at `snapshot`, which stays good for another time; later snapshots are dropped. The source is to say
   * by now what was mapped then.
   */
  restore(snapshot: MemorySnapshot): void {
    const index = this.#snapshots.indexOf(snapshot);
    if (index < 0) throw new Error('this snapshot has been dropped');
    while (this.#snapshots.length > index) {
      const undone = this.#snapshots.at(-1)!;
      for (const [page, old] of undone.saved) {
        const leaf = this.#leaf(page, true)!;
        const now = leaf[page % LEAF]!;
        if (now === old) continue;
        if (old === 0 && this.#stays(page, now)) continue;
        if ((now & PRESENT) !== 0 && now >>> 8 !== old >>> 8 && this.#frameEpoch[now >>> 8]! >= undone.epoch) {
          this.#freeFrame(now >>> 8);
        }
        if (((now | old) & CODE) !== 0 && now >>> 8 !== old >>> 8) {
          this.#codeListener(page);
          leaf[page % LEAF] = old & ~CODE;
        } else leaf[page % LEAF] = old | (now & CODE);
        this.#dropTlb(page);
      }
      undone.saved.clear();
      if (this.#snapshots.length === index + 1) break;
      this.#snapshots.pop();
    }
    this.#privateFrom = snapshot.epoch;
    this.#flushTlbWrites();
  }

  /** Whether a page that was first accessed since may stay, code that came from it included: it is what it would be found as again. */
  #stays(page: number, entry: number): boolean {
    if ((entry & PRESENT) === 0 || this.#frameEpoch[entry >>> 8] !== AS_MAPPED) return false;
    const address = page * PAGE_SIZE;
    return (entry & PROT) === this.#source.protectionAt(address) && this.#source.contentsAt?.(address) !== undefined;
  }

  /** Forgets a snapshot; what only it needed goes to the one before it, or is freed. */
  drop(snapshot: MemorySnapshot): void {
    const index = this.#snapshots.indexOf(snapshot);
    if (index < 0) return;
    this.#snapshots.splice(index, 1);
    this.#privateFrom = this.#snapshots.at(-1)?.epoch ?? 0;
    const before = this.#snapshots[index - 1];
    for (const [page, old] of snapshot.saved) {
      if (before !== undefined && !before.saved.has(page)) before.saved.set(page, old);
      else if ((old & PRESENT) !== 0 && !this.#referenced(page, old >>> 8)) this.#freeFrame(old >>> 8);
    }
  }

  /** A frame never changes its page, so only that page's entries can name it. */
  #referenced(page: number, frame: number): boolean {
    if (this.#entry(page) >>> 8 === frame) return true;
    return this.#snapshots.some((s) => (s.saved.get(page) ?? 0) >>> 8 === frame);
  }
}
