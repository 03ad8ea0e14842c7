// When to compile what. The measurements behind the numbers stand in test/bench/README.md.

export interface Policy {
  /** Arrivals at an address by which it is compiled. */
  readonly threshold: number;
  /** Arrivals by which a function is compiled along with one that calls it. */
  readonly alongThreshold: number;
  /** Guest instructions after which a module takes no further functions. */
  readonly batchInstructions: number;
  /** How far from an address its function may reach where no table tells, in bytes. */
  readonly reach: number;
  /** How often a function may be compiled again to be entered at one more address. */
  readonly maxExtraEntries: number;
  /** A function of more blocks than this stays with the evaluator: its nesting would exhaust the host's stack, ours and V8's. */
  readonly maxBlocks: number;
  /** Guest instructions compiled, over all modules, at which everything is dropped and begins anew: the bound of the code cache. */
  readonly cacheInstructions: number;
  /** Instructions after which compiled code is left, so that V8 can put better code in its place. */
  readonly slice: number;
}

export const POLICY: Policy = {
  threshold: 1500,
  alongThreshold: 200,
  batchInstructions: 4000,
  reach: 0x8000,
  maxExtraEntries: 16,
  maxBlocks: 1200,
  cacheInstructions: 600_000,
  slice: 4_000_000,
};
