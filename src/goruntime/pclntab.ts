// pclntab: the header, function table and `_func` records in all four layouts. One switch on the magic, here; what
// follows it works from the layout record and does not ask about releases.
// Sources: runtime/symtab.go, runtime/runtime2.go, debug/gosym/pclntab.go of Go 1.14 to 1.27.

import { TableError } from './pcvalue.ts';

/** Where things stand in one layout. Offsets in bytes; `_func` fields are given for the pointer size at hand. */
interface Layout {
  readonly magic: number;
  readonly releases: string;
  /** Number of pointer-sized words after the first 8 bytes. */
  readonly headerWords: number;
  /** Indexes of header words; undefined where the layout has no such table of its own. */
  readonly words: {
    readonly nfiles?: number;
    readonly textStart?: number;
    readonly funcnametab?: number;
    readonly cutab?: number;
    readonly filetab?: number;
    readonly pctab?: number;
    readonly functab?: number;
  };
  /** functab entries are pairs of u32 offsets (from the text base) instead of pairs of pointers. */
  readonly offsetEntries: boolean;
  /** FUNCDATA words are u32 offsets from moduledata.gofunc instead of pointers. */
  readonly offsetFuncdata: boolean;
  readonly cuOffset: boolean;
  readonly startLine: boolean;
}

const HEADER_116 = { nfiles: 1, funcnametab: 2, cutab: 3, filetab: 4, pctab: 5, functab: 6 };
const HEADER_118 = { nfiles: 1, textStart: 2, funcnametab: 3, cutab: 4, filetab: 5, pctab: 6, functab: 7 };

function layoutOf(magic: number): Layout | undefined {
  switch (magic) {
    case 0xfffffffb:
      return {
        magic,
        releases: '1.2 to 1.15',
        headerWords: 1,
        words: {},
        offsetEntries: false,
        offsetFuncdata: false,
        cuOffset: false,
        startLine: false,
      };
    case 0xfffffffa:
      return {
        magic,
        releases: '1.16 and 1.17',
        headerWords: 7,
        words: HEADER_116,
        offsetEntries: false,
        offsetFuncdata: false,
        cuOffset: true,
        startLine: false,
      };
    case 0xfffffff0:
      return {
        magic,
        releases: '1.18 and 1.19',
        headerWords: 8,
        words: HEADER_118,
        offsetEntries: true,
        offsetFuncdata: true,
        cuOffset: true,
        startLine: false,
      };
    case 0xfffffff1:
      return {
        magic,
        releases: '1.20 and later',
        headerWords: 8,
        words: HEADER_118,
        offsetEntries: true,
        offsetFuncdata: true,
        cuOffset: true,
        startLine: true,
      };
    default:
      return undefined;
  }
}

/** The parts of a `_func` record that stand before its pcdata and funcdata words. */
export interface FuncRecord {
  /** Offset of the record from the start of pclntab. */
  readonly at: number;
  readonly entry: number;
  readonly nameOff: number;
  readonly args: number;
  readonly deferreturn: number;
  readonly pcsp: number;
  readonly pcfile: number;
  readonly pcln: number;
  readonly npcdata: number;
  readonly cuOffset: number;
  readonly startLine: number;
  readonly funcID: number;
  readonly flag: number;
  readonly nfuncdata: number;
  /** Offset of the first pcdata word from the start of pclntab. */
  readonly pcdata: number;
  /** Offset of the first funcdata word from the start of pclntab. */
  readonly funcdata: number;
}

/** The pc-value tables that every function names directly. */
export type FixedTable = 'pcsp' | 'pcfile' | 'pcln';

const NO_FUNCDATA32 = 0xffffffff;
const MAX_NAME = 1 << 16;

/** Whether the bytes could begin a pclntab: magic, two zeros, a quantum and a pointer size. */
export function looksLikePclntab(bytes: Uint8Array, bigEndian: boolean): boolean {
  if (bytes.length < 16) return false;
  const magic = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, !bigEndian);
  const [quantum, pointerSize] = [bytes[6], bytes[7]];
  return (
    layoutOf(magic) !== undefined &&
    bytes[4] === 0 &&
    bytes[5] === 0 &&
    (quantum === 1 || quantum === 2 || quantum === 4) &&
    (pointerSize === 4 || pointerSize === 8)
  );
}

/** One pclntab over the bytes that hold it. Every read is checked; damage is a TableError. */
export class Pclntab {
  readonly magic: number;
  /** Address of the table in the program. */
  readonly addr: number;
  readonly bytes: Uint8Array;
  readonly quantum: number;
  readonly pointerSize: 4 | 8;
  readonly nfunc: number;
  /** Releases that write this layout, for people. */
  readonly releases: string;
  /** runtime.text as the header has it: Go 1.18 to 1.25 (0 from 1.26 on); undefined in layouts of addresses. */
  readonly headerText: number | undefined;
  /** Address of the functab: what moduledata.pclntable (1.16 and later) points to. */
  readonly functabAddr: number;
  /** Whether entries count from a text base that the caller must supply. */
  readonly needsTextBase: boolean;
  readonly #layout: Layout;
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  readonly #functab: number;
  readonly #pctab: number;
  readonly #names: number;
  readonly #cutab: number;
  readonly #filetab: number;
  #textBase = 0;

  /**
   * @param bytes from the start of the table to (at most) the end of its segment
   * @throws TableError if this is no pclntab
   */
  constructor(bytes: Uint8Array, addr: number, bigEndian: boolean) {
    this.bytes = bytes;
    this.addr = addr;
    this.#littleEndian = !bigEndian;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!looksLikePclntab(bytes, bigEndian))
      throw new TableError('pclntab header', 0, 'not the header of any known layout');
    this.magic = this.u32(0);
    const layout = layoutOf(this.magic);
    if (layout === undefined) throw new TableError('pclntab header', 0, 'unknown magic');
    this.#layout = layout;
    this.releases = layout.releases;
    this.quantum = this.u8(6);
    this.pointerSize = this.u8(7) === 8 ? 8 : 4;
    this.nfunc = this.#word(0);
    const { words } = layout;
    this.headerText = words.textStart === undefined ? undefined : this.#word(words.textStart);
    this.#functab = words.functab === undefined ? 8 + this.pointerSize : this.#word(words.functab);
    this.#pctab = words.pctab === undefined ? 0 : this.#word(words.pctab);
    this.#names = words.funcnametab === undefined ? 0 : this.#word(words.funcnametab);
    this.#cutab = words.cutab === undefined ? 0 : this.#word(words.cutab);
    this.functabAddr = addr + this.#functab;
    this.needsTextBase = layout.offsetEntries;
    const entrySize = this.#entrySize;
    if (this.nfunc < 1 || this.#functab + this.nfunc * entrySize + entrySize / 2 > bytes.length) {
      throw new TableError('pclntab header', 8, `${this.nfunc} functions do not fit in ${bytes.length} bytes`);
    }
    // Up to Go 1.15 the offset of the file table follows the end marker of the functab.
    this.#filetab =
      words.filetab === undefined
        ? this.u32(this.#functab + this.nfunc * entrySize + entrySize / 2)
        : this.#word(words.filetab);
  }

  /** Sets the address from which entry offsets count (moduledata.text). */
  setTextBase(addr: number): void {
    this.#textBase = addr;
  }

  get #entrySize(): number {
    return this.#layout.offsetEntries ? 8 : 2 * this.pointerSize;
  }

  #word(index: number): number {
    return this.pointer(8 + index * this.pointerSize);
  }

  #need(offset: number, size: number): void {
    if (!(offset >= 0 && offset + size <= this.bytes.length)) {
      throw new TableError('pclntab', offset, `outside the table of ${this.bytes.length} bytes`);
    }
  }

  u8(offset: number): number {
    this.#need(offset, 1);
    return this.#view.getUint8(offset);
  }

  u32(offset: number): number {
    this.#need(offset, 4);
    return this.#view.getUint32(offset, this.#littleEndian);
  }

  pointer(offset: number): number {
    if (this.pointerSize === 4) return this.u32(offset);
    this.#need(offset, 8);
    return Number(this.#view.getBigUint64(offset, this.#littleEndian));
  }

  /** Entry address of function `index`; `index` = nfunc gives the end of the last function. */
  entry(index: number): number {
    const at = this.#functab + index * this.#entrySize;
    return this.#layout.offsetEntries ? this.#textBase + this.u32(at) : this.pointer(at);
  }

  /**
   * All entries and the end of the last function: what a binary search for a PC needs.
   * @throws TableError if they are not in ascending order
   */
  entries(): Float64Array {
    const entries = new Float64Array(this.nfunc + 1);
    for (let i = 0; i <= this.nfunc; i++) {
      const entry = this.entry(i);
      if (i > 0 && !(entry >= entries[i - 1]!)) {
        throw new TableError('functab', this.#functab + i * this.#entrySize, `entry ${i} is below the one before it`);
      }
      entries[i] = entry;
    }
    return entries;
  }

  /** Where the record of function `index` begins. */
  #recordAt(index: number): number {
    const layout = this.#layout;
    const entryAt = this.#functab + index * this.#entrySize;
    const half = this.#entrySize / 2;
    const funcoff = layout.offsetEntries ? this.u32(entryAt + half) : this.pointer(entryAt + half);
    // Offsets count from the functab since it became a table of its own (1.16).
    return (layout.words.functab === undefined ? 0 : this.#functab) + funcoff;
  }

  /** Where, in a record that begins at `at`, the fields begin that follow the entry. */
  #fieldsAt(at: number): number {
    return at + (this.#layout.offsetEntries ? 4 : this.pointerSize);
  }

  /** The record of function `index`. */
  record(index: number): FuncRecord {
    const layout = this.#layout;
    const at = this.#recordAt(index);
    const entry = layout.offsetEntries ? this.#textBase + this.u32(at) : this.pointer(at);
    if (entry !== this.entry(index)) {
      throw new TableError(
        '_func',
        at,
        `entry 0x${entry.toString(16)} differs from the functab's 0x${this.entry(index).toString(16)}`,
      );
    }
    const base = this.#fieldsAt(at);
    const cuOffset = layout.cuOffset ? this.u32(base + 28) : 0;
    const startLine = layout.startLine ? this.u32(base + 32) : 0;
    const tail = base + 28 + (layout.cuOffset ? 4 : 0) + (layout.startLine ? 4 : 0);
    const npcdata = this.u32(base + 24);
    const nfuncdata = this.u8(tail + 3);
    const pcdata = tail + 4;
    if (npcdata > 64) throw new TableError('_func', base + 24, `${npcdata} pcdata tables`);
    let funcdata = pcdata + 4 * npcdata;
    if (!layout.offsetFuncdata && funcdata % this.pointerSize !== 0) funcdata += 4;
    return {
      at,
      entry,
      nameOff: this.u32(base) | 0,
      args: this.u32(base + 4) | 0,
      deferreturn: this.u32(base + 8),
      pcsp: this.u32(base + 12),
      pcfile: this.u32(base + 16),
      pcln: this.u32(base + 20),
      npcdata,
      cuOffset,
      startLine: startLine | 0,
      funcID: this.u8(tail),
      flag: this.u8(tail + 1),
      nfuncdata,
      pcdata,
      funcdata,
    };
  }

  /** Offset of PCDATA table `index` in the pc-value tables; 0 if the function has none. */
  pcdataOffset(record: FuncRecord, index: number): number {
    return index < record.npcdata ? this.u32(record.pcdata + 4 * index) : 0;
  }

  /**
   * Address of FUNCDATA `index`; undefined if the function has none.
   * @param gofunc moduledata.gofunc; undefined if it is not known, which is an error only where it is needed
   */
  funcdataAddr(record: FuncRecord, index: number, gofunc: number | undefined): number | undefined {
    if (index >= record.nfuncdata) return undefined;
    if (!this.#layout.offsetFuncdata) {
      const addr = this.pointer(record.funcdata + this.pointerSize * index);
      return addr === 0 ? undefined : addr;
    }
    const offset = this.u32(record.funcdata + 4 * index);
    if (offset === NO_FUNCDATA32) return undefined;
    if (gofunc === undefined)
      throw new TableError('moduledata', 0, 'not found, so funcdata (counted from gofunc) cannot be read');
    return gofunc + offset;
  }

  /** Start of the pc-value stream `offset` in `bytes`. */
  streamAt(offset: number): number {
    return this.#pctab + offset;
  }

  /** The text at `nameOff` of the name table. */
  name(nameOff: number): string {
    // The layouts without a name table of its own count from the header, where no name stands.
    if (nameOff === 0 && this.#names === 0) return '';
    return this.#text('funcnametab', this.#names + nameOff);
  }

  /** Indexes of the functions of that exact name, in address order. The names of the others are not read. */
  functionsNamed(name: string): number[] {
    const offsets = new Set<number>();
    // Up to the table that comes next.
    const ends = [this.#cutab, this.#filetab, this.#pctab, this.#functab].filter((start) => start > this.#names);
    const end = this.#names === 0 ? this.bytes.length : Math.min(this.bytes.length, ...ends);
    const names = Buffer.from(this.bytes.buffer, this.bytes.byteOffset, end);
    const text = Buffer.from(`${name}\0`);
    for (let at = names.indexOf(text, this.#names); at >= 0; at = names.indexOf(text, at + 1)) {
      if (at === this.#names || names[at - 1] === 0) offsets.add(at - this.#names);
    }
    const found: number[] = [];
    if (offsets.size === 0) return found;
    for (let i = 0; i < this.nfunc; i++) {
      if (offsets.has(this.u32(this.#fieldsAt(this.#recordAt(i))) | 0)) found.push(i);
    }
    return found;
  }

  /** The file that value `fileno` of pcfile stands for; undefined for `?`. */
  fileName(record: FuncRecord, fileno: number): string | undefined {
    if (!this.#layout.cuOffset) {
      if (fileno <= 0) return undefined;
      const at = this.#filetab + 4 * fileno;
      return this.#text('filetab', this.u32(at));
    }
    if (fileno < 0) return undefined;
    const offset = this.u32(this.#cutab + 4 * (record.cuOffset + fileno));
    return offset === NO_FUNCDATA32 ? undefined : this.#text('filetab', this.#filetab + offset);
  }

  #text(table: string, start: number): string {
    const limit = Math.min(this.bytes.length, start + MAX_NAME);
    if (!(start >= 0 && start < this.bytes.length)) throw new TableError(table, start, 'a name outside the table');
    let stop = start;
    while (stop < limit && this.bytes[stop] !== 0) stop++;
    if (stop === limit) throw new TableError(table, start, 'a name without an end');
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, stop - start).toString('utf8');
  }
}
