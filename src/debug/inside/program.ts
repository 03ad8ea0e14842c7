// What the functions of compiled code that take interrupts, and what goes with them, have to know of a program and its kernel.

import type { Isa } from '../../../isa/dsl/isa.ts';
import type { Arch } from '../../arch/arch.ts';
import type { StructOffsets } from '../../goruntime/facts/structs.ts';
import type { CallRegisters } from '../../linux/abi/abi.ts';

export interface InsideProgram {
  readonly isa: Isa;
  readonly arch: Arch;
  readonly offsets: StructOffsets;
  /** Entry of runtime.asyncPreempt, and the stack that a call of it needs. */
  readonly asyncPreempt: number;
  readonly asyncPreemptStack: number;
  /** Whether an interrupt is acknowledged in m.signalPending as well. */
  readonly signalPending: boolean;
  /** Of system calls: where their parts are, and the number of clock_gettime. */
  readonly callRegisters: CallRegisters;
  readonly clockGettime: number;
  /** Wall clock at boot, nanoseconds since 1970. */
  readonly epoch: bigint;
}
