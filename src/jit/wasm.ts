// WebAssembly, binary format: an emitter of bytes and of function bodies, which knows LEB128, the nesting of blocks and hints for branches, and
// nothing of guests. (WebAssembly Core Specification 2.0, chapter 5.)

import { OP, type Opcode, type ValueType, VOID } from './opcodes.ts';

/** Behind the 0xfc prefix. */
const MEMORY_COPY = 10;

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
export const HOLE_BYTES = 5;

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
