// What differs between the three system call ABIs.

import type { Machine } from '../../engine/machine.ts';
import type { ArgType } from '../call.ts';
import type { ArgumentBits } from './convert.ts';
import type { ErrnoName } from './errno.ts';
import type { SignalFrames } from './frames.ts';
import type { WordSize } from './layout.ts';
import type { SignalAbi } from './signals.ts';

export type AbiName = 'amd64' | 'o32' | 'n64';

/** Arguments as a handler gets them. */
export interface Arguments {
  readonly values: readonly number[];
  readonly raw: ArgumentBits;
}

/** Where a system call has its parts, by the names of registers. */
export interface CallRegisters {
  readonly number: string;
  readonly arguments: readonly string[];
  readonly result: string;
  /** Is 0 where it has not failed; undefined where the result says that. */
  readonly failed: string | undefined;
}

export interface Abi {
  readonly name: AbiName;
  /** Index into `Row.numbers`. */
  readonly column: 0 | 1 | 2;
  readonly word: WordSize;
  readonly bigEndian: boolean;
  /** MIPS numbers for errors, signals, open flags, mmap flags and socket types differ from the generic ones. */
  readonly mips: boolean;
  /** End of user space (TASK_SIZE). */
  readonly taskSize: number;
  /** `uname -m`. */
  readonly machineName: string;
  readonly signals: SignalAbi;
  readonly frames: SignalFrames;
  /** Code that calls rt_sigreturn, which the loader maps (the vDSO's on real kernels); undefined where handlers bring their own. */
  readonly trampoline: Uint8Array | undefined;
  errno(name: ErrnoName): number;
  readonly callRegisters: CallRegisters;
  /** The number in the call register. */
  callNumber(machine: Machine): number;
  /** Reads the arguments of a call; on o32 those after the fourth from the stack. @throws GuestFault */
  arguments(machine: Machine, types: readonly ArgType[]): Arguments;
  /** Stores a result: success, with the second value where given. */
  succeed(machine: Machine, value: number | bigint, second?: number): void;
  fail(machine: Machine, error: ErrnoName): void;
  /** Takes PC back to the system call instruction, whose registers are still as it found them. */
  rewind(machine: Machine): void;
  stackPointer(machine: Machine): number;
  setStackPointer(machine: Machine, value: number): void;
  setThreadPointer(machine: Machine, value: bigint): void;
  /** The state of a new program: everything zero but what the kernel sets. */
  start(machine: Machine, entry: number, sp: number): void;
  /** A memory reservation is broken: what ERET does to LLbit. Nothing on amd64. */
  exceptionReturn(machine: Machine): void;
}
