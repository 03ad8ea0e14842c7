// The `guest` handler: sends SIGURG, lets the program's own signal handler decide in machine code, and holds what it did against our model.

import { type Register, sizeOf } from '../../isa/dsl/registers.ts';
import { LiveRefusal, OFF, type Preemption } from '../goruntime/preempt.ts';
import type { CheckId, Verdict } from '../goruntime/safe-points.ts';
import { GuestReadError } from '../goruntime/view.ts';
import type { Kernel } from '../linux/kernel.ts';
import { bit, SI_TKILL, type SignalWatcher } from '../linux/signal.ts';
import type { SignalInfo, Task } from '../linux/task.ts';
import type { HostHandler, InterruptCounts } from './host-handler.ts';
import { type Thread, threadOf } from './view.ts';

/** A delivery after which the program is not where our model says that its handler sends it. */
export interface DeliveryDifference {
  /** Instructions executed when the signal was delivered. */
  readonly at: number;
  readonly tid: number;
  readonly goid: number;
  readonly pc: number;
  readonly sp: number;
  readonly lr: number;
  /** What the program should have done, and what it did. */
  readonly ours: string;
  readonly theirs: string;
}

/** What became of the SIGURGs of a run. */
export interface GuestCounts extends InterruptCounts {
  /** Signals that the timer sent; the rest of the delivered ones are the program's own (sysmon, the garbage collector). */
  sent: number;
  own: number;
  /** Deliveries that did not go as our model says. */
  differences: number;
}

/** What decides, on our side: whether asyncPreempt is to be called, and from where. */
interface Decision {
  readonly resume: number | undefined;
  readonly check: CheckId | undefined;
  readonly reason: () => string;
}

/** A delivery whose handler is running. */
interface Delivery {
  readonly at: number;
  readonly gp: number;
  readonly goid: number;
  readonly pc: number;
  readonly sp: number;
  readonly lr: number;
  readonly registers: Uint8Array;
  readonly decision: Decision;
}

/** Differences that are kept; all are counted. */
const MOST_KEPT = 100;

const hex = (value: number): string => `0x${value.toString(16)}`;

/**
 * Watches every SIGURG that is delivered, whoever sent it. Our decision is made when the frame is pushed. The program's handler comes to
 * its own some thousand instructions later, and another thread may have run in between: where the two differ, ours is made again at
 * rt_sigreturn, and counts if it agrees then.
 */
export class GuestHandler implements SignalWatcher {
  readonly counts: GuestCounts = { delivered: 0, injected: 0, refused: {}, sent: 0, own: 0, differences: 0 };
  readonly differences: DeliveryDifference[] = [];
  readonly #kernel: Kernel;
  readonly #preemption: Preemption;
  readonly #host: HostHandler;
  readonly #thread: Thread;
  readonly #signal: number;
  /** What a handler's return must leave alone. */
  readonly #preserved: readonly Register[];
  readonly #sent = new WeakSet<SignalInfo>();
  /** Handlers that are running, by thread, the innermost last; undefined for other signals'. */
  readonly #running = new Map<number, (Delivery | undefined)[]>();

  /** @param host makes requests, and knows where goroutines were interrupted last */
  constructor(kernel: Kernel, preemption: Preemption, host: HostHandler) {
    this.#kernel = kernel;
    this.#preemption = preemption;
    this.#host = host;
    const { arch } = preemption.program;
    this.#thread = threadOf(kernel.machine, arch);
    this.#signal = kernel.abi.signals.number('SIGURG');
    const { registers } = kernel.machine.state;
    const { control } = registers;
    // PC, SP and LR are looked at one by one; a return from an exception breaks a linked load (MIPS).
    const changing = new Set<Register | undefined>([
      control.pc,
      control.pending,
      control.slot,
      registers.byName.get(arch.spRegister),
      arch.lrRegister === undefined ? undefined : registers.byName.get(arch.lrRegister),
      ...['LLbit', 'LLaddr'].map((name) => registers.byName.get(name)),
    ]);
    this.#preserved = registers.all.filter((register) => !changing.has(register));
    kernel.signals.watcher = this;
  }

  /**
   * The timer interrupt on the running thread: requests a preemption and sends the signal.
   * @returns whether the program's handler is going to inject a call, by our model
   */
  interrupt(tid: number): boolean {
    const task = this.#kernel.task(tid);
    // While the handler runs the signal is blocked: one more would come the moment it returns, for ever.
    if (task === undefined || (task.mask & bit(this.#signal)) !== 0n || this.#host.standsStill) return false;
    this.#host.request();
    const { pid, uid } = this.#kernel.identity;
    const info: SignalInfo = { signal: this.#signal, code: SI_TKILL, pid, uid };
    this.#sent.add(info);
    this.#kernel.signalTask(task, info);
    this.counts.sent++;
    const { pc, sp, lr } = this.#thread;
    return this.#decide(this.#getg(), pc, sp, lr).resume !== undefined;
  }

  /** Forgets what is under way: after a snapshot is restored. */
  reset(): void {
    this.#running.clear();
  }

  entering(task: Task, info: SignalInfo): () => void {
    const delivery = info.signal === this.#signal ? this.#delivery() : undefined;
    return () => {
      const running = this.#running.get(task.tid);
      if (running === undefined) this.#running.set(task.tid, [delivery]);
      else running.push(delivery);
      if (delivery === undefined) return;
      this.counts.delivered++;
      if (!this.#sent.has(info)) this.counts.own++;
    };
  }

  returned(task: Task): void {
    const delivery = this.#running.get(task.tid)?.pop();
    if (delivery !== undefined) this.#judge(task, delivery);
  }

  #delivery(): Delivery {
    const { pc, sp, lr } = this.#thread;
    const { machine } = this.#kernel;
    const gp = this.#getg();
    const decision = this.#decide(gp, pc, sp, lr);
    const goid = this.#attempt(() => (gp === 0 ? 0 : this.#preemption.runtime.goid(gp))) ?? 0;
    return { at: machine.instructions, gp, goid, pc, sp, lr, registers: machine.state.save(), decision };
  }

  #getg(): number {
    return this.#attempt(() => this.#preemption.getg(this.#thread)) ?? 0;
  }

  #attempt<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof GuestReadError) return undefined;
      throw error;
    }
  }

  /** What sighandler and doSigPreempt do with the signal, by our model. */
  #decide(gp: number, pc: number, sp: number, lr: number): Decision {
    const refused = (reason: string, check: CheckId = 'want'): Decision => ({
      resume: undefined,
      check,
      reason: () => reason,
    });
    if (this.#preemption.asyncpreemptoff) return refused(OFF);
    if (gp === 0) return refused('the thread runs no goroutine');
    if (this.#attempt(() => this.#preemption.wantAsyncPreempt(gp)) !== true) return refused('no preemption is wanted');
    const verdict: Verdict = this.#preemption.isAsyncSafePoint(gp, pc, sp, lr);
    // It quotes memory that is going to change.
    if (verdict instanceof LiveRefusal) return refused(verdict.reason, verdict.check);
    return { resume: verdict.safe ? verdict.resume : undefined, check: verdict.check, reason: () => verdict.reason };
  }

  /** Holds the context that rt_sigreturn has restored against the one that was interrupted. */
  #judge(task: Task, delivery: Delivery): void {
    const { pc, sp, lr, gp } = delivery;
    const theirs = this.#whatHappened(delivery);
    let ours = delivery.decision;
    if (this.#expected(ours, delivery) !== theirs) {
      const now = this.#decide(gp, pc, sp, lr);
      if (this.#expected(now, delivery) === theirs) ours = now;
      else {
        this.counts.differences++;
        const said = `${this.#expected(ours, delivery)} (${ours.check ?? 'safe'}: ${ours.reason()})`;
        const { at, goid } = delivery;
        if (this.differences.length < MOST_KEPT)
          this.differences.push({ at, tid: task.tid, goid, pc, sp, lr, ours: said, theirs });
      }
    }
    const injected = theirs.startsWith('calls');
    const check = injected ? undefined : (ours.check ?? 'want');
    if (check === undefined) this.counts.injected++;
    else this.counts.refused[check] = (this.counts.refused[check] ?? 0) + 1;
    this.#host.interrupted(gp, pc, sp, check, ours.resume ?? pc);
  }

  /** The context that a decision leads to, in words that can be compared. */
  #expected(decision: Decision, { pc, sp, lr }: Delivery): string {
    const { arch } = this.#preemption.program;
    const { resume } = decision;
    if (resume === undefined) return contextText({ pc, sp, lr });
    const pushed = arch.linkRegister ? lr : resume;
    return callText({ sp: sp - arch.pointerSize, lr: arch.linkRegister ? resume : lr, pushed });
  }

  /** What the program's handler did, in the same words. */
  #whatHappened({ sp, registers }: Delivery): string {
    const { program, memory } = this.#preemption;
    const thread = this.#thread;
    const damage = this.#damage(registers);
    const call = thread.pc === program.asyncPreempt && thread.sp !== sp;
    if (!call) return contextText(thread) + damage;
    const pushed = this.#attempt(() => memory.readPointer(thread.sp)) ?? 0;
    return callText({ sp: thread.sp, lr: thread.lr, pushed }) + damage;
  }

  /** Registers that differ from those interrupted, other than PC, SP and LR. */
  #damage(registers: Uint8Array): string {
    const now = this.#kernel.machine.state.save();
    if (Buffer.compare(now, registers) === 0) return '';
    const changed = this.#preserved.filter((register) => !sameRegister(register, now, registers));
    return changed.length === 0 ? '' : `, with ${changed.map((register) => register.name).join(' ')} changed`;
  }
}

function contextText({ pc, sp, lr }: { pc: number; sp: number; lr: number }): string {
  return `goes on at ${hex(pc)} with SP ${hex(sp)} LR ${hex(lr)}`;
}

function callText({ sp, lr, pushed }: { sp: number; lr: number; pushed: number }): string {
  return `calls asyncPreempt with SP ${hex(sp)} LR ${hex(lr)}, ${hex(pushed)} pushed`;
}

function sameRegister(register: Register, a: Uint8Array, b: Uint8Array): boolean {
  const end = register.offset + sizeOf(register.type);
  for (let i = register.offset; i < end; i++) if (a[i] !== b[i]) return false;
  return true;
}
