// The amd64 ABI: arch/x86/entry/entry_64.S, arch/x86/kernel/signal_64.c, arch/x86/include/uapi/asm/sigcontext.h.

import {
  DF,
  FS_BASE,
  GPR,
  MXCSR,
  MXCSR_RESET,
  packFlags,
  RAX,
  RDI,
  RDX,
  REGISTERS,
  RSI,
  RSP,
  unpackFlags,
  XMM,
} from '../../../isa/amd64/regs.ts';
import type { Machine } from '../../engine/machine.ts';
import type { Memory } from '../../engine/memory.ts';
import type { Abi } from './abi.ts';
import { ArgumentBits } from './convert.ts';
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
import { struct } from './layout.ts';
import { GENERIC_SIGNALS } from './signals.ts';

const SYSCALL_LENGTH = 2;
const ARGUMENTS = [RDI, RSI, RDX, 10, 8, 9] as const;

const SIGACTION = struct({ handler: 'ulong', flags: 'ulong', restorer: 'ptr', mask: 'u64' });
const STACK = struct({ sp: 'ptr', flags: 'i32', size: 'ulong' });

// struct rt_sigframe: the return address, then the ucontext, then the siginfo.
const UCONTEXT = 8;
const UC_STACK = 16;
const MCONTEXT = 40;
const UC_SIGMASK = 296;
const UCONTEXT_SIZE = 304;
const INFO = UCONTEXT + UCONTEXT_SIZE;
const FRAME_SIZE = INFO + SIGINFO_SIZE;
/** UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS: ss is saved and restored. No UC_FP_XSTATE: the FP frame is plain FXSAVE. */
const UC_FLAGS = 6;
/** General registers in the order of struct sigcontext: r8–r15, di, si, bp, bx, dx, ax, cx, sp. */
const SIGCONTEXT_ORDER = [8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 3, 2, 0, 1, 4] as const;
const SC_RIP = 128;
const SC_FLAGS = 136;
const SC_CS = 144;
const SC_FS = 148;
const SC_ERR = 152;
const SC_TRAPNO = 160;
const SC_OLDMASK = 168;
const SC_CR2 = 176;
const SC_FPSTATE = 184;
const SC_SIZE = 256;
/** cs and gs, then fs and ss are 16 bits each: gs and fs are 0. */
const USER_CS = 0x33;
const USER_DS = 0x2b;

// The FXSAVE image (SDM vol. 1, table 10-2).
const FXSAVE_SIZE = 512;
const FX_FCW = 0;
const FX_MXCSR = 24;
const FX_MXCSR_MASK = 28;
const FX_XMM = 160;
const FCW_RESET = 0x37f;
const MXCSR_MASK = 0xffff;

const RED_ZONE = 128;

const XMM_PLACES = new FramePlaces(false);
for (const [i, xmm] of XMM.entries()) XMM_PLACES.whole(FX_XMM + 16 * i, xmm);
/** In a sigcontext. */
const GPR_PLACES = new FramePlaces(false).whole(SC_RIP, REGISTERS.control.pc);
for (const [i, n] of SIGCONTEXT_ORDER.entries()) GPR_PLACES.whole(8 * i, GPR[n]!);

function writeFxsave({ memory, state }: Machine, at: number): void {
  const image = new FrameImage(new Uint8Array(FXSAVE_SIZE), false);
  image.put32(FX_FCW, FCW_RESET);
  image.put32(FX_MXCSR, state.getNumber(MXCSR));
  image.put32(FX_MXCSR_MASK, MXCSR_MASK);
  XMM_PLACES.save(memory, image);
  memory.write(at, image.bytes);
}

/** From what a frame has at `at`; without that, as in a new process. */
function readFxsave({ memory, state }: Machine, at: number): void {
  const image = new FrameImage(at === 0 ? new Uint8Array(FXSAVE_SIZE) : memory.read(at, FXSAVE_SIZE), false);
  state.setNumber(MXCSR, at === 0 ? MXCSR_RESET : image.get32(FX_MXCSR) & MXCSR_MASK);
  XMM_PLACES.restore(memory, image);
}

function push(machine: Machine, delivery: Delivery): void {
  const { memory, state } = machine;
  const word = 8;
  const sp = state.getNumber(GPR[RSP]!);
  const stack = frameStack(delivery, sp);
  const top = stack === sp ? sp - RED_ZONE : stack;
  const fpstate = Math.floor((top - FXSAVE_SIZE) / 64) * 64;
  const frame = Math.floor((fpstate - FRAME_SIZE) / 16) * 16 - 8;
  writeFxsave(machine, fpstate);
  const bytes = new Uint8Array(FRAME_SIZE);
  const head = new FrameImage(bytes, false);
  head.putNumber(0, delivery.action.restorer);
  head.putNumber(UCONTEXT, UC_FLAGS);
  const sc = new FrameImage(bytes.subarray(UCONTEXT + MCONTEXT), false);
  GPR_PLACES.save(memory, sc);
  sc.put32(SC_FLAGS, Number(packFlags((r) => state.get(r))));
  sc.put32(SC_CS, USER_CS);
  sc.put32(SC_FS, USER_DS << 16);
  const fault = delivery.info.trap;
  sc.putNumber(SC_ERR, fault?.error ?? 0);
  sc.putNumber(SC_TRAPNO, fault?.number ?? 0);
  sc.putNumber(SC_FPSTATE, fpstate);
  memory.write(frame, bytes);
  const uc = frame + UCONTEXT;
  STACK.set(memory, word, uc + UC_STACK, delivery.altStack);
  memory.writeU64(uc + MCONTEXT + SC_OLDMASK, BigInt.asUintN(64, delivery.mask));
  if (fault?.number === 14) memory.writeU64(uc + MCONTEXT + SC_CR2, BigInt.asUintN(64, delivery.info.address ?? 0n));
  writeSigset(memory, word, uc + UC_SIGMASK, 8, delivery.mask);
  writeSiginfo(memory, word, false, frame + INFO, delivery.info);
  state.setNumber(GPR[RDI]!, delivery.info.signal);
  state.setNumber(GPR[RSI]!, frame + INFO);
  state.setNumber(GPR[RDX]!, uc);
  state.setNumber(GPR[RAX]!, 0);
  state.setNumber(GPR[RSP]!, frame);
  state.setNumber(DF, 0);
  state.jump(delivery.action.handler);
}

const FRAMES: SignalFrames = {
  push,
  pop(machine) {
    const { memory, state } = machine;
    // The handler's RET took the return address off.
    const uc = state.getNumber(GPR[RSP]!) - 8 + UCONTEXT;
    const mask = readSigset(memory, 8, uc + UC_SIGMASK, 8);
    const altStack = FRAMES.readStack(memory, uc + UC_STACK);
    const sc = new FrameImage(memory.read(uc + MCONTEXT, SC_SIZE), false);
    readFxsave(machine, sc.getNumber(SC_FPSTATE));
    GPR_PLACES.restore(memory, sc);
    unpackFlags(BigInt(sc.get32(SC_FLAGS)), (r, v) => state.set(r, v));
    return { mask, altStack };
  },
  readAction(memory: Memory, address: number) {
    const { handler, flags, restorer, mask } = SIGACTION.read(memory, 8, address);
    return { handler, flags: flags % 2 ** 32, restorer, mask };
  },
  writeAction(memory, address, action) {
    SIGACTION.write(memory, 8, address, action);
  },
  readStack: (memory, address) => {
    const { sp, flags, size } = STACK.read(memory, 8, address);
    return { sp, flags: flags >>> 0, size };
  },
  writeStack: (memory, address, stack) => STACK.write(memory, 8, address, stack),
};

export const AMD64_ABI: Abi = {
  name: 'amd64',
  column: 0,
  word: 8,
  bigEndian: false,
  mips: false,
  // TASK_SIZE_MAX: the last page is left out (Intel's SYSRET erratum).
  taskSize: 2 ** 47 - 4096,
  machineName: 'x86_64',
  signals: GENERIC_SIGNALS,
  frames: FRAMES,
  trampoline: undefined,
  errno: (name) => ERRNO[name][0],
  callRegisters: {
    number: GPR[RAX]!.name,
    arguments: ARGUMENTS.map((i) => GPR[i]!.name),
    result: GPR[RAX]!.name,
    failed: undefined,
  },
  callNumber: ({ state }) => state.getLow(GPR[RAX]!) | 0,
  arguments({ state }, types) {
    const raw = new ArgumentBits();
    for (let i = 0; i < types.length; i++) {
      const register = GPR[ARGUMENTS[i]!]!;
      raw.push(state.getLow(register), state.getHigh(register));
    }
    return { raw, values: raw.values(types, 8) };
  },
  succeed({ state }, value) {
    state.put(GPR[RAX]!, value);
  },
  fail({ state }, error) {
    state.setNumber(GPR[RAX]!, -ERRNO[error][0]);
  },
  rewind({ state }) {
    // RAX still holds the number, and RCX is the address that SYSCALL left there.
    state.pc -= SYSCALL_LENGTH;
  },
  stackPointer: ({ state }) => state.getNumber(GPR[RSP]!),
  setStackPointer({ state }, value) {
    state.setNumber(GPR[RSP]!, value);
  },
  setThreadPointer({ state }, value) {
    state.set(FS_BASE, value);
  },
  start({ state }, entry, sp) {
    for (const register of state.registers.all) state.set(register, 0n);
    state.setNumber(MXCSR, MXCSR_RESET);
    state.setNumber(GPR[RSP]!, sp);
    state.jump(entry);
  },
  exceptionReturn: () => undefined,
};
