// The formulas of the status flags, each once. Flags that the manual leaves undefined have the values that Intel's processors
// give, wherever these are a function of the operands; test/cases/amd64 holds them to a real one.

import type { Value } from '../dsl/effects.ts';
import type { Register } from '../dsl/registers.ts';
import { Exec } from './exec.ts';
import { AF, CF, DF, FLAG_BITS, FLAGS_FIXED, FLAGS_REST, FLAGS_REST_MASK, OF, PF, SF, ZF } from './regs.ts';

/** New values of some flags; those that are absent stay. */
export interface FlagValues {
  readonly cf?: Value;
  readonly pf?: Value;
  readonly af?: Value;
  readonly zf?: Value;
  readonly sf?: Value;
  readonly of?: Value;
}

/** Sets flags; with `when` (an i32) only where that is not 0. */
export const setFlags = (x: Exec, flags: FlagValues, when?: Value): void => {
  const put = (register: Register, value: Value | undefined): void => {
    if (value === undefined) return;
    x.e.set(register, when === undefined ? value : x.e.select(when, value, x.e.get(register)));
  };
  put(CF, flags.cf);
  put(PF, flags.pf);
  put(AF, flags.af);
  put(ZF, flags.zf);
  put(SF, flags.sf);
  put(OF, flags.of);
};

/** Makes flags of up to three values, given in order. */
export type Formula = (x: Exec, a: Value, b: Value, c: Value) => FlagValues;

/** Sets flags as a formula makes them of a few values, when they are read: `name` says which formula it is. */
export const putFlags = (x: Exec, name: string, formula: Formula, ...inputs: readonly Value[]): void =>
  x.e.flags(`${name} ${x.size}`, inputs, (e, own) => {
    const within = new Exec(e, x.i);
    const [a, b, c] = own as readonly [Value, Value, Value];
    setFlags(within, formula(within, a, b, c));
  });

/** PF: 1 where the low byte of the result has an even number of ones. */
export const parity = (x: Exec, r: Value): Value => {
  const { e } = x;
  const low = r.type === 'i64' ? e.wrap(r) : r;
  const ones = e.unary('popcnt', x.size === 8 ? low : e.and(low, e.const('i32', 0xff)));
  return x.isZero(e.and(ones, e.const('i32', 1)));
};

/** ZF, SF and PF of a result at the instruction's size. */
export const zsp = (x: Exec, r: Value): FlagValues => ({ pf: parity(x, r), zf: x.isZero(r), sf: x.sign(r) });

/** AF: the carry into bit 4. */
const auxiliary = (x: Exec, a: Value, b: Value, r: Value): Value => x.bit(x.e.xor(x.e.xor(a, b), r), 4);

/** r = a + b. */
export const addFlags = (x: Exec, a: Value, b: Value, r: Value): FlagValues => ({
  ...zsp(x, r),
  cf: x.e.ltu(r, a),
  af: auxiliary(x, a, b, r),
  of: x.sign(x.e.and(x.e.xor(a, r), x.e.xor(b, r))),
});

/** r = a + b + carry. */
export const adcFlags = (x: Exec, a: Value, b: Value, r: Value): FlagValues => {
  const { e } = x;
  // The carry out of the top bit: both operands have it, or one has it and the sum has not.
  const out = e.or(e.and(a, b), e.and(e.or(a, b), x.not(r)));
  return { ...addFlags(x, a, b, r), cf: x.sign(out) };
};

/** r = a - b. */
export const subFlags = (x: Exec, a: Value, b: Value, r: Value): FlagValues => ({
  ...zsp(x, r),
  zf: x.e.eq(a, b),
  cf: x.e.ltu(a, b),
  af: auxiliary(x, a, b, r),
  of: x.sign(x.e.and(x.e.xor(a, b), x.e.xor(a, r))),
});

/** r = a - b - borrow. */
export const sbbFlags = (x: Exec, a: Value, b: Value, r: Value): FlagValues => {
  const { e } = x;
  // The borrow out of the top bit: the subtrahend has it and the minuend not, or they agree and the difference has it.
  const out = e.or(e.and(x.not(a), b), e.and(x.not(e.xor(a, b)), r));
  return { ...subFlags(x, a, b, r), zf: x.isZero(r), cf: x.sign(out) };
};

/** A bitwise result. AF is undefined; Intel clears it. */
export const logicFlags = (x: Exec, r: Value): FlagValues => {
  const zero = x.e.const('i32', 0);
  return { ...zsp(x, r), cf: zero, af: zero, of: zero };
};

/** ADD of a and b. */
export const putSum = (x: Exec, a: Value, b: Value): void =>
  putFlags(x, 'add', (y, p, q) => addFlags(y, p, q, y.add(p, q)), a, b);

/** SUB of b from a, and CMP. */
export const putDifference = (x: Exec, a: Value, b: Value): void =>
  putFlags(x, 'sub', (y, p, q) => subFlags(y, p, q, y.sub(p, q)), a, b);

/** The condition of Jcc, SETcc and CMOVcc by number (SDM vol. 2, appendix B.1.4.7), as an i32 of 0 or 1. */
export const condition = (x: Exec, cc: number): Value => {
  const { e } = x;
  const positive = (): Value => {
    switch (cc >> 1) {
      case 0:
        return e.get(OF);
      case 1:
        return e.get(CF);
      case 2:
        return e.get(ZF);
      case 3:
        return e.or(e.get(CF), e.get(ZF));
      case 4:
        return e.get(SF);
      case 5:
        return e.get(PF);
      case 6:
        return e.xor(e.get(SF), e.get(OF));
      default:
        return e.or(e.get(ZF), e.xor(e.get(SF), e.get(OF)));
    }
  };
  return (cc & 1) === 0 ? positive() : x.isZero(positive());
};

/** RFLAGS as an i32 (its upper half is always 0), for PUSHF and SYSCALL. */
export const flagsImage = (x: Exec): Value => {
  const { e } = x;
  let image = e.or(e.get(FLAGS_REST), e.const('i32', FLAGS_FIXED));
  for (const [register, bit] of FLAG_BITS) {
    const flag = e.get(register);
    image = e.or(image, bit === 0 ? flag : e.shl(flag, e.const('i32', bit)));
  }
  return image;
};

/** Sets from an image (an i32) the flags whose bits are in `mask`; POPF and SAHF. */
export const setFlagsImage = (x: Exec, image: Value, mask: number): void => {
  const { e } = x;
  for (const [register, bit] of FLAG_BITS) {
    if (((mask >> bit) & 1) === 1) e.set(register, x.bit(image, bit));
  }
  const rest = FLAGS_REST_MASK & mask;
  if (rest !== 0) {
    const kept = e.and(e.get(FLAGS_REST), e.const('i32', ~rest));
    e.set(FLAGS_REST, e.or(kept, e.and(image, e.const('i32', rest))));
  }
};

/** The step of string instructions: `bytes` forwards, or backwards where DF is 1. An i64. */
export const stringStep = (x: Exec, bytes: number): Value =>
  x.e.select(x.e.get(DF), x.e.const('i64', -bytes), x.e.const('i64', bytes));
