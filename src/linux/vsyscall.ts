// The legacy vsyscall page of amd64, emulated on the execute fault as kernels with vsyscall=xonly do
// (arch/x86/entry/vsyscall/vsyscall_64.c). Go 1.14 and 1.15 call gettimeofday there when there is no vDSO.

import { GPR, RAX, RDI, RSI, RSP } from '../../isa/amd64/regs.ts';
import type { Kernel } from './kernel.ts';

const GETTIMEOFDAY = 0xffff_ffff_ff60_0000n;
const TIME = 0xffff_ffff_ff60_0400n;
const GETCPU = 0xffff_ffff_ff60_0800n;

/**
 * Carries out the call if PC stands at one of the three entries, and returns to its caller; it counts as one instruction.
 * @returns false where PC is elsewhere. @throws GuestFault for bad arguments or stack.
 */
export function emulateVsyscall(kernel: Kernel): boolean {
  const { machine, memory } = kernel;
  const { state } = machine;
  const pc = state.get(state.registers.control.pc);
  if (pc !== GETTIMEOFDAY && pc !== TIME && pc !== GETCPU) return false;
  const sp = state.getNumber(GPR[RSP]!);
  const back = memory.readU64(sp);
  const first = state.getNumber(GPR[RDI]!);
  const second = state.getNumber(GPR[RSI]!);
  let result = 0n;
  if (pc === GETTIMEOFDAY) {
    const wall = kernel.clock.wall();
    if (first !== 0) {
      memory.writeU64(first, wall / 1_000_000_000n);
      memory.writeU64(first + 8, (wall % 1_000_000_000n) / 1000n);
    }
    if (second !== 0) memory.writeU64(second, 0n);
  } else if (pc === TIME) {
    result = kernel.clock.wall() / 1_000_000_000n;
    if (first !== 0) memory.writeU64(first, result);
  } else {
    if (first !== 0) memory.writeU32(first, 0);
    if (second !== 0) memory.writeU32(second, 0);
  }
  state.set(GPR[RAX]!, result);
  state.setNumber(GPR[RSP]!, sp + 8);
  state.set(state.registers.control.pc, back);
  machine.instructions += 1;
  return true;
}
