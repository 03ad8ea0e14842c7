// A thread of the guest, as plain data. Nested values are replaced, never changed in place, so a copy of the record is a snapshot of it.

import type { SavedState, State } from '../engine/state.ts';
import type { ArgumentBits } from './abi/convert.ts';
import type { CallName } from './abi/numbers.ts';
import type { Wait } from './call.ts';

/** A set of signals: bit n-1 stands for signal n. */
export type SignalSet = bigint;

/** A signal with what its sender said (siginfo_t). */
export interface SignalInfo {
  readonly signal: number;
  readonly code: number;
  readonly errno?: number;
  /** Sender of kill and the like. */
  readonly pid?: number;
  readonly uid?: number;
  /** Fault address. */
  readonly address?: bigint;
  /** Of a fault: what was wrong, in a few words, for the report if it kills. */
  readonly reason?: string;
  /** amd64: vector and error code of the exception behind it, as sigcontext shows them. */
  readonly trap?: { readonly number: number; readonly error: number };
  /** Of rt_sigqueueinfo and timers. */
  readonly value?: bigint;
  /** POSIX timer. */
  readonly timer?: { readonly id: number; readonly overrun: number };
}

/** A call that waits: enough to run its handler again. */
export interface BlockedCall {
  readonly name: CallName;
  readonly args: readonly number[];
  readonly raw: ArgumentBits;
  readonly wait: Wait;
  /** Order in which waits began: wake-ups are first come, first served. */
  readonly sequence: number;
}

export interface AltStack {
  readonly sp: number;
  readonly size: number;
  readonly flags: number;
}

export interface Task {
  readonly tid: number;
  /** comm, at most 15 bytes. */
  name: string;
  /** Registers while another thread runs, changed in place by `keepRegisters` alone; those of the running one are in machine.state. */
  registers: SavedState;
  /** Whether a copy of the thread has the same, which then must not change. */
  sharesRegisters: boolean;
  /** Set while the thread waits. */
  blocked: BlockedCall | undefined;
  /** Why a waiting thread's handler is to run again; set when something woke it. */
  wake: 'woken' | 'timeout' | 'signal' | undefined;
  /** Blocked signals, and the mask to go back to after a call that replaced it (sigsuspend, ppoll, epoll_pwait). */
  mask: SignalSet;
  maskToRestore: SignalSet | undefined;
  /** Signals sent to this thread and not yet delivered, oldest first. */
  pending: readonly SignalInfo[];
  altStack: AltStack;
  /** Written 0 and woken as a futex when the thread ends (set_tid_address, CLONE_CHILD_CLEARTID). */
  clearChildTid: number;
  robustList: { readonly head: number; readonly length: number };
  /** Instructions executed, for CPU clocks: those up to the last time it was switched out. */
  executed: number;
}

/** The same thread in another process. */
export function copyTask(task: Task): Task {
  task.sharesRegisters = true;
  return { ...task };
}

/** Keeps the registers of a thread that is not going to run, which are in the machine's state. */
export function keepRegisters(task: Task, state: State): void {
  if (!task.sharesRegisters) {
    state.save(task.registers);
    return;
  }
  task.registers = state.save();
  task.sharesRegisters = false;
}
