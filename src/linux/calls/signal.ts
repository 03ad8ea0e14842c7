// Signals: actions, masks, stacks, sending, waiting, returning.

import {
  onAltStack,
  readSiginfo,
  readSigset,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
  writeSiginfo,
  writeSigset,
} from '../abi/frames.ts';
import { type Call, REGISTERS_SET, type Result, type Row, row } from '../call.ts';
import { SI_TKILL, SI_USER } from '../signal.ts';
import type { SignalInfo, SignalSet } from '../task.ts';
import { readTimespec, type TimeForm } from '../time.ts';

const MINSIGSTKSZ = 2048;

const readSet = (call: Call, address: number): SignalSet =>
  readSigset(call.memory, call.abi.word, address, call.abi.signals.setSize);
const writeSet = (call: Call, address: number, set: SignalSet): void =>
  writeSigset(call.memory, call.abi.word, address, call.abi.signals.setSize, set);

const validSignal = (call: Call, signal: number): boolean => signal >= 1 && signal <= call.abi.signals.count;

function rtSigaction(call: Call): Result {
  const [signal, fresh, old, size] = call.args as [number, number, number, number];
  const { kernel, abi, memory } = call;
  if (size !== abi.signals.setSize || !validSignal(call, signal)) return 'EINVAL';
  const kill = abi.signals.number('SIGKILL');
  if (fresh !== 0 && (signal === kill || signal === abi.signals.number('SIGSTOP'))) return 'EINVAL';
  const action = fresh === 0 ? undefined : abi.frames.readAction(memory, fresh);
  if (old !== 0) abi.frames.writeAction(memory, old, kernel.signals.action(signal));
  if (action !== undefined) kernel.signals.setAction(signal, action);
  return 0;
}

function rtSigprocmask(call: Call): Result {
  const [how, fresh, old, size] = call.args as [number, number, number, number];
  const { kernel, task } = call;
  const { signals } = call.abi;
  if (size !== signals.setSize) return 'EINVAL';
  let mask = task.mask;
  if (fresh !== 0) {
    const set = readSet(call, fresh);
    if (how === signals.block) mask |= set;
    else if (how === signals.unblock) mask &= ~set;
    else if (how === signals.setMask) mask = set;
    else return 'EINVAL';
  }
  if (old !== 0) writeSet(call, old, task.mask);
  task.mask = kernel.signals.maskable(mask);
  return 0;
}

function rtSigreturn(call: Call): Result {
  const { kernel, task, abi } = call;
  const { mask, altStack } = abi.frames.pop(kernel.machine);
  task.mask = kernel.signals.maskable(mask);
  // restore_altstack: fails silently where the stack is in use.
  if (!onAltStack(task.altStack, abi.stackPointer(kernel.machine)))
    task.altStack = (altStack.flags & SS_DISABLE) !== 0 ? { sp: 0, size: 0, flags: SS_DISABLE } : altStack;
  kernel.signals.watcher?.returned(task);
  return REGISTERS_SET;
}

function sigaltstack(call: Call): Result {
  const [fresh, old] = call.args as [number, number];
  const { kernel, task, abi, memory } = call;
  const current = task.altStack;
  const on = onAltStack(current, abi.stackPointer(kernel.machine));
  const wanted = fresh === 0 ? undefined : abi.frames.readStack(memory, fresh);
  if (old !== 0) {
    const mode = current.size === 0 ? SS_DISABLE : on ? SS_ONSTACK : 0;
    abi.frames.writeStack(memory, old, { ...current, flags: ((current.flags & SS_AUTODISARM) | mode) >>> 0 });
  }
  if (wanted === undefined) return 0;
  if (on) return 'EPERM';
  const mode = (wanted.flags & ~SS_AUTODISARM) >>> 0;
  if (mode !== SS_DISABLE && mode !== SS_ONSTACK && mode !== 0) return 'EINVAL';
  if (mode === SS_DISABLE) {
    task.altStack = { sp: 0, size: 0, flags: SS_DISABLE };
    return 0;
  }
  if (wanted.size < MINSIGSTKSZ) return 'ENOMEM';
  task.altStack = wanted;
  return 0;
}

function rtSigpending(call: Call): Result {
  const [address, size] = call.args as [number, number];
  if (size > call.abi.signals.setSize) return 'EINVAL';
  writeSigset(call.memory, call.abi.word, address, size, call.kernel.signals.pendingSet(call.task) & call.task.mask);
  return 0;
}

function rtSigsuspend(call: Call): Result {
  const [address, size] = call.args as [number, number];
  const { task, kernel } = call;
  if (call.wake === 'signal') return 'ERESTARTNOHAND';
  if (call.wake === 'first') kernel.signals.replaceMask(task, address, size);
  return { keys: [], deadline: Number.POSITIVE_INFINITY };
}

function rtSigtimedwait(call: Call, form: TimeForm): Result {
  const [setAddress, infoAddress, timeout, size] = call.args as [number, number, number, number];
  const { task, kernel, abi, memory } = call;
  if (size !== abi.signals.setSize) return 'EINVAL';
  const set = kernel.signals.maskable(readSet(call, setAddress));
  const info = kernel.signals.take(task, set);
  if (info !== undefined) {
    if (infoAddress !== 0) writeSiginfo(memory, abi.word, abi.mips, infoAddress, info);
    return info.signal;
  }
  if (call.wake === 'timeout') return 'EAGAIN';
  if (call.wake === 'signal') return 'EINTR';
  let { deadline } = call;
  if (call.wake === 'first' && timeout !== 0) {
    const ns = readTimespec(memory, abi.word, timeout, form);
    if (ns === undefined) return 'EINVAL';
    if (ns === 0) return 'EAGAIN';
    deadline = kernel.clock.now() + ns;
  }
  return { keys: [`signal:${task.tid}`], deadline };
}

/** Signal 0 only asks whether the target exists. */
function send(call: Call, signal: number, info: Omit<SignalInfo, 'signal'>, tid: number | undefined): Result {
  const { kernel } = call;
  if (signal !== 0 && !validSignal(call, signal)) return 'EINVAL';
  const task = tid === undefined ? undefined : kernel.task(tid);
  if (tid !== undefined && task === undefined) return 'ESRCH';
  if (signal === 0) return 0;
  if (task === undefined) kernel.signalProcess({ ...info, signal });
  else kernel.signalTask(task, { ...info, signal });
  return 0;
}

const from = (call: Call, code: number): Omit<SignalInfo, 'signal'> => ({
  code,
  pid: call.kernel.identity.pid,
  uid: call.kernel.identity.uid,
});

function kill(call: Call): Result {
  const [pid, signal] = call.args as [number, number];
  const { identity } = call.kernel;
  // 0 and -pgid are our own group; -1 is everybody but us and init.
  if (pid !== identity.pid && pid !== 0 && pid !== -identity.pid) return 'ESRCH';
  return send(call, signal, from(call, SI_USER), undefined);
}

function tgkill(call: Call): Result {
  const [group, tid, signal] = call.args as [number, number, number];
  if (group <= 0 || tid <= 0) return 'EINVAL';
  if (group !== call.kernel.identity.pid) return 'ESRCH';
  return send(call, signal, from(call, SI_TKILL), tid);
}

function tkill(call: Call): Result {
  const [tid, signal] = call.args as [number, number];
  return tid <= 0 ? 'EINVAL' : send(call, signal, from(call, SI_TKILL), tid);
}

function queueInfo(call: Call, target: number, thread: number | undefined, signal: number, at: number): Result {
  const { identity } = call.kernel;
  if (target !== identity.pid) return 'ESRCH';
  const { signal: _, ...info } = readSiginfo(call.memory, call.abi.word, call.abi.mips, at);
  return send(call, signal, info, thread);
}

function pause(call: Call): Result {
  return call.wake === 'signal' ? 'ERESTARTNOHAND' : { keys: [], deadline: Number.POSITIVE_INFINITY };
}

const TIMEDWAIT = ['ptr', 'out', 'timespec', 'size'] as const;

export const SIGNAL_CALLS: readonly Row[] = [
  row('rt_sigaction', ['signal', 'ptr', 'out', 'size'], rtSigaction),
  row('rt_sigprocmask', ['int', 'ptr', 'out', 'size'], rtSigprocmask),
  row('rt_sigreturn', [], rtSigreturn, { returns: 'none' }),
  row('rt_sigpending', ['out', 'size'], rtSigpending),
  row('rt_sigsuspend', ['ptr', 'size'], rtSigsuspend),
  row('rt_sigtimedwait', TIMEDWAIT, (call) => rtSigtimedwait(call, 'long')),
  row('rt_sigtimedwait_time64', TIMEDWAIT, (call) => rtSigtimedwait(call, 'time64')),
  row('rt_sigqueueinfo', ['int', 'signal', 'ptr'], (call) => {
    const [pid, signal, info] = call.args as [number, number, number];
    return queueInfo(call, pid, undefined, signal, info);
  }),
  row('rt_tgsigqueueinfo', ['int', 'int', 'signal', 'ptr'], (call) => {
    const [pid, tid, signal, info] = call.args as [number, number, number, number];
    return queueInfo(call, pid, tid, signal, info);
  }),
  row('sigaltstack', ['ptr', 'out'], sigaltstack),
  row('kill', ['int', 'signal'], kill),
  row('tkill', ['int', 'signal'], tkill),
  row('tgkill', ['int', 'int', 'signal'], tgkill),
  row('pause', [], pause),
  row('restart_syscall', [], () => 'EINTR', { note: 'calls go on by themselves after a signal without handler' }),
];
