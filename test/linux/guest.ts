// A kernel without a program: calls are made one by one, on memory that the test writes and reads.

import { type Goarch, isaFor } from '../../isa/index.ts';
import { Machine } from '../../src/engine/machine.ts';
import { PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { ArgumentBits } from '../../src/linux/abi/convert.ts';
import { CallError } from '../../src/linux/abi/errno.ts';
import { abiFor } from '../../src/linux/abi/index.ts';
import type { CallName } from '../../src/linux/abi/numbers.ts';
import type { Call, Result, Wait, Wake } from '../../src/linux/call.ts';
import { callTable } from '../../src/linux/calls/index.ts';
import { Kernel } from '../../src/linux/kernel.ts';
import type { Task } from '../../src/linux/task.ts';
import { CapturedOutput } from '../../src/linux/vfs/streams.ts';
import { Vfs, type VfsOptions } from '../../src/linux/vfs/vfs.ts';

function bitsOf(args: readonly number[]): ArgumentBits {
  const bits = new ArgumentBits();
  for (const arg of args) bits.push(arg >>> 0, Math.floor(arg / 2 ** 32) >>> 0);
  return bits;
}

/** Where the guest's scratch memory is. */
export const BASE = 0x100000;
const SIZE = 0x100000;

/** Open flags of each numbering. */
export const FLAGS = {
  generic: {
    RDONLY: 0,
    WRONLY: 1,
    RDWR: 2,
    CREAT: 0o100,
    EXCL: 0o200,
    TRUNC: 0o1000,
    APPEND: 0o2000,
    NONBLOCK: 0o4000,
  },
  mips: { RDONLY: 0, WRONLY: 1, RDWR: 2, CREAT: 0x100, EXCL: 0x400, TRUNC: 0x200, APPEND: 0x8, NONBLOCK: 0x80 },
} as const;

export class Guest {
  readonly kernel: Kernel;
  readonly vfs: Vfs;
  readonly output = new CapturedOutput();
  readonly task: Task;
  readonly flags: (typeof FLAGS)['generic'] | (typeof FLAGS)['mips'];
  #next = BASE;

  constructor(goarch: Goarch, options: Partial<VfsOptions> = {}) {
    const isa = isaFor(goarch);
    const machine = new Machine(isa, { limit: isa.variant.width === 64 ? 2 ** 40 : 2 ** 31, memorySize: 2 ** 24 });
    const abi = abiFor(isa.variant);
    this.vfs = new Vfs({ pid: 1000, uid: 1000, gid: 1000, bigEndian: abi.bigEndian, output: this.output, ...options });
    this.kernel = new Kernel({ machine, abi, files: this.vfs });
    this.kernel.mm.map({ address: BASE, length: SIZE, prot: PROT_READ | PROT_WRITE, fixed: 'replace' });
    this.flags = abi.mips ? FLAGS.mips : FLAGS.generic;
    this.task = this.kernel.addTask({
      name: 'test',
      registers: machine.state.save(),
      blocked: undefined,
      wake: undefined,
      mask: 0n,
      maskToRestore: undefined,
      pending: [],
      altStack: { sp: 0, size: 0, flags: 2 },
      clearChildTid: 0,
      robustList: { head: 0, length: 0 },
      executed: 0,
    });
  }

  get memory() {
    return this.kernel.memory;
  }

  /** Scratch memory, zeroed. */
  buffer(size: number): number {
    const at = this.#next;
    this.#next += Math.ceil(size / 16) * 16;
    return at;
  }

  /** A NUL-terminated string in guest memory. */
  text(value: string): number {
    const bytes = Buffer.from(`${value}\0`, 'latin1');
    const at = this.buffer(bytes.length);
    this.memory.write(at, bytes);
    return at;
  }

  bytes(value: string): { at: number; length: number } {
    const bytes = Buffer.from(value, 'latin1');
    const at = this.buffer(Math.max(bytes.length, 1));
    this.memory.write(at, bytes);
    return { at, length: bytes.length };
  }

  string(at: number, length: number): string {
    return Buffer.from(this.memory.read(at, length)).toString('latin1');
  }

  hex(at: number, length: number): string {
    return Buffer.from(this.memory.read(at, length)).toString('hex');
  }

  /** Makes a call; strings become pointers to them. An error comes back as its name. */
  call(name: CallName, ...args: readonly (number | string)[]): Result {
    return this.again(
      name,
      args.map((arg) => (typeof arg === 'string' ? this.text(arg) : arg)),
      'first',
      undefined,
    );
  }

  /** Runs a handler as after a wait. */
  again(name: CallName, args: readonly number[], wake: Wake, wait: Wait | undefined): Result {
    const { kernel, task } = this;
    const call: Call = {
      kernel,
      task,
      abi: kernel.abi,
      memory: kernel.memory,
      row: callTable(kernel.abi).byName(name),
      args,
      raw: bitsOf(args),
      wake,
      saved: wait?.saved,
      deadline: wait?.deadline ?? Number.POSITIVE_INFINITY,
      second: undefined,
    };
    try {
      return call.row.handler(call);
    } catch (error) {
      if (error instanceof CallError) return error.code;
      throw error;
    }
  }

  /** A call that must give a number. */
  number(name: CallName, ...args: readonly (number | string)[]): number {
    const result = this.call(name, ...args);
    if (typeof result !== 'number') throw new Error(`${name}: ${JSON.stringify(result)}`);
    return result;
  }

  open(path: string, flags = 0, mode = 0o644): number {
    return this.number('openat', -100, path, flags, mode);
  }

  write(fd: number, value: string): Result {
    const { at, length } = this.bytes(value);
    return this.call('write', fd, at, length);
  }

  /** What read gives, as text; or its error or wait. */
  read(fd: number, length = 4096): string | { result: Result } {
    const at = this.buffer(length);
    const result = this.call('read', fd, at, length);
    return typeof result === 'number' ? this.string(at, result) : { result };
  }
}
