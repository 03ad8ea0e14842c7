// From a processor's exception to the signal that Linux makes of it, with its code and address.
// arch/x86/kernel/traps.c and mm/fault.c; arch/mips/kernel/{traps,unaligned}.c and mm/fault.c.

import type { TrapKind } from '../../isa/dsl/effects.ts';
import type { GuestFault } from '../engine/memory.ts';
import type { SignalName } from './abi/signals.ts';
import type { Kernel } from './kernel.ts';
import { FPE_INTDIV, FPE_INTOVF, ILL_ILLOPN, SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, TRAP_BRKPT } from './signal.ts';
import type { SignalInfo, Task } from './task.ts';

/** BREAK and TRAP codes with a meaning (arch/mips/include/uapi/asm/break.h). */
const BRK_OVERFLOW = 6;
const BRK_DIVZERO = 7;

/** Vectors of amd64, as sigcontext shows them. */
const VECTORS = { divide: 0, breakpoint: 3, illegal: 6, privileged: 13, page: 14 } as const;

/** Where MIPS user programs' addresses end as far as the processor is concerned: beyond, an address error and no TLB miss. */
const MIPS_USER_END = { 4: 2 ** 31, 8: 2 ** 40 } as const;
/** The upper half of amd64 is canonical, if not the user's. */
const AMD64_KERNEL_HALF = 2 ** 64 - 2 ** 47;

const hex = (address: number | bigint): string => `0x${address.toString(16)}`;

/** Sends the signal of a trap to the thread that executed it. */
export function raiseTrap(kernel: Kernel, task: Task, trap: { readonly kind: TrapKind; readonly code: number }): void {
  const { state } = kernel.machine;
  const pc = BigInt(state.epc);
  const send = (name: SignalName, reason: string, code: number, rest: Partial<SignalInfo> = {}): void =>
    kernel.signals.force(task, { signal: kernel.abi.signals.number(name), code, ...rest }, reason);

  if (!kernel.abi.mips) {
    const number = trap.kind in VECTORS ? VECTORS[trap.kind as keyof typeof VECTORS] : 0;
    const vector = { trap: { number, error: 0 } };
    switch (trap.kind) {
      case 'divide':
        return send('SIGFPE', 'FPE_INTDIV: integer division by zero or overflow', FPE_INTDIV, {
          address: pc,
          ...vector,
        });
      case 'breakpoint':
        // INT3 is a trap in the manual's sense: RIP is past it.
        state.pc += 1;
        return send('SIGTRAP', 'SI_KERNEL: INT3', SI_KERNEL, vector);
      case 'privileged':
        return send('SIGSEGV', 'SI_KERNEL: general protection', SI_KERNEL, { address: 0n, ...vector });
      default:
        return send('SIGILL', `ILL_ILLOPN: ${bytesAt(kernel, state.pc)} is no instruction`, ILL_ILLOPN, {
          address: pc,
          ...vector,
        });
    }
  }
  switch (trap.kind) {
    case 'overflow':
      return send('SIGFPE', 'FPE_INTOVF: integer overflow', FPE_INTOVF, { address: pc });
    case 'breakpoint':
    case 'trap': {
      const code = trap.kind === 'breakpoint' ? breakCode(trap.code) : trap.code;
      if (code === BRK_DIVZERO)
        return send('SIGFPE', 'FPE_INTDIV: integer division by zero', FPE_INTDIV, { address: pc });
      if (code === BRK_OVERFLOW) return send('SIGFPE', 'FPE_INTOVF: integer overflow', FPE_INTOVF, { address: pc });
      return trap.kind === 'breakpoint'
        ? send('SIGTRAP', `TRAP_BRKPT: break ${trap.code}`, TRAP_BRKPT, { address: pc })
        : send('SIGTRAP', `SI_KERNEL: trap ${trap.code}`, SI_KERNEL);
    }
    case 'privileged':
      return send('SIGILL', 'SI_KERNEL: coprocessor unusable', SI_KERNEL);
    default:
      return send('SIGILL', `SI_KERNEL: ${bytesAt(kernel, state.pc)} is no instruction`, SI_KERNEL);
  }
}

/** Assemblers put the code of BREAK in the upper ten bits of its field, some in the lower (do_bp). */
const breakCode = (code: number): number => (code >= 1 << 10 ? ((code & 0x3ff) << 10) | (code >>> 10) : code);

/** The bytes at an address in hexadecimal, as far as they can be read. */
function bytesAt(kernel: Kernel, pc: number): string {
  try {
    return Buffer.from(kernel.memory.read(pc, kernel.machine.isa.quantum === 4 ? 4 : 8)).toString('hex');
  } catch {
    return hex(pc);
  }
}

/** Sends the signal of a memory fault. Unaligned accesses that Linux repairs do not come here. */
export function raiseFault(kernel: Kernel, task: Task, fault: GuestFault): void {
  const { abi } = kernel;
  const what = fault.access === 'execute' ? 'a jump to' : `a ${fault.access} of`;
  const send = (name: SignalName, code: number, reason: string, rest: Partial<SignalInfo>): void =>
    kernel.signals.force(task, { signal: abi.signals.number(name), code, ...rest }, reason);

  if (fault.reason === 'alignment' || (fault.reason === 'range' && beyond(kernel, fault.address))) {
    const reason = fault.reason === 'alignment' ? 'not aligned' : 'beyond user space';
    if (abi.mips) return send('SIGBUS', SI_KERNEL, `SI_KERNEL: ${what} ${hex(fault.address)}, ${reason}`, {});
    // #GP has no address (traps.c, exc_general_protection).
    const trap = { number: VECTORS.privileged, error: 0 };
    return send('SIGSEGV', SI_KERNEL, `SI_KERNEL: ${what} ${hex(fault.address)}, ${reason}`, { address: 0n, trap });
  }
  const present = fault.reason === 'protection';
  // Page-fault error code: present, write, user, instruction fetch (SDM vol. 3, 4.7).
  const error = (present ? 1 : 0) | (fault.access === 'write' ? 2 : 0) | 4 | (fault.access === 'execute' ? 16 : 0);
  const reason = present
    ? `SEGV_ACCERR: ${what} ${hex(fault.address)}, which its mapping forbids`
    : `SEGV_MAPERR: ${what} ${hex(fault.address)}, where nothing is mapped`;
  send('SIGSEGV', present ? SEGV_ACCERR : SEGV_MAPERR, reason, {
    address: BigInt(fault.address),
    ...(abi.mips ? {} : { trap: { number: VECTORS.page, error } }),
  });
}

/** Whether the processor itself refuses an address, before any page table is asked. */
function beyond(kernel: Kernel, address: number): boolean {
  return kernel.abi.mips
    ? address >= MIPS_USER_END[kernel.abi.word]
    : address >= 2 ** 47 && address < AMD64_KERNEL_HALF;
}
