// Interrupts that are taken within compiled code, without a way out to the host: what somebody who handles them gives the compiler for that.

/** Functions of compiled code's, in the place of the host's of the same names (runtime.ts). */
export interface InsideFunctions {
  /** `more(place)`: for how many instructions to go on where the budget has ended; `place` is that of the exit (PLACES), 0 where it has none. */
  readonly more: WebAssembly.ExportValue;
  /** `stopped(remaining)`: whether to go on at the breakpoint, with so many instructions left. */
  readonly stopped: WebAssembly.ExportValue;
}

export interface Inside {
  /** The breakpoint at which compiled code asks `stopped`. */
  readonly breakpoint: number | undefined;
  /** Is told where its word stands, 0 while there is code that does not look at it. */
  setStop(word: number): void;
  /** What is decided of an interrupt that returns to `pc`: one of DECIDED_…, and where the thread resumes if that is to inject. */
  decide(pc: number): { readonly decision: number; readonly resume: number };
  /** @param more the host's half, for what they do not do */
  functions(environment: WebAssembly.ModuleImports, memoryPages: number, more: (place: number) => number): InsideFunctions;
}
