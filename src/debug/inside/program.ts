// What the functions of compiled code that take interrupts, and what goes with them, have to know of a program and its kernel.

import type { Isa } from '../../../isa/dsl/isa.ts';
import type { Arch } from '../../arch/arch.ts';
import type { StructOffsets } from '../../goruntime/facts/structs.ts';
import type { CallRegisters } from '../../linux/abi/abi.ts';

export interface InsideNumbers {
  /** Entry of runtime.asyncPreempt, and the stack that a call of it needs. */
  readonly asyncPreempt: number;
  readonly asyncPreemptStack: number;
  /** Whether an interrupt is acknowledged in m.signalPending as well. */
  readonly signalPending: boolean;
  /** The number of that system call. */
  readonly clockGettime: number;
  /** Wall clock at boot, nanoseconds since 1970. */
  readonly epoch: bigint;
}

export interface InsideProgram extends InsideNumbers {
  readonly isa: Isa;
  readonly arch: Arch;
  readonly offsets: StructOffsets;
  /** Where a system call has its parts. */
  readonly callRegisters: CallRegisters;
}
