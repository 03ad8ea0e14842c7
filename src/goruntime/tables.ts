// What a program's tables say about its code: functions, pc-values, funcdata, inlining, files and lines. Static.
// Names follow runtime/symtab.go.

import type { Elf } from '../object/elf.ts';
import {
  FUNCDATA_LocalsPointerMaps,
  FuncFlagAsm,
  funcdataInlTree,
  funcFlags,
  funcIDName,
  PCDATA_InlTreeIndex,
} from './funcdata.ts';
import { InlineTrees } from './inltree.ts';
import { findModuledata, type Moduledata } from './moduledata.ts';
import { type FixedTable, type FuncRecord, looksLikePclntab, Pclntab } from './pclntab.ts';
import { decodePcRuns, findRun, NO_VALUE, type PcRuns, runStart, TableError } from './pcvalue.ts';
import { isBefore, type Release } from './version.ts';
import type { ImageView } from './view.ts';

/** One function (runtime `funcInfo`). Compare by identity: a table has one object for each. */
export interface Func {
  readonly index: number;
  readonly entry: number;
  /** Where the next function begins; padding included. */
  readonly end: number;
  readonly name: string;
  readonly funcID: number;
  /** The runtime's name for `funcID`; undefined if the release has no such ID. */
  readonly funcIDName: string | undefined;
  /** TopFrame, SPWrite and Asm, as far as the release has them. */
  readonly flag: number;
  readonly args: number;
  readonly record: FuncRecord;
}

/** A value of a pc-value table and the start of the run that it holds for. */
export interface PcValue {
  readonly value: number;
  readonly startpc: number;
  /** False where the table has no entry for the PC: the runtime, asked strictly, throws. */
  readonly covered: boolean;
}

/** One level of inlining at a PC, innermost first. The outermost is the function itself. */
export interface InlineFrame {
  readonly name: string;
  readonly file: string | undefined;
  readonly line: number;
  readonly inlined: boolean;
}

const MAX_INLINE_DEPTH = 256;
const NO_RUNS: PcRuns = { entry: 0, end: [], value: [] };

/** The tables of one program. */
export class GoTables {
  readonly table: Pclntab;
  readonly module: Moduledata | undefined;
  readonly release: Release;
  readonly #trees: InlineTrees;
  readonly #inlTreeIndex: number;
  readonly #funcs = new Map<number, Func>();
  readonly #runs = new Map<number, Map<number, PcRuns>>();
  #entries: Float64Array | undefined;
  #noPointersStackmap: { readonly addr: number | undefined } | undefined;
  #byName: Map<string, readonly number[]> | undefined;

  constructor(table: Pclntab, module: Moduledata | undefined, release: Release, image: ImageView) {
    this.table = table;
    this.module = module;
    this.release = release;
    this.#trees = new InlineTrees(image, release);
    this.#inlTreeIndex = funcdataInlTree(release);
  }

  get nfunc(): number {
    return this.table.nfunc;
  }

  /** First address that belongs to a function, and the first after the last one. */
  get minpc(): number {
    return this.table.entry(0);
  }

  get maxpc(): number {
    return this.table.entry(this.table.nfunc);
  }

  /** The function at `index` of the functab, which is in address order. */
  func(index: number): Func {
    const known = this.#funcs.get(index);
    if (known !== undefined) return known;
    if (!(Number.isInteger(index) && index >= 0 && index < this.nfunc))
      throw new TableError('functab', 0, `no function ${index}`);
    const record = this.table.record(index);
    const end = this.table.entry(index + 1);
    const func: Func = {
      index,
      entry: record.entry,
      end,
      name: this.table.name(record.nameOff),
      funcID: record.funcID,
      funcIDName: funcIDName(record.funcID, this.release),
      flag: funcFlags(record.flag, this.release),
      args: record.args,
      record,
    };
    this.#funcs.set(index, func);
    return func;
  }

  /** All functions in address order. */
  *funcs(): Generator<Func> {
    for (let i = 0; i < this.nfunc; i++) yield this.func(i);
  }

  /** The function that holds `pc`; undefined if no Go function does (runtime `findfunc`). */
  findfunc(pc: number): Func | undefined {
    this.#entries ??= this.table.entries();
    const entries = this.#entries;
    if (!(pc >= entries[0]! && pc < entries[entries.length - 1]!)) return undefined;
    let low = 0;
    let high = entries.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (entries[middle]! <= pc) low = middle;
      else high = middle;
    }
    return this.func(low);
  }

  /** Functions of that exact name. Two may share one: an ABIInternal body and its ABI0 wrapper; the body comes first. */
  funcsNamed(name: string): Func[] {
    const indexes = this.#byName === undefined ? this.table.functionsNamed(name) : (this.#byName.get(name) ?? []);
    const found = indexes.map((i) => this.func(i));
    return found.sort((a, b) => Number(a.funcIDName === 'wrapper') - Number(b.funcIDName === 'wrapper'));
  }

  /** Function indexes by name. */
  nameIndex(): ReadonlyMap<string, readonly number[]> {
    if (this.#byName === undefined) {
      const byName = new Map<string, number[]>();
      for (const f of this.funcs()) {
        const same = byName.get(f.name);
        if (same === undefined) byName.set(f.name, [f.index]);
        else same.push(f.index);
      }
      this.#byName = byName;
    }
    return this.#byName;
  }

  #decoded(f: Func, offset: number, name: string): PcRuns {
    if (offset === 0) return NO_RUNS;
    let ofFunc = this.#runs.get(f.index);
    if (ofFunc === undefined) {
      ofFunc = new Map();
      this.#runs.set(f.index, ofFunc);
    }
    let runs = ofFunc.get(offset);
    if (runs === undefined) {
      const { table } = this;
      runs = decodePcRuns(table.bytes, table.streamAt(offset), f.entry, f.end, table.quantum, `${name} of ${f.name}`);
      ofFunc.set(offset, runs);
    }
    return runs;
  }

  /** The decoded runs of PCDATA table `index`; undefined if the function has no such table (value -1 everywhere). */
  pcdataRuns(f: Func, index: number): PcRuns | undefined {
    const offset = this.table.pcdataOffset(f.record, index);
    return offset === 0 ? undefined : this.#decoded(f, offset, `pcdata ${index}`);
  }

  /** The decoded runs of pcsp, pcfile or pcln; undefined if the function has none. */
  fixedRuns(f: Func, table: FixedTable): PcRuns | undefined {
    const offset = f.record[table];
    return offset === 0 ? undefined : this.#decoded(f, offset, table);
  }

  /** Runtime `pcdatavalue2`: the value of a PCDATA table at `pc`, and where its run begins. */
  pcdatavalue2(f: Func, index: number, pc: number): PcValue {
    return valueAt(this.pcdataRuns(f, index), pc);
  }

  /** Runtime `pcdatavalue`, not strict: -1 where the table has no entry. */
  pcdatavalue(f: Func, index: number, pc: number): number {
    const runs = this.pcdataRuns(f, index);
    return runs === undefined ? NO_VALUE : lookup(runs, pc);
  }

  /** Runtime `funcspdelta`: bytes by which SP is below its value at the function's entry (return address excluded). */
  funcspdelta(f: Func, pc: number): number {
    const runs = this.fixedRuns(f, 'pcsp');
    return runs === undefined ? NO_VALUE : lookup(runs, pc);
  }

  /** Whether the pcsp table says nothing of `pc`, where the runtime's funcspdelta throws "invalid runtime symbol table". */
  funcspdeltaThrows(f: Func, pc: number): boolean {
    const runs = this.fixedRuns(f, 'pcsp');
    return runs !== undefined && findRun(runs, pc) < 0;
  }

  /** Runtime `funcMaxSPDelta`: the greatest value of pcsp, at least 0. */
  funcMaxSPDelta(f: Func): number {
    let most = 0;
    for (const value of this.fixedRuns(f, 'pcsp')?.value ?? []) most = Math.max(most, value);
    return most;
  }

  /** Runtime `funcdata`: address of FUNCDATA `index`; undefined for nil. */
  funcdata(f: Func, index: number): number | undefined {
    return this.table.funcdataAddr(f.record, index, this.module?.gofunc);
  }

  /** Address of the function's inline tree, if anything is inlined in it. */
  inlineTree(f: Func): number | undefined {
    return this.funcdata(f, this.#inlTreeIndex);
  }

  /**
   * Name of the innermost function inlined at `pc`, else of the function itself, as the runtime sees it: a name at
   * offset 0, which is that of the program's first function, is empty to it (runtime `funcname`).
   */
  innermostName(f: Func, pc: number): string {
    const tree = this.inlineTree(f);
    const index = tree === undefined ? -1 : this.pcdatavalue(f, PCDATA_InlTreeIndex, pc);
    const nameOff = tree === undefined || index < 0 ? f.record.nameOff : this.#trees.call(tree, index).nameOff;
    if (nameOff === 0) return '';
    return nameOff === f.record.nameOff ? f.name : this.table.name(nameOff);
  }

  /** Whether something is inlined in `f`, and the table that says where says nothing of `pc`. */
  inlTreeIndexIsMissing(f: Func, pc: number): boolean {
    return this.inlineTree(f) !== undefined && !this.pcdatavalue2(f, PCDATA_InlTreeIndex, pc).covered;
  }

  /** The chain of inlined calls at `pc`, innermost first, the function itself last (runtime `inlineUnwinder`). */
  inlineFrames(f: Func, pc: number): InlineFrame[] {
    const frames: InlineFrame[] = [];
    const tree = this.inlineTree(f);
    for (let at = pc; ; ) {
      const index = tree === undefined ? -1 : this.pcdatavalue(f, PCDATA_InlTreeIndex, at);
      const { file, line } = this.fileLine(f, at);
      if (tree === undefined || index < 0) {
        frames.push({ name: f.name, file, line, inlined: false });
        return frames;
      }
      const call = this.#trees.call(tree, index);
      frames.push({ name: this.table.name(call.nameOff), file, line, inlined: true });
      if (frames.length > MAX_INLINE_DEPTH)
        throw new TableError('inline tree', index, `calls of ${f.name} nest without end`);
      at = f.entry + call.parentPc;
    }
  }

  /** File and line of the innermost call at `pc` (runtime `funcline`); no file and line 0 where the tables have none. */
  fileLine(f: Func, pc: number): { readonly file: string | undefined; readonly line: number } {
    const files = this.fixedRuns(f, 'pcfile');
    const lines = this.fixedRuns(f, 'pcln');
    const fileno = files === undefined ? NO_VALUE : lookup(files, pc);
    const line = lines === undefined ? NO_VALUE : lookup(lines, pc);
    if (fileno === NO_VALUE || line === NO_VALUE) return { file: undefined, line: 0 };
    return { file: this.table.fileName(f.record, fileno), line };
  }

  /** Starts of the runs of code of `f` that come from `line` of a file that `accept`s. */
  pcsOfLine(f: Func, accept: (file: string) => boolean, line: number): number[] {
    const lines = this.fixedRuns(f, 'pcln');
    const files = this.fixedRuns(f, 'pcfile');
    if (lines === undefined || files === undefined || !lines.value.includes(line)) return [];
    const found: number[] = [];
    for (const [i, value] of lines.value.entries()) {
      if (value !== line) continue;
      // A run of one line can span files only where a call was inlined: look at each part of it.
      const end = lines.end[i] ?? 0;
      for (let pc = runStart(lines, i); pc < end; ) {
        const part = findRun(files, pc);
        if (part < 0) break;
        const name = this.table.fileName(f.record, files.value[part] ?? -1);
        if (name !== undefined && accept(name)) found.push(pc);
        pc = files.end[part] ?? end;
      }
    }
    return found;
  }

  /** Names of the files that code of `f` comes from. */
  filesOf(f: Func): string[] {
    const names = new Set<string>();
    for (const fileno of new Set(this.fixedRuns(f, 'pcfile')?.value ?? [])) {
      const name = this.table.fileName(f.record, fileno);
      if (name !== undefined) names.add(name);
    }
    return [...names];
  }

  /**
   * How the program marks a function as assembly; undefined if it does not. From Go 1.18 on by funcFlag_ASM; before, by
   * the address of its locals map, that of NO_LOCAL_POINTERS. (From 1.18 on the assembler gives such functions the
   * compiler's own empty map, so that the address tells nothing.)
   */
  assemblyMark(f: Func): 'funcFlag_ASM' | 'no_pointers_stackmap' | undefined {
    if (f.flag & FuncFlagAsm) return 'funcFlag_ASM';
    if (!isBefore(this.release, '1.18')) return undefined;
    const locals = this.funcdata(f, FUNCDATA_LocalsPointerMaps);
    return locals !== undefined && locals === this.noPointersStackmap() ? 'no_pointers_stackmap' : undefined;
  }

  /**
   * Address of runtime.no_pointers_stackmap in a program of Go 1.17 or earlier: the locals map of runtime.call32.
   * Other maps have the same bytes, so only the address tells them apart.
   */
  noPointersStackmap(): number | undefined {
    if (this.#noPointersStackmap === undefined) {
      const body = this.funcsNamed('runtime.call32')[0];
      this.#noPointersStackmap = { addr: body && this.funcdata(body, FUNCDATA_LocalsPointerMaps) };
    }
    return this.#noPointersStackmap.addr;
  }
}

function lookup(runs: PcRuns, pc: number): number {
  const index = findRun(runs, pc);
  return index < 0 ? NO_VALUE : (runs.value[index] ?? NO_VALUE);
}

function valueAt(runs: PcRuns | undefined, pc: number): PcValue {
  if (runs === undefined) return { value: NO_VALUE, startpc: 0, covered: true };
  const index = findRun(runs, pc);
  if (index < 0) return { value: NO_VALUE, startpc: 0, covered: false };
  return { value: runs.value[index] ?? NO_VALUE, startpc: runStart(runs, index), covered: true };
}

/** The pclntab of a program: by section, by symbol, else by looking for its header. Undefined if it is not a Go program. */
export function findPclntab(elf: Elf, image: ImageView): Pclntab | undefined {
  for (const addr of pclntabCandidates(elf, image)) {
    const bytes = image.bytesFrom(addr);
    if (bytes === undefined || !looksLikePclntab(bytes, elf.bigEndian)) continue;
    try {
      const table = new Pclntab(bytes, addr, elf.bigEndian);
      if (table.pointerSize === image.pointerSize) return table;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
    }
  }
  return undefined;
}

const MAGIC_TAILS = [0xfb, 0xfa, 0xf0, 0xf1] as const;

function* pclntabCandidates(elf: Elf, image: ImageView): Generator<number> {
  for (const name of ['.gopclntab', '.data.rel.ro.gopclntab']) {
    const section = elf.section(name);
    if (section !== undefined) yield section.addr;
  }
  const symbol = elf.symbol('runtime.pclntab');
  if (symbol !== undefined) yield symbol.value;
  for (const area of image.areas()) {
    const bytes = image.bytesFrom(area.addr);
    if (bytes === undefined) continue;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const tail of MAGIC_TAILS) {
      const ff = 0xff;
      const magic = Buffer.from(elf.bigEndian ? [ff, ff, ff, tail, 0, 0] : [tail, ff, ff, ff, 0, 0]);
      for (let at = buffer.indexOf(magic); at >= 0; at = buffer.indexOf(magic, at + 1)) {
        if (at % image.pointerSize === 0) yield area.addr + at;
      }
    }
  }
}

/** Opens the tables: sets the text base from moduledata, else from the header, else from the start of the code. */
export function openTables(elf: Elf, image: ImageView, table: Pclntab, release: Release): GoTables {
  const module = findModuledata(elf, image, table, release);
  if (table.needsTextBase) {
    const text =
      module?.text ?? (table.headerText || elf.section('.text')?.addr || elf.loads.find((s) => s.executable)?.vaddr);
    table.setTextBase(text ?? 0);
  }
  return new GoTables(table, module, release, image);
}
