// Structure layouts from DWARF (versions 2 to 5, 32- and 64-bit): name of a structure, its members, their offsets and types.
// Source: DWARF Debugging Information Format, version 5, chapters 7.5 (info and abbreviations) and 5.7 (structures).

import { type Elf, ElfError } from './elf.ts';

/** One member of a structure. */
export interface Member {
  readonly name: string;
  /** Bytes from the start of the structure. */
  readonly offset: number;
  /** Where its type is described: an offset in .debug_info. */
  readonly type: number;
}

/** Structures by name, found in .debug_info as far as it had to be read. */
export interface Structs {
  /**
   * Offset of a member by its path, such as `sched.sp` in `runtime.g`.
   * @returns undefined if there is no such structure or member
   */
  offsetOf(struct: string, path: string): number | undefined;
}

const TAG_COMPILE_UNIT = 0x11;
const TAG_STRUCTURE = 0x13;
const TAG_MEMBER = 0x0d;
const TAG_TYPEDEF = 0x16;
const AT_NAME = 0x03;
const AT_DATA_MEMBER_LOCATION = 0x38;
const AT_TYPE = 0x49;
const OP_PLUS_UCONST = 0x23;
const FORM_STRING = 0x08;
const FORM_IMPLICIT_CONST = 0x21;

/** What is known of an attribute's value: a number, text, or (for what is skipped) nothing. */
interface Value {
  readonly number: number | undefined;
  readonly text: string | undefined;
  /** The bytes of a block or expression. */
  readonly block: Uint8Array | undefined;
}

const NOTHING: Value = { number: undefined, text: undefined, block: undefined };
const numeric = (number: number): Value => ({ ...NOTHING, number });

interface Abbreviation {
  readonly tag: number;
  readonly children: boolean;
  /** Name, form and (for implicit constants) value, one after another. */
  readonly attributes: readonly number[];
}

/** One unit of .debug_info. */
interface Unit {
  readonly start: number;
  readonly end: number;
  readonly version: number;
  readonly addressSize: number;
  readonly offsetSize: 4 | 8;
  readonly abbreviations: number;
  /** Where its entries begin. */
  readonly entries: number;
}

/** Reads bytes, words and LEB128 numbers one after another. Reading past the end throws ElfError. */
class Cursor {
  at: number;
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;
  readonly #what: string;

  constructor(bytes: Uint8Array, little: boolean, what: string, at = 0) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = little;
    this.#what = what;
    this.at = at;
  }

  #take(size: number): number {
    const { at } = this;
    if (!(size >= 0 && at + size <= this.bytes.length))
      throw new ElfError(
        `corrupted: ${this.#what} ends inside an entry at offset 0x${at.toString(16)}; build it again`,
      );
    this.at = at + size;
    return at;
  }

  skip(size: number): void {
    this.#take(size);
  }

  u8(): number {
    return this.bytes[this.#take(1)]!;
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), this.#little);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), this.#little);
  }

  /** Beyond 2^53 rounded: no offset in a file is as great. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), this.#little));
  }

  unsigned(size: number): number {
    switch (size) {
      case 1:
        return this.u8();
      case 2:
        return this.u16();
      case 4:
        return this.u32();
      case 8:
        return this.u64();
    }
    this.skip(size);
    return 0;
  }

  uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  sleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return byte & 0x40 ? value - scale * 128 : value;
    }
  }

  block(size: number): Uint8Array {
    const at = this.#take(size);
    return this.bytes.subarray(at, at + size);
  }

  text(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0) this.#take(this.bytes.length);
    const text = Buffer.from(this.bytes.subarray(this.at, end)).toString('utf8');
    this.at = end + 1;
    return text;
  }

  /** Moves past a NUL-terminated text. */
  skipText(): void {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0) this.#take(this.bytes.length);
    this.at = end + 1;
  }
}

/**
 * Reads the layouts of structures, and of the structures that they contain.
 * @param names the structures that are asked for first; reading stops when all are found
 * @param unit the compile unit that is looked into before the others (a package path)
 * @returns undefined if the program has no DWARF
 * @throws ElfError if it is damaged
 */
export function readStructs(elf: Elf, names: readonly string[], unit: string): Structs | undefined {
  const info = elf.sectionData('.debug_info');
  const abbrev = elf.sectionData('.debug_abbrev');
  if (info === undefined || abbrev === undefined || info.length === 0) return undefined;
  return new DebugInfo(elf, info, abbrev).find(new Set(names), unit);
}

class DebugInfo {
  readonly #elf: Elf;
  readonly #info: Uint8Array;
  readonly #abbrev: Uint8Array;
  readonly #little: boolean;
  readonly #abbreviations = new Map<number, ReadonlyMap<number, Abbreviation>>();

  constructor(elf: Elf, info: Uint8Array, abbrev: Uint8Array) {
    this.#elf = elf;
    this.#info = info;
    this.#abbrev = abbrev;
    this.#little = !elf.bigEndian;
  }

  find(wanted: Set<string>, first: string): Structs {
    const found = new Map<string, readonly Member[]>();
    const units = [...this.#units()];
    units.sort((a, b) => Number(this.#nameOf(b) === first) - Number(this.#nameOf(a) === first));
    for (const unit of units) {
      if (wanted.size === 0) break;
      this.#scan(unit, wanted, found);
    }
    return { offsetOf: (struct, path) => this.#offsetOf(units, found, struct, path) };
  }

  #offsetOf(
    units: readonly Unit[],
    found: ReadonlyMap<string, readonly Member[]>,
    struct: string,
    path: string,
  ): number | undefined {
    let members = found.get(struct);
    let offset = 0;
    for (const name of path.split('.')) {
      const member: Member | undefined = members?.find((m) => m.name === name);
      if (member === undefined) return undefined;
      offset += member.offset;
      const { type } = member;
      const unit = units.find((u) => type >= u.entries && type < u.end);
      members = unit === undefined ? undefined : this.#membersAt(unit, type);
    }
    return offset;
  }

  *#units(): Generator<Unit> {
    const at = new Cursor(this.#info, this.#little, '.debug_info');
    while (at.at < this.#info.length) {
      const start = at.at;
      let length = at.u32();
      const offsetSize = length === 0xffffffff ? 8 : 4;
      if (offsetSize === 8) length = at.u64();
      const end = at.at + length;
      if (end > this.#info.length || length === 0)
        throw new ElfError(`corrupted: a unit of .debug_info ends at 0x${end.toString(16)}; build it again`);
      const version = at.u16();
      if (version < 2 || version > 5)
        throw new ElfError(`DWARF ${version} is not known; build without it (-ldflags=-w)`);
      let addressSize: number;
      let abbreviations: number;
      if (version === 5) {
        const type = at.u8();
        addressSize = at.u8();
        abbreviations = at.unsigned(offsetSize);
        // Skeleton and split units have an id, type units a signature and an offset.
        if (type === 4 || type === 5) at.skip(8);
        if (type === 2 || type === 6) at.skip(8 + offsetSize);
      } else {
        abbreviations = at.unsigned(offsetSize);
        addressSize = at.u8();
      }
      yield { start, end, version, addressSize, offsetSize, abbreviations, entries: at.at };
      at.at = end;
    }
  }

  #table(offset: number): ReadonlyMap<number, Abbreviation> {
    const known = this.#abbreviations.get(offset);
    if (known !== undefined) return known;
    const table = new Map<number, Abbreviation>();
    const at = new Cursor(this.#abbrev, this.#little, '.debug_abbrev', offset);
    for (;;) {
      const code = at.uleb();
      if (code === 0) break;
      const tag = at.uleb();
      const children = at.u8() !== 0;
      const attributes: number[] = [];
      for (;;) {
        const name = at.uleb();
        const form = at.uleb();
        const implicit = form === FORM_IMPLICIT_CONST ? at.sleb() : 0;
        if (name === 0 && form === 0) break;
        attributes.push(name, form, implicit);
      }
      table.set(code, { tag, children, attributes });
    }
    this.#abbreviations.set(offset, table);
    return table;
  }

  #abbreviation(unit: Unit, at: Cursor): Abbreviation | undefined {
    const entry = at.at;
    const code = at.uleb();
    if (code === 0) return undefined;
    const found = this.#table(unit.abbreviations).get(code);
    if (found === undefined)
      throw new ElfError(
        `corrupted: .debug_info at 0x${entry.toString(16)} has no abbreviation ${code}; build it again`,
      );
    return found;
  }

  /** The name of a compile unit. */
  #nameOf(unit: Unit): string | undefined {
    const at = new Cursor(this.#info, this.#little, '.debug_info', unit.entries);
    const abbreviation = this.#abbreviation(unit, at);
    return abbreviation?.tag === TAG_COMPILE_UNIT
      ? this.#attributes(unit, at, abbreviation).get(AT_NAME)?.text
      : undefined;
  }

  /** Reads a unit's entries and keeps the members of the wanted structures; what is found is wanted no more. */
  #scan(unit: Unit, wanted: Set<string>, found: Map<string, readonly Member[]>): void {
    const at = new Cursor(this.#info, this.#little, '.debug_info', unit.entries);
    while (at.at < unit.end && wanted.size > 0) {
      const abbreviation = this.#abbreviation(unit, at);
      if (abbreviation === undefined) continue;
      if (abbreviation.tag !== TAG_STRUCTURE) {
        this.#skip(unit, at, abbreviation);
        continue;
      }
      const name = this.#attributes(unit, at, abbreviation).get(AT_NAME)?.text;
      if (name === undefined || !wanted.has(name) || !abbreviation.children) continue;
      wanted.delete(name);
      found.set(name, this.#members(unit, at));
    }
  }

  /** The members of the structure whose children begin at the cursor. */
  #members(unit: Unit, at: Cursor): Member[] {
    const members: Member[] = [];
    let depth = 1;
    while (depth > 0 && at.at < unit.end) {
      const abbreviation = this.#abbreviation(unit, at);
      if (abbreviation === undefined) {
        depth--;
        continue;
      }
      const values = this.#attributes(unit, at, abbreviation);
      if (depth === 1 && abbreviation.tag === TAG_MEMBER) {
        const name = values.get(AT_NAME)?.text;
        const offset = locationOf(values.get(AT_DATA_MEMBER_LOCATION));
        if (name !== undefined && offset !== undefined)
          members.push({ name, offset, type: values.get(AT_TYPE)?.number ?? -1 });
      }
      if (abbreviation.children) depth++;
    }
    return members;
  }

  /** The members of the structure that is described at `entry`, through type definitions. */
  #membersAt(unit: Unit, entry: number): readonly Member[] | undefined {
    const at = new Cursor(this.#info, this.#little, '.debug_info', entry);
    const abbreviation = this.#abbreviation(unit, at);
    if (abbreviation === undefined) return undefined;
    const values = this.#attributes(unit, at, abbreviation);
    if (abbreviation.tag === TAG_STRUCTURE) return abbreviation.children ? this.#members(unit, at) : [];
    const type = values.get(AT_TYPE)?.number;
    if (abbreviation.tag !== TAG_TYPEDEF || type === undefined || type === entry) return undefined;
    return type >= unit.entries && type < unit.end ? this.#membersAt(unit, type) : undefined;
  }

  #attributes(unit: Unit, at: Cursor, { attributes }: Abbreviation): ReadonlyMap<number, Value> {
    const values = new Map<number, Value>();
    for (let i = 0; i < attributes.length; i += 3) {
      const form = attributes[i + 1]!;
      values.set(
        attributes[i]!,
        form === FORM_IMPLICIT_CONST ? numeric(attributes[i + 2]!) : this.#value(unit, at, form),
      );
    }
    return values;
  }

  #skip(unit: Unit, at: Cursor, { attributes }: Abbreviation): void {
    for (let i = 1; i < attributes.length; i += 3) {
      const form = attributes[i]!;
      if (form === FORM_STRING) at.skipText();
      else if (form !== FORM_IMPLICIT_CONST) this.#value(unit, at, form);
    }
  }

  /** Reads one value (DWARF 5, 7.5.5 and 7.5.6). */
  #value(unit: Unit, at: Cursor, form: number): Value {
    switch (form) {
      case 0x01: // addr
        return numeric(at.unsigned(unit.addressSize));
      case 0x03: // block2
        return { ...NOTHING, block: at.block(at.u16()) };
      case 0x04: // block4
        return { ...NOTHING, block: at.block(at.u32()) };
      case 0x09: // block
      case 0x18: // exprloc
        return { ...NOTHING, block: at.block(at.uleb()) };
      case 0x0a: // block1
        return { ...NOTHING, block: at.block(at.u8()) };
      case FORM_STRING:
        return { ...NOTHING, text: at.text() };
      case 0x0e: // strp
        return { ...NOTHING, text: this.#string('.debug_str', at.unsigned(unit.offsetSize)) };
      case 0x1f: // line_strp
        return { ...NOTHING, text: this.#string('.debug_line_str', at.unsigned(unit.offsetSize)) };
      case 0x0b: // data1
      case 0x0c: // flag
        return numeric(at.u8());
      case 0x05: // data2
        return numeric(at.u16());
      case 0x06: // data4
        return numeric(at.u32());
      case 0x07: // data8
        return numeric(at.u64());
      case 0x0d: // sdata
        return numeric(at.sleb());
      case 0x0f: // udata
        return numeric(at.uleb());
      case 0x10: // ref_addr: of the size of an address in version 2
        return numeric(at.unsigned(unit.version === 2 ? unit.addressSize : unit.offsetSize));
      case 0x11: // ref1
        return numeric(unit.start + at.u8());
      case 0x12: // ref2
        return numeric(unit.start + at.u16());
      case 0x13: // ref4
        return numeric(unit.start + at.u32());
      case 0x14: // ref8
        return numeric(unit.start + at.u64());
      case 0x15: // ref_udata
        return numeric(unit.start + at.uleb());
      case 0x16: // indirect
        return this.#value(unit, at, at.uleb());
      case 0x17: // sec_offset
        return numeric(at.unsigned(unit.offsetSize));
      case 0x19: // flag_present
        return numeric(1);
      case 0x1a: // strx
      case 0x1b: // addrx
      case 0x22: // loclistx
      case 0x23: // rnglistx
        at.uleb();
        return NOTHING;
    }
    const size = SKIPPED[form] ?? (form === 0x1d ? unit.offsetSize : undefined);
    if (size === undefined)
      throw new ElfError(
        `.debug_info at 0x${at.at.toString(16)} has a value of form 0x${form.toString(16)}, which is not known`,
      );
    at.skip(size);
    return NOTHING;
  }

  #string(section: string, offset: number): string | undefined {
    const bytes = this.#elf.sectionData(section);
    return bytes === undefined ? undefined : new Cursor(bytes, this.#little, section, offset).text();
  }
}

/** Sizes of forms whose values no structure layout needs: references to other files, data16, and indexes. */
const SKIPPED: Readonly<Record<number, number>> = {
  28: 4,
  30: 16,
  32: 8,
  36: 8,
  37: 1,
  38: 2,
  39: 3,
  40: 4,
  41: 1,
  42: 2,
  43: 3,
  44: 4,
};

/** A member's offset: a constant, or in DWARF 2 an expression that adds one. */
function locationOf(value: Value | undefined): number | undefined {
  if (value?.number !== undefined) return value.number;
  const block = value?.block;
  if (block?.[0] !== OP_PLUS_UCONST) return undefined;
  return new Cursor(block, true, 'a location', 1).uleb();
}
