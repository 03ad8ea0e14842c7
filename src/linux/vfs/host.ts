// A host directory that the guest may see, and the guard that keeps the guest inside it.
//
// The guest's paths are resolved by walk.ts, component by component, in the guest's own namespace; symbolic links of the host are
// read and resolved there too. What arrives here is a list of plain names, none of which was a link a moment ago. Between that
// moment and now another host process may have put a link in place of a directory. So every directory on the way is opened with
// O_NOFOLLOW relative to the one above it, and the last name is used relative to that open directory. Node has no openat; on
// Linux /proc/self/fd/N/NAME is the same thing. Elsewhere the parent is checked with realpath, before and after the operation.

import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { CallError, ERRNO, type ErrnoName } from '../abi/errno.ts';

/** include/uapi/asm-generic/fcntl.h; Node does not name it. */
const O_PATH = 0o10000000;
const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;

export interface HostStat {
  readonly type: 'file' | 'dir' | 'symlink' | 'other';
  /** Permission bits. */
  readonly mode: number;
  readonly size: number;
  readonly mtime: bigint;
  readonly nlink: number;
  /** Names the host's inode: never shown to the guest, only compared. */
  readonly identity: string;
}

export interface HostOpen {
  readonly read: boolean;
  readonly write: boolean;
  readonly create?: boolean;
  readonly exclusive?: boolean;
  readonly truncate?: boolean;
  readonly mode?: number;
}

function describe(stat: BigIntStats): HostStat {
  return {
    type: stat.isFile() ? 'file' : stat.isDirectory() ? 'dir' : stat.isSymbolicLink() ? 'symlink' : 'other',
    mode: Number(stat.mode & 0o777n),
    size: Number(stat.size),
    mtime: stat.mtimeNs,
    nlink: Number(stat.nlink),
    identity: `${stat.dev}:${stat.ino}`,
  };
}

/** The error that the host's own call gave, as a CallError; anything that is no system error passes through. */
function failed(error: unknown): Error {
  if (error instanceof CallError) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code === 'string' && Object.hasOwn(ERRNO, code)) return new CallError(code as ErrnoName);
  return error instanceof Error ? error : new Error(String(error));
}

const bytes = (name: string): Buffer => Buffer.from(name, 'latin1');
const LINUX = process.platform === 'linux';

type Path = readonly string[];

export class HostTree {
  /** The mapped directory, as realpath names it. */
  readonly root: string;
  /** Its descriptor, once something in it was asked for: what is mapped is this directory, whatever its name is later. */
  #rootFd: number | undefined;
  readonly #handles = new Map<number, number>();
  #nextHandle = 1;

  /** @throws Error of node:fs when the directory cannot be used */
  constructor(root: string) {
    this.root = realpathSync(root);
    if (!statSync(this.root).isDirectory())
      throw Object.assign(new Error(`${root}: not a directory`), { code: 'ENOTDIR' });
  }

  /** Runs `use` with a prefix to which the last component can be appended, while the directory above it is held. */
  #within<T>(directory: Path, use: (prefix: Buffer) => T): T {
    for (const name of directory) checkName(name);
    try {
      return LINUX ? this.#withinDescriptor(directory, use) : this.#withinRealpath(directory, use);
    } catch (error) {
      throw failed(error);
    }
  }

  #withinDescriptor<T>(directory: Path, use: (prefix: Buffer) => T): T {
    const flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
    this.#rootFd ??= openSync(this.root, flags);
    let fd = this.#rootFd;
    const release = (): void => {
      if (fd !== this.#rootFd) closeSync(fd);
    };
    try {
      for (const name of directory) {
        const next = openSync(Buffer.concat([bytes(`/proc/self/fd/${fd}/`), bytes(name)]), flags);
        release();
        fd = next;
      }
      return use(bytes(`/proc/self/fd/${fd}/`));
    } finally {
      release();
    }
  }

  #withinRealpath<T>(directory: Path, use: (prefix: Buffer) => T): T {
    const wanted = join(this.root, ...directory.map((name) => bytes(name).toString()));
    const check = (): void => {
      if (realpathSync(wanted) !== wanted) throw new CallError('ELOOP');
    };
    check();
    const result = use(Buffer.from(`${wanted}/`));
    check();
    return result;
  }

  /** Runs `use` with the full path of something inside. */
  #at<T>(path: Path, use: (full: Buffer) => T): T {
    const name = path.at(-1);
    if (name === undefined) return this.#within([], (prefix) => use(Buffer.concat([prefix, bytes('.')])));
    checkName(name);
    return this.#within(path.slice(0, -1), (prefix) => use(Buffer.concat([prefix, bytes(name)])));
  }

  /** lstat; undefined where there is nothing. @throws CallError */
  stat(path: Path): HostStat | undefined {
    try {
      return this.#at(path, (full) => describe(lstatSync(full, { bigint: true })));
    } catch (error) {
      if (error instanceof CallError && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  readlink(path: Path): string {
    return this.#at(path, (full) => readlinkSync(full, { encoding: 'buffer' }).toString('latin1'));
  }

  /** Names in a directory, in byte order: the host's order depends on its file system. */
  list(path: Path): string[] {
    const names = this.#within(path, (prefix) => readdirSync(prefix, { encoding: 'buffer' }));
    return names.map((name) => name.toString('latin1')).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  }

  // Open files. A handle is a number that means nothing to the guest and is never used again, so that a restored snapshot
  // can tell whether its file is still open.

  /** Opens a regular file. @throws CallError ENXIO for what is neither file, directory nor link */
  open(path: Path, how: HostOpen): number {
    const access = how.read ? (how.write ? O_RDWR : O_RDONLY) : O_WRONLY;
    const flags =
      access |
      O_NOFOLLOW |
      O_NONBLOCK |
      (how.create === true ? O_CREAT : 0) |
      (how.exclusive === true ? O_EXCL : 0) |
      (how.truncate === true ? O_TRUNC : 0);
    const fd = this.#at(path, (full) => {
      // A FIFO or device must not be touched even by open: look first, and look again at what was opened.
      const before = lstatSync(full, { throwIfNoEntry: false, bigint: true });
      if (before !== undefined && !before.isFile()) throw new CallError(before.isDirectory() ? 'EISDIR' : 'ENXIO');
      const opened = openSync(full, flags, how.mode ?? 0o666);
      if (!fstatSync(opened).isFile()) {
        closeSync(opened);
        throw new CallError('ENXIO');
      }
      return opened;
    });
    const handle = this.#nextHandle++;
    this.#handles.set(handle, fd);
    return handle;
  }

  /** The host descriptor of a handle; opens the path again where a restored snapshot speaks of a file closed since. */
  #fd(handle: number, path: Path, how: HostOpen): number {
    const fd = this.#handles.get(handle);
    if (fd !== undefined) return fd;
    const again = this.open(path, { read: how.read, write: how.write });
    const opened = this.#handles.get(again)!;
    this.#handles.delete(again);
    this.#handles.set(handle, opened);
    return opened;
  }

  read(handle: number, path: Path, how: HostOpen, offset: number, length: number): Uint8Array {
    try {
      const fd = this.#fd(handle, path, how);
      const left = Math.max(0, Number(fstatSync(fd).size) - offset);
      const out = new Uint8Array(Math.min(length, left));
      let done = 0;
      while (done < out.length) {
        const count = readSync(fd, out, done, out.length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
      return out.subarray(0, done);
    } catch (error) {
      throw failed(error);
    }
  }

  /** Writes all of the bytes; at the end where `offset` is undefined. Returns the offset after them. */
  write(handle: number, path: Path, how: HostOpen, offset: number | undefined, data: Uint8Array): number {
    try {
      const fd = this.#fd(handle, path, how);
      const start = offset ?? Number(fstatSync(fd).size);
      for (let done = 0; done < data.length; ) done += writeSync(fd, data, done, data.length - done, start + done);
      return start + data.length;
    } catch (error) {
      throw failed(error);
    }
  }

  statHandle(handle: number, path: Path, how: HostOpen): HostStat {
    try {
      return describe(fstatSync(this.#fd(handle, path, how), { bigint: true }));
    } catch (error) {
      throw failed(error);
    }
  }

  truncate(handle: number, path: Path, how: HostOpen, size: number): void {
    try {
      ftruncateSync(this.#fd(handle, path, how), size);
    } catch (error) {
      throw failed(error);
    }
  }

  sync(handle: number, path: Path, how: HostOpen): void {
    try {
      fsyncSync(this.#fd(handle, path, how));
    } catch (error) {
      throw failed(error);
    }
  }

  close(handle: number): void {
    const fd = this.#handles.get(handle);
    if (fd === undefined) return;
    this.#handles.delete(handle);
    closeSync(fd);
  }

  /** Closes what is still open; the tree can be used again. */
  dispose(): void {
    for (const handle of [...this.#handles.keys()]) this.close(handle);
    if (this.#rootFd !== undefined) closeSync(this.#rootFd);
    this.#rootFd = undefined;
  }

  // Changes to names

  mkdir(path: Path, mode: number): void {
    this.#at(path, (full) => mkdirSync(full, { mode }));
  }

  rmdir(path: Path): void {
    this.#at(path, (full) => rmdirSync(full));
  }

  unlink(path: Path): void {
    this.#at(path, (full) => unlinkSync(full));
  }

  symlink(target: string, path: Path): void {
    this.#at(path, (full) => symlinkSync(bytes(target), full));
  }

  rename(from: Path, to: Path): void {
    this.#at(from, (a) => this.#at(to, (b) => renameSync(a, b)));
  }

  link(from: Path, to: Path): void {
    this.#at(from, (a) => this.#at(to, (b) => linkSync(a, b)));
  }

  /** Opens the thing itself, never what a link at its place points to, for `use`. */
  #held(path: Path, use: (fd: number) => void): void {
    this.#at(path, (full) => {
      const fd = openSync(full, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      try {
        const stat = fstatSync(fd);
        if (!stat.isFile() && !stat.isDirectory()) throw new CallError('EPERM');
        use(fd);
      } finally {
        closeSync(fd);
      }
    });
  }

  chmod(path: Path, mode: number): void {
    this.#held(path, (fd) => fchmodSync(fd, mode & 0o777));
  }

  /** Nanoseconds since 1970; the host keeps microseconds of them. */
  utimes(path: Path, atime: bigint, mtime: bigint): void {
    this.#held(path, (fd) => futimesSync(fd, Number(atime / 1000n) / 1e6, Number(mtime / 1000n) / 1e6));
  }
}

/** The guard's own check of its argument: nothing that could name another directory. */
function checkName(name: string): void {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0'))
    throw new CallError('ENOENT');
}
