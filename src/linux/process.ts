// A program under the kernel: load it, run it, and say how it ended. The one event loop is here.

import { CALL_CLOCK, CALL_UNTIL, CALLS_TAKEN } from '../engine/layout.ts';
import type { Along, Machine, Stop } from '../engine/machine.ts';
import { GuestFault, OutOfMemory } from '../engine/memory.ts';
import type { ArgumentBits } from './abi/convert.ts';
import { CallError } from './abi/errno.ts';
import { abiFor } from './abi/index.ts';
import type { CallName } from './abi/numbers.ts';
import { type Call, isRestart, isWait, REGISTERS_SET, type Result, type Row, type Wait, type Wake } from './call.ts';
import { type CallTable, callTable } from './calls/index.ts';
import { raiseFault, raiseTrap } from './faults.ts';
import type { HostTimes } from './host-time.ts';
import { type Exit, Kernel, type KernelOptions, type KernelSnapshot } from './kernel.ts';
import { type LoadOptions, load } from './loader.ts';
import { formatCall, formatResult } from './strace.ts';
import { type BlockedCall, keepRegisters, type Task } from './task.ts';
import { repairUnaligned } from './unaligned.ts';
import { Vfs } from './vfs/vfs.ts';
import { emulateVsyscall } from './vsyscall.ts';

/** Something that interrupts the running thread at exact instruction counts: the timer of the preemption under test. */
export interface InterruptSource {
  /** The first instruction count, not before `now`, at which it fires; Infinity for never. After firing at n it is asked for n + 1. */
  next(now: number): number;
  /**
   * The thread has executed so many instructions and is about to execute the next one, perhaps in a delay slot. May look at and
   * change `kernel.machine.state`, and send signals.
   */
  fire(kernel: Kernel, task: Task): void;
  /** It changes the thread's registers and the guest's memory, and nothing of the kernel's: the thread goes on at once. */
  readonly quiet?: boolean;
  /**
   * After how many instructions it comes again and again, where compiled code can do what `fire` does, and `next` stands for nothing else;
   * 0 where that is not so now.
   */
  every?(): number;
  /** Compiled code has. */
  taken?(): void;
}

/** How a run ended. */
export type Outcome =
  | Exit
  /** `until` instructions are executed. */
  | { readonly kind: 'instructions' }
  /** Every thread waits, and nothing will ever wake one: on Linux the program would hang. */
  | { readonly kind: 'deadlock'; readonly waiting: readonly { readonly tid: number; readonly call: string }[] }
  /** The machine stopped before a breakpoint (or in a call's slot), and `onBreakpoint` did not say to go on. */
  | { readonly kind: 'breakpoint'; readonly tid: number; readonly pc: number };

export interface RunOptions {
  /** Stop when this many instructions have been executed since the start of the process. */
  readonly until?: number;
  readonly interrupts?: readonly InterruptSource[];
  /** Asked first where the machine stops for a breakpoint, and changes nothing of the kernel's; true goes on as if there were none. */
  readonly passes?: () => boolean;
  /** Called where it stops for a breakpoint; true goes on. */
  readonly onBreakpoint?: (kernel: Kernel, task: Task) => boolean;
}

export interface ProcessOptions extends Omit<KernelOptions, 'abi'>, LoadOptions {
  /** Gets a line for each system call and signal. */
  readonly strace?: (line: string) => void;
  /** Told what the host does when; nothing is measured without. */
  readonly times?: HostTimes;
}

/** What was called, for `--stats`: not part of the guest's state. */
export interface CallStats {
  /** Calls by name. */
  readonly calls: ReadonlyMap<string, number>;
  /** Calls that have no row, and got ENOSYS: name (or number) and how often. */
  readonly unknown: ReadonlyMap<string, number>;
}

interface Count {
  times: number;
}

const count = (map: Map<string, Count>, key: string): void => {
  const known = map.get(key);
  if (known === undefined) map.set(key, { times: 1 });
  else known.times++;
};

const counted = (map: ReadonlyMap<string, Count>): ReadonlyMap<string, number> =>
  new Map([...map].map(([key, { times }]) => [key, times]));

/** A budget of one instruction for the evaluator, compiled code or not. */
const ONE = 1;

const STEPPED: Outcome = { kind: 'instructions' };

export class Process {
  readonly kernel: Kernel;
  readonly machine: Machine;
  /** Gets a line for each system call. */
  strace: ((line: string) => void) | undefined;
  readonly #times: HostTimes | undefined;
  readonly #table: CallTable;
  readonly #calls = new Map<string, Count>();
  readonly #unknown = new Map<string, Count>();
  /** Instruction count at which sources fired last, how many did, and the sources, which are the first of these. */
  #firedAt = -1;
  #firedCount = 0;
  readonly #fired: InterruptSource[] = [];
  /** Those of this run, the thread that runs, and the instruction count up to which only they interrupt it. */
  #interrupts: readonly InterruptSource[] = [];
  #running: Task | undefined;
  #undisturbedUntil = 0;
  #passes: RunOptions['passes'];
  /** Instruction count at which a breakpoint ended the last run. */
  #stoppedAt = -1;
  /** While stepping: the instruction count up to which nothing happens but what the running thread does. */
  #quietUntil = 0;

  private constructor(kernel: Kernel, times: HostTimes | undefined) {
    this.kernel = kernel;
    this.#times = times;
    this.machine = kernel.machine;
    this.#table = callTable(kernel.abi);
  }

  /** A process about to execute the program's first instruction. @throws LoaderError */
  static load(options: ProcessOptions): Process {
    const kernel = new Kernel({ ...options, abi: abiFor(options.machine.isa.variant) });
    const auxv = load(kernel, options);
    if (options.files instanceof Vfs) {
      const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
      const args = options.args.map(bytes);
      const exe = bytes(options.path ?? options.args[0] ?? '');
      options.files.program = { exe, args, environment: options.env.map(bytes), auxv };
    }
    const process = new Process(kernel, options.times);
    process.strace = options.strace;
    return process;
  }

  get stats(): CallStats {
    const calls = new Map(counted(this.#calls));
    const taken = this.machine.memory.f64[CALLS_TAKEN >>> 3]!;
    if (taken > 0) calls.set('clock_gettime', (calls.get('clock_gettime') ?? 0) + taken);
    return { calls, unknown: counted(this.#unknown) };
  }

  /** Remembers the whole process. */
  save(): KernelSnapshot {
    return this.kernel.save();
  }

  /** Goes back to a snapshot of this process. */
  restore(snapshot: KernelSnapshot): void {
    this.kernel.restore(snapshot);
    this.#firedAt = -1;
    this.#stoppedAt = -1;
    this.#quietUntil = 0;
  }

  /**
   * Executes one instruction, of whichever thread has its turn: what `run` does until one instruction later, without asking before
   * each who runs next and what is due.
   */
  step(): Outcome {
    const { kernel, machine } = this;
    const now = machine.instructions;
    const task = kernel.current;
    const plain = machine.breakpoints === undefined && !machine.stopInCallSlots;
    if (plain && now < this.#quietUntil && task !== undefined && !kernel.signals.deliverable(task)) {
      this.#execute(task, ONE, 0, undefined);
      if (this.#quietUntil !== 0) return STEPPED;
    }
    const outcome = this.run({ until: now + 1 });
    if (outcome.kind === 'instructions' && kernel.current !== undefined)
      this.#quietUntil = Math.min(this.#nextTurn(), kernel.timers.nextCount());
    return outcome;
  }

  /** Runs until something of Outcome happens; may be called again after anything but an exit. */
  run(options: RunOptions = {}): Outcome {
    if (this.#times === undefined) return this.#run(options);
    const before = this.#times.enter('kernel');
    try {
      return this.#run(options);
    } finally {
      this.#times.enter(before);
    }
  }

  #run(options: RunOptions): Outcome {
    const { kernel, machine } = this;
    this.#quietUntil = 0;
    const until = options.until ?? Number.POSITIVE_INFINITY;
    const interrupts = options.interrupts ?? [];
    const quiet = interrupts.length > 0 && interrupts.every((source) => source.quiet === true);
    this.#interrupts = interrupts;
    this.#passes = options.passes;
    for (;;) {
      if (kernel.exit !== undefined) return kernel.exit;
      kernel.timers.fire();
      const now = machine.instructions;
      let task = kernel.current;
      let turn = this.#nextTurn();
      if (task === undefined || this.#mayChange(now, turn)) {
        task = this.#choose(now);
        if (task === undefined) {
          if (!this.#skipTime()) return this.#deadlock();
          continue;
        }
        turn = this.#nextTurn();
      }
      if (task.blocked !== undefined) {
        this.#resume(task, task.blocked);
        continue;
      }
      if (kernel.signals.deliverable(task)) {
        this.#traceSignals(task);
        kernel.signals.deliver(task);
        kernel.abi.exceptionReturn(machine);
        continue;
      }
      const due = Math.min(until, kernel.timers.nextCount());
      if (this.#fire(task, now)) continue;
      if (now >= until) return { kind: 'instructions' };
      if (this.#stoppedAt === now && machine.breakpoints?.has(machine.state.pc) === true) machine.passBreakpoint();
      this.#stoppedAt = -1;
      const next = Math.min(due, turn + kernel.sched.slack, this.#nextInterrupt(now));
      this.#running = task;
      this.#undisturbedUntil = quiet ? Math.min(due, turn) : 0;
      const along = this.#along;
      along.every = quiet && interrupts.length === 1 ? (interrupts[0]?.every?.() ?? 0) : 0;
      along.until = along.every > 0 ? this.#undisturbedUntil : 0;
      this.#letCall(Math.min(due, turn));
      const stopped = this.#execute(task, Math.max(next - now, 1), Math.max(next - turn, 0), options.onBreakpoint);
      if (stopped !== undefined) return stopped;
    }
  }

  /** Lets compiled code make the calls that it can make by itself (src/debug/inside), up to an instruction count. */
  #letCall(until: number): void {
    const { clock } = this.kernel;
    const { f64 } = this.machine.memory;
    f64[CALL_UNTIL >>> 3] = this.strace === undefined && clock.nsPerInstruction === 1 ? until : 0;
    f64[CALL_CLOCK >>> 3] = clock.atStart;
  }

  /** Fires the sources that are due; whether there were any. */
  #fire(task: Task, now: number): boolean {
    let fired = false;
    for (const source of this.#interrupts) {
      if (source.next(this.#askedFrom(source, now)) > now) continue;
      if (this.#firedAt !== now) this.#firedCount = 0;
      this.#firedAt = now;
      this.#fired[this.#firedCount++] = source;
      const before = this.#times?.enter('other');
      source.fire(this.kernel, task);
      if (before !== undefined) this.#times?.enter(before);
      fired = true;
    }
    if (fired) this.kernel.abi.exceptionReturn(this.machine);
    return fired;
  }

  /** Instruction count of the next interrupt, all that were due having been fired. */
  #nextInterrupt(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const source of this.#interrupts) next = Math.min(next, source.next(this.#askedFrom(source, now)));
    return next;
  }

  /** The instruction count from which on the source may fire. */
  #askedFrom(source: InterruptSource, now: number): number {
    if (this.#firedAt !== now) return now;
    const at = this.#fired.indexOf(source);
    return at >= 0 && at < this.#firedCount ? now + 1 : now;
  }

  /** What #run would do, where nothing else is to be done, and the thread goes on at once. */
  readonly #along: Along & { until: number; every: number } = {
    until: 0,
    every: 0,
    taken: () => {
      for (const source of this.#interrupts) source.taken?.();
    },
    more: () => {
      const now = this.machine.instructions;
      const task = this.#running;
      if (now >= this.#undisturbedUntil || task === undefined) return 0;
      this.#fire(task, now);
      return Math.min(this.#undisturbedUntil, this.#nextInterrupt(now)) - now;
    },
    passes: () => {
      if (this.#passes === undefined) return false;
      const before = this.#times?.enter('other');
      const passes = this.#passes();
      if (before !== undefined) this.#times?.enter(before);
      return passes;
    },
  };

  /** Lets the machine run, or for ONE step, and deals with what stopped it. */
  #execute(task: Task, budget: number, window: number, onBreakpoint: RunOptions['onBreakpoint']): Outcome | undefined {
    const { kernel, machine } = this;
    const { state } = machine;
    try {
      switch (this.#runMachine(budget, window)) {
        case 'budget':
          return undefined;
        case 'syscall':
          this.#call(task);
          break;
        case 'trap':
          raiseTrap(kernel, task, machine.trap);
          break;
        case 'fault':
          this.#fault(task, machine.fault);
          break;
        case 'breakpoint':
          this.#stoppedAt = machine.instructions;
          if (onBreakpoint?.(kernel, task) === true) return undefined;
          return { kind: 'breakpoint', tid: task.tid, pc: state.pc };
      }
    } catch (error) {
      if (!(error instanceof OutOfMemory)) throw error;
      const signal = kernel.abi.signals.number('SIGKILL');
      kernel.exitGroup({
        kind: 'signal',
        signal,
        name: 'SIGKILL',
        tid: task.tid,
        pc: state.epc,
        reason: error.message,
        core: false,
      });
    }
    this.#quietUntil = 0;
    if (kernel.current === task) kernel.abi.exceptionReturn(machine);
    return undefined;
  }

  #runMachine(budget: number, window: number): Stop {
    const { machine } = this;
    if (this.#times === undefined) return budget === ONE ? machine.step() : machine.run(budget, window, this.#along);
    const before = this.#times.enter('evaluating');
    try {
      return budget === ONE ? machine.step() : machine.run(budget, window, this.#along);
    } finally {
      this.#times.enter(before);
    }
  }

  #fault(task: Task, fault: GuestFault): void {
    const { kernel, machine } = this;
    try {
      if (kernel.abi.mips) {
        const repairable = fault.reason === 'alignment' && fault.access !== 'execute' && kernel.misc.fixUnaligned;
        if (repairable && repairUnaligned(machine)) return;
      } else if (fault.access === 'execute' && emulateVsyscall(kernel)) return;
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      raiseFault(kernel, task, error);
      return;
    }
    raiseFault(kernel, task, fault);
  }

  // Who runs

  /** The thread to run where threads may change, its registers in the machine; undefined when every thread waits. */
  #choose(now: number): Task | undefined {
    const { kernel, machine } = this;
    const { current, sched } = kernel;
    this.#expire();
    if (current !== undefined) {
      if (!sched.contended || now < sched.quantumEnd) return current;
      sched.ready(current.tid);
      this.#switchOut(current);
    }
    const tid = sched.next(now);
    if (tid === undefined) return undefined;
    const task = kernel.task(tid)!;
    const { state } = machine;
    state.load(task.registers);
    kernel.abi.exceptionReturn(machine);
    // What stopped it before a branch's slot was an interrupt, whose EPC is the branch's address: that runs again.
    if (state.inSlot) state.jump(state.epc);
    kernel.current = task;
    return task;
  }

  #switchOut(task: Task): void {
    const { kernel, machine } = this;
    keepRegisters(task, machine.state);
    task.executed = kernel.executed(task);
    kernel.current = undefined;
  }

  /** Whether threads may wake and change here: it is their `turn`, and this is the place or it cannot be put off for longer. */
  #mayChange(now: number, turn: number): boolean {
    return now >= turn && (now >= turn + this.kernel.sched.slack || this.machine.atSwitchPoint);
  }

  /** Waits whose deadline has come. */
  #expire(): void {
    const { kernel } = this;
    const now = kernel.clock.now();
    for (const task of kernel.tasks) {
      if (task.blocked === undefined || task.wake !== undefined || task.blocked.wait.deadline > now) continue;
      task.wake = 'timeout';
      kernel.sched.ready(task.tid);
    }
  }

  /** The earliest deadline of a wait, in nanoseconds since boot. */
  #nextDeadline(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const task of this.kernel.tasks)
      if (task.blocked !== undefined && task.wake === undefined) next = Math.min(next, task.blocked.wait.deadline);
    return next;
  }

  /** Instruction count from which on another thread should wake, or run instead of the present one. */
  #nextTurn(): number {
    const { clock, sched } = this.kernel;
    if (sched.contended) return sched.quantumEnd;
    return Math.max(sched.quantumEnd, clock.countAt(this.#nextDeadline()));
  }

  /** Nothing can run: goes to the next deadline. @returns whether there is one. */
  #skipTime(): boolean {
    const next = Math.min(this.#nextDeadline(), this.kernel.timers.nextTime());
    if (next === Number.POSITIVE_INFINITY) return false;
    this.kernel.clock.skipTo(next);
    return true;
  }

  #deadlock(): Outcome {
    const waiting = this.kernel.tasks.map((t) => ({ tid: t.tid, call: t.blocked?.name ?? '' }));
    return { kind: 'deadlock', waiting };
  }

  // System calls

  #call(task: Task): void {
    const { kernel, machine } = this;
    const { abi } = kernel;
    const number = abi.callNumber(machine);
    const row = this.#table.row(number);
    if (row === undefined) {
      const name = this.#table.nameOf(number) ?? `syscall ${number}`;
      count(this.#unknown, name);
      this.strace?.(`[${task.tid}] ${name}(...) = -1 ENOSYS (${abi.errno('ENOSYS')})`);
      abi.fail(machine, 'ENOSYS');
      return;
    }
    count(this.#calls, row.name);
    let args: { readonly values: readonly number[]; readonly raw: ArgumentBits };
    try {
      args = abi.arguments(machine, row.args);
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      abi.fail(machine, 'EFAULT');
      return;
    }
    this.#invoke(task, row, args.values, args.raw, 'first', undefined);
  }

  /** A waiting call goes on, because something woke it. */
  #resume(task: Task, blocked: BlockedCall): void {
    const wake = task.wake ?? 'woken';
    task.wake = undefined;
    this.#invoke(task, this.#table.byName(blocked.name), blocked.args, blocked.raw, wake, blocked);
  }

  #invoke(
    task: Task,
    row: Row,
    args: readonly number[],
    raw: ArgumentBits,
    wake: Wake,
    blocked: BlockedCall | undefined,
  ): void {
    const { kernel, machine } = this;
    const { abi } = kernel;
    const call: Call = {
      kernel,
      task,
      abi,
      memory: kernel.memory,
      row,
      args,
      raw,
      wake,
      saved: blocked?.wait.saved,
      deadline: blocked?.wait.deadline ?? Number.POSITIVE_INFINITY,
      second: undefined,
    };
    const before = this.strace === undefined ? '' : this.#describe(row, args, raw, undefined);
    const result = run(row, call);
    if (isWait(result)) {
      if (blocked === undefined) this.#trace(task, before, row, result);
      this.#block(task, row.name, args, raw, result);
      return;
    }
    if (isRestart(result)) {
      this.#traceSignals(task);
      if (kernel.signals.deliver(task, result)) {
        task.blocked = undefined;
        this.#trace(task, blocked === undefined ? before : `<... ${row.name} resumed>`, row, result);
      } else if (kernel.exit !== undefined) return;
      // No handler wanted the signal: the call begins again, with what its condition is now, and keeps its deadline if it says so.
      else if (result === 'ERESTART_RESTARTBLOCK' && blocked !== undefined)
        this.#invoke(task, row, args, raw, 'restart', blocked);
      else {
        task.blocked = undefined;
        kernel.signals.restoreMask(task);
        abi.rewind(machine);
      }
      return;
    }
    task.blocked = undefined;
    if (this.strace !== undefined) {
      const text = row.args.includes('buffer-out') ? this.#describe(row, args, raw, result) : before;
      this.#trace(task, blocked === undefined ? text : `<... ${row.name} resumed>`, row, result);
    }
    if (result === REGISTERS_SET) return;
    if (typeof result === 'string') abi.fail(machine, result);
    else abi.succeed(machine, result, call.second);
    // A mask that only the call had gives way, unless a signal it let in is still to be delivered.
    if (task.maskToRestore !== undefined && !kernel.signals.deliverable(task)) kernel.signals.restoreMask(task);
  }

  #block(task: Task, name: CallName, args: readonly number[], raw: ArgumentBits, wait: Wait): void {
    const { kernel } = this;
    task.blocked = { name, args, raw, wait, sequence: kernel.nextSequence() };
    this.#switchOut(task);
    if (kernel.signals.deliverable(task)) kernel.signals.interrupt(task);
  }

  #describe(row: Row, args: readonly number[], raw: ArgumentBits, result: Result | undefined): string {
    return formatCall(row, { abi: this.kernel.abi, memory: this.kernel.memory, args, raw, result });
  }

  #trace(task: Task, text: string, row: Row, result: Result): void {
    this.strace?.(`[${task.tid}] ${text}${formatResult(row, this.kernel.abi, result)}`);
  }

  #traceSignals(task: Task): void {
    if (this.strace === undefined) return;
    const { signals } = this.kernel.abi;
    const next = task.pending[0];
    this.strace(`[${task.tid}] --- ${next === undefined ? 'a signal' : signals.nameOf(next.signal)} ---`);
  }
}

/** The handler's result; faults of the guest's pointers are EFAULT. */
function run(row: Row, call: Call): Result {
  try {
    return row.handler(call);
  } catch (error) {
    if (error instanceof GuestFault) return 'EFAULT';
    if (error instanceof CallError) return error.code;
    throw error;
  }
}
