// Addition and subtraction: ADD ADC SUB SBB CMP INC DEC NEG. SDM vol. 2.

import type { Value } from '../dsl/effects.ts';
import { clause, family, type Row } from './clause.ts';
import type { Exec } from './exec.ts';
import { adcFlags, addFlags, type Formula, putDifference, putFlags, putSum, sbbFlags, subFlags } from './flags.ts';
import { CF } from './regs.ts';

/** The nine forms that ADD, OR, ADC, SBB, AND, SUB, XOR and CMP share, `n` being 0 to 7 in this order. */
export const ninefold = (name: string, n: number, effect: (x: Exec) => void): Row[] => {
  const op = (low: number): string => (n * 8 + low).toString(16).toUpperCase().padStart(2, '0');
  const lock = name === 'CMP' ? '' : ' LOCK';
  return [
    clause(`${name} r/m8, r8`, `${op(0)} /r${lock}`, effect),
    clause(`${name} r/mv, rv`, `${op(1)} /r${lock}`, effect),
    clause(`${name} r8, r/m8`, `${op(2)} /r`, effect),
    clause(`${name} rv, r/mv`, `${op(3)} /r`, effect),
    clause(`${name} al, imm8`, `${op(4)} ib`, effect),
    clause(`${name} rAX, immz`, `${op(5)} iz`, effect),
    clause(`${name} r/m8, imm8`, `80 /${n} ib${lock}`, effect),
    clause(`${name} r/mv, immz`, `81 /${n} iz${lock}`, effect),
    clause(`${name} r/mv, simm8`, `83 /${n} ib${lock}`, effect),
  ];
};

const add = (x: Exec): void => {
  const a = x.read(0);
  const b = x.read(1);
  x.writeWithFlags(
    () => x.add(a, b),
    () => putSum(x, a, b),
  );
};

const adc = (x: Exec): void => {
  const a = x.read(0);
  const b = x.read(1);
  const r = x.add(x.e.add(a, b), x.widen(x.e.get(CF)));
  x.writeWithFlags(
    () => r,
    () => putFlags(x, 'adc', adcFlags, a, b, r),
  );
};

const sub = (x: Exec): void => {
  const a = x.read(0);
  const b = x.read(1);
  x.writeWithFlags(
    () => x.sub(a, b),
    () => putDifference(x, a, b),
  );
};

const sbb = (x: Exec): void => {
  const a = x.read(0);
  const b = x.read(1);
  const r = x.sub(x.e.sub(a, b), x.widen(x.e.get(CF)));
  x.writeWithFlags(
    () => r,
    () => putFlags(x, 'sbb', sbbFlags, a, b, r),
  );
};

const cmp = (x: Exec): void => {
  const a = x.read(0);
  const b = x.read(1);
  putDifference(x, a, b);
};

/** INC and DEC leave CF. */
const byOne = (
  name: string,
  n: number,
  operate: (x: Exec, a: Value, one: Value) => Value,
  flags: typeof addFlags,
): Row[] => {
  const effect = (x: Exec): void => {
    const a = x.read(0);
    const allButCarry: Formula = (y, p) => {
      const by = y.const(1);
      const { cf: _, ...rest } = flags(y, p, by, operate(y, p, by));
      return rest;
    };
    x.writeWithFlags(
      () => operate(x, a, x.const(1)),
      () => putFlags(x, name, allButCarry, a),
    );
  };
  return [clause(`${name} r/m8`, `FE /${n} LOCK`, effect), clause(`${name} r/mv`, `FF /${n} LOCK`, effect)];
};

const neg = (x: Exec): void => {
  const zero = x.const(0);
  const b = x.read(0);
  x.writeWithFlags(
    () => x.sub(zero, b),
    () => putDifference(x, zero, b),
  );
};

export const ARITH = family('arith', () => [
  ...ninefold('ADD', 0, add),
  ...ninefold('ADC', 2, adc),
  ...ninefold('SBB', 3, sbb),
  ...ninefold('SUB', 5, sub),
  ...ninefold('CMP', 7, cmp),
  ...byOne('INC', 0, (x, a, one) => x.add(a, one), addFlags),
  ...byOne('DEC', 1, (x, a, one) => x.sub(a, one), subFlags),
  clause('NEG r/m8', 'F6 /3 LOCK', neg),
  clause('NEG r/mv', 'F7 /3 LOCK', neg),
]);
