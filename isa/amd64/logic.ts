// Bitwise logic: AND OR XOR NOT TEST. SDM vol. 2.

import type { Value } from '../dsl/effects.ts';
import { ninefold } from './arith.ts';
import { clause, family } from './clause.ts';
import type { Exec } from './exec.ts';
import { logicFlags, putFlags } from './flags.ts';

const bitwise =
  (operate: (x: Exec, a: Value, b: Value) => Value) =>
  (x: Exec): void => {
    const r = operate(x, x.read(0), x.read(1));
    x.write(0, r);
    putFlags(x, 'logic', logicFlags, r);
  };

const not = (x: Exec): void => x.write(0, x.not(x.read(0)));

const test = (x: Exec): void => putFlags(x, 'logic', logicFlags, x.e.and(x.read(0), x.read(1)));

export const LOGIC = family('logic', () => [
  ...ninefold(
    'OR',
    1,
    bitwise((x, a, b) => x.e.or(a, b)),
  ),
  ...ninefold(
    'AND',
    4,
    bitwise((x, a, b) => x.e.and(a, b)),
  ),
  ...ninefold(
    'XOR',
    6,
    bitwise((x, a, b) => x.e.xor(a, b)),
  ),
  clause('NOT r/m8', 'F6 /2 LOCK', not),
  clause('NOT r/mv', 'F7 /2 LOCK', not),
  clause('TEST r/m8, r8', '84 /r', test),
  clause('TEST r/mv, rv', '85 /r', test),
  clause('TEST al, imm8', 'A8 ib', test),
  clause('TEST rAX, immz', 'A9 iz', test),
  // The manual leaves /1 out; processors execute it like /0.
  clause('TEST r/m8, imm8', 'F6 /0 ib', test),
  clause('TEST r/m8, imm8', 'F6 /1 ib', test),
  clause('TEST r/mv, immz', 'F7 /0 iz', test),
  clause('TEST r/mv, immz', 'F7 /1 iz', test),
]);
