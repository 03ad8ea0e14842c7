// Waiting for files: epoll, poll, select.

import { epollEvent, openFlags, POLLFD, TIMEVAL } from '../abi/files.ts';
import type { Call, Result, Row } from '../call.ts';
import { row } from '../call.ts';
import {
  EPOLLEXCLUSIVE,
  EPOLLWAKEUP,
  epollAdd,
  epollCollect,
  epollDelete,
  epollModify,
  makeEpoll,
} from '../vfs/epoll.ts';
import { O_CLOEXEC, O_RDWR, type OpenFile } from '../vfs/file.ts';
import { pollFile } from '../vfs/io.ts';
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM } from '../vfs/pollable.ts';
import { filesOf, timespecAt, waitOn } from './files.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** On MIPS, POLLWRNORM is POLLOUT, and 0x100 is POLLWRBAND, which nothing here reports (arch/mips/include/uapi/asm/poll.h). */
const guestEvents = (call: Call, events: number): number => (call.abi.mips ? events & ~POLLWRNORM : events);

/** What a wait keeps: until when the guest wants to wait, which a timer of timerfd may precede. */
interface Until {
  readonly until: number;
}

/** The guest's deadline: fixed when the call begins. */
function deadlineOf(call: Call, timeout: () => number): number {
  if (call.wake === 'first') return call.kernel.clock.now() + timeout();
  return (call.saved as Until).until;
}

const milliseconds = (value: number): number => (value < 0 ? NEVER : value * 1_000_000);

/** Replaces the thread's signal mask for the time of the call (set_user_sigmask): the kernel puts it back. */
function replaceMask(call: Call, address: number, size: number): void {
  if (call.wake !== 'first' || address === 0) return;
  call.kernel.signals.replaceMask(call.task, address, size);
}

function epollCreate(call: Call, flags: number): Result {
  if ((flags & ~O_CLOEXEC) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const epoll = makeEpoll(vfs.newObject());
  return vfs.install(
    { kind: 'epoll', epoll, refs: 0, flags: O_RDWR, ino: vfs.newIno(), wait: epoll.wait },
    (flags & O_CLOEXEC) !== 0,
  );
}

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;

function epollCtl(call: Call): Result {
  const [epfd, operation, fd, address] = call.args as [number, number, number, number];
  const vfs = filesOf(call);
  const event =
    operation === EPOLL_CTL_DEL
      ? { events: 0, data: 0n }
      : epollEvent(call.abi).read(call.memory, call.abi.word, address);
  const set = vfs.file(epfd);
  const file = vfs.file(fd);
  if (file.wait === undefined) return 'EPERM';
  if (set.kind !== 'epoll' || set === file) return 'EINVAL';
  const { epoll } = set;
  const poll = (each: OpenFile): number => pollFile(vfs, each);
  const wake = (key: string): void => vfs.kernel.wake(key);
  const events = (event.events & ~EPOLLWAKEUP) >>> 0;
  switch (operation) {
    case EPOLL_CTL_ADD:
      epollAdd(epoll, file, fd, events, event.data, poll, wake);
      return 0;
    case EPOLL_CTL_DEL:
      epollDelete(epoll, file, fd);
      return 0;
    case EPOLL_CTL_MOD:
      if ((events & EPOLLEXCLUSIVE) !== 0) return 'EINVAL';
      epollModify(epoll, file, fd, events, event.data, poll, wake);
      return 0;
    default:
      return 'EINVAL';
  }
}

function epollWait(call: Call, timeout: () => number): Result {
  const [epfd, address, max] = call.args as [number, number, number];
  const vfs = filesOf(call);
  const set = vfs.file(epfd);
  if (max <= 0 || set.kind !== 'epoll') return 'EINVAL';
  const until = deadlineOf(call, timeout);
  const layout = epollEvent(call.abi);
  const { word } = call.abi;
  const events = epollCollect(set.epoll, max, (file) => pollFile(vfs, file));
  for (const [i, { events: bits, data }] of events.entries())
    layout.write(call.memory, word, address + i * layout.size(word), { events: guestEvents(call, bits) >>> 0, data });
  if (events.length > 0) return events.length;
  if (call.kernel.clock.now() >= until) return 0;
  if (call.wake === 'signal') return 'EINTR';
  return waitOn(vfs, [set.epoll.wait.key], until, { until } satisfies Until);
}

/** Most descriptors in one poll: RLIMIT_NOFILE. */
const POLL_MAX = 1_048_576;

function poll(call: Call, timeout: () => number): Result {
  const [address, count] = call.args as [number, number];
  const vfs = filesOf(call);
  if (count > POLL_MAX) return 'EINVAL';
  const until = deadlineOf(call, timeout);
  const { memory, abi } = call;
  const size = POLLFD.size(abi.word);
  const keys: string[] = [];
  let ready = 0;
  for (let i = 0; i < count; i++) {
    const at = address + i * size;
    const { fd, events } = POLLFD.read(memory, abi.word, at);
    let found = 0;
    if (fd >= 0) {
      const file = vfs.state.descriptors.entries.get(fd)?.file;
      if (file === undefined || file.kind === 'path') found = POLLNVAL;
      else {
        found = guestEvents(call, pollFile(vfs, file)) & (events | POLLERR | POLLHUP);
        if (file.wait !== undefined) keys.push(file.wait.key);
      }
    }
    if (found !== 0) ready++;
    POLLFD.set(memory, abi.word, at, { revents: found });
  }
  if (ready > 0 || call.kernel.clock.now() >= until) return ready;
  if (call.wake === 'signal') return 'ERESTARTNOHAND';
  return waitOn(vfs, keys, until, { until } satisfies Until);
}

/** Events that each of select's three sets asks for, and those that count as an answer (fs/select.c). */
const SELECT_SETS = [POLLRDNORM | POLLIN | POLLHUP | POLLERR, POLLWRNORM | POLLOUT | POLLERR, POLLPRI] as const;

function select(call: Call, timeout: () => number): Result {
  const [count, ...sets] = call.args as [number, number, number, number];
  const vfs = filesOf(call);
  if (count < 0) return 'EINVAL';
  const until = deadlineOf(call, timeout);
  const { memory, abi } = call;
  const table = vfs.state.descriptors;
  const limit = Math.min(count, 65536);
  const bits = abi.word * 8;
  const bytes = Math.ceil(limit / bits) * abi.word;
  /** Where the bit of a descriptor is: sets are arrays of words, in the guest's byte order. */
  const place = (fd: number): { byte: number; mask: number } => {
    const within = (fd % bits) >>> 3;
    return {
      byte: Math.floor(fd / bits) * abi.word + (abi.bigEndian ? abi.word - 1 - within : within),
      mask: 1 << (fd & 7),
    };
  };
  const keys: string[] = [];
  const results: (Uint8Array | undefined)[] = [];
  let ready = 0;
  for (const [which, address] of sets.slice(0, 3).entries()) {
    if (address === 0) {
      results.push(undefined);
      continue;
    }
    const wanted = memory.read(address, bytes);
    const found = new Uint8Array(bytes);
    for (let fd = 0; fd < limit; fd++) {
      const { byte, mask } = place(fd);
      if ((wanted[byte]! & mask) === 0) continue;
      const file = table.entries.get(fd)?.file;
      if (file === undefined) return 'EBADF';
      if ((pollFile(vfs, file) & SELECT_SETS[which]!) !== 0) {
        found[byte] = found[byte]! | mask;
        ready++;
      }
      if (file.wait !== undefined) keys.push(file.wait.key);
    }
    results.push(found);
  }
  if (ready > 0 || call.kernel.clock.now() >= until) {
    for (const [which, found] of results.entries()) if (found !== undefined) memory.write(sets[which]!, found);
    return ready;
  }
  if (call.wake === 'signal') return 'ERESTARTNOHAND';
  return waitOn(vfs, keys, until, { until } satisfies Until);
}

/** Nanoseconds of a timeout that may be absent. */
const timespecTimeout = (call: Call, address: number, wide: boolean) => (): number =>
  address === 0 ? NEVER : timespecAt(call, address, wide);

const timevalTimeout = (call: Call, address: number) => (): number => {
  if (address === 0) return NEVER;
  const { sec, usec } = TIMEVAL.read(call.memory, call.abi.word, address);
  return sec * 1e9 + usec * 1000;
};

function selectTimeval(call: Call): Result {
  return select(call, timevalTimeout(call, call.args[4]!));
}

/** pselect6's sixth argument points to the mask and its size. */
function pselect(call: Call, wide: boolean): Result {
  const [, , , , timeout, packed] = call.args as [number, number, number, number, number, number];
  if (packed !== 0 && call.wake === 'first') {
    const { memory, abi } = call;
    const word = (at: number): number => (abi.word === 4 ? memory.readU32(at) : Number(memory.readU64(at)));
    replaceMask(call, word(packed), word(packed + abi.word));
  }
  return select(call, timespecTimeout(call, timeout, wide));
}

function ppoll(call: Call, wide: boolean): Result {
  const [, , timeout, mask, size] = call.args as [number, number, number, number, number];
  replaceMask(call, mask, size);
  return poll(call, timespecTimeout(call, timeout, wide));
}

export const POLL_ROWS: readonly Row[] = [
  row('epoll_create', ['int'], (call) => (call.args[0]! <= 0 ? 'EINVAL' : epollCreate(call, 0))),
  row('epoll_create1', ['flags'], (call) => epollCreate(call, openFlags(call.abi, call.args[0]!))),
  row('epoll_ctl', ['fd', 'int', 'fd', 'ptr'], epollCtl),
  row('epoll_wait', ['fd', 'out', 'int', 'int'], (call) => epollWait(call, () => milliseconds(call.args[3]!))),
  row('epoll_pwait', ['fd', 'out', 'int', 'int', 'ptr', 'size'], (call) => {
    replaceMask(call, call.args[4]!, call.args[5]!);
    return epollWait(call, () => milliseconds(call.args[3]!));
  }),
  row('epoll_pwait2', ['fd', 'out', 'int', 'ptr', 'ptr', 'size'], (call) => {
    replaceMask(call, call.args[4]!, call.args[5]!);
    return epollWait(call, timespecTimeout(call, call.args[3]!, true));
  }),
  row('poll', ['ptr', 'uint', 'int'], (call) => poll(call, () => milliseconds(call.args[2]!))),
  row('ppoll', ['ptr', 'uint', 'timespec', 'ptr', 'size'], (call) => ppoll(call, false)),
  row('ppoll_time64', ['ptr', 'uint', 'ptr', 'ptr', 'size'], (call) => ppoll(call, true)),
  row('select', ['int', 'ptr', 'ptr', 'ptr', 'ptr'], selectTimeval),
  row('_newselect', ['int', 'ptr', 'ptr', 'ptr', 'ptr'], selectTimeval),
  row('pselect6', ['int', 'ptr', 'ptr', 'ptr', 'timespec', 'ptr'], (call) => pselect(call, false)),
  row('pselect6_time64', ['int', 'ptr', 'ptr', 'ptr', 'ptr', 'ptr'], (call) => pselect(call, true)),
];
