// Threads and processes: clone, exit, ids, waiting, scheduling, thread-local storage.

import { type Call, REGISTERS_SET, type Result, type Row, refused, row } from '../call.ts';
import type { Kernel } from '../kernel.ts';
import type { Task } from '../task.ts';
import { futexWake } from './futex.ts';

const CLONE_VM = 0x100;
const CLONE_FS = 0x200;
const CLONE_FILES = 0x400;
const CLONE_SIGHAND = 0x800;
const CLONE_THREAD = 0x10000;
const CLONE_SETTLS = 0x80000;
const CLONE_PARENT_SETTID = 0x100000;
const CLONE_CHILD_CLEARTID = 0x200000;
const CLONE_CHILD_SETTID = 0x1000000;
const THREAD = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;

const ONE_PROCESS = 'there is one process: no fork, no exec';

function clone(call: Call): Result {
  const { kernel, abi, memory, task } = call;
  const { machine } = kernel;
  const [flags, stack, parentTid] = call.args as [number, number, number];
  // CONFIG_CLONE_BACKWARDS: MIPS passes tls before the child's tid.
  const tls = call.raw.at(abi.mips ? 3 : 4);
  const childTid = call.args[abi.mips ? 4 : 3]!;
  if ((flags & THREAD) !== THREAD) return 'ENOSYS';
  // Touch what will be written first: a fault must leave nothing done.
  if ((flags & CLONE_PARENT_SETTID) !== 0) memory.translate(parentTid, 'write');
  if ((flags & CLONE_CHILD_SETTID) !== 0) memory.translate(childTid, 'write');

  const parent = machine.state.save();
  abi.succeed(machine, 0);
  if (stack !== 0) abi.setStackPointer(machine, stack);
  if ((flags & CLONE_SETTLS) !== 0) abi.setThreadPointer(machine, tls);
  const child = kernel.addTask({
    name: task.name,
    registers: machine.state.save(),
    blocked: undefined,
    wake: undefined,
    mask: task.mask,
    maskToRestore: undefined,
    pending: [],
    altStack: { sp: 0, size: 0, flags: 0 },
    clearChildTid: (flags & CLONE_CHILD_CLEARTID) !== 0 ? childTid : 0,
    robustList: { head: 0, length: 0 },
    executed: 0,
  });
  machine.state.load(parent);
  if ((flags & CLONE_PARENT_SETTID) !== 0) memory.writeU32(parentTid, child.tid);
  if ((flags & CLONE_CHILD_SETTID) !== 0) memory.writeU32(childTid, child.tid);
  kernel.sched.ready(child.tid);
  return child.tid;
}

/** Ends a thread; the last one ends the process. */
function exitThread(kernel: Kernel, task: Task, status: number): void {
  if (task.clearChildTid !== 0 && kernel.tasks.length > 1) {
    const address = task.clearChildTid;
    if (kernel.mm.find(address) !== undefined) {
      kernel.memory.writeU32(address, 0);
      futexWake(kernel, address, 1);
    }
  }
  kernel.sched.remove(task.tid);
  kernel.tasks = kernel.tasks.filter((t) => t !== task);
  kernel.current = undefined;
  if (kernel.tasks.length === 0) kernel.exitGroup({ kind: 'exit', status });
}

function exit(call: Call): Result {
  exitThread(call.kernel, call.task, call.args[0]! & 0xff);
  return REGISTERS_SET;
}

function exitGroup(call: Call): Result {
  call.kernel.exitGroup({ kind: 'exit', status: call.args[0]! & 0xff });
  return REGISTERS_SET;
}

function schedGetaffinity(call: Call): Result {
  const [pid, length, address] = call.args as [number, number, number];
  const { kernel, abi, memory } = call;
  if (pid !== 0 && kernel.task(pid) === undefined) return 'ESRCH';
  if (length * 8 < kernel.cpus || length % abi.word !== 0) return 'EINVAL';
  const size = Math.min(length, Math.ceil(kernel.cpus / (8 * abi.word)) * abi.word);
  const mask = (1n << BigInt(kernel.cpus)) - 1n;
  for (let at = 0; at < size; at += abi.word) {
    const part = mask >> BigInt(8 * at);
    if (abi.word === 8) memory.writeU64(address + at, BigInt.asUintN(64, part));
    else memory.writeU32(address + at, Number(BigInt.asUintN(32, part)));
  }
  return size;
}

/** Whether a pid argument means this process or one of its threads. */
const isOurs = (kernel: Kernel, pid: number): boolean =>
  pid === 0 || kernel.task(pid) !== undefined || pid === kernel.identity.pid;

const uid = (call: Call): Result => call.kernel.identity.uid;
const gid = (call: Call): Result => call.kernel.identity.gid;
const pid = (call: Call): Result => call.kernel.identity.pid;

/** set*id: to what it is already, or not at all. */
const setId =
  (which: 'uid' | 'gid') =>
  (call: Call): Result => {
    const own = call.kernel.identity[which];
    return call.args.every((id) => id === own || id === -1) ? 0 : 'EPERM';
  };

function getresid(call: Call, id: number): Result {
  for (const address of call.args) call.memory.writeU32(address, id);
  return 0;
}

function getgroups(call: Call): Result {
  const [size, list] = call.args as [number, number];
  if (size < 0) return 'EINVAL';
  if (size > 0) call.memory.writeU32(list, call.kernel.identity.gid);
  return 1;
}

function schedYield(call: Call): Result {
  call.kernel.sched.yield();
  return 0;
}

// prctl
const PR_SET_PDEATHSIG = 1;
const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_GET_NO_NEW_PRIVS = 39;

function prctl(call: Call): Result {
  const [option, second] = call.args as [number, number];
  const { kernel, task, memory } = call;
  switch (option) {
    case PR_SET_NAME:
      task.name = new TextDecoder().decode(memory.readCString(second, 15));
      return 0;
    case PR_GET_NAME: {
      const name = new Uint8Array(16);
      name.set(new TextEncoder().encode(task.name).subarray(0, 15));
      memory.write(second, name);
      return 0;
    }
    case PR_GET_DUMPABLE:
      return kernel.misc.dumpable;
    case PR_SET_DUMPABLE:
      if (second > 1) return 'EINVAL';
      kernel.misc = { ...kernel.misc, dumpable: second };
      return 0;
    case PR_SET_PDEATHSIG:
    case PR_SET_NO_NEW_PRIVS:
    case PR_GET_NO_NEW_PRIVS:
      return 0;
    default:
      return 'EINVAL';
  }
}

// arch_prctl
const ARCH_SET_GS = 0x1001;
const ARCH_SET_FS = 0x1002;
const ARCH_GET_FS = 0x1003;
const ARCH_GET_GS = 0x1004;

function archPrctl(call: Call): Result {
  const [code, address] = call.args as [number, number];
  const { state } = call.kernel.machine;
  const register = state.register(code === ARCH_SET_FS || code === ARCH_GET_FS ? 'FS_BASE' : 'GS_BASE');
  switch (code) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
      if (address >= call.abi.taskSize) return 'EPERM';
      state.setNumber(register, address);
      return 0;
    case ARCH_GET_FS:
    case ARCH_GET_GS:
      call.memory.writeU64(address, state.get(register));
      return 0;
    default:
      return 'EINVAL';
  }
}

// sysmips (arch/mips/kernel/syscall.c)
const MIPS_ATOMIC_SET = 2001;
const MIPS_FIXADE = 7;
const FLUSH_CACHE = 3;

function sysmips(call: Call): Result {
  const [command, first, second] = call.args as [number, number, number];
  const { kernel, memory } = call;
  switch (command) {
    case MIPS_FIXADE:
      if ((first & ~3) !== 0) return 'EINVAL';
      kernel.misc = { ...kernel.misc, fixUnaligned: (first & 1) !== 0 };
      return 0;
    case FLUSH_CACHE:
      return 0;
    case MIPS_ATOMIC_SET: {
      if (first % 4 !== 0) return 'EINVAL';
      const old = memory.readU32(first);
      memory.writeU32(first, second % 2 ** 32);
      return BigInt(old | 0);
    }
    default:
      return 'EINVAL';
  }
}

/** Every barrier there is holds already: one host thread executes everything in order. */
function membarrier(call: Call): Result {
  const MEMBARRIER_CMD_ALL = 0x7f;
  const command = call.args[0]!;
  if (command === 0) return MEMBARRIER_CMD_ALL;
  return (command & (command - 1)) === 0 && command <= MEMBARRIER_CMD_ALL ? 0 : 'EINVAL';
}

export const THREAD_CALLS: readonly Row[] = [
  row('clone', ['hex', 'ptr', 'ptr', 'ptr', 'ptr'], clone, {
    support: 'partial',
    note: `threads only; ${ONE_PROCESS}`,
  }),
  refused('clone3', ['ptr', 'size'], 'ENOSYS', 'programs fall back to clone'),
  refused('fork', [], 'ENOSYS', ONE_PROCESS),
  refused('vfork', [], 'ENOSYS', ONE_PROCESS),
  refused('execve', ['path', 'ptr', 'ptr'], 'ENOSYS', ONE_PROCESS),
  refused('execveat', ['dirfd', 'path', 'ptr', 'ptr', 'hex'], 'ENOSYS', ONE_PROCESS),
  row('exit', ['int'], exit, { returns: 'none' }),
  row('exit_group', ['int'], exitGroup, { returns: 'none' }),
  row('wait4', ['int', 'out', 'hex', 'out'], () => 'ECHILD', { note: 'there are no children' }),
  row('waitid', ['int', 'int', 'out', 'hex', 'out'], () => 'ECHILD', { note: 'there are no children' }),
  row('waitpid', ['int', 'out', 'hex'], () => 'ECHILD', { note: 'there are no children' }),
  row('getpid', [], pid),
  row('gettid', [], (call) => call.task.tid),
  row('getppid', [], (call) => call.kernel.identity.ppid),
  row('getpgrp', [], pid),
  row('getpgid', ['int'], (call) => (isOurs(call.kernel, call.args[0]!) ? call.kernel.identity.pid : 'ESRCH')),
  row('getsid', ['int'], (call) => (isOurs(call.kernel, call.args[0]!) ? call.kernel.identity.pid : 'ESRCH')),
  refused('setpgid', ['int', 'int'], 'EPERM', 'the process leads its session'),
  refused('setsid', [], 'EPERM', 'the process leads its group already'),
  row('getuid', [], uid),
  row('geteuid', [], uid),
  row('getgid', [], gid),
  row('getegid', [], gid),
  row('getresuid', ['out', 'out', 'out'], (call) => getresid(call, call.kernel.identity.uid)),
  row('getresgid', ['out', 'out', 'out'], (call) => getresid(call, call.kernel.identity.gid)),
  row('setuid', ['int'], setId('uid')),
  row('setgid', ['int'], setId('gid')),
  row('setreuid', ['int', 'int'], setId('uid')),
  row('setregid', ['int', 'int'], setId('gid')),
  row('setresuid', ['int', 'int', 'int'], setId('uid')),
  row('setresgid', ['int', 'int', 'int'], setId('gid')),
  row('getgroups', ['int', 'out'], getgroups),
  refused('setgroups', ['int', 'ptr'], 'EPERM', 'not root'),
  refused('capset', ['ptr', 'ptr'], 'EPERM', 'not root'),
  row('set_tid_address', ['ptr'], (call) => {
    call.task.clearChildTid = call.args[0]!;
    return call.task.tid;
  }),
  row(
    'set_robust_list',
    ['ptr', 'size'],
    (call) => {
      const [head, length] = call.args as [number, number];
      if (length !== 3 * call.abi.word) return 'EINVAL';
      call.task.robustList = { head, length };
      return 0;
    },
    { support: 'partial', note: 'kept, not walked when a thread ends' },
  ),
  refused('rseq', ['ptr', 'uint', 'hex', 'hex'], 'ENOSYS', 'programs do without'),
  row('sched_yield', [], schedYield),
  row('sched_getaffinity', ['int', 'uint', 'out'], schedGetaffinity),
  row('sched_setaffinity', ['int', 'uint', 'ptr'], () => 0, { support: 'fixed', note: 'threads run where they run' }),
  row('sched_getscheduler', ['int'], () => 0, { support: 'fixed', note: 'SCHED_OTHER' }),
  row('sched_getparam', ['int', 'out'], (call) => {
    call.memory.writeU32(call.args[1]!, 0);
    return 0;
  }),
  row('sched_get_priority_max', ['int'], () => 0, { support: 'fixed', note: 'SCHED_OTHER' }),
  row('sched_get_priority_min', ['int'], () => 0, { support: 'fixed', note: 'SCHED_OTHER' }),
  row('getpriority', ['int', 'int'], () => 20, { support: 'fixed', note: 'nice 0' }),
  row('setpriority', ['int', 'int', 'int'], () => 0, { support: 'fixed', note: 'threads have no priorities' }),
  row('getcpu', ['out', 'out', 'unused'], (call) => {
    for (const address of call.args.slice(0, 2)) if (address !== 0) call.memory.writeU32(address, 0);
    return 0;
  }),
  row('prctl', ['int', 'ptr', 'ptr', 'ptr', 'ptr'], prctl, {
    support: 'partial',
    note: 'name, dumpable, no_new_privs',
  }),
  row('arch_prctl', ['hex', 'ptr'], archPrctl, { support: 'partial', note: 'FS and GS bases' }),
  row('set_thread_area', ['ptr'], (call) => {
    // x86 takes a segment descriptor here, which 64-bit programs have no use for.
    if (!call.abi.mips) return 'ENOSYS';
    call.abi.setThreadPointer(call.kernel.machine, call.raw.at(0));
    return 0;
  }),
  row('sysmips', ['int', 'ptr', 'ptr', 'ptr'], sysmips),
  row('cacheflush', ['ptr', 'size', 'int'], () => 0, { note: 'stores are seen by fetches at once' }),
  row('membarrier', ['int', 'hex', 'int'], membarrier),
  row('personality', ['hex'], () => 0, { support: 'fixed', note: 'PER_LINUX' }),
  refused('ptrace', ['int', 'int', 'ptr', 'ptr'], 'EPERM', 'nobody else is there'),
  refused('pidfd_open', ['int', 'hex'], 'ENOSYS', 'programs fall back'),
  refused('pidfd_send_signal', ['fd', 'signal', 'ptr', 'hex'], 'ENOSYS', 'programs fall back'),
  refused('seccomp', ['int', 'hex', 'ptr'], 'EINVAL', 'no filters'),
];
