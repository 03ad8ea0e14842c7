// The decode cache: guest address to an instruction ready to run. Instructions of one encoding share their op list and steps.

import type { Decoded, Isa } from '../../isa/dsl/isa.ts';
import type { OpList } from '../uop/ops.ts';
import { record } from '../uop/record.ts';
import { compileSteps } from './evaluate.ts';
import { PAGE_SIZE } from './layout.ts';
import { GuestFault, type Memory } from './memory.ts';
import type { ConstantPool } from './place.ts';
import type { Host, Step } from './steps.ts';

/** What is the same for every occurrence of an encoding. */
export interface Instruction {
  readonly decoded: Decoded;
  readonly length: number;
  readonly list: OpList;
  readonly steps: readonly Step[];
  /** A call on a target with delay slots: an interrupt in its slot sees a half-executed call. */
  readonly call: boolean;
}

/** Its steps are made when it is first executed: a compiler looks at many instructions that never are. */
class CachedInstruction implements Instruction {
  readonly decoded: Decoded;
  readonly length: number;
  readonly list: OpList;
  readonly call: boolean;
  readonly #make: () => readonly Step[];
  #steps: readonly Step[] | undefined;

  constructor(decoded: Decoded, list: OpList, call: boolean, make: () => readonly Step[]) {
    this.decoded = decoded;
    this.length = decoded.length;
    this.list = list;
    this.call = call;
    this.#make = make;
  }

  get steps(): readonly Step[] {
    this.#steps ??= this.#make();
    return this.#steps;
  }
}

/** The instructions of one page, by offset; `undefined` where none has been decoded. */
export interface CodePage {
  readonly page: number;
  readonly bytes: Uint8Array;
  readonly instructions: (Instruction | undefined)[];
  /** How often each offset was branched to, counted only for a compiler; negative where there is compiled code. */
  readonly heat: Int32Array;
}

const RECENT = 256;

export class DecodeCache {
  readonly #isa: Isa;
  readonly #memory: Memory;
  readonly #host: Host;
  readonly #pool: ConstantPool;
  readonly #pcPlace: number;
  readonly #pages = new Map<number, CodePage>();
  /** What was looked up last, by the low bits of its number: calls and returns go to and fro between a few pages. */
  readonly #recent = new Array<CodePage | undefined>(RECENT).fill(undefined);
  readonly #byEncoding = new Map<string, Instruction>();
  /** Encodings of fixed four bytes are looked up by number. */
  readonly #byWord = new Map<number, Instruction>();

  constructor(isa: Isa, memory: Memory, host: Host, pool: ConstantPool, pcPlace: number) {
    this.#isa = isa;
    this.#memory = memory;
    this.#host = host;
    this.#pool = pool;
    this.#pcPlace = pcPlace;
  }

  /** The page that holds `address`. @throws GuestFault when it cannot be executed */
  page(address: number): CodePage {
    const page = Math.floor(address / PAGE_SIZE);
    const recent = this.#recent[page & (RECENT - 1)];
    if (recent !== undefined && recent.page === page) return recent;
    let found = this.#pages.get(page);
    if (found === undefined) {
      const bytes = this.#memory.codePage(address);
      found = {
        page,
        bytes,
        instructions: new Array<Instruction | undefined>(PAGE_SIZE).fill(undefined),
        heat: new Int32Array(PAGE_SIZE),
      };
      this.#pages.set(page, found);
    }
    this.#recent[page & (RECENT - 1)] = found;
    return found;
  }

  /**
   * The instruction at `address`, or undefined when the bytes there are none.
   * @throws GuestFault for an address that cannot be executed or is not a multiple of the quantum
   */
  at(address: number): Instruction | undefined {
    if (address % this.#isa.quantum !== 0) throw new GuestFault(address, 'execute', 'alignment');
    const page = this.page(address);
    const offset = address % PAGE_SIZE;
    const cached = page.instructions[offset];
    if (cached !== undefined) return cached;
    const instruction = this.#decode(page, offset, address);
    if (instruction !== undefined && offset + instruction.length <= PAGE_SIZE) page.instructions[offset] = instruction;
    return instruction;
  }

  #decode(page: CodePage, offset: number, address: number): Instruction | undefined {
    let bytes = page.bytes;
    let from = offset;
    if (this.#isa.maxLength === 4) {
      const word = (bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!;
      let known = this.#byWord.get(word);
      if (known === undefined) {
        const decoded = this.#isa.decode(bytes, from);
        if (decoded === undefined || decoded === 'short') return undefined;
        known = this.#make(decoded);
        this.#byWord.set(word, known);
      }
      return known;
    }
    let decoded = this.#isa.decode(bytes, from);
    if (decoded === 'short') {
      // The instruction goes on in the next page; it is not cached by offset, because that page may change by itself.
      const next = this.page(address - offset + PAGE_SIZE);
      bytes = new Uint8Array(2 * this.#isa.maxLength);
      bytes.set(page.bytes.subarray(offset));
      bytes.set(next.bytes.subarray(0, this.#isa.maxLength), PAGE_SIZE - offset);
      from = 0;
      decoded = this.#isa.decode(bytes, 0);
    }
    if (decoded === undefined || decoded === 'short') return undefined;
    let key = '';
    for (let i = 0; i < decoded.length; i++) key += String.fromCharCode(bytes[from + i]!);
    let known = this.#byEncoding.get(key);
    if (known === undefined) {
      known = this.#make(decoded);
      this.#byEncoding.set(key, known);
    }
    return known;
  }

  #make(decoded: Decoded): Instruction {
    const list = record(this.#isa.variant, (e) => decoded.effect(e));
    const call = this.#isa.variant.delaySlot && list.ops.some((o) => o.op === 'branch' && o.kind === 'call');
    return new CachedInstruction(decoded, list, call, () => this.stepsOf(list));
  }

  /** Steps that carry out a list of operations at PC. */
  stepsOf(list: OpList): readonly Step[] {
    return compileSteps(list, this.#host, this.#pool, this.#pcPlace);
  }

  /** Forgets a page whose bytes or protection have changed. */
  invalidate(page: number): void {
    // In place as well: the machine's loop may hold the page that its own store has just changed.
    const found = this.#pages.get(page);
    found?.instructions.fill(undefined);
    found?.heat.fill(0);
    this.#pages.delete(page);
    this.#recent[page & (RECENT - 1)] = undefined;
  }

  /** The pages that hold decoded instructions. */
  pages(): Iterable<CodePage> {
    return this.#pages.values();
  }
}
