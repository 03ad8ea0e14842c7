// What inodes and open files say about themselves, and the changes that go with it: stat, access, chmod, chown, utimes.

import { CallError } from '../abi/errno.ts';
import { contentPages } from './content.ts';
import type { OpenFile } from './file.ts';
import type { HostOpen, HostStat } from './host.ts';
import {
  deviceNumber,
  type HostInode,
  type Inode,
  type Meta,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
  S_ISUID,
  type Stat,
  type Times,
} from './inode.ts';
import { ANONYMOUS_DEV, DEVICES, PIPE_DEV, SOCKET_DEV } from './tree.ts';
import type { Vfs } from './vfs.ts';
import { allowed, linkTarget, MAY_WRITE } from './walk.ts';

const BLOCK = 4096;

const HOST_TYPE = { file: S_IFREG, dir: S_IFDIR, symlink: S_IFLNK, other: S_IFSOCK } as const;

/** The guest's number for a host inode: the next one, the first time it is seen. */
export function hostIno(vfs: Vfs, identity: string): number {
  const known = vfs.state.hostInos.get(identity);
  if (known !== undefined) return known;
  const ino = vfs.newIno();
  vfs.state.hostInos.set(identity, ino);
  return ino;
}

/** A host file as the guest sees it. */
function statHost(vfs: Vfs, inode: HostInode, stat: HostStat): Stat {
  const ino = hostIno(vfs, stat.identity);
  const own = vfs.state.hostTimes.get(ino);
  const directory = stat.type === 'dir';
  return {
    dev: inode.mount.dev,
    ino,
    mode: HOST_TYPE[stat.type] | stat.mode,
    nlink: directory ? 2 : stat.nlink,
    uid: vfs.uid,
    gid: vfs.gid,
    rdev: 0,
    size: directory ? BLOCK : stat.size,
    blksize: BLOCK,
    blocks: directory ? BLOCK / 512 : Math.ceil(stat.size / BLOCK) * (BLOCK / 512),
    atime: own?.atime ?? stat.mtime,
    mtime: own?.mtime ?? stat.mtime,
    ctime: own?.ctime ?? stat.mtime,
  };
}

function hostStat(vfs: Vfs, inode: HostInode): HostStat {
  const stat = vfs.tree(inode).stat(inode.path);
  if (stat === undefined) throw new CallError('ENOENT');
  return stat;
}

/** The guest has changed a host file: from now on its times are the guest's. */
export function touchHost(vfs: Vfs, inode: HostInode, times: Partial<Times> = {}): void {
  const stat = vfs.tree(inode).stat(inode.path);
  if (stat === undefined) return;
  const now = vfs.kernel.wall();
  const ino = hostIno(vfs, stat.identity);
  const before = vfs.state.hostTimes.get(ino);
  vfs.state.hostTimes.set(ino, {
    atime: times.atime ?? before?.atime ?? stat.mtime,
    mtime: times.mtime ?? now,
    ctime: times.ctime ?? now,
  });
}

/** An entry of a directory has come or gone. */
export function touch(vfs: Vfs, inode: Inode): void {
  if (inode.kind === 'host') touchHost(vfs, inode);
  else inode.mtime = inode.ctime = vfs.kernel.wall();
}

function ofMeta(meta: Meta, size: number, blocks: number, rdev = 0): Stat {
  const { dev, ino, mode, nlink, uid, gid, atime, mtime, ctime } = meta;
  return { dev, ino, mode, nlink, uid, gid, rdev, size, blksize: BLOCK, blocks, atime, mtime, ctime };
}

/**
 * stat of an inode; links are not followed.
 * @param looked what the host has just said of it, if it was asked
 * @throws CallError ENOENT when a host file has gone
 */
export function statInode(vfs: Vfs, inode: Inode, looked?: HostStat): Stat {
  switch (inode.kind) {
    case 'host':
      return statHost(vfs, inode, looked ?? hostStat(vfs, inode));
    case 'file':
      return ofMeta(inode, inode.content.size, contentPages(inode.content) * (BLOCK / 512));
    case 'dir':
      return ofMeta(inode, inode.dev === 0 ? 0 : inode.entries.size * 20, 0);
    case 'symlink':
      return ofMeta(inode, inode.target.length, 0);
    case 'device':
      return ofMeta(inode, 0, 0, DEVICES[inode.device]);
    case 'generated-link':
      return ofMeta(inode, inode.fd === undefined ? linkTarget(vfs, inode).length : 64, 0);
    default:
      return ofMeta(inode, 0, 0);
  }
}

export function hostAccess(file: { readonly flags: number }): HostOpen {
  const access = file.flags & 3;
  return { read: access !== 1, write: access !== 0 };
}

/** fstat */
export function statFile(vfs: Vfs, file: OpenFile): Stat {
  if (file.kind === 'host') {
    const { inode, handle } = file;
    return statHost(vfs, inode, vfs.tree(inode).statHandle(handle, inode.path, hostAccess(file)));
  }
  if ('inode' in file) return statInode(vfs, file.inode);
  const now = 0n;
  const meta = { ino: file.ino, nlink: 1, uid: vfs.uid, gid: vfs.gid, atime: now, mtime: now, ctime: now };
  switch (file.kind) {
    case 'pipe':
      return ofMeta({ ...meta, dev: PIPE_DEV, mode: S_IFIFO | 0o600 }, 0, 0);
    case 'socket':
      return ofMeta({ ...meta, dev: SOCKET_DEV, mode: S_IFSOCK | 0o777 }, 0, 0);
    case 'stream':
      return vfs.terminal === undefined
        ? ofMeta({ ...meta, dev: PIPE_DEV, mode: S_IFIFO | 0o600 }, 0, 0)
        : ofMeta({ ...meta, dev: deviceNumber(0, 24), mode: S_IFCHR | 0o620 }, 0, 0, deviceNumber(136, 0));
    default:
      return ofMeta({ ...meta, dev: ANONYMOUS_DEV, mode: 0o600 }, 0, 0);
  }
}

/** Whether nothing about the inode may be changed: a read-only mapping, or the fixed part of the tree. */
export function isReadOnly(inode: Inode): boolean {
  switch (inode.kind) {
    case 'host':
      return inode.mount.readOnly;
    case 'dir':
      return inode.fixed;
    case 'generated':
    case 'generated-dir':
    case 'generated-link':
      return true;
    default:
      return inode.uid === 0 && (inode.mode & 0o222) === 0;
  }
}

/** access(2): `mask` of MAY_ bits; 0 asks whether it exists. @throws CallError EACCES, EROFS */
export function access(vfs: Vfs, inode: Inode, mask: number): void {
  if ((mask & MAY_WRITE) !== 0 && isReadOnly(inode)) throw new CallError('EROFS');
  if ((allowed(vfs, inode) & mask) !== mask) throw new CallError('EACCES');
}

function demandOwner(vfs: Vfs, inode: Inode): void {
  if (isReadOnly(inode)) throw new CallError('EROFS');
  if (inode.kind !== 'host' && vfs.uid !== 0 && inode.uid !== vfs.uid) throw new CallError('EPERM');
}

export function chmod(vfs: Vfs, inode: Inode, mode: number): void {
  demandOwner(vfs, inode);
  if (inode.kind === 'host') {
    if (inode.type === 'symlink') throw new CallError('EOPNOTSUPP');
    vfs.tree(inode).chmod(inode.path, mode);
    const mtime = statInode(vfs, inode).mtime;
    touchHost(vfs, inode, { mtime });
    return;
  }
  inode.mode = (inode.mode & S_IFMT) | (mode & 0o7777);
  inode.ctime = vfs.kernel.wall();
}

/** chown: only to what it is already, as for any user that is not root; undefined leaves a part alone. */
export function chown(vfs: Vfs, inode: Inode, uid: number | undefined, gid: number | undefined): void {
  demandOwner(vfs, inode);
  if (inode.kind === 'host') {
    if ((uid !== undefined && uid !== vfs.uid) || (gid !== undefined && gid !== vfs.gid)) throw new CallError('EPERM');
    return;
  }
  if (vfs.uid !== 0 && ((uid !== undefined && uid !== inode.uid) || (gid !== undefined && gid !== vfs.gid)))
    throw new CallError('EPERM');
  if (uid !== undefined) inode.uid = uid;
  if (gid !== undefined) inode.gid = gid;
  if ((inode.mode & S_IFMT) === S_IFREG) inode.mode &= ~(S_ISUID | S_ISGID);
  inode.ctime = vfs.kernel.wall();
}

/** utimensat: an undefined time stays. @throws CallError */
export function setTimes(vfs: Vfs, inode: Inode, atime: bigint | undefined, mtime: bigint | undefined): void {
  demandOwner(vfs, inode);
  const before = statInode(vfs, inode);
  const times = { atime: atime ?? before.atime, mtime: mtime ?? before.mtime, ctime: vfs.kernel.wall() };
  if (inode.kind === 'host') {
    if (inode.type !== 'symlink') vfs.tree(inode).utimes(inode.path, times.atime, times.mtime);
    touchHost(vfs, inode, times);
    return;
  }
  Object.assign(inode, times);
}
