// eventfd and timerfd.

import { openFlags, TIMESPEC, TIMESPEC64 } from '../abi/files.ts';
import type { Call, Result, Row } from '../call.ts';
import { row } from '../call.ts';
import { makeEventCounter, makeTimerCounter, type TimerCounter } from '../vfs/counter.ts';
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from '../vfs/file.ts';
import { filesOf, timespecAt } from './files.ts';

function eventfd(call: Call, guestFlags: number): Result {
  const EFD_SEMAPHORE = 1;
  const flags = openFlags(call.abi, guestFlags & ~EFD_SEMAPHORE);
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const counter = makeEventCounter(vfs.newObject(), call.args[0]!, (guestFlags & EFD_SEMAPHORE) !== 0);
  return vfs.install(
    {
      kind: 'eventfd',
      counter,
      refs: 0,
      flags: O_RDWR | (flags & O_NONBLOCK),
      ino: vfs.newIno(),
      wait: counter.wait,
    },
    (flags & O_CLOEXEC) !== 0,
  );
}

function timerfdCreate(call: Call): Result {
  const [clock, guestFlags] = call.args as [number, number];
  const flags = openFlags(call.abi, guestFlags);
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  // Throws for a clock that there is not.
  vfs.kernel.clock(clock);
  const timer = makeTimerCounter(vfs.newObject(), clock);
  return vfs.install(
    { kind: 'timerfd', timer, refs: 0, flags: O_RDWR | (flags & O_NONBLOCK), ino: vfs.newIno(), wait: timer.wait },
    (flags & O_CLOEXEC) !== 0,
  );
}

const SECOND = 1_000_000_000n;

/** Writes what is left of a timer and its interval: struct itimerspec. */
function putTimer(call: Call, address: number, timer: TimerCounter, now: bigint, wide: boolean): void {
  let left = 0n;
  if (timer.at > now) left = timer.at - now;
  else if (timer.at !== 0n && timer.interval !== 0n) left = timer.interval - ((now - timer.at) % timer.interval);
  const put = (at: number, time: bigint): void => {
    const { memory, abi } = call;
    if (wide) TIMESPEC64.write(memory, abi.word, at, { sec: time / SECOND, nsec: time % SECOND });
    else TIMESPEC.write(memory, abi.word, at, { sec: Number(time / SECOND), nsec: Number(time % SECOND) });
  };
  put(address, timer.interval);
  put(address + (wide ? 16 : 2 * call.abi.word), left);
}

function timerfdSettime(call: Call, wide: boolean): Result {
  const TFD_TIMER_ABSTIME = 1;
  const TFD_TIMER_CANCEL_ON_SET = 2;
  const [fd, flags, fresh, old] = call.args as [number, number, number, number];
  if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const file = vfs.file(fd);
  if (file.kind !== 'timerfd') return 'EINVAL';
  const { timer } = file;
  const interval = BigInt(timespecAt(call, fresh, wide));
  const value = BigInt(timespecAt(call, fresh + (wide ? 16 : 2 * call.abi.word), wide));
  const now = vfs.kernel.clock(timer.clock);
  if (old !== 0) putTimer(call, old, timer, now, wide);
  timer.interval = interval;
  timer.told = false;
  timer.at = value === 0n ? 0n : (flags & TFD_TIMER_ABSTIME) !== 0 ? value : now + value;
  const { timers } = vfs.state;
  if (!timers.includes(timer)) timers.push(timer);
  // Whoever waits computed its deadline without this timer.
  call.kernel.wake(timer.wait.key);
  vfs.fireTimers();
  return 0;
}

function timerfdGettime(call: Call, wide: boolean): Result {
  const vfs = filesOf(call);
  const file = vfs.file(call.args[0]!);
  if (file.kind !== 'timerfd') return 'EINVAL';
  putTimer(call, call.args[1]!, file.timer, vfs.kernel.clock(file.timer.clock), wide);
  return 0;
}

export const EVENT_ROWS: readonly Row[] = [
  row('eventfd', ['uint'], (call) => eventfd(call, 0)),
  row('eventfd2', ['uint', 'flags'], (call) => eventfd(call, call.args[1]!)),
  row('timerfd_create', ['clock', 'flags'], timerfdCreate),
  row('timerfd_settime', ['fd', 'flags', 'ptr', 'out'], (call) => timerfdSettime(call, false)),
  row('timerfd_gettime', ['fd', 'out'], (call) => timerfdGettime(call, false)),
  row('timerfd_settime64', ['fd', 'flags', 'ptr', 'out'], (call) => timerfdSettime(call, true)),
  row('timerfd_gettime64', ['fd', 'out'], (call) => timerfdGettime(call, true)),
];
