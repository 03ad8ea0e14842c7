// The MIPS ABIs o32 and n64: arch/mips/kernel/{scall32-o32,scall64-n64}.S, signal.c, arch/mips/include/uapi/asm/{sigcontext,ucontext}.h.

import type { Variant } from '../../../isa/dsl/variant.ts';
import { type MipsRegisters, mipsRegisters } from '../../../isa/mips/regs.ts';
import type { Machine } from '../../engine/machine.ts';
import type { Memory } from '../../engine/memory.ts';
import type { Abi } from './abi.ts';
import { ArgumentBits, isPair } from './convert.ts';
import { ERRNO } from './errno.ts';
import {
  type Delivery,
  FrameImage,
  FramePlaces,
  frameStack,
  readSigset,
  SIGINFO_SIZE,
  type SignalFrames,
  writeSiginfo,
  writeSigset,
} from './frames.ts';
import { struct, type WordSize } from './layout.ts';
import { MIPS_SIGNALS } from './signals.ts';

const SIGACTION = struct({ flags: 'u32', handler: 'ulong', mask: ['u8', 16] });
const STACK = struct({ sp: 'ptr', size: 'ulong', flags: 'i32' });
const SET_SIZE = 16;

/** struct rt_sigframe: four argument words and two of padding, siginfo, ucontext. */
const INFO = 24;
const UCONTEXT = INFO + SIGINFO_SIZE;
/** Room that the FPU emulator may be using below the stack pointer (get_sigframe). */
const FPU_TRAMPOLINE = 32;
/** sc_used_math bits. */
const USED_FP = 1;
const USED_FR1 = 2;

/** Offsets from the ucontext. */
interface UcontextLayout {
  readonly size: number;
  readonly stack: number;
  readonly pc: number;
  readonly regs: number;
  readonly fpregs: number;
  readonly hi: number;
  readonly lo: number;
  readonly fcr31: number;
  readonly usedMath: number;
  readonly mask: number;
  readonly frameAlign: number;
}

const UCONTEXT_LAYOUTS: { readonly 4: UcontextLayout; readonly 8: UcontextLayout } = {
  4: {
    size: 632,
    stack: 8,
    pc: 32,
    regs: 40,
    fpregs: 296,
    hi: 576,
    lo: 584,
    fcr31: 556,
    usedMath: 564,
    mask: 616,
    frameAlign: 8,
  },
  8: {
    size: 656,
    stack: 16,
    pc: 616,
    regs: 40,
    fpregs: 296,
    hi: 552,
    lo: 584,
    fcr31: 624,
    usedMath: 628,
    mask: 640,
    frameAlign: 16,
  },
};

/** Bits that FCSR has on a 24K or 5KE; the others read as zero. Cause bits are cleared, or a return would trap at once. */
const FCSR_WRITABLE = 0xff83_ffff & ~0x0003_f000;

const V0 = 2;
const A0 = 4;
const A3 = 7;
const T9 = 25;
const SP = 29;
const RA = 31;

const SYSCALL_INSTRUCTION = 0x0000_000c;
const ADDIU_V0_ZERO = 0x2402_0000;

function framesOf(word: WordSize, r: MipsRegisters, bigEndian: boolean): SignalFrames {
  const at = UCONTEXT_LAYOUTS[word];
  const places = new FramePlaces(bigEndian).whole(at.hi, r.hi).whole(at.lo, r.lo);
  for (let i = 1; i < 32; i++) places.whole(at.regs + 8 * i, r.gpr[i]!);
  const fpPlaces = new FramePlaces(bigEndian);
  for (let i = 0; i < 32; i++) {
    // Where Status.FR is 0 an even register has the low half of a double, and the next one the high half.
    if (word === 8) fpPlaces.whole(at.fpregs + 8 * i, r.fpr[i]!);
    else fpPlaces.word(at.fpregs + 8 * (i & ~1) + 4 * (bigEndian ? 1 - (i & 1) : i & 1), r.fpr[i]!);
  }
  const readStack = (memory: Memory, address: number) => {
    const { sp, size, flags } = STACK.read(memory, word, address);
    return { sp, size, flags: flags >>> 0 };
  };

  const push = (machine: Machine, delivery: Delivery): void => {
    const { memory, state } = machine;
    const sp = state.getNumber(r.gpr[SP]!);
    const top = frameStack(delivery, sp - FPU_TRAMPOLINE);
    const frame = Math.floor((top - UCONTEXT - at.size) / at.frameAlign) * at.frameAlign;
    const bytes = new Uint8Array(UCONTEXT + at.size);
    const image = new FrameImage(bytes.subarray(UCONTEXT), memory.bigEndian);
    image.putNumber(at.pc, state.epc);
    places.save(memory, image);
    fpPlaces.save(memory, image);
    image.put32(at.fcr31, state.getNumber(r.fcr31));
    image.put32(at.usedMath, word === 8 ? USED_FP | USED_FR1 : USED_FP);
    memory.write(frame, bytes);
    writeSiginfo(memory, word, true, frame + INFO, delivery.info);
    const uc = frame + UCONTEXT;
    STACK.set(memory, word, uc + at.stack, delivery.altStack);
    writeSigset(memory, word, uc + at.mask, SET_SIZE, delivery.mask);
    state.setNumber(r.gpr[A0]!, delivery.info.signal);
    state.setNumber(r.gpr[A0 + 1]!, frame + INFO);
    state.setNumber(r.gpr[A0 + 2]!, uc);
    state.setNumber(r.gpr[SP]!, frame);
    state.setNumber(r.gpr[RA]!, delivery.trampoline);
    state.setNumber(r.gpr[T9]!, delivery.action.handler);
    state.jump(delivery.action.handler);
  };

  return {
    push,
    pop(machine) {
      const { memory, state } = machine;
      const uc = state.getNumber(r.gpr[SP]!) + UCONTEXT;
      const mask = readSigset(memory, word, uc + at.mask, SET_SIZE);
      const altStack = readStack(memory, uc + at.stack);
      const image = new FrameImage(memory.read(uc, at.size), memory.bigEndian);
      places.restore(memory, image);
      if (image.get32(at.usedMath) !== 0) {
        fpPlaces.restore(memory, image);
        state.setNumber(r.fcr31, image.get32(at.fcr31) & FCSR_WRITABLE);
      }
      const pc = image.getNumber(at.pc);
      state.jump(word === 4 ? pc % 2 ** 32 : pc);
      return { mask, altStack };
    },
    readAction(memory, address) {
      const { flags, handler } = SIGACTION.read(memory, word, address);
      const mask = readSigset(memory, word, address + SIGACTION.offset(word, 'mask'), SET_SIZE);
      return { handler, flags, mask, restorer: 0 };
    },
    writeAction(memory, address, action) {
      SIGACTION.write(memory, word, address, action);
      writeSigset(memory, word, address + SIGACTION.offset(word, 'mask'), SET_SIZE, action.mask);
    },
    readStack,
    writeStack: (memory, address, stack) => STACK.write(memory, word, address, stack),
  };
}

/** The code that a handler returns to: li v0, rt_sigreturn; syscall. */
function trampolineOf(number: number, bigEndian: boolean): Uint8Array {
  const code = new Uint8Array(8);
  const view = new DataView(code.buffer);
  view.setUint32(0, ADDIU_V0_ZERO | number, !bigEndian);
  view.setUint32(4, SYSCALL_INSTRUCTION, !bigEndian);
  return code;
}

/** The ABI of a MIPS target: o32 for 32 bits, n64 for 64. */
export function mipsAbi(variant: Variant): Abi {
  const word: WordSize = variant.width === 64 ? 8 : 4;
  const r = mipsRegisters(variant);

  /** Argument word `slot` of an o32 call: four in registers, the others in the caller's frame. */
  const o32Word = ({ state, memory }: Machine, slot: number): number =>
    slot < 4 ? state.getLow(r.gpr[A0 + slot]!) : memory.readU32(state.getNumber(r.gpr[SP]!) + 4 * slot);

  return {
    name: word === 4 ? 'o32' : 'n64',
    column: word === 4 ? 1 : 2,
    word,
    bigEndian: variant.bigEndian,
    mips: true,
    taskSize: word === 4 ? 0x7fff_8000 : 2 ** 40,
    machineName: word === 4 ? 'mips' : 'mips64',
    signals: MIPS_SIGNALS,
    frames: framesOf(word, r, variant.bigEndian),
    trampoline: trampolineOf(word === 4 ? 4193 : 5211, variant.bigEndian),
    errno: (name) => ERRNO[name][1],
    callRegisters: {
      number: r.gpr[V0]!.name,
      arguments: [A0, A0 + 1, A0 + 2, A3].map((i) => r.gpr[i]!.name),
      result: r.gpr[V0]!.name,
      failed: r.gpr[A3]!.name,
    },
    callNumber: ({ state }) => state.getLow(r.gpr[V0]!) | 0,
    arguments(machine, types) {
      const raw = new ArgumentBits();
      let slot = 0;
      for (const type of types) {
        if (word === 8) {
          const register = r.gpr[A0 + slot++]!;
          raw.push(machine.state.getLow(register), machine.state.getHigh(register));
        } else if (isPair(type)) {
          slot = (slot + 1) & ~1;
          const first = o32Word(machine, slot);
          const second = o32Word(machine, slot + 1);
          slot += 2;
          raw.push(variant.bigEndian ? second : first, variant.bigEndian ? first : second);
        } else raw.push(o32Word(machine, slot++), 0);
      }
      return { raw, values: raw.values(types, word) };
    },
    succeed({ state }, value, second) {
      state.put(r.gpr[V0]!, value);
      state.setNumber(r.gpr[A3]!, 0);
      if (second !== undefined) state.setNumber(r.gpr[V0 + 1]!, second);
    },
    fail({ state }, error) {
      state.setNumber(r.gpr[V0]!, ERRNO[error][1]);
      state.setNumber(r.gpr[A3]!, 1);
    },
    rewind({ state }) {
      // R2 and R7 are as the call found them: results are stored only when it ends.
      state.jump(state.pc - 4);
    },
    stackPointer: (machine) => machine.state.getNumber(r.gpr[SP]!),
    setStackPointer({ state }, value) {
      state.setNumber(r.gpr[SP]!, value);
    },
    setThreadPointer({ state }, value) {
      state.set(r.userLocal, value);
    },
    start({ state }, entry, sp) {
      for (const register of state.registers.all) state.set(register, 0n);
      state.setNumber(r.gpr[SP]!, sp);
      // As the kernel's ELF_PLAT_INIT and start_thread leave it; position-independent entry code may use t9.
      state.setNumber(r.gpr[T9]!, entry);
      state.jump(entry);
    },
    exceptionReturn({ state }) {
      state.setNumber(r.llBit, 0);
    },
  };
}
