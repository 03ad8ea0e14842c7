// What a name can lead to: the kinds of inode, as plain data. Their contents and behaviour live in the files named beside them.
//
// Names and paths are byte strings: JavaScript strings with one character per byte (latin1), because Linux gives bytes no meaning but
// `/` and NUL. Everything here is plain objects, arrays and Maps, so that a snapshot is a copy of the graph (copy.ts).

import type { Content } from './content.ts';

/** File type bits of st_mode; the same on all ABIs (include/uapi/linux/stat.h). */
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;

/** Access, modification and change times: nanoseconds since 1970. */
export interface Times {
  atime: bigint;
  mtime: bigint;
  ctime: bigint;
}

/** What every inode that lives in memory has. `mode` holds type and permission bits. */
export interface Meta extends Times {
  readonly ino: number;
  readonly dev: number;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
}

export interface FileInode extends Meta {
  readonly kind: 'file';
  content: Content;
}

export interface DirInode extends Meta {
  readonly kind: 'dir';
  readonly entries: Map<string, Inode>;
  /** The directory that holds this one, itself for the root; undefined once removed. */
  parent: DirInode | undefined;
  /** Its name there. */
  name: string;
  /** No guest may change the entries: the root, /proc, /dev, /sys. */
  readonly fixed: boolean;
}

export interface SymlinkInode extends Meta {
  readonly kind: 'symlink';
  readonly target: string;
}

/** A name bound by an AF_UNIX socket. */
export interface SocketInode extends Meta {
  readonly kind: 'socket-name';
}

export type DeviceName = 'null' | 'zero' | 'full' | 'random' | 'urandom' | 'tty';

export interface DeviceInode extends Meta {
  readonly kind: 'device';
  readonly device: DeviceName;
}

/** A file whose text is made when it is opened: see proc.ts. */
export interface GeneratedInode extends Meta {
  readonly kind: 'generated';
  readonly source: string;
  /** The thread that a /proc/PID/task/TID file speaks of. */
  readonly tid?: number;
}

/** A link whose target is made when it is read: /proc/self, /proc/self/exe, cwd, root. */
export interface GeneratedLinkInode extends Meta {
  readonly kind: 'generated-link';
  readonly source: string;
  /** For /proc/self/fd/N: N. */
  readonly fd?: number;
}

/** A directory whose entries are made when they are looked up: /proc/PID/fd, /proc/PID/task. */
export interface GeneratedDirInode extends Meta {
  readonly kind: 'generated-dir';
  readonly source: string;
  readonly tid?: number;
  readonly parent: DirInode | GeneratedDirInode;
  readonly name: string;
}

/** A host directory mapped into the guest. The tree itself (host.ts) is outside the state, found by number. */
export interface Mount {
  readonly tree: number;
  readonly dev: number;
  readonly readOnly: boolean;
  readonly parent: DirInode;
  readonly name: string;
}

/** Something inside a mapped host directory. It has no state here: the host is asked each time. */
export interface HostInode {
  readonly kind: 'host';
  readonly mount: Mount;
  /** Components below the mapped directory; empty for that directory itself. None is `.`, `..` or a link. */
  readonly path: readonly string[];
  readonly type: 'file' | 'dir' | 'symlink' | 'other';
}

export interface HostDirectory extends HostInode {
  readonly type: 'dir';
}

export type Inode =
  | FileInode
  | DirInode
  | SymlinkInode
  | SocketInode
  | DeviceInode
  | GeneratedInode
  | GeneratedLinkInode
  | GeneratedDirInode
  | HostInode;

export type Directory = DirInode | GeneratedDirInode | HostDirectory;

export function isDirectory(inode: Inode): inode is Directory {
  return inode.kind === 'dir' || inode.kind === 'generated-dir' || (inode.kind === 'host' && inode.type === 'dir');
}

export function isSymlink(inode: Inode): boolean {
  return (
    inode.kind === 'symlink' || inode.kind === 'generated-link' || (inode.kind === 'host' && inode.type === 'symlink')
  );
}

/** A device number from its parts, as the kernel hands it to programs in 64 bits (include/linux/kdev_t.h, new_encode_dev). */
export function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
}

/** The answer to stat, without an ABI's layout. */
export interface Stat extends Times {
  dev: number;
  ino: number;
  mode: number;
  nlink: number;
  uid: number;
  gid: number;
  rdev: number;
  size: number;
  blksize: number;
  /** In units of 512 bytes. */
  blocks: number;
}

/** Type of a directory entry (DT_* of include/linux/fs_types.h is the type bits of the mode, shifted). */
export function direntType(mode: number): number {
  return (mode & S_IFMT) >>> 12;
}
