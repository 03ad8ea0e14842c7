// Facts that change from release to release, written as text tables: one row holds until the next one begins.

import { isBefore, parseRelease, type Release } from '../version.ts';

/** One row of a table: what it holds from, and the value of each column; undefined where the release has no such thing. */
export interface ReleaseRow {
  readonly since: string;
  readonly values: Readonly<Record<string, number | undefined>>;
}

/** A table, oldest row first. It is read when it is first asked for: a program needs one or two of them, and mostly none. */
export type ReleaseTable = () => readonly ReleaseRow[];

/**
 * A table as text: the first line names the columns (`since` first), `-` means that there is no such field or that its
 * place is not known. Rows stand oldest first.
 */
export function releaseTable(text: string): ReleaseTable {
  let rows: readonly ReleaseRow[] | undefined;
  return () => {
    rows ??= readTable(text);
    return rows;
  };
}

function readTable(text: string): readonly ReleaseRow[] {
  const [head, ...lines] = text.trim().split('\n');
  const columns = (head ?? '').trim().split(/\s+/).slice(1);
  return lines.map((line) => {
    const [since, ...cells] = line.trim().split(/\s+/);
    if (since === undefined || parseRelease(since) === undefined || cells.length !== columns.length) {
      throw new TypeError(`bad row in a release table: ${line}`);
    }
    const values: Record<string, number | undefined> = {};
    for (const [i, column] of columns.entries()) values[column] = cells[i] === '-' ? undefined : Number(cells[i]);
    return { since, values };
  });
}

/** The row that holds for `release`; the oldest one for releases before it. */
export function rowFor(table: ReleaseTable, release: Release): ReleaseRow {
  const rows = table();
  return rows.findLast((row) => !isBefore(release, row.since)) ?? rows[0]!;
}
