// Numbers and structures of files that differ between the ABIs: open flags, struct stat and its relatives, ioctl, fcntl.

import type { Memory } from '../../engine/memory.ts';
import {
  O_APPEND,
  O_ASYNC,
  O_CREAT,
  O_DIRECT,
  O_DSYNC,
  O_EXCL,
  O_LARGEFILE,
  O_NOCTTY,
  O_NONBLOCK,
  O_SYNC,
} from '../vfs/file.ts';
import type { Stat } from '../vfs/inode.ts';
import type { Abi } from './abi.ts';
import { packedStruct, type Struct, type StructFields, struct } from './layout.ts';

/** Generic flag and its MIPS number where they differ (arch/mips/include/uapi/asm/fcntl.h). */
const MIPS_OPEN_FLAGS: readonly (readonly [generic: number, mips: number])[] = [
  [O_APPEND, 0x0008],
  [O_DSYNC, 0x0010],
  [O_NONBLOCK, 0x0080],
  [O_CREAT, 0x0100],
  [O_EXCL, 0x0400],
  [O_NOCTTY, 0x0800],
  [O_ASYNC, 0x1000],
  [O_LARGEFILE, 0x2000],
  [O_SYNC & ~O_DSYNC, 0x4000],
  [O_DIRECT, 0x8000],
];
const GENERIC_MOVED = MIPS_OPEN_FLAGS.reduce((sum, [generic]) => sum | generic, 0);
const MIPS_MOVED = MIPS_OPEN_FLAGS.reduce((sum, [, mips]) => sum | mips, 0);

/** Flags of open, pipe2, eventfd2 and the like from the guest's numbering to the generic one. */
export function openFlags(abi: Abi, flags: number): number {
  if (!abi.mips) return flags;
  let out = flags & ~MIPS_MOVED;
  for (const [generic, mips] of MIPS_OPEN_FLAGS) if ((flags & mips) !== 0) out |= generic;
  return out;
}

/** The other way, for F_GETFL. */
export function guestOpenFlags(abi: Abi, flags: number): number {
  if (!abi.mips) return flags;
  let out = flags & ~GENERIC_MOVED;
  for (const [generic, mips] of MIPS_OPEN_FLAGS) if ((flags & generic) !== 0) out |= mips;
  return out;
}

const STAT_AMD64 = struct({
  dev: 'u64',
  ino: 'u64',
  nlink: 'u64',
  mode: 'u32',
  uid: 'u32',
  gid: 'u32',
  pad: 'u32',
  rdev: 'u64',
  size: 'i64',
  blksize: 'i64',
  blocks: 'i64',
  atime: 'i64',
  atimeNsec: 'i64',
  mtime: 'i64',
  mtimeNsec: 'i64',
  ctime: 'i64',
  ctimeNsec: 'i64',
  unused: ['i64', 3],
});

/** arch/mips/include/uapi/asm/stat.h: struct stat of n64, and struct stat64 of o32, which has the same shape. */
const STAT_MIPS_64 = struct({
  dev: 'u32',
  pad0: ['u32', 3],
  ino: 'u64',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  pad1: ['u32', 3],
  size: 'i64',
  atime: 'u32',
  atimeNsec: 'u32',
  mtime: 'u32',
  mtimeNsec: 'u32',
  ctime: 'u32',
  ctimeNsec: 'u32',
  blksize: 'u32',
  pad2: 'u32',
  blocks: 'u64',
});

/** struct stat of o32. */
const STAT_O32 = struct({
  dev: 'u32',
  pad1: ['u32', 3],
  ino: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  pad2: ['u32', 2],
  size: 'u32',
  pad3: 'u32',
  atime: 'u32',
  atimeNsec: 'u32',
  mtime: 'u32',
  mtimeNsec: 'u32',
  ctime: 'u32',
  ctimeNsec: 'u32',
  blksize: 'u32',
  blocks: 'u32',
  pad4: ['u32', 14],
});

const SECOND = 1_000_000_000n;

/** Seconds and nanoseconds of a time; times before 1970 have positive nanoseconds. */
export function splitTime(time: bigint): { seconds: bigint; nanoseconds: bigint } {
  const rest = ((time % SECOND) + SECOND) % SECOND;
  return { seconds: (time - rest) / SECOND, nanoseconds: rest };
}

/** The times of struct stat, in seconds and nanoseconds, as its fields want them. */
function timesOf<T>({ atime, mtime, ctime }: Stat, as: (value: bigint) => T) {
  const [accessed, modified, changed] = [splitTime(atime), splitTime(mtime), splitTime(ctime)];
  return {
    atime: as(accessed.seconds),
    atimeNsec: as(accessed.nanoseconds),
    mtime: as(modified.seconds),
    mtimeNsec: as(modified.nanoseconds),
    ctime: as(changed.seconds),
    ctimeNsec: as(changed.nanoseconds),
  };
}

/**
 * Writes struct stat.
 * @param form `stat` is what stat, fstat and newfstatat fill in; `stat64` what o32's 64-bit calls do
 * @returns false where a value does not fit (EOVERFLOW)
 */
export function writeStat(abi: Abi, memory: Memory, address: number, stat: Stat, form: 'stat' | 'stat64'): boolean {
  const { dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks } = stat;
  const { word } = abi;
  if (abi.name === 'amd64') {
    STAT_AMD64.write(memory, word, address, {
      dev: BigInt(dev),
      ino: BigInt(ino),
      nlink: BigInt(nlink),
      mode,
      uid,
      gid,
      rdev: BigInt(rdev),
      size: BigInt(size),
      blksize: BigInt(blksize),
      blocks: BigInt(blocks),
    });
    STAT_AMD64.set(
      memory,
      word,
      address,
      timesOf(stat, (value) => value),
    );
    return true;
  }
  if (abi.name === 'n64' || form === 'stat64') {
    STAT_MIPS_64.write(memory, word, address, {
      dev,
      ino: BigInt(ino),
      mode,
      nlink,
      uid,
      gid,
      rdev,
      size: BigInt(size),
      blksize,
      blocks: BigInt(blocks),
    });
    STAT_MIPS_64.set(memory, word, address, timesOf(stat, Number));
    return true;
  }
  if (size > 0x7fff_ffff || ino > 0xffff_ffff) return false;
  STAT_O32.write(memory, word, address, { dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks });
  STAT_O32.set(memory, word, address, timesOf(stat, Number));
  return true;
}

/** include/uapi/linux/stat.h; the same on all ABIs. */
export const STATX = struct({
  mask: 'u32',
  blksize: 'u32',
  attributes: 'u64',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  mode: 'u16',
  spare0: 'u16',
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  attributesMask: 'u64',
  atime: 'i64',
  atimeNsec: 'u32',
  atimePad: 'u32',
  btime: 'i64',
  btimeNsec: 'u32',
  btimePad: 'u32',
  ctime: 'i64',
  ctimeNsec: 'u32',
  ctimePad: 'u32',
  mtime: 'i64',
  mtimeNsec: 'u32',
  mtimePad: 'u32',
  rdevMajor: 'u32',
  rdevMinor: 'u32',
  devMajor: 'u32',
  devMinor: 'u32',
  mountId: 'u64',
  dioMemAlign: 'u32',
  dioOffsetAlign: 'u32',
  spare3: ['u64', 12],
});

/** Constants that a file system answers statfs with. */
export interface FsStat {
  readonly type: number;
  readonly readOnly: boolean;
}

const STATFS_AMD64 = struct({
  type: 'long',
  bsize: 'long',
  blocks: 'u64',
  bfree: 'u64',
  bavail: 'u64',
  files: 'u64',
  ffree: 'u64',
  fsid: ['i32', 2],
  namelen: 'long',
  frsize: 'long',
  flags: 'long',
  spare: ['long', 4],
});

/** arch/mips/include/uapi/asm/statfs.h: struct statfs of o32 and n64. */
const STATFS_MIPS = struct({
  type: 'long',
  bsize: 'long',
  frsize: 'long',
  blocks: 'long',
  bfree: 'long',
  files: 'long',
  ffree: 'long',
  bavail: 'long',
  fsid: ['i32', 2],
  namelen: 'long',
  flags: 'long',
  spare: ['long', 5],
});

const STATFS64_O32 = struct({
  type: 'u32',
  bsize: 'u32',
  frsize: 'u32',
  pad: 'u32',
  blocks: 'u64',
  bfree: 'u64',
  files: 'u64',
  ffree: 'u64',
  bavail: 'u64',
  fsid: ['i32', 2],
  namelen: 'u32',
  flags: 'u32',
  spare: ['u32', 5],
});

/** ST_RDONLY and ST_VALID (include/linux/statfs.h). */
const ST_RDONLY = 1;
const ST_VALID = 0x20;
/** Blocks of 4 KiB: the same on every host. */
const TOTAL_BLOCKS = 262144;
const FREE_BLOCKS = 131072;

export function writeStatfs(abi: Abi, memory: Memory, address: number, fs: FsStat, form: 'statfs' | 'statfs64'): void {
  const common = {
    type: fs.type,
    bsize: 4096,
    frsize: 4096,
    namelen: 255,
    flags: ST_VALID | (fs.readOnly ? ST_RDONLY : 0),
  };
  const wide = {
    blocks: BigInt(TOTAL_BLOCKS),
    bfree: BigInt(FREE_BLOCKS),
    bavail: BigInt(FREE_BLOCKS),
    files: BigInt(TOTAL_BLOCKS),
    ffree: BigInt(FREE_BLOCKS),
  };
  if (abi.name === 'amd64') STATFS_AMD64.write(memory, abi.word, address, { ...common, ...wide });
  else if (form === 'statfs64' && abi.name === 'o32')
    STATFS64_O32.write(memory, abi.word, address, { ...common, ...wide });
  else
    STATFS_MIPS.write(memory, abi.word, address, {
      ...common,
      blocks: TOTAL_BLOCKS,
      bfree: FREE_BLOCKS,
      bavail: FREE_BLOCKS,
      files: TOTAL_BLOCKS,
      ffree: FREE_BLOCKS,
    });
}

/** The head of struct linux_dirent64; the name follows at offset 19. */
export const DIRENT64 = struct({ ino: 'u64', off: 'i64', reclen: 'u16', type: 'u8' });
export const DIRENT64_NAME = 19;
/** The head of struct linux_dirent; the name follows the record length, the type is the record's last byte. */
export const DIRENT = struct({ ino: 'ulong', off: 'ulong', reclen: 'u16' });

export const IOVEC = struct({ base: 'ptr', length: 'ulong' });
export const POLLFD = struct({ fd: 'i32', events: 'u16', revents: 'u16' });
export const TIMESPEC = struct({ sec: 'long', nsec: 'long' });
export const TIMESPEC64 = struct({ sec: 'i64', nsec: 'i64' });
export const TIMEVAL = struct({ sec: 'long', usec: 'long' });
export const WINSIZE = struct({ rows: 'u16', columns: 'u16', xpixel: 'u16', ypixel: 'u16' });
/** struct msghdr. */
export const MSGHDR = struct({
  name: 'ptr',
  namelen: 'u32',
  iov: 'ptr',
  iovlen: 'ulong',
  control: 'ptr',
  controllen: 'ulong',
  flags: 'u32',
});

const EPOLL_FIELDS = { events: 'u32', data: 'u64' } as const;
const EPOLL_AMD64 = packedStruct(EPOLL_FIELDS);
const EPOLL_NATURAL = struct(EPOLL_FIELDS);

/** struct epoll_event: packed on amd64 only (EPOLL_PACKED). */
export function epollEvent(abi: Abi): Struct<typeof EPOLL_FIELDS> {
  return abi.name === 'amd64' ? EPOLL_AMD64 : EPOLL_NATURAL;
}

/** struct flock of F_GETLK: o32 has words, and F_GETLK64 the wide form. */
export const FLOCK = struct({
  type: 'i16',
  whence: 'i16',
  start: 'long',
  length: 'long',
  pid: 'i32',
} satisfies StructFields);
export const FLOCK64 = struct({
  type: 'i16',
  whence: 'i16',
  start: 'i64',
  length: 'i64',
  pid: 'i32',
} satisfies StructFields);

/** fcntl commands [generic, MIPS] (arch/mips/include/uapi/asm/fcntl.h). */
export const FCNTL = {
  F_DUPFD: [0, 0],
  F_GETFD: [1, 1],
  F_SETFD: [2, 2],
  F_GETFL: [3, 3],
  F_SETFL: [4, 4],
  F_GETLK: [5, 14],
  F_SETLK: [6, 6],
  F_SETLKW: [7, 7],
  F_SETOWN: [8, 24],
  F_GETOWN: [9, 23],
  F_GETLK64: [12, 33],
  F_SETLK64: [13, 34],
  F_SETLKW64: [14, 35],
  F_OFD_GETLK: [36, 36],
  F_OFD_SETLK: [37, 37],
  F_OFD_SETLKW: [38, 38],
  F_DUPFD_CLOEXEC: [1030, 1030],
  F_SETPIPE_SZ: [1031, 1031],
  F_GETPIPE_SZ: [1032, 1032],
  F_ADD_SEALS: [1033, 1033],
  F_GET_SEALS: [1034, 1034],
} as const satisfies Readonly<Record<string, readonly [generic: number, mips: number]>>;

/** ioctl requests [generic, MIPS] (asm-generic/ioctls.h; arch/mips/include/uapi/asm/ioctls.h). */
export const IOCTL = {
  TCGETS: [0x5401, 0x540d],
  TCSETS: [0x5402, 0x540e],
  TCSETSW: [0x5403, 0x540f],
  TCSETSF: [0x5404, 0x5410],
  TIOCGPGRP: [0x540f, 0x40047477],
  TIOCGWINSZ: [0x5413, 0x40087468],
  FIONREAD: [0x541b, 0x467f],
  FIONBIO: [0x5421, 0x667e],
  FIONCLEX: [0x5450, 0x6602],
  FIOCLEX: [0x5451, 0x6601],
} as const satisfies Readonly<Record<string, readonly [generic: number, mips: number]>>;

type Numbers = Readonly<Record<string, readonly [generic: number, mips: number]>>;

/** The name of a number in one of the tables above, for this ABI. */
export function nameOf<T extends Numbers>(abi: Abi, table: T, number: number): (keyof T & string) | undefined {
  const column = abi.mips ? 1 : 0;
  return Object.keys(table).find((name) => table[name]![column] === number);
}
