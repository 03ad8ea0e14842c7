// `safepoint/vitest`: matchers for the tests of a Go project. Importing it adds them to vitest's `expect`.

import { expect } from 'vitest';
import {
  type SafePointOptions,
  type SweepRange,
  toAgreeWithItsRuntime,
  toBeSafePoint,
  toSurvivePreemption,
  type VerifyRange,
} from './matchers.ts';

export type { SafePointOptions, SweepRange, VerifyRange } from './matchers.ts';
export { Place, Program, type ProgramOptions, program, type RunOptions, type RunResult } from './program.ts';

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: every declaration of an interface must have the same type parameters
  interface Matchers<T = any> {
    /**
     * Every preemption that is injected in the range leaves registers, stack, course and output as they are undisturbed.
     * Sweeps take their time: give the test a timeout.
     */
    toSurvivePreemption(range?: SweepRange): Promise<void>;
    /** A goroutine interrupted at `program(PATH).at(LOC)` may be preempted there, by the program's tables. */
    toBeSafePoint(options?: SafePointOptions): void;
    /** Our verdicts are those of the program's own `runtime.isAsyncSafePoint`. */
    toAgreeWithItsRuntime(range?: VerifyRange): void;
  }
}

expect.extend({ toSurvivePreemption, toBeSafePoint, toAgreeWithItsRuntime });
