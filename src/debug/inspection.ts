// What the holder of a suspended goroutine may read of it: registers, stack, and the roots that a stack scan finds.

import {
  type AsyncPreemptFrame,
  asyncPreemptFrame,
  decodeAsyncPreemptFrame,
} from '../goruntime/async-preempt-frame.ts';
import { type ScannedFrame, type ScannedWord, StackScanner } from '../goruntime/stack-scan.ts';
import { type StackWalk, Unwinder } from '../goruntime/unwind.ts';
import { GuestReadError } from '../goruntime/view.ts';
import type { Go } from './go.ts';
import { type CallEnd, GuestCaller, type Signature } from './guest-call.ts';
import type { Session } from './session.ts';

/** The registers of a goroutine that runs on no thread. */
export interface SavedRegisters {
  /**
   * `asyncPreempt`: all of them, as the injected call saved them. `gobuf`: what the scheduler keeps of a goroutine that gave up the
   * CPU of itself (g.sched, or g.syscallpc and g.syscallsp in a system call); everything else is dead.
   */
  readonly from: 'asyncPreempt' | 'gobuf';
  readonly values: ReadonlyMap<string, bigint>;
  /** Registers that are live and kept somewhere else. */
  readonly elsewhere: readonly string[];
}

/** What a word of the stack points to, as the program's own runtime.findObject says. */
export type Target =
  | { readonly kind: 'heap'; readonly span: HeapSpan; readonly object: number; readonly index: number }
  /** Into the goroutine's own stack. */
  | { readonly kind: 'stack' }
  /** Code, or data of the program's file: the garbage collector finds what is there by other roots. */
  | { readonly kind: 'image' }
  /** Memory of the heap that holds no objects: free, or another stack. `bad`: the runtime would throw for a pointer there. */
  | { readonly kind: 'not in use'; readonly bad: boolean }
  /** No address of the heap: a number, or nil. */
  | { readonly kind: 'none' };

export interface HeapSpan {
  /** Address of the mspan. */
  readonly addr: number;
  readonly start: number;
  readonly bytes: number;
}

/** A word and what it points to. */
export interface Root extends ScannedWord {
  readonly target: Target;
}

/** One frame with its roots: words that point into the heap or the stack. */
export interface ScannedStackFrame extends Omit<ScannedFrame, 'words'> {
  /** Words that were looked at. */
  readonly looked: number;
  readonly roots: readonly Root[];
}

/** Runtime `_PageSize`: 8 KiB in every release. */
const PAGE_SIZE = 8192;
/** Pointers below are nil dereferences (runtime minLegalPointer). */
const MIN_LEGAL_POINTER = 4096;
const FIND_OBJECT: Signature = { args: ['uintptr', 'uintptr', 'uintptr'], results: ['uintptr', 'uintptr', 'uintptr'] };

/** Reads suspended goroutines of a session. Nothing here changes the program. */
export class Inspector {
  readonly #session: Session;
  readonly #go: Go;
  readonly #unwinder: Unwinder;
  readonly #scanner: StackScanner;
  readonly #layout: AsyncPreemptFrame;

  constructor(session: Session, go: Go) {
    this.#session = session;
    this.#go = go;
    this.#unwinder = new Unwinder(go.program, go.memory);
    this.#scanner = new StackScanner(go.program, go.memory);
    this.#layout = asyncPreemptFrame(go.program.arch, go.program.release);
  }

  /** The stack of a suspended goroutine. */
  stack(gp: number, limit?: number): StackWalk {
    return this.#unwinder.walkGoroutine(gp, limit === undefined ? {} : { limit });
  }

  /** Its registers. @throws GuestReadError if its stack is not in memory */
  registers(gp: number): SavedRegisters {
    const { runtime } = this.#go.preemption;
    const { arch } = this.#session;
    const injected = runtime.asyncSafePoint(gp)
      ? this.stack(gp, 8).frames.find((f) => f.func.funcIDName === 'asyncPreempt')
      : undefined;
    if (injected !== undefined) {
      const decoded = decodeAsyncPreemptFrame(this.#layout, arch, this.#go.memory, injected.sp);
      const values = new Map(decoded.registers);
      values.set('PC', BigInt(decoded.resumePC));
      values.set(arch.spRegister, BigInt(decoded.sp));
      return { from: 'asyncPreempt', values, elsewhere: this.#layout.notSaved };
    }
    const syscall = runtime.syscallSp(gp) !== 0;
    const values = new Map<string, bigint>([
      ['PC', BigInt(syscall ? runtime.syscallPc(gp) : runtime.schedPc(gp))],
      [arch.spRegister, BigInt(syscall ? runtime.syscallSp(gp) : runtime.schedSp(gp))],
    ]);
    return { from: 'gobuf', values, elsewhere: [] };
  }

  /**
   * The roots on its stack, frame by frame.
   * @throws TableError, GuestReadError
   */
  scan(gp: number): readonly ScannedStackFrame[] {
    const { runtime } = this.#go.preemption;
    const scanned = this.#scanner.scan(this.stack(gp).frames);
    const lo = runtime.stackLo(gp);
    const hi = runtime.stackHi(gp);
    const heap = new HeapOracle(this.#session, this.#go);
    try {
      return scanned.map(({ words, ...frame }) => {
        const roots: Root[] = [];
        for (const word of words) {
          const target: Target = word.value >= lo && word.value < hi ? { kind: 'stack' } : heap.target(word.value);
          if (target.kind !== 'none' && target.kind !== 'image') roots.push({ ...word, target });
        }
        return { ...frame, looked: words.length, roots };
      });
    } finally {
      heap.close();
    }
  }
}

/** Asks the program's own runtime what an address is, in a fork: its span tables are its own in each release. */
export class HeapOracle {
  readonly #go: Go;
  readonly #caller: GuestCaller;
  readonly #callee: ReturnType<GuestCaller['callee']>;
  readonly #known = new Map<number, Target>();

  constructor(session: Session, go: Go) {
    this.#go = go;
    this.#caller = new GuestCaller(session, go);
    this.#callee = this.#caller.callee('runtime.findObject', FIND_OBJECT);
  }

  /** What lies at an address. */
  target(value: number): Target {
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    const target = this.#ask(value);
    this.#known.set(value, target);
    return target;
  }

  /** Puts the program back to where it was. */
  close(): void {
    this.#caller.close();
  }

  #ask(value: number): Target {
    const { image } = this.#go.program;
    if (value < MIN_LEGAL_POINTER) return { kind: 'none' };
    if (image.areas().some((a) => value >= a.addr && value < a.end)) return { kind: 'image' };
    // No user address: the runtime's own tables have no place for it.
    if (!Number.isSafeInteger(value) || value >= 2 ** 48 || this.#callee === undefined) return { kind: 'none' };
    const end: CallEnd = this.#caller.call(this.#callee, [value, 0, 0]);
    if (end.kind !== 'returned') return { kind: 'not in use', bad: end.kind === 'throw' };
    const [object = 0, addr = 0, index = 0] = end.results;
    if (addr === 0) return { kind: 'none' };
    if (object === 0) return { kind: 'not in use', bad: false };
    return { kind: 'heap', span: this.#span(addr), object, index };
  }

  /** mspan begins with next, prev, list, startAddr, npages in every release. */
  #span(addr: number): HeapSpan {
    const { memory } = this.#go;
    const w = memory.pointerSize;
    try {
      return {
        addr,
        start: memory.readPointer(addr + 3 * w),
        bytes: memory.readPointer(addr + 4 * w) * PAGE_SIZE,
      };
    } catch (error) {
      if (error instanceof GuestReadError) return { addr, start: 0, bytes: 0 };
      throw error;
    }
  }
}
