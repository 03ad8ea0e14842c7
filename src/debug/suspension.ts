// suspendG and resumeG on a running program: the caller stands outside, where the garbage collector's workers stand inside.
//
// What a worker of the runtime has and a debugger has not:
// - A P and a g0, on which resumeG calls ready(gp). Here runtime.injectglist does it, on a thread that sleeps without a P: sysmon
//   itself calls it so. It makes the goroutine runnable, puts it on the global queue and starts an M for an idle P.
// - It is an M that runs, so that checkdead never takes the program for dead while a goroutine is stopped. Here, from the first
//   request to the last resume, one is taken from sched.nmidlelocked ("pretending that one more is running", as sysmon does around
//   its injectglist), by the runtime's own incidlelocked.

import { Grunning, Gscan } from '../goruntime/facts/constants.ts';
import type { Preemption } from '../goruntime/preempt.ts';
import { type SafePointKind, stoppedKind } from '../goruntime/stop-kind.ts';
import { resumeG, SuspendError, type SuspendGState, Suspension } from '../goruntime/suspend.ts';
import { GuestReadError, getg, type ThreadView } from '../goruntime/view.ts';
import type { Kernel } from '../linux/kernel.ts';
import type { InterruptSource } from '../linux/process.ts';
import { SI_TKILL } from '../linux/signal.ts';
import type { Task } from '../linux/task.ts';
import type { Go } from './go.ts';
import { endText, GuestCallError, SleepingThread } from './guest-runtime.ts';
import type { Session, SessionEnd } from './session.ts';
import { type Thread, threadOf } from './view.ts';

/** Who decides when preemptM's signal arrives: our model, the program's own handler, or nobody (GODEBUG=asyncpreemptoff=1). */
export type PreemptM = 'host' | 'guest' | 'off';

export interface SuspendOptions {
  readonly preemptM?: PreemptM;
}

/** What one suspension took. */
export interface SuspendCounts {
  /** Turns of suspendG's loop. */
  steps: number;
  /** Signals that preemptM sent, and those that the model refused. */
  signals: number;
  refused: number;
}

/** One caller's suspension of one goroutine. */
export interface SuspendRequest {
  readonly g: number;
  readonly goid: number;
  /** `waiting` until the goroutine is at a safe-point and ours; `resumed` after resumeG. */
  readonly phase: 'waiting' | 'suspended' | 'resumed';
  /** What it waits for, while it does. */
  readonly reason: string;
  readonly state: SuspendGState | undefined;
  /** The kind of safe-point where it is; undefined for a dead one. */
  readonly kind: SafePointKind | undefined;
  /** Instructions executed when it was asked for, and when it was there. */
  readonly askedAt: number;
  readonly suspendedAt: number | undefined;
  readonly counts: Readonly<SuspendCounts>;
}

interface Request extends SuspendRequest {
  phase: 'waiting' | 'suspended' | 'resumed';
  reason: string;
  state: SuspendGState | undefined;
  kind: SafePointKind | undefined;
  suspendedAt: number | undefined;
  readonly counts: SuspendCounts;
  readonly machine: Suspension;
  /** Instruction count of the next turn. */
  due: number;
}

/** Instructions after which a goroutine that has not reached a safe-point is given up. */
const SUSPEND_LIMIT = 50_000_000;
/** How far the program is driven at a time, until a thread can be borrowed. */
const BORROW_STEP = 1_000;
const BORROW_LIMIT = 20_000_000;

/**
 * Suspends and resumes goroutines of one session. While one is held its scan bit is set: nobody else changes its status, and its
 * stack and registers may be read. Hold one at a time, as the garbage collector does, if the program is to run on meanwhile: a
 * thread that wants to ready a held goroutine spins until it is let go.
 */
export class Suspender {
  readonly #session: Session;
  readonly #go: Go;
  readonly #model: Preemption;
  readonly #thread: Thread;
  readonly #sleeping: SleepingThread;
  readonly #mode: PreemptM;
  readonly #requests = new Set<Request>();
  /** Threads to which a signal is on its way. */
  readonly #signalled = new Set<number>();
  #counted = false;

  constructor(session: Session, go: Go, options: SuspendOptions = {}) {
    this.#session = session;
    this.#go = go;
    this.#model = go.preemption;
    this.#mode = options.preemptM ?? (go.preemption.asyncpreemptoff ? 'off' : 'host');
    this.#thread = threadOf(session.machine, session.arch);
    this.#sleeping = new SleepingThread(session, go);
    const source: InterruptSource = {
      next: (now) => this.#next(now),
      fire: (kernel, task) => this.#fire(kernel, task),
    };
    session.interrupts.push(source);
  }

  /** Requests that wait or hold a goroutine, oldest first. */
  get requests(): readonly SuspendRequest[] {
    return [...this.#requests];
  }

  /** g of a thread; 0 where it has none (yet). */
  getg(thread: ThreadView): number {
    try {
      return getg(this.#session.arch, this.#go.memory, thread);
    } catch (error) {
      if (error instanceof GuestReadError) return 0;
      throw error;
    }
  }

  /** The g of a goroutine by its number. */
  find(goid: number): number | undefined {
    const { runtime } = this.#model;
    const threads = this.#session.threads().map((thread) => this.getg(thread));
    const { gs } = runtime.goroutines(this.#go.allgs, threads);
    return gs.find((g) => this.#model.describe(g, undefined).goid === goid && !runtime.isDead(g));
  }

  /**
   * Asks for a goroutine to be suspended; it is, once the program has run far enough (`settle`, or any other way to run it).
   * @param gp its g
   * @throws GuestCallError if it is running, and the runtime is not up yet
   */
  request(gp: number): SuspendRequest {
    const { runtime } = this.#model;
    if ((runtime.readgstatus(gp) & ~Gscan) === Grunning) this.#join();
    const now = this.#session.machine.instructions;
    const request: Request = {
      g: gp,
      goid: runtime.goid(gp),
      phase: 'waiting',
      reason: 'not looked at yet',
      state: undefined,
      kind: undefined,
      askedAt: now,
      suspendedAt: undefined,
      counts: { steps: 0, signals: 0, refused: 0 },
      machine: new Suspension(this.#model, gp),
      due: now,
    };
    this.#requests.add(request);
    try {
      this.#step(request);
    } catch (error) {
      this.#requests.delete(request);
      throw error;
    }
    return request;
  }

  /**
   * Runs the program until every request is suspended.
   * @param limit of instructions
   * @throws SuspendError if one does not get there; what the runtime would throw is thrown too
   */
  settle(requests: readonly SuspendRequest[], limit = SUSPEND_LIMIT): void {
    const stop = this.#session.machine.instructions + limit;
    const waiting = (): Request[] => [...this.#requests].filter((r) => r.phase === 'waiting' && requests.includes(r));
    for (;;) {
      const left = waiting();
      const first = left[0];
      if (first === undefined) return;
      const now = this.#session.machine.instructions;
      const give = (why: string): never => {
        for (const request of left) this.#abandon(request);
        throw new SuspendError(`goroutine ${first.goid} did not come to a safe-point: ${why} (${first.reason})`);
      };
      if (now >= stop) give(`${limit} instructions have passed`);
      const due = left.reduce((least, r) => Math.min(least, r.due), Number.POSITIVE_INFINITY);
      const end = this.#session.advance(Math.min(stop, Math.max(due, now + 1)));
      if (end === undefined) continue;
      // Nothing runs any more: this may be so because the goroutine has just been parked for us.
      const before = left.length;
      if (end.kind === 'deadlock') for (const request of left) this.#step(request);
      if (waiting().length === before) give(endText(end));
    }
  }

  /** Suspends a goroutine and runs the program until it is. @throws SuspendError */
  suspendG(gp: number, limit = SUSPEND_LIMIT): SuspendRequest {
    const request = this.request(gp);
    this.settle([request], limit);
    return request;
  }

  /**
   * Lets a suspended goroutine go: its status is what it was, and if the suspension stopped it, it is runnable again.
   * @throws SuspendError if it is not suspended by this request; GuestCallError if it could not be readied
   */
  resumeG(suspended: SuspendRequest): void {
    const request = [...this.#requests].find((r) => r === suspended);
    if (request?.phase !== 'suspended' || request.state === undefined) {
      throw new SuspendError(`goroutine ${suspended.goid} is not suspended by this request`);
    }
    // The thread that calls ready is found first: without one the goroutine stays suspended.
    if (request.state.stopped) this.#untilBorrowable();
    const ready = resumeG(this.#model, request.state);
    this.#breakLinks();
    request.phase = 'resumed';
    this.#requests.delete(request);
    if (ready) this.#ready(request.g);
    if (this.#requests.size === 0) this.#leave();
  }

  /** Forgets every request without touching the program: after a snapshot from before them is restored. */
  reset(): void {
    this.#requests.clear();
    this.#signalled.clear();
    this.#counted = false;
  }

  /** Gives a request up, which the runtime never does: else the goroutine would park, with nobody to ready it. */
  #abandon(request: Request): void {
    this.#requests.delete(request);
    const { runtime } = this.#model;
    const { kernel } = this.#session.process;
    const asked = [...this.#requests].some((r) => r.g === request.g);
    if (asked || kernel.exit !== undefined) return;
    runtime.setPreemptStop(request.g, false);
    this.#breakLinks();
    if (this.#requests.size === 0) this.#leave();
  }

  // In the run

  #next(now: number): number {
    const tid = this.#session.process.kernel.current?.tid;
    if (tid !== undefined && this.#signalled.has(tid)) return now;
    let next = Number.POSITIVE_INFINITY;
    for (const r of this.#requests) if (r.phase === 'waiting') next = Math.min(next, r.due);
    return next;
  }

  #fire(kernel: Kernel, task: Task): void {
    const now = kernel.machine.instructions;
    for (const request of this.#requests) if (request.phase === 'waiting' && request.due <= now) this.#step(request);
    if (this.#signalled.delete(task.tid)) this.#doSigPreempt();
  }

  /** One turn of suspendG's loop. */
  #step(request: Request): void {
    const { clock, machine } = this.#session.process.kernel;
    request.counts.steps++;
    let step: ReturnType<Suspension['step']>;
    try {
      step = request.machine.step(clock.now());
    } catch (error) {
      this.#requests.delete(request);
      throw error;
    }
    this.#breakLinks();
    if (step.kind === 'suspended') {
      request.phase = 'suspended';
      request.state = step.state;
      request.reason = '';
      request.suspendedAt = machine.instructions;
      if (!step.state.dead) request.kind = stoppedKind(this.#model, request.g);
      return;
    }
    request.reason = step.reason;
    request.due = Math.max(clock.countAt(step.until), machine.instructions + 1);
    if (step.preemptM !== undefined && this.#mode !== 'off') this.#preemptM(request, step.preemptM);
  }

  /** runtime `preemptM`: sends the M's thread a signal, unless one is on its way. */
  #preemptM(request: Request, mp: number): void {
    const { runtime, rules } = this.#model;
    const { kernel } = this.#session.process;
    if (rules.signalPending) {
      if (runtime.signalPending(mp) !== 0) return;
      runtime.setSignalPending(mp, 1);
    }
    const task = kernel.task(runtime.procid(mp));
    if (task === undefined) return;
    request.counts.signals++;
    if (this.#mode === 'host') {
      this.#signalled.add(task.tid);
      return;
    }
    const { pid, uid } = kernel.identity;
    kernel.signalTask(task, { signal: kernel.abi.signals.number('SIGURG'), code: SI_TKILL, pid, uid });
  }

  /** The signal has arrived at the thread that runs: the host's model of its handler. */
  #doSigPreempt(): void {
    const gp = this.getg(this.#thread);
    const { refusedBy } = this.#model.doSigPreempt(gp, this.#thread);
    this.#thread.exceptionReturn();
    if (refusedBy === undefined) return;
    for (const request of this.#requests) if (request.g === gp) request.counts.refused++;
  }

  /** A store by another processor: a linked load in progress fails. */
  #breakLinks(): void {
    const { kernel } = this.#session.process;
    if (kernel.current !== undefined) kernel.abi.exceptionReturn(this.#session.machine);
  }

  // What the runtime does for us

  /** Runs the program until a thread of the runtime sleeps. One whose sleep is over gets its turn at once, to sleep again. */
  #untilBorrowable(): void {
    const stop = this.#session.machine.instructions + BORROW_LIMIT;
    while (!this.#sleeping.available) {
      const now = this.#session.machine.instructions;
      this.#session.process.kernel.sched.yield();
      const end: SessionEnd | undefined = this.#session.advance(now + BORROW_STEP);
      if (end !== undefined && end.kind !== 'deadlock')
        throw new GuestCallError(`the program is over: ${endText(end)}`);
      if (end !== undefined || now >= stop)
        throw new GuestCallError(
          'no thread of the runtime sleeps; it may not have started its monitor yet: run on to main.main',
        );
    }
  }

  #join(): void {
    if (this.#counted) return;
    this.#untilBorrowable();
    this.#sleeping.call('runtime.incidlelocked', () => [{ int32: -1 }]);
    this.#counted = true;
  }

  #leave(): void {
    if (!this.#counted) return;
    this.#untilBorrowable();
    this.#sleeping.call('runtime.incidlelocked', () => [{ int32: 1 }]);
    this.#counted = false;
  }

  /** Puts a waiting goroutine on a run queue: a gList of one. Its second word is its length from Go 1.25 on. */
  #ready(gp: number): void {
    const { memory, program } = this.#go;
    this.#sleeping.call('runtime.injectglist', (scratch) => {
      memory.writePointer(gp + program.offsets.g.schedlink, 0);
      memory.writePointer(scratch, gp);
      memory.writeU32(scratch + memory.pointerSize, 1);
      return [scratch];
    });
  }
}
