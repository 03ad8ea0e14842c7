// open(2): from a path and flags to an open file. (do_filp_open, may_open)

import { CallError } from '../abi/errno.ts';
import { emptyContent } from './content.ts';
import {
  O_ACCMODE,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  type OpenFile,
} from './file.ts';
import {
  type Directory,
  type FileInode,
  type HostInode,
  type Inode,
  isDirectory,
  isSymlink,
  S_IFREG,
} from './inode.ts';
import { setSize } from './io.ts';
import { makeFile, placeForFile } from './names.ts';
import { generatedText } from './proc.ts';
import { touch, touchHost } from './stat.ts';
import { TMP_DEV } from './tree.ts';
import type { Vfs } from './vfs.ts';
import { demand, type Found, MAY_READ, MAY_WRITE, pathOf, resolve } from './walk.ts';

/** Flags that the description does not keep: they belong to the opening. */
const OPENING = O_CREAT | O_EXCL | O_TRUNC | O_DIRECTORY | O_NOFOLLOW;

/**
 * Opens a path. The description has no descriptor yet.
 * @param flags in the generic numbering
 * @throws CallError
 */
export function open(vfs: Vfs, start: Directory, path: string, flags: number, mode: number): OpenFile {
  if ((flags & O_PATH) !== 0) return openPath(vfs, start, path, flags);
  if ((flags & O_TMPFILE & ~O_DIRECTORY) !== 0) throw new CallError('EOPNOTSUPP');
  const exclusive = (flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0;
  const found = resolve(vfs, start, path, (flags & O_NOFOLLOW) === 0 && !exclusive);
  const { inode } = found;
  if (inode === undefined) {
    if ((flags & O_CREAT) === 0) throw new CallError('ENOENT');
    if (found.slash) throw new CallError('EISDIR');
    return create(vfs, found, flags, mode);
  }
  if (exclusive) throw new CallError('EEXIST');
  return openInode(vfs, inode, flags, placeOf(found));
}

function placeOf(found: Found): string | undefined {
  const parent = pathOf(found.parent);
  if (parent === undefined) return undefined;
  if (found.inode !== undefined && isDirectory(found.inode)) return pathOf(found.inode);
  return parent === '/' ? `/${found.name}` : `${parent}/${found.name}`;
}

function common(flags: number, path: string | undefined) {
  const base = { refs: 0, flags: flags & ~OPENING, ino: 0, wait: undefined };
  return path === undefined ? base : { ...base, path };
}

function openPath(vfs: Vfs, start: Directory, path: string, flags: number): OpenFile {
  const found = resolve(vfs, start, path, (flags & O_NOFOLLOW) === 0);
  if (found.inode === undefined) throw new CallError('ENOENT');
  if ((flags & O_DIRECTORY) !== 0 && !isDirectory(found.inode)) throw new CallError('ENOTDIR');
  return { ...common(O_PATH, placeOf(found)), kind: 'path', inode: found.inode };
}

function create(vfs: Vfs, found: Found, flags: number, mode: number): OpenFile {
  if ((flags & O_DIRECTORY) !== 0) throw new CallError('EINVAL');
  const directory = placeForFile(vfs, found);
  const place = placeOf(found);
  if (directory.kind === 'dir') {
    const inode = makeFile(vfs, directory, found.name, mode);
    return { ...common(flags, place), kind: 'memory', inode, offset: 0 };
  }
  const inode: HostInode = {
    kind: 'host',
    mount: directory.mount,
    path: [...directory.path, found.name],
    type: 'file',
  };
  const handle = vfs.tree(inode).open(inode.path, {
    ...accessOf(flags),
    create: true,
    exclusive: true,
    mode: mode & 0o777 & ~vfs.state.umask,
  });
  touchHost(vfs, inode);
  touch(vfs, directory);
  return { ...common(flags, place), kind: 'host', inode, handle, offset: 0 };
}

function accessOf(flags: number): { read: boolean; write: boolean } {
  const access = flags & O_ACCMODE;
  return { read: access !== O_WRONLY, write: access === O_WRONLY || access === O_RDWR };
}

function openInode(vfs: Vfs, inode: Inode, flags: number, place: string | undefined): OpenFile {
  const { read, write } = accessOf(flags);
  const wanted = (read ? MAY_READ : 0) | (write || (flags & O_TRUNC) !== 0 ? MAY_WRITE : 0);
  const base = common(flags, place);
  if (inode.kind === 'generated-link' && inode.fd !== undefined) {
    // /proc/self/fd/N of something without a name: the same description.
    const file = vfs.state.descriptors.entries.get(inode.fd)?.file;
    if (file === undefined) throw new CallError('ENOENT');
    if (file.kind === 'socket') throw new CallError('ENXIO');
    return file;
  }
  if (isSymlink(inode)) throw new CallError('ELOOP');
  if (isDirectory(inode)) {
    if (write || (flags & (O_CREAT | O_TRUNC)) !== 0) throw new CallError('EISDIR');
    demand(vfs, inode, MAY_READ);
    return { ...base, kind: 'directory', inode, listing: undefined, offset: 0 };
  }
  if ((flags & O_DIRECTORY) !== 0) throw new CallError('ENOTDIR');
  switch (inode.kind) {
    case 'host': {
      if ((wanted & MAY_WRITE) !== 0 && inode.mount.readOnly) throw new CallError('EROFS');
      const truncate = (flags & O_TRUNC) !== 0;
      const handle = vfs.tree(inode).open(inode.path, { read, write: write || truncate, truncate });
      if (truncate) touchHost(vfs, inode);
      return { ...base, kind: 'host', inode, handle, offset: 0 };
    }
    case 'file': {
      demand(vfs, inode, wanted);
      const file: OpenFile = { ...base, kind: 'memory', inode, offset: 0 };
      if ((flags & O_TRUNC) !== 0) setSize(vfs, file, 0);
      return file;
    }
    case 'device':
      demand(vfs, inode, wanted);
      if (inode.device === 'tty') {
        if (vfs.terminal === undefined) throw new CallError('ENXIO');
        return vfs.file(read ? 0 : 1);
      }
      return { ...base, kind: 'device', inode };
    case 'generated':
      demand(vfs, inode, wanted);
      return { ...base, kind: 'text', inode, bytes: generatedText(vfs, inode), offset: 0 };
    default:
      // The name of a socket.
      throw new CallError('ENXIO');
  }
}

/** memfd_create: a file without a name. */
export function openAnonymous(vfs: Vfs, name: string): OpenFile {
  const inode: FileInode = {
    ...vfs.newMeta(S_IFREG | 0o777, TMP_DEV),
    kind: 'file',
    content: emptyContent(),
    nlink: 0,
  };
  return {
    kind: 'memory',
    inode,
    offset: 0,
    refs: 0,
    flags: O_RDWR,
    ino: 0,
    wait: undefined,
    path: `/memfd:${name} (deleted)`,
  };
}
