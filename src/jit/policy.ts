// When to compile what. The measurements behind the numbers stand in test/bench/README.md.

export interface Policy {
  /** Arrivals, wherever, before which nothing is compiled: the first function costs as much as evaluating them, all of the compiler being cold. */
  readonly warmUp: number;
  /** Arrivals at an address by which it is to be compiled, together with others. */
  readonly threshold: number;
  /** Arrivals by which it is compiled at once, with those that have half as many. */
  readonly urgent: number;
  /** Addresses to be compiled at which all of them are. */
  readonly batchAddresses: number;
  /** Arrivals by which a function is compiled along with one that calls it. */
  readonly alongThreshold: number;
  /** Guest instructions after which a module takes no further functions. */
  readonly batchInstructions: number;
  /** How far from an address its function may reach where no table tells, in bytes. */
  readonly reach: number;
  /** Visits by which a function whose code is short is compiled again, to be fast: a power of two, or 0 where all code is fast. */
  readonly visits: number;
  /** Functions with so many visits by which that is done at once; eight times as many of a single one do as well. */
  readonly visitedBatch: number;
  /** Jumps from compiled code to an address in a compiled function by which it becomes an entry; four times as many, and it is done at once. */
  readonly jumpThreshold: number;
  /** How often the evaluator takes over at an address in what is compiled by which a bridge is to lead from there… */
  readonly bridgeThreshold: number;
  /** …or because the budget was too small there by which there is to be an exact one… */
  readonly exactThreshold: number;
  /** …at once, when there are so many such addresses. */
  readonly bridgeBatch: number;
  /** How often a function may be compiled: again for each part of it that proves hot later. */
  readonly maxCompilations: number;
  /** How often a function is compiled without the blocks that were never executed. */
  readonly prunings: number;
  /** A function of more blocks than this is compiled in parts: its nesting would exhaust the host's stack, ours and V8's. */
  readonly maxBlocks: number;
  /** The same for one of more operations: V8's optimising compiler takes up to 6 KB for each, and compiles several functions at a time. */
  readonly maxOperations: number;
  /** Guest instructions compiled, over all modules, at which everything is dropped and begins anew: the bound of the code cache. */
  readonly cacheInstructions: number;
  /** Where code is kept: arrivals without which there is nothing that the next run should find compiled besides. */
  readonly restArrivals: number;
  /** Guest instructions of a module in which what a run has made is kept. */
  readonly packInstructions: number;
  /** Guest instructions compiled in a run by which what only executing needs is given back before more is made for the next one. */
  readonly roomInstructions: number;
  /** How long compiling the rest of what was executed may take when a run is over, by the time of the run… */
  readonly restShare: number;
  /** …and the same for having the host optimise what was compiled. */
  readonly nativeShare: number;
  /** Milliseconds that either may take in any case: a short run should not have to be repeated for the next one to find all. */
  readonly keepLeast: number;
  /** Flags computed by the host's steps by which WebAssembly is made for the recipes met so far. */
  readonly settles: number;
  /** Instructions after which compiled code is left, so that V8 can put better code in its place. */
  readonly slice: number;
}

export const POLICY: Policy = {
  warmUp: 80_000,
  threshold: 200,
  urgent: 1000,
  batchAddresses: 32,
  alongThreshold: 50,
  batchInstructions: 4000,
  reach: 0x8000,
  visits: 512,
  visitedBatch: 12,
  jumpThreshold: 100,
  bridgeThreshold: 500,
  exactThreshold: 100,
  bridgeBatch: 16,
  maxCompilations: 24,
  prunings: 6,
  maxBlocks: 1200,
  maxOperations: 2800,
  cacheInstructions: 600_000,
  restArrivals: 1000,
  packInstructions: 60_000,
  roomInstructions: 12_000,
  restShare: 1,
  nativeShare: 0.5,
  keepLeast: 1500,
  settles: 5000,
  slice: 4_000_000,
};
