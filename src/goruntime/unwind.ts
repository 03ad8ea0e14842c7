// Walking stacks by the pcsp tables, as runtime/traceback.go does: through injected calls and stack switches.

import type { Arch } from '../arch/arch.ts';
import { Grunning, Gscan, Gsyscall } from './facts/constants.ts';
import { FuncFlagSPWrite, FuncFlagTopFrame } from './funcdata.ts';
import { RuntimeView } from './goroutines.ts';
import { NO_VALUE, TableError } from './pcvalue.ts';
import type { GoProgram } from './program.ts';
import type { Func, InlineFrame } from './tables.ts';
import { isBefore } from './version.ts';
import { type GuestMemory, GuestReadError } from './view.ts';

/** One physical frame. */
export interface Frame {
  /** Where it stands: the interrupted PC, or the return address into it. */
  readonly pc: number;
  readonly sp: number;
  /** The caller's SP. */
  readonly fp: number;
  readonly func: Func;
  /** The PC whose line and inlining describe the frame: that of the call instruction in all but the innermost. */
  readonly linePC: number;
  /** The frame was entered by an injected call or a signal, so that its PC is no return address. */
  readonly interrupted: boolean;
  /** Calls inlined at this place, innermost first, the function itself last. */
  inline(): readonly InlineFrame[];
}

/** Why the walk ended. `complete` is a function from which nothing returns; the others say what is missing. */
export interface StackWalk {
  readonly frames: readonly Frame[];
  readonly stop: 'complete' | 'stack-switch' | 'not-go' | 'bad-frame' | 'limit';
  readonly reason: string;
}

/** Where a walk begins. */
export interface UnwindStart {
  readonly pc: number;
  readonly sp: number;
  /** The link register; 0 if it is not known, so that the saved one is used. */
  readonly lr: number;
}

export interface UnwindOptions {
  /** Most frames to walk. */
  readonly limit?: number;
  /** The goroutine whose stack it is: bounds are checked, and stack switches followed to its M's user goroutine. */
  readonly gp?: number;
}

const DEFAULT_LIMIT = 4096;
/** Functions from which nothing returns, by funcID, before funcFlag_TOPFRAME (Go 1.17; runtime `topofstack`). */
const TOP_OF_STACK: ReadonlySet<string> = new Set([
  'goexit',
  'mstart',
  'mcall',
  'morestack',
  'rt0_go',
  'externalthreadhandler',
]);
/** Functions whose caller was interrupted, not calling. */
const INJECTED: ReadonlySet<string> = new Set(['sigpanic', 'asyncPreempt', 'debugCallV1', 'debugCallV2']);

interface Cursor {
  pc: number;
  sp: number;
  lr: number;
  interrupted: boolean;
}

/** Goes to another frame, whose caller is not known by a link register. */
function go(at: Cursor, pc: number, sp: number, interrupted: boolean): void {
  at.pc = pc;
  at.sp = sp;
  at.lr = 0;
  at.interrupted = interrupted;
}

/** Walks stacks of one program. */
export class Unwinder {
  readonly #program: GoProgram;
  readonly #arch: Arch;
  readonly #memory: GuestMemory;
  readonly #runtime: RuntimeView;
  readonly #hasFlags: boolean;

  constructor(program: GoProgram, memory: GuestMemory) {
    this.#program = program;
    this.#arch = program.arch;
    this.#memory = memory;
    this.#runtime = new RuntimeView(memory, program.offsets);
    this.#hasFlags = !isBefore(program.release, '1.17');
  }

  /** Walks from a register state. Never throws for what it meets: a damaged stack ends the walk with a reason. */
  walk(start: UnwindStart, options: UnwindOptions = {}): StackWalk {
    const frames: Frame[] = [];
    try {
      return this.#walk(start, options, frames);
    } catch (error) {
      if (!(error instanceof GuestReadError || error instanceof TableError)) throw error;
      return { frames, stop: 'bad-frame', reason: error.message };
    }
  }

  /** Walks a goroutine that runs on no thread, from g.sched or, in a system call, from g.syscallsp. */
  walkGoroutine(gp: number, options: UnwindOptions = {}): StackWalk {
    try {
      const runtime = this.#runtime;
      const status = runtime.readgstatus(gp) & ~Gscan;
      if (status === Grunning)
        return { frames: [], stop: 'not-go', reason: 'the goroutine is running: walk from its thread' };
      const syscallSp = status === Gsyscall ? runtime.syscallSp(gp) : 0;
      const start =
        syscallSp !== 0
          ? { pc: runtime.syscallPc(gp), sp: syscallSp, lr: 0 }
          : { pc: runtime.schedPc(gp), sp: runtime.schedSp(gp), lr: this.#schedLr(gp) };
      return this.walk(start, { ...options, gp });
    } catch (error) {
      if (!(error instanceof GuestReadError)) throw error;
      return { frames: [], stop: 'bad-frame', reason: error.message };
    }
  }

  /** g.sched.lr: where a goroutine that has not begun will return to. */
  #schedLr(gp: number): number {
    return this.#arch.linkRegister ? this.#memory.readPointer(gp + this.#program.offsets.g.schedLr) : 0;
  }

  #walk(start: UnwindStart, options: UnwindOptions, frames: Frame[]): StackWalk {
    const { tables } = this.#program;
    const usesLR = this.#arch.linkRegister;
    const pointer = this.#arch.pointerSize;
    const limit = options.limit ?? DEFAULT_LIMIT;
    let gp = options.gp;
    const at: Cursor = { pc: start.pc, sp: start.sp, lr: start.lr, interrupted: true };
    const done = (stop: StackWalk['stop'], reason: string): StackWalk => ({ frames, stop, reason });

    while (frames.length < limit) {
      const innermost = frames.length === 0;
      const f = tables.findfunc(at.pc);
      if (f === undefined) return done('not-go', `0x${at.pc.toString(16)} is in no Go function`);
      const id = f.funcIDName ?? '';
      const bounds = this.#outsideStack(gp, at.sp);
      if (bounds !== undefined) return done('bad-frame', bounds);

      let switched = false;
      if (gp !== undefined && (id === 'systemstack' || (id === 'morestack' && !innermost))) {
        // On MIPS the switch has not happened yet (or is over) where there is no frame.
        const here = !(usesLR && tables.funcspdelta(f, at.pc) === 0);
        const user = here ? this.#userStack(gp) : undefined;
        if (user !== undefined) {
          gp = user.gp;
          switched = true;
          if (id === 'morestack') {
            // newstack resumes the goroutine at g.sched: nothing returns through this frame.
            frames.push(this.#frame(f, at, at.sp, frames));
            go(at, user.pc, user.sp, true);
            continue;
          }
          at.sp = user.sp;
        }
      }

      const spdelta = tables.funcspdelta(f, at.pc);
      if (spdelta === NO_VALUE) return done('bad-frame', `${f.name} has no SP delta at 0x${at.pc.toString(16)}`);
      const fp = at.sp + spdelta + (usesLR ? 0 : pointer);
      frames.push(this.#frame(f, at, fp, frames));
      if (this.#isTop(f, id)) return done('complete', `${f.name} is the top of the stack`);
      if (!innermost && !switched && f.flag & FuncFlagSPWrite) {
        return done('stack-switch', `${f.name} has switched stacks`);
      }

      let ret: number;
      if (!usesLR) ret = this.#memory.readPointer(fp - pointer);
      else if ((innermost && at.sp < fp) || at.lr === 0) ret = this.#memory.readPointer(at.sp);
      else ret = at.lr;
      if (ret === 0) return done('complete', `${f.name} has no caller`);

      const injected = INJECTED.has(id);
      go(at, ret, fp, injected);
      if (usesLR && injected) {
        // The interrupt pushed LR before it faked the call (runtime `sigctxt.pushCall`).
        const saved = this.#memory.readPointer(at.sp);
        at.sp += pointer;
        const interrupted = tables.findfunc(at.pc);
        if (interrupted === undefined) at.pc = saved;
        else if (tables.funcspdelta(interrupted, at.pc) === 0) at.lr = saved;
      }
    }
    return done('limit', `stopped after ${limit} frames`);
  }

  #frame(func: Func, at: Cursor, fp: number, frames: readonly Frame[]): Frame {
    const { pc, sp, interrupted } = at;
    const { tables } = this.#program;
    const quantum = tables.table.quantum;
    // A return address may belong to the next line, or the next function's: the call stands before it.
    const linePC = frames.length === 0 || interrupted || pc === func.entry ? pc : pc - quantum;
    return { pc, sp, fp, func, linePC, interrupted, inline: () => tables.inlineFrames(func, linePC) };
  }

  #isTop(f: Func, id: string): boolean {
    return this.#hasFlags ? (f.flag & FuncFlagTopFrame) !== 0 : TOP_OF_STACK.has(id);
  }

  #outsideStack(gp: number | undefined, sp: number): string | undefined {
    if (gp === undefined || gp === 0) return undefined;
    const lo = this.#runtime.stackLo(gp);
    const hi = this.#runtime.stackHi(gp);
    if (sp >= lo && sp <= hi) return undefined;
    return `SP 0x${sp.toString(16)} is outside the stack of its goroutine, 0x${lo.toString(16)} to 0x${hi.toString(16)}`;
  }

  /** The user goroutine of g's M and where it was left, if g is the M's g0. */
  #userStack(gp: number): { gp: number; pc: number; sp: number } | undefined {
    const runtime = this.#runtime;
    const mp = runtime.m(gp);
    if (mp === 0 || runtime.g0(mp) !== gp) return undefined;
    const user = runtime.curg(mp);
    if (user === 0) return undefined;
    return { gp: user, pc: runtime.schedPc(user), sp: runtime.schedSp(user) };
  }
}
