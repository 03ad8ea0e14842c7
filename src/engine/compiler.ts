// What the machine asks of a compiler of guest code. The machine does without one; src/jit has one.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { CodeBlock, DecodeCache, Instruction } from './decode.ts';
import type { FlagsPutOff } from './flags.ts';
import type { Memory } from './memory.ts';
import type { State } from './state.ts';

/** A part of the text, asked about address by address. A place may leave it, and then it is not stopped at any more; none may join. */
export interface Region {
  has(pc: number): boolean;
}

/** Places to stop before: some, which may become others, or all of a region. */
export type Breakpoints = ReadonlySet<number> | Region;

/**
 * Told of every instruction before it is executed, once, and once more for one that faults and comes again. In compiled code neither
 * registers nor the clock are current then.
 */
export type Observer = (pc: number, instruction: Instruction) => void;

/** Counts executions by PC. */
export interface Counter {
  /** The instruction at `pc` is about to be executed. */
  add(pc: number): void;
  /** The instruction at `pc` was executed so many times; a negative number takes back what was too much. */
  addTimes(pc: number, times: number): void;
}

/** What is to happen besides executing. */
export interface Watched {
  readonly breakpoints: Breakpoints | undefined;
  /** Places that breakpoints may come to later: code that is made from now on is made for them. */
  readonly futureBreakpoints: ReadonlySet<number>;
  /** Stop in the delay slot of every call, where PC shows the half-executed call. */
  readonly stopInCallSlots: boolean;
  readonly observer: Observer | undefined;
  readonly counter: Counter | undefined;
}

/** Why compiled code was left, but for the evaluator to go on: a system call was the last instruction, or a breakpoint stands at PC. */
export type Left = 'syscall' | 'breakpoint';

export interface Compiler {
  /** From now on compiled code does this. Returns whether it can; if not, it must not be run. */
  watch(watched: Watched): boolean;
  /** Whether the compiled code that was left last has told the observer of the instruction at PC. Asked once. */
  takeTold(): boolean;
  /** Gives the counter what was counted. */
  settle(): void;
  /**
   * Runs compiled code from PC for at most REMAINING instructions, as far as it goes; nothing when there is none for PC. Among the
   * last `window` of them it stops before switch points. Afterwards the state is exact, and the instruction at PC is the evaluator's
   * where nothing is returned.
   */
  run(window: number): Left | undefined;
  /** A thread stands at `pc` where a run's budget has ended: whatever happens now, it will go on there. */
  interruptedAt(pc: number): void;
  /** A block of code is there, whose heat is to say what of it is compiled. */
  met(block: CodeBlock): void;
  /** The evaluator has arrived at `pc` by a branch, for the time that `block.heat` says; whether compiled code is there now. */
  arrived(pc: number, block: CodeBlock): boolean;
  /** Drops what was compiled from a page. */
  invalidate(page: number): void;
  /** The run is over: lets what was compiled be found again by the next one. `working` is called each time when some of that is done. */
  keep(working?: () => void): void;
}

/** What a compiler works on. */
export interface CompilerParts {
  readonly isa: Isa;
  readonly memory: Memory;
  readonly state: State;
  readonly code: DecodeCache;
  readonly flags: FlagsPutOff;
  /** The clock. */
  now(): number;
  /**
   * Asks, where the budget is used up and the state exact, whether the run goes on without a window: how many instructions its next stretch
   * has, which has begun; 0 when the run is over, or it is not for compiled code to go on.
   */
  nextStretch(): number;
  /**
   * The instruction count up to which compiled code may take interrupts by itself, once the present stretch, which has just begun, is
   * executed (`Along.until`); 0 where it may not.
   */
  takesUntil(): number;
  /** It has; with `stretches`, the present stretch is another than the one that was begun: STRETCH_END says where it ends. */
  taken(stretches: boolean): void;
}

export type MakeCompiler = (parts: CompilerParts) => Compiler;
