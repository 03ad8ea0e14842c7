// The contract between a system call and the kernel: one row per call, and what its handler is given and may return.

import type { Memory } from '../engine/memory.ts';
import type { Abi } from './abi/abi.ts';
import type { ArgumentBits } from './abi/convert.ts';
import type { ErrnoName, RestartCode } from './abi/errno.ts';
import { CALL_NUMBERS, type CallName } from './abi/numbers.ts';
import type { Kernel } from './kernel.ts';
import type { Task } from './task.ts';

/**
 * How an argument is passed, converted and printed. All reach the handler as numbers.
 * - `int`, `fd`, `signal`: signed 32 bits. `uint`, `flags`, `mode`: unsigned 32 bits; `hex`: the same, printed so.
 * - `long`: signed word; `size`, `ptr` and the pointers with a meaning: unsigned word. Beyond 2^53 they are rounded, and stay
 *   beyond: enough for range checks. `Call.raw` has the exact bits.
 * - `i64`, `u64`: one register on 64-bit ABIs, an aligned pair on o32.
 * - `path`, `string`: pointer to a NUL-terminated string. `buffer-in`: pointer to as many bytes as the next argument says.
 *   `buffer-out`: the same, as many as the call returns. `out`: pointer to something that the call fills in.
 */
export type ArgType =
  | 'int'
  | 'uint'
  | 'long'
  | 'size'
  | 'i64'
  | 'u64'
  | 'fd'
  | 'dirfd'
  | 'signal'
  | 'flags'
  | 'hex'
  | 'mode'
  | 'clock'
  | 'ptr'
  | 'out'
  | 'path'
  | 'string'
  | 'buffer-in'
  | 'buffer-out'
  | 'timespec'
  | 'unused';

/**
 * How far the call goes.
 * - `full`: as Linux, as far as one process can tell. `partial`: the note says what is missing.
 * - `fixed`: answers with a constant that Linux could give. `refused`: always this error, and the note says why.
 */
export type Support = 'full' | 'partial' | 'fixed' | 'refused';

/**
 * Blocks the calling thread: the handler is called again, with `wake` saying why, when a key is woken, the deadline passes or a
 * signal is to be delivered. Spurious wake-ups happen: check the condition again, and wait again (the deadline is in `call.deadline`).
 */
export interface Wait {
  /** What may wake it: names such as `futex:0x4a60` or `pipe:3`. See `Kernel.wake`. */
  readonly keys: readonly string[];
  /** Guest nanoseconds since boot (`clock.now`), or Infinity. */
  readonly deadline: number;
  /** Plain data that the handler wants to see again. */
  readonly saved?: unknown;
}

/** The handler has set the registers itself (rt_sigreturn), or the thread is no more (exit). */
export const REGISTERS_SET = 'REGISTERS_SET';

/** A value (a bigint where it may exceed 2^53), an error by name, a wish to be restarted after a signal, or a wait. */
export type Result = number | bigint | ErrnoName | RestartCode | Wait | typeof REGISTERS_SET;

export const isRestart = (result: Result): result is RestartCode =>
  typeof result === 'string' && result.startsWith('ERESTART') && result !== 'ERESTART';

export const isWait = (result: Result): result is Wait => typeof result === 'object';

/**
 * Why a handler runs: for the first time, or again after a wait. `restart`: it returned ERESTART_RESTARTBLOCK and no handler ran;
 * the call begins again, with the deadline it had.
 */
export type Wake = 'first' | 'woken' | 'timeout' | 'signal' | 'restart';

/** One system call in progress. Handlers keep none of this: after a wait they get a new one. */
export interface Call {
  readonly kernel: Kernel;
  readonly task: Task;
  readonly abi: Abi;
  readonly memory: Memory;
  readonly row: Row;
  /** Converted as `row.args` says, in its order. */
  readonly args: readonly number[];
  readonly raw: ArgumentBits;
  readonly wake: Wake;
  /** What the last wait saved. */
  readonly saved: unknown;
  /** The last wait's deadline; Infinity on the first run. */
  readonly deadline: number;
  /** MIPS: the second result (R3), which only pipe has. */
  second: number | undefined;
}

/**
 * Returns the result, or throws: a GuestFault from any access to the guest's memory becomes EFAULT, a CallError its code. A
 * handler that waits must not have changed anything yet that running it again would change twice.
 */
export type Handler = (call: Call) => Result;

/** One system call: dispatch, strace, the README's table and `safepoint syscalls` all read this. */
export interface Row {
  readonly name: CallName;
  /** [amd64, mips o32, mips n64]; -1 where the ABI lacks the call. */
  readonly numbers: readonly [amd64: number, o32: number, n64: number];
  readonly args: readonly ArgType[];
  /** How strace prints the result. */
  readonly returns: 'int' | 'hex' | 'none';
  readonly support: Support;
  readonly note: string;
  readonly handler: Handler;
}

export interface RowOptions {
  readonly support?: Support;
  readonly note?: string;
  readonly returns?: 'int' | 'hex' | 'none';
}

/** Declares a call. Numbers come from abi/numbers.ts. */
export function row(name: CallName, args: readonly ArgType[], handler: Handler, options: RowOptions = {}): Row {
  return {
    name,
    numbers: CALL_NUMBERS[name],
    args,
    returns: options.returns ?? 'int',
    support: options.support ?? 'full',
    note: options.note ?? '',
    handler,
  };
}

/** Declares a call that always fails; `note` says why. */
export const refused = (name: CallName, args: readonly ArgType[], error: ErrnoName, note: string): Row =>
  row(name, args, () => error, { support: 'refused', note });
