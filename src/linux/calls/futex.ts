// futex: kernel/futex/. Every futex is private to the one process, so its key is its address.

import { type Call, type Result, type Row, row, type Wait } from '../call.ts';
import type { Kernel } from '../kernel.ts';
import { readTimespec, type TimeForm } from '../time.ts';

const WAIT = 0;
const WAKE = 1;
const REQUEUE = 3;
const CMP_REQUEUE = 4;
const WAKE_OP = 5;
const WAIT_BITSET = 9;
const WAKE_BITSET = 10;
const PRIVATE_FLAG = 128;
const CLOCK_REALTIME = 256;
const MATCH_ANY = 0xffff_ffff;

/** What a waiter keeps: which of the wakers' bits it listens to. */
interface Waiter {
  readonly bitset: number;
  /** Whether the wait has a time-out: decides how it is restarted. */
  readonly timed: boolean;
}

const keyOf = (address: number): string => `futex:${address.toString(16)}`;

/** Wakes at most `count` waiters that listen to one of `bitset`, in the order in which they came. @returns how many. */
export function futexWake(kernel: Kernel, address: number, count: number, bitset = MATCH_ANY): number {
  const key = keyOf(address);
  const waiting = kernel.tasks
    .filter(
      (t) =>
        t.blocked?.wait.keys[0] === key &&
        t.wake === undefined &&
        ((t.blocked.wait.saved as Waiter).bitset & bitset) !== 0,
    )
    .sort((a, b) => a.blocked!.sequence - b.blocked!.sequence)
    .slice(0, count);
  for (const task of waiting) {
    task.wake = 'woken';
    kernel.sched.ready(task.tid);
  }
  return waiting.length;
}

/** Moves at most `count` waiters to another futex. @returns how many. */
function requeue(kernel: Kernel, from: number, to: number, count: number): number {
  const key = keyOf(from);
  const waiting = kernel.tasks
    .filter((t) => t.blocked?.wait.keys[0] === key && t.wake === undefined)
    .sort((a, b) => a.blocked!.sequence - b.blocked!.sequence)
    .slice(0, count);
  for (const task of waiting) {
    const blocked = task.blocked!;
    const wait: Wait = { ...blocked.wait, keys: [keyOf(to)] };
    task.blocked = { ...blocked, wait, sequence: kernel.nextSequence() };
  }
  return waiting.length;
}

function wait(call: Call, bitset: number, deadline: (timeout: number) => number | undefined): Result {
  const [address, , value, timeout] = call.args as [number, number, number, number];
  switch (call.wake) {
    case 'woken':
      return 0;
    case 'timeout':
      return 'ETIMEDOUT';
    case 'signal':
      return (call.saved as Waiter).timed ? 'ERESTART_RESTARTBLOCK' : 'ERESTARTSYS';
    default: {
      if (bitset === 0) return 'EINVAL';
      const relative = (): number | undefined => (timeout === 0 ? Number.POSITIVE_INFINITY : deadline(timeout));
      const until = call.wake === 'restart' ? call.deadline : relative();
      if (until === undefined) return 'EINVAL';
      if (call.memory.readU32(address) !== value >>> 0) return 'EAGAIN';
      const saved: Waiter = { bitset, timed: timeout !== 0 };
      return { keys: [keyOf(address)], deadline: until, saved };
    }
  }
}

/** FUTEX_WAKE_OP: changes a second word, and wakes on it too if its old value compares (futex_atomic_op_inuser). */
function wakeOp(call: Call, address: number, count: number, count2: number, second: number, operation: number): Result {
  const { memory, kernel } = call;
  const op = (operation >>> 28) & 7;
  const compare = (operation >>> 24) & 15;
  const shifted = ((operation >>> 28) & 8) !== 0;
  const signed = (value: number): number => (value << 20) >> 20;
  const opArgument = shifted ? 1 << ((operation >>> 12) & 31) : signed((operation >>> 12) & 0xfff);
  const compareArgument = signed(operation & 0xfff);
  const old = memory.readU32(second) | 0;
  const changed = [opArgument, old + opArgument, old | opArgument, old & ~opArgument, old ^ opArgument][op];
  if (changed === undefined) return 'ENOSYS';
  memory.writeU32(second, changed >>> 0);
  const holds = [
    old === compareArgument,
    old !== compareArgument,
    old < compareArgument,
    old <= compareArgument,
    old > compareArgument,
    old >= compareArgument,
  ][compare];
  if (holds === undefined) return 'ENOSYS';
  const woken = futexWake(kernel, address, count);
  return holds ? woken + futexWake(kernel, second, count2) : woken;
}

function futex(call: Call, form: TimeForm): Result {
  const [address, operation, value, fourth, second, third] = call.args as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const { kernel, memory, abi } = call;
  if (address % 4 !== 0) return 'EINVAL';
  if (address >= kernel.mm.taskSize) return 'EFAULT';
  const relative = (at: number): number | undefined => {
    const ns = readTimespec(memory, abi.word, at, form);
    return ns === undefined ? undefined : kernel.clock.now() + ns;
  };
  const absolute = (at: number): number | undefined => {
    const ns = readTimespec(memory, abi.word, at, form);
    if (ns === undefined) return undefined;
    return (operation & CLOCK_REALTIME) === 0 ? ns : ns - Number(kernel.clock.epoch);
  };
  const count = Math.max(value | 0, 1);
  switch (operation & ~(PRIVATE_FLAG | CLOCK_REALTIME)) {
    case WAIT:
      return wait(call, MATCH_ANY, relative);
    case WAIT_BITSET:
      return wait(call, third, absolute);
    case WAKE:
      return futexWake(kernel, address, count);
    case WAKE_BITSET:
      return third === 0 ? 'EINVAL' : futexWake(kernel, address, count, third);
    case CMP_REQUEUE:
    case REQUEUE: {
      if ((operation & 127) === CMP_REQUEUE && memory.readU32(address) !== third) return 'EAGAIN';
      const woken = futexWake(kernel, address, value | 0);
      return woken + requeue(kernel, address, second, fourth | 0);
    }
    case WAKE_OP:
      return wakeOp(call, address, count, Math.max(fourth | 0, 1), second, third);
    default:
      return 'ENOSYS';
  }
}

const ARGS = ['ptr', 'hex', 'uint', 'timespec', 'ptr', 'hex'] as const;
const NOTE = 'no priority inheritance';

export const FUTEX_CALLS: readonly Row[] = [
  row('futex', ARGS, (call) => futex(call, 'long'), { support: 'partial', note: NOTE }),
  row('futex_time64', ARGS, (call) => futex(call, 'time64'), { support: 'partial', note: NOTE }),
];
