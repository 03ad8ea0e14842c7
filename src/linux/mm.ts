// The address space: what is mapped where. Mappings are a sorted array of records, replaced on change, so that reservations of
// gigabytes cost one record and a snapshot costs one reference.

import { PAGE_SIZE } from '../engine/layout.ts';
import { type Memory, type PageSource, PROT_EXEC, PROT_READ, PROT_WRITE } from '../engine/memory.ts';
import type { ProgramFile } from '../object/file.ts';
import type { ErrnoName } from './abi/errno.ts';
import type { Mappable } from './files.ts';
import type { Part } from './part.ts';

/** A part of the program's file, from a page's beginning on. */
export interface Image {
  readonly file: ProgramFile;
  readonly start: number;
  readonly end: number;
}

/** One mapping (vm_area_struct). Addresses are multiples of the page size. */
export interface Vma {
  readonly start: number;
  readonly end: number;
  readonly prot: number;
  readonly shared: boolean;
  /** As /proc/self/maps names it: `[stack]`, a path, or nothing. */
  readonly name: string;
  readonly file: Mappable | undefined;
  /** What is mapped here of the program's file. Its pages come in when they are first accessed. */
  readonly image: Image | undefined;
  /** Offset of `start` in the file, or in the image. */
  readonly offset: number;
}

interface Saved {
  readonly vmas: readonly Vma[];
  readonly brk: number;
  readonly brkStart: number;
  readonly mmapBase: number;
}

/** vm.mmap_min_addr. */
const MMAP_MIN = 0x10000;

export const pageFloor = (address: number): number => Math.floor(address / PAGE_SIZE) * PAGE_SIZE;
export const pageCeil = (address: number): number => Math.ceil(address / PAGE_SIZE) * PAGE_SIZE;

export class AddressSpace implements PageSource, Part<Saved> {
  readonly taskSize: number;
  readonly #memory: Memory;
  #vmas: readonly Vma[] = [];
  #brkStart = 0;
  #brk = 0;
  /** Unhinted mappings go below this, top down (mm->mmap_base). */
  #mmapBase: number;

  constructor(memory: Memory, taskSize: number) {
    this.#memory = memory;
    this.taskSize = taskSize;
    this.#mmapBase = taskSize;
  }

  /** All mappings by address. */
  get vmas(): readonly Vma[] {
    return this.#vmas;
  }

  get brk(): number {
    return this.#brk;
  }

  /** Sets where the heap begins and where unhinted mappings end: the loader's business. */
  setLayout(brkStart: number, mmapBase: number): void {
    this.#brkStart = brkStart;
    this.#brk = brkStart;
    this.#mmapBase = mmapBase;
  }

  /** Index of the first mapping that ends after `address`. */
  #indexAfter(address: number): number {
    let low = 0;
    let high = this.#vmas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#vmas[middle]!.end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The mapping that holds an address. */
  find(address: number): Vma | undefined {
    const vma = this.#vmas[this.#indexAfter(address)];
    return vma !== undefined && vma.start <= address ? vma : undefined;
  }

  protectionAt(address: number): number {
    const vma = this.find(address);
    return vma === undefined ? -1 : hardwareProt(vma.prot);
  }

  contentsAt(page: number): Uint8Array | undefined {
    const vma = this.find(page);
    if (vma?.image === undefined) return undefined;
    const { file, start, end } = vma.image;
    const offset = start + vma.offset + page - vma.start;
    if (offset >= end) return undefined;
    const bytes = file.page(offset);
    return bytes.length > end - offset ? bytes.subarray(0, end - offset) : bytes;
  }

  /** Whether nothing is mapped in a range. */
  isFree(start: number, end: number): boolean {
    const next = this.#vmas[this.#indexAfter(start)];
    return next === undefined || next.start >= end;
  }

  /** Whether every page of a range is mapped. */
  isMapped(start: number, end: number): boolean {
    let at = start;
    for (let i = this.#indexAfter(start); at < end; i++) {
      const vma = this.#vmas[i];
      if (vma === undefined || vma.start > at) return false;
      at = vma.end;
    }
    return true;
  }

  /** A free place for `length` bytes: the hint if it is free, else the highest gap below mmap_base. */
  #place(hint: number, length: number): number | undefined {
    if (hint !== 0) {
      const at = pageCeil(hint);
      if (at >= MMAP_MIN && at + length <= this.taskSize && this.isFree(at, at + length)) return at;
    }
    let end = this.#mmapBase;
    for (let i = this.#vmas.length - 1; i >= -1; i--) {
      const vma = this.#vmas[i];
      const floor = Math.max(vma?.end ?? 0, MMAP_MIN);
      if (floor <= end && end - floor >= length) return end - length;
      if (vma !== undefined) end = Math.min(end, vma.start);
    }
    // Linux then tries once more, bottom up, above mmap_base.
    let start = this.#mmapBase;
    for (let i = this.#indexAfter(start); ; i++) {
      const vma = this.#vmas[i];
      const limit = vma?.start ?? this.taskSize;
      if (limit - start >= length) return start;
      if (vma === undefined) return undefined;
      start = Math.max(start, vma.end);
    }
  }

  /**
   * Maps anonymous memory or a file (do_mmap).
   * @param fixed `replace` unmaps what is there (MAP_FIXED), `free` fails if something is (MAP_FIXED_NOREPLACE).
   * @returns the address, or an error.
   */
  map(options: {
    readonly address: number;
    readonly length: number;
    readonly prot: number;
    readonly fixed: 'no' | 'replace' | 'free';
    readonly shared?: boolean;
    readonly name?: string;
    readonly file?: Mappable;
    readonly image?: Image;
    readonly offset?: number;
  }): number | ErrnoName {
    if (!(options.length > 0)) return 'EINVAL';
    const length = pageCeil(options.length);
    if (length > this.taskSize) return 'ENOMEM';
    let start: number | undefined;
    if (options.fixed === 'no') {
      start = this.#place(options.address, length);
      if (start === undefined) return 'ENOMEM';
    } else {
      start = options.address;
      if (start % PAGE_SIZE !== 0) return 'EINVAL';
      if (start + length > this.taskSize) return 'ENOMEM';
      if (start < MMAP_MIN) return 'EPERM';
      if (options.fixed === 'free' && !this.isFree(start, start + length)) return 'EEXIST';
      this.unmap(start, length);
    }
    const vma: Vma = {
      start,
      end: start + length,
      prot: options.prot,
      shared: options.shared ?? false,
      name: options.name ?? options.file?.path ?? '',
      file: options.file,
      image: options.image,
      offset: options.offset ?? 0,
    };
    this.#replace(start, start + length, [vma]);
    if (options.file !== undefined) this.#fill(vma);
    return start;
  }

  /** Copies a file mapping's contents in: there is no page cache to fault from. */
  #fill(vma: Vma): void {
    const chunk = 1 << 20;
    for (let at = vma.start; at < vma.end; at += chunk) {
      const want = Math.min(chunk, vma.end - at);
      const bytes = vma.file!.read(vma.offset + at - vma.start, want);
      this.#memory.write(at, bytes, true);
      if (bytes.length < want) break;
    }
  }

  /** Removes mappings (do_munmap). The range need not be mapped. */
  unmap(start: number, length: number): void {
    const end = start + pageCeil(length);
    if (this.isFree(start, end)) return;
    this.sync(start, end - start);
    this.#replace(start, end, []);
    this.#memory.discard(start, end - start);
  }

  /** Writes shared file mappings back (msync). Contents reach other readers of the file only here and at munmap. */
  sync(start: number, length: number): void {
    for (const vma of this.#vmas) {
      if (vma.file === undefined || !vma.shared || !vma.file.writable) continue;
      const from = Math.max(vma.start, start);
      const to = Math.min(vma.end, start + length);
      for (let at = from; at < to; at += PAGE_SIZE) {
        if (!this.#memory.present(at)) continue;
        const offset = vma.offset + at - vma.start;
        const size = vma.file.read(offset, PAGE_SIZE).length;
        if (size > 0) vma.file.write(offset, this.#memory.read(at, size));
      }
    }
  }

  /** Changes protection; stops with ENOMEM at the first hole, as Linux does. */
  protect(start: number, length: number, prot: number): ErrnoName | undefined {
    const end = start + pageCeil(length);
    const changed: Vma[] = [];
    let at = start;
    for (let i = this.#indexAfter(start); at < end; i++) {
      const vma = this.#vmas[i];
      if (vma === undefined || vma.start > at) break;
      const to = Math.min(vma.end, end);
      changed.push({ ...vma, start: at, end: to, prot, offset: vma.offset + at - vma.start });
      at = to;
    }
    if (at > start) {
      this.#replace(start, at, changed);
      this.#memory.protect(start, at - start, hardwareProt(prot));
    }
    return at < end ? 'ENOMEM' : undefined;
  }

  /** MADV_DONTNEED: anonymous pages read as zeros again, file pages as the file. */
  discard(start: number, length: number): void {
    const end = start + pageCeil(length);
    for (let i = this.#indexAfter(start); i < this.#vmas.length; i++) {
      const vma = this.#vmas[i]!;
      if (vma.start >= end) break;
      const from = Math.max(vma.start, start);
      const to = Math.min(vma.end, end);
      if (vma.shared && vma.file === undefined) continue; // the pages of shared memory stay
      this.#memory.discard(from, to - from);
      if (vma.file !== undefined) this.#fill({ ...vma, start: from, end: to, offset: vma.offset + from - vma.start });
    }
  }

  /** Moves the end of the heap; on failure it stays (sys_brk). @returns the end. */
  setBrk(wanted: number): number {
    if (wanted < this.#brkStart || wanted > this.taskSize) return this.#brk;
    const old = pageCeil(this.#brk);
    const end = pageCeil(wanted);
    if (end > old) {
      if (!this.isFree(old, end)) return this.#brk;
      this.#replace(old, end, [heapVma(old, end)]);
    } else if (end < old) {
      this.unmap(end, old - end);
    }
    this.#brk = wanted;
    return wanted;
  }

  /** mremap, of one mapping. @returns the new address. */
  remap(
    start: number,
    oldLength: number,
    newLength: number,
    move: { readonly may: boolean; readonly to: number | undefined },
  ): number | ErrnoName {
    const vma = this.find(start);
    const oldEnd = start + pageCeil(oldLength);
    if (vma === undefined || oldEnd > vma.end) return 'EFAULT';
    const length = pageCeil(newLength);
    if (move.to === undefined) {
      if (start + length <= oldEnd) {
        if (start + length < oldEnd) this.unmap(start + length, oldEnd - start - length);
        return start;
      }
      const grown = start + length;
      if (oldEnd === vma.end && grown <= this.taskSize && this.isFree(oldEnd, grown)) {
        const extra: Vma = { ...vma, start: oldEnd, end: grown, offset: vma.offset + oldEnd - vma.start };
        this.#replace(oldEnd, grown, [extra]);
        if (vma.file !== undefined) this.#fill(extra);
        return start;
      }
      if (!move.may) return 'ENOMEM';
    }
    const { prot, shared, name } = vma;
    const target = this.map({
      address: move.to ?? 0,
      length,
      prot,
      fixed: move.to === undefined ? 'no' : 'replace',
      shared,
      name,
      ...(vma.file === undefined ? {} : { file: vma.file, offset: vma.offset + start - vma.start }),
    });
    if (typeof target === 'string') return target;
    this.#memory.protect(start, oldEnd - start, PROT_READ);
    const copied = Math.min(length, oldEnd - start);
    for (let at = 0; at < copied; at += PAGE_SIZE)
      if (vma.image !== undefined || this.#memory.present(start + at))
        this.#memory.write(target + at, this.#memory.read(start + at, PAGE_SIZE), true);
    this.#memory.protect(target, length, hardwareProt(prot));
    this.unmap(start, oldEnd - start);
    return target;
  }

  /** Puts `inserted`, which lie in [start, end), in the place of whatever was in that range. */
  #replace(start: number, end: number, inserted: readonly Vma[]): void {
    const old = this.#vmas;
    const first = this.#indexAfter(start);
    let last = first;
    while (last < old.length && old[last]!.start < end) last++;
    const middle: Vma[] = [];
    const head = old[first];
    if (first < last && head!.start < start) middle.push({ ...head!, end: start });
    middle.push(...inserted);
    const tail = old[last - 1];
    if (first < last && tail!.end > end)
      middle.push({ ...tail!, start: end, offset: tail!.offset + end - tail!.start });
    // Neighbours may have become mergeable.
    const from = Math.max(first - 1, 0);
    const to = Math.min(last + 1, old.length);
    const merged: Vma[] = [];
    for (const vma of [...old.slice(from, first), ...middle, ...old.slice(last, to)]) {
      const before = merged.at(-1);
      if (before !== undefined && mergeable(before, vma)) merged[merged.length - 1] = { ...before, end: vma.end };
      else merged.push(vma);
    }
    this.#vmas = [...old.slice(0, from), ...merged, ...old.slice(to)];
  }

  save(): Saved {
    return { vmas: this.#vmas, brk: this.#brk, brkStart: this.#brkStart, mmapBase: this.#mmapBase };
  }

  restore(saved: Saved): void {
    this.#vmas = saved.vmas;
    this.#brk = saved.brk;
    this.#brkStart = saved.brkStart;
    this.#mmapBase = saved.mmapBase;
  }
}

/** What the page tables of these processors can express: what can be written can be read. */
const hardwareProt = (prot: number): number => {
  const bits = prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
  return (bits & PROT_WRITE) !== 0 ? bits | PROT_READ : bits;
};

const mergeable = (a: Vma, b: Vma): boolean =>
  a.end === b.start &&
  a.prot === b.prot &&
  a.shared === b.shared &&
  a.name === b.name &&
  a.file === b.file &&
  a.image === b.image &&
  ((a.file === undefined && a.image === undefined) || a.offset + a.end - a.start === b.offset);

const heapVma = (start: number, end: number): Vma => ({
  start,
  end,
  prot: PROT_READ | PROT_WRITE,
  shared: false,
  name: '[heap]',
  file: undefined,
  image: undefined,
  offset: 0,
});
