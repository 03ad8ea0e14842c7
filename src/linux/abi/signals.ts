// Signal numbers and the structures around them, for both numberings.

export type SignalName =
  | 'SIGHUP'
  | 'SIGINT'
  | 'SIGQUIT'
  | 'SIGILL'
  | 'SIGTRAP'
  | 'SIGABRT'
  | 'SIGBUS'
  | 'SIGFPE'
  | 'SIGKILL'
  | 'SIGUSR1'
  | 'SIGSEGV'
  | 'SIGUSR2'
  | 'SIGPIPE'
  | 'SIGALRM'
  | 'SIGTERM'
  | 'SIGSTKFLT'
  | 'SIGEMT'
  | 'SIGCHLD'
  | 'SIGCONT'
  | 'SIGSTOP'
  | 'SIGTSTP'
  | 'SIGTTIN'
  | 'SIGTTOU'
  | 'SIGURG'
  | 'SIGXCPU'
  | 'SIGXFSZ'
  | 'SIGVTALRM'
  | 'SIGPROF'
  | 'SIGWINCH'
  | 'SIGIO'
  | 'SIGPWR'
  | 'SIGSYS';

/** Default action of a signal (signal(7)). */
export type DefaultAction = 'terminate' | 'core' | 'ignore' | 'stop' | 'continue';

const ACTIONS: Readonly<Record<SignalName, DefaultAction>> = {
  SIGHUP: 'terminate',
  SIGINT: 'terminate',
  SIGQUIT: 'core',
  SIGILL: 'core',
  SIGTRAP: 'core',
  SIGABRT: 'core',
  SIGBUS: 'core',
  SIGFPE: 'core',
  SIGKILL: 'terminate',
  SIGUSR1: 'terminate',
  SIGSEGV: 'core',
  SIGUSR2: 'terminate',
  SIGPIPE: 'terminate',
  SIGALRM: 'terminate',
  SIGTERM: 'terminate',
  SIGSTKFLT: 'terminate',
  SIGEMT: 'terminate',
  SIGCHLD: 'ignore',
  SIGCONT: 'continue',
  SIGSTOP: 'stop',
  SIGTSTP: 'stop',
  SIGTTIN: 'stop',
  SIGTTOU: 'stop',
  SIGURG: 'ignore',
  SIGXCPU: 'core',
  SIGXFSZ: 'core',
  SIGVTALRM: 'terminate',
  SIGPROF: 'terminate',
  SIGWINCH: 'ignore',
  SIGIO: 'terminate',
  SIGPWR: 'terminate',
  SIGSYS: 'core',
};

/** By number from 1 on: arch/x86/include/uapi/asm/signal.h. */
const GENERIC: readonly SignalName[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGKILL',
  'SIGUSR1',
  'SIGSEGV',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGSTKFLT',
  'SIGCHLD',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGURG',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGVTALRM',
  'SIGPROF',
  'SIGWINCH',
  'SIGIO',
  'SIGPWR',
  'SIGSYS',
];

/** By number from 1 on: arch/mips/include/uapi/asm/signal.h. */
const MIPS: readonly SignalName[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGEMT',
  'SIGFPE',
  'SIGKILL',
  'SIGBUS',
  'SIGSEGV',
  'SIGSYS',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGCHLD',
  'SIGPWR',
  'SIGWINCH',
  'SIGURG',
  'SIGIO',
  'SIGSTOP',
  'SIGTSTP',
  'SIGCONT',
  'SIGTTIN',
  'SIGTTOU',
  'SIGVTALRM',
  'SIGPROF',
  'SIGXCPU',
  'SIGXFSZ',
];

/** First real-time signal. */
export const SIGRTMIN = 32;

export interface SignalAbi {
  /** Number of signals (_NSIG): 64 or 128. The highest signal has this number. */
  readonly count: number;
  /** Bytes of a sigset_t as the rt_ calls demand it. */
  readonly setSize: number;
  /** Values of `how` for rt_sigprocmask. */
  readonly block: number;
  readonly unblock: number;
  readonly setMask: number;
  readonly SA_SIGINFO: number;
  readonly SA_NOCLDWAIT: number;
  /** Number of a signal that the ABI may lack (then 0, which is no signal). */
  number(name: SignalName): number;
  /** Name of a number, real-time signals as SIGRT_n. */
  nameOf(signal: number): string;
  action(signal: number): DefaultAction;
}

export const SA_ONSTACK = 0x08000000;
export const SA_RESTART = 0x10000000;
export const SA_RESTORER = 0x04000000;
export const SA_NODEFER = 0x40000000;
export const SA_RESETHAND = 0x80000000;

function numbering(names: readonly SignalName[], rest: Omit<SignalAbi, 'number' | 'nameOf' | 'action'>): SignalAbi {
  return {
    ...rest,
    number: (name) => names.indexOf(name) + 1,
    nameOf: (signal) => names[signal - 1] ?? (signal >= SIGRTMIN ? `SIGRT_${signal - SIGRTMIN}` : `signal ${signal}`),
    action: (signal) => {
      const name = names[signal - 1];
      return name === undefined ? 'terminate' : ACTIONS[name];
    },
  };
}

export const GENERIC_SIGNALS: SignalAbi = numbering(GENERIC, {
  count: 64,
  setSize: 8,
  block: 0,
  unblock: 1,
  setMask: 2,
  SA_SIGINFO: 4,
  SA_NOCLDWAIT: 2,
});

export const MIPS_SIGNALS: SignalAbi = numbering(MIPS, {
  count: 128,
  setSize: 16,
  block: 1,
  unblock: 2,
  setMask: 3,
  SA_SIGINFO: 8,
  SA_NOCLDWAIT: 0x10000,
});
