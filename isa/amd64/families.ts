// All rows of amd64 and the decoder of them: what decoding the first instruction takes. A run that finds all of its code compiled decodes
// nothing, and loads none of it (cli/later.ts).

import type { Isa } from '../dsl/isa.ts';
import { lazy } from '../dsl/lazy.ts';
import { ARITH } from './arith.ts';
import { ATOMIC } from './atomic.ts';
import { BITS } from './bits.ts';
import { BRANCH } from './branch.ts';
import type { Clause } from './clause.ts';
import { buildTable, decode } from './decode.ts';
import { LOGIC } from './logic.ts';
import { MOV } from './mov.ts';
import { MULDIV } from './muldiv.ts';
import { SHIFT } from './shift.ts';
import { SSE_CONVERT } from './sse-convert.ts';
import { SSE_FLOAT } from './sse-float.ts';
import { SSE_INT } from './sse-int.ts';
import { SSE_MOVE } from './sse-move.ts';
import { STACK } from './stack.ts';
import { STRING } from './string.ts';
import { SYSTEM } from './system.ts';

const FAMILIES: readonly (() => readonly Clause[])[] = [
  MOV,
  STACK,
  ARITH,
  LOGIC,
  SHIFT,
  MULDIV,
  BITS,
  ATOMIC,
  STRING,
  BRANCH,
  SYSTEM,
  SSE_MOVE,
  SSE_INT,
  SSE_FLOAT,
  SSE_CONVERT,
];

/** Every clause, family by family. */
export const amd64Clauses = lazy((): readonly Clause[] => FAMILIES.flatMap((rows) => rows()));

/** A decoder with a table of its own. */
export const amd64Decoder = (): Isa['decode'] => {
  const table = buildTable(amd64Clauses());
  return (bytes, offset) => decode(table, bytes, offset);
};
