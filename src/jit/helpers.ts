// The functions that compiled code calls where an operation is rare or long: their names and indexes. src/jit/runtime.ts has what they do.

/** Functions that compiled code calls where an operation is rare or long. Indexes of imports, in this order (`supportModule`). */
export const HELPERS = [
  'load',
  'store',
  'nan32',
  'nan64',
  'widenNan',
  'narrowNan',
  'divu128',
  'remu128',
  'flags',
  'settle',
  'tell',
  'visited',
  'more',
  'passes',
  'moves',
  'left',
] as const;
/** Those that the host has no part in: the last ones. */
export const WITHOUT_HOST = ['moves', 'left'] as const satisfies readonly Helper[];
export type HostHelper = Exclude<Helper, (typeof WITHOUT_HOST)[number]>;
export type Helper = (typeof HELPERS)[number];
export const HELPER: Readonly<Record<Helper, number>> = {
  load: 0,
  store: 1,
  nan32: 2,
  nan64: 3,
  widenNan: 4,
  narrowNan: 5,
  divu128: 6,
  remu128: 7,
  flags: 8,
  settle: 9,
  tell: 10,
  visited: 11,
  more: 12,
  passes: 13,
  moves: 14,
  left: 15,
};
