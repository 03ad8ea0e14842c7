// pc-value tables: the delta-coded streams of pclntab that map a PC to a small integer (runtime `pcvalue`, `step`).

/** A table of the program is not what its release says it should be. Names the table and the place in it. */
export class TableError extends Error {
  override readonly name = 'TableError';
  readonly table: string;
  /** Byte offset in that table. */
  readonly offset: number;

  constructor(table: string, offset: number, problem: string) {
    super(`${table} at offset ${offset < 0 ? '-' : ''}0x${Math.abs(offset).toString(16)}: ${problem}`);
    this.table = table;
    this.offset = offset;
  }
}

/** The decoded runs of one table for one function: run i covers [i = 0 ? entry : end[i-1], end[i]) with value[i]. */
export interface PcRuns {
  readonly entry: number;
  readonly end: readonly number[];
  readonly value: readonly number[];
}

/** What a PC without a table is worth (runtime `pcvalue` for offset 0). */
export const NO_VALUE = -1;

/**
 * Decodes a whole table. The stream is pairs of (zigzag value delta, pc delta in quanta) as unsigned LEB128, the
 * value starting at -1 and the pc at the entry; a value delta of 0 ends it, except in the first pair.
 * @param bytes the table area, which the stream may not leave
 * @param limit the end of the function: a run that reaches past it is an error
 */
export function decodePcRuns(
  bytes: Uint8Array,
  offset: number,
  entry: number,
  limit: number,
  quantum: number,
  table: string,
): PcRuns {
  const end: number[] = [];
  const value: number[] = [];
  let at = offset;
  let val = -1;
  let pc = entry;

  const varint = (): number => {
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at];
      if (byte === undefined) throw new TableError(table, at, 'the stream runs past the end of the table');
      at++;
      result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return result >>> 0;
    }
    throw new TableError(table, at, 'a varint of more than 32 bits');
  };

  for (let first = true; ; first = false) {
    const delta = varint();
    if (delta === 0 && !first) break;
    val = (val + ((delta >>> 1) ^ -(delta & 1))) | 0;
    const next = pc + varint() * quantum;
    if (next > limit) {
      throw new TableError(
        table,
        at,
        `a run ends at 0x${next.toString(16)}, past the function's end 0x${limit.toString(16)}`,
      );
    }
    // The runtime takes the first run whose end is greater than the PC, so an empty run is never seen.
    if (next > pc) {
      end.push(next);
      value.push(val);
    } else if (!first) {
      throw new TableError(table, at, 'a run of no length');
    }
    pc = next;
  }
  return { entry, end, value };
}

/** Index of the run that covers `pc`; -1 if none does (where the runtime, asked strictly, throws). */
export function findRun(runs: PcRuns, pc: number): number {
  const { end } = runs;
  let low = 0;
  let high = end.length;
  if (pc < runs.entry) return -1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((end[middle] ?? 0) > pc) high = middle;
    else low = middle + 1;
  }
  return low < end.length ? low : -1;
}

/** Where run `index` begins: the `startpc` of runtime `pcvalue`. */
export function runStart(runs: PcRuns, index: number): number {
  return index <= 0 ? runs.entry : (runs.end[index - 1] ?? runs.entry);
}
