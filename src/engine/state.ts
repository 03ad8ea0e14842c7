// The running thread's registers in the shared memory: by name at the edges, in place for the engines.

import type { Register, RegisterFile } from '../../isa/dsl/registers.ts';
import { STATE, STATE_SIZE } from './layout.ts';
import type { Memory } from './memory.ts';

/** The registers of one thread while another runs: the state block's bytes. */
export type SavedState = Uint8Array;

export class State {
  readonly registers: RegisterFile;
  readonly #memory: Memory;
  /** The state block itself. */
  readonly #block: Uint8Array;
  /** Computes the flags that stand in the state block, if they have been put off. */
  readonly #settle: () => void;
  /** Offsets between which the flags lie. */
  readonly #flagsFrom: number;
  readonly #flagsTo: number;
  /** Indexes of the control registers in an Int32Array over the memory. */
  readonly pcIndex: number;
  readonly pendingIndex: number;
  readonly slotIndex: number;

  constructor(registers: RegisterFile, memory: Memory, settle: () => void) {
    if (registers.size > STATE_SIZE) throw new Error('the register file does not fit in the state block');
    this.registers = registers;
    this.#memory = memory;
    this.#settle = settle;
    const flags = registers.flags?.all.map((r) => r.offset) ?? [];
    this.#flagsFrom = Math.min(...flags);
    this.#flagsTo = Math.max(...flags);
    this.#block = memory.u8.subarray(STATE, STATE + registers.size);
    const index = (r: Register): number => (STATE + r.offset) >>> 2;
    this.pcIndex = index(registers.control.pc);
    this.pendingIndex = index(registers.control.pending);
    this.slotIndex = index(registers.control.slot);
  }

  /** The register of that name. @throws RangeError when there is none: names come from code, not from users. */
  register(name: string): Register {
    const register = this.registers.byName.get(name);
    if (register === undefined) throw new RangeError(`no register ${name}`);
    return register;
  }

  #current(register: Register): void {
    if (register.offset >= this.#flagsFrom && register.offset <= this.#flagsTo) this.#settle();
  }

  /** Value as an unsigned integer of the register's width (a v128 as 128 bits). */
  get(register: Register): bigint {
    this.#current(register);
    const at = STATE + register.offset;
    if (register.type === 'i32') return BigInt(this.#memory.view.getUint32(at, true));
    const low = this.#memory.view.getBigUint64(at, true);
    return register.type === 'i64' ? low : low | (this.#memory.view.getBigUint64(at + 8, true) << 64n);
  }

  /** Keeps the low bits of the value. */
  set(register: Register, value: bigint): void {
    this.#current(register);
    const at = STATE + register.offset;
    const view = this.#memory.view;
    if (register.type === 'i32') {
      view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
      return;
    }
    view.setBigUint64(at, BigInt.asUintN(64, value), true);
    if (register.type === 'v128') view.setBigUint64(at + 8, BigInt.asUintN(64, value >> 64n), true);
  }

  /** An i32 or i64 register as a number; exact below 2^53, which every user address is. */
  getNumber(register: Register): number {
    this.#current(register);
    const view = this.#memory.view;
    const at = STATE + register.offset;
    const low = view.getUint32(at, true);
    return register.type === 'i32' ? low : view.getUint32(at + 4, true) * 2 ** 32 + low;
  }

  /** Its low 32 bits, unsigned. */
  getLow(register: Register): number {
    this.#current(register);
    return this.#memory.view.getUint32(STATE + register.offset, true);
  }

  /** The high 32 bits of an i64 register, unsigned. */
  getHigh(register: Register): number {
    this.#current(register);
    return this.#memory.view.getUint32(STATE + register.offset + 4, true);
  }

  setNumber(register: Register, value: number): void {
    this.#current(register);
    const view = this.#memory.view;
    const at = STATE + register.offset;
    view.setUint32(at, value >>> 0, true);
    if (register.type !== 'i32') view.setUint32(at + 4, Math.floor(value / 2 ** 32) >>> 0, true);
  }

  /** What `set` or `setNumber` does. */
  put(register: Register, value: number | bigint): void {
    if (typeof value === 'number') this.setNumber(register, value);
    else this.set(register, value);
  }

  get pc(): number {
    const { i32 } = this.#memory;
    return (i32[this.pcIndex + 1]! >>> 0) * 2 ** 32 + (i32[this.pcIndex]! >>> 0);
  }

  set pc(value: number) {
    const { i32 } = this.#memory;
    i32[this.pcIndex] = value | 0;
    i32[this.pcIndex + 1] = Math.floor(value / 2 ** 32) | 0;
  }

  /** Whether the next instruction stands in a delay slot. */
  get inSlot(): boolean {
    return this.#memory.i32[this.slotIndex] !== 0;
  }

  /**
   * Where an exception or interrupt taken now would resume: the address of the next instruction, or in a delay slot that of
   * the branch before it (MIPS EPC with Cause.BD set, MIPS64 vol. III, 6.1).
   */
  get epc(): number {
    return this.inSlot ? this.pc - 4 : this.pc;
  }

  /** Sends control to `address`, out of any delay slot. */
  jump(address: number): void {
    this.pc = address;
    this.#memory.i32[this.slotIndex] = 0;
  }

  /** Copies the state block, to `into` if that is given. */
  save(into: SavedState = new Uint8Array(this.registers.size)): SavedState {
    this.#settle();
    into.set(this.#block);
    return into;
  }

  load(saved: SavedState): void {
    // Flags that were put off belong to the state that goes.
    this.#settle();
    this.#block.set(saved);
  }
}
