// Signals: sending, choosing, delivering. kernel/signal.c of Linux, for one process whose threads share everything.

import { GuestFault } from '../engine/memory.ts';
import { CallError, type RestartCode } from './abi/errno.ts';
import {
  DEFAULT_SIGNAL_ACTION,
  onAltStack,
  readSigset,
  SIG_DFL,
  SIG_IGN,
  type SignalAction,
  SS_AUTODISARM,
} from './abi/frames.ts';
import { SA_NODEFER, SA_RESETHAND, SA_RESTART, SIGRTMIN, type SignalName } from './abi/signals.ts';
import type { Kernel } from './kernel.ts';
import type { Part } from './part.ts';
import type { SignalInfo, SignalSet, Task } from './task.ts';

/** si_code of senders (include/uapi/asm-generic/siginfo.h). */
export const SI_USER = 0;
export const SI_KERNEL = 0x80;
export const SI_QUEUE = -1;
export const SI_TIMER_GENERIC = -2;
/** MIPS numbers the timer's and the message queue's the other way round. */
export const SI_TIMER_MIPS = -3;
export const SI_TKILL = -6;
export const SEGV_MAPERR = 1;
export const SEGV_ACCERR = 2;
export const BUS_ADRALN = 1;
export const FPE_INTDIV = 1;
export const FPE_INTOVF = 2;
export const ILL_ILLOPN = 2;
export const TRAP_BRKPT = 1;

export const bit = (signal: number): SignalSet => 1n << BigInt(signal - 1);

/** Signals that a fault of the thread itself raises: they are delivered first (SYNCHRONOUS_MASK). */
const SYNCHRONOUS: readonly SignalName[] = ['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGTRAP', 'SIGFPE', 'SIGSYS'];

/** Looks on while handlers are entered and left. May read everything, and changes nothing. */
export interface SignalWatcher {
  /** A frame is about to be pushed: the machine holds what it interrupts. Returns what to call when it is there. */
  entering(task: Task, info: SignalInfo): () => void;
  /** rt_sigreturn has restored a context. */
  returned(task: Task): void;
}

interface Saved {
  readonly actions: readonly SignalAction[];
  readonly pending: readonly SignalInfo[];
}

export class Signals implements Part<Saved> {
  readonly #kernel: Kernel;
  /** By signal number; index 0 is unused. */
  #actions: readonly SignalAction[];
  /** Sent to the process, taken by any thread that does not block it. */
  #pending: readonly SignalInfo[] = [];
  readonly #synchronous: SignalSet;
  readonly #unblockable: SignalSet;
  /** Where handlers return to on ABIs without restorer; the loader sets it. */
  trampoline = 0;
  watcher: SignalWatcher | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const { signals } = kernel.abi;
    this.#actions = Array.from({ length: signals.count + 1 }, () => DEFAULT_SIGNAL_ACTION);
    this.#synchronous = SYNCHRONOUS.reduce((set, name) => set | bit(signals.number(name)), 0n);
    this.#unblockable = bit(signals.number('SIGKILL')) | bit(signals.number('SIGSTOP'));
  }

  action(signal: number): SignalAction {
    return this.#actions[signal] ?? DEFAULT_SIGNAL_ACTION;
  }

  setAction(signal: number, action: SignalAction): void {
    this.#actions = this.#actions.with(signal, { ...action, mask: this.maskable(action.mask) });
    // What is ignored from now on is no longer pending (do_sigaction).
    if (this.#ignores(signal)) {
      this.#pending = this.#pending.filter((i) => i.signal !== signal);
      for (const task of this.#kernel.tasks) task.pending = task.pending.filter((i) => i.signal !== signal);
    }
  }

  /** A mask without the signals that cannot be blocked. */
  maskable(mask: SignalSet): SignalSet {
    return mask & ~this.#unblockable;
  }

  /** Whether the present action throws the signal away. */
  #ignores(signal: number): boolean {
    const { handler } = this.action(signal);
    if (handler === SIG_IGN) return true;
    const action = this.#kernel.abi.signals.action(signal);
    return handler === SIG_DFL && (action === 'ignore' || action === 'continue');
  }

  /** Adds to a queue; an ordinary signal that is pending already is not queued twice. */
  #queue(queue: readonly SignalInfo[], info: SignalInfo): readonly SignalInfo[] {
    if (info.signal < SIGRTMIN && queue.some((i) => i.signal === info.signal)) return queue;
    return [...queue, info];
  }

  sendToTask(task: Task, info: SignalInfo): void {
    const blocked = (task.mask & bit(info.signal)) !== 0n;
    if (!blocked && this.#ignores(info.signal)) return;
    task.pending = this.#queue(task.pending, info);
    if (!blocked) this.interrupt(task);
    this.#kernel.wake(`signal:${task.tid}`);
  }

  sendToProcess(info: SignalInfo): void {
    const { tasks, current } = this.#kernel;
    // One that runs anyway, so that nobody is woken for nothing; then the oldest (complete_signal begins with the leader).
    const open = tasks.filter((t) => (t.mask & bit(info.signal)) === 0n);
    const taker = open.find((t) => t === current) ?? open.find((t) => t.blocked === undefined) ?? open[0];
    if (taker !== undefined && this.#ignores(info.signal)) return;
    this.#pending = this.#queue(this.#pending, info);
    if (taker !== undefined) this.interrupt(taker);
    for (const task of tasks) this.#kernel.wake(`signal:${task.tid}`);
  }

  /** Ends a thread's wait, so that it can take a signal. */
  interrupt(task: Task): void {
    if (task.blocked === undefined || task.wake !== undefined) return;
    task.wake = 'signal';
    this.#kernel.sched.ready(task.tid);
  }

  /** Whether a signal waits that the thread does not block. */
  deliverable(task: Task): boolean {
    if (task.pending.length === 0 && this.#pending.length === 0) return false;
    const open = (info: SignalInfo): boolean => (task.mask & bit(info.signal)) === 0n;
    return task.pending.some(open) || this.#pending.some(open);
  }

  /** Signals that are pending for a thread, as sigpending shows them. */
  pendingSet(task: Task): SignalSet {
    return [...task.pending, ...this.#pending].reduce((set, info) => set | bit(info.signal), 0n);
  }

  /** Takes the next signal out of `set`: the thread's own before the process's, synchronous ones first, then by number. */
  take(task: Task, set: SignalSet): SignalInfo | undefined {
    const best = (queue: readonly SignalInfo[]): SignalInfo | undefined => {
      let found: SignalInfo | undefined;
      const rank = (info: SignalInfo): number =>
        info.signal - ((this.#synchronous & bit(info.signal)) !== 0n ? 1000 : 0);
      for (const info of queue)
        if ((set & bit(info.signal)) !== 0n && (found === undefined || rank(info) < rank(found))) found = info;
      return found;
    };
    const own = best(task.pending);
    if (own !== undefined) {
      task.pending = task.pending.filter((i) => i !== own);
      return own;
    }
    const shared = best(this.#pending);
    if (shared !== undefined) this.#pending = this.#pending.filter((i) => i !== shared);
    return shared;
  }

  /** A fault of the running thread: blocked or ignored, it kills (force_sig). `reason` says what was wrong. */
  force(task: Task, info: SignalInfo, reason: string): void {
    const blocked = (task.mask & bit(info.signal)) !== 0n;
    if (blocked || this.action(info.signal).handler === SIG_IGN) {
      this.setAction(info.signal, DEFAULT_SIGNAL_ACTION);
      task.mask &= ~bit(info.signal);
    }
    task.pending = [...task.pending, { ...info, reason }];
  }

  /**
   * Before the running thread goes back to user mode: pushes frames for what is pending.
   * @param restart what the call that it comes from asks for; the first handler decides (handle_signal).
   * @returns whether a handler was entered.
   */
  deliver(task: Task, restart?: RestartCode): boolean {
    let entered = false;
    while (this.#kernel.exit === undefined && this.deliverable(task)) {
      const info = this.take(task, ~task.mask);
      if (info === undefined) break;
      const action = this.action(info.signal);
      if (action.handler === SIG_IGN) continue;
      if (action.handler === SIG_DFL) this.#act(task, info);
      else {
        if (!entered && restart !== undefined) this.#settle(restart, action);
        entered = true;
        this.#enter(task, info, action);
      }
    }
    return entered;
  }

  /** An interrupted call, in view of the handler that interrupted it: it fails, or is executed again. */
  #settle(restart: RestartCode, action: SignalAction): void {
    const { abi, machine } = this.#kernel;
    const again = restart === 'ERESTARTNOINTR' || (restart === 'ERESTARTSYS' && (action.flags & SA_RESTART) !== 0);
    if (again) abi.rewind(machine);
    else abi.fail(machine, 'EINTR');
  }

  /**
   * A mask for the length of one call (sigsuspend, ppoll, epoll_pwait), from the sigset_t at `address`.
   * @throws CallError EINVAL for a wrong size; GuestFault
   */
  replaceMask(task: Task, address: number, size: number): void {
    const { abi, memory } = this.#kernel;
    if (size !== abi.signals.setSize) throw new CallError('EINVAL');
    const mask = readSigset(memory, abi.word, address, size);
    task.maskToRestore = task.mask;
    task.mask = this.maskable(mask);
  }

  /** Back to the mask before sigsuspend and the like. */
  restoreMask(task: Task): void {
    if (task.maskToRestore === undefined) return;
    task.mask = task.maskToRestore;
    task.maskToRestore = undefined;
  }

  #act(task: Task, info: SignalInfo): void {
    const { signals } = this.#kernel.abi;
    const action = signals.action(info.signal);
    if (action === 'ignore' || action === 'continue') return;
    const { state } = this.#kernel.machine;
    this.#kernel.exitGroup({
      kind: 'signal',
      signal: info.signal,
      name: signals.nameOf(info.signal),
      tid: task.tid,
      pc: state.epc,
      reason: info.reason ?? (action === 'stop' ? 'stopped, with nobody to continue it' : 'sent by the program'),
      ...(info.address === undefined ? {} : { address: info.address }),
      core: action === 'core',
    });
  }

  #enter(task: Task, info: SignalInfo, action: SignalAction): void {
    const { machine, abi } = this.#kernel;
    const mask = task.maskToRestore ?? task.mask;
    task.maskToRestore = undefined;
    const { altStack } = task;
    const entered = this.watcher?.entering(task, info);
    try {
      abi.frames.push(machine, { action, info, mask, altStack, trampoline: this.trampoline });
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      // force_sigsegv: if even that handler has no stack, there is none.
      const segv = abi.signals.number('SIGSEGV');
      if (info.signal === segv) this.setAction(segv, DEFAULT_SIGNAL_ACTION);
      const reason = `no stack for the handler of ${abi.signals.nameOf(info.signal)}`;
      this.force(task, { signal: segv, code: SI_KERNEL, address: BigInt(error.address) }, reason);
      return;
    }
    if ((altStack.flags & SS_AUTODISARM) !== 0 && onAltStack({ ...altStack, flags: 0 }, abi.stackPointer(machine)))
      task.altStack = { sp: 0, size: 0, flags: 0 };
    if ((action.flags & SA_RESETHAND) !== 0) this.setAction(info.signal, { ...action, handler: SIG_DFL });
    const own = (action.flags & SA_NODEFER) === 0 ? bit(info.signal) : 0n;
    task.mask = this.maskable(task.mask | action.mask | own);
    entered?.();
  }

  save(): Saved {
    return { actions: this.#actions, pending: this.#pending };
  }

  restore(saved: Saved): void {
    this.#actions = saved.actions;
    this.#pending = saved.pending;
  }
}
