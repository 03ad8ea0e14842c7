// What the garbage collector's stack scan reads of a stopped goroutine (runtime scanframeworker and getStackMap): the words of each
// frame that may hold pointers, by stack maps where there are some, and word for word where a frame was interrupted.

import type { Arch } from '../arch/arch.ts';
import {
  FUNCDATA_ArgsPointerMaps,
  FUNCDATA_LocalsPointerMaps,
  funcdataStackObjects,
  PCDATA_StackMapIndex,
} from './funcdata.ts';
import { TableError } from './pcvalue.ts';
import type { GoProgram } from './program.ts';
import type { Func, GoTables } from './tables.ts';
import type { Frame } from './unwind.ts';
import { isBefore } from './version.ts';
import { type GuestMemory, naming } from './view.ts';

/**
 * Why a word was looked at.
 * - `locals`, `args`: its bit in the frame's stack map is set.
 * - `conservative`: the frame is that of asyncPreempt or its caller, all of which are scanned.
 * - `object`: it is part of a local variable whose address is taken, and which some root points to.
 */
export type ScanOrigin = 'locals' | 'args' | 'conservative' | 'object';

/** One word that the scan reads. */
export interface ScannedWord {
  readonly addr: number;
  readonly value: number;
  readonly origin: ScanOrigin;
}

/** A local variable that is reached through pointers only (runtime stackObjectRecord). */
export interface StackObject {
  readonly addr: number;
  readonly size: number;
  /** Bytes at its start that may hold pointers. */
  readonly pointerBytes: number;
}

/** What is scanned of one frame. */
export interface ScannedFrame {
  readonly frame: Frame;
  readonly how: 'precise' | 'conservative' | 'dead' | 'no map';
  /** What was or was not found, where that is not plain. */
  readonly note: string;
  readonly words: readonly ScannedWord[];
  readonly objects: readonly StackObject[];
}

/** abi.ArgsSizeUnknown: the size of the arguments is known only to who called (reflect). */
const ARGS_SIZE_UNKNOWN = -0x80000000;
/** A frame with more words than this is none: variables of more than 10 MiB are not put on a stack (cmd/compile MaxStackVarSize). */
const MAX_WORDS = 1 << 21;
const MAX_OBJECTS = 1 << 16;

/** One bitmap of a FUNCDATA_*PointerMaps table (runtime stackmap). */
interface Bits {
  readonly count: number;
  isSet(index: number): boolean;
}

/** What says which words of a frame hold pointers. */
interface FrameMaps {
  readonly locals: Bits;
  readonly args: Bits;
  readonly missing: readonly string[];
}

const NO_BITS: Bits = { count: 0, isSet: () => false };

/** Frames with what the ones inside of them say of their scan, innermost first. */
function* inScanOrder(
  frames: readonly Frame[],
): Generator<{ readonly frame: Frame; readonly conservative: boolean; readonly panicked: boolean }> {
  let interrupted = false;
  let panicked = false;
  for (const frame of frames) {
    const id = frame.func.funcIDName ?? '';
    const injected = id === 'asyncPreempt' || id.startsWith('debugCall');
    yield { frame, conservative: interrupted || injected, panicked };
    // The parent of an injected call was interrupted anywhere: no map describes it (scanframeworker).
    interrupted = injected;
    panicked = id === 'sigpanic';
  }
}

/**
 * Scans the frames of stacks of one program. The collector has further roots for a goroutine that are in no frame: g.sched.ctxt,
 * deferred calls and panics, and from Go 1.27 on the extended registers of an interrupted one (g.xRegs).
 */
export class StackScanner {
  readonly #program: GoProgram;
  readonly #tables: GoTables;
  readonly #arch: Arch;
  readonly #memory: GuestMemory;

  constructor(program: GoProgram, memory: GuestMemory) {
    this.#program = program;
    this.#tables = program.tables;
    this.#arch = program.arch;
    this.#memory = memory;
  }

  /**
   * Scans the frames of a walk, innermost first, and then the stack objects that they point to.
   * @throws TableError if a stack map is damaged (where the runtime throws "bad symbol table")
   * @throws GuestReadError if the stack is not in memory
   */
  scan(frames: readonly Frame[]): readonly ScannedFrame[] {
    const scanned: ScannedFrame[] = [];
    for (const { frame, conservative, panicked } of inScanOrder(frames))
      scanned.push(conservative ? this.#conservative(frame) : this.#precise(frame, panicked));
    return this.#withObjects(scanned);
  }

  /**
   * The first of the frames that lacks a map which its scan needs, where the runtime throws "missing stackmap": its index and what is missing.
   * Reads no stack.
   * @throws TableError if a stack map is damaged
   */
  unmapped(frames: readonly Frame[]): { readonly index: number; readonly note: string } | undefined {
    let index = 0;
    for (const { frame, conservative, panicked } of inScanOrder(frames)) {
      const missing = conservative ? undefined : this.#maps(frame, panicked)?.missing.join('; ');
      if (missing !== undefined && missing !== '') return { index, note: missing };
      index++;
    }
    return undefined;
  }

  /** Address just above the locals (runtime frame.varp): below the return address and the saved frame pointer on amd64. */
  #varp(frame: Frame): number {
    if (this.#arch.linkRegister) return frame.fp;
    const w = this.#arch.pointerSize;
    const above = frame.fp - w;
    return above > frame.sp ? above - w : above;
  }

  /** Address of the first argument (runtime frame.argp). */
  #argp(frame: Frame): number {
    return frame.fp + this.#arch.minFrameSize;
  }

  #words(addr: number, count: number, origin: ScanOrigin, bits?: Bits): ScannedWord[] {
    const w = this.#arch.pointerSize;
    const words: ScannedWord[] = [];
    for (let i = 0; i < Math.min(count, MAX_WORDS); i++) {
      if (bits !== undefined && !bits.isSet(i)) continue;
      const at = addr + i * w;
      const value = naming(
        () => `word ${i} of a frame (${origin}) at 0x${addr.toString(16)}`,
        'read',
        () => this.#memory.readPointer(at),
      );
      words.push({ addr: at, value, origin });
    }
    return words;
  }

  /**
   * Bytes above the frame of an injected call that belong to it: the link register that pushCall saved. The collector overlooked them
   * before Go 1.27 (golang/go #80188), though R31 may hold a pointer that nothing else does.
   */
  #pushed(frame: Frame): number {
    const id = frame.func.funcIDName ?? '';
    if (!this.#arch.linkRegister || isBefore(this.#program.release, '1.27')) return 0;
    return id === 'sigpanic' || id === 'asyncPreempt' || id.startsWith('debugCall') ? this.#arch.minFrameSize : 0;
  }

  #conservative(frame: Frame): ScannedFrame {
    const w = this.#arch.pointerSize;
    const size = Math.max(0, this.#varp(frame) - frame.sp);
    const words = this.#words(frame.sp, (size === 0 ? 0 : size + this.#pushed(frame)) / w, 'conservative');
    if (frame.func.args !== ARGS_SIZE_UNKNOWN && frame.func.args > 0) {
      append(words, this.#words(this.#argp(frame), frame.func.args / w, 'conservative'));
    }
    return { frame, how: 'conservative', note: '', words, objects: [] };
  }

  /** The bitmaps of a frame's locals and arguments where it stands, and which of them are missing; undefined if a panic left it for good. */
  #maps(frame: Frame, panicked: boolean): FrameMaps | undefined {
    const { func } = frame;
    let { pc } = frame;
    if (panicked) {
      // After a panic only the call of deferreturn is ever reached again.
      if (func.record.deferreturn === 0) return undefined;
      pc = func.entry + func.record.deferreturn + 1;
    }
    // Back up to the call; the entry has the entry's map.
    const index = pc === func.entry ? -1 : this.#tables.pcdatavalue(func, PCDATA_StackMapIndex, pc - 1);
    const map = Math.max(index, 0);
    const missing: string[] = [];
    let locals: Bits | undefined;
    let args: Bits | undefined;
    if (this.#varp(frame) - frame.sp > this.#arch.minFrameSize) {
      locals = this.#bits(func, FUNCDATA_LocalsPointerMaps, map, 'locals');
      if (locals === undefined) missing.push('no map of locals: assembly without Go frames');
    }
    if (func.args > 0) {
      args = this.#bits(func, FUNCDATA_ArgsPointerMaps, map, 'args');
      if (args === undefined) missing.push('no map of arguments');
    }
    return { locals: locals ?? NO_BITS, args: args ?? NO_BITS, missing };
  }

  #precise(frame: Frame, panicked: boolean): ScannedFrame {
    const maps = this.#maps(frame, panicked);
    if (maps === undefined)
      return { frame, how: 'dead', note: 'a panic leaves this frame for good', words: [], objects: [] };
    const { locals, args } = maps;
    const notes = [...maps.missing];
    if (frame.func.args === ARGS_SIZE_UNKNOWN) notes.push('the size of the arguments is not known here (reflect)');
    const words = this.#words(
      this.#varp(frame) - locals.count * this.#arch.pointerSize,
      locals.count,
      'locals',
      locals,
    );
    append(words, this.#words(this.#argp(frame), args.count, 'args', args));
    const how = notes.length > 0 && words.length === 0 ? 'no map' : 'precise';
    return { frame, how, note: notes.join('; '), words, objects: this.#objects(frame) };
  }

  /** Map number `index` of a table (runtime stackmapdata); undefined if the function has no table. */
  #bits(func: Func, table: number, index: number, what: string): Bits | undefined {
    const addr = this.#tables.funcdata(func, table);
    if (addr === undefined) return undefined;
    const memory = this.#memory;
    const name = (): string => `the ${what} pointer maps of ${func.name} at 0x${addr.toString(16)}`;
    const n = naming(name, 'read', () => memory.readU32(addr)) | 0;
    const nbit = naming(name, 'read', () => memory.readU32(addr + 4)) | 0;
    if (n <= 0) return undefined;
    if (nbit === 0) return NO_BITS;
    if (index >= n || nbit < 0 || nbit > MAX_WORDS)
      throw new TableError(`${what} pointer maps of ${func.name}`, 0, `map ${index} of ${n}, ${nbit} bits each`);
    const bytes = addr + 8 + index * ((nbit + 7) >> 3);
    const byteOf = (i: number): number => naming(name, 'read', () => memory.readU8(bytes + (i >> 3)));
    return { count: nbit, isSet: (i) => ((byteOf(i) >> (i & 7)) & 1) !== 0 };
  }

  // Stack objects

  /** The stack objects of a frame. Their layout is known from Go 1.17 on, which has them in rows of four 32-bit words. */
  #objects(frame: Frame): StackObject[] {
    if (isBefore(this.#program.release, '1.17')) return [];
    const addr = this.#tables.funcdata(frame.func, funcdataStackObjects(this.#program.release));
    if (addr === undefined) return [];
    const memory = this.#memory;
    const w = this.#arch.pointerSize;
    // In Go 1.17 the last field is a pointer to the pointer mask, afterwards an offset into rodata.
    const row = isBefore(this.#program.release, '1.18') && w === 8 ? 24 : 16;
    const name = (): string => `the stack objects of ${frame.func.name} at 0x${addr.toString(16)}`;
    const n = naming(name, 'read', () => memory.readPointer(addr));
    if (n > MAX_OBJECTS) throw new TableError(`stack objects of ${frame.func.name}`, 0, `there are ${n}`);
    const objects: StackObject[] = [];
    for (let i = 0; i < n; i++) {
      const at = addr + w + i * row;
      const [off, size, pointers] = naming(name, 'read', () =>
        [0, 4, 8].map((offset) => memory.readU32(at + offset) | 0),
      ) as [number, number, number];
      // Negative where a program computes the mask.
      const pointerBytes = Math.abs(pointers);
      if (pointerBytes > size) {
        const problem = `an object of ${size} bytes has pointers in ${pointerBytes}`;
        throw new TableError(`stack objects of ${frame.func.name}`, w + i * row, problem);
      }
      objects.push({ addr: (off < 0 ? this.#varp(frame) : this.#argp(frame)) + off, size, pointerBytes });
    }
    return objects;
  }

  /**
   * Adds the words of every stack object that a root points into, found as the collector finds them: a root that points to the
   * stack makes the object there live, and its words are roots in turn. The pointer mask is not read: every word of the part that
   * holds pointers is listed.
   */
  #withObjects(scanned: readonly ScannedFrame[]): ScannedFrame[] {
    const w = this.#arch.pointerSize;
    const added = scanned.map((): ScannedWord[] => []);
    const objects = scanned.flatMap((s, index) => s.objects.map((object) => ({ object, index })));
    objects.sort((a, b) => a.object.addr - b.object.addr);
    const live = new Set<StackObject>();
    const pending = scanned.flatMap((s) => s.words.map((word) => word.value));
    while (pending.length > 0) {
      const value = pending.pop()!;
      const found = at(objects, value);
      if (found === undefined || live.has(found.object)) continue;
      live.add(found.object);
      const words = this.#words(found.object.addr, found.object.pointerBytes / w, 'object');
      for (const word of words) {
        added[found.index]!.push(word);
        pending.push(word.value);
      }
    }
    return scanned.map((s, i) => ({ ...s, words: [...s.words, ...added[i]!] }));
  }
}

/** As `push(...more)`, which a frame of many words is too much for. */
function append<T>(list: T[], more: readonly T[]): void {
  for (const one of more) list.push(one);
}

/** The object that holds an address, in a list sorted by address. */
function at<T extends { readonly object: StackObject }>(objects: readonly T[], addr: number): T | undefined {
  let low = 0;
  let high = objects.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (objects[middle]!.object.addr <= addr) low = middle + 1;
    else high = middle;
  }
  const found = objects[low - 1];
  return found !== undefined && addr < found.object.addr + Math.max(found.object.size, 1) ? found : undefined;
}
