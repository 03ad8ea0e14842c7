// Emits functions of compiled code that are written by hand and look into the guest: short names for what they do all the time. Whatever is out
// of the ordinary they leave to the host, before anything has changed.

import type { Isa } from '../../../isa/dsl/isa.ts';
import type { Register } from '../../../isa/dsl/registers.ts';
import type { Arch } from '../../arch/arch.ts';
import { STATE, TLB_READ, TLB_WRITE } from '../../engine/layout.ts';
import { I32, I64, OP, type Opcode, type ValueType, VOID } from '../../jit/opcodes.ts';
import { emitTlbFind } from '../../jit/tlb.ts';
import { Code } from '../../jit/wasm.ts';

/** Emits something that leaves one value on the stack. */
export type Push = () => void;

export class Emitter {
  readonly code: Code;
  readonly wide: boolean;
  readonly #isa: Isa;
  readonly #arch: Arch;
  /** Where it is left to the host. */
  #host = 0;

  constructor({ isa, arch }: { readonly isa: Isa; readonly arch: Arch }, parameters: number) {
    this.#isa = isa;
    this.#arch = arch;
    this.wide = arch.pointerSize === 8;
    this.code = new Code(parameters);
  }

  get pointer(): typeof I64 | typeof I32 {
    return this.wide ? I64 : I32;
  }

  /** Emits what leaves to the host by `leaveIf`, and the host's part. */
  orHost(emit: () => void, host: () => void): void {
    this.#host = this.code.block();
    emit();
    this.code.end();
    host();
  }

  leaveIf(condition: Push): void {
    condition();
    this.code.brIf(this.#host);
  }

  leaveUnless(condition: Push): void {
    condition();
    this.code.op(OP.i32_eqz);
    this.code.brIf(this.#host);
  }

  when(condition: Push, emit: () => void, otherwise?: () => void): void {
    condition();
    this.code.if(VOID);
    emit();
    if (otherwise !== undefined) {
      this.code.else();
      otherwise();
    }
    this.code.end();
  }

  // Expressions

  i32(value: number): Push {
    return () => this.code.i32(value);
  }

  i64(value: bigint): Push {
    return () => this.code.i64(value);
  }

  f64(value: number): Push {
    return () => this.code.f64(value);
  }

  address(value: number): Push {
    return () => (this.wide ? this.code.i64(BigInt(value)) : this.code.i32(value | 0));
  }

  get(local: number): Push {
    return () => this.code.get(local);
  }

  op(opcode: Opcode, ...operands: readonly Push[]): Push {
    return () => {
      for (const push of operands) push();
      this.code.op(opcode);
    };
  }

  /** An address, or a number of its width, and another number. */
  add(a: Push, value: number): Push {
    return this.op(this.wide ? OP.i64_add : OP.i32_add, a, this.address(value));
  }

  both(a: Push, b: Push): Push {
    return this.op(OP.i32_and, a, b);
  }

  not(a: Push): Push {
    return this.op(OP.i32_eqz, a);
  }

  /** Of addresses, or numbers of an address's width. */
  equal(a: Push, b: Push): Push {
    return this.op(this.wide ? OP.i64_eq : OP.i32_eq, a, b);
  }

  isZero(a: Push): Push {
    return this.op(this.wide ? OP.i64_eqz : OP.i32_eqz, a);
  }

  /** The low 32 bits of an address. */
  low(a: Push): Push {
    return this.wide ? this.op(OP.i32_wrap_i64, a) : a;
  }

  /** An address as a number. */
  number(a: Push): Push {
    return this.op(this.wide ? OP.f64_convert_i64_u : OP.f64_convert_i32_u, a);
  }

  /** From memory of ours: at a fixed offset, or so far from an address. */
  load(opcode: Opcode, offset: number, base: Push = this.i32(0)): Push {
    return () => {
      base();
      this.code.memory(opcode, offset);
    };
  }

  /** A value that is computed once: what pushes it again. */
  let(type: ValueType, value: Push): Push {
    const local = this.code.local(type);
    this.set(local, value);
    return this.get(local);
  }

  set(local: number, value: Push): void {
    value();
    this.code.set(local);
  }

  /** Into memory of ours. */
  store(opcode: Opcode, offset: number, value: Push, base: Push = this.i32(0)): void {
    base();
    value();
    this.code.memory(opcode, offset);
  }

  /** Adds 1, or something else, to a number in memory of ours. */
  count(offset: number, by: Push = this.f64(1), base?: Push): void {
    this.store(OP.f64_store, offset, this.op(OP.f64_add, this.load(OP.f64_load, offset, base), by), base);
  }

  // The guest

  /** Leaves where an address is no structure's: its fields might be in two pages. */
  leaveUnlessStructure(address: Push): void {
    this.leaveIf(this.op(OP.i32_and, this.low(address), this.i32(this.#arch.pointerSize - 1)));
    this.leaveIf(this.isZero(address));
  }

  #register(name: string): Register {
    return this.#isa.registers.byName.get(name)!;
  }

  /** A register as wide as an address. */
  getRegister(name: string): Push {
    return this.load(this.wide ? OP.i64_load : OP.i32_load, STATE + this.#register(name).offset);
  }

  setRegister(name: string, value: Push): void {
    this.store(this.wide ? OP.i64_store : OP.i32_store, STATE + this.#register(name).offset, value);
  }

  /** A local with the host's address of so many bytes of the guest's, at an offset from an address. */
  #found(base: Push, offset: number, bytes: number, tag: number): number {
    const { code } = this;
    const address = code.borrow(this.pointer);
    this.set(address, this.add(base, offset));
    const host = code.local(I32);
    emitTlbFind(code, this.wide, address, tag, host);
    code.op(OP.i32_eqz);
    code.brIf(this.#host);
    code.release(this.pointer, address);
    if (this.#arch.bigEndian && bytes < 8) {
      this.set(host, this.op(OP.i32_xor, this.get(host), this.i32(8 - bytes)));
    }
    return host;
  }

  /** Reads a field of a structure: a byte, a word, or as much as an address. */
  field(base: Push, offset: number, bytes: 1 | 4 | 'pointer'): Push {
    const size = bytes === 'pointer' ? this.#arch.pointerSize : bytes;
    const host = this.#found(base, offset, size, TLB_READ);
    const load = size === 1 ? OP.i32_load8_u : size === 4 ? OP.i32_load : OP.i64_load;
    return this.let(size === 8 ? I64 : I32, this.load(load, 0, this.get(host)));
  }

  /** Finds a field that is to be written: what writes it. */
  writable(base: Push, offset: number, bytes: 1 | 4 | 'pointer'): (value: Push) => void {
    const size = bytes === 'pointer' ? this.#arch.pointerSize : bytes;
    const host = this.#found(base, offset, size, TLB_WRITE);
    const store = size === 1 ? OP.i32_store8 : size === 4 ? OP.i32_store : OP.i64_store;
    return (value) => this.store(store, 0, value, this.get(host));
  }

  /** The same of a counter of 32 bits: what adds 1. */
  counter(base: Push, offset: number): () => void {
    const host = this.#found(base, offset, 4, TLB_WRITE);
    const at = this.get(host);
    return () => this.store(OP.i32_store, 0, this.op(OP.i32_add, this.load(OP.i32_load, 0, at), this.i32(1)), at);
  }

  /** A linked load is broken, where there are such. */
  breakLink(): void {
    const link = this.#isa.registers.byName.get('LLbit');
    if (link === undefined) return;
    if (link.type !== 'i32') throw new Error('LLbit is as wide as an address');
    this.store(OP.i32_store, STATE + link.offset, this.i32(0));
  }
}
