// Accesses that share one look into the TLB: their addresses are the same value plus constants (a frame's slots, a structure's fields,
// neighbours in an array), so that one comparison says of all of them that they lie in one page that is there. They are those of a block,
// and of blocks that control comes to from nowhere else.

import type { BinaryName } from '../../isa/dsl/effects.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { OpList, Uop } from '../uop/ops.ts';
import { parentsFirst } from './plan.ts';

type Access = Extract<Uop, { op: 'load' | 'store' }>;

/** Bytes that a group may span: what spans more crosses the end of a page more often. */
const MOST = 1024;
/** The same where another block widens it, which may be executed seldom. */
const MOST_BETWEEN_BLOCKS = 256;

/** Accesses that share a look into the TLB. Displacements are from a value that is the same for all of them. */
export interface Group {
  /** The block with the first one, and the block that begins the tree of those that control comes to from there alone. */
  readonly block: number;
  readonly tree: number;
  /** Displacements of the first byte, and of the one behind the last. */
  low: number;
  high: number;
  /** One of them stores. */
  stores: boolean;
  /** Alignment that is demanded, in bytes, and a displacement that has to have it. */
  align: number;
  anchor: number;
  readonly members: { readonly displacement: number; readonly bytes: number; readonly demanded: number }[];
  /** How many are still to be emitted. */
  left: number;
  /** Locals with addresses of the host's, by what they are of, 0 where the accesses have to go out of line; none before the first one. */
  readonly locals: Map<Pointer, number>;
}

/**
 * What an address of the host's is of: the beginning of the group. Or of words there on a big-endian target, which change places with
 * their neighbours: those at multiples of 8 from the beginning, and those between, from the first of them on.
 */
export type Pointer = 'bytes' | 'even words' | 'odd words';

/** Where a group begins, and how many bytes it has: aligned as it is demanded. */
export function extentOf({ low, high, align, anchor }: Group): { readonly begin: number; readonly size: number } {
  const begin = anchor - Math.ceil((anchor - low) / align) * align;
  return { begin, size: Math.ceil((high - begin) / align) * align };
}

/** By which address a member is reached, and how far from there. */
export function pointerTo(
  group: Group,
  { displacement, bytes }: { readonly displacement: number; readonly bytes: number },
  bigEndian: boolean,
): { readonly pointer: Pointer; readonly offset: number } {
  const offset = displacement - extentOf(group).begin;
  if (!bigEndian || bytes !== WORD) return { pointer: 'bytes', offset };
  return offset % (2 * WORD) === 0
    ? { pointer: 'even words', offset }
    : { pointer: 'odd words', offset: offset - WORD };
}

export const WORD = 4;

/** An access's place in its group. */
export interface Member {
  readonly group: Group;
  readonly displacement: number;
}

/** Members of an instruction, by index of their operations. */
export type Members = ReadonlyMap<number, Member>;

/** A block's accesses in groups. */
export interface Grouped {
  readonly tree: number;
  /** By instruction. */
  readonly members: readonly Members[];
}

/** A value plus a constant. */
interface Sum {
  readonly base: number;
  readonly displacement: number;
}

/** An instruction of the block, as it is to be emitted. */
export interface Emitted {
  readonly list: OpList;
  /** By operation: 0 where it is not emitted. */
  readonly needed: Uint8Array;
  readonly constants: readonly (bigint | undefined)[];
}

/** Whether a number is the integer that it was made of. */
const isExact = (value: number): boolean => Number.isSafeInteger(value);

/** Shifts of an index: by less than so many bits. */
const SHIFT_MOST = 8;

/** The base of addresses that are known. */
const ABSOLUTE = 0;

/** What is known behind some instructions. */
interface Known {
  readonly registers: ReadonlyMap<Register, Sum>;
  /** The present group of each base. */
  readonly open: ReadonlyMap<number, Group>;
}

const NOTHING: Known = { registers: new Map(), open: new Map() };

/**
 * Which accesses of blocks share looks into the TLB.
 *
 * @param parents for each block the one behind which alone it is executed, or -1
 */
export function groupsOf(
  blocks: readonly (readonly Emitted[])[],
  parents: Int32Array,
  width: 32 | 64,
  bigEndian: boolean,
): readonly Grouped[] {
  const finder = new Finder(width, bigEndian);
  const grouped = new Array<Grouped>(blocks.length);
  const behind = new Array<Known>(blocks.length);
  for (const i of parentsFirst(parents)) {
    const parent = parents[i]!;
    const tree = grouped[parent]?.tree ?? i;
    finder.begin(i, tree, behind[parent] ?? NOTHING);
    grouped[i] = { tree, members: blocks[i]!.map((instruction) => finder.instruction(instruction)) };
    behind[i] = finder.known();
  }
  return grouped;
}

class Finder {
  readonly #width: 32 | 64;
  readonly #bigEndian: boolean;
  #nextBase = ABSOLUTE + 1;
  readonly #compounds = new Map<string, number>();
  #block = 0;
  #tree = 0;
  #registers = new Map<Register, Sum>();
  #open = new Map<number, Group>();

  constructor(width: 32 | 64, bigEndian: boolean) {
    this.#width = width;
    this.#bigEndian = bigEndian;
  }

  begin(block: number, tree: number, { registers, open }: Known): void {
    this.#block = block;
    this.#tree = tree;
    this.#registers = new Map(registers);
    this.#open = new Map(open);
  }

  known(): Known {
    return { registers: this.#registers, open: this.#open };
  }

  instruction({ list, needed, constants }: Emitted): Members {
    const members = new Map<number, Member>();
    const sums = new Array<Sum | undefined>(list.temps.length);
    const type = this.#width === 64 ? 'i64' : 'i32';
    const constant = (temp: number): number | undefined => {
      const value = constants[temp];
      return value === undefined ? undefined : Number(BigInt.asIntN(this.#width, value));
    };
    for (const [i, uop] of list.ops.entries()) {
      if (needed[i] === 0) continue;
      switch (uop.op) {
        case 'get':
          if (uop.register.type === type) sums[uop.dst] = this.#valueOf(uop.register);
          break;
        case 'set':
          this.#registers.set(uop.register, sums[uop.value] ?? this.#fresh());
          break;
        case 'binary':
          if (uop.type === type) sums[uop.dst] = this.#binary(uop.name, sums[uop.a], sums[uop.b], constant(uop.b));
          break;
        case 'load':
        case 'store': {
          const at = constant(uop.address);
          const sum = at === undefined ? sums[uop.address] : { base: ABSOLUTE, displacement: at };
          if (sum === undefined || uop.when !== undefined || !isExact(sum.displacement)) break;
          members.set(i, { group: this.#join(sum, uop), displacement: sum.displacement });
          break;
        }
        default:
      }
    }
    return members;
  }

  /** Where both operands are known to be sums: their sum, or that of the first and a constant, or a multiple of the first. */
  #binary(name: BinaryName, a: Sum | undefined, b: Sum | undefined, constant: number | undefined): Sum | undefined {
    if (a === undefined || (constant !== undefined && !isExact(constant))) return undefined;
    let base = a.base;
    let displacement = a.displacement;
    if (name === 'add' && constant === undefined && b !== undefined) {
      base = this.#compound(`${Math.min(a.base, b.base)}+${Math.max(a.base, b.base)}`);
      displacement += b.displacement;
    } else if (constant === undefined) return undefined;
    else if (name === 'add') displacement += constant;
    else if (name === 'sub') displacement -= constant;
    else if (name === 'shl' && constant < SHIFT_MOST) {
      base = this.#compound(`${a.base}<<${constant}`);
      displacement *= 2 ** constant;
    } else return undefined;
    return isExact(displacement) ? { base, displacement } : undefined;
  }

  /** The base that stands for an expression of others. */
  #compound(expression: string): number {
    let base = this.#compounds.get(expression);
    if (base === undefined) {
      base = this.#nextBase++;
      this.#compounds.set(expression, base);
    }
    return base;
  }

  #fresh(): Sum {
    return { base: this.#nextBase++, displacement: 0 };
  }

  #valueOf(register: Register): Sum {
    let sum = this.#registers.get(register);
    if (sum === undefined) {
      sum = this.#fresh();
      this.#registers.set(register, sum);
    }
    return sum;
  }

  /** The group that an access belongs to: the present one of its base, if it lies near, or a new one. */
  #join({ base, displacement }: Sum, { op, bytes, align }: Access): Group {
    // On a big-endian target the addresses of narrow accesses are changed in their low bits, which only aligned ones may be.
    const demanded = align !== 'any' || this.#bigEndian ? bytes : 1;
    const open = this.#open.get(base);
    if (open !== undefined && this.#fits(open, op, displacement, bytes, demanded)) {
      open.low = Math.min(open.low, displacement);
      open.high = Math.max(open.high, displacement + bytes);
      open.stores ||= op === 'store';
      open.left++;
      if (demanded > open.align) {
        open.align = demanded;
        open.anchor = displacement;
      }
      open.members.push({ displacement, bytes, demanded });
      return open;
    }
    const group: Group = {
      block: this.#block,
      tree: this.#tree,
      low: displacement,
      high: displacement + bytes,
      stores: op === 'store',
      align: demanded,
      anchor: displacement,
      members: [{ displacement, bytes, demanded }],
      left: 1,
      locals: new Map(),
    };
    this.#open.set(base, group);
    return group;
  }

  /** Whether an access may join: it lies near, and is aligned whenever the others are. */
  #fits(group: Group, op: Access['op'], displacement: number, bytes: number, demanded: number): boolean {
    const span = Math.max(group.high, displacement + bytes) - Math.min(group.low, displacement);
    if (group.block === this.#block) {
      if (span > MOST) return false;
    } else {
      // What the first block finds out is for that block above all: its loads may be from a page that nobody may write to.
      const widens = span > group.high - group.low;
      if ((widens && span > MOST_BETWEEN_BLOCKS) || (op === 'store' && !group.stores)) return false;
    }
    const [align, anchor] = demanded > group.align ? [demanded, displacement] : [group.align, group.anchor];
    const agrees = (at: number, by: number): boolean => (at - anchor) % Math.min(by, align) === 0;
    return agrees(displacement, demanded) && group.members.every((m) => agrees(m.displacement, m.demanded));
  }
}
