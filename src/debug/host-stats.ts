// Where the host's time goes, for --stats: the stopwatch around the compiler, and the document's part about the host.

import type { Compiler, MakeCompiler } from '../engine/compiler.ts';
import type { Memory, PageEvents } from '../engine/memory.ts';
import type { CompilerStats } from '../jit/compiler.ts';
import type { HostTimes } from '../linux/host-time.ts';

/** Seconds by activity, together the time since the session was opened, and counts of what cost them. */
export interface HostStats {
  readonly evaluating: number;
  readonly compiling: number;
  readonly compiled: number;
  readonly kernel: number;
  readonly other: number;
  /** What was compiled; zeros where everything was evaluated. */
  readonly modules: number;
  readonly functions: number;
  /** Guest instructions compiled, those compiled again counted again. */
  readonly instructions: number;
  /** Guest instructions that an earlier run had compiled. */
  readonly restored: number;
  /** Bytes of WebAssembly made from them. */
  readonly bytes: number;
  /** Times that everything compiled was dropped. */
  readonly flushes: number;
  /** Accesses of compiled code that the TLB did not answer. */
  readonly tlbMisses: { readonly loads: number; readonly stores: number };
  readonly pages: PageEvents;
  /** Bytes of the guest's pages. */
  readonly resident: number;
  /** The most memory that the host's process has had, in bytes. */
  readonly peakMemory: number;
}

/** Holds the stopwatch to a compiler: its calls are few, and nobody pays who does not ask. */
export class CompilerWatch {
  readonly #times: HostTimes;
  #stats: CompilerStats | undefined;
  /** Milliseconds of compiling that began in compiled code; the rest began in the evaluator. */
  #fromCompiled = 0;

  constructor(times: HostTimes) {
    this.#times = times;
  }

  /** For the compiler's `onStats`. */
  readonly onStats = (stats: CompilerStats): void => {
    this.#stats = stats;
  };

  /** `make`, with the time in compiled code measured. */
  around(make: MakeCompiler): MakeCompiler {
    return (parts) => {
      const compiler: Compiler = make(parts);
      return {
        run: (window) => {
          const before = this.#times.enter('compiled');
          const compiling = this.#stats?.milliseconds ?? 0;
          const called = compiler.run(window);
          this.#fromCompiled += (this.#stats?.milliseconds ?? 0) - compiling;
          this.#times.enter(before);
          return called;
        },
        interruptedAt: (pc) => compiler.interruptedAt(pc),
        met: (block) => compiler.met(block),
        arrived: (pc, block) => compiler.arrived(pc, block),
        invalidate: (page) => compiler.invalidate(page),
        watch: (watched) => compiler.watch(watched),
        takeTold: () => compiler.takeTold(),
        settle: () => compiler.settle(),
        keep: (working) => compiler.keep(working),
      };
    };
  }

  report(memory: Memory): HostStats {
    const { evaluating, compiled, kernel, other } = this.#times.milliseconds;
    const stats = this.#stats;
    const compiling = stats?.milliseconds ?? 0;
    const seconds = (milliseconds: number): number => Math.round(milliseconds) / 1000;
    return {
      evaluating: seconds(evaluating - (compiling - this.#fromCompiled)),
      compiling: seconds(compiling),
      compiled: seconds(compiled - this.#fromCompiled),
      kernel: seconds(kernel),
      other: seconds(other),
      modules: stats?.modules ?? 0,
      functions: stats?.units ?? 0,
      instructions: stats?.instructions ?? 0,
      restored: stats?.restored ?? 0,
      bytes: stats?.bytes ?? 0,
      flushes: stats?.flushes ?? 0,
      tlbMisses: { loads: stats?.misses.loads ?? 0, stores: stats?.misses.stores ?? 0 },
      pages: { ...memory.events },
      resident: memory.residentBytes,
      peakMemory: process.resourceUsage().maxRSS * 1024,
    };
  }
}
