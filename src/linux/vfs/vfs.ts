// The file system of one guest: its state, and what it needs from outside. The operations are functions over it, by family:
// walk.ts (paths), names.ts (directories), open.ts, io.ts (open files), stat.ts.
//
// What the host could tell the guest, and how that is closed:
// - files: nothing but what is mapped (host.ts); names in byte order, not the host's order
// - inode and device numbers: given out in the order in which the guest sees them; sizes and link counts of directories constant
// - owner: the guest's own; permission bits are passed on, set-uid and the like are not
// - access and change times: the modification time instead. Modification times of mapped files are part of the input, like their
//   contents; what the guest itself changes has guest time for the rest of the run, whatever the host writes down
// - free space, CPU, memory, load, host name: constants
// - standard streams: always look like pipes (or like a terminal, by option), whatever they are on the host; never short reads by timing
// - time and entropy: from the instruction count and the seed
// - network: none

import type { ProgramFile } from '../../object/file.ts';
import type { ErrnoName } from '../abi/errno.ts';
import type { Mappable } from '../files.ts';
import type { Part } from '../part.ts';
import { copyGraph } from './copy.ts';
import { type TimerCounter, timerExpirations } from './counter.ts';
import { type DescriptorTable, descriptor, install, makeDescriptorTable, uninstall } from './descriptors.ts';
import { notify } from './epoll.ts';
import { canRead, canWrite, type HostFile, type MemoryFile, O_RDONLY, O_WRONLY, type OpenFile } from './file.ts';
import { HostTree } from './host.ts';
import type { Directory, DirInode, HostInode, Meta, Mount, Times } from './inode.ts';
import { readFile, releaseFile, writeFile } from './io.ts';
import { type Pollable, pollable, READABLE } from './pollable.ts';
import { NO_PROCESS, type ProcessInfo } from './proc.ts';
import { makeNetwork, type Network } from './socket.ts';
import { type Input, inputOf, type Output } from './streams.ts';
import { buildTree, mountHost, placeFile } from './tree.ts';
import { resolveDirectory } from './walk.ts';

/** What the file system asks of the kernel. */
export interface VfsKernel {
  /** Nanoseconds since 1970, guest time. */
  wall(): bigint;
  /** Nanoseconds since boot, guest time. */
  now(): bigint;
  /** Nanoseconds of a POSIX clock, by its number. @throws CallError EINVAL */
  clock(id: number): bigint;
  entropy(length: number): Uint8Array;
  wake(key: string): void;
  readonly process: ProcessInfo;
}

/** The program as it was started. Strings are byte strings. */
export interface ProgramInfo {
  /** Guest path of its file. */
  readonly exe: string;
  readonly args: readonly string[];
  readonly environment: readonly string[];
  readonly auxv: Uint8Array;
}

/** A host directory and where the guest sees it. */
export interface DirectoryMapping {
  readonly host: string;
  /** Absolute path. */
  readonly guest: string;
  readonly readOnly?: boolean;
}

export interface VfsOptions {
  /** The guest's byte order, for counters that are read as bytes. */
  readonly bigEndian: boolean;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly directories?: readonly DirectoryMapping[];
  /** Files to put into the tree, read-only: the program itself. */
  readonly files?: readonly { readonly path: string; readonly file: ProgramFile; readonly mode: number }[];
  /** Current directory; `/` by default. */
  readonly cwd?: string;
  readonly input?: Input;
  readonly output: Output;
  /** Standard streams answer as a terminal of this size. */
  readonly terminal?: { readonly rows: number; readonly columns: number };
  /** Bytes that in-memory files may take together; 1 GiB by default. */
  readonly memoryLimit?: number;
}

/** All of it is plain data: see copy.ts. */
export interface VfsState {
  readonly root: DirInode;
  readonly descriptors: DescriptorTable;
  readonly network: Network;
  cwd: Directory;
  umask: number;
  nextIno: number;
  nextObject: number;
  /** 4 KiB pages in use by in-memory files. */
  pages: number;
  /** Inode numbers given to host files, by the host's identity. */
  readonly hostInos: Map<string, number>;
  /** Times of host files that the guest has changed, by inode number. */
  readonly hostTimes: Map<number, Times>;
  /** Bytes read from standard input, and written to output and error. */
  readonly streamPositions: [number, number, number];
  /** Timers of timerfd that are armed. */
  timers: TimerCounter[];
  /** Files that have been mapped, for as long as the process lives. */
  readonly mapped: Map<number, MemoryFile | HostFile>;
  readonly stdin: Pollable;
  readonly stdout: Pollable;
}

const DEFAULT_MEMORY = 2 ** 30;

/** Before the kernel is there, nothing can wait and no time passes. */
const NO_KERNEL: VfsKernel = {
  wall: () => 0n,
  now: () => 0n,
  clock: () => 0n,
  entropy: () => {
    throw new Error('the file system is not attached to a kernel');
  },
  wake: () => undefined,
  process: NO_PROCESS,
};

export class Vfs implements Part<VfsState> {
  readonly uid: number;
  readonly gid: number;
  readonly bigEndian: boolean;
  readonly input: Input;
  readonly output: Output;
  readonly terminal: { readonly rows: number; readonly columns: number } | undefined;
  readonly pageLimit: number;
  readonly trees: readonly HostTree[];
  readonly mounts: readonly Mount[];
  /** The thread whose call is being served: /proc/thread-self. */
  currentTid = 0;
  #state: VfsState;
  /** A copy that equals the state for as long as nobody has looked at it. */
  #saved: VfsState | undefined;
  kernel: VfsKernel = NO_KERNEL;
  /** What /proc tells of the program; the loader sets it. */
  program: ProgramInfo = { exe: '/', args: [], environment: [], auxv: new Uint8Array(0) };

  /** @throws Error of node:fs when a mapped directory cannot be used */
  constructor(options: VfsOptions) {
    this.uid = options.uid;
    this.gid = options.gid;
    this.bigEndian = options.bigEndian;
    this.input = options.input ?? inputOf();
    this.output = options.output;
    this.terminal = options.terminal;
    this.pageLimit = Math.floor((options.memoryLimit ?? DEFAULT_MEMORY) / 4096);
    const mappings = options.directories ?? [];
    this.trees = mappings.map((mapping) => new HostTree(mapping.host));
    const root = buildTree(options.pid, this.uid, this.gid);
    this.#state = {
      root: root.root,
      descriptors: makeDescriptorTable(),
      network: makeNetwork(),
      cwd: root.root,
      umask: 0o022,
      nextIno: root.nextIno,
      nextObject: 1,
      pages: 0,
      hostInos: new Map(),
      hostTimes: new Map(),
      streamPositions: [0, 0, 0],
      timers: [],
      mapped: new Map(),
      stdin: pollable('stdin'),
      stdout: pollable('stdout'),
    };
    // Outer directories first, so that an inner one is found inside its parent's place.
    const order = mappings.map((mapping, tree) => ({ mapping, tree }));
    order.sort((a, b) => a.mapping.guest.length - b.mapping.guest.length);
    this.mounts = order.map(({ mapping, tree }) => mountHost(this, tree, mapping.guest, mapping.readOnly ?? false));
    for (const { path, file, mode } of options.files ?? []) placeFile(this, path, file, mode);
    for (const stream of [0, 1, 2] as const) {
      install(
        this.state.descriptors,
        {
          kind: 'stream',
          stream,
          refs: 0,
          flags: stream === 0 ? O_RDONLY : O_WRONLY,
          ino: this.newIno(),
          wait: stream === 0 ? this.state.stdin : this.state.stdout,
        },
        false,
      );
    }
    if (options.cwd !== undefined) this.state.cwd = resolveDirectory(this, options.cwd);
  }

  /** To be asked for each time: who has it may change it, so that the next snapshot copies it. */
  get state(): VfsState {
    this.#saved = undefined;
    return this.#state;
  }

  get attached(): boolean {
    return this.kernel !== NO_KERNEL;
  }

  attach(kernel: VfsKernel): void {
    this.kernel = kernel;
  }

  newIno(): number {
    return this.state.nextIno++;
  }

  /** A number for the wait key of a new pipe, counter or epoll set. */
  newObject(): number {
    return this.state.nextObject++;
  }

  /** What a new in-memory inode begins with. */
  newMeta(mode: number, dev: number): Meta {
    const now = this.kernel.wall();
    return {
      ino: this.newIno(),
      dev,
      mode,
      uid: this.uid,
      gid: this.gid,
      nlink: 1,
      atime: now,
      mtime: now,
      ctime: now,
    };
  }

  /** The host tree that holds a host inode. */
  tree(inode: HostInode): HostTree {
    return this.trees[inode.mount.tree]!;
  }

  /** Something has become ready. */
  readonly notify = (target: Pollable, events: number): void => {
    notify(target, events, (key) => this.kernel.wake(key));
  };

  // Descriptors

  /** @throws CallError EBADF */
  file(fd: number): OpenFile {
    return descriptor(this.state.descriptors, fd).file;
  }

  /** @throws CallError EMFILE, with the description released */
  install(file: OpenFile, closeOnExec: boolean, from = 0): number {
    try {
      return install(this.state.descriptors, file, closeOnExec, from);
    } catch (error) {
      if (file.refs === 0) releaseFile(this, file);
      throw error;
    }
  }

  /** @throws CallError EBADF */
  close(fd: number): void {
    const file = uninstall(this.state.descriptors, fd);
    if (file.refs === 0) releaseFile(this, file);
  }

  // What the core of the kernel asks (files.ts)

  mappable(fd: number): Mappable | ErrnoName {
    const file = this.state.descriptors.entries.get(fd)?.file;
    if (file === undefined) return 'EBADF';
    if (file.kind !== 'memory' && file.kind !== 'host') return 'ENODEV';
    // A mapping outlives the descriptor, and a snapshot outlives the object: it holds a number.
    let id = [...this.state.mapped].find(([, known]) => known === file)?.[0];
    if (id === undefined) {
      id = this.newObject();
      this.state.mapped.set(id, file);
      file.refs++;
    }
    const number = id;
    const live = (): MemoryFile | HostFile => this.state.mapped.get(number)!;
    return {
      path: file.path ?? '',
      readable: canRead(file),
      writable: canWrite(file),
      read: (offset, length) => readFile(this, live(), length, offset) ?? new Uint8Array(0),
      write: (offset, bytes) => {
        writeFile(this, live(), bytes, offset);
      },
    };
  }

  // Timers of timerfd: they have no thread of their own, so whoever looks at files first lets them fire.

  /** Tells those who watch a timer that has expired. */
  fireTimers(): void {
    for (const timer of this.#state.timers) {
      if (timer.told || timerExpirations(timer, this.kernel.clock(timer.clock)) === 0n) continue;
      this.#saved = undefined;
      timer.told = true;
      this.notify(timer.wait, READABLE);
    }
  }

  /** Guest time since boot at which the next timer expires; Infinity where there is none. */
  nextTimer(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const timer of this.#state.timers) {
      if (timer.told || timer.at === 0n) continue;
      next = Math.min(next, Number(this.kernel.now() + (timer.at - this.kernel.clock(timer.clock))));
    }
    return next;
  }

  /** Costs a copy of what files and descriptors there are, their contents aside, and nothing if no call has used them since the last one. */
  save(): VfsState {
    this.#saved ??= copyGraph(this.#state);
    return this.#saved;
  }

  restore(saved: VfsState): void {
    if (this.#saved === saved) return;
    this.#state = copyGraph(saved);
    this.#saved = saved;
  }

  /** Closes the host's descriptors. */
  dispose(): void {
    for (const tree of this.trees) tree.dispose();
  }
}
