// Changes to directories: mkdir, unlink, rmdir, link, symlink, rename. (fs/namei.c)

import { CallError } from '../abi/errno.ts';
import { contentPages, emptyContent } from './content.ts';
import {
  type Directory,
  type DirInode,
  type FileInode,
  type HostInode,
  type Inode,
  isDirectory,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
} from './inode.ts';
import { touch, touchHost } from './stat.ts';
import type { Vfs } from './vfs.ts';
import { demand, type Found, MAY_EXEC, MAY_WRITE, resolve } from './walk.ts';

/** A directory whose entries the guest may change. @throws CallError EROFS, EACCES */
function writable(vfs: Vfs, directory: Directory): DirInode | HostInode {
  if (directory.kind === 'generated-dir') throw new CallError('EPERM');
  if (directory.kind === 'dir' ? directory.fixed : directory.mount.readOnly) throw new CallError('EROFS');
  if (directory.kind === 'dir') {
    if (directory.parent === undefined) throw new CallError('ENOENT');
    demand(vfs, directory, MAY_WRITE | MAY_EXEC);
  }
  return directory;
}

const below = (directory: HostInode, name: string): readonly string[] => [...directory.path, name];

/** A place for something new. @throws CallError EEXIST */
function vacant(vfs: Vfs, start: Directory, path: string): Found {
  const found = resolve(vfs, start, path, false);
  if (found.inode !== undefined) throw new CallError('EEXIST');
  return found;
}

function add(vfs: Vfs, directory: DirInode, name: string, inode: Inode): void {
  directory.entries.set(name, inode);
  if (inode.kind === 'dir') directory.nlink++;
  touch(vfs, directory);
}

/** Makes an empty file in an in-memory directory. */
export function makeFile(vfs: Vfs, directory: DirInode, name: string, mode: number): FileInode {
  const inode: FileInode = {
    ...vfs.newMeta(S_IFREG | (mode & 0o7777 & ~vfs.state.umask), directory.dev),
    kind: 'file',
    content: emptyContent(),
  };
  add(vfs, directory, name, inode);
  return inode;
}

/** The directory in which a file can be made. @throws CallError */
export function placeForFile(vfs: Vfs, found: Found): DirInode | HostInode {
  return writable(vfs, found.parent);
}

export function mkdir(vfs: Vfs, start: Directory, path: string, mode: number): void {
  const { parent, name } = vacant(vfs, start, path);
  const directory = writable(vfs, parent);
  const bits = mode & 0o1777 & ~vfs.state.umask;
  if (directory.kind === 'host') {
    vfs.tree(directory).mkdir(below(directory, name), bits & 0o777);
    touchHost(vfs, { ...directory, path: below(directory, name) });
    touch(vfs, directory);
    return;
  }
  const made: DirInode = {
    ...vfs.newMeta(S_IFDIR | bits, directory.dev),
    kind: 'dir',
    entries: new Map(),
    parent: directory,
    name,
    fixed: false,
    nlink: 2,
  };
  add(vfs, directory, name, made);
}

export function symlink(vfs: Vfs, target: string, start: Directory, path: string): void {
  if (target === '') throw new CallError('ENOENT');
  const { parent, name, slash } = vacant(vfs, start, path);
  if (slash) throw new CallError('ENOENT');
  const directory = writable(vfs, parent);
  if (directory.kind === 'host') {
    vfs.tree(directory).symlink(target, below(directory, name));
    touchHost(vfs, { ...directory, path: below(directory, name), type: 'symlink' });
    touch(vfs, directory);
    return;
  }
  add(vfs, directory, name, { ...vfs.newMeta(S_IFLNK | 0o777, directory.dev), kind: 'symlink', target });
}

/** The name of an AF_UNIX socket. @throws CallError EADDRINUSE where something has the name; EPERM on the host */
export function makeSocketName(vfs: Vfs, start: Directory, path: string): number {
  const found = resolve(vfs, start, path, false);
  if (found.inode !== undefined) throw new CallError('EADDRINUSE');
  const directory = writable(vfs, found.parent);
  // A socket in a mapped directory would be the host's, and there is no way to it.
  if (directory.kind === 'host') throw new CallError('EPERM');
  const inode: Inode = {
    ...vfs.newMeta(S_IFSOCK | (0o777 & ~vfs.state.umask), directory.dev),
    kind: 'socket-name',
  };
  add(vfs, directory, found.name, inode);
  return inode.ino;
}

function demandEntry(found: Found): Inode {
  if (found.inode === undefined) throw new CallError('ENOENT');
  return found.inode;
}

const isMountPoint = (inode: Inode): boolean => inode.kind === 'host' && inode.path.length === 0;

/** An inode has lost a name. */
function drop(vfs: Vfs, inode: Inode): void {
  if (inode.kind === 'host') return;
  inode.nlink = Math.max(0, inode.nlink - (inode.kind === 'dir' ? 2 : 1));
  inode.ctime = vfs.kernel.wall();
  if (inode.kind === 'dir') inode.parent = undefined;
  if (inode.kind === 'file' && inode.nlink === 0 && !isOpen(vfs, inode)) freePages(vfs, inode);
}

function isOpen(vfs: Vfs, inode: FileInode): boolean {
  for (const { file } of vfs.state.descriptors.entries.values())
    if (file.kind === 'memory' && file.inode === inode) return true;
  return false;
}

/** A file without a name has been closed for the last time: its memory counts no more. */
export function freePages(vfs: Vfs, inode: FileInode): void {
  vfs.state.pages -= contentPages(inode.content);
  inode.content = emptyContent();
}

export function unlink(vfs: Vfs, start: Directory, path: string): void {
  const found = resolve(vfs, start, path, false);
  if (found.name === '/' || found.name === '.' || found.name === '..') throw new CallError('EISDIR');
  const inode = demandEntry(found);
  const directory = writable(vfs, found.parent);
  if (isDirectory(inode)) throw new CallError('EISDIR');
  if (found.slash) throw new CallError('ENOTDIR');
  if (directory.kind === 'host') vfs.tree(directory).unlink(below(directory, found.name));
  else {
    directory.entries.delete(found.name);
    drop(vfs, inode);
  }
  touch(vfs, directory);
}

export function rmdir(vfs: Vfs, start: Directory, path: string): void {
  const found = resolve(vfs, start, path, false);
  if (found.name === '/') throw new CallError('EBUSY');
  if (found.name === '.') throw new CallError('EINVAL');
  if (found.name === '..') throw new CallError('ENOTEMPTY');
  const inode = demandEntry(found);
  if (!isDirectory(inode)) throw new CallError('ENOTDIR');
  if (isMountPoint(inode)) throw new CallError('EBUSY');
  const directory = writable(vfs, found.parent);
  if (directory.kind === 'host') vfs.tree(directory).rmdir(below(directory, found.name));
  else {
    if (inode.kind !== 'dir' || inode.fixed) throw new CallError('EBUSY');
    if (inode.entries.size > 0) throw new CallError('ENOTEMPTY');
    directory.entries.delete(found.name);
    directory.nlink--;
    drop(vfs, inode);
  }
  touch(vfs, directory);
}

/** Gives `inode` another name. @throws CallError EXDEV between file systems, EPERM for directories */
export function link(vfs: Vfs, inode: Inode, start: Directory, path: string): void {
  const { parent, name, slash } = vacant(vfs, start, path);
  if (slash) throw new CallError('ENOENT');
  const directory = writable(vfs, parent);
  if (isDirectory(inode)) throw new CallError('EPERM');
  if (inode.kind === 'host' || directory.kind === 'host') {
    if (inode.kind !== 'host' || directory.kind !== 'host' || inode.mount !== directory.mount)
      throw new CallError('EXDEV');
    vfs.tree(directory).link(inode.path, below(directory, name));
    touch(vfs, directory);
    return;
  }
  if (inode.dev !== directory.dev) throw new CallError('EXDEV');
  if (inode.nlink === 0) throw new CallError('ENOENT');
  inode.nlink++;
  inode.ctime = vfs.kernel.wall();
  add(vfs, directory, name, inode);
}

export interface RenameOptions {
  readonly noReplace?: boolean;
  readonly exchange?: boolean;
}

/** @throws CallError EXDEV, ENOTEMPTY, EISDIR, ENOTDIR, EINVAL (into itself), EBUSY (a mount point) */
export function rename(
  vfs: Vfs,
  fromStart: Directory,
  fromPath: string,
  toStart: Directory,
  toPath: string,
  options: RenameOptions = {},
): void {
  const from = resolve(vfs, fromStart, fromPath, false);
  const to = resolve(vfs, toStart, toPath, false);
  for (const { name } of [from, to]) if (name === '/' || name === '.' || name === '..') throw new CallError('EBUSY');
  const inode = demandEntry(from);
  const source = writable(vfs, from.parent);
  const target = writable(vfs, to.parent);
  if (isMountPoint(inode) || (to.inode !== undefined && isMountPoint(to.inode))) throw new CallError('EBUSY');
  if (options.noReplace === true && to.inode !== undefined) throw new CallError('EEXIST');
  if (options.exchange === true && to.inode === undefined) throw new CallError('ENOENT');
  if ((from.slash || to.slash) && !isDirectory(inode)) throw new CallError('ENOTDIR');
  if (source.kind === 'host' || target.kind === 'host') {
    if (source.kind !== 'host' || target.kind !== 'host' || source.mount !== target.mount) throw new CallError('EXDEV');
    // The host has no exchange that Node can ask for.
    if (options.exchange === true) throw new CallError('EINVAL');
    vfs.tree(source).rename(below(source, from.name), below(target, to.name));
    touch(vfs, source);
    if (source !== target) touch(vfs, target);
    return;
  }
  if (source.dev !== target.dev) throw new CallError('EXDEV');
  if (to.inode === inode) return;
  if (inode.kind === 'dir') {
    if (inode.fixed) throw new CallError('EBUSY');
    for (let at: DirInode | undefined = target; at !== undefined; at = at.parent === at ? undefined : at.parent)
      if (at === inode) throw new CallError('EINVAL');
  }
  if (options.exchange !== true && to.inode !== undefined) {
    if (inode.kind === 'dir' && to.inode.kind !== 'dir') throw new CallError('ENOTDIR');
    if (inode.kind !== 'dir' && to.inode.kind === 'dir') throw new CallError('EISDIR');
    if (to.inode.kind === 'dir' && to.inode.entries.size > 0) throw new CallError('ENOTEMPTY');
  }
  take(source, from.name, inode);
  if (to.inode !== undefined) {
    take(target, to.name, to.inode);
    if (options.exchange === true) settle(source, from.name, to.inode);
    else drop(vfs, to.inode);
  }
  settle(target, to.name, inode);
  if (inode.kind !== 'host') inode.ctime = vfs.kernel.wall();
  touch(vfs, source);
  touch(vfs, target);
}

function take(directory: DirInode, name: string, inode: Inode): void {
  directory.entries.delete(name);
  if (inode.kind === 'dir') directory.nlink--;
}

function settle(directory: DirInode, name: string, inode: Inode): void {
  directory.entries.set(name, inode);
  if (inode.kind === 'dir') {
    inode.parent = directory;
    inode.name = name;
    directory.nlink++;
  }
}
