// The state of one process, and the services that system calls use.

import type { Machine } from '../engine/machine.ts';
import type { Memory, MemorySnapshot } from '../engine/memory.ts';
import type { SavedState } from '../engine/state.ts';
import type { Abi } from './abi/abi.ts';
import { Clock, type ClockOptions } from './clock.ts';
import type { Files } from './files.ts';
import { AddressSpace } from './mm.ts';
import type { Part } from './part.ts';
import { Random } from './random.ts';
import { Scheduler } from './sched.ts';
import { Signals } from './signal.ts';
import { copyTask, type SignalInfo, type Task } from './task.ts';
import { Timers } from './timers.ts';

/** Who the guest is. Fixed, so that no two runs differ. */
export interface Identity {
  readonly pid: number;
  readonly ppid: number;
  readonly uid: number;
  readonly gid: number;
  readonly hostname: string;
  /** uname's release. */
  readonly release: string;
  readonly version: string;
}

export const DEFAULT_IDENTITY: Identity = {
  pid: 1000,
  ppid: 1,
  uid: 1000,
  gid: 1000,
  hostname: 'safepoint',
  release: '6.1.0',
  version: '#1 SMP safepoint',
};

/** How a process ended. */
export type Exit =
  | { readonly kind: 'exit'; readonly status: number }
  | {
      readonly kind: 'signal';
      readonly signal: number;
      readonly name: string;
      readonly tid: number;
      readonly pc: number;
      /** What was wrong there, in a few words. */
      readonly reason: string;
      /** Of a fault. */
      readonly address?: bigint;
      readonly core: boolean;
    };

export interface KernelOptions {
  readonly machine: Machine;
  readonly abi: Abi;
  readonly files: Files;
  /** CPUs that the guest sees; 1 by default. */
  readonly cpus?: number;
  /** Chooses entropy and schedule; 0 by default. */
  readonly seed?: number;
  readonly clock?: ClockOptions;
  readonly identity?: Partial<Identity>;
}

/** A process as it was, memory and registers included. Plain data and frames shared with the living one. */
export interface KernelSnapshot {
  readonly memory: MemorySnapshot;
  readonly registers: SavedState;
  readonly instructions: number;
  readonly tasks: readonly Task[];
  readonly current: number | undefined;
  readonly nextTid: number;
  readonly sequence: number;
  readonly exit: Exit | undefined;
  readonly misc: Misc;
  readonly parts: readonly unknown[];
}

/** Small per-process settings. */
export interface Misc {
  /** Linux/MIPS repairs unaligned accesses (sysmips(MIPS_FIXADE)). */
  readonly fixUnaligned: boolean;
  readonly dumpable: number;
  readonly limits: ReadonlyMap<number, readonly [soft: bigint, hard: bigint]>;
}

export class Kernel {
  readonly machine: Machine;
  readonly memory: Memory;
  readonly abi: Abi;
  readonly files: Files;
  readonly cpus: number;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly random: Random;
  readonly mm: AddressSpace;
  readonly signals: Signals;
  readonly timers: Timers;
  readonly sched: Scheduler;
  /** Living threads, oldest first. */
  tasks: Task[] = [];
  /** The thread whose registers are in the machine. */
  current: Task | undefined;
  exit: Exit | undefined;
  misc: Misc = { fixUnaligned: true, dumpable: 1, limits: new Map() };
  #nextTid: number;
  #sequence = 0;
  readonly #parts: readonly Part[];

  constructor(options: KernelOptions) {
    const { machine, abi } = options;
    const seed = options.seed ?? 0;
    this.machine = machine;
    this.memory = machine.memory;
    this.abi = abi;
    this.files = options.files;
    this.cpus = options.cpus ?? 1;
    this.identity = { ...DEFAULT_IDENTITY, ...options.identity };
    this.clock = new Clock(() => machine.instructions, options.clock);
    this.random = new Random(seed);
    this.mm = new AddressSpace(machine.memory, abi.taskSize);
    this.signals = new Signals(this);
    this.timers = new Timers(this);
    this.sched = new Scheduler(seed);
    this.#nextTid = this.identity.pid;
    this.#parts = [this.clock, this.random, this.mm, this.signals, this.timers, this.sched, this.files];
    machine.memory.setSource(this.mm);
  }

  task(tid: number): Task | undefined {
    return this.tasks.find((t) => t.tid === tid);
  }

  /** Adds a thread; the first has the process's id. */
  addTask(task: Omit<Task, 'tid' | 'sharesRegisters'>): Task {
    const added: Task = { ...task, tid: this.#nextTid++, sharesRegisters: false };
    this.tasks.push(added);
    return added;
  }

  /** Instructions that a thread has executed. */
  executed(task: Task): number {
    return task.executed + (task === this.current ? this.machine.instructions - this.sched.switchedIn : 0);
  }

  /** A number that grows: the order of waits. */
  nextSequence(): number {
    return ++this.#sequence;
  }

  /**
   * Wakes at most `count` threads that wait for `key`, those that waited longest first.
   * @returns how many.
   */
  wake(key: string, count = Number.POSITIVE_INFINITY): number {
    const waiting = this.tasks.filter((t) => t.wake === undefined && t.blocked?.wait.keys.includes(key) === true);
    waiting.sort((a, b) => a.blocked!.sequence - b.blocked!.sequence);
    const woken = waiting.slice(0, count);
    for (const task of woken) {
      task.wake = 'woken';
      this.sched.ready(task.tid);
    }
    return woken.length;
  }

  /** Sends a signal to one thread, as tgkill does. */
  signalTask(task: Task, info: SignalInfo): void {
    this.signals.sendToTask(task, info);
  }

  /** Sends a signal to the process, as kill does: a thread that does not block it gets it. */
  signalProcess(info: SignalInfo): void {
    this.signals.sendToProcess(info);
  }

  /** Ends the process. */
  exitGroup(exit: Exit): void {
    this.exit ??= exit;
  }

  /** Remembers everything. Cost: the number of threads, plus what Memory.snapshot says. */
  save(): KernelSnapshot {
    return {
      memory: this.memory.snapshot(),
      registers: this.machine.state.save(),
      instructions: this.machine.instructions,
      tasks: this.tasks.map(copyTask),
      current: this.current?.tid,
      nextTid: this.#nextTid,
      sequence: this.#sequence,
      exit: this.exit,
      misc: this.misc,
      parts: this.#parts.map((p) => p.save()),
    };
  }

  /** Goes back to a snapshot, which stays good. Tasks are new objects afterwards: find them by tid. */
  restore(snapshot: KernelSnapshot): void {
    for (const [i, part] of this.#parts.entries()) part.restore(snapshot.parts[i]);
    this.memory.restore(snapshot.memory);
    this.machine.state.load(snapshot.registers);
    this.machine.instructions = snapshot.instructions;
    this.tasks = snapshot.tasks.map(copyTask);
    this.current = snapshot.current === undefined ? undefined : this.task(snapshot.current);
    this.#nextTid = snapshot.nextTid;
    this.#sequence = snapshot.sequence;
    this.exit = snapshot.exit;
    this.misc = snapshot.misc;
  }

  /** Forgets a snapshot: the memory it holds is given back. */
  drop(snapshot: KernelSnapshot): void {
    this.memory.drop(snapshot.memory);
  }
}
