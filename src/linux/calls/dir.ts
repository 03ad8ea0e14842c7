// System calls on names: directories, links, renaming, the current directory.

import { DIRENT, DIRENT64, DIRENT64_NAME } from '../abi/files.ts';
import type { Call, Result, Row } from '../call.ts';
import { refused, row } from '../call.ts';
import type { DirectoryEntry } from '../vfs/file.ts';
import { type Inode, isDirectory, S_IFMT, S_IFREG } from '../vfs/inode.ts';
import { entriesOf } from '../vfs/io.ts';
import { link, mkdir, rename, rmdir, symlink, unlink } from '../vfs/names.ts';
import { open } from '../vfs/open.ts';
import { demand, linkTarget, MAY_EXEC, pathOf, resolveExisting } from '../vfs/walk.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  bytesOfString,
  filesOf,
  pathAt,
  startAt,
} from './files.ts';

function getcwd(call: Call): Result {
  const [buffer, size] = call.args as [number, number];
  const path = pathOf(filesOf(call).state.cwd);
  if (path === undefined) return 'ENOENT';
  const bytes = bytesOfString(`${path}\0`);
  if (size < bytes.length) return 'ERANGE';
  call.memory.write(buffer, bytes);
  return bytes.length;
}

function changeTo(call: Call, inode: Inode): Result {
  if (!isDirectory(inode)) return 'ENOTDIR';
  const vfs = filesOf(call);
  demand(vfs, inode, MAY_EXEC);
  vfs.state.cwd = inode;
  return 0;
}

function fchdir(call: Call): Result {
  const file = filesOf(call).file(call.args[0]!);
  return file.kind === 'directory' || file.kind === 'path' ? changeTo(call, file.inode) : 'ENOTDIR';
}

/** A handler over a directory descriptor and a path. */
type AtHandler = (call: Call, dirfd: number, address: number, rest: readonly number[]) => Result;

/** The plain call and its *at form. */
const plain = (handler: AtHandler) => (call: Call) => handler(call, AT_FDCWD, call.args[0]!, call.args.slice(1));
const at = (handler: AtHandler) => (call: Call) => handler(call, call.args[0]!, call.args[1]!, call.args.slice(2));

const makeDirectory: AtHandler = (call, dirfd, address, [mode]) => {
  const vfs = filesOf(call);
  const path = pathAt(call, address);
  mkdir(vfs, startAt(vfs, dirfd, path), path, mode!);
  return 0;
};

const makeNode: AtHandler = (call, dirfd, address, [mode]) => {
  const type = mode! & S_IFMT;
  // Devices need privilege; named pipes would connect processes, and there is one.
  if (type !== 0 && type !== S_IFREG) return 'EPERM';
  const vfs = filesOf(call);
  const path = pathAt(call, address);
  const O_CREAT_EXCL = 0o300;
  vfs.close(vfs.install(open(vfs, startAt(vfs, dirfd, path), path, O_CREAT_EXCL, mode!), true));
  return 0;
};

const remove: AtHandler = (call, dirfd, address, [flags]) => {
  if ((flags! & ~AT_REMOVEDIR) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const path = pathAt(call, address);
  const start = startAt(vfs, dirfd, path);
  if ((flags! & AT_REMOVEDIR) !== 0) rmdir(vfs, start, path);
  else unlink(vfs, start, path);
  return 0;
};

const readLink: AtHandler = (call, dirfd, address, [buffer, size]) => {
  if (size! <= 0) return 'EINVAL';
  const vfs = filesOf(call);
  const path = pathAt(call, address);
  let inode: Inode;
  if (path === '') {
    const file = vfs.file(dirfd);
    if (file.kind !== 'path') return 'ENOENT';
    inode = file.inode;
  } else inode = resolveExisting(vfs, startAt(vfs, dirfd, path), path, false);
  const target = bytesOfString(linkTarget(vfs, inode)).subarray(0, size);
  call.memory.write(buffer!, target);
  return target.length;
};

function makeLink(call: Call, from: number, old: number, to: number, fresh: number, flags: number): Result {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const source = pathAt(call, old);
  const target = pathAt(call, fresh);
  let inode: Inode;
  if (source === '' && (flags & AT_EMPTY_PATH) !== 0) {
    const file = vfs.file(from);
    if (!('inode' in file)) return 'EXDEV';
    inode = file.inode;
  } else inode = resolveExisting(vfs, startAt(vfs, from, source), source, (flags & AT_SYMLINK_FOLLOW) !== 0);
  link(vfs, inode, startAt(vfs, to, target), target);
  return 0;
}

function makeSymlink(call: Call, target: number, dirfd: number, address: number): Result {
  const vfs = filesOf(call);
  const path = pathAt(call, address);
  symlink(vfs, pathAt(call, target), startAt(vfs, dirfd, path), path);
  return 0;
}

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;

function move(call: Call, from: number, old: number, to: number, fresh: number, flags: number): Result {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0 || flags === (RENAME_NOREPLACE | RENAME_EXCHANGE))
    return 'EINVAL';
  const vfs = filesOf(call);
  const source = pathAt(call, old);
  const target = pathAt(call, fresh);
  rename(vfs, startAt(vfs, from, source), source, startAt(vfs, to, target), target, {
    noReplace: (flags & RENAME_NOREPLACE) !== 0,
    exchange: (flags & RENAME_EXCHANGE) !== 0,
  });
  return 0;
}

const alignTo = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

const DIRENT64_RECORD = {
  length: (_: Call, name: number) => alignTo(DIRENT64_NAME + name + 1, 8),
  put: (call: Call, address: number, entry: DirectoryEntry, next: number, length: number) => {
    const record = new Uint8Array(length);
    call.memory.write(address, record);
    DIRENT64.set(call.memory, call.abi.word, address, {
      ino: BigInt(entry.ino),
      off: BigInt(next),
      reclen: length,
      type: entry.type,
    });
    call.memory.write(address + DIRENT64_NAME, bytesOfString(entry.name));
  },
};

const DIRENT_RECORD: typeof DIRENT64_RECORD = {
  // The name, its NUL and the type byte that ends the record (struct linux_dirent).
  length: (call, name) => alignTo(2 * call.abi.word + 2 + name + 2, call.abi.word),
  put: (call, address, entry, next, length) => {
    const { word } = call.abi;
    call.memory.write(address, new Uint8Array(length));
    DIRENT.set(call.memory, word, address, { ino: entry.ino, off: next, reclen: length });
    call.memory.write(address + 2 * word + 2, bytesOfString(entry.name));
    call.memory.writeU8(address + length - 1, entry.type);
  },
};

function listing(call: Call, record: typeof DIRENT64_RECORD): Result {
  const [fd, buffer, size] = call.args as [number, number, number];
  const vfs = filesOf(call);
  const file = vfs.file(fd);
  if (file.kind !== 'directory') return 'ENOTDIR';
  const entries = entriesOf(vfs, file);
  let done = 0;
  while (file.offset < entries.length) {
    const entry = entries[file.offset]!;
    const length = record.length(call, entry.name.length);
    if (done + length > size) {
      if (done === 0) return 'EINVAL';
      break;
    }
    record.put(call, buffer + done, entry, file.offset + 1, length);
    done += length;
    file.offset++;
  }
  return done;
}

export const DIR_ROWS: readonly Row[] = [
  row('getcwd', ['out', 'size'], getcwd),
  row('chdir', ['path'], (call) => {
    const vfs = filesOf(call);
    return changeTo(call, resolveExisting(vfs, vfs.state.cwd, pathAt(call, call.args[0]!), true));
  }),
  row('fchdir', ['fd'], fchdir),
  refused('chroot', ['path'], 'EPERM', 'needs privilege'),
  row('mkdir', ['path', 'mode'], plain(makeDirectory)),
  row('mkdirat', ['dirfd', 'path', 'mode'], at(makeDirectory)),
  row('mknod', ['path', 'mode', 'uint'], plain(makeNode), { support: 'partial', note: 'regular files only' }),
  row('mknodat', ['dirfd', 'path', 'mode', 'uint'], at(makeNode), { support: 'partial', note: 'regular files only' }),
  row('rmdir', ['path'], (call) => remove(call, AT_FDCWD, call.args[0]!, [AT_REMOVEDIR])),
  row('unlink', ['path'], (call) => remove(call, AT_FDCWD, call.args[0]!, [0])),
  row('unlinkat', ['dirfd', 'path', 'flags'], at(remove)),
  row('rename', ['path', 'path'], (call) => move(call, AT_FDCWD, call.args[0]!, AT_FDCWD, call.args[1]!, 0)),
  row('renameat', ['dirfd', 'path', 'dirfd', 'path'], (call) => {
    const [from, old, to, fresh] = call.args as [number, number, number, number];
    return move(call, from, old, to, fresh, 0);
  }),
  row('renameat2', ['dirfd', 'path', 'dirfd', 'path', 'flags'], (call) => {
    const [from, old, to, fresh, flags] = call.args as [number, number, number, number, number];
    return move(call, from, old, to, fresh, flags);
  }),
  row('link', ['path', 'path'], (call) => makeLink(call, AT_FDCWD, call.args[0]!, AT_FDCWD, call.args[1]!, 0)),
  row('linkat', ['dirfd', 'path', 'dirfd', 'path', 'flags'], (call) => {
    const [from, old, to, fresh, flags] = call.args as [number, number, number, number, number];
    return makeLink(call, from, old, to, fresh, flags);
  }),
  row('symlink', ['string', 'path'], (call) => makeSymlink(call, call.args[0]!, AT_FDCWD, call.args[1]!)),
  row('symlinkat', ['string', 'dirfd', 'path'], (call) =>
    makeSymlink(call, call.args[0]!, call.args[1]!, call.args[2]!),
  ),
  row('readlink', ['path', 'buffer-out', 'int'], plain(readLink)),
  row('readlinkat', ['dirfd', 'path', 'buffer-out', 'int'], at(readLink)),
  row('getdents', ['fd', 'out', 'uint'], (call) => listing(call, DIRENT_RECORD)),
  row('getdents64', ['fd', 'out', 'uint'], (call) => listing(call, DIRENT64_RECORD)),
  row('umask', ['mode'], (call) => {
    const { state } = filesOf(call);
    const before = state.umask;
    state.umask = call.args[0]! & 0o777;
    return before;
  }),
];
