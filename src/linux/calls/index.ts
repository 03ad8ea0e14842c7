// Every system call that has a row, and the table by number of one ABI.

import type { Abi } from '../abi/abi.ts';
import { CALL_NUMBERS, type CallName } from '../abi/numbers.ts';
import type { Row } from '../call.ts';
import { DESCRIPTOR_ROWS } from './descriptor.ts';
import { DIR_ROWS } from './dir.ts';
import { EVENT_ROWS } from './event.ts';
import { FILE_ROWS } from './file.ts';
import { FUTEX_CALLS } from './futex.ts';
import { MEMORY_CALLS } from './memory.ts';
import { PIPE_ROWS } from './pipe.ts';
import { POLL_ROWS } from './poll.ts';
import { SIGNAL_CALLS } from './signal.ts';
import { SOCKET_ROWS } from './socket.ts';
import { STAT_ROWS } from './stat.ts';
import { SYSTEM_CALLS } from './system.ts';
import { THREAD_CALLS } from './thread.ts';
import { TIME_CALLS } from './time.ts';

/** All rows, by family. */
export const ROWS: readonly Row[] = [
  ...MEMORY_CALLS,
  ...THREAD_CALLS,
  ...FUTEX_CALLS,
  ...SIGNAL_CALLS,
  ...TIME_CALLS,
  ...SYSTEM_CALLS,
  ...EVENT_ROWS,
  ...POLL_ROWS,
  ...PIPE_ROWS,
  ...FILE_ROWS,
  ...DIR_ROWS,
  ...DESCRIPTOR_ROWS,
  ...STAT_ROWS,
  ...SOCKET_ROWS,
];

/** The calls of one ABI. */
export interface CallTable {
  /** The row of a number, if the call is supported. */
  row(number: number): Row | undefined;
  /** The row of a name. @throws RangeError for a call without a row. */
  byName(name: CallName): Row;
  /** The kernel's name of a number, supported or not. */
  nameOf(number: number): string | undefined;
}

export function callTable(abi: Abi): CallTable {
  const rows = new Map<number, Row>();
  for (const row of ROWS) {
    const number = row.numbers[abi.column];
    if (number >= 0) rows.set(number, row);
  }
  let byName: ReadonlyMap<CallName, Row> | undefined;
  let names: ReadonlyMap<number, string> | undefined;
  return {
    row: (number) => rows.get(number),
    byName: (name) => {
      byName ??= new Map(ROWS.map((row) => [row.name, row]));
      const row = byName.get(name);
      if (row === undefined) throw new RangeError(`no row for ${name}`);
      return row;
    },
    nameOf: (number) => {
      names ??= namesOf(abi);
      return names.get(number);
    },
  };
}

/** The names of all calls of an ABI by their numbers. */
function namesOf(abi: Abi): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, numbers] of Object.entries(CALL_NUMBERS)) {
    const number = numbers[abi.column];
    if (number >= 0) names.set(number, name);
  }
  return names;
}
