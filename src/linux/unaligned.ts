// What Linux/MIPS does for a user program's unaligned load or store: the access, byte by byte (arch/mips/kernel/unaligned.c).

import { mipsRegisters } from '../../isa/mips/regs.ts';
import type { Machine } from '../engine/machine.ts';

/** Bytes, direction and destination of the instructions that are repaired, by major opcode. */
const ACCESSES: Readonly<
  Record<number, { readonly size: 2 | 4 | 8; readonly store?: true; readonly signed?: true; readonly fpu?: true }>
> = {
  33: { size: 2, signed: true }, // lh
  35: { size: 4, signed: true }, // lw
  37: { size: 2 }, // lhu
  39: { size: 4 }, // lwu
  41: { size: 2, store: true }, // sh
  43: { size: 4, store: true }, // sw
  49: { size: 4, fpu: true }, // lwc1
  53: { size: 8, fpu: true }, // ldc1
  55: { size: 8, signed: true }, // ld
  57: { size: 4, store: true, fpu: true }, // swc1
  61: { size: 8, store: true, fpu: true }, // sdc1
  63: { size: 8, store: true }, // sd
};

/**
 * Repairs the access at PC, in a delay slot too, and goes past it; it counts as one instruction.
 * @returns false where Linux does not repair: LL, SC and what is no load or store.
 * @throws GuestFault when the memory itself is at fault.
 */
export function repairUnaligned(machine: Machine): boolean {
  const { memory, state, isa } = machine;
  const r = mipsRegisters(isa.variant);
  const word = memory.readU32(state.pc);
  const access = ACCESSES[word >>> 26];
  if (access === undefined) return false;
  const wide = isa.variant.width === 64;
  if (access.size === 8 && !wide && access.fpu === undefined) return false;
  const base = (word >>> 21) & 31;
  const rt = (word >>> 16) & 31;
  const bits = isa.variant.width;
  const sum = (base === 0 ? 0n : state.get(r.gpr[base]!)) + BigInt((word << 16) >> 16);
  const address = Number(BigInt.asUintN(bits, sum));
  // With 32-bit registers a double stands in an even-odd pair (Status.FR = 0).
  const pair = access.fpu === true && access.size === 8 && !wide;
  const size = BigInt(access.size * 8);

  if (access.store === true) {
    const file = access.fpu === true ? r.fpr : r.gpr;
    let value = access.fpu === undefined && rt === 0 ? 0n : state.get(file[rt]!);
    if (pair) value |= state.get(file[rt | 1]!) << 32n;
    const bytes = new Uint8Array(access.size);
    for (let i = 0; i < access.size; i++) {
      const shift = BigInt(8 * (memory.bigEndian ? access.size - 1 - i : i));
      bytes[i] = Number((value >> shift) & 0xffn);
    }
    // Both pages must take it before either changes.
    memory.translate(address + access.size - 1, 'write');
    memory.write(address, bytes);
  } else {
    let value = 0n;
    const bytes = memory.read(address, access.size);
    for (let i = 0; i < access.size; i++)
      value = (value << 8n) | BigInt(bytes[memory.bigEndian ? i : access.size - 1 - i]!);
    if (access.fpu === true) {
      if (pair) {
        state.set(r.fpr[rt & 30]!, value);
        state.set(r.fpr[rt | 1]!, value >> 32n);
      } else if (access.size === 4 && wide) {
        // Only the lower half is loaded.
        state.set(r.fpr[rt]!, (state.get(r.fpr[rt]!) & ~0xffff_ffffn) | value);
      } else state.set(r.fpr[rt]!, value);
    } else if (rt !== 0) {
      state.set(r.gpr[rt]!, access.signed === true ? BigInt.asIntN(Number(size), value) : value);
    }
  }
  const { pending } = state.registers.control;
  state.jump(state.inSlot ? state.getNumber(pending) : state.pc + 4);
  machine.instructions += 1;
  return true;
}
