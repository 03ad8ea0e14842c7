// Interval timers and POSIX timers: setitimer, timer_create. Each runs on guest time, which is the instruction count.

import type { Kernel } from './kernel.ts';
import type { Part } from './part.ts';
import { SI_KERNEL, SI_TIMER_GENERIC, SI_TIMER_MIPS } from './signal.ts';

/** What a timer counts: time since boot, CPU time of the process, or of one thread. */
export type TimerClock = 'boot' | 'process' | { readonly tid: number };

/** A timer, armed where `expires` is finite. Times in nanoseconds of its clock. */
export interface Timer {
  readonly id: number;
  readonly clock: TimerClock;
  /** Signal to send, 0 for none; to one thread or to the process. */
  readonly signal: number;
  readonly target: number | undefined;
  readonly value: bigint;
  /** Offset of the clock that the program sees from the one counted: CLOCK_REALTIME's epoch. */
  readonly base: bigint;
  readonly expires: number;
  readonly interval: number;
  /** Expirations that found the signal still pending. */
  readonly overrun: number;
}

/** ITIMER_REAL, _VIRTUAL, _PROF. User and system time are one here, so the last two count the same. */
export type IntervalTimers = readonly [real: Timer, virtual: Timer, profile: Timer];

interface Saved {
  readonly interval: IntervalTimers;
  readonly posix: readonly Timer[];
  readonly nextId: number;
}

const NEVER = Number.POSITIVE_INFINITY;

export class Timers implements Part<Saved> {
  readonly #kernel: Kernel;
  #interval: IntervalTimers;
  #posix: readonly Timer[] = [];
  /** Those of both lists that are armed: mostly none, and asked for at every stop. */
  #armed: readonly Timer[] = [];
  #nextId = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const timer = (id: number, clock: TimerClock, signal: number): Timer => ({
      id,
      clock,
      signal,
      target: undefined,
      value: 0n,
      base: 0n,
      expires: NEVER,
      interval: 0,
      overrun: 0,
    });
    const { signals } = kernel.abi;
    this.#interval = [
      timer(0, 'boot', signals.number('SIGALRM')),
      timer(1, 'process', signals.number('SIGVTALRM')),
      timer(2, 'process', signals.number('SIGPROF')),
    ];
  }

  interval(which: 0 | 1 | 2): Timer {
    return this.#interval[which];
  }

  setInterval(which: 0 | 1 | 2, expires: number, interval: number): void {
    this.#changeInterval(which, { ...this.#interval[which], expires, interval });
  }

  posix(id: number): Timer | undefined {
    return this.#posix.find((t) => t.id === id);
  }

  /** Makes a POSIX timer, unarmed. @returns its id. */
  create(timer: Pick<Timer, 'clock' | 'signal' | 'target' | 'base'> & { readonly value: bigint | undefined }): number {
    const id = this.#nextId++;
    // Without a sigevent the value is the timer's id (timer_create(2)).
    const value = timer.value ?? BigInt(id);
    this.#change(this.#interval, [...this.#posix, { ...timer, value, id, expires: NEVER, interval: 0, overrun: 0 }]);
    return id;
  }

  set(id: number, expires: number, interval: number): void {
    this.#changePosix(id, { expires, interval, overrun: 0 });
  }

  remove(id: number): void {
    this.#change(
      this.#interval,
      this.#posix.filter((t) => t.id !== id),
    );
  }

  /** Nanoseconds on a timer's clock. */
  now(clock: TimerClock): number {
    const { kernel, ns } = { kernel: this.#kernel, ns: this.#kernel.clock.nsPerInstruction };
    if (clock === 'boot') return kernel.clock.now();
    if (clock === 'process') return Math.floor(kernel.machine.instructions * ns);
    const task = kernel.task(clock.tid);
    return task === undefined ? 0 : Math.floor(kernel.executed(task) * ns);
  }

  /** Instruction count at which the next timer expires if the present thread keeps running. */
  nextCount(): number {
    let next = NEVER;
    const { clock, machine, current } = this.#kernel;
    for (const timer of this.#armed) {
      if (timer.clock === 'boot') next = Math.min(next, clock.countAt(timer.expires));
      else if (timer.clock === 'process' || timer.clock.tid === current?.tid) {
        const left = timer.expires - this.now(timer.clock);
        next = Math.min(next, machine.instructions + Math.ceil(left / clock.nsPerInstruction));
      }
    }
    return next;
  }

  /** Time since boot of the next expiration that comes even when nothing runs. */
  nextTime(): number {
    let next = NEVER;
    for (const timer of this.#armed) if (timer.clock === 'boot') next = Math.min(next, timer.expires);
    return next;
  }

  #change(interval: IntervalTimers, posix: readonly Timer[]): void {
    this.#interval = interval;
    this.#posix = posix;
    this.#armed = [...interval, ...posix].filter((timer) => timer.expires !== NEVER);
  }

  #changeInterval(which: 0 | 1 | 2, timer: Timer): void {
    this.#change(this.#interval.with(which, timer) as unknown as IntervalTimers, this.#posix);
  }

  #changePosix(id: number, changes: Partial<Timer>): void {
    this.#change(
      this.#interval,
      this.#posix.map((t) => (t.id === id ? { ...t, ...changes } : t)),
    );
  }

  /** Sends the signals of every timer that is due. */
  fire(): void {
    if (this.#armed.length === 0) return;
    for (const which of [0, 1, 2] as const) {
      const timer = this.#interval[which];
      const now = this.now(timer.clock);
      if (timer.expires > now) continue;
      const [expires] = advance(timer, now);
      this.#changeInterval(which, { ...timer, expires });
      this.#kernel.signalProcess({ signal: timer.signal, code: SI_KERNEL });
    }
    for (const timer of this.#posix) {
      const now = this.now(timer.clock);
      if (timer.expires > now) continue;
      const [expires, missed] = advance(timer, now);
      this.#changePosix(timer.id, { expires, overrun: missed });
      if (timer.signal === 0) continue;
      const code = this.#kernel.abi.mips ? SI_TIMER_MIPS : SI_TIMER_GENERIC;
      const info = { signal: timer.signal, code, value: timer.value, timer: { id: timer.id, overrun: missed } };
      if (timer.target === undefined) this.#kernel.signalProcess(info);
      else {
        const task = this.#kernel.task(timer.target);
        if (task !== undefined) this.#kernel.signalTask(task, info);
      }
    }
  }

  save(): Saved {
    return { interval: this.#interval, posix: this.#posix, nextId: this.#nextId };
  }

  restore(saved: Saved): void {
    this.#change(saved.interval, saved.posix);
    this.#nextId = saved.nextId;
  }
}

/** When a timer that expired expires next, and how many expirations went by in between. */
function advance(timer: Timer, now: number): readonly [expires: number, missed: number] {
  if (timer.interval === 0) return [NEVER, 0];
  const periods = Math.floor((now - timer.expires) / timer.interval) + 1;
  return [timer.expires + periods * timer.interval, periods - 1];
}
