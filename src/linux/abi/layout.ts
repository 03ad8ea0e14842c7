// Kernel structures, each declared once, over word size, alignment and byte order.

import type { Memory } from '../../engine/memory.ts';

/** Bytes of a `long` and of a pointer in the guest's ABI. */
export type WordSize = 4 | 8;

/** `long`, `ulong` and `ptr` are a word wide. Every type is aligned to its size; so are 64-bit types on o32. */
export type FieldType = 'i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32' | 'i64' | 'u64' | 'long' | 'ulong' | 'ptr';
/** A type, or an array of it; an array reads as zeros and is written by address (`offset`). */
export type FieldSpec = FieldType | readonly [type: FieldType, count: number];

/**
 * A field's value. 64-bit fields are bigints. Word-sized ones are numbers: exact for every user address, and beyond 2^53
 * rounded but still beyond it, which is what range checks need.
 */
export type FieldValue<T extends FieldSpec> = T extends 'i64' | 'u64' ? bigint : T extends FieldType ? number : never;

export type StructFields = Readonly<Record<string, FieldSpec>>;
export type StructValues<F extends StructFields> = {
  -readonly [K in keyof F as F[K] extends FieldType ? K : never]: FieldValue<F[K]>;
};

interface Placed {
  readonly name: string;
  readonly type: FieldType;
  readonly count: number;
  readonly offset: number;
}

interface Layout {
  readonly size: number;
  /** There are neither arrays nor padding. */
  readonly dense: boolean;
  readonly fields: readonly Placed[];
  readonly byName: ReadonlyMap<string, Placed>;
}

const FIXED: Readonly<Partial<Record<FieldType, number>>> = {
  i8: 1,
  u8: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  i64: 8,
  u64: 8,
};

const bytesOf = (type: FieldType, word: WordSize): number => FIXED[type] ?? word;

function place(fields: StructFields, word: WordSize, packed: boolean): Layout {
  const placed: Placed[] = [];
  let offset = 0;
  let align = 1;
  for (const [name, spec] of Object.entries(fields)) {
    const [type, count] = typeof spec === 'string' ? [spec, 0] : spec;
    const size = bytesOf(type, word);
    if (!packed) {
      offset = Math.ceil(offset / size) * size;
      align = Math.max(align, size);
    }
    placed.push({ name, type, count, offset });
    offset += size * Math.max(count, 1);
  }
  const size = Math.ceil(offset / align) * align;
  const values = placed.reduce((sum, { type, count }) => sum + (count === 0 ? bytesOf(type, word) : 0), 0);
  return {
    size,
    dense: values === size,
    fields: placed,
    byName: new Map(placed.map((p) => [p.name, p])),
  };
}

function readField(memory: Memory, at: number, type: FieldType, word: WordSize): number | bigint {
  switch (type) {
    case 'u8':
      return memory.readU8(at);
    case 'i8':
      return (memory.readU8(at) << 24) >> 24;
    case 'u16':
      return memory.readU16(at);
    case 'i16':
      return (memory.readU16(at) << 16) >> 16;
    case 'u32':
      return memory.readU32(at);
    case 'i32':
      return memory.readU32(at) | 0;
    case 'u64':
      return memory.readU64(at);
    case 'i64':
      return BigInt.asIntN(64, memory.readU64(at));
    case 'long':
      return word === 4 ? memory.readU32(at) | 0 : join(memory.readU32(at + highHalf(memory)) | 0, memory, at);
    default:
      return word === 4 ? memory.readU32(at) : join(memory.readU32(at + highHalf(memory)), memory, at);
  }
}

/** Where the high half of 64 bits stands, and the low one where it does not. */
const highHalf = (memory: Memory): 0 | 4 => (memory.bigEndian ? 0 : 4);
const join = (high: number, memory: Memory, at: number): number =>
  high * 2 ** 32 + memory.readU32(at + 4 - highHalf(memory));

function writeField(memory: Memory, at: number, type: FieldType, word: WordSize, value: number | bigint): void {
  switch (bytesOf(type, word)) {
    case 1:
      memory.writeU8(at, Number(value) & 0xff);
      return;
    case 2:
      memory.writeU16(at, Number(value) & 0xffff);
      return;
    case 4:
      memory.writeU32(at, typeof value === 'number' ? value >>> 0 : Number(BigInt.asUintN(32, value)));
      return;
    default:
      if (typeof value === 'number') {
        memory.writeU32(at + highHalf(memory), Math.floor(value / 2 ** 32) >>> 0);
        memory.writeU32(at + 4 - highHalf(memory), value >>> 0);
      } else memory.writeU64(at, value);
  }
}

/** One structure in both word sizes. */
export class Struct<F extends StructFields> {
  readonly #fields: F;
  readonly #packed: boolean;
  /** Each made when it is first wanted: a program uses a few structures, in one word size. */
  readonly #layouts: { 4?: Layout; 8?: Layout } = {};

  constructor(fields: F, packed: boolean) {
    this.#fields = fields;
    this.#packed = packed;
  }

  #layout(word: WordSize): Layout {
    this.#layouts[word] ??= place(this.#fields, word, this.#packed);
    return this.#layouts[word];
  }

  /** Bytes, the tail padding included. */
  size(word: WordSize): number {
    return this.#layout(word).size;
  }

  /** Offset of a field in bytes. */
  offset(word: WordSize, field: keyof F & string): number {
    return this.#layout(word).byName.get(field)!.offset;
  }

  /** Reads every field that is no array. @throws GuestFault */
  read(memory: Memory, word: WordSize, address: number): StructValues<F> {
    const out: Record<string, number | bigint> = {};
    for (const f of this.#layout(word).fields)
      if (f.count === 0) out[f.name] = readField(memory, address + f.offset, f.type, word);
    return out as StructValues<F>;
  }

  /** Writes the whole structure: given fields, zeros elsewhere, padding and arrays included. @throws GuestFault */
  write(memory: Memory, word: WordSize, address: number, values: Partial<StructValues<F>>): void {
    const { size, dense, fields } = this.#layout(word);
    if (!dense) memory.write(address, new Uint8Array(size));
    const given = values as Readonly<Record<string, number | bigint | undefined>>;
    for (const { name, type, count, offset } of fields) {
      const value = given[name] ?? (dense ? 0 : undefined);
      if (value !== undefined && count === 0) writeField(memory, address + offset, type, word, value);
    }
  }

  /** Writes the given fields and leaves the others. @throws GuestFault */
  set(memory: Memory, word: WordSize, address: number, values: Partial<StructValues<F>>): void {
    for (const [name, value] of Object.entries(values as Record<string, number | bigint | undefined>)) {
      const field = this.#layout(word).byName.get(name);
      if (field !== undefined && value !== undefined)
        writeField(memory, address + field.offset, field.type, word, value);
    }
  }
}

/** Declares a structure with C's alignment. */
export const struct = <const F extends StructFields>(fields: F): Struct<F> => new Struct(fields, false);

/** Declares one without padding (`__attribute__((packed))`: epoll_event on amd64). */
export const packedStruct = <const F extends StructFields>(fields: F): Struct<F> => new Struct(fields, true);
