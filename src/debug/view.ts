// The Go model's narrow view of a machine: memory and the running thread's registers.

import type { Register } from '../../isa/dsl/registers.ts';
import type { Arch } from '../arch/arch.ts';
import type { Machine } from '../engine/machine.ts';
import { GuestFault, type Memory } from '../engine/memory.ts';
import type { State } from '../engine/state.ts';
import { type Context, type GuestMemory, GuestReadError, type ThreadView } from '../goruntime/view.ts';
import { MachineFields } from './fields.ts';

/**
 * Guest memory as the Go model reads and writes it. Each access has a `try` of its own: with a closure for each, an interrupt is decided
 * 7 to 10 % slower.
 */
export class MachineMemory implements GuestMemory {
  readonly pointerSize: 4 | 8;
  readonly bigEndian: boolean;
  readonly #memory: Memory;

  constructor(memory: Memory, arch: Arch) {
    this.#memory = memory;
    this.pointerSize = arch.pointerSize;
    this.bigEndian = arch.bigEndian;
  }

  fields(): MachineFields {
    return new MachineFields(this.#memory, this);
  }

  /** What is thrown for an error of the machine's memory. */
  #error(error: unknown, addr: number, doing: 'read' | 'write'): unknown {
    return error instanceof GuestFault ? new GuestReadError(addr, doing) : error;
  }

  readU8(addr: number): number {
    try {
      return this.#memory.readU8(addr);
    } catch (error) {
      throw this.#error(error, addr, 'read');
    }
  }

  readU16(addr: number): number {
    try {
      return this.#memory.readU16(addr);
    } catch (error) {
      throw this.#error(error, addr, 'read');
    }
  }

  readU32(addr: number): number {
    try {
      return this.#memory.readU32(addr);
    } catch (error) {
      throw this.#error(error, addr, 'read');
    }
  }

  readU64(addr: number): bigint {
    try {
      return this.#memory.readU64(addr);
    } catch (error) {
      throw this.#error(error, addr, 'read');
    }
  }

  readPointer(addr: number): number {
    try {
      return this.pointerSize === 4 ? this.#memory.readU32(addr) : this.#memory.readAddress(addr);
    } catch (error) {
      throw this.#error(error, addr, 'read');
    }
  }

  writeU8(addr: number, value: number): void {
    try {
      this.#memory.writeU8(addr, value);
    } catch (error) {
      throw this.#error(error, addr, 'write');
    }
  }

  writeU32(addr: number, value: number): void {
    try {
      this.#memory.writeU32(addr, value);
    } catch (error) {
      throw this.#error(error, addr, 'write');
    }
  }

  writePointer(addr: number, value: number): void {
    try {
      if (this.pointerSize === 4) this.#memory.writeU32(addr, value);
      else this.#memory.writeAddress(addr, value);
    } catch (error) {
      throw this.#error(error, addr, 'write');
    }
  }
}

/**
 * The running thread as an interrupt presents it. In a MIPS delay slot `pc` is the branch's address, and `lr` what a call there has
 * already written: the half-executed call of isAsyncSafePoint.
 */
export class Thread implements ThreadView, Context {
  readonly #state: State;
  readonly #sp: Register;
  readonly #lr: Register | undefined;
  readonly #g: Register;
  readonly #tls: Register | undefined;
  readonly #linkBit: Register | undefined;

  constructor(state: State, arch: Arch) {
    this.#state = state;
    this.#sp = state.register(arch.spRegister);
    this.#lr = arch.lrRegister === undefined ? undefined : state.register(arch.lrRegister);
    this.#g = state.register(arch.gRegister);
    this.#tls = state.registers.byName.get('FS_BASE');
    this.#linkBit = state.registers.byName.get('LLbit');
  }

  get pc(): number {
    return this.#state.epc;
  }

  /** Resumes somewhere else, out of any delay slot. */
  set pc(value: number) {
    this.#state.jump(value);
  }

  get sp(): number {
    return this.#state.getNumber(this.#sp);
  }

  set sp(value: number) {
    this.#state.setNumber(this.#sp, value);
  }

  get lr(): number {
    return this.#lr === undefined ? 0 : this.#state.getNumber(this.#lr);
  }

  set lr(value: number) {
    if (this.#lr !== undefined) this.#state.setNumber(this.#lr, value);
  }

  get g(): number {
    return this.#state.getNumber(this.#g);
  }

  get tls(): number {
    return this.#tls === undefined ? 0 : this.#state.getNumber(this.#tls);
  }

  get inSlot(): boolean {
    return this.#state.inSlot;
  }

  /** Whether a load-linked is waiting for its store-conditional (MIPS). */
  get linked(): boolean {
    return this.#linkBit !== undefined && this.#state.getNumber(this.#linkBit) !== 0;
  }

  /** What a return from an exception does besides: it breaks a linked load, and a branch whose slot was interrupted runs again. */
  exceptionReturn(): void {
    if (this.#linkBit !== undefined) this.#state.setNumber(this.#linkBit, 0);
    if (this.#state.inSlot) this.#state.jump(this.#state.epc);
  }
}

export const threadOf = (machine: Machine, arch: Arch): Thread => new Thread(machine.state, arch);
