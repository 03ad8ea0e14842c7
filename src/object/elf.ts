// ELF executables of both classes and byte orders: header, segments, sections and symbols, every read bounds-checked.
// Layouts: System V ABI, chapters 4 and 5; MIPS flags: MIPS psABI and the kernel's arch/mips/include/asm/elf.h.

import { inflateSync } from 'node:zlib';
import type { Goarch } from '../../isa/dsl/variant.ts';
import { fileOf, type ProgramFile } from './file.ts';

/** An input that is not a program we can run. The message is one line: what is wrong; what to try. */
export class ElfError extends Error {
  override readonly name = 'ElfError';
}

/** One program header. Addresses and sizes in bytes. */
export interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly filesz: number;
  readonly memsz: number;
  readonly align: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
}

/** One section header. `size` is the size in the file, so that of the compressed form where it is compressed. */
export interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly addr: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly entsize: number;
}

/** One symbol of .symtab. */
export interface ElfSymbol {
  readonly name: string;
  readonly value: number;
  readonly size: number;
  /** STT_*: 1 object, 2 function. */
  readonly type: number;
  readonly section: number;
}

export const PT_LOAD = 1;
export const PT_INTERP = 3;
export const PT_TLS = 7;
export const PT_DYNAMIC = 2;

const ET_NAMES: Readonly<Record<number, string>> = { 1: 'a relocatable object', 4: 'a core dump' };
const MACHINES: Readonly<Record<number, string>> = {
  2: 'sparc',
  3: '386',
  20: 'ppc',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  183: 'arm64',
  243: 'riscv',
  258: 'loong64',
};
const EM_MIPS = 8;
const EM_X86_64 = 62;
const EF_MIPS_ABI2 = 0x20;
const EF_MIPS_MICROMIPS = 0x02000000;
const EF_MIPS_ARCH_32R6 = 0x9;
const EF_MIPS_ARCH_64R6 = 0xa;
const SHT_SYMTAB = 2;
const SHT_RELA = 4;
const SHT_NOBITS = 8;
const SHF_COMPRESSED = 0x800;
const TARGETS = 'Safepoint runs linux programs for amd64, mips, mipsle, mips64 and mips64le';
const BUILD_HINT = 'build a static program with CGO_ENABLED=0 go build';

/** What is read of a file where a field is wanted that is not at hand. */
const AT_ONCE = 64 * 1024;
/** Bytes in which most names end. */
const NAME = 256;

/** Bounds-checked reads of one file; `what` names the structure for the message. */
class FileReader {
  readonly littleEndian: boolean;
  readonly wide: boolean;
  readonly #file: ProgramFile;
  /** What is at hand of the file, from `#start` on: its first page, where Go's linker puts all headers, or what was wanted last. */
  #view: DataView;
  #start = 0;

  constructor(file: ProgramFile, head: Uint8Array, littleEndian: boolean, wide: boolean) {
    this.#file = file;
    this.littleEndian = littleEndian;
    this.wide = wide;
    this.#view = viewOf(head);
  }

  get length(): number {
    return this.#file.length;
  }

  range(offset: number, length: number): Uint8Array {
    return this.#file.range(offset, length);
  }

  /** Has so many bytes from an offset on at hand, and says where in the view they stand. */
  #at(offset: number, size: number, what: string): number {
    if (offset >= this.#start && offset + size <= this.#start + this.#view.byteLength) return offset - this.#start;
    if (!(offset >= 0 && offset + size <= this.length)) {
      throw new ElfError(
        `truncated: the ${what} ends at offset ${offset + size}, the file has ${this.length} bytes; copy or build it again`,
      );
    }
    // Tables are also read from their end.
    const part = offset - (offset % AT_ONCE);
    this.#start = offset + size <= part + AT_ONCE ? part : offset;
    this.#view = viewOf(this.range(this.#start, AT_ONCE));
    return offset - this.#start;
  }

  u8(offset: number, what: string): number {
    const at = this.#at(offset, 1, what);
    return this.#view.getUint8(at);
  }

  u16(offset: number, what: string): number {
    const at = this.#at(offset, 2, what);
    return this.#view.getUint16(at, this.littleEndian);
  }

  u32(offset: number, what: string): number {
    const at = this.#at(offset, 4, what);
    return this.#view.getUint32(at, this.littleEndian);
  }

  /** A 64-bit field as a number; values that are no offset, size or address of a user program are refused. */
  u64(offset: number, what: string): number {
    const at = this.#at(offset, 8, what);
    const value = this.#view.getBigUint64(at, this.littleEndian);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new ElfError(`corrupted: the ${what} holds 0x${value.toString(16)}; copy or build it again`);
    }
    return Number(value);
  }

  /** A word of the file's class. */
  word(offset: number, what: string): number {
    return this.wide ? this.u64(offset, what) : this.u32(offset, what);
  }

  /** NUL-terminated text inside [start, end). */
  text(start: number, end: number): string {
    const limit = Math.min(end, this.length);
    for (let length = NAME; start < limit; length *= 2) {
      const bytes = this.range(start, Math.min(length, limit - start));
      const stop = bytes.indexOf(0);
      if (stop >= 0 || length >= limit - start) {
        return Buffer.from(stop < 0 ? bytes : bytes.subarray(0, stop)).toString('utf8');
      }
    }
    return '';
  }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength);

/** An opened executable. Make one with `readElf`. */
export interface Elf {
  readonly file: ProgramFile;
  readonly class: 32 | 64;
  readonly bigEndian: boolean;
  /** The target, by machine, class, byte order and (on MIPS) ABI flags. */
  readonly goarch: Goarch;
  /** Position-independent: addresses are relative to a base that the loader chooses. */
  readonly pie: boolean;
  readonly flags: number;
  readonly entry: number;
  readonly phoff: number;
  readonly phentsize: number;
  readonly phnum: number;
  /** All program headers, in file order. */
  readonly segments: readonly Segment[];
  /** The PT_LOAD ones, by address. */
  readonly loads: readonly Segment[];
  /** Sections; empty if the program has no section headers, or they lie outside the file. */
  readonly sections: readonly Section[];
  section(name: string): Section | undefined;
  /** A section's contents, decompressed; also finds `.zdebug_x` for `.debug_x`. Throws ElfError if they are damaged. */
  sectionData(name: string): Uint8Array | undefined;
  /** Symbols of .symtab; empty if stripped. */
  symbols(): readonly ElfSymbol[];
  symbol(name: string): ElfSymbol | undefined;
  /** R_*_RELATIVE relocations of a static PIE: at `where`, the loader stores base + addend. */
  relativeRelocations(): readonly { readonly where: number; readonly addend: number }[];
}

/** Reads an executable. Throws ElfError, and nothing else that the input is to blame for, for any other input. */
export function readElf(program: Uint8Array | ProgramFile): Elf {
  const given = program instanceof Uint8Array ? fileOf(program) : program;
  const bytes = given.page(0).slice();
  if (bytes.length === 0) throw new ElfError(`the file is empty; ${BUILD_HINT}`);
  if (!(bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46)) {
    throw new ElfError(`not an ELF executable: ${describeForeign(bytes)}; ${BUILD_HINT}`);
  }
  if (bytes.length < 16)
    throw new ElfError(`truncated: ${bytes.length} bytes of an ELF header; copy or build it again`);
  const elfClass = bytes[4];
  const data = bytes[5];
  if ((elfClass !== 1 && elfClass !== 2) || (data !== 1 && data !== 2)) {
    throw new ElfError(`corrupted: ELF class ${elfClass}, data encoding ${data}; copy or build it again`);
  }
  const file = new FileReader(given, bytes, data === 1, elfClass === 2);
  const type = file.u16(16, 'ELF header');
  const machine = file.u16(18, 'ELF header');
  const wide = file.wide;
  const flags = file.u32(wide ? 48 : 36, 'ELF header');
  const goarch = goarchOf(machine, file, flags);
  if (type !== 2 && type !== 3) {
    throw new ElfError(`not an executable but ${ET_NAMES[type] ?? `ELF type ${type}`}; ${BUILD_HINT}`);
  }
  const entry = file.word(24, 'ELF header');
  const phoff = file.word(wide ? 32 : 28, 'ELF header');
  const shoff = wide ? file.u64(40, 'ELF header') : file.u32(32, 'ELF header');
  const sizes = wide ? 54 : 42;
  const phentsize = file.u16(sizes, 'ELF header');
  const phnum = file.u16(sizes + 2, 'ELF header');
  const shentsize = file.u16(sizes + 4, 'ELF header');
  const shnum = file.u16(sizes + 6, 'ELF header');
  const shstrndx = file.u16(sizes + 8, 'ELF header');

  const segments = readSegments(file, phoff, phentsize, phnum);
  checkRunnable(file, segments, entry);
  const loads = segments.filter((s) => s.type === PT_LOAD && s.memsz > 0).sort((a, b) => a.vaddr - b.vaddr);
  // What runs a program has no need of them, and their names stand near the end of the file.
  let known: readonly Section[] | undefined;
  const sections = (): readonly Section[] => {
    known ??= readSections(file, shoff, shentsize, shnum, shstrndx);
    return known;
  };
  let symbols: readonly ElfSymbol[] | undefined;
  const byName = new Map<string, ElfSymbol | undefined>();
  return {
    file: given,
    class: wide ? 64 : 32,
    bigEndian: !file.littleEndian,
    goarch,
    pie: type === 3,
    flags,
    entry,
    phoff,
    phentsize,
    phnum,
    segments,
    loads,
    get sections() {
      return sections();
    },
    section: (name) => sections().find((s) => s.name === name),
    sectionData: (name) => sectionData(file, sections(), name),
    symbols: () => {
      symbols ??= readSymbols(file, sections());
      return symbols;
    },
    symbol: (name) => {
      if (!byName.has(name)) byName.set(name, findSymbol(file, sections(), name));
      return byName.get(name);
    },
    relativeRelocations: () => relativeRelocations(file, sections(), machine),
  };
}

function describeForeign(bytes: Uint8Array): string {
  const head = bytes.subarray(0, 512);
  if (head[0] === 0x4d && head[1] === 0x5a) return 'a Windows program';
  const magic = head.length >= 4 ? new DataView(head.buffer, head.byteOffset).getUint32(0) : 0;
  if (magic === 0xcffaedfe || magic === 0xcafebabe || magic === 0xfeedfacf) return 'a macOS program';
  if (magic === 0x0061736d) return 'a WebAssembly module';
  if (head[0] === 0x23 && head[1] === 0x21) return 'a script';
  const text = head.every((b) => b === 9 || b === 10 || b === 13 || (b >= 32 && b !== 127));
  return text ? 'a text file' : 'it does not begin with 7f 45 4c 46';
}

function goarchOf(machine: number, file: FileReader, flags: number): Goarch {
  if (machine === EM_X86_64) {
    if (!file.wide) throw new ElfError(`an x32 program (32-bit ELF for x86-64); ${TARGETS}`);
    if (!file.littleEndian) throw new ElfError('corrupted: a big-endian ELF for x86-64; copy or build it again');
    return 'amd64';
  }
  if (machine !== EM_MIPS)
    throw new ElfError(`a program for ${MACHINES[machine] ?? `ELF machine ${machine}`}; ${TARGETS}`);
  const level = flags >>> 28;
  if (flags & EF_MIPS_MICROMIPS) throw new ElfError(`a microMIPS program; ${TARGETS}`);
  if (level === EF_MIPS_ARCH_32R6 || level === EF_MIPS_ARCH_64R6) {
    throw new ElfError(`a MIPS release 6 program, whose encodings differ; ${TARGETS}`);
  }
  if (!file.wide && flags & EF_MIPS_ABI2) throw new ElfError(`a MIPS n32 program; ${TARGETS} (o32 and n64)`);
  if (file.wide) return file.littleEndian ? 'mips64le' : 'mips64';
  return file.littleEndian ? 'mipsle' : 'mips';
}

function readSegments(file: FileReader, phoff: number, phentsize: number, phnum: number): Segment[] {
  if (phnum === 0) throw new ElfError(`not an executable: it has no program headers; ${BUILD_HINT}`);
  const wide = file.wide;
  if (phentsize < (wide ? 56 : 32)) {
    throw new ElfError(`corrupted: program headers of ${phentsize} bytes; copy or build it again`);
  }
  const segments: Segment[] = [];
  for (let i = 0; i < phnum; i++) {
    const at = phoff + i * phentsize;
    const what = `program header ${i}`;
    const type = file.u32(at, what);

    const flags = file.u32(at + (wide ? 4 : 24), what);
    const field = (w: number, n: number): number => file.word(at + (wide ? w : n), what);
    const segment: Segment = {
      type,
      offset: field(8, 4),
      vaddr: field(16, 8),
      filesz: field(32, 16),
      memsz: field(40, 20),
      align: field(48, 28),
      executable: (flags & 1) !== 0,
      writable: (flags & 2) !== 0,
      readable: (flags & 4) !== 0,
    };
    segments.push(segment);
  }
  return segments;
}

const USER_SPACE_END = 2 ** 47;

function checkRunnable(file: FileReader, segments: readonly Segment[], entry: number): void {
  let hasEntry = false;
  let hasLoad = false;
  for (const [i, s] of segments.entries()) {
    if (s.type === PT_INTERP) {
      const interpreter = file.text(s.offset, s.offset + Math.min(s.filesz, 4096));
      throw new ElfError(`dynamically linked (it asks for ${interpreter || 'an interpreter'}); ${BUILD_HINT}`);
    }
    if (s.type !== PT_LOAD) continue;
    hasLoad = true;
    if (s.filesz > s.memsz) {
      throw new ElfError(`corrupted: segment ${i} has more bytes in the file than in memory; copy or build it again`);
    }
    const end = s.vaddr + s.memsz;
    if (end > (file.wide ? USER_SPACE_END : 2 ** 32)) {
      throw new ElfError(
        `corrupted: segment ${i} ends at 0x${end.toString(16)}, past user space; copy or build it again`,
      );
    }
    if (s.offset + s.filesz > file.length) {
      throw new ElfError(
        `truncated: segment ${i} ends at offset ${s.offset + s.filesz}, the file has ${file.length} bytes; copy or build it again`,
      );
    }
    if (s.executable && entry >= s.vaddr && entry < end) hasEntry = true;
  }
  if (!hasLoad) throw new ElfError(`not an executable: nothing in it is to be loaded; ${BUILD_HINT}`);
  if (!hasEntry) {
    throw new ElfError(
      `corrupted: its entry point 0x${entry.toString(16)} lies in no executable segment; copy or build it again`,
    );
  }
}

/** Sections are a linker's matter: a program without them, or with a table outside the file, still runs. */
function readSections(file: FileReader, shoff: number, shentsize: number, shnum: number, shstrndx: number): Section[] {
  const wide = file.wide;
  if (shoff === 0 || shnum === 0 || shentsize < (wide ? 64 : 40)) return [];
  if (shoff + shnum * shentsize > file.length) return [];
  const raw: { nameOff: number; section: Section }[] = [];
  for (let i = 0; i < shnum; i++) {
    const at = shoff + i * shentsize;
    const what = `section header ${i}`;
    const field = (w: number, n: number): number => file.word(at + (wide ? w : n), what);
    try {
      raw.push({
        nameOff: file.u32(at, what),
        section: {
          name: '',
          type: file.u32(at + 4, what),
          flags: field(8, 8),
          addr: field(16, 12),
          offset: field(24, 16),
          size: field(32, 20),
          link: file.u32(at + (wide ? 40 : 24), what),
          entsize: field(56, 36),
        },
      });
    } catch (error) {
      if (error instanceof ElfError) return [];
      throw error;
    }
  }
  const names = raw[shstrndx]?.section;
  if (names === undefined) return [];
  return raw.map(({ nameOff, section }) => ({
    ...section,
    name: file.text(names.offset + nameOff, names.offset + names.size),
  }));
}

function contents(file: FileReader, section: Section): Uint8Array {
  if (section.type === SHT_NOBITS) return new Uint8Array(0);
  if (section.offset + section.size > file.length) {
    throw new ElfError(`truncated: section ${section.name} ends past the end of the file; copy or build it again`);
  }
  return file.range(section.offset, section.size);
}

function inflate(data: Uint8Array, size: number, name: string): Uint8Array {
  try {
    // One byte more than announced is enough to notice a section that lies about its size.
    const out = inflateSync(data, { maxOutputLength: Math.max(size, 1) });
    if (out.length === size) return out;
  } catch {
    // zlib's own text says nothing to a user; both failures are the same one.
  }
  throw new ElfError(`corrupted: section ${name} does not decompress to ${size} bytes; build it again`);
}

const MAX_INFLATED = 1 << 30;

function sectionData(file: FileReader, sections: readonly Section[], name: string): Uint8Array | undefined {
  const plain = sections.find((s) => s.name === name);
  if (plain !== undefined) {
    const data = contents(file, plain);
    if ((plain.flags & SHF_COMPRESSED) === 0) return data;
    const header = file.wide ? 24 : 12;
    if (data.length < header || file.u32(plain.offset, name) !== 1) {
      throw new ElfError(
        `section ${name} is compressed in a way other than zlib; build with -ldflags=-compressdwarf=false`,
      );
    }
    const size = file.word(plain.offset + (file.wide ? 8 : 4), name);
    return inflate(data.subarray(header), Math.min(size, MAX_INFLATED), name);
  }
  if (!name.startsWith('.debug_')) return undefined;
  // Go 1.11 to 1.18 wrote the older GNU form: ".zdebug_x", "ZLIB", a big-endian size.
  const zdebug = sections.find((s) => s.name === `.z${name.slice(1)}`);
  if (zdebug === undefined) return undefined;
  const data = contents(file, zdebug);
  const head = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < 12 || head.getUint32(0) !== 0x5a4c4942) {
    throw new ElfError(`corrupted: section ${zdebug.name} has no ZLIB header; build it again`);
  }
  return inflate(data.subarray(12), Math.min(Number(head.getBigUint64(4)), MAX_INFLATED), zdebug.name);
}

/** Where .symtab and its strings stand in the file. */
interface SymbolTable {
  /** Offsets of the first entry that is not the empty one, and of where entries end. */
  readonly start: number;
  readonly end: number;
  readonly entry: number;
  readonly strings: Section;
}

function symbolTable(file: FileReader, sections: readonly Section[]): SymbolTable | undefined {
  const table = sections.find((s) => s.type === SHT_SYMTAB);
  const strings = table === undefined ? undefined : sections[table.link];
  if (table === undefined || strings === undefined) return undefined;
  const entry = file.wide ? 24 : 16;
  const end = Math.min(table.offset + table.size, file.length) - entry + 1;
  return { start: table.offset + entry, end, entry, strings };
}

/** The symbol whose entry stands at `at`; undefined for one without a name, or whose value is no address. */
function readSymbol(file: FileReader, { strings }: SymbolTable, at: number): ElfSymbol | undefined {
  const nameOff = file.u32(at, 'symbol table');
  const info = file.u8(at + (file.wide ? 4 : 12), 'symbol table');
  const value = file.wide ? lenient64(file, at + 8) : file.u32(at + 4, 'symbol table');
  if (nameOff === 0 || value === undefined) return undefined;
  return {
    name: file.text(strings.offset + nameOff, strings.offset + strings.size),
    value,
    size: (file.wide ? lenient64(file, at + 16) : file.u32(at + 8, 'symbol table')) ?? 0,
    type: info & 15,
    section: file.u16(at + (file.wide ? 6 : 14), 'symbol table'),
  };
}

function readSymbols(file: FileReader, sections: readonly Section[]): ElfSymbol[] {
  const table = symbolTable(file, sections);
  const symbols: ElfSymbol[] = [];
  if (table === undefined) return symbols;
  for (let at = table.start; at < table.end; at += table.entry) {
    const symbol = readSymbol(file, table, at);
    if (symbol !== undefined) symbols.push(symbol);
  }
  return symbols;
}

/** The last symbol of that name, found by where the name stands: opening a program asks for a few of its thousands. */
function findSymbol(file: FileReader, sections: readonly Section[], name: string): ElfSymbol | undefined {
  const table = symbolTable(file, sections);
  if (table === undefined || name === '') return undefined;
  const { strings } = table;
  const text = file.range(strings.offset, strings.size);
  const haystack = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  const offsets = new Set<number>();
  const { length } = Buffer.from(name);
  for (let at = haystack.indexOf(name); at >= 0; at = haystack.indexOf(name, at + 1)) {
    if ((haystack[at + length] ?? 0) === 0) offsets.add(at);
  }
  if (offsets.size === 0) return undefined;
  const count = Math.ceil((table.end - table.start) / table.entry);
  for (let i = count - 1; i >= 0; i--) {
    const at = table.start + i * table.entry;
    const symbol = offsets.has(file.u32(at, 'symbol table')) ? readSymbol(file, table, at) : undefined;
    if (symbol !== undefined) return symbol;
  }
  return undefined;
}

/** A symbol value may be any 64-bit constant; one that is no address is of no use here. */
function lenient64(file: FileReader, offset: number): number | undefined {
  try {
    return file.u64(offset, 'symbol table');
  } catch (error) {
    if (error instanceof ElfError) return undefined;
    throw error;
  }
}

const R_X86_64_RELATIVE = 8;

function relativeRelocations(
  file: FileReader,
  sections: readonly Section[],
  machine: number,
): { where: number; addend: number }[] {
  const found: { where: number; addend: number }[] = [];
  if (machine !== EM_X86_64) return found;
  for (const section of sections) {
    if (section.type !== SHT_RELA) continue;
    const end = Math.min(section.offset + section.size, file.length);
    for (let at = section.offset; at + 24 <= end; at += 24) {
      if (file.u32(at + 8, section.name) !== R_X86_64_RELATIVE || file.u32(at + 12, section.name) !== 0) continue;
      found.push({ where: file.u64(at, section.name), addend: file.u64(at + 16, section.name) });
    }
  }
  return found;
}
