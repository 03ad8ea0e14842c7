// System calls about what files are: stat in its forms, access, permissions, owners, times, file systems.

import { CallError } from '../abi/errno.ts';
import { STATX, splitTime, TIMESPEC, TIMESPEC64, TIMEVAL, writeStat, writeStatfs } from '../abi/files.ts';
import type { Call, Result, Row } from '../call.ts';
import { refused, row } from '../call.ts';
import type { OpenFile } from '../vfs/file.ts';
import type { Inode, Stat } from '../vfs/inode.ts';
import { access, chmod, chown, setTimes, statFile, statInode } from '../vfs/stat.ts';
import type { Vfs } from '../vfs/vfs.ts';
import { type Existing, lookUpExisting } from '../vfs/walk.ts';
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  filesOf,
  pathAt,
  startAt,
} from './files.ts';

type Target = Pick<Existing, 'inode' | 'looked'> | { readonly file: OpenFile };

/** What a directory descriptor, a path and AT_ flags name: an open file where the path is empty. */
function targetOf(call: Call, vfs: Vfs, dirfd: number, address: number, flags: number): Target {
  const path = pathAt(call, address);
  if (path === '' && (flags & AT_EMPTY_PATH) !== 0)
    return dirfd === AT_FDCWD ? { inode: vfs.state.cwd } : { file: vfs.file(dirfd) };
  return lookUpExisting(vfs, startAt(vfs, dirfd, path), path, (flags & AT_SYMLINK_NOFOLLOW) === 0);
}

const statOf = (vfs: Vfs, target: Target): Stat =>
  'file' in target ? statFile(vfs, target.file) : statInode(vfs, target.inode, target.looked);

/** The inode behind an open file. @throws CallError EPERM for what has none that could be changed */
function inodeOf(target: Target): Inode {
  if ('inode' in target) return target.inode;
  if ('inode' in target.file) return target.file.inode;
  throw new CallError('EPERM');
}

type Form = 'stat' | 'stat64';

function put(call: Call, address: number, stat: Stat, form: Form): Result {
  return writeStat(call.abi, call.memory, address, stat, form) ? 0 : 'EOVERFLOW';
}

function statAt(call: Call, dirfd: number, path: number, buffer: number, flags: number, form: Form): Result {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  return put(call, buffer, statOf(vfs, targetOf(call, vfs, dirfd, path, flags)), form);
}

const byPath = (flags: number, form: Form) => (call: Call) =>
  statAt(call, AT_FDCWD, call.args[0]!, call.args[1]!, flags, form);

const byDescriptor = (form: Form) => (call: Call) => {
  const vfs = filesOf(call);
  return put(call, call.args[1]!, statFile(vfs, vfs.file(call.args[0]!)), form);
};

const byDirectory = (form: Form) => (call: Call) => {
  const [dirfd, path, buffer, flags] = call.args as [number, number, number, number];
  return statAt(call, dirfd, path, buffer, flags, form);
};

/** STATX_BASIC_STATS */
const BASIC_STATS = 0x7ff;
const STATX_RESERVED = 0x8000_0000;
const STATX_SYNC = 0x6000;

const major = (dev: number): number => (dev >>> 8) & 0xfff;
const minor = (dev: number): number => (dev & 0xff) | ((dev >>> 12) & 0xfff00);

function statx(call: Call): Result {
  const [dirfd, path, flags, mask, buffer] = call.args as [number, number, number, number, number];
  const known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | STATX_SYNC;
  if ((flags & ~known) !== 0 || (mask & STATX_RESERVED) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const stat = statOf(vfs, targetOf(call, vfs, dirfd, path, flags));
  const atime = splitTime(stat.atime);
  const mtime = splitTime(stat.mtime);
  const ctime = splitTime(stat.ctime);
  STATX.write(call.memory, call.abi.word, buffer, {
    mask: BASIC_STATS,
    blksize: stat.blksize,
    nlink: stat.nlink,
    uid: stat.uid,
    gid: stat.gid,
    mode: stat.mode,
    ino: BigInt(stat.ino),
    size: BigInt(stat.size),
    blocks: BigInt(stat.blocks),
    atime: atime.seconds,
    atimeNsec: Number(atime.nanoseconds),
    mtime: mtime.seconds,
    mtimeNsec: Number(mtime.nanoseconds),
    ctime: ctime.seconds,
    ctimeNsec: Number(ctime.nanoseconds),
    rdevMajor: major(stat.rdev),
    rdevMinor: minor(stat.rdev),
    devMajor: major(stat.dev),
    devMinor: minor(stat.dev),
  });
  return 0;
}

function accessAt(call: Call, dirfd: number, path: number, mask: number, flags: number): Result {
  if ((mask & ~7) !== 0 || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const target = targetOf(call, vfs, dirfd, path, flags);
  if ('inode' in target) access(vfs, target.inode, mask);
  else if ('inode' in target.file) access(vfs, target.file.inode, mask);
  return 0;
}

function chmodAt(call: Call, dirfd: number, path: number, mode: number, flags: number): Result {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const inode = inodeOf(targetOf(call, vfs, dirfd, path, flags));
  if (inode.kind === 'symlink') return 'EOPNOTSUPP';
  chmod(vfs, inode, mode);
  return 0;
}

/** -1 leaves an owner as it is. */
const owner = (id: number): number | undefined => (id === 0xffff_ffff ? undefined : id);

function chownAt(call: Call, dirfd: number, path: number, uid: number, gid: number, flags: number): Result {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  chown(vfs, inodeOf(targetOf(call, vfs, dirfd, path, flags)), owner(uid), owner(gid));
  return 0;
}

const UTIME_NOW = 0x3fff_ffff;
const UTIME_OMIT = 0x3fff_fffe;
const SECOND = 1_000_000_000n;

function utimensat(call: Call, wide: boolean): Result {
  const [dirfd, path, times, flags] = call.args as [number, number, number, number];
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const { memory, abi } = call;
  const now = vfs.kernel.wall();
  let atime: bigint | undefined = now;
  let mtime: bigint | undefined = now;
  if (times !== 0) {
    const layout = wide ? TIMESPEC64 : TIMESPEC;
    const timeAt = (address: number): bigint | undefined => {
      const { sec, nsec } = layout.read(memory, abi.word, address);
      const nanoseconds = wide ? BigInt.asUintN(32, BigInt(nsec)) : BigInt(nsec);
      if (nanoseconds === BigInt(UTIME_NOW)) return now;
      if (nanoseconds === BigInt(UTIME_OMIT)) return undefined;
      if (nanoseconds < 0n || nanoseconds >= SECOND) throw new CallError('EINVAL');
      return BigInt(sec) * SECOND + nanoseconds;
    };
    atime = timeAt(times);
    mtime = timeAt(times + layout.size(abi.word));
    if (atime === undefined && mtime === undefined) return 0;
  }
  // A null path means the descriptor itself: how futimens is made.
  const target: Target = path === 0 ? { file: vfs.file(dirfd) } : targetOf(call, vfs, dirfd, path, flags);
  setTimes(vfs, inodeOf(target), atime, mtime);
  return 0;
}

function utimesAt(call: Call, dirfd: number, path: number, times: number): Result {
  const vfs = filesOf(call);
  const { memory, abi } = call;
  const now = vfs.kernel.wall();
  const timeAt = (address: number): bigint => {
    const { sec, usec } = TIMEVAL.read(memory, abi.word, address);
    if (usec < 0 || usec >= 1_000_000) throw new CallError('EINVAL');
    return BigInt(sec) * SECOND + BigInt(usec) * 1000n;
  };
  const atime = times === 0 ? now : timeAt(times);
  const mtime = times === 0 ? now : timeAt(times + TIMEVAL.size(abi.word));
  const target: Target = path === 0 ? { file: vfs.file(dirfd) } : targetOf(call, vfs, dirfd, path, 0);
  setTimes(vfs, inodeOf(target), atime, mtime);
  return 0;
}

/** f_type: include/uapi/linux/magic.h; V9FS_MAGIC for what is mapped from the host. */
const TMPFS_MAGIC = 0x0102_1994;
const V9FS_MAGIC = 0x0102_1997;
const PROC_SUPER_MAGIC = 0x9fa0;
const PIPEFS_MAGIC = 0x5049_5045;

function fsOf(target: Target): { type: number; readOnly: boolean } {
  if ('file' in target && !('inode' in target.file)) return { type: PIPEFS_MAGIC, readOnly: false };
  const inode = inodeOf(target);
  if (inode.kind === 'host') return { type: V9FS_MAGIC, readOnly: inode.mount.readOnly };
  return { type: inode.kind.startsWith('generated') ? PROC_SUPER_MAGIC : TMPFS_MAGIC, readOnly: false };
}

const statfs = (form: 'statfs' | 'statfs64') => (call: Call) => {
  const vfs = filesOf(call);
  const [path, first, second] = call.args as [number, number, number | undefined];
  writeStatfs(call.abi, call.memory, second ?? first, fsOf(targetOf(call, vfs, AT_FDCWD, path, 0)), form);
  return 0;
};

const fstatfs = (form: 'statfs' | 'statfs64') => (call: Call) => {
  const vfs = filesOf(call);
  const [fd, first, second] = call.args as [number, number, number | undefined];
  writeStatfs(call.abi, call.memory, second ?? first, fsOf({ file: vfs.file(fd) }), form);
  return 0;
};

const noAttributes = (name: 'getxattr' | 'lgetxattr' | 'fgetxattr' | 'listxattr' | 'llistxattr' | 'flistxattr') =>
  refused(name, ['ptr', 'ptr', 'ptr', 'size'], 'EOPNOTSUPP', 'files have no extended attributes');
const setsNoAttributes = (name: 'setxattr' | 'lsetxattr' | 'fsetxattr') =>
  refused(name, ['ptr', 'string', 'ptr', 'size', 'flags'], 'EOPNOTSUPP', 'files have no extended attributes');

export const STAT_ROWS: readonly Row[] = [
  row('stat', ['path', 'out'], byPath(0, 'stat')),
  row('lstat', ['path', 'out'], byPath(AT_SYMLINK_NOFOLLOW, 'stat')),
  row('fstat', ['fd', 'out'], byDescriptor('stat')),
  row('newfstatat', ['dirfd', 'path', 'out', 'flags'], byDirectory('stat')),
  row('stat64', ['path', 'out'], byPath(0, 'stat64')),
  row('lstat64', ['path', 'out'], byPath(AT_SYMLINK_NOFOLLOW, 'stat64')),
  row('fstat64', ['fd', 'out'], byDescriptor('stat64')),
  row('fstatat64', ['dirfd', 'path', 'out', 'flags'], byDirectory('stat64')),
  row('statx', ['dirfd', 'path', 'flags', 'hex', 'out'], statx),
  row('access', ['path', 'int'], (call) => accessAt(call, AT_FDCWD, call.args[0]!, call.args[1]!, 0)),
  row('faccessat', ['dirfd', 'path', 'int'], (call) => accessAt(call, call.args[0]!, call.args[1]!, call.args[2]!, 0)),
  row('faccessat2', ['dirfd', 'path', 'int', 'flags'], (call) =>
    accessAt(call, call.args[0]!, call.args[1]!, call.args[2]!, call.args[3]!),
  ),
  row('chmod', ['path', 'mode'], (call) => chmodAt(call, AT_FDCWD, call.args[0]!, call.args[1]!, 0)),
  row('fchmod', ['fd', 'mode'], (call) => {
    const vfs = filesOf(call);
    chmod(vfs, inodeOf({ file: vfs.file(call.args[0]!) }), call.args[1]!);
    return 0;
  }),
  row('fchmodat', ['dirfd', 'path', 'mode'], (call) => chmodAt(call, call.args[0]!, call.args[1]!, call.args[2]!, 0)),
  row('fchmodat2', ['dirfd', 'path', 'mode', 'flags'], (call) =>
    chmodAt(call, call.args[0]!, call.args[1]!, call.args[2]!, call.args[3]!),
  ),
  row('chown', ['path', 'uint', 'uint'], (call) =>
    chownAt(call, AT_FDCWD, call.args[0]!, call.args[1]!, call.args[2]!, 0),
  ),
  row('lchown', ['path', 'uint', 'uint'], (call) =>
    chownAt(call, AT_FDCWD, call.args[0]!, call.args[1]!, call.args[2]!, AT_SYMLINK_NOFOLLOW),
  ),
  row('fchown', ['fd', 'uint', 'uint'], (call) => {
    const vfs = filesOf(call);
    chown(vfs, inodeOf({ file: vfs.file(call.args[0]!) }), owner(call.args[1]!), owner(call.args[2]!));
    return 0;
  }),
  row('fchownat', ['dirfd', 'path', 'uint', 'uint', 'flags'], (call) => {
    const [dirfd, path, uid, gid, flags] = call.args as [number, number, number, number, number];
    return chownAt(call, dirfd, path, uid, gid, flags);
  }),
  row('utimensat', ['dirfd', 'path', 'ptr', 'flags'], (call) => utimensat(call, false)),
  row('utimensat_time64', ['dirfd', 'path', 'ptr', 'flags'], (call) => utimensat(call, true)),
  row('utimes', ['path', 'ptr'], (call) => utimesAt(call, AT_FDCWD, call.args[0]!, call.args[1]!)),
  row('futimesat', ['dirfd', 'path', 'ptr'], (call) => utimesAt(call, call.args[0]!, call.args[1]!, call.args[2]!)),
  row('statfs', ['path', 'out'], statfs('statfs'), { note: 'sizes are constants' }),
  row('fstatfs', ['fd', 'out'], fstatfs('statfs'), { note: 'sizes are constants' }),
  row('statfs64', ['path', 'size', 'out'], statfs('statfs64'), { note: 'sizes are constants' }),
  row('fstatfs64', ['fd', 'size', 'out'], fstatfs('statfs64'), { note: 'sizes are constants' }),
  noAttributes('getxattr'),
  noAttributes('lgetxattr'),
  noAttributes('fgetxattr'),
  noAttributes('listxattr'),
  noAttributes('llistxattr'),
  noAttributes('flistxattr'),
  setsNoAttributes('setxattr'),
  setsNoAttributes('lsetxattr'),
  setsNoAttributes('fsetxattr'),
];
