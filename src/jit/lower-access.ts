// Loads and stores: the TLB in line, or what a group of accesses has found in it, and everything else out of line.

import { PAGE_SIZE, SCRATCH, TLB, TLB_ADDEND, TLB_READ, TLB_WRITE } from '../engine/layout.ts';
import type { Uop } from '../uop/ops.ts';
import { finderOf, hasFunction, storerOf } from './access-functions.ts';
import { extentOf, type Group, type Member, pointerTo, WORD } from './groups.ts';
import { HELPER } from './helpers.ts';
import type { Surroundings } from './lower.ts';
import { I32, I64, OP, type Opcode, SIMD, V128, type ValueType, VOID } from './opcodes.ts';
import { packAccess } from './packed-access.ts';
import { emitTlbEntry } from './tlb.ts';
import type { Code } from './wasm.ts';

type Load = Extract<Uop, { op: 'load' }>;
type Store = Extract<Uop, { op: 'store' }>;

const VALUE_TYPES: Readonly<Record<string, ValueType>> = { i32: I32, i64: I64, v128: V128 };
export const valueType = (type: string): ValueType => VALUE_TYPES[type]!;

const LOAD: Readonly<Record<number, readonly [Opcode, Opcode]>> = {
  1: [OP.i32_load8_u, OP.i64_load8_u],
  2: [OP.i32_load16_u, OP.i64_load16_u],
  4: [OP.i32_load, OP.i64_load32_u],
  8: [OP.i64_load, OP.i64_load],
};
const STORE: Readonly<Record<number, readonly [Opcode, Opcode]>> = {
  1: [OP.i32_store8, OP.i64_store8],
  2: [OP.i32_store16, OP.i64_store16],
  4: [OP.i32_store, OP.i64_store32],
  8: [OP.i64_store, OP.i64_store],
};

export class AccessLowering {
  readonly #s: Surroundings;
  readonly #code: Code;
  readonly #wide: boolean;
  readonly #addressType: ValueType;
  /** Pushes a temporary of the instruction. */
  readonly #push: (temp: number) => void;
  /** Groups that have been looked up, and have members to come. */
  readonly #open = new Set<Group>();
  #tree = 0;

  constructor(surroundings: Surroundings, push: (temp: number) => void) {
    this.#s = surroundings;
    this.#code = surroundings.code;
    this.#wide = surroundings.variant.width === 64;
    this.#addressType = this.#wide ? I64 : I32;
    this.#push = push;
  }

  /** Begins a block of a tree (`Group`). */
  begin(tree: number): void {
    this.#tree = tree;
  }

  /** Leaves the value on the stack. */
  load(uop: Load, member: Member | undefined): void {
    const code = this.#code;
    const type = valueType(uop.type);
    if (!this.#s.fast) {
      this.#outOfLine(uop, type, (address) => {
        if (hasFunction(uop, this.#s.variant)) this.#findLoad(uop, address, finderOf(uop.bytes));
        else this.#missedLoad(uop, address);
      });
      return;
    }
    if (member !== undefined && this.#grouped(member)) {
      this.#member(uop, member, type, undefined);
      return;
    }
    if (uop.when !== undefined) {
      this.#push(uop.when);
      code.if(type);
    }
    const address = code.borrow(this.#addressType);
    const entry = code.borrow(I32);
    this.#probe(uop, TLB_READ, address, entry);
    code.if(type, true);
    this.#host(uop, address, entry);
    this.#read(uop, 0);
    code.else();
    this.#missedLoad(uop, address);
    code.end();
    if (uop.when !== undefined) {
      code.else();
      this.#zero(uop.type);
      code.end();
    }
    code.release(this.#addressType, address);
    code.release(I32, entry);
  }

  /** @param value the local that has it */
  store(uop: Store, member: Member | undefined, value: number): void {
    const code = this.#code;
    if (!this.#s.fast) {
      this.#outOfLine(uop, VOID, (address) => {
        if (hasFunction(uop, this.#s.variant)) this.#callStore(uop, address, value);
        else this.#missedStore(uop, address, value);
      });
      return;
    }
    if (member !== undefined && this.#grouped(member)) {
      this.#member(uop, member, VOID, value);
      return;
    }
    if (uop.when !== undefined) {
      this.#push(uop.when);
      code.if();
    }
    const address = code.borrow(this.#addressType);
    const entry = code.borrow(I32);
    this.#probe(uop, TLB_WRITE, address, entry);
    code.if(VOID, true);
    this.#host(uop, address, entry);
    code.get(value);
    this.#write(uop, 0);
    code.else();
    this.#missedStore(uop, address, value);
    code.end();
    if (uop.when !== undefined) code.end();
    code.release(this.#addressType, address);
    code.release(I32, entry);
  }

  /** An access of code that is to be short. */
  #outOfLine(uop: Load | Store, type: number, access: (address: number) => void): void {
    const code = this.#code;
    if (uop.when !== undefined) {
      this.#push(uop.when);
      code.if(type);
    }
    const address = code.borrow(this.#addressType);
    this.#push(uop.address);
    code.set(address);
    access(address);
    code.release(this.#addressType, address);
    if (uop.when === undefined) return;
    if (uop.op === 'load') {
      code.else();
      this.#zero(uop.type);
    }
    code.end();
  }

  // Groups

  /** Whether an access has others to share with; one that has none looks up its own page. */
  #grouped({ group }: Member): boolean {
    return group.locals.size > 0 || group.left > 1;
  }

  /** @param value the local that has what is stored; undefined for a load */
  #member(uop: Load | Store, member: Member, type: number, value: number | undefined): void {
    const code = this.#code;
    const { group, displacement } = member;
    const address = code.borrow(this.#addressType);
    const first = group.locals.size === 0;
    const { bigEndian } = this.#s.variant;
    const { pointer, offset } = pointerTo(group, { displacement, bytes: uop.bytes }, bigEndian);
    if (first) this.#lookUp(uop, member, address, type);
    else {
      code.get(group.locals.get(pointer)!);
      code.if(type, true);
    }
    code.get(group.locals.get(pointer)!);
    const swizzled = bigEndian && pointer === 'bytes' && uop.bytes < 8;
    if (swizzled) {
      code.i32(offset);
      code.op(OP.i32_add);
      code.i32(8 - uop.bytes);
      code.op(OP.i32_xor);
    }
    if (uop.op === 'load') this.#read(uop, swizzled ? 0 : offset);
    else {
      code.get(value!);
      this.#write(uop, swizzled ? 0 : offset);
    }
    code.else();
    if (!first) {
      this.#push(uop.address);
      code.set(address);
    }
    group.left--;
    if (group.left === 0) this.#open.delete(group);
    if (uop.op === 'load') this.#missedLoad(uop, address);
    else this.#missedStore(uop, address, value!);
    // It is 0 already, but V8 would carry what it knows of it by a register of its own to where the next member asks.
    if (group.left > 0) this.#close(group);
    code.end();
    code.release(this.#addressType, address);
    if (group.left === 0) for (const local of group.locals.values()) code.release(I32, local);
  }

  /** Has the members to come go out of line. */
  #close(group: Group): void {
    for (const local of group.locals.values()) {
      this.#code.i32(0);
      this.#code.set(local);
    }
  }

  /** Looks a group up at its first member, and begins what is done where its page is there: only then have its locals addresses. */
  #lookUp(uop: Load | Store, { group, displacement }: Member, address: number, type: number): void {
    const code = this.#code;
    const lowest = code.borrow(this.#addressType);
    const entry = code.borrow(I32);
    const { begin, size } = extentOf(group);
    this.#push(uop.address);
    code.tee(address);
    this.#add(begin - displacement);
    code.tee(lowest);
    this.#toEntry(entry);
    code.memory(this.#wide ? OP.i64_load : OP.i32_load, TLB + (group.stores ? TLB_WRITE : TLB_READ));
    // The page of the last bytes is the page of the first ones, and the alignment is that of the first ones.
    code.get(lowest);
    this.#add(size - group.align);
    this.#and(-PAGE_SIZE | (group.align - 1));
    code.op(this.#wide ? OP.i64_eq : OP.i32_eq);
    code.if(type, true);
    const host = code.borrow(I32);
    this.#toHost(lowest, entry);
    code.set(host);
    for (const { bytes, displacement } of group.members) {
      const { pointer } = pointerTo(group, { bytes, displacement }, this.#s.variant.bigEndian);
      if (group.locals.has(pointer)) continue;
      const local = pointer === 'bytes' ? host : code.borrow(I32);
      group.locals.set(pointer, local);
      if (pointer === 'bytes') continue;
      code.get(host);
      if (pointer === 'odd words') {
        code.i32(WORD);
        code.op(OP.i32_add);
      }
      code.i32(WORD);
      code.op(OP.i32_xor);
      code.set(local);
    }
    if (!group.locals.has('bytes')) code.release(I32, host);
    this.#open.add(group);
    code.release(this.#addressType, lowest);
    code.release(I32, entry);
  }

  /** What was read through is another frame's once a store has made a copy of its page. */
  #forget(): void {
    for (const group of this.#open) if (!group.stores && group.tree === this.#tree) this.#close(group);
  }

  // One access

  /** Pushes the address, keeping it in a local, and leaves on the stack whether the TLB has it. The entry's offset is kept as well. */
  #probe(access: Load | Store, tag: number, address: number, entry: number): void {
    const code = this.#code;
    // On a big-endian target the addresses of narrow accesses are changed in their low bits, which only aligned ones may be.
    const exact = access.align !== 'any' || this.#s.variant.bigEndian;
    this.#push(access.address);
    code.tee(address);
    this.#toEntry(entry);
    code.memory(this.#wide ? OP.i64_load : OP.i32_load, TLB + tag);
    code.get(address);
    if (!exact) this.#add(access.bytes - 1);
    this.#and(exact ? -PAGE_SIZE | (access.bytes - 1) : -PAGE_SIZE);
    code.op(this.#wide ? OP.i64_eq : OP.i32_eq);
  }

  /** From an address on the stack to the offset of its entry, which is kept in a local. */
  #toEntry(entry: number): void {
    const code = this.#code;
    if (this.#wide) code.op(OP.i32_wrap_i64);
    emitTlbEntry(code);
    code.tee(entry);
  }

  /** Pushes the host's address of a guest address whose page is at `entry`. */
  #toHost(address: number, entry: number): void {
    const code = this.#code;
    code.get(address);
    if (this.#wide) code.op(OP.i32_wrap_i64);
    code.get(entry);
    code.memory(OP.i32_load, TLB + TLB_ADDEND);
    code.op(OP.i32_add);
  }

  #host(access: Load | Store, address: number, entry: number): void {
    const code = this.#code;
    this.#toHost(address, entry);
    if (this.#s.variant.bigEndian && access.bytes < 8) {
      code.i32(8 - access.bytes);
      code.op(OP.i32_xor);
    }
  }

  #add(value: number): void {
    if (value === 0) return;
    const code = this.#code;
    if (this.#wide) code.i64(BigInt(value));
    else code.i32(value);
    code.op(this.#wide ? OP.i64_add : OP.i32_add);
  }

  #and(mask: number): void {
    const code = this.#code;
    if (this.#wide) code.i64(BigInt(mask));
    else code.i32(mask);
    code.op(this.#wide ? OP.i64_and : OP.i32_and);
  }

  #missedLoad(uop: Load, address: number): void {
    this.#findLoad(uop, address, HELPER.load);
  }

  /** Calls what finds the value of a load in the host's memory, and reads it there. */
  #findLoad(uop: Load, address: number, function_: number): void {
    const code = this.#code;
    const host = code.borrow(I32);
    code.get(address);
    code.i32(packAccess(uop, this.#s.exit()));
    code.call(function_);
    code.tee(host);
    code.op(OP.i32_eqz);
    this.#s.leaveIfLeft();
    code.get(host);
    this.#read(uop, 0);
    code.release(I32, host);
  }

  /** Calls what stores, of the module's own. */
  #callStore(uop: Store, address: number, value: number): void {
    const code = this.#code;
    code.get(address);
    code.get(value);
    if (uop.type === 'i32') code.op(OP.i64_extend_i32_u);
    code.i32(packAccess(uop, this.#s.exit()));
    code.call(storerOf(uop.bytes));
    this.#s.leaveIfLeft();
  }

  #missedStore(uop: Store, address: number, value: number): void {
    const code = this.#code;
    code.i32(0);
    code.get(value);
    this.#write(uop, SCRATCH);
    code.get(address);
    code.i32(packAccess(uop, this.#s.exit()));
    code.call(HELPER.store);
    this.#s.leaveIfLeft();
    this.#forget();
  }

  #read(access: Load, offset: number): void {
    const code = this.#code;
    if (access.type === 'v128') code.simdMemory(SIMD.v128_load, offset);
    else code.memory(LOAD[access.bytes]![access.type === 'i32' ? 0 : 1], offset);
  }

  #write(access: Store, offset: number): void {
    const code = this.#code;
    if (access.type === 'v128') code.simdMemory(SIMD.v128_store, offset);
    else code.memory(STORE[access.bytes]![access.type === 'i32' ? 0 : 1], offset);
  }

  #zero(type: string): void {
    const code = this.#code;
    if (type === 'i32') code.i32(0);
    else if (type === 'i64') code.i64(0n);
    else {
      code.simd(SIMD.v128_const);
      code.append(new Uint8Array(16));
    }
  }
}
