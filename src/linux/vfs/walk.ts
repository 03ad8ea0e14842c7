// From a path to an inode: fs/namei.c. Every component is looked up here, links of the host included, so that nothing leads out.

import { CallError } from '../abi/errno.ts';
import type { HostStat } from './host.ts';
import { type Directory, type Inode, isDirectory, isSymlink } from './inode.ts';
import { generatedChild, generatedLink } from './proc.ts';
import type { Vfs } from './vfs.ts';

/** include/uapi/linux/limits.h; PATH_MAX counts the NUL. */
const NAME_MAX = 255;
const PATH_MAX = 4096;
/** Links followed in one resolution (MAXSYMLINKS). */
const MAX_LINKS = 40;

/** Permission bits as access(2) names them. */
export const MAY_READ = 4;
export const MAY_WRITE = 2;
export const MAY_EXEC = 1;

/** What a path names, or the place where it could be made. */
export interface Found {
  readonly parent: Directory;
  /** The last component; `.`, `..` and `/` where the path ends so. */
  readonly name: string;
  readonly inode: Inode | undefined;
  /** The path ended in a slash: only a directory will do. */
  readonly slash: boolean;
  /** What the host said of it just now, where it was asked. */
  readonly looked?: HostStat | undefined;
}

/** What a path names. */
export type Existing = Found & { readonly inode: Inode };

export function parentOf(vfs: Vfs, directory: Directory): Directory {
  if (directory.kind === 'host') {
    if (directory.path.length === 0) return directory.mount.parent;
    return { ...directory, path: directory.path.slice(0, -1) };
  }
  return directory.parent ?? vfs.state.root;
}

/** The entry `name` of a directory, if there is one, and what the host says of it, where it is asked. */
function lookUp(vfs: Vfs, directory: Directory, name: string): Pick<Found, 'inode' | 'looked'> {
  if (directory.kind === 'dir') return { inode: directory.entries.get(name) };
  if (directory.kind === 'generated-dir') return { inode: generatedChild(vfs, directory, name) };
  const path = [...directory.path, name];
  const looked = vfs.tree(directory).stat(path);
  if (looked === undefined) return { inode: undefined };
  return { inode: { kind: 'host', mount: directory.mount, path, type: looked.type }, looked };
}

/** The entry `name` of a directory; undefined where there is none. */
export const child = (vfs: Vfs, directory: Directory, name: string): Inode | undefined =>
  lookUp(vfs, directory, name).inode;

/** What a symbolic link says, or the inode itself for the magic links of /proc/self/fd. */
export function linkTarget(vfs: Vfs, inode: Inode): string {
  switch (inode.kind) {
    case 'symlink':
      return inode.target;
    case 'generated-link':
      return generatedLink(vfs, inode);
    case 'host':
      return vfs.tree(inode).readlink(inode.path);
    default:
      throw new CallError('EINVAL');
  }
}

/** Permission bits of an inode as they apply to the guest's user. */
export function allowed(vfs: Vfs, inode: Inode): number {
  if (inode.kind === 'host') {
    if (inode.path.length === 0) return MAY_READ | MAY_EXEC | (inode.mount.readOnly ? 0 : MAY_WRITE);
    const mode = vfs.tree(inode).stat(inode.path)?.mode ?? 0;
    // The guest's user owns what is mapped.
    return ((mode >>> 6) & 7) | (vfs.uid === 0 ? MAY_READ | MAY_WRITE : 0);
  }
  if (vfs.uid === 0) return MAY_READ | MAY_WRITE | (isDirectory(inode) || (inode.mode & 0o111) !== 0 ? MAY_EXEC : 0);
  const shift = inode.uid === vfs.uid ? 6 : inode.gid === vfs.gid ? 3 : 0;
  return (inode.mode >>> shift) & 7;
}

/** @throws CallError EACCES */
export function demand(vfs: Vfs, inode: Inode, wanted: number): void {
  if ((allowed(vfs, inode) & wanted) !== wanted) throw new CallError('EACCES');
}

/**
 * Resolves a path.
 * @param start where a relative path begins
 * @param follow whether a link in the last place is followed
 * @throws CallError ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG
 */
export function resolve(vfs: Vfs, start: Directory, path: string, follow: boolean): Found {
  if (path.length === 0) throw new CallError('ENOENT');
  if (path.length >= PATH_MAX) throw new CallError('ENAMETOOLONG');
  let at: Directory = path.startsWith('/') ? vfs.state.root : start;
  // Components yet to come, the next one last.
  let slash = path.endsWith('/');
  const rest = path
    .split('/')
    .filter((name) => name !== '')
    .reverse();
  let links = 0;
  for (;;) {
    const name = rest.pop();
    if (name === undefined) return { parent: at, name: '/', inode: at, slash };
    if (name.length > NAME_MAX) throw new CallError('ENAMETOOLONG');
    // A link in the last place, followed by a slash, is always followed.
    const last = rest.length === 0;
    if (name === '.' || name === '..') {
      demandSearch(vfs, at);
      if (name === '..') at = parentOf(vfs, at);
      if (last) return { parent: at, name, inode: at, slash };
      continue;
    }
    demandSearch(vfs, at);
    const { inode, looked } = lookUp(vfs, at, name);
    if (inode === undefined) {
      if (!last) throw new CallError('ENOENT');
      return { parent: at, name, inode: undefined, slash };
    }
    if (isSymlink(inode) && (!last || follow || slash)) {
      if (++links > MAX_LINKS) throw new CallError('ELOOP');
      const jump = inode.kind === 'generated-link' ? generatedJump(vfs, inode) : undefined;
      if (jump !== undefined) {
        if (last) return { parent: at, name, inode: jump, slash };
        if (!isDirectory(jump)) throw new CallError('ENOTDIR');
        at = jump;
        continue;
      }
      const target = linkTarget(vfs, inode);
      if (target === '') throw new CallError('ENOENT');
      if (target.startsWith('/')) at = vfs.state.root;
      if (last && target.endsWith('/')) slash = true;
      rest.push(
        ...target
          .split('/')
          .filter((part) => part !== '')
          .reverse(),
      );
      continue;
    }
    if (last) {
      if (slash && !isDirectory(inode)) throw new CallError('ENOTDIR');
      return { parent: at, name, inode, slash, looked };
    }
    if (!isDirectory(inode)) throw new CallError('ENOTDIR');
    at = inode;
  }
}

function demandSearch(vfs: Vfs, directory: Directory): void {
  // The host checks its own directories when they are used.
  if (directory.kind !== 'host') demand(vfs, directory, MAY_EXEC);
}

/** Links of /proc that lead to the thing itself, not to a path: fd/N and cwd. (proc_pid_get_link) */
function generatedJump(vfs: Vfs, inode: Inode): Inode | undefined {
  if (inode.kind !== 'generated-link') return undefined;
  if (inode.source === 'cwd') return vfs.state.cwd;
  if (inode.source === 'root') return vfs.state.root;
  if (inode.fd === undefined) return undefined;
  const file = vfs.state.descriptors.entries.get(inode.fd)?.file;
  if (file === undefined) throw new CallError('ENOENT');
  // What has no inode of its own stands for itself: open.ts shares the description.
  return 'inode' in file ? file.inode : inode;
}

/** As resolve, of something that is there. @throws CallError ENOENT and those of resolve */
export function lookUpExisting(vfs: Vfs, start: Directory, path: string, follow: boolean): Existing {
  const found = resolve(vfs, start, path, follow);
  const { inode } = found;
  if (inode === undefined) throw new CallError('ENOENT');
  return { ...found, inode };
}

/** @throws CallError ENOENT and those of resolve */
export const resolveExisting = (vfs: Vfs, start: Directory, path: string, follow: boolean): Inode =>
  lookUpExisting(vfs, start, path, follow).inode;

/** A directory by absolute path. @throws CallError */
export function resolveDirectory(vfs: Vfs, path: string): Directory {
  const inode = resolveExisting(vfs, vfs.state.root, path, true);
  if (!isDirectory(inode)) throw new CallError('ENOTDIR');
  return inode;
}

/** The absolute path of a directory, or of what remembers its place; undefined where it has none (any more). (d_path) */
export function pathOf(inode: Inode): string | undefined {
  const names: string[] = [];
  let at: Inode = inode;
  for (;;) {
    if (at.kind === 'host') {
      names.push(...[...at.path].reverse());
      names.push(at.mount.name);
      at = at.mount.parent;
    } else if (at.kind === 'dir' || at.kind === 'generated-dir') {
      const up: Directory | undefined = at.parent;
      if (up === undefined) return undefined;
      if (up === at) break;
      names.push(at.name);
      at = up;
    } else return undefined;
  }
  return `/${names.reverse().join('/')}`;
}
