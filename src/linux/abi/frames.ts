// Signal frames: what an ABI pushes on the stack for a handler, and takes off again in rt_sigreturn.

import { type Register, sizeOf } from '../../../isa/dsl/registers.ts';
import { STATE } from '../../engine/layout.ts';
import type { Machine } from '../../engine/machine.ts';
import type { Memory } from '../../engine/memory.ts';
import type { AltStack, SignalInfo, SignalSet } from '../task.ts';
import { struct, type WordSize } from './layout.ts';
import { SA_ONSTACK } from './signals.ts';

/** What rt_sigaction sets. `handler` 0 is SIG_DFL, 1 SIG_IGN. */
export interface SignalAction {
  readonly handler: number;
  readonly flags: number;
  readonly mask: SignalSet;
  readonly restorer: number;
}

export const SIG_DFL = 0;
export const SIG_IGN = 1;
export const DEFAULT_SIGNAL_ACTION: SignalAction = { handler: SIG_DFL, flags: 0, mask: 0n, restorer: 0 };

export interface Delivery {
  readonly action: SignalAction;
  readonly info: SignalInfo;
  /** The mask that rt_sigreturn restores. */
  readonly mask: SignalSet;
  readonly altStack: AltStack;
  /** Address of the code that calls rt_sigreturn, for ABIs without a restorer. */
  readonly trampoline: number;
}

export interface SignalFrames {
  /** Pushes a frame and goes to the handler. @throws GuestFault when the stack cannot take it. */
  push(machine: Machine, delivery: Delivery): void;
  /** Restores what the frame at the stack pointer holds. @throws GuestFault */
  pop(machine: Machine): { readonly mask: SignalSet; readonly altStack: AltStack };
  /** struct sigaction as rt_sigaction passes it. */
  readAction(memory: Memory, address: number): SignalAction;
  writeAction(memory: Memory, address: number, action: SignalAction): void;
  /** stack_t. */
  readStack(memory: Memory, address: number): AltStack;
  writeStack(memory: Memory, address: number, stack: AltStack): void;
}

export const SS_ONSTACK = 1;
export const SS_DISABLE = 2;
export const SS_AUTODISARM = 0x80000000;
export const SIGINFO_SIZE = 128;

/** Whether a stack pointer is on the alternate stack (on_sig_stack). */
export const onAltStack = (stack: AltStack, sp: number): boolean =>
  stack.size > 0 && (stack.flags & SS_AUTODISARM) === 0 && sp > stack.sp && sp - stack.sp <= stack.size;

/** Where a frame goes: the top of the alternate stack if the handler wants it and we are not on it, else `sp` (sigsp). */
export const frameStack = (delivery: Delivery, sp: number): number => {
  const { altStack, action } = delivery;
  const wanted = (action.flags & SA_ONSTACK) !== 0 && altStack.size > 0 && !onAltStack(altStack, sp);
  return wanted ? altStack.sp + altStack.size : sp;
};

/**
 * A part of a frame beside the guest's memory, as words of 32 bits in its byte order: an access to memory looks up its page, and 64 bits
 * of it are a bigint.
 */
export class FrameImage {
  readonly bytes: Uint8Array;
  /** Of the host's byte order. */
  readonly words: Int32Array;
  readonly #view: DataView;
  readonly #little: boolean;

  /** @param bytes begin at a multiple of four in their buffer */
  constructor(bytes: Uint8Array, bigEndian: boolean) {
    this.bytes = bytes;
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#little = !bigEndian;
  }

  put32(at: number, value: number): void {
    this.#view.setUint32(at, value, this.#little);
  }

  /** 64 bits. */
  putNumber(at: number, value: number): void {
    this.put32(this.#little ? at : at + 4, value >>> 0);
    this.put32(this.#little ? at + 4 : at, Math.floor(value / 2 ** 32) >>> 0);
  }

  get32(at: number): number {
    return this.#view.getUint32(at, this.#little);
  }

  /** 64 bits, exact below 2^53. */
  getNumber(at: number): number {
    return this.get32(this.#little ? at + 4 : at) * 2 ** 32 + this.get32(this.#little ? at : at + 4);
  }
}

const swapBytes = (word: number): number =>
  (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);

/**
 * Which registers, none of them flags, a frame has where. They are copied in one loop over words: signals are too rare for V8 to have
 * optimised what is called by register, a hundred times for each.
 */
export class FramePlaces {
  readonly #bigEndian: boolean;
  /** By word: where it stands in the frame's image, and in the state block. */
  readonly #image: number[] = [];
  readonly #state: number[] = [];

  constructor(bigEndian: boolean) {
    this.#bigEndian = bigEndian;
  }

  /** The low word of a register, or a higher one, at `at`. */
  word(at: number, register: Register, number = 0): this {
    this.#image.push(at >>> 2);
    this.#state.push((STATE + register.offset + 4 * number) >>> 2);
    return this;
  }

  /** A register in a field of eight bytes, zeros above it, or a v128 in one of sixteen. */
  whole(at: number, register: Register): this {
    const words = register.type === 'v128' ? 4 : 2;
    for (let i = 0; 4 * i < sizeOf(register.type); i++)
      this.word(at + 4 * (this.#bigEndian ? words - 1 - i : i), register, i);
    return this;
  }

  /** Registers to image. */
  save(memory: Memory, { words }: FrameImage): void {
    const { i32 } = memory;
    for (let i = 0; i < this.#image.length; i++) {
      const word = i32[this.#state[i]!]!;
      words[this.#image[i]!] = this.#bigEndian ? swapBytes(word) : word;
    }
  }

  /** Image to registers. */
  restore(memory: Memory, { words }: FrameImage): void {
    const { i32 } = memory;
    for (let i = 0; i < this.#image.length; i++) {
      const word = words[this.#image[i]!]!;
      i32[this.#state[i]!] = this.#bigEndian ? swapBytes(word) : word;
    }
  }
}

/** sigset_t is an array of unsigned longs, signal n being bit n-1 of the whole. */
export function readSigset(memory: Memory, word: WordSize, address: number, bytes: number): SignalSet {
  let set = 0n;
  for (let i = 0; i < bytes; i += word) {
    const part = word === 4 ? BigInt(memory.readU32(address + i)) : memory.readU64(address + i);
    set |= part << BigInt(8 * i);
  }
  return set;
}

export function writeSigset(memory: Memory, word: WordSize, address: number, bytes: number, set: SignalSet): void {
  for (let i = 0; i < bytes; i += word) {
    const part = set >> BigInt(8 * i);
    if (word === 4) memory.writeU32(address + i, Number(BigInt.asUintN(32, part)));
    else memory.writeU64(address + i, BigInt.asUintN(64, part));
  }
}

const INFO_KILL = struct({ pid: 'i32', uid: 'u32', value: ['ulong', 1] });
const INFO_TIMER = struct({ id: 'i32', overrun: 'i32', value: ['ulong', 1] });

function writeWord(memory: Memory, word: WordSize, address: number, value: bigint): void {
  if (word === 4) memory.writeU32(address, Number(BigInt.asUintN(32, value)));
  else memory.writeU64(address, BigInt.asUintN(64, value));
}

/** Writes siginfo_t: signo, then errno and code (swapped on MIPS), then the union, aligned to a word. */
export function writeSiginfo(memory: Memory, word: WordSize, mips: boolean, address: number, info: SignalInfo): void {
  memory.write(address, new Uint8Array(SIGINFO_SIZE));
  memory.writeU32(address, info.signal);
  memory.writeU32(address + 4, (mips ? info.code : (info.errno ?? 0)) >>> 0);
  memory.writeU32(address + 8, (mips ? (info.errno ?? 0) : info.code) >>> 0);
  const union = address + (word === 4 ? 12 : 16);
  if (info.address !== undefined) {
    writeWord(memory, word, union, info.address);
  } else if (info.timer !== undefined) {
    INFO_TIMER.set(memory, word, union, info.timer);
    writeWord(memory, word, union + INFO_TIMER.offset(word, 'value'), info.value ?? 0n);
  } else if (info.pid !== undefined) {
    INFO_KILL.set(memory, word, union, { pid: info.pid, uid: info.uid ?? 0 });
    writeWord(memory, word, union + INFO_KILL.offset(word, 'value'), info.value ?? 0n);
  }
}

/** Reads what rt_sigqueueinfo passes. */
export function readSiginfo(memory: Memory, word: WordSize, mips: boolean, address: number): SignalInfo {
  const union = address + (word === 4 ? 12 : 16);
  const kill = INFO_KILL.read(memory, word, union);
  const [a, b] = [memory.readU32(address + 4) | 0, memory.readU32(address + 8) | 0];
  const value = union + INFO_KILL.offset(word, 'value');
  return {
    signal: memory.readU32(address) | 0,
    code: mips ? a : b,
    errno: mips ? b : a,
    pid: kill.pid,
    uid: kill.uid,
    value: word === 4 ? BigInt(memory.readU32(value)) : memory.readU64(value),
  };
}
