// WebAssembly, binary format: a byte emitter that knows LEB128, sections and the nesting of blocks, and nothing of guests.
// (WebAssembly Core Specification 2.0, chapter 5; tail calls and threads as in the proposals of these names.)

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export const FUNCREF = 0x70;
/** Block type of a block without parameters and results. */
export const VOID = 0x40;
/** Flags of a memory's limits. */
const LIMITS_MAXIMUM = 1;
const LIMITS_SHARED = 2;
export type ValueType = typeof I32 | typeof I64 | typeof F32 | typeof F64 | typeof V128;

/** Opcodes by their names in the specification, dots as underscores. */
export const OP = {
  unreachable: 0x00,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  return_call: 0x12,
  return_call_indirect: 0x13,
  drop: 0x1a,
  select: 0x1b,
  i32_load: 0x28,
  i64_load: 0x29,
  f64_load: 0x2b,
  i32_load8_u: 0x2d,
  i32_load16_u: 0x2f,
  i64_load8_u: 0x31,
  i64_load16_u: 0x33,
  i64_load32_u: 0x35,
  i32_store: 0x36,
  i64_store: 0x37,
  f64_store: 0x39,
  i32_store8: 0x3a,
  i32_store16: 0x3b,
  i64_store8: 0x3c,
  i64_store16: 0x3d,
  i64_store32: 0x3e,
  i32_eqz: 0x45,
  i32_eq: 0x46,
  i32_ne: 0x47,
  i32_lt_s: 0x48,
  i32_lt_u: 0x49,
  i32_gt_s: 0x4a,
  i32_gt_u: 0x4b,
  i32_le_s: 0x4c,
  i32_le_u: 0x4d,
  i32_ge_s: 0x4e,
  i32_ge_u: 0x4f,
  i64_eqz: 0x50,
  i64_eq: 0x51,
  i64_ne: 0x52,
  i64_lt_s: 0x53,
  i64_lt_u: 0x54,
  i64_le_s: 0x57,
  i64_gt_u: 0x56,
  i64_le_u: 0x58,
  f32_eq: 0x5b,
  f32_ne: 0x5c,
  f32_lt: 0x5d,
  f32_le: 0x5f,
  f32_ge: 0x60,
  f64_eq: 0x61,
  f64_ne: 0x62,
  f64_lt: 0x63,
  f64_le: 0x65,
  f64_ge: 0x66,
  i32_clz: 0x67,
  i32_ctz: 0x68,
  i32_popcnt: 0x69,
  i32_add: 0x6a,
  i32_sub: 0x6b,
  i32_mul: 0x6c,
  i32_div_s: 0x6d,
  i32_div_u: 0x6e,
  i32_rem_s: 0x6f,
  i32_rem_u: 0x70,
  i32_and: 0x71,
  i32_or: 0x72,
  i32_xor: 0x73,
  i32_shl: 0x74,
  i32_shr_s: 0x75,
  i32_shr_u: 0x76,
  i32_rotl: 0x77,
  i32_rotr: 0x78,
  i64_clz: 0x79,
  i64_ctz: 0x7a,
  i64_popcnt: 0x7b,
  i64_add: 0x7c,
  i64_sub: 0x7d,
  i64_mul: 0x7e,
  i64_div_s: 0x7f,
  i64_div_u: 0x80,
  i64_rem_s: 0x81,
  i64_rem_u: 0x82,
  i64_and: 0x83,
  i64_or: 0x84,
  i64_xor: 0x85,
  i64_shl: 0x86,
  i64_shr_s: 0x87,
  i64_shr_u: 0x88,
  i64_rotl: 0x89,
  i64_rotr: 0x8a,
  f32_ceil: 0x8d,
  f32_floor: 0x8e,
  f32_trunc: 0x8f,
  f32_nearest: 0x90,
  f32_sqrt: 0x91,
  f32_add: 0x92,
  f32_sub: 0x93,
  f32_mul: 0x94,
  f32_div: 0x95,
  f64_ceil: 0x9b,
  f64_floor: 0x9c,
  f64_trunc: 0x9d,
  f64_nearest: 0x9e,
  f64_sqrt: 0x9f,
  f64_add: 0xa0,
  f64_sub: 0xa1,
  f64_mul: 0xa2,
  f64_div: 0xa3,
  i32_wrap_i64: 0xa7,
  i32_trunc_f64_u: 0xab,
  i64_extend_i32_s: 0xac,
  i64_extend_i32_u: 0xad,
  i64_trunc_f64_u: 0xb1,
  f32_convert_i32_s: 0xb2,
  f32_convert_i64_s: 0xb4,
  f32_demote_f64: 0xb6,
  f64_convert_i32_s: 0xb7,
  f64_convert_i32_u: 0xb8,
  f64_convert_i64_s: 0xb9,
  f64_convert_i64_u: 0xba,
  f64_promote_f32: 0xbb,
  i32_reinterpret_f32: 0xbc,
  i64_reinterpret_f64: 0xbd,
  f32_reinterpret_i32: 0xbe,
  f64_reinterpret_i64: 0xbf,
  i32_extend8_s: 0xc0,
  i32_extend16_s: 0xc1,
  i64_extend8_s: 0xc2,
  i64_extend16_s: 0xc3,
} as const;
export type Opcode = (typeof OP)[keyof typeof OP];

/** Opcodes by name, for operands of either width. */
export type Names<K extends string> = Readonly<Record<K, readonly [i32: Opcode, i64: Opcode]>>;

/** Opcodes behind the 0xfc prefix. */
export const SATURATING = { i32_f32_s: 0, i32_f64_s: 2, i64_f32_s: 4, i64_f64_s: 6 } as const;
const MEMORY_COPY = 10;

/** Opcodes behind the 0xfd prefix. */
export const SIMD = {
  v128_load: 0,
  v128_store: 11,
  v128_const: 12,
  i8x16_shuffle: 13,
  i8x16_splat: 15,
  i16x8_splat: 16,
  i32x4_splat: 17,
  i64x2_splat: 18,
  i8x16_extract_lane_u: 22,
  i16x8_extract_lane_u: 25,
  i16x8_replace_lane: 26,
  i32x4_extract_lane: 27,
  i32x4_replace_lane: 28,
  i64x2_extract_lane: 29,
  i64x2_replace_lane: 30,
  i8x16_eq: 35,
  i8x16_gt_s: 39,
  i16x8_eq: 45,
  i16x8_gt_s: 49,
  i32x4_eq: 55,
  i32x4_gt_s: 59,
  v128_and: 78,
  v128_andnot: 79,
  v128_or: 80,
  v128_xor: 81,
  v128_bitselect: 82,
  i8x16_bitmask: 100,
  i8x16_narrow_i16x8_s: 101,
  i8x16_narrow_i16x8_u: 102,
  i8x16_add: 110,
  i8x16_add_sat_s: 111,
  i8x16_add_sat_u: 112,
  i8x16_sub: 113,
  i8x16_sub_sat_s: 114,
  i8x16_sub_sat_u: 115,
  i8x16_min_u: 119,
  i8x16_max_u: 121,
  i8x16_avgr_u: 123,
  i16x8_extadd_pairwise_i8x16_u: 125,
  i32x4_extadd_pairwise_i16x8_u: 127,
  i16x8_narrow_i32x4_s: 133,
  i16x8_shl: 139,
  i16x8_shr_s: 140,
  i16x8_shr_u: 141,
  i16x8_add: 142,
  i16x8_add_sat_s: 143,
  i16x8_add_sat_u: 144,
  i16x8_sub: 145,
  i16x8_sub_sat_s: 146,
  i16x8_sub_sat_u: 147,
  i16x8_mul: 149,
  i16x8_min_s: 150,
  i16x8_max_s: 152,
  i16x8_avgr_u: 155,
  i32x4_bitmask: 164,
  i32x4_shl: 171,
  i32x4_shr_s: 172,
  i32x4_shr_u: 173,
  i32x4_add: 174,
  i32x4_sub: 177,
  i32x4_dot_i16x8_s: 186,
  i32x4_extmul_low_i16x8_s: 188,
  i32x4_extmul_high_i16x8_s: 189,
  i32x4_extmul_low_i16x8_u: 190,
  i32x4_extmul_high_i16x8_u: 191,
  i64x2_bitmask: 196,
  i64x2_shl: 203,
  i64x2_shr_u: 205,
  i64x2_add: 206,
  i64x2_sub: 209,
  i64x2_mul: 213,
} as const;

/** Growing bytes. */
export class Bytes {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** @param capacity how many there is room for at first */
  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(n: number): void {
    if (this.#length + n <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + n));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  u8(value: number): void {
    if (this.#length === this.#bytes.length) this.#room(1);
    this.#bytes[this.#length++] = value;
  }

  append(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Unsigned LEB128, below 2^32. */
  unsigned(value: number): void {
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.u8((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.u8(rest);
  }

  /** Puts a number into a hole: LEB128, signed or not, of as many bytes as any number takes. */
  fill(at: number, value: number): void {
    for (let i = 0; i < HOLE_BYTES; i++) {
      const last = i === HOLE_BYTES - 1;
      this.#bytes[at + i] = ((value >> (7 * i)) & 0x7f) | (last ? 0 : 0x80);
    }
  }

  /** Signed LEB128 of 32 bits. */
  signed(value: number): void {
    let rest = value | 0;
    for (;;) {
      const byte = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0)) {
        this.u8(byte);
        return;
      }
      this.u8(byte | 0x80);
    }
  }

  /** Signed LEB128 of 64 bits. */
  signed64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    if (rest === BigInt.asIntN(31, rest)) {
      this.signed(Number(rest));
      return;
    }
    for (;;) {
      const byte = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (byte & 0x40) === 0) || (rest === -1n && (byte & 0x40) !== 0)) {
        this.u8(byte);
        return;
      }
      this.u8(byte | 0x80);
    }
  }

  name(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.unsigned(bytes.length);
    this.append(bytes);
  }
}

/** A label: the nesting depth at which its block was opened. */
export type Label = number;

/** Which way a branch mostly goes. */
interface Hint {
  /** Of the branch, from where its function's locals are declared. */
  readonly offset: number;
  readonly taken: boolean;
}

/** A number that depends on the module that a body stands in: the slot, or the function, of what begins at `start`. */
export interface Hole {
  readonly offset: number;
  readonly what: 'slot' | 'function';
  readonly start: number;
}

/**
 * A function's body as the code section wants it, the hints for its branches as theirs does, and what is to be filled in. Those of a run are
 * kept to its end: nothing of them is longer than it must be.
 */
export interface Body {
  readonly bytes: Uint8Array;
  readonly hints: Uint8Array;
  readonly hintCount: number;
  readonly holes: readonly Hole[];
}

/** LEB128 of any 32 bits. */
const HOLE_BYTES = 5;
/** The slot of what is not in the module: no unit's, and not the negative number of a link cell that leads nowhere. */
const NO_SLOT = -2;

/** The body of one function. Keeps count of the nesting, so that labels are absolute and branches find their own indexes. */
export class Code extends Bytes {
  readonly #hints: Hint[] = [];
  readonly #holes: Hole[] = [];
  readonly #parameters: number;
  readonly #locals: ValueType[] = [];
  readonly #free = new Map<ValueType, number[]>();
  depth = 0;

  constructor(parameters: number) {
    super();
    this.#parameters = parameters;
  }

  /** A local that stays: its index. */
  local(type: ValueType): number {
    return this.#parameters + this.#locals.push(type) - 1;
  }

  /** A local for a while; `release` gives it back. */
  borrow(type: ValueType): number {
    return this.#free.get(type)?.pop() ?? this.local(type);
  }

  release(type: ValueType, local: number): void {
    const free = this.#free.get(type);
    if (free === undefined) this.#free.set(type, [local]);
    else free.push(local);
  }

  op(opcode: Opcode): void {
    this.u8(opcode);
  }

  simd(opcode: number): void {
    this.u8(0xfd);
    this.unsigned(opcode);
  }

  i32(value: number): void {
    this.u8(0x41);
    this.signed(value);
  }

  i64(value: bigint): void {
    this.u8(0x42);
    this.signed64(value);
  }

  f32(value: number): void {
    this.u8(0x43);
    this.append(new Uint8Array(new Float32Array([value]).buffer));
  }

  f64(value: number): void {
    this.u8(0x44);
    this.append(new Uint8Array(new Float64Array([value]).buffer));
  }

  get(local: number): void {
    this.u8(0x20);
    this.unsigned(local);
  }

  set(local: number): void {
    this.u8(0x21);
    this.unsigned(local);
  }

  tee(local: number): void {
    this.u8(0x22);
    this.unsigned(local);
  }

  /** Copies bytes: where to, where from and how many are on the stack. */
  memoryCopy(): void {
    this.append(Uint8Array.of(0xfc, MEMORY_COPY, 0, 0));
  }

  /** A load or store; the alignment is a hint that no engine on x64 or arm64 uses, so none is given. */
  memory(opcode: Opcode, offset: number): void {
    this.u8(opcode);
    this.u8(0);
    this.unsigned(offset);
  }

  simdMemory(opcode: number, offset: number): void {
    this.simd(opcode);
    this.u8(0);
    this.unsigned(offset);
  }

  #open(opcode: number, type: number): Label {
    this.u8(opcode);
    this.u8(type);
    return ++this.depth;
  }

  block(type: number = VOID): Label {
    return this.#open(0x02, type);
  }

  loop(type: number = VOID): Label {
    return this.#open(0x03, type);
  }

  /** @param taken whether the condition mostly holds; nothing where there is no knowing */
  if(type: number = VOID, taken?: boolean): Label {
    if (taken !== undefined) this.#hints.push({ offset: this.length, taken });
    return this.#open(0x04, type);
  }

  else(): void {
    this.u8(0x05);
  }

  end(): void {
    this.u8(0x0b);
    this.depth--;
  }

  br(label: Label): void {
    this.u8(0x0c);
    this.unsigned(this.depth - label);
  }

  brIf(label: Label): void {
    this.u8(0x0d);
    this.unsigned(this.depth - label);
  }

  brTable(labels: readonly Label[], otherwise: Label): void {
    this.u8(0x0e);
    this.unsigned(labels.length);
    for (const label of labels) this.unsigned(this.depth - label);
    this.unsigned(this.depth - otherwise);
  }

  call(index: number): void {
    this.u8(OP.call);
    this.unsigned(index);
  }

  returnCall(index: number): void {
    this.u8(OP.return_call);
    this.unsigned(index);
  }

  #hole(what: Hole['what'], start: number): void {
    this.#holes.push({ offset: this.length, what, start });
    for (let i = 0; i < HOLE_BYTES; i++) this.u8(0);
  }

  /** Pushes the slot of the unit of the module that begins at `start`, or what no link cell has where there is none. */
  slotOf(start: number): void {
    this.u8(0x41);
    this.#hole('slot', start);
  }

  /** Calls that unit. */
  callUnit(start: number): void {
    this.u8(OP.call);
    this.#hole('function', start);
  }

  callIndirect(type: number): void {
    this.u8(OP.call_indirect);
    this.unsigned(type);
    this.u8(0);
  }

  returnCallIndirect(type: number): void {
    this.u8(OP.return_call_indirect);
    this.unsigned(type);
    this.u8(0);
  }

  /** Locals, instructions, end. */
  body(): Body {
    const head = new Bytes();
    const groups: [type: number, count: number][] = [];
    for (const type of this.#locals) {
      const last = groups.at(-1);
      if (last !== undefined && last[0] === type) last[1]++;
      else groups.push([type, 1]);
    }
    head.unsigned(groups.length);
    for (const [type, count] of groups) {
      head.unsigned(count);
      head.u8(type);
    }
    const size = new Bytes();
    size.unsigned(head.length + this.length + 1);
    const begin = size.length + head.length;
    const bytes = new Uint8Array(begin + this.length + 1);
    bytes.set(size.view());
    bytes.set(head.view(), size.length);
    bytes.set(this.view(), begin);
    bytes[bytes.length - 1] = 0x0b;
    const hints = new Bytes();
    for (const { offset, taken } of this.#hints) {
      hints.unsigned(head.length + offset);
      hints.unsigned(1);
      hints.u8(taken ? 1 : 0);
    }
    const holes = this.#holes.map((hole) => ({ ...hole, offset: begin + hole.offset }));
    return { bytes, hints: hints.view().slice(), hintCount: this.#hints.length, holes };
  }
}

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface FunctionImport {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

export interface ModuleParts {
  readonly types: readonly FunctionType[];
  readonly functions: readonly FunctionImport[];
  /** Names of the imported memory (in 64 KiB pages, minimum and maximum) and table. */
  readonly memoryPages: number;
  /** Functions of the module's own, before those of `bodies`. */
  readonly before?: readonly { readonly type: number; readonly body: Body }[];
  /** Those that have a name are exported. V8 compiles a wrapper for each exported type, in each module. */
  readonly bodies: readonly { readonly type: number; readonly body: Body; readonly name?: string }[];
  /** Where the functions of `bodies` are put into the table, one by one. */
  readonly slots?: readonly number[];
  /** By its start: which of `bodies` a unit is that others may call by name. */
  readonly starts?: ReadonlyMap<number, number>;
}

/** Runs of consecutive numbers. */
function runsOf(numbers: readonly number[]): { readonly from: number; readonly count: number }[] {
  const runs: { from: number; count: number }[] = [];
  for (const [i, number] of numbers.entries()) {
    const run = runs.at(-1);
    if (run !== undefined && number === numbers[i - 1]! + 1) run.count++;
    else runs.push({ from: i, count: 1 });
  }
  return runs;
}

/** Of a module but for its bodies and their hints there is mostly less than this. */
const REST_BYTES = 8192;

/** A module that imports memory `e.m`, table `e.t` and functions. */
export function assemble(parts: ModuleParts): Uint8Array<ArrayBuffer> {
  const { bodies, slots, before = [] } = parts;
  /** Of the first of `bodies`. */
  const firstIndex = parts.functions.length + before.length;
  const all: ModuleParts['bodies'] = [...before, ...bodies];
  const bodyBytes = all.reduce((sum, { body }) => sum + body.bytes.length, 0);
  // Copies of what may be megabytes would be as large again each.
  const out = new Bytes(all.reduce((sum, { body }) => sum + body.hints.length, bodyBytes + REST_BYTES));
  out.append(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  const section = (id: number, write: (s: Bytes) => void): void => {
    const s = new Bytes();
    write(s);
    out.u8(id);
    out.unsigned(s.length);
    out.append(s.view());
  };
  section(1, (s) => {
    s.unsigned(parts.types.length);
    for (const type of parts.types) {
      s.u8(0x60);
      s.unsigned(type.parameters.length);
      for (const p of type.parameters) s.u8(p);
      s.unsigned(type.results.length);
      for (const r of type.results) s.u8(r);
    }
  });
  section(2, (s) => {
    s.unsigned(parts.functions.length + 2);
    for (const f of parts.functions) {
      s.name(f.module);
      s.name(f.name);
      s.u8(0);
      s.unsigned(f.type);
    }
    s.name('e');
    s.name('m');
    s.u8(2);
    // Limits with a maximum, which a shared memory must have.
    s.u8(LIMITS_MAXIMUM | LIMITS_SHARED);
    s.unsigned(parts.memoryPages);
    s.unsigned(parts.memoryPages);
    s.name('e');
    s.name('t');
    s.u8(1);
    s.u8(FUNCREF);
    s.u8(0);
    s.unsigned(0);
  });
  section(3, (s) => {
    s.unsigned(all.length);
    for (const body of all) s.unsigned(body.type);
  });
  section(7, (s) => {
    s.unsigned(bodies.filter((body) => body.name !== undefined).length);
    for (const [i, body] of bodies.entries()) {
      if (body.name === undefined) continue;
      s.name(body.name);
      s.u8(0);
      s.unsigned(firstIndex + i);
    }
  });
  if (slots !== undefined) {
    section(9, (s) => {
      const runs = runsOf(slots);
      s.unsigned(runs.length);
      for (const { from, count } of runs) {
        s.u8(0);
        s.u8(0x41);
        s.signed(slots[from]!);
        s.u8(0x0b);
        s.unsigned(count);
        for (let i = 0; i < count; i++) s.unsigned(firstIndex + from + i);
      }
    });
  }
  // https://github.com/WebAssembly/branch-hinting: what is unlikely is put out of the way, and costs the rest no registers.
  section(0, (s) => {
    s.name('metadata.code.branch_hint');
    const hinted = [...all.entries()].filter(([, { body }]) => body.hintCount > 0);
    s.unsigned(hinted.length);
    for (const [i, { body }] of hinted) {
      s.unsigned(parts.functions.length + i);
      s.unsigned(body.hintCount);
      s.append(body.hints);
    }
  });
  const count = new Bytes(HOLE_BYTES);
  count.unsigned(all.length);
  out.u8(10);
  out.unsigned(count.length + bodyBytes);
  out.append(count.view());
  for (const { body } of all) {
    const begin = out.length;
    out.append(body.bytes);
    for (const { offset, what, start } of body.holes) {
      const unit = parts.starts?.get(start);
      if (what === 'function') out.fill(begin + offset, firstIndex + (unit ?? 0));
      else out.fill(begin + offset, unit === undefined ? NO_SLOT : slots![unit]!);
    }
  }
  return out.view();
}
