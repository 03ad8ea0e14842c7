// What the machine asks of a compiler of guest code. The machine does without one; src/jit has one.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { OpList } from '../uop/ops.ts';
import type { CodePage, DecodeCache } from './decode.ts';
import type { Memory } from './memory.ts';
import type { State } from './state.ts';
import type { Step } from './steps.ts';

export interface Compiler {
  /**
   * Runs compiled code from PC for at most REMAINING instructions, as far as it goes; nothing when there is none for PC.
   * Afterwards the state is exact, and the instruction at PC is the evaluator's.
   */
  run(): void;
  /** The evaluator has arrived at `pc` by a branch, for the time that `page.heat` says; whether compiled code is there now. */
  arrived(pc: number, page: CodePage): boolean;
  /** Drops what was compiled from a page. */
  invalidate(page: number): void;
}

/** What a compiler works on. */
export interface CompilerParts {
  readonly isa: Isa;
  readonly memory: Memory;
  readonly state: State;
  readonly code: DecodeCache;
  /** Steps that carry out a list of operations. */
  steps(list: OpList): readonly Step[];
  /** The clock. */
  now(): number;
}

export type MakeCompiler = (parts: CompilerParts) => Compiler;
