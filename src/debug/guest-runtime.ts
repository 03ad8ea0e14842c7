// Calls of the program's own runtime functions, made on threads that wait where such a call is harmless.

import type { Register } from '../../isa/dsl/registers.ts';
import { Unwinder } from '../goruntime/unwind.ts';
import { GuestReadError, getg } from '../goruntime/view.ts';
import { QUANTUM } from '../linux/sched.ts';
import { type BlockedCall, keepRegisters, type Task } from '../linux/task.ts';
import type { Go } from './go.ts';
import { ABI_INTERNAL_AMD64 } from './guest-call.ts';
import type { Session, SessionEnd } from './session.ts';

/** The program's runtime cannot be called, or did not return. One line. */
export class GuestCallError extends Error {
  override readonly name = 'GuestCallError';
}

/** Bytes left alone below the stack pointer of the thread that is borrowed. */
const RED_ZONE = 256;
/** Bytes set aside for arguments, results and what `scratch` is for. */
const CALL_AREA = 256;
/** Words of the call area that belong to arguments and results. */
const ARGUMENT_WORDS = 16;
/** A runtime function that does its work returns long before; what does not is stuck. */
const CALL_LIMIT = 2_000_000;
/** Where a thread without a P sleeps holding nothing: the monitor between its rounds, and an M that found no work. */
const SLEEPERS: readonly string[] = ['runtime.sysmon', 'runtime.stopm'];

/** An argument: a pointer-sized word, or an int32, which takes the first four bytes of its slot in either byte order. */
export type Argument = number | { readonly int32: number };

/** What a call is made with, and what it leaves. */
export interface CallRegisters {
  /** Stack pointer at the function's entry. */
  readonly sp: number;
  /** Memory for the call's use: CALL_AREA less the arguments. */
  readonly scratch: number;
}

/** Sets up and reads calls by Go's conventions, stack slots and registers both, so that either ABI finds its arguments. */
export class CallFrame {
  readonly #session: Session;
  readonly #go: Go;
  readonly #sp: Register;
  readonly #g: Register;

  constructor(session: Session, go: Go) {
    this.#session = session;
    this.#go = go;
    const { state } = session.machine;
    this.#sp = state.register(session.arch.spRegister);
    this.#g = state.register(session.arch.gRegister);
  }

  /** Where a call returns to: nothing else ever executes there. */
  get sentinel(): number {
    const addr = this.#go.program.addressOf('runtime.abort');
    if (addr === undefined) throw new GuestCallError('the program has no runtime.abort');
    return addr;
  }

  /** Puts a call of `target` below `stack` into the registers of the machine. `g` becomes the current goroutine. */
  begin(target: number, g: number, stack: number, args: (scratch: number) => readonly Argument[]): CallRegisters {
    const { arch, machine } = this.#session;
    const { memory } = this.#go;
    const { state } = machine;
    const w = arch.pointerSize;
    const scratch = Math.floor((stack - RED_ZONE - CALL_AREA) / 16) * 16 + ARGUMENT_WORDS * w;
    let sp = scratch - ARGUMENT_WORDS * w;
    const values = args(scratch);
    for (const [i, value] of values.entries()) {
      const at = sp + arch.minFrameSize + i * w;
      if (typeof value === 'number') memory.writePointer(at, value);
      else memory.writeU32(at, value.int32 >>> 0);
    }
    if (arch.linkRegister) state.setNumber(state.register(arch.lrRegister!), this.sentinel);
    else {
      sp -= w;
      memory.writePointer(sp, this.sentinel);
      for (const [i, value] of values.entries()) {
        const name = ABI_INTERNAL_AMD64[i];
        const bits = typeof value === 'number' ? value : value.int32 >>> 0;
        if (name !== undefined) state.set(state.register(name), BigInt(bits));
      }
      state.set(state.register('XMM15'), 0n);
    }
    state.setNumber(this.#sp, sp);
    state.setNumber(this.#g, g);
    state.jump(target);
    return { sp, scratch };
  }

  /** Whether the machine stands where the call that began with these registers has returned. */
  returned(call: CallRegisters): boolean {
    const { machine, arch } = this.#session;
    const popped = arch.linkRegister ? 0 : arch.pointerSize;
    return machine.state.pc === this.sentinel && machine.state.getNumber(this.#sp) === call.sp + popped;
  }
}

/** A thread that can be borrowed: it waits on its g0, has no P and holds no lock. */
interface Sleeper {
  readonly task: Task;
  readonly g0: number;
  readonly sp: number;
}

/**
 * Calls functions of the scheduler that need no P on a thread that sleeps: its registers and its wait are put back afterwards, as if
 * a signal handler had made the call. The wait is then looked at again, which is what a spurious wake-up does on Linux.
 */
export class SleepingThread {
  readonly #session: Session;
  readonly #go: Go;
  readonly #frame: CallFrame;
  readonly #unwinder: Unwinder;

  constructor(session: Session, go: Go) {
    this.#session = session;
    this.#go = go;
    this.#frame = new CallFrame(session, go);
    this.#unwinder = new Unwinder(go.program, go.memory);
  }

  /** Whether a thread can be borrowed now. */
  get available(): boolean {
    return this.#find() !== undefined;
  }

  #find(): Sleeper | undefined {
    const { kernel } = this.#session.process;
    const threads = this.#session.threads();
    const found: { sleeper: Sleeper; rank: number }[] = [];
    for (const [i, task] of kernel.tasks.entries()) {
      const thread = threads[i];
      if (thread === undefined || task.blocked === undefined || task.wake !== undefined || task.pending.length > 0)
        continue;
      try {
        const g = getg(this.#session.arch, this.#go.memory, thread);
        const { runtime } = this.#go.preemption;
        const mp = g === 0 ? 0 : runtime.m(g);
        if (mp === 0 || runtime.g0(mp) !== g || runtime.p(mp) !== 0) continue;
        if (runtime.locks(mp) !== 0 || runtime.mallocing(mp) !== 0 || runtime.curg(mp) !== 0) continue;
        const { frames } = this.#unwinder.walk({ pc: thread.pc, sp: thread.sp, lr: thread.lr }, { limit: 16 });
        const names = new Set(frames.map((f) => f.func.name));
        const rank = SLEEPERS.findIndex((name) => names.has(name));
        if (rank >= 0) found.push({ sleeper: { task, g0: g, sp: thread.sp }, rank });
      } catch (error) {
        if (!(error instanceof GuestReadError)) throw error;
      }
    }
    return found.sort((a, b) => a.rank - b.rank)[0]?.sleeper;
  }

  /**
   * Calls a function and lets the program run until it returns.
   * @param args its arguments, given an address of memory that they may point to
   * @throws GuestCallError if there is no thread to borrow, no such function, or it does not return
   */
  call(name: string, args: (scratch: number) => readonly Argument[]): void {
    const { process, machine } = this.#session;
    const { kernel } = process;
    const target = this.#go.program.addressOf(name);
    if (target === undefined) throw new GuestCallError(`the program has no ${name}`);
    const sleeper = this.#find();
    if (sleeper === undefined)
      throw new GuestCallError('no thread of the runtime sleeps where it could be borrowed; go on and try again');
    const { task } = sleeper;
    const { tid } = task;
    const blocked: BlockedCall = task.blocked!;
    const registers = task.registers.slice();

    const running = this.#switchTo(task);
    const frame = this.#frame;
    const call = frame.begin(target, sleeper.g0, sleeper.sp, args);
    const before = machine.breakpoints;
    machine.breakpoints = new Set([frame.sentinel]);
    try {
      const outcome = process.run({
        until: machine.instructions + CALL_LIMIT,
        onBreakpoint: (_, at) => !(at.tid === tid && frame.returned(call)),
      });
      if (outcome.kind !== 'breakpoint') {
        throw new GuestCallError(`${name}, called on thread ${tid}, did not return (${outcome.kind})`);
      }
    } finally {
      machine.breakpoints = before;
    }
    const current = kernel.current!;
    current.registers = registers;
    current.sharesRegisters = false;
    current.executed = kernel.executed(current);
    current.blocked = blocked;
    // Whoever woke it meanwhile found it awake: its wait has to look at its condition again.
    current.wake = 'woken';
    kernel.current = undefined;
    kernel.sched.ready(tid);
    machine.state.load(registers);
    this.#switchBack(running);
  }

  /** Goes on with the thread that ran before, if it still can. */
  #switchBack(tid: number | undefined): void {
    const { process, machine } = this.#session;
    const { kernel } = process;
    const task = tid === undefined ? undefined : kernel.task(tid);
    if (task === undefined || task.blocked !== undefined) return;
    kernel.sched.remove(task.tid);
    machine.state.load(task.registers);
    kernel.current = task;
    kernel.sched.switchedIn = machine.instructions;
    kernel.sched.quantumEnd = machine.instructions + QUANTUM;
    kernel.abi.exceptionReturn(machine);
  }

  /** Makes a waiting thread the one that runs. @returns the one that did */
  #switchTo(task: Task): number | undefined {
    const { process, machine } = this.#session;
    const { kernel } = process;
    const running = kernel.current;
    if (running !== undefined) {
      keepRegisters(running, machine.state);
      running.executed = kernel.executed(running);
      kernel.sched.ready(running.tid);
    }
    task.blocked = undefined;
    machine.state.load(task.registers);
    kernel.current = task;
    kernel.sched.switchedIn = machine.instructions;
    kernel.sched.quantumEnd = machine.instructions + CALL_LIMIT;
    kernel.abi.exceptionReturn(machine);
    return running?.tid;
  }
}

/** How a program ended, as an error says it. */
export function endText(end: SessionEnd): string {
  switch (end.kind) {
    case 'exit':
      return `it exited with status ${end.status}`;
    case 'signal':
      return `it was killed by ${end.name}`;
    case 'deadlock':
      return `every thread waits for ever: ${end.reason}`;
    case 'limit':
      return `it was stopped after ${end.instructions} instructions`;
  }
}
