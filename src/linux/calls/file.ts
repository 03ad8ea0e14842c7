// System calls on open files: read and write in their forms, seek, sync, descriptors.

import { openFlags } from '../abi/files.ts';
import type { Call, Result, Row } from '../call.ts';
import { refused, row } from '../call.ts';
import { installAt, setCloseOnExec } from '../vfs/descriptors.ts';
import { O_CLOEXEC, type OpenFile } from '../vfs/file.ts';
import { MAX_COUNT, readFile, seek, setSize, type Whence, writeFile } from '../vfs/io.ts';
import { open } from '../vfs/open.ts';
import { hostAccess } from '../vfs/stat.ts';
import type { Vfs } from '../vfs/vfs.ts';
import {
  AT_FDCWD,
  filesOf,
  gather,
  lengthOf,
  notReady,
  pathAt,
  type Segment,
  scatter,
  segmentsAt,
  startAt,
  withSigpipe,
} from './files.ts';

/** Bytes handed to a file at a time: a large write to a pipe must not copy all of it for every piece that fits. */
const PIECE = 1 << 20;

function readInto(call: Call, fd: number, segments: readonly Segment[], offset?: number): Result {
  const vfs = filesOf(call);
  const file = vfs.file(fd);
  if (offset !== undefined && offset < 0) return 'EINVAL';
  const bytes = readFile(vfs, file, lengthOf(segments), offset);
  if (bytes === undefined) return notReady(call, vfs, file);
  scatter(call, segments, bytes);
  return bytes.length;
}

/** Whether a write is one message and must not be cut. */
function isMessage(file: OpenFile): boolean {
  return file.kind === 'eventfd' || (file.kind === 'socket' && file.socket.type !== 'stream');
}

function writeFrom(call: Call, fd: number, segments: readonly Segment[], offset?: number): Result {
  const vfs = filesOf(call);
  const file = vfs.file(fd);
  if (offset !== undefined && offset < 0) return 'EINVAL';
  const total = lengthOf(segments);
  // What earlier runs of this call have written.
  let done = typeof call.saved === 'number' ? call.saved : 0;
  return withSigpipe(call, false, () => {
    try {
      do {
        const piece = isMessage(file) ? total : Math.min(PIECE, total - done);
        const bytes = gather(call, segments, done, piece);
        const written = writeFile(vfs, file, bytes, offset === undefined ? undefined : offset + done);
        if (written === undefined) {
          const result = notReady(call, vfs, file, done);
          return done > 0 && typeof result === 'string' ? done : result;
        }
        done += written;
      } while (done < total);
      return done;
    } catch (error) {
      // What has been written counts; the error comes with the next write.
      if (done > 0 && !(error instanceof RangeError) && !(error instanceof TypeError)) return done;
      throw error;
    }
  });
}

const one = (base: number, length: number): Segment[] => [{ base, length: Math.min(length, MAX_COUNT) }];

/** The position of preadv and its relatives: two words, of which 64-bit ABIs use the first (pos_from_hilo). */
function position(call: Call, low: number, high: number): number {
  if (call.abi.word === 8) return low;
  return Number(BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low)));
}

const WHENCE: readonly Whence[] = ['set', 'current', 'end', 'data', 'hole'];

function lseek(call: Call): Result {
  const [fd, offset, whence] = call.args as [number, number, number];
  const how = WHENCE[whence];
  const vfs = filesOf(call);
  const file = vfs.file(fd);
  if (how === undefined) return 'EINVAL';
  const at = seek(vfs, file, offset, how);
  return call.abi.word === 4 && at > 0x7fff_ffff ? 'EOVERFLOW' : at;
}

function llseek(call: Call): Result {
  const [fd, high, low, result, whence] = call.args as [number, number, number, number, number];
  const how = WHENCE[whence];
  const vfs = filesOf(call);
  const file = vfs.file(fd);
  if (how === undefined) return 'EINVAL';
  const offset = Number(BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low)));
  call.memory.writeU64(result, BigInt(seek(vfs, file, offset, how)));
  return 0;
}

function ftruncate(call: Call): Result {
  const [fd, size] = call.args as [number, number];
  const vfs = filesOf(call);
  const file = vfs.file(fd);
  if (size < 0 || (file.flags & 3) === 0) return 'EINVAL';
  setSize(vfs, file, size);
  return 0;
}

function truncate(call: Call): Result {
  const [path, size] = call.args as [number, number];
  if (size < 0) return 'EINVAL';
  const vfs = filesOf(call);
  // The file is opened for writing and closed again: the same checks as open's.
  const file = open(vfs, vfs.state.cwd, pathAt(call, path), 1, 0);
  const fd = vfs.install(file, true);
  try {
    setSize(vfs, file, size);
  } finally {
    vfs.close(fd);
  }
  return 0;
}

function fallocate(call: Call): Result {
  const [fd, mode, offset, length] = call.args as [number, number, number, number];
  const vfs = filesOf(call);
  const file = vfs.file(fd);
  if (offset < 0 || length <= 0) return 'EINVAL';
  if (mode !== 0) return 'EOPNOTSUPP';
  if (file.kind !== 'memory' && file.kind !== 'host') return 'ENODEV';
  if (seekEnd(vfs, file) < offset + length) setSize(vfs, file, offset + length);
  return 0;
}

function seekEnd(vfs: Vfs, file: OpenFile & { offset: number }): number {
  const before = file.offset;
  const end = seek(vfs, file, 0, 'end');
  file.offset = before;
  return end;
}

function sync(call: Call): Result {
  const vfs = filesOf(call);
  const file = vfs.file(call.args[0]!);
  if (file.kind === 'host') vfs.tree(file.inode).sync(file.handle, file.inode.path, hostAccess(file));
  else if (file.kind === 'pipe' || file.kind === 'socket') return 'EINVAL';
  return 0;
}

function openCall(call: Call, dirfd: number, address: number, guestFlags: number, mode: number): Result {
  const vfs = filesOf(call);
  const path = pathAt(call, address);
  const flags = openFlags(call.abi, guestFlags);
  const file = open(vfs, startAt(vfs, dirfd, path), path, flags & ~O_CLOEXEC, mode);
  return vfs.install(file, (flags & O_CLOEXEC) !== 0);
}

/** A call that has nothing to do but to check its descriptor. */
function checked(call: Call): Result {
  filesOf(call).file(call.args[0]!);
  return 0;
}

function close(call: Call): Result {
  filesOf(call).close(call.args[0]!);
  return 0;
}

function dupTo(call: Call, closeOnExec: boolean): Result {
  const [from, to] = call.args as [number, number];
  const vfs = filesOf(call);
  const table = vfs.state.descriptors;
  const file = vfs.file(from);
  if (to < 0 || to >= table.limit) return 'EBADF';
  if (table.entries.has(to)) vfs.close(to);
  installAt(table, to, file, closeOnExec);
  return to;
}

function closeRange(call: Call): Result {
  const [first, last, flags] = call.args as [number, number, number];
  const CLOSE_RANGE_UNSHARE = 2;
  const CLOSE_RANGE_CLOEXEC = 4;
  if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const { descriptors } = vfs.state;
  const within = [...descriptors.entries.keys()].filter((fd) => fd >= first && fd <= last).sort((a, b) => a - b);
  for (const fd of within) {
    if ((flags & CLOSE_RANGE_CLOEXEC) !== 0) setCloseOnExec(descriptors, fd, true);
    else vfs.close(fd);
  }
  return 0;
}

/** Reads at most this much at a time when it copies between files. */
const COPY = 1 << 16;

function sendfile(call: Call, wide: boolean): Result {
  const [out, from, offsetAt, count] = call.args as [number, number, number, number];
  const vfs = filesOf(call);
  const source = vfs.file(from);
  const target = vfs.file(out);
  if (source.kind !== 'memory' && source.kind !== 'host' && source.kind !== 'text') return 'EINVAL';
  const start =
    offsetAt === 0
      ? source.offset
      : wide || call.abi.word === 8
        ? Number(call.memory.readU64(offsetAt))
        : call.memory.readU32(offsetAt);
  let done = 0;
  const wanted = Math.min(count, MAX_COUNT);
  return withSigpipe(call, false, () => {
    while (done < wanted) {
      const bytes = readFile(vfs, source, Math.min(COPY, wanted - done), start + done) ?? new Uint8Array(0);
      if (bytes.length === 0) break;
      const written = writeFile(vfs, target, bytes);
      if (written === undefined) {
        if (done > 0) break;
        return notReady(call, vfs, target);
      }
      done += written;
      if (written < bytes.length) break;
    }
    if (offsetAt === 0) source.offset = start + done;
    else if (wide || call.abi.word === 8) call.memory.writeU64(offsetAt, BigInt(start + done));
    else call.memory.writeU32(offsetAt, start + done);
    return done;
  });
}

/** RWF_* flags that change nothing here: hints about priority and durability. */
const RWF_HINTS = 0x7;

export const FILE_ROWS: readonly Row[] = [
  row('read', ['fd', 'buffer-out', 'size'], (call) => readInto(call, call.args[0]!, one(call.args[1]!, call.args[2]!))),
  row('write', ['fd', 'buffer-in', 'size'], (call) =>
    writeFrom(call, call.args[0]!, one(call.args[1]!, call.args[2]!)),
  ),
  row('pread64', ['fd', 'buffer-out', 'size', 'i64'], (call) =>
    readInto(call, call.args[0]!, one(call.args[1]!, call.args[2]!), call.args[3]!),
  ),
  row('pwrite64', ['fd', 'buffer-in', 'size', 'i64'], (call) =>
    writeFrom(call, call.args[0]!, one(call.args[1]!, call.args[2]!), call.args[3]!),
  ),
  row('readv', ['fd', 'ptr', 'int'], (call) =>
    readInto(call, call.args[0]!, segmentsAt(call, call.args[1]!, call.args[2]!)),
  ),
  row('writev', ['fd', 'ptr', 'int'], (call) =>
    writeFrom(call, call.args[0]!, segmentsAt(call, call.args[1]!, call.args[2]!)),
  ),
  row('preadv', ['fd', 'ptr', 'int', 'size', 'size'], (call) => {
    const [fd, iov, count, low, high] = call.args as [number, number, number, number, number];
    return readInto(call, fd, segmentsAt(call, iov, count), position(call, low, high));
  }),
  row('pwritev', ['fd', 'ptr', 'int', 'size', 'size'], (call) => {
    const [fd, iov, count, low, high] = call.args as [number, number, number, number, number];
    return writeFrom(call, fd, segmentsAt(call, iov, count), position(call, low, high));
  }),
  row(
    'preadv2',
    ['fd', 'ptr', 'int', 'size', 'size', 'flags'],
    (call) => {
      const [fd, iov, count, low, high, flags] = call.args as [number, number, number, number, number, number];
      if ((flags & ~RWF_HINTS) !== 0) return 'EOPNOTSUPP';
      const at = call.raw.at(3) === BigInt.asUintN(call.abi.word * 8, -1n) ? undefined : position(call, low, high);
      return readInto(call, fd, segmentsAt(call, iov, count), at);
    },
    { support: 'partial', note: 'RWF_NOWAIT and RWF_APPEND are refused' },
  ),
  row(
    'pwritev2',
    ['fd', 'ptr', 'int', 'size', 'size', 'flags'],
    (call) => {
      const [fd, iov, count, low, high, flags] = call.args as [number, number, number, number, number, number];
      if ((flags & ~RWF_HINTS) !== 0) return 'EOPNOTSUPP';
      const at = call.raw.at(3) === BigInt.asUintN(call.abi.word * 8, -1n) ? undefined : position(call, low, high);
      return writeFrom(call, fd, segmentsAt(call, iov, count), at);
    },
    { support: 'partial', note: 'RWF_NOWAIT and RWF_APPEND are refused' },
  ),
  row('lseek', ['fd', 'long', 'uint'], lseek),
  row('_llseek', ['fd', 'uint', 'uint', 'out', 'uint'], llseek),
  row('truncate', ['path', 'long'], truncate),
  row('ftruncate', ['fd', 'long'], ftruncate),
  row('truncate64', ['path', 'i64'], truncate),
  row('ftruncate64', ['fd', 'i64'], ftruncate),
  row('fallocate', ['fd', 'int', 'i64', 'i64'], fallocate, { support: 'partial', note: 'mode 0 only' }),
  row('fadvise64', ['fd', 'i64', 'i64', 'int'], checked),
  row('readahead', ['fd', 'i64', 'size'], checked),
  row('fsync', ['fd'], sync),
  row('fdatasync', ['fd'], sync),
  row('syncfs', ['fd'], sync),
  row('sync', [], () => 0, { support: 'fixed', note: 'mapped files are written at once' }),
  row('open', ['path', 'flags', 'mode'], (call) =>
    openCall(call, AT_FDCWD, call.args[0]!, call.args[1]!, call.args[2]!),
  ),
  row('openat', ['dirfd', 'path', 'flags', 'mode'], (call) => {
    const [dirfd, path, flags, mode] = call.args as [number, number, number, number];
    return openCall(call, dirfd, path, flags, mode);
  }),
  row('creat', ['path', 'mode'], (call) => {
    const vfs = filesOf(call);
    const O_CREAT_WRONLY_TRUNC = 0o1101;
    return vfs.install(
      open(vfs, vfs.state.cwd, pathAt(call, call.args[0]!), O_CREAT_WRONLY_TRUNC, call.args[1]!),
      false,
    );
  }),
  row('close', ['fd'], close),
  row('close_range', ['uint', 'uint', 'flags'], closeRange),
  row('dup', ['fd'], (call) => {
    const vfs = filesOf(call);
    return vfs.install(vfs.file(call.args[0]!), false);
  }),
  row('dup2', ['fd', 'fd'], (call) => {
    if (call.args[0] !== call.args[1]) return dupTo(call, false);
    filesOf(call).file(call.args[0]!);
    return call.args[0]!;
  }),
  row('dup3', ['fd', 'fd', 'flags'], (call) => {
    const flags = openFlags(call.abi, call.args[2]!);
    if (call.args[0] === call.args[1] || (flags & ~O_CLOEXEC) !== 0) return 'EINVAL';
    return dupTo(call, (flags & O_CLOEXEC) !== 0);
  }),
  row('sendfile', ['fd', 'fd', 'ptr', 'size'], (call) => sendfile(call, false)),
  row('sendfile64', ['fd', 'fd', 'ptr', 'size'], (call) => sendfile(call, true)),
  row('flock', ['fd', 'int'], checked, {
    support: 'partial',
    note: 'always succeeds: no other process is there to hold a lock',
  }),
  refused(
    'copy_file_range',
    ['fd', 'ptr', 'fd', 'ptr', 'size', 'flags'],
    'EXDEV',
    'programs fall back to read and write',
  ),
  refused('splice', ['fd', 'ptr', 'fd', 'ptr', 'size', 'flags'], 'EINVAL', 'programs fall back to read and write'),
  refused('tee', ['fd', 'fd', 'size', 'flags'], 'EINVAL', 'programs fall back to read and write'),
  refused('openat2', ['dirfd', 'path', 'ptr', 'size'], 'ENOSYS', 'programs fall back to openat'),
];
