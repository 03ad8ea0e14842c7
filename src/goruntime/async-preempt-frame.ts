// The frame that runtime.asyncPreempt builds: where each register of the interrupted goroutine was saved.
// Sources: preempt_amd64.s, preempt_mipsx.s, preempt_mips64x.s of Go 1.14 to 1.27.

import type { Arch } from '../arch/arch.ts';
import { isBefore, type Release } from './version.ts';
import { type GuestMemory, naming } from './view.ts';

/** One saved register. Names are those of `isa/`. */
export interface SavedRegister {
  readonly register: string;
  /** Offset from the frame's SP. */
  readonly offset: number;
  readonly size: number;
}

/** Offsets from F, the SP of asyncPreempt once its frame is set up. */
export interface AsyncPreemptFrame {
  /** Bytes between F and SP0, the interrupted SP. */
  readonly size: number;
  readonly saved: readonly SavedRegister[];
  /** Where the resume PC is. */
  readonly resumePC: number;
  /** Where pushCall stored the interrupted link register, on targets that have one. */
  readonly savedLR: number | undefined;
  /** Registers that live code may use and that the frame does not keep: destroyed by design, or kept elsewhere. */
  readonly notSaved: readonly string[];
}

const AMD64_GENERAL = ['RAX', 'RCX', 'RDX', 'RBX', 'RSI', 'RDI', 'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15'];

function amd64Frame(xRegsOnStack: boolean): AsyncPreemptFrame {
  const general = AMD64_GENERAL.length * 8;
  const saved: SavedRegister[] = AMD64_GENERAL.map((register, i) => ({ register, offset: 8 * i, size: 8 }));
  const vectors = Array.from({ length: 16 }, (_, i) => `XMM${i}`);
  if (xRegsOnStack) saved.push(...vectors.map((register, i) => ({ register, offset: general + 16 * i, size: 16 })));
  const above = general + (xRegsOnStack ? 256 : 0);
  saved.push({ register: 'RFLAGS', offset: above, size: 8 }, { register: 'RBP', offset: above + 8, size: 8 });
  return { size: above + 24, saved, resumePC: above + 16, savedLR: undefined, notSaved: xRegsOnStack ? [] : vectors };
}

/** mkpreempt.go: R0, R23 (REGTMP), R26, R27 (kernel), R29 (SP) and R30 (g) are not kept. */
function mipsFrame(arch: Arch): AsyncPreemptFrame {
  const w = arch.pointerSize;
  const saved: SavedRegister[] = [];
  let slot = 1;
  const save = (register: string): void => {
    saved.push({ register, offset: w * slot++, size: w });
  };
  for (let i = 1; i <= 22; i++) save(`R${i}`);
  for (const register of ['R24', 'R25', 'R28', 'HI', 'LO', 'FCR31']) save(register);
  for (let i = 0; i < 32; i++) save(`F${i}`);
  const frame = w * slot;
  return { size: frame + w, saved, resumePC: 0, savedLR: frame, notSaved: ['R23'] };
}

/** The layout on a target and release. */
export function asyncPreemptFrame(arch: Arch, release: Release): AsyncPreemptFrame {
  return arch.family === 'mips' ? mipsFrame(arch) : amd64Frame(isBefore(release, '1.26'));
}

/** The saved value of each register, by name, and what else the frame holds. */
export interface DecodedFrame {
  readonly registers: ReadonlyMap<string, bigint>;
  readonly resumePC: number;
  /** SP of the interrupted code. */
  readonly sp: number;
}

/** Reads a frame whose SP is `frameSP`. Throws GuestReadError if it is not in memory. */
export function decodeAsyncPreemptFrame(
  layout: AsyncPreemptFrame,
  arch: Arch,
  memory: GuestMemory,
  frameSP: number,
): DecodedFrame {
  const what = (): string => `the frame of runtime.asyncPreempt at 0x${frameSP.toString(16)}`;
  return naming(what, 'read', () => decode(layout, arch, memory, frameSP));
}

function decode(layout: AsyncPreemptFrame, arch: Arch, memory: GuestMemory, frameSP: number): DecodedFrame {
  const registers = new Map<string, bigint>();
  for (const { register, offset, size } of layout.saved) {
    const at = frameSP + offset;
    if (size === 4) registers.set(register, BigInt(memory.readU32(at)));
    else if (size === 8) registers.set(register, memory.readU64(at));
    else registers.set(register, memory.readU64(at) | (memory.readU64(at + 8) << 64n));
  }
  const lr = arch.lrRegister;
  if (layout.savedLR !== undefined && lr !== undefined) {
    registers.set(lr, BigInt(memory.readPointer(frameSP + layout.savedLR)));
  }
  return { registers, resumePC: memory.readPointer(frameSP + layout.resumePC), sp: frameSP + layout.size };
}
