// How much of each matrix a test run covers: a sample of it within minutes, or, with SAFEPOINT_LONG=1, all of it.

/** Whether the whole of every matrix was asked for. */
export const LONG = process.env.SAFEPOINT_LONG === '1';

/**
 * All cells of a matrix in a long run, else each `step`th, so that a matrix of GOARCHes and releases is crossed diagonally.
 * @param offset where to begin, for matrices that lie beside each other to take different cells
 */
export function sampled<T>(cells: readonly T[], step: number, offset = 0): readonly T[] {
  return LONG ? cells : cells.filter((_, i) => i % step === offset % step);
}
