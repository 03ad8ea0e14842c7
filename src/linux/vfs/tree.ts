// The tree that a guest begins with: an empty root, /tmp, and as much of /proc, /dev and /sys as programs ask for.

import type { ProgramFile } from '../../object/file.ts';
import { contentOf } from './content.ts';
import {
  type DeviceName,
  type DirInode,
  deviceNumber,
  type GeneratedDirInode,
  type Inode,
  type Meta,
  type Mount,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
  S_ISVTX,
} from './inode.ts';
import type { Vfs } from './vfs.ts';

/** Device numbers of the file systems; anonymous ones have major 0 (get_anon_bdev). */
export const ROOT_DEV = deviceNumber(0, 20);
export const PROC_DEV = deviceNumber(0, 21);
export const DEV_DEV = deviceNumber(0, 5);
export const SYS_DEV = deviceNumber(0, 22);
export const TMP_DEV = deviceNumber(0, 23);
export const PIPE_DEV = deviceNumber(0, 13);
export const SOCKET_DEV = deviceNumber(0, 8);
export const ANONYMOUS_DEV = deviceNumber(0, 14);
const FIRST_MOUNT_DEV = deviceNumber(0, 32);

/** Directories that /proc has for a process, and the files in them: file name to generator of proc.ts. */
const PROCESS_FILES: Readonly<Record<string, number>> = {
  auxv: 0o400,
  cgroup: 0o444,
  cmdline: 0o444,
  comm: 0o644,
  environ: 0o400,
  limits: 0o444,
  maps: 0o444,
  mountinfo: 0o444,
  mounts: 0o444,
  stat: 0o444,
  statm: 0o444,
  status: 0o444,
};

/** System-wide files: path below /proc or /sys. */
const SYSTEM_FILES: readonly string[] = [
  'proc/cpuinfo',
  'proc/filesystems',
  'proc/loadavg',
  'proc/meminfo',
  'proc/stat',
  'proc/uptime',
  'proc/version',
  'proc/sys/fs/file-max',
  'proc/sys/fs/pipe-max-size',
  'proc/sys/kernel/hostname',
  'proc/sys/kernel/osrelease',
  'proc/sys/kernel/ostype',
  'proc/sys/kernel/pid_max',
  'proc/sys/kernel/randomize_va_space',
  'proc/sys/kernel/version',
  'proc/sys/net/core/somaxconn',
  'proc/sys/vm/overcommit_memory',
  'sys/devices/system/cpu/online',
  'sys/devices/system/cpu/possible',
  'sys/devices/system/cpu/present',
  'sys/kernel/mm/transparent_hugepage/enabled',
  'sys/kernel/mm/transparent_hugepage/hpage_pmd_size',
];

/** Minor numbers of major 1 (drivers/char/mem.c), and the controlling terminal. */
export const DEVICES: Readonly<Record<DeviceName, number>> = {
  null: deviceNumber(1, 3),
  zero: deviceNumber(1, 5),
  full: deviceNumber(1, 7),
  random: deviceNumber(1, 8),
  urandom: deviceNumber(1, 9),
  tty: deviceNumber(5, 0),
};

class Builder {
  nextIno = 1;

  meta(mode: number, dev: number): Meta {
    return { ino: this.nextIno++, dev, mode, uid: 0, gid: 0, nlink: 1, atime: 0n, mtime: 0n, ctime: 0n };
  }

  directory(parent: DirInode | undefined, name: string, dev: number, mode = 0o555, fixed = true): DirInode {
    const known = parent?.entries.get(name);
    if (known?.kind === 'dir') return known;
    const made: DirInode = {
      ...this.meta(S_IFDIR | mode, dev),
      kind: 'dir',
      entries: new Map(),
      parent: undefined,
      name,
      fixed,
      nlink: 2,
    };
    made.parent = parent ?? made;
    if (parent !== undefined) this.add(parent, name, made);
    return made;
  }

  add(parent: DirInode, name: string, inode: Inode): void {
    parent.entries.set(name, inode);
    if (inode.kind === 'dir') parent.nlink++;
  }

  generatedDirectory(parent: DirInode, name: string, dev: number, mode: number): void {
    const made: GeneratedDirInode = {
      ...this.meta(S_IFDIR | mode, dev),
      kind: 'generated-dir',
      source: name,
      parent,
      name,
    };
    this.add(parent, name, made);
  }

  link(parent: DirInode, name: string, dev: number, source: string): void {
    this.add(parent, name, { ...this.meta(S_IFLNK | 0o777, dev), kind: 'generated-link', source });
  }
}

/** The tree without mapped directories. */
export function buildTree(pid: number, uid: number, gid: number): { root: DirInode; nextIno: number } {
  const make = new Builder();
  const root = make.directory(undefined, '/', ROOT_DEV, 0o755);
  make.directory(root, 'tmp', TMP_DEV, 0o777 | S_ISVTX, false);

  const dev = make.directory(root, 'dev', DEV_DEV, 0o755);
  for (const device of Object.keys(DEVICES) as DeviceName[]) {
    make.add(dev, device, { ...make.meta(S_IFCHR | 0o666, DEV_DEV), kind: 'device', device });
  }
  for (const [name, target] of [
    ['fd', '/proc/self/fd'],
    ['stdin', '/proc/self/fd/0'],
    ['stdout', '/proc/self/fd/1'],
    ['stderr', '/proc/self/fd/2'],
  ] as const) {
    make.add(dev, name, { ...make.meta(S_IFLNK | 0o777, DEV_DEV), kind: 'symlink', target });
  }
  make.directory(dev, 'shm', TMP_DEV, 0o777 | S_ISVTX, false);

  const proc = make.directory(root, 'proc', PROC_DEV);
  const self = make.directory(proc, String(pid), PROC_DEV);
  make.add(proc, 'self', { ...make.meta(S_IFLNK | 0o777, PROC_DEV), kind: 'symlink', target: String(pid) });
  for (const [name, mode] of Object.entries(PROCESS_FILES)) {
    make.add(self, name, { ...make.meta(S_IFREG | mode, PROC_DEV), uid, gid, kind: 'generated', source: name });
  }
  for (const name of ['exe', 'cwd', 'root']) make.link(self, name, PROC_DEV, name);
  make.generatedDirectory(self, 'fd', PROC_DEV, 0o555);
  make.generatedDirectory(self, 'task', PROC_DEV, 0o555);
  make.link(proc, 'thread-self', PROC_DEV, 'thread-self');
  make.add(proc, 'mounts', { ...make.meta(S_IFLNK | 0o777, PROC_DEV), kind: 'symlink', target: 'self/mounts' });

  for (const path of SYSTEM_FILES) {
    const names = path.split('/');
    const file = names.pop()!;
    const device = names[0] === 'proc' ? PROC_DEV : SYS_DEV;
    let at = root;
    for (const name of names) at = make.directory(at, name, device);
    make.add(at, file, { ...make.meta(S_IFREG | 0o444, device), kind: 'generated', source: path });
  }
  return { root, nextIno: make.nextIno };
}

/** Names of a guest path, `.` and `..` resolved by text. */
function names(path: string): string[] {
  const out: string[] = [];
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') out.pop();
    else out.push(name);
  }
  return out;
}

/** Makes the directories that lead to a mapping; undefined where a mapped host directory is in the way. */
function lead(vfs: Vfs, path: readonly string[]): DirInode | undefined {
  let at = vfs.state.root;
  for (const name of path) {
    const known = at.entries.get(name);
    if (known !== undefined && known.kind !== 'dir') return undefined;
    if (known !== undefined) at = known;
    else {
      const made: DirInode = {
        ...vfs.newMeta(S_IFDIR | 0o755, ROOT_DEV),
        uid: 0,
        gid: 0,
        kind: 'dir',
        entries: new Map(),
        parent: at,
        name,
        fixed: true,
        nlink: 2,
      };
      at.entries.set(name, made);
      at.nlink++;
      at = made;
    }
  }
  return at;
}

/**
 * Maps a host tree at a guest path.
 * @throws RangeError for `/`, and for a path inside another mapping, which would have to change the host
 */
export function mountHost(vfs: Vfs, tree: number, guest: string, readOnly: boolean): Mount {
  const path = names(Buffer.from(guest).toString('latin1'));
  const name = path.pop();
  if (name === undefined) throw new RangeError('a directory cannot be mapped at /; map it below');
  const parent = lead(vfs, path);
  if (parent === undefined) throw new RangeError(`${guest} lies inside another mapped directory`);
  const mount: Mount = { tree, dev: FIRST_MOUNT_DEV + tree, readOnly, parent, name };
  parent.entries.set(name, { kind: 'host', mount, path: [], type: 'dir' });
  return mount;
}

/** Puts a file into the tree, unless a mapped directory covers the place. */
export function placeFile(vfs: Vfs, path: string, file: ProgramFile, mode: number): void {
  const parts = names(Buffer.from(path).toString('latin1'));
  const name = parts.pop();
  const parent = lead(vfs, parts);
  if (name === undefined || parent === undefined || parent.entries.has(name)) return;
  parent.entries.set(name, {
    ...vfs.newMeta(S_IFREG | mode, ROOT_DEV),
    uid: 0,
    gid: 0,
    kind: 'file',
    content: contentOf(file),
  });
}
