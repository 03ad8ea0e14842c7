// Time: clocks, sleeping, interval timers and POSIX timers.

import { struct } from '../abi/layout.ts';
import { type Call, type Result, type Row, refused, row } from '../call.ts';
import type { Kernel } from '../kernel.ts';
import { readTimespec, readTimeval, type TimeForm, timespecSize, writeTimespec, writeTimeval } from '../time.ts';
import type { TimerClock } from '../timers.ts';

export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
const CLOCK_PROCESS_CPUTIME_ID = 2;
const CLOCK_THREAD_CPUTIME_ID = 3;
const CLOCK_REALTIME_COARSE = 5;
const CLOCK_REALTIME_ALARM = 8;
const CLOCK_TAI = 11;
/** MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE, BOOTTIME, BOOTTIME_ALARM: the guest never sleeps, so they agree. */
const SINCE_BOOT: ReadonlySet<number> = new Set([CLOCK_MONOTONIC, 4, 6, 7, 9]);
const WALL: ReadonlySet<number> = new Set([CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_REALTIME_ALARM, CLOCK_TAI]);
const TIMER_ABSTIME = 1;

/** What a clockid counts, and its offset from that; undefined for one that does not exist. */
function clockOf(call: Call, id: number): { readonly clock: TimerClock; readonly base: bigint } | undefined {
  const { kernel, task } = call;
  if (WALL.has(id)) return { clock: 'boot', base: kernel.clock.epoch };
  if (SINCE_BOOT.has(id)) return { clock: 'boot', base: 0n };
  if (id === CLOCK_PROCESS_CPUTIME_ID) return { clock: 'process', base: 0n };
  if (id === CLOCK_THREAD_CPUTIME_ID) return { clock: { tid: task.tid }, base: 0n };
  if (id >= 0 || (id & 3) === 3) return undefined;
  // A CPU clock of a given process or thread: ~pid << 3 | per-thread << 2 | which (posix-timers.h).
  const owner = ~(id >> 3);
  if ((id & 4) === 0) return owner === 0 || owner === kernel.identity.pid ? { clock: 'process', base: 0n } : undefined;
  const tid = owner === 0 ? task.tid : owner;
  return kernel.task(tid) === undefined ? undefined : { clock: { tid }, base: 0n };
}

function clockGettime(call: Call, form: TimeForm): Result {
  const [id, address] = call.args as [number, number];
  const found = clockOf(call, id);
  if (found === undefined) return 'EINVAL';
  const now = call.kernel.timers.now(found.clock);
  const { base } = found;
  writeTimespec(call.memory, call.abi.word, address, form, base === 0n ? now : BigInt(now) + base);
  return 0;
}

function clockGetres(call: Call, form: TimeForm): Result {
  const [id, address] = call.args as [number, number];
  if (clockOf(call, id) === undefined) return 'EINVAL';
  const coarse = id === CLOCK_REALTIME_COARSE || id === 6;
  if (address !== 0) writeTimespec(call.memory, call.abi.word, address, form, coarse ? 4_000_000n : 1n);
  return 0;
}

function gettimeofday(call: Call): Result {
  const [time, zone] = call.args as [number, number];
  if (time !== 0) writeTimeval(call.memory, call.abi.word, time, call.kernel.clock.wall());
  if (zone !== 0) call.memory.write(zone, new Uint8Array(8));
  return 0;
}

function time(call: Call): Result {
  const seconds = call.kernel.clock.wall() / 1_000_000_000n;
  const address = call.args[0]!;
  if (address !== 0) call.memory.writeU64(address, seconds);
  return seconds;
}

/**
 * How much later than asked a sleep ends: the timer slack of a thread (prctl(2), PR_SET_TIMERSLACK; 50 µs unless set), by which Linux
 * lets timers coalesce. The usleep of Go on MIPS hands microseconds to the kernel as nanoseconds (runtime/sys_linux_mips*.s); its monitor
 * would never rest without this.
 */
const TIMER_SLACK = 50_000;

/** Sleeps until `deadline`; when a handler cuts it short, writes what is left of a relative sleep. */
function sleep(call: Call, deadline: number | undefined, remaining: number, form: TimeForm): Result {
  switch (call.wake) {
    case 'timeout':
      return 0;
    case 'signal': {
      if (call.saved === 'absolute') return 'ERESTARTNOHAND';
      const left = Math.max(call.deadline - TIMER_SLACK - call.kernel.clock.now(), 0);
      if (remaining !== 0)
        writeTimespec(call.memory, call.abi.word, remaining, form, BigInt(Math.min(left, Number.MAX_SAFE_INTEGER)));
      return 'ERESTART_RESTARTBLOCK';
    }
    default:
      if (deadline === undefined) return 'EINVAL';
      if (deadline <= call.kernel.clock.now()) return 0;
      if (call.wake === 'first') deadline += TIMER_SLACK;
      return { keys: [], deadline, saved: call.saved ?? (remaining < 0 ? 'absolute' : 'relative') };
  }
}

function nanosleep(call: Call): Result {
  const [request, remaining] = call.args as [number, number];
  if (call.wake !== 'first') return sleep(call, call.deadline, remaining, 'long');
  const ns = readTimespec(call.memory, call.abi.word, request, 'long');
  return sleep(call, ns === undefined ? undefined : call.kernel.clock.now() + ns, remaining, 'long');
}

function clockNanosleep(call: Call, form: TimeForm): Result {
  const [id, flags, request, remaining] = call.args as [number, number, number, number];
  const absolute = (flags & TIMER_ABSTIME) !== 0;
  if (call.wake !== 'first') return sleep(call, call.deadline, absolute ? 0 : remaining, form);
  const found = clockOf(call, id);
  if (found === undefined) return 'EINVAL';
  // CPU clocks: the thread that sleeps does not advance them, others may.
  if (found.clock !== 'boot') return 'EOPNOTSUPP';
  const ns = readTimespec(call.memory, call.abi.word, request, form);
  if (ns === undefined) return 'EINVAL';
  return absolute
    ? sleep(call, ns - Number(found.base), -1, form)
    : sleep(call, call.kernel.clock.now() + ns, remaining, form);
}

// setitimer

const isInterval = (which: number): which is 0 | 1 | 2 => which === 0 || which === 1 || which === 2;

/** Nanoseconds until a timer expires, 0 where it is not armed. */
const left = (kernel: Kernel, timer: { readonly clock: TimerClock; readonly expires: number }): number =>
  timer.expires === Number.POSITIVE_INFINITY ? 0 : Math.max(timer.expires - kernel.timers.now(timer.clock), 1);

function writeItimerval(call: Call, which: 0 | 1 | 2, address: number): void {
  const { kernel, memory, abi } = call;
  const timer = kernel.timers.interval(which);
  writeTimeval(memory, abi.word, address, BigInt(timer.interval));
  writeTimeval(memory, abi.word, address + 2 * abi.word, BigInt(Math.ceil(left(kernel, timer) / 1000) * 1000));
}

function getitimer(call: Call): Result {
  const [which, address] = call.args as [number, number];
  if (!isInterval(which)) return 'EINVAL';
  writeItimerval(call, which, address);
  return 0;
}

function setitimer(call: Call): Result {
  const [which, fresh, old] = call.args as [number, number, number];
  const { kernel, memory, abi } = call;
  if (!isInterval(which)) return 'EINVAL';
  const interval = fresh === 0 ? 0 : readTimeval(memory, abi.word, fresh);
  const value = fresh === 0 ? 0 : readTimeval(memory, abi.word, fresh + 2 * abi.word);
  if (interval === undefined || value === undefined) return 'EINVAL';
  if (old !== 0) writeItimerval(call, which, old);
  const now = kernel.timers.now(kernel.timers.interval(which).clock);
  kernel.timers.setInterval(which, value === 0 ? Number.POSITIVE_INFINITY : now + value, interval);
  return 0;
}

function alarm(call: Call): Result {
  const { kernel } = call;
  const seconds = call.args[0]!;
  const before = Math.ceil(left(kernel, kernel.timers.interval(0)) / 1e9);
  kernel.timers.setInterval(0, seconds === 0 ? Number.POSITIVE_INFINITY : kernel.clock.now() + seconds * 1e9, 0);
  return before;
}

// POSIX timers

const SIGEV_SIGNAL = 0;
const SIGEV_NONE = 1;
const SIGEV_THREAD_ID = 4;
const SIGEVENT = struct({ value: ['ulong', 1], signo: 'i32', notify: 'i32', tid: 'i32' });

function timerCreate(call: Call): Result {
  const [id, event, out] = call.args as [number, number, number];
  const { kernel, memory, abi } = call;
  const found = clockOf(call, id);
  if (found === undefined) return 'EINVAL';
  let signal = abi.signals.number('SIGALRM');
  let target: number | undefined;
  let value: bigint | undefined;
  if (event !== 0) {
    const { signo, notify, tid } = SIGEVENT.read(memory, abi.word, event);
    value = abi.word === 8 ? memory.readU64(event) : BigInt(memory.readU32(event));
    if (notify === SIGEV_THREAD_ID) {
      if (kernel.task(tid) === undefined) return 'EINVAL';
      target = tid;
    } else if (notify !== SIGEV_SIGNAL && notify !== SIGEV_NONE) return 'EINVAL';
    if (notify !== SIGEV_NONE && (signo < 1 || signo > abi.signals.count)) return 'EINVAL';
    signal = notify === SIGEV_NONE ? 0 : signo;
  }
  memory.translate(out, 'write');
  memory.writeU32(out, kernel.timers.create({ clock: found.clock, base: found.base, signal, target, value }));
  return 0;
}

function writeItimerspec(call: Call, id: number, address: number, form: TimeForm): void {
  const { kernel, memory, abi } = call;
  const timer = kernel.timers.posix(id)!;
  writeTimespec(memory, abi.word, address, form, BigInt(timer.interval));
  writeTimespec(memory, abi.word, address + timespecSize(abi.word, form), form, BigInt(left(kernel, timer)));
}

function timerSettime(call: Call, form: TimeForm): Result {
  const [id, flags, fresh, old] = call.args as [number, number, number, number];
  const { kernel, memory, abi } = call;
  const timer = kernel.timers.posix(id);
  if (timer === undefined || fresh === 0) return 'EINVAL';
  const interval = readTimespec(memory, abi.word, fresh, form);
  const value = readTimespec(memory, abi.word, fresh + timespecSize(abi.word, form), form);
  if (interval === undefined || value === undefined) return 'EINVAL';
  if (old !== 0) writeItimerspec(call, id, old, form);
  let expires = Number.POSITIVE_INFINITY;
  if (value !== 0)
    expires = (flags & TIMER_ABSTIME) !== 0 ? value - Number(timer.base) : kernel.timers.now(timer.clock) + value;
  kernel.timers.set(id, expires, interval);
  return 0;
}

function timerGettime(call: Call, form: TimeForm): Result {
  const [id, address] = call.args as [number, number];
  if (call.kernel.timers.posix(id) === undefined) return 'EINVAL';
  writeItimerspec(call, id, address, form);
  return 0;
}

function timerDelete(call: Call): Result {
  const id = call.args[0]!;
  if (call.kernel.timers.posix(id) === undefined) return 'EINVAL';
  call.kernel.timers.remove(id);
  return 0;
}

// CPU time

const RUSAGE_THREAD = 1;
const RUSAGE_CHILDREN = -1;

function getrusage(call: Call): Result {
  const [who, address] = call.args as [number, number];
  const { kernel, memory, abi, task } = call;
  if (who < RUSAGE_CHILDREN || who > RUSAGE_THREAD) return 'EINVAL';
  const size = 18 * abi.word;
  memory.write(address, new Uint8Array(size));
  if (who === RUSAGE_CHILDREN) return 0;
  const used = kernel.timers.now(who === RUSAGE_THREAD ? { tid: task.tid } : 'process');
  writeTimeval(memory, abi.word, address, BigInt(used));
  const maxrss = Math.ceil(memory.residentBytes / 1024);
  if (abi.word === 8) memory.writeU64(address + 32, BigInt(maxrss));
  else memory.writeU32(address + 16, maxrss);
  return 0;
}

const TMS = struct({ utime: 'long', stime: 'long', cutime: 'long', cstime: 'long' });
/** USER_HZ is 100. */
const TICK = 10_000_000;

function times(call: Call): Result {
  const { kernel, memory, abi } = call;
  const address = call.args[0]!;
  const utime = Math.floor(kernel.timers.now('process') / TICK);
  if (address !== 0) TMS.write(memory, abi.word, address, { utime });
  return Math.floor(kernel.clock.now() / TICK);
}

const NANOSLEEP = ['clock', 'int', 'timespec', 'out'] as const;
const SETTIME = ['int', 'hex', 'ptr', 'out'] as const;
const CLOCK_IS_OURS = 'the clock is the instruction count';

export const TIME_CALLS: readonly Row[] = [
  row('clock_gettime', ['clock', 'out'], (call) => clockGettime(call, 'long')),
  row('clock_gettime64', ['clock', 'out'], (call) => clockGettime(call, 'time64')),
  row('clock_getres', ['clock', 'out'], (call) => clockGetres(call, 'long')),
  row('clock_getres_time64', ['clock', 'out'], (call) => clockGetres(call, 'time64')),
  refused('clock_settime', ['clock', 'timespec'], 'EPERM', CLOCK_IS_OURS),
  refused('clock_settime64', ['clock', 'ptr'], 'EPERM', CLOCK_IS_OURS),
  refused('settimeofday', ['ptr', 'ptr'], 'EPERM', CLOCK_IS_OURS),
  row('gettimeofday', ['out', 'out'], gettimeofday),
  row('time', ['out'], time),
  row('nanosleep', ['timespec', 'out'], nanosleep),
  row('clock_nanosleep', NANOSLEEP, (call) => clockNanosleep(call, 'long'), {
    support: 'partial',
    note: 'not on CPU clocks',
  }),
  row('clock_nanosleep_time64', NANOSLEEP, (call) => clockNanosleep(call, 'time64'), {
    support: 'partial',
    note: 'not on CPU clocks',
  }),
  row('getitimer', ['int', 'out'], getitimer),
  row('setitimer', ['int', 'ptr', 'out'], setitimer),
  row('alarm', ['uint'], alarm),
  row('timer_create', ['clock', 'ptr', 'out'], timerCreate),
  row('timer_settime', SETTIME, (call) => timerSettime(call, 'long')),
  row('timer_settime64', SETTIME, (call) => timerSettime(call, 'time64')),
  row('timer_gettime', ['int', 'out'], (call) => timerGettime(call, 'long')),
  row('timer_gettime64', ['int', 'out'], (call) => timerGettime(call, 'time64')),
  row('timer_getoverrun', ['int'], (call) => call.kernel.timers.posix(call.args[0]!)?.overrun ?? 'EINVAL'),
  row('timer_delete', ['int'], timerDelete),
  row('getrusage', ['int', 'out'], getrusage, { support: 'partial', note: 'user time and resident size' }),
  row('times', ['out'], times),
];
