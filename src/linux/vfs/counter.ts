// eventfd and timerfd: descriptors that hold a 64-bit count.

import { CallError } from '../abi/errno.ts';
import { POLLERR, type Pollable, pollable, READABLE, WRITABLE } from './pollable.ts';

/** The largest count of an eventfd (eventfd(2)). */
const COUNT_MAX = 2n ** 64n - 2n;

export interface EventCounter {
  count: bigint;
  readonly semaphore: boolean;
  readonly wait: Pollable;
}

export function makeEventCounter(id: number, count: number, semaphore: boolean): EventCounter {
  return { count: BigInt(count), semaphore, wait: pollable(`eventfd:${id}`) };
}

type Notify = (target: Pollable, events: number) => void;

/** The value read, or undefined where the reader must wait. (eventfd_read) */
export function readEventCounter(counter: EventCounter, notify: Notify): bigint | undefined {
  if (counter.count === 0n) return undefined;
  const value = counter.semaphore ? 1n : counter.count;
  counter.count -= value;
  notify(counter.wait, WRITABLE);
  return value;
}

/** False where the writer must wait. @throws CallError EINVAL (eventfd_write) */
export function writeEventCounter(counter: EventCounter, value: bigint, notify: Notify): boolean {
  if (value > COUNT_MAX) throw new CallError('EINVAL');
  if (COUNT_MAX - counter.count < value) return false;
  counter.count += value;
  notify(counter.wait, READABLE);
  return true;
}

export function pollEventCounter(counter: EventCounter): number {
  return (
    (counter.count > 0n ? READABLE : 0) |
    (counter.count < COUNT_MAX ? WRITABLE : 0) |
    (counter.count > COUNT_MAX ? POLLERR : 0)
  );
}

/** A timer that counts its own expirations. Times are nanoseconds of its clock; `at` 0 means disarmed. */
export interface TimerCounter {
  readonly clock: number;
  at: bigint;
  interval: bigint;
  /** Whoever watches knows of the expiration. */
  told: boolean;
  readonly wait: Pollable;
}

export function makeTimerCounter(id: number, clock: number): TimerCounter {
  return { clock, at: 0n, interval: 0n, told: false, wait: pollable(`timerfd:${id}`) };
}

/** Expirations up to `now` since the last read. */
export function timerExpirations(timer: TimerCounter, now: bigint): bigint {
  if (timer.at === 0n || now < timer.at) return 0n;
  return timer.interval === 0n ? 1n : (now - timer.at) / timer.interval + 1n;
}

/** Takes the expirations, or undefined where there are none. (timerfd_read) */
export function readTimerCounter(timer: TimerCounter, now: bigint): bigint | undefined {
  const count = timerExpirations(timer, now);
  if (count === 0n) return undefined;
  timer.told = false;
  timer.at = timer.interval === 0n ? 0n : timer.at + timer.interval * count;
  return count;
}
