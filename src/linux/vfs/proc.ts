// What /proc and /sys say: text made when a file is opened. Formats: fs/proc/{array,task_mmu,stat,meminfo}.c, proc(5).
// Constants where the truth would be the host's.

import { CallError } from '../abi/errno.ts';
import {
  direntType,
  type GeneratedDirInode,
  type GeneratedInode,
  type GeneratedLinkInode,
  type Inode,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
} from './inode.ts';
import type { Vfs } from './vfs.ts';
import { pathOf } from './walk.ts';

export interface ThreadInfo {
  readonly tid: number;
  readonly name: string;
  /** R or S. */
  readonly state: string;
}

/** A line of /proc/self/maps. */
export interface MappingInfo {
  readonly start: number;
  readonly end: number;
  /** PROT_* bits. */
  readonly prot: number;
  readonly shared: boolean;
  readonly offset: number;
  readonly name: string;
}

/** What the kernel knows and /proc tells. */
export interface ProcessInfo {
  readonly pid: number;
  readonly ppid: number;
  readonly uid: number;
  readonly gid: number;
  readonly hostname: string;
  readonly release: string;
  readonly version: string;
  /** `uname -m`. */
  readonly machine: string;
  readonly cpus: number;
  /** Guest path of the program. */
  exe(): string;
  args(): readonly string[];
  environment(): readonly string[];
  auxv(): Uint8Array;
  maps(): readonly MappingInfo[];
  threads(): readonly ThreadInfo[];
  residentBytes(): number;
  /** Signal masks as /proc/self/status prints them. */
  signals(tid: number): {
    readonly pending: bigint;
    readonly blocked: bigint;
    readonly ignored: bigint;
    readonly caught: bigint;
  };
}

const NOTHING: readonly never[] = [];

/** Before a program is there. */
export const NO_PROCESS: ProcessInfo = {
  pid: 0,
  ppid: 0,
  uid: 0,
  gid: 0,
  hostname: '',
  release: '',
  version: '',
  machine: '',
  cpus: 1,
  exe: () => '',
  args: () => NOTHING,
  environment: () => NOTHING,
  auxv: () => new Uint8Array(0),
  maps: () => NOTHING,
  threads: () => NOTHING,
  residentBytes: () => 0,
  signals: () => ({ pending: 0n, blocked: 0n, ignored: 0n, caught: 0n }),
};

/** RAM that the guest is told of. */
export const MEMORY_BYTES = 4 * 2 ** 30;

const hex = (value: number | bigint, digits: number): string => value.toString(16).padStart(digits, '0');

function mapsText(maps: readonly MappingInfo[]): string {
  return maps
    .map((map) => {
      const prot = `${map.prot & 1 ? 'r' : '-'}${map.prot & 2 ? 'w' : '-'}${map.prot & 4 ? 'x' : '-'}${map.shared ? 's' : 'p'}`;
      const head = `${hex(map.start, 8)}-${hex(map.end, 8)} ${prot} ${hex(map.offset, 8)} 00:00 0`;
      // The kernel pads to column 73 before a name (show_map_vma).
      return map.name === '' ? `${head} \n` : `${head.padEnd(72)} ${map.name}\n`;
    })
    .join('');
}

function vmBytes(info: ProcessInfo): number {
  return info.maps().reduce((sum, map) => sum + map.end - map.start, 0);
}

function statText(info: ProcessInfo, thread: ThreadInfo): string {
  const fields: (number | string)[] = [
    thread.tid,
    `(${thread.name})`,
    thread.state,
    info.ppid,
    info.pid,
    info.pid,
    0,
    -1,
    0x400000,
    ...[0, 0, 0, 0],
    // utime stime cutime cstime
    ...[0, 0, 0, 0],
    20,
    0,
    info.threads().length,
    0,
    // starttime, in clock ticks after boot
    100,
    vmBytes(info),
    Math.floor(info.residentBytes() / 4096),
    '18446744073709551615',
  ];
  while (fields.length < 52) fields.push(0);
  return `${fields.join(' ')}\n`;
}

function statusText(info: ProcessInfo, thread: ThreadInfo, umask: number): string {
  const masks = info.signals(thread.tid);
  const kB = (bytes: number): string => `${String(Math.floor(bytes / 1024)).padStart(8)} kB`;
  const cpus = 2n ** BigInt(info.cpus) - 1n;
  return [
    `Name:\t${thread.name}`,
    `Umask:\t${umask.toString(8).padStart(4, '0')}`,
    `State:\t${thread.state === 'R' ? 'R (running)' : 'S (sleeping)'}`,
    `Tgid:\t${info.pid}`,
    'Ngid:\t0',
    `Pid:\t${thread.tid}`,
    `PPid:\t${info.ppid}`,
    'TracerPid:\t0',
    `Uid:\t${Array(4).fill(info.uid).join('\t')}`,
    `Gid:\t${Array(4).fill(info.gid).join('\t')}`,
    'FDSize:\t64',
    `Groups:\t${info.gid} `,
    `VmPeak:\t${kB(vmBytes(info))}`,
    `VmSize:\t${kB(vmBytes(info))}`,
    `VmHWM:\t${kB(info.residentBytes())}`,
    `VmRSS:\t${kB(info.residentBytes())}`,
    `Threads:\t${info.threads().length}`,
    'SigQ:\t0/15000',
    `SigPnd:\t${hex(masks.pending, 16)}`,
    `ShdPnd:\t${hex(0, 16)}`,
    `SigBlk:\t${hex(masks.blocked, 16)}`,
    `SigIgn:\t${hex(masks.ignored, 16)}`,
    `SigCgt:\t${hex(masks.caught, 16)}`,
    `CapInh:\t${hex(0, 16)}`,
    `CapPrm:\t${hex(0, 16)}`,
    `CapEff:\t${hex(0, 16)}`,
    `CapBnd:\t${hex(0, 16)}`,
    `CapAmb:\t${hex(0, 16)}`,
    'NoNewPrivs:\t0',
    'Seccomp:\t0',
    `Cpus_allowed:\t${hex(cpus, 1)}`,
    `Cpus_allowed_list:\t${cpuList(info.cpus)}`,
    'voluntary_ctxt_switches:\t0',
    'nonvoluntary_ctxt_switches:\t0',
    '',
  ].join('\n');
}

function cpuList(cpus: number): string {
  return cpus === 1 ? '0' : `0-${cpus - 1}`;
}

/** Where the guest sees file systems: mount point, type, source, options. */
function mounts(vfs: Vfs): readonly { point: string; type: string; source: string; options: string; dev: number }[] {
  const list = [
    { point: '/', type: 'tmpfs', source: 'rootfs', options: 'ro', dev: 20 },
    { point: '/proc', type: 'proc', source: 'proc', options: 'rw,nosuid,nodev,noexec', dev: 21 },
    { point: '/dev', type: 'devtmpfs', source: 'devtmpfs', options: 'ro,nosuid', dev: 5 },
    { point: '/sys', type: 'sysfs', source: 'sysfs', options: 'ro,nosuid,nodev,noexec', dev: 22 },
    { point: '/tmp', type: 'tmpfs', source: 'tmpfs', options: 'rw,nosuid,nodev', dev: 23 },
  ];
  for (const mount of vfs.mounts) {
    const point = pathOf({ kind: 'host', mount, path: [], type: 'dir' }) ?? '/';
    list.push({ point, type: '9p', source: 'host', options: mount.readOnly ? 'ro' : 'rw', dev: mount.dev });
  }
  return list;
}

/** Spaces and the like in mount points, as the kernel prints them (mangle_path). */
const mangle = (path: string): string =>
  path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);

function mountInfoText(vfs: Vfs): string {
  return mounts(vfs)
    .map((m, i) => {
      const options = m.options.split(',')[0];
      const parent = m.point === '/' ? 1 : 20;
      return `${20 + i} ${parent} 0:${m.dev & 0xff} / ${mangle(m.point)} ${m.options} - ${m.type} ${m.source} ${options}\n`;
    })
    .join('');
}

function cpuInfoText(info: ProcessInfo): string {
  const one = (cpu: number): string =>
    info.machine === 'x86_64'
      ? `processor\t: ${cpu}\nvendor_id\t: GenuineIntel\nmodel name\t: Safepoint\ncpu MHz\t\t: 1000.000\ncpu cores\t: ${info.cpus}\n\n`
      : `processor\t\t: ${cpu}\ncpu model\t\t: Safepoint\nBogoMIPS\t\t: 1000.00\n\n`;
  const head = info.machine === 'x86_64' ? '' : 'system type\t\t: Safepoint\n';
  return head + Array.from({ length: info.cpus }, (_, cpu) => one(cpu)).join('');
}

function cpuStatText(info: ProcessInfo): string {
  const zeros = ' 0 0 0 0 0 0 0 0 0 0\n';
  const each = Array.from({ length: info.cpus }, (_, cpu) => `cpu${cpu}${zeros}`).join('');
  return `cpu ${zeros}${each}intr 0\nctxt 0\nbtime 0\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n`;
}

function memInfoText(): string {
  const kB = (name: string, bytes: number): string =>
    `${`${name}:`.padEnd(16)}${String(Math.floor(bytes / 1024)).padStart(8)} kB\n`;
  return (
    kB('MemTotal', MEMORY_BYTES) +
    kB('MemFree', MEMORY_BYTES / 2) +
    kB('MemAvailable', MEMORY_BYTES / 2) +
    kB('Buffers', 0) +
    kB('Cached', 0) +
    kB('SwapTotal', 0) +
    kB('SwapFree', 0)
  );
}

const nulTerminated = (strings: readonly string[]): string => strings.map((each) => `${each}\0`).join('');

function limitsText(vfs: Vfs): string {
  const line = (name: string, soft: string, hard: string, units: string): string =>
    `${name.padEnd(26)}${soft.padEnd(21)}${hard.padEnd(21)}${units.padEnd(10)}\n`;
  return (
    line('Limit', 'Soft Limit', 'Hard Limit', 'Units') +
    line('Max stack size', '8388608', 'unlimited', 'bytes') +
    line('Max open files', String(vfs.state.descriptors.limit), '1048576', 'files')
  );
}

const SYSTEM: Readonly<Record<string, (info: ProcessInfo, vfs: Vfs) => string>> = {
  'proc/cpuinfo': cpuInfoText,
  'proc/filesystems': () => 'nodev\tproc\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tsysfs\nnodev\t9p\n',
  'proc/loadavg': (info) => `0.00 0.00 0.00 1/${info.threads().length} ${info.pid}\n`,
  'proc/meminfo': memInfoText,
  'proc/stat': cpuStatText,
  'proc/uptime': (_, vfs) => {
    const seconds = (Number(vfs.kernel.now()) / 1e9).toFixed(2);
    return `${seconds} ${seconds}\n`;
  },
  'proc/version': (info) => `Linux version ${info.release} (safepoint) ${info.version}\n`,
  'proc/sys/fs/file-max': () => '9223372036854775807\n',
  'proc/sys/fs/pipe-max-size': () => '1048576\n',
  'proc/sys/kernel/hostname': (info) => `${info.hostname}\n`,
  'proc/sys/kernel/osrelease': (info) => `${info.release}\n`,
  'proc/sys/kernel/ostype': () => 'Linux\n',
  'proc/sys/kernel/pid_max': () => '32768\n',
  'proc/sys/kernel/randomize_va_space': () => '0\n',
  'proc/sys/kernel/version': (info) => `${info.version}\n`,
  'proc/sys/net/core/somaxconn': () => '4096\n',
  'proc/sys/vm/overcommit_memory': () => '1\n',
  'sys/devices/system/cpu/online': (info) => `${cpuList(info.cpus)}\n`,
  'sys/devices/system/cpu/possible': (info) => `${cpuList(info.cpus)}\n`,
  'sys/devices/system/cpu/present': (info) => `${cpuList(info.cpus)}\n`,
  'sys/kernel/mm/transparent_hugepage/enabled': () => 'always [madvise] never\n',
  'sys/kernel/mm/transparent_hugepage/hpage_pmd_size': () => '2097152\n',
};

function threadOf(info: ProcessInfo, tid: number | undefined): ThreadInfo {
  const threads = info.threads();
  const found = tid === undefined ? threads[0] : threads.find((thread) => thread.tid === tid);
  if (found === undefined) throw new CallError('ESRCH');
  return found;
}

const PROCESS: Readonly<Record<string, (info: ProcessInfo, vfs: Vfs, tid: number | undefined) => string>> = {
  cgroup: () => '0::/\n',
  cmdline: (info) => nulTerminated(info.args()),
  comm: (info, _, tid) => `${threadOf(info, tid).name}\n`,
  environ: (info) => nulTerminated(info.environment()),
  limits: (_, vfs) => limitsText(vfs),
  maps: (info) => mapsText(info.maps()),
  mountinfo: (_, vfs) => mountInfoText(vfs),
  mounts: (_, vfs) =>
    mounts(vfs)
      .map((m) => `${m.source} ${mangle(m.point)} ${m.type} ${m.options} 0 0\n`)
      .join(''),
  stat: (info, _, tid) => statText(info, threadOf(info, tid)),
  statm: (info) => `${Math.floor(vmBytes(info) / 4096)} ${Math.floor(info.residentBytes() / 4096)} 0 0 0 0 0\n`,
  status: (info, vfs, tid) => statusText(info, threadOf(info, tid), vfs.state.umask),
};

/** Contents of a generated file. @throws CallError ESRCH for a thread that has ended */
export function generatedText(vfs: Vfs, inode: GeneratedInode): Uint8Array {
  const info = vfs.kernel.process;
  if (inode.source === 'auxv') return info.auxv();
  const make = SYSTEM[inode.source] ?? PROCESS[inode.source];
  if (make === undefined) throw new CallError('ENOENT');
  return Uint8Array.from(Buffer.from(make(info, vfs, inode.tid), 'latin1'));
}

/** What a generated link says. */
export function generatedLink(vfs: Vfs, inode: GeneratedLinkInode): string {
  const info = vfs.kernel.process;
  switch (inode.source) {
    case 'exe':
      return info.exe();
    case 'cwd':
      return pathOf(vfs.state.cwd) ?? '(unreachable)';
    case 'root':
      return '/';
    case 'thread-self':
      return `${info.pid}/task/${vfs.currentTid}`;
    default: {
      const file = inode.fd === undefined ? undefined : vfs.state.descriptors.entries.get(inode.fd)?.file;
      if (file === undefined) throw new CallError('ENOENT');
      if (file.path !== undefined) return file.path;
      if (file.kind === 'socket') return `socket:[${file.ino}]`;
      if (file.kind === 'pipe') return `pipe:[${file.ino}]`;
      if (file.kind === 'stream') return vfs.terminal === undefined ? `pipe:[${file.ino}]` : '/dev/tty';
      return `anon_inode:[${file.kind === 'epoll' ? 'eventpoll' : file.kind}]`;
    }
  }
}

/** Files in /proc/PID/task/TID. */
const THREAD_FILES: readonly string[] = ['comm', 'stat', 'status'];

/** Inode numbers of entries made on the fly: a fixed range for each kind, so that they never depend on who looked first. */
const FD_INO = 2 ** 32;
const TASK_INO = 2 ** 33;

function meta(directory: GeneratedDirInode, ino: number, mode: number) {
  return { ...directory, ino, mode, nlink: 1 };
}

/** An entry of a generated directory. */
export function generatedChild(vfs: Vfs, directory: GeneratedDirInode, name: string): Inode | undefined {
  if (directory.source === 'fd') {
    const fd = /^(0|[1-9][0-9]*)$/.test(name) ? Number(name) : -1;
    if (!vfs.state.descriptors.entries.has(fd)) return undefined;
    return { ...meta(directory, FD_INO + fd, S_IFLNK | 0o700), kind: 'generated-link', source: 'fd', fd };
  }
  if (directory.source === 'task') {
    const thread = vfs.kernel.process.threads().find((each) => String(each.tid) === name);
    if (thread === undefined) return undefined;
    const { tid } = thread;
    return { ...directory, ino: TASK_INO + tid * 16, source: 'thread', tid, parent: directory, name };
  }
  const index = THREAD_FILES.indexOf(name);
  if (index < 0) return undefined;
  const source = THREAD_FILES[index]!;
  const ino = directory.ino + 1 + index;
  const file: GeneratedInode = { ...meta(directory, ino, S_IFREG | 0o444), kind: 'generated', source };
  return directory.tid === undefined ? file : { ...file, tid: directory.tid };
}

/** Names in a generated directory, with their DT_ types. */
export function generatedList(vfs: Vfs, directory: GeneratedDirInode): { name: string; ino: number; type: number }[] {
  if (directory.source === 'fd') {
    const fds = [...vfs.state.descriptors.entries.keys()].sort((a, b) => a - b);
    return fds.map((fd) => ({ name: String(fd), ino: FD_INO + fd, type: direntType(S_IFLNK) }));
  }
  if (directory.source === 'task') {
    const threads = vfs.kernel.process.threads();
    return threads.map(({ tid }) => ({ name: String(tid), ino: TASK_INO + tid * 16, type: direntType(S_IFDIR) }));
  }
  return THREAD_FILES.map((name, i) => ({ name, ino: directory.ino + 1 + i, type: direntType(S_IFREG) }));
}
