// What is done within compiled code at exits that are no ends, interrupts first of all, without a way out to the host: what somebody who does it
// outside gives the compiler for that.

export interface Inside {
  /** The breakpoint that compiled code may pass by itself. */
  readonly breakpoint: number | undefined;
  /** Is told where its word stands, 0 while there is code that does not look at it. */
  setStop(word: number): void;
  /**
   * What is decided of an interrupt that returns to `pc`: one of DECIDED_…, and where the thread resumes if that is to inject.
   * @param half whether LR says that a call there is half executed
   */
  decide(pc: number, half: boolean): { readonly decision: number; readonly resume: number };
  /** Of what the module is made for, and by what is decided: where this is the same, the module and decisions are. */
  readonly name: string;
  /**
   * The module that does it. Imports the host's `h.more`, for what it leaves to the host, and exports two functions of compiled code's, in the
   * place of the host's of the same names (runtime.ts): `more(place)` says for how many instructions to go on where the budget has ended, `place`
   * being that of the exit (DECISIONS), 0 where it has none; `passes(place, left)` whether to go on at a breakpoint, or behind a system call, so many
   * instructions being left.
   */
  module(memoryPages: number): Uint8Array<ArrayBuffer>;
}
