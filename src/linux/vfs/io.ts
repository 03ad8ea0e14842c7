// What open files do: read, write, seek, poll, list, close.
//
// `undefined` from a read or a write means that the caller must wait, or be told EAGAIN.

import { CallError } from '../abi/errno.ts';
import { contentPages, pagesNeeded, readContent, truncateContent, writeContent } from './content.ts';
import {
  pollEventCounter,
  readEventCounter,
  readTimerCounter,
  timerExpirations,
  writeEventCounter,
} from './counter.ts';
import { epollReady, forgetFile, releaseEpoll } from './epoll.ts';
import {
  canRead,
  canWrite,
  type DirectoryEntry,
  type DirectoryFile,
  type HostFile,
  type MemoryFile,
  O_APPEND,
  type OpenFile,
} from './file.ts';
import { type Directory, direntType, S_IFDIR } from './inode.ts';
import { freePages } from './names.ts';
import { pollReadEnd, pollWriteEnd, readPipe, releasePipe, writePipe } from './pipe.ts';
import { READABLE, WRITABLE } from './pollable.ts';
import { generatedList } from './proc.ts';
import { pollSocket, receive, releaseSocket, send } from './socket.ts';
import { hostAccess, statInode, touchHost } from './stat.ts';
import type { Vfs } from './vfs.ts';
import { child, parentOf } from './walk.ts';

/** Most bytes that one read or write moves (MAX_RW_COUNT). */
export const MAX_COUNT = 0x7fff_f000;

/** Reading from a device or stream gives at most this much at a time, so that the host need not hold more. */
const PIECE = 1 << 20;

/**
 * Bytes of a counter as the guest's read(2) sees them: 8, in the guest's byte order.
 * @param bigEndian the guest's
 */
export function counterBytes(value: bigint, bigEndian: boolean): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, value, !bigEndian);
  return out;
}

/**
 * Reads at most `length` bytes, at `offset` or (and then moving) at the description's own.
 * @throws CallError EBADF, EISDIR, ESPIPE, EINVAL
 */
export function readFile(vfs: Vfs, file: OpenFile, length: number, offset?: number): Uint8Array | undefined {
  if (!canRead(file)) throw new CallError('EBADF');
  const count = Math.min(length, MAX_COUNT);
  switch (file.kind) {
    case 'memory':
      return seeking(file, offset, (at) => readContent(file.inode.content, at, count));
    case 'text':
      return seeking(file, offset, (at) => file.bytes.slice(at, at + count));
    case 'host': {
      const { inode, handle } = file;
      return seeking(file, offset, (at) => vfs.tree(inode).read(handle, inode.path, hostAccess(file), at, count));
    }
    case 'device':
      return readDevice(vfs, file.inode.device, Math.min(count, PIECE));
    case 'directory':
      throw new CallError('EISDIR');
  }
  if (offset !== undefined) throw new CallError('ESPIPE');
  switch (file.kind) {
    case 'pipe':
      return readPipe(file.pipe, count, vfs.notify);
    case 'stream': {
      if (file.stream !== 0) throw new CallError('EBADF');
      const positions = vfs.state.streamPositions;
      const bytes = count === 0 ? new Uint8Array(0) : vfs.input.read(positions[0], Math.min(count, PIECE));
      positions[0] += bytes.length;
      return bytes;
    }
    case 'socket':
      return receive(file.socket, count, false, vfs.notify)?.bytes;
    case 'eventfd': {
      if (count < 8) throw new CallError('EINVAL');
      const value = readEventCounter(file.counter, vfs.notify);
      return value === undefined ? undefined : counterBytes(value, vfs.bigEndian);
    }
    case 'timerfd': {
      if (count < 8) throw new CallError('EINVAL');
      const value = readTimerCounter(file.timer, vfs.kernel.clock(file.timer.clock));
      return value === undefined ? undefined : counterBytes(value, vfs.bigEndian);
    }
    default:
      throw new CallError('EINVAL');
  }
}

function seeking(file: { offset: number }, offset: number | undefined, read: (at: number) => Uint8Array): Uint8Array {
  if (offset !== undefined) return read(offset);
  const bytes = read(file.offset);
  file.offset += bytes.length;
  return bytes;
}

function readDevice(vfs: Vfs, device: string, count: number): Uint8Array {
  switch (device) {
    case 'null':
      return new Uint8Array(0);
    case 'random':
    case 'urandom':
      return vfs.kernel.entropy(count);
    default:
      return new Uint8Array(count);
  }
}

/**
 * Writes; may take fewer bytes than given.
 * @throws CallError EBADF, EPIPE (the caller sends SIGPIPE), ENOSPC, ESPIPE, EINVAL, EFBIG
 */
export function writeFile(vfs: Vfs, file: OpenFile, bytes: Uint8Array, offset?: number): number | undefined {
  if (!canWrite(file)) throw new CallError('EBADF');
  switch (file.kind) {
    case 'memory':
      return writeMemory(vfs, file, bytes, offset);
    case 'host':
      return writeHost(vfs, file, bytes, offset);
    case 'device':
      if (file.inode.device === 'full') throw new CallError('ENOSPC');
      return bytes.length;
  }
  if (offset !== undefined) throw new CallError('ESPIPE');
  switch (file.kind) {
    case 'pipe':
      return writePipe(file.pipe, bytes, vfs.notify);
    case 'stream': {
      const { stream } = file;
      if (stream === 0) throw new CallError('EBADF');
      const positions = vfs.state.streamPositions;
      vfs.output.write(stream, bytes.slice(), positions[stream]);
      positions[stream] += bytes.length;
      return bytes.length;
    }
    case 'socket':
      return send(vfs.state.network, file.socket, bytes, undefined, undefined, vfs.notify);
    case 'eventfd': {
      if (bytes.length < 8) throw new CallError('EINVAL');
      const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, !vfs.bigEndian);
      return writeEventCounter(file.counter, value, vfs.notify) ? 8 : undefined;
    }
    default:
      throw new CallError('EINVAL');
  }
}

function writeMemory(vfs: Vfs, file: MemoryFile, bytes: Uint8Array, offset: number | undefined): number {
  const { inode } = file;
  // Linux appends even where pwrite gives an offset (pwrite(2), BUGS).
  const at = (file.flags & O_APPEND) !== 0 ? inode.content.size : (offset ?? file.offset);
  const pages = pagesNeeded(inode.content, at, bytes.length);
  if (vfs.state.pages + pages > vfs.pageLimit) throw new CallError('ENOSPC');
  vfs.state.pages += pages;
  writeContent(inode.content, at, bytes);
  inode.mtime = inode.ctime = vfs.kernel.wall();
  if (offset === undefined) file.offset = at + bytes.length;
  return bytes.length;
}

function writeHost(vfs: Vfs, file: HostFile, bytes: Uint8Array, offset: number | undefined): number {
  const { inode, handle } = file;
  const at = (file.flags & O_APPEND) !== 0 ? undefined : (offset ?? file.offset);
  const end = vfs.tree(inode).write(handle, inode.path, hostAccess(file), at, bytes);
  touchHost(vfs, inode);
  if (offset === undefined) file.offset = end;
  return bytes.length;
}

/** ftruncate. @throws CallError EINVAL for what has no size */
export function setSize(vfs: Vfs, file: OpenFile, size: number): void {
  if (file.kind === 'memory') {
    const { content } = file.inode;
    const before = contentPages(content);
    truncateContent(content, size);
    vfs.state.pages += contentPages(content) - before;
    file.inode.mtime = file.inode.ctime = vfs.kernel.wall();
  } else if (file.kind === 'host') {
    vfs.tree(file.inode).truncate(file.handle, file.inode.path, hostAccess(file), size);
    touchHost(vfs, file.inode);
  } else throw new CallError('EINVAL');
}

/** Events that are there now; regular files and the like are always ready. */
export function pollFile(vfs: Vfs, file: OpenFile): number {
  switch (file.kind) {
    case 'pipe':
      return file.end === 'read' ? pollReadEnd(file.pipe) : pollWriteEnd(file.pipe);
    case 'eventfd':
      return pollEventCounter(file.counter);
    case 'timerfd':
      return timerExpirations(file.timer, vfs.kernel.clock(file.timer.clock)) > 0n ? READABLE : 0;
    case 'epoll':
      return epollReady(file.epoll, (each) => pollFile(vfs, each)) ? READABLE : 0;
    case 'socket':
      return pollSocket(file.socket);
    case 'stream':
      return file.stream === 0 ? READABLE : WRITABLE;
    default:
      return READABLE | WRITABLE;
  }
}

export type Whence = 'set' | 'current' | 'end' | 'data' | 'hole';

/** lseek. @throws CallError ESPIPE, EINVAL, ENXIO */
export function seek(vfs: Vfs, file: OpenFile, offset: number, whence: Whence): number {
  if (file.kind === 'device') return 0;
  if (!('offset' in file)) throw new CallError(file.kind === 'path' ? 'EBADF' : 'ESPIPE');
  let size = 0;
  if (file.kind === 'memory') size = file.inode.content.size;
  else if (file.kind === 'host')
    size = vfs.tree(file.inode).statHandle(file.handle, file.inode.path, hostAccess(file)).size;
  else if (whence === 'end' && file.kind === 'text') throw new CallError('EINVAL');
  let at: number;
  switch (whence) {
    case 'set':
      at = offset;
      break;
    case 'current':
      at = file.offset + offset;
      break;
    case 'end':
      at = size + offset;
      break;
    default:
      // No holes: all is data, and the one hole is at the end.
      if (offset < 0 || offset >= size) throw new CallError('ENXIO');
      at = whence === 'data' ? offset : size;
  }
  if (at < 0 || !Number.isSafeInteger(at)) throw new CallError('EINVAL');
  file.offset = at;
  if (file.kind === 'directory' && at === 0) file.listing = undefined;
  return at;
}

/** The entries of a directory, `.` and `..` first, then by name. Taken once, so that reading goes on where it left off. */
export function entriesOf(vfs: Vfs, file: DirectoryFile): readonly DirectoryEntry[] {
  file.listing ??= list(vfs, file.inode);
  return file.listing;
}

const DT_DIR = direntType(S_IFDIR);

function list(vfs: Vfs, directory: Directory): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [
    { name: '.', ino: statInode(vfs, directory).ino, type: DT_DIR },
    { name: '..', ino: statInode(vfs, parentOf(vfs, directory)).ino, type: DT_DIR },
  ];
  if (directory.kind === 'generated-dir') return [...entries, ...generatedList(vfs, directory)];
  if (directory.kind === 'dir' && directory.parent === undefined) return [];
  const names =
    directory.kind === 'host' ? vfs.tree(directory).list(directory.path) : [...directory.entries.keys()].sort();
  for (const name of names) {
    const inode = child(vfs, directory, name);
    // Gone since the host listed it.
    if (inode === undefined) continue;
    const stat = statInode(vfs, inode);
    entries.push({ name, ino: stat.ino, type: direntType(stat.mode) });
  }
  return entries;
}

/** The last reference to a description is gone. */
export function releaseFile(vfs: Vfs, file: OpenFile): void {
  forgetFile(file);
  switch (file.kind) {
    case 'host':
      vfs.tree(file.inode).close(file.handle);
      break;
    case 'memory':
      if (file.inode.nlink === 0 && !stillOpen(vfs, file)) freePages(vfs, file.inode);
      break;
    case 'timerfd':
      vfs.state.timers = vfs.state.timers.filter((timer) => timer !== file.timer);
      break;
    case 'pipe':
      releasePipe(file.pipe, file.end, vfs.notify);
      break;
    case 'socket':
      releaseSocket(vfs.state.network, file.socket, vfs.notify);
      break;
    case 'epoll':
      releaseEpoll(file.epoll);
      break;
  }
}

function stillOpen(vfs: Vfs, file: MemoryFile): boolean {
  for (const { file: other } of vfs.state.descriptors.entries.values())
    if (other.kind === 'memory' && other.inode === file.inode) return true;
  return false;
}
