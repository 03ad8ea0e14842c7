// The decode cache: guest address to an instruction ready to run. Instructions of one encoding share their op list and steps.
//
// It is bounded: an encoding takes some 3 KB, and a large program has tens of thousands of them, most of which are executed a few times.
// They are kept in two generations. When the young one is full it becomes the old one, what is left of that is forgotten, and all blocks are
// emptied, so that what is wanted again is looked for again and found to be young.

import type { Decoded, Isa } from '../../isa/dsl/isa.ts';
import { Folds } from '../uop/fold.ts';
import { type OpList, writtenOut } from '../uop/ops.ts';
import { record, SharedParts } from '../uop/record.ts';
import { compileSteps } from './evaluate.ts';
import type { FlagsPutOff } from './flags.ts';
import { BLOCK_SIZE, PAGE_SIZE } from './layout.ts';
import { GuestFault, type Memory } from './memory.ts';
import type { ConstantPool } from './place.ts';
import type { Host, Step } from './steps.ts';
import { isSwitchPoint } from './switch-points.ts';

/** What is the same for every occurrence of an encoding. */
export interface Instruction {
  readonly decoded: Decoded;
  readonly length: number;
  /** Of the list: the evaluator asks for it each time, and the list itself it does not need. */
  readonly branches: boolean;
  readonly list: OpList;
  /** The list with its flags written out, for whom they are not to be put off as the evaluator does it. */
  readonly writtenOut: OpList;
  readonly steps: readonly Step[];
  /** A call on a target with delay slots: an interrupt in its slot sees a half-executed call. */
  readonly call: boolean;
}

/** Its steps are made when it is first executed: a compiler looks at many instructions that never are. */
class CachedInstruction implements Instruction {
  /** By which blocks name it while it is young. */
  number = NONE;
  readonly decoded: Decoded;
  readonly length: number;
  readonly branches: boolean;
  readonly list: OpList;
  readonly call: boolean;
  readonly #cache: DecodeCache;
  #steps: readonly Step[] | undefined;
  #writtenOut: OpList | undefined;

  constructor(decoded: Decoded, list: OpList, call: boolean, cache: DecodeCache) {
    this.decoded = decoded;
    this.length = decoded.length;
    this.branches = list.branches;
    this.list = list;
    this.call = call;
    this.#cache = cache;
  }

  get writtenOut(): OpList {
    this.#writtenOut ??= writtenOut(this.list);
    return this.#writtenOut;
  }

  get steps(): readonly Step[] {
    this.#steps ??= this.#cache.stepsOf(this.list);
    return this.#steps;
  }
}

/** What stands in a block where no instruction has been decoded. */
const NONE = 0;

/** The instructions of one block of code, by DecodeCache.index. */
export interface CodeBlock {
  /** Its address, in blocks. */
  readonly number: number;
  /** Bytes of the whole page. */
  readonly bytes: Uint8Array;
  /** Their numbers (DecodeCache.numbered): there are thousands of blocks, and a reference takes four times as much. */
  readonly numbers: Uint16Array;
  /** How often each was branched to, up to HOTTEST, counted only for a compiler; negative where there is compiled code. */
  readonly heat: Int16Array;
}

/** The heat of what was branched to so often, or more often. */
export const HOTTEST = 0x7fff;

const RECENT = 1024;
/**
 * Encodings of a generation. The first run of esbuild (amd64), which has 44,000, takes as long with 12,000 as with room for all of them; with
 * 6,000 it takes 7 % more of the processor, with 3,000 a fifth.
 */
const GENERATION = 12_000;
const BLOCKS_PER_PAGE = PAGE_SIZE / BLOCK_SIZE;

export class DecodeCache {
  readonly #isa: Isa;
  readonly #memory: Memory;
  readonly #host: Host;
  readonly #pool: ConstantPool;
  readonly #pcPlace: number;
  readonly #shared = new SharedParts();
  readonly #flags: FlagsPutOff;
  readonly #blocks = new Map<number, CodeBlock>();
  /** What was looked up last, by the low bits of its number: calls and returns go to and fro between a few blocks. */
  readonly #recent = new Array<CodeBlock | undefined>(RECENT).fill(undefined);
  /** An address within its block, shifted right by this, is an instruction's index. */
  readonly indexShift: number;
  /** The bits of an instruction's address, low word, that are those of its block's: all above the block, and those below the quantum. */
  readonly blockMask: number;
  readonly #folds = new Folds();
  /** Which instruction was asked about last for being a switch point, and whether it is. */
  readonly #asked = { address: -1, list: undefined as OpList | undefined, is: false };
  /** A switch point that need not be decoded to be known as one. */
  #switchPoint = -1;
  #blockListener: ((block: CodeBlock) => void) | undefined;
  /** By encoding: its bytes as text, or as a number where all have four. */
  #young = new Map<string | number, CachedInstruction>();
  #old: ReadonlyMap<string | number, CachedInstruction> = this.#young;
  /** The young ones by number, NONE being none's. */
  readonly numbered: (Instruction | undefined)[] = [undefined];

  constructor(isa: Isa, memory: Memory, host: Host, pool: ConstantPool, flags: FlagsPutOff, pcPlace: number) {
    this.#isa = isa;
    this.#memory = memory;
    this.#host = host;
    this.#pool = pool;
    this.#pcPlace = pcPlace;
    this.indexShift = Math.log2(isa.quantum);
    this.blockMask = -BLOCK_SIZE | (isa.quantum - 1);
    this.#flags = flags;
  }

  /** The block that holds `address`. @throws GuestFault when it cannot be executed */
  block(address: number): CodeBlock {
    const number = Math.floor(address / BLOCK_SIZE);
    const recent = this.#recent[number & (RECENT - 1)];
    if (recent !== undefined && recent.number === number) return recent;
    let found = this.#blocks.get(number);
    if (found === undefined) {
      const size = BLOCK_SIZE >>> this.indexShift;
      found = {
        number,
        bytes: this.pageBytes(address),
        numbers: new Uint16Array(size),
        heat: new Int16Array(size),
      };
      this.#blocks.set(number, found);
      this.#blockListener?.(found);
    }
    this.#recent[number & (RECENT - 1)] = found;
    return found;
  }

  /** Whoever sets it is told of every block that is made. */
  setBlockListener(listener: (block: CodeBlock) => void): void {
    this.#blockListener = listener;
  }

  /** Bytes of the page of code that holds `address`, shared by its blocks. @throws GuestFault when it cannot be executed */
  pageBytes(address: number): Uint8Array {
    for (const block of this.#blocksOf(Math.floor(address / PAGE_SIZE))) return block.bytes;
    return this.#memory.codePage(address);
  }

  *#blocksOf(page: number): Generator<CodeBlock> {
    for (let i = 0; i < BLOCKS_PER_PAGE; i++) {
      const block = this.#blocks.get(page * BLOCKS_PER_PAGE + i);
      if (block !== undefined) yield block;
    }
  }

  /** Where the instruction at `address` stands in its block. */
  index(address: number): number {
    return (address % BLOCK_SIZE) >>> this.indexShift;
  }

  /**
   * The instruction at `address`, or undefined when the bytes there are none.
   * @throws GuestFault for an address that cannot be executed or is not a multiple of the quantum
   */
  at(address: number): Instruction | undefined {
    if (address % this.#isa.quantum !== 0) throw new GuestFault(address, 'execute', 'alignment');
    const { numbers, bytes } = this.block(address);
    const index = this.index(address);
    const cached = this.numbered[numbers[index]!];
    if (cached !== undefined) return cached;
    const offset = address % PAGE_SIZE;
    const instruction = this.#decode(bytes, offset, address);
    if (instruction !== undefined && offset + instruction.length <= PAGE_SIZE) numbers[index] = instruction.number;
    return instruction;
  }

  #decode(page: Uint8Array, offset: number, address: number): CachedInstruction | undefined {
    let bytes = page;
    let from = offset;
    if (this.#isa.maxLength === 4) {
      const word = (bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!;
      const known = this.#known(word);
      if (known !== undefined) return known;
      const decoded = this.#isa.decode(bytes, from);
      return decoded === undefined || decoded === 'short' ? undefined : this.#make(word, decoded);
    }
    let decoded = this.#isa.decode(bytes, from);
    if (decoded === 'short') {
      // The instruction goes on in the next page; it is not cached by offset, because that page may change by itself.
      const next = this.block(address - offset + PAGE_SIZE);
      bytes = new Uint8Array(2 * this.#isa.maxLength);
      bytes.set(page.subarray(offset));
      bytes.set(next.bytes.subarray(0, this.#isa.maxLength), PAGE_SIZE - offset);
      from = 0;
      decoded = this.#isa.decode(bytes, 0);
    }
    if (decoded === undefined || decoded === 'short') return undefined;
    let key = '';
    for (let i = 0; i < decoded.length; i++) key += String.fromCharCode(bytes[from + i]!);
    return this.#known(key) ?? this.#make(key, decoded);
  }

  /** The instruction of an encoding, which is young from now on. */
  #known(key: string | number): CachedInstruction | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.#add(key, old);
    return old;
  }

  #add(key: string | number, instruction: CachedInstruction): void {
    if (this.#young.size >= GENERATION) this.#age();
    this.#young.set(key, instruction);
    instruction.number = this.numbered.push(instruction) - 1;
  }

  /** Begins a generation, and forgets the one before the last. */
  #age(): void {
    this.#old = this.#young;
    this.#young = new Map();
    // In place: the machine's loop may hold one of them.
    for (const { numbers } of this.#blocks.values()) numbers.fill(NONE);
    this.numbered.length = 1;
  }

  #make(key: string | number, decoded: Decoded): CachedInstruction {
    const list = record(this.#isa.variant, (e) => decoded.effect(e), this.#shared);
    const call = this.#isa.variant.delaySlot && list.ops.some((o) => o.op === 'branch' && o.kind === 'call');
    const made = new CachedInstruction(decoded, list, call, this);
    this.#add(key, made);
    return made;
  }

  /** Compiled code has stopped at `address`, because it is a switch point: that is asked about next. */
  knowSwitchPoint(address: number): void {
    this.#switchPoint = address;
  }

  /** Whether threads change before the instruction at `address`; not where there is none. */
  isSwitchPoint(address: number): boolean {
    if (address === this.#switchPoint) return true;
    const asked = this.#asked;
    try {
      const list = this.at(address)?.writtenOut;
      if (list?.branches !== true) return false;
      // A loop that is interrupted again and again asks for the same one.
      if (asked.address !== address || asked.list !== list) {
        asked.address = address;
        asked.list = list;
        asked.is = isSwitchPoint(list, this.#folds.at(list, address), address);
      }
      return asked.is;
    } catch (error) {
      if (error instanceof GuestFault) return false;
      throw error;
    }
  }

  /** Steps that carry out a list of operations at PC. */
  stepsOf(list: OpList): readonly Step[] {
    return compileSteps(list, this.#host, this.#pool, this.#flags, this.#pcPlace);
  }

  /** Forgets a page whose bytes or protection have changed. */
  invalidate(page: number): void {
    this.#switchPoint = -1;
    for (const { number, numbers, heat } of this.#blocksOf(page)) {
      // In place as well: the machine's loop may hold the block that its own store has just changed.
      numbers.fill(NONE);
      heat.fill(0);
      this.#blocks.delete(number);
      this.#recent[number & (RECENT - 1)] = undefined;
    }
  }

  /** Forgets all instructions: those that are asked for again are decoded again. What is known of the heat remains. */
  forgetInstructions(): void {
    this.#age();
    this.#age();
    this.#asked.address = -1;
    this.#asked.list = undefined;
  }

  /** The blocks that hold decoded instructions. */
  blocks(): Iterable<CodeBlock> {
    return this.#blocks.values();
  }
}
