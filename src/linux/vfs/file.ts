// Open file descriptions, as plain data; what they do is in io.ts.

import type { EventCounter, TimerCounter } from './counter.ts';
import type { Epoll } from './epoll.ts';
import type { DeviceInode, Directory, FileInode, GeneratedInode, HostInode, Inode } from './inode.ts';
import type { Pipe } from './pipe.ts';
import type { Pollable } from './pollable.ts';
import type { Socket } from './socket.ts';

// Flags of open(2) in the generic numbering (include/uapi/asm-generic/fcntl.h), which everything here uses; abi/files.ts has the
// numbers of each ABI.
export const O_ACCMODE = 0o3;
export const O_RDONLY = 0o0;
export const O_WRONLY = 0o1;
export const O_RDWR = 0o2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NOCTTY = 0o400;
export const O_TRUNC = 0o1000;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_DSYNC = 0o10000;
export const O_ASYNC = 0o20000;
export const O_DIRECT = 0o40000;
export const O_LARGEFILE = 0o100000;
export const O_DIRECTORY = 0o200000;
export const O_NOFOLLOW = 0o400000;
export const O_NOATIME = 0o1000000;
export const O_CLOEXEC = 0o2000000;
export const O_SYNC = 0o4010000;
export const O_PATH = 0o10000000;
export const O_TMPFILE = 0o20200000;

interface Description {
  /** Descriptors that refer to it. */
  refs: number;
  /** Access mode and status flags. */
  flags: number;
  /** Where it was when opened, for /proc/self/fd; absent for what has no name. */
  readonly path?: string;
  /** Inode number that fstat shows for what has no name. */
  readonly ino: number;
  /** What to wait for; undefined for files that are always ready, which epoll refuses. */
  readonly wait: Pollable | undefined;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly ino: number;
  /** DT_* value. */
  readonly type: number;
}

export interface MemoryFile extends Description {
  readonly kind: 'memory';
  readonly inode: FileInode;
  offset: number;
}

export interface HostFile extends Description {
  readonly kind: 'host';
  readonly inode: HostInode;
  /** Of host.ts. */
  readonly handle: number;
  offset: number;
}

/** A generated file: its text as it was when opened. */
export interface TextFile extends Description {
  readonly kind: 'text';
  readonly inode: GeneratedInode;
  readonly bytes: Uint8Array;
  offset: number;
}

export interface DirectoryFile extends Description {
  readonly kind: 'directory';
  readonly inode: Directory;
  /** Taken at the first read and at each rewind. */
  listing: readonly DirectoryEntry[] | undefined;
  offset: number;
}

/** Opened with O_PATH: a name and nothing else. */
export interface PathFile extends Description {
  readonly kind: 'path';
  readonly inode: Inode;
}

export interface DeviceFile extends Description {
  readonly kind: 'device';
  readonly inode: DeviceInode;
}

export interface PipeFile extends Description {
  readonly kind: 'pipe';
  readonly pipe: Pipe;
  readonly end: 'read' | 'write';
}

/** Standard input, output or error: the embedder's. */
export interface StreamFile extends Description {
  readonly kind: 'stream';
  readonly stream: 0 | 1 | 2;
}

export interface EventFile extends Description {
  readonly kind: 'eventfd';
  readonly counter: EventCounter;
}

export interface TimerFile extends Description {
  readonly kind: 'timerfd';
  readonly timer: TimerCounter;
}

export interface EpollFile extends Description {
  readonly kind: 'epoll';
  readonly epoll: Epoll;
}

export interface SocketFile extends Description {
  readonly kind: 'socket';
  readonly socket: Socket;
}

export type OpenFile =
  | MemoryFile
  | HostFile
  | TextFile
  | DirectoryFile
  | PathFile
  | DeviceFile
  | PipeFile
  | StreamFile
  | EventFile
  | TimerFile
  | EpollFile
  | SocketFile;

export function canRead(file: OpenFile): boolean {
  return file.kind !== 'path' && (file.flags & O_ACCMODE) !== O_WRONLY;
}

export function canWrite(file: OpenFile): boolean {
  const access = file.flags & O_ACCMODE;
  return file.kind !== 'path' && (access === O_WRONLY || access === O_RDWR);
}
