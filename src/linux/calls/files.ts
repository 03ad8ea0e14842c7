// What the file calls share: the file system behind a call, paths and buffers from guest memory, waiting.

import { CallError } from '../abi/errno.ts';
import { IOVEC, TIMESPEC, TIMESPEC64 } from '../abi/files.ts';
import type { Call, Result, Wait } from '../call.ts';
import type { Kernel } from '../kernel.ts';
import { SI_USER } from '../signal.ts';
import { O_NONBLOCK, type OpenFile } from '../vfs/file.ts';
import { type Directory, isDirectory } from '../vfs/inode.ts';
import { MAX_COUNT } from '../vfs/io.ts';
import { Vfs, type VfsKernel } from '../vfs/vfs.ts';

export const AT_FDCWD = -100;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_EACCESS = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;

/** include/uapi/linux/time.h */
const CLOCK_REALTIME = 0;
const CLOCKS_SINCE_BOOT: readonly number[] = [1, 7, 9];
const CLOCK_REALTIME_ALARM = 8;

/** What the file system asks of this kernel. */
export function vfsKernel(kernel: Kernel, vfs: Vfs): VfsKernel {
  const { identity, clock } = kernel;
  return {
    wall: () => clock.wall(),
    now: () => BigInt(clock.now()),
    clock: (id) => {
      if (id === CLOCK_REALTIME || id === CLOCK_REALTIME_ALARM) return clock.wall();
      if (CLOCKS_SINCE_BOOT.includes(id)) return BigInt(clock.now());
      throw new CallError('EINVAL');
    },
    entropy: (length) => kernel.random.bytes(length),
    wake: (key) => {
      kernel.wake(key);
    },
    process: {
      ...identity,
      machine: kernel.abi.machineName,
      cpus: kernel.cpus,
      exe: () => vfs.program.exe,
      args: () => vfs.program.args,
      environment: () => vfs.program.environment,
      auxv: () => vfs.program.auxv,
      maps: () => kernel.mm.vmas,
      threads: () =>
        kernel.tasks.map((task) => ({
          tid: task.tid,
          name: task.name,
          state: task.blocked === undefined ? 'R' : 'S',
        })),
      residentBytes: () => kernel.memory.residentBytes,
      signals: (tid) => {
        const task = kernel.task(tid);
        let ignored = 0n;
        let caught = 0n;
        for (let signal = 1; signal <= kernel.abi.signals.count; signal++) {
          const { handler } = kernel.signals.action(signal);
          if (handler === 1) ignored |= 1n << BigInt(signal - 1);
          else if (handler !== 0) caught |= 1n << BigInt(signal - 1);
        }
        const pending = (task?.pending ?? []).reduce((set, info) => set | (1n << BigInt(info.signal - 1)), 0n);
        return { pending, blocked: task?.mask ?? 0n, ignored, caught };
      },
    },
  };
}

/** The file system behind a call. */
export function filesOf(call: Call): Vfs {
  const vfs = call.kernel.files;
  if (!(vfs instanceof Vfs)) throw new TypeError('the kernel was given no file system');
  if (!vfs.attached) vfs.attach(vfsKernel(call.kernel, vfs));
  vfs.currentTid = call.task.tid;
  vfs.fireTimers();
  return vfs;
}

const PATH_MAX = 4096;

/** A path as a byte string. @throws GuestFault; CallError ENAMETOOLONG */
export function pathAt(call: Call, address: number): string {
  const bytes = call.memory.readCString(address, PATH_MAX);
  if (bytes.length >= PATH_MAX) throw new CallError('ENAMETOOLONG');
  return byteString(bytes);
}

export function byteString(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function bytesOfString(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

/** The directory from which a relative path of an *at call starts. @throws CallError EBADF, ENOTDIR */
export function startAt(vfs: Vfs, dirfd: number, path: string): Directory {
  if (path.startsWith('/') || dirfd === AT_FDCWD) return vfs.state.cwd;
  const file = vfs.file(dirfd);
  if ((file.kind !== 'directory' && file.kind !== 'path') || !isDirectory(file.inode)) throw new CallError('ENOTDIR');
  return file.inode;
}

export interface Segment {
  readonly base: number;
  readonly length: number;
}

/** UIO_MAXIOV */
const IOV_MAX = 1024;

/** An iovec array. @throws CallError EINVAL; GuestFault */
export function segmentsAt(call: Call, address: number, count: number): Segment[] {
  if (count < 0 || count > IOV_MAX) throw new CallError('EINVAL');
  const { word } = call.abi;
  const out: Segment[] = [];
  let total = 0;
  for (let i = 0; i < count; i++) {
    const { base, length } = IOVEC.read(call.memory, word, address + i * IOVEC.size(word));
    if (length > (word === 4 ? 0x7fff_ffff : Number.MAX_SAFE_INTEGER)) throw new CallError('EINVAL');
    const taken = Math.min(length, MAX_COUNT - total);
    total += taken;
    out.push({ base, length: taken });
  }
  return out;
}

export const lengthOf = (segments: readonly Segment[]): number => segments.reduce((sum, { length }) => sum + length, 0);

/** Copies bytes out to the guest, segment after segment. */
export function scatter(call: Call, segments: readonly Segment[], bytes: Uint8Array): void {
  let done = 0;
  for (const { base, length } of segments) {
    if (done === bytes.length) break;
    const part = bytes.subarray(done, done + length);
    call.memory.write(base, part);
    done += part.length;
  }
}

/** Bytes `from` to `from + count` of the segments together. */
export function gather(call: Call, segments: readonly Segment[], from: number, count: number): Uint8Array {
  const out = new Uint8Array(count);
  let skip = from;
  let done = 0;
  for (const { base, length } of segments) {
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const part = Math.min(length - skip, count - done);
    out.set(call.memory.read(base + skip, part), done);
    done += part;
    skip = 0;
    if (done === count) break;
  }
  return out;
}

/** A wait for readiness of files: a timer of timerfd may end it too. */
export function waitOn(vfs: Vfs, keys: readonly string[], deadline: number, saved: unknown): Wait {
  return { keys, deadline: Math.min(deadline, vfs.nextTimer()), saved };
}

/** What a call does whose file is not ready: EAGAIN, or wait, or give way to a signal. */
export function notReady(call: Call, vfs: Vfs, file: OpenFile, saved?: unknown): Result {
  if ((file.flags & O_NONBLOCK) !== 0 || file.wait === undefined) return 'EAGAIN';
  if (call.wake === 'signal') return 'ERESTARTSYS';
  return waitOn(vfs, [file.wait.key], Number.POSITIVE_INFINITY, saved);
}

/** Runs a write; a broken pipe also sends SIGPIPE to the thread, as pipe_write and sk_stream_error do. */
export function withSigpipe(call: Call, silent: boolean, write: () => Result): Result {
  try {
    return write();
  } catch (error) {
    if (error instanceof CallError && error.code === 'EPIPE' && !silent) {
      const { pid, uid } = call.kernel.identity;
      call.kernel.signalTask(call.task, { signal: call.abi.signals.number('SIGPIPE'), code: SI_USER, pid, uid });
    }
    throw error;
  }
}

const SECOND = 1_000_000_000;

/** Nanoseconds of a timespec. @throws CallError EINVAL; GuestFault */
export function timespecAt(call: Call, address: number, wide: boolean): number {
  const { sec, nsec } = wide
    ? TIMESPEC64.read(call.memory, call.abi.word, address)
    : TIMESPEC.read(call.memory, call.abi.word, address);
  // A 32-bit program's nanoseconds are 32 bits wide, whatever its padding holds (get_timespec64).
  const nanoseconds = wide && call.abi.word === 4 ? Number(BigInt.asUintN(32, BigInt(nsec))) : Number(nsec);
  if (sec < 0 || nanoseconds < 0 || nanoseconds >= SECOND) throw new CallError('EINVAL');
  return Number(sec) * SECOND + nanoseconds;
}
