// Calls of a program's own functions, made in the stopped program as systemstack would make them, and undone afterwards.

import type { Register } from '../../isa/dsl/registers.ts';
import type { Stop } from '../engine/machine.ts';
import { GuestFault } from '../engine/memory.ts';
import type { SavedState } from '../engine/state.ts';
import { isBefore } from '../goruntime/version.ts';
import { GuestReadError, naming } from '../goruntime/view.ts';
import type { Go } from './go.ts';
import { InputError } from './input-error.ts';
import type { Session, SessionSnapshot } from './session.ts';
import { type Thread, threadOf } from './view.ts';

/** The types that arguments and results of such calls have. A string or a funcInfo is two words, each given by itself. */
export type WordType = 'uintptr' | 'int32' | 'bool';

/** The signature of a function as the calling conventions see it: structs and strings as the words they consist of. */
export interface Signature {
  readonly args: readonly WordType[];
  readonly results: readonly WordType[];
}

/** What became of a call. */
export type CallEnd =
  | { readonly kind: 'returned'; readonly results: readonly number[] }
  /** The runtime gave up: `message` is what it passed to runtime.throw. */
  | { readonly kind: 'throw'; readonly message: string }
  /** Anything else than a return: a fault, a trap, a system call outside throw, no end. */
  | { readonly kind: 'crash'; readonly reason: string };

/** A function of the program, ready to be called. */
export interface Callee {
  readonly name: string;
  readonly entry: number;
  readonly signature: Signature;
}

/** Where calls return to: in the first page, which nothing maps (mmap_min_addr), so that returning there stops the machine. */
const RETURN_TO = 0x100;
/** Room left between the frames that g0 already has and ours: results and spill areas lie there. */
const GAP = 512;
/** A call of the functions that are of interest takes thousands of instructions, in the greatest functions a few hundred thousand. */
const MOST_INSTRUCTIONS = 50_000_000;
/** System calls that a throw may make before it arrives at runtime.throw: it prints, a word at a time, in pcvalue a whole table. */
const MOST_SYSCALLS = 1_000_000;
/** What runtime.throw itself prints first. */
const FATAL = 'fatal error: ';
/** Instructions that a program may take to get as far as running Go code of its own. */
const MOST_START = 5_000_000_000;
/** How often a program without main.main is looked at. */
const LOOK_EVERY = 20_000;

/** Integer argument and result registers of ABIInternal on amd64, in order (cmd/compile/abi-internal.md). */
export const ABI_INTERNAL_AMD64 = ['RAX', 'RBX', 'RCX', 'RDI', 'RSI', 'R8', 'R9', 'R10', 'R11'] as const;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** A forked program whose functions can be called. `close` puts the program back to where it was before. */
export class GuestCaller {
  /** The user goroutine that was running, and whose M makes the calls. */
  readonly gp: number;
  /** Its stack pointer. */
  readonly sp: number;
  readonly session: Session;
  /** Calls made, and instructions executed in them. */
  calls = 0;
  instructions = 0;
  readonly #go: Go;
  readonly #thread: Thread;
  readonly #before: SessionSnapshot;
  /** The program on g0's stack, before any call. */
  readonly #clean: SessionSnapshot;
  readonly #registers: SavedState;
  readonly #stack: number;
  readonly #inRegisters: readonly Register[] | undefined;
  /** The message of the throw that follows what is printed first: one print statement leads to one throw. */
  readonly #throws = new Map<string, string>();

  /**
   * Runs a fresh session to where the runtime is up and a user goroutine runs (the entry of main.main, where the program
   * has one), and forks it there.
   * @throws InputError when the program does not get there
   */
  static start(session: Session): GuestCaller {
    const { go } = session;
    if (go === undefined) throw new InputError(session.notGo ?? 'not a Go program');
    const main = go.program.addressOf('main.main');
    if (main === undefined) runToUserCode(session, go);
    else runTo(session, main);
    return new GuestCaller(session, go);
  }

  /** @param session stopped where a user goroutine runs */
  constructor(session: Session, go: Go) {
    this.session = session;
    this.#go = go;
    const { machine, arch } = session;
    const { runtime } = go.preemption;
    const { memory } = go;
    this.#thread = threadOf(machine, arch);
    this.gp = go.preemption.getg(this.#thread);
    this.sp = this.#thread.sp;
    this.#before = session.save();
    machine.breakpoints = undefined;
    machine.stopInCallSlots = false;
    machine.observer = undefined;

    // runtime·systemstack: g0 becomes g, and SP what g0.sched says, above which nothing of g0's is alive.
    const g0 = runtime.g0(runtime.m(this.gp));
    const top = runtime.schedSp(g0);
    naming(
      () => `the stack of g0, which ends at its g.sched.sp ${hex(top)},`,
      'read',
      () => memory.readPointer(top - GAP),
    );
    const { state } = machine;
    if (arch.gTlsOffset !== undefined) memory.writePointer(this.#thread.tls + arch.gTlsOffset, g0);
    state.setNumber(state.register(arch.gRegister), g0);
    this.#stack = Math.floor((top - GAP) / 16) * 16;
    const registers = arch.family === 'amd64' && !isBefore(go.program.release, '1.17');
    this.#inRegisters = registers ? ABI_INTERNAL_AMD64.map((name) => state.register(name)) : undefined;
    // ABIInternal keeps a zero in X15.
    if (registers) state.set(state.register('XMM15'), 0n);
    state.jump(RETURN_TO);
    this.#registers = state.save();
    this.#clean = session.save();
  }

  /** The function of that name; undefined if the program has none (the linker dropped it, or the compiler inlined every call). */
  callee(name: string, signature: Signature): Callee | undefined {
    const entry = this.#go.program.addressOf(name);
    return entry === undefined ? undefined : { name, entry, signature };
  }

  /** Calls a function. What it writes stays until `reset`, but nothing of a call that did not return does. */
  call(callee: Callee, args: readonly number[]): CallEnd {
    const { machine } = this.session;
    this.#enter(callee, args);
    const before = machine.instructions;
    const stop = machine.run(MOST_INSTRUCTIONS);
    this.calls++;
    this.instructions += machine.instructions - before;
    if (this.#returned(stop)) return { kind: 'returned', results: this.#results(callee) };
    if (stop === 'syscall') {
      const printed = this.#printed();
      const known = this.#throws.get(printed);
      if (known !== undefined) {
        this.reset();
        return { kind: 'throw', message: known };
      }
      // Again from the start, stopping where the message is passed.
      this.reset();
      const end = this.#throw(callee, args);
      if (end.kind === 'throw' && printed !== FATAL && printed !== '') this.#throws.set(printed, end.message);
      return end;
    }
    const reason = this.#describe(stop);
    this.reset();
    return { kind: 'crash', reason: `${callee.name}: ${reason}` };
  }

  /** Undoes what calls have changed since the fork. */
  reset(): void {
    this.session.restore(this.#clean);
  }

  /** Puts the program back to where it was before the fork. */
  close(): void {
    this.session.restore(this.#before);
    const { kernel } = this.session.process;
    kernel.drop(this.#clean.kernel);
    kernel.drop(this.#before.kernel);
  }

  #enter(callee: Callee, args: readonly number[]): void {
    const { machine, arch } = this.session;
    const { memory } = this.#go;
    const { state } = machine;
    const word = arch.pointerSize;
    state.load(this.#registers);
    const thread = this.#thread;
    if (arch.linkRegister) {
      thread.sp = this.#stack;
      thread.lr = RETURN_TO;
    } else {
      thread.sp = this.#stack - word;
      memory.writePointer(this.#stack - word, RETURN_TO);
    }
    const { args: types } = callee.signature;
    const registers = this.#inRegisters;
    if (registers === undefined) {
      const places = layout(types, this.#frame, word);
      for (const [i, type] of types.entries()) this.#store(places.at[i]!, type, args[i]!);
    } else {
      for (const [i, value] of args.entries()) state.setNumber(registers[i]!, value);
    }
    state.jump(callee.entry);
  }

  /** Where ABI0 arguments begin: after the slot of the return address. */
  get #frame(): number {
    return this.session.arch.linkRegister ? this.#stack + this.session.arch.pointerSize : this.#stack;
  }

  #results(callee: Callee): number[] {
    const { args, results } = callee.signature;
    const registers = this.#inRegisters;
    const { state } = this.session.machine;
    const word = this.session.arch.pointerSize;
    if (registers !== undefined) return results.map((type, i) => narrow(state.getNumber(registers[i]!), type));
    const after = Math.ceil(layout(args, this.#frame, word).end / word) * word;
    const places = layout(results, after, word);
    return results.map((type, i) => this.#load(places.at[i]!, type));
  }

  #store(at: number, type: WordType, value: number): void {
    const { memory } = this.#go;
    if (type === 'uintptr') memory.writePointer(at, value);
    else if (type === 'int32') memory.writeU32(at, value);
    else memory.writeU8(at, value);
  }

  #load(at: number, type: WordType): number {
    const { memory } = this.#go;
    if (type === 'uintptr') return memory.readPointer(at);
    return type === 'int32' ? memory.readU32(at) | 0 : memory.readU8(at);
  }

  #returned(stop: Stop): boolean {
    const { machine } = this.session;
    return stop === 'fault' && machine.fault.access === 'execute' && machine.fault.address === RETURN_TO;
  }

  /** What the system call that stopped the machine writes to standard error; empty for any other call. */
  #printed(): string {
    const { machine, process } = this.session;
    const { values } = process.kernel.abi.arguments(machine, ['int', 'ptr', 'size']);
    const [fd, buffer, length] = values as [number, number, number];
    return fd === 2 ? this.string(buffer, length) : '';
  }

  /** Makes a call that makes system calls, which a throw does to print: goes on past them until runtime.throw is called. */
  #throw(callee: Callee, args: readonly number[]): CallEnd {
    const { machine, process } = this.session;
    const thrower = this.#go.program.addressOf('runtime.throw');
    const ended = (end: CallEnd): CallEnd => {
      machine.breakpoints = undefined;
      this.reset();
      return end;
    };
    this.#enter(callee, args);
    if (thrower !== undefined) machine.breakpoints = new Set([thrower]);
    for (let calls = 0; calls < MOST_SYSCALLS; calls++) {
      const stop = machine.run(MOST_INSTRUCTIONS);
      if (stop === 'breakpoint') return ended({ kind: 'throw', message: this.#thrown() });
      if (stop !== 'syscall') return ended({ kind: 'crash', reason: `${callee.name}: ${this.#describe(stop)}` });
      process.kernel.abi.fail(machine, 'ENOSYS');
    }
    return ended({ kind: 'crash', reason: `${callee.name} makes system calls` });
  }

  /** The argument of runtime.throw, at its entry. */
  #thrown(): string {
    const { arch, machine } = this.session;
    const registers = this.#inRegisters;
    const { memory } = this.#go;
    if (registers !== undefined) {
      const { state } = machine;
      return this.string(state.getNumber(registers[0]!), state.getNumber(registers[1]!));
    }
    const at = this.#thread.sp + arch.pointerSize;
    return this.string(memory.readPointer(at), memory.readPointer(at + arch.pointerSize));
  }

  /** The string that a pointer and a length mean; at most 4096 bytes of it. */
  string(pointer: number, length: number): string {
    const bytes = new Uint8Array(Math.min(length, 4096));
    try {
      for (let i = 0; i < bytes.length; i++) bytes[i] = this.#go.memory.readU8(pointer + i);
    } catch (error) {
      if (!(error instanceof GuestReadError)) throw error;
      return `(a string at ${hex(pointer)}, which cannot be read)`;
    }
    return new TextDecoder().decode(bytes);
  }

  #describe(stop: Stop): string {
    const { machine } = this.session;
    const place = this.session.placeOf(machine.state.epc);
    switch (stop) {
      case 'budget':
        return `no end after ${MOST_INSTRUCTIONS} instructions, at ${place}`;
      case 'fault':
        return `${machine.fault.message} at ${place}`;
      case 'trap':
        return `trap ${machine.trap.kind} at ${place}`;
      case 'syscall':
      case 'breakpoint':
        return `${stop} at ${place}`;
    }
  }
}

/** ABI0 places words one after another, each at a multiple of its size. */
function layout(types: readonly WordType[], start: number, word: number): { at: readonly number[]; end: number } {
  let end = start;
  const at = types.map((type) => {
    const size = type === 'uintptr' ? word : type === 'int32' ? 4 : 1;
    const place = Math.ceil(end / size) * size;
    end = place + size;
    return place;
  });
  return { at, end };
}

/** A value in a register has no meaning above its width. */
function narrow(value: number, type: WordType): number {
  if (type === 'uintptr') return value;
  const low = value % 2 ** 32;
  return type === 'int32' ? low | 0 : low & 0xff;
}

function runTo(session: Session, pc: number): void {
  const { machine } = session;
  machine.breakpoints = new Set([pc]);
  try {
    const end = session.advance(MOST_START);
    if (end !== undefined || machine.state.pc !== pc) {
      throw new InputError(`the program does not get to main.main, where its runtime could be asked`);
    }
  } finally {
    machine.breakpoints = undefined;
  }
}

/** A program whose names are gone: to where goroutine 1 runs code that is no part of the runtime. */
function runToUserCode(session: Session, go: Go): void {
  const thread = threadOf(session.machine, session.arch);
  const { runtime } = go.preemption;
  for (;;) {
    const end = session.advance(session.machine.instructions + LOOK_EVERY);
    if (end !== undefined || session.machine.instructions > MOST_START) {
      throw new InputError('the program has no main.main and runs no goroutine whose runtime could be asked');
    }
    try {
      const gp = go.preemption.getg(thread);
      const verdict = go.preemption.isAsyncSafePoint(gp, thread.pc, thread.sp, thread.lr);
      if (verdict.safe && !session.machine.state.inSlot && runtime.goid(gp) === 1) return;
    } catch (error) {
      if (!(error instanceof GuestReadError || error instanceof GuestFault)) throw error;
    }
  }
}
