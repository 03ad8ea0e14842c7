// Multiplication and division: MUL IMUL DIV IDIV. SDM vol. 2.

import type { Value } from '../dsl/effects.ts';
import { clause, family } from './clause.ts';
import type { Exec } from './exec.ts';
import { type FlagValues, parity, setFlags } from './flags.ts';
import { RAX, RDX } from './regs.ts';

/** CF and OF say that the high half counts. The others are undefined; Intel sets SF and PF by the low half and clears ZF and AF. */
const productFlags = (x: Exec, low: Value, overflow: Value): FlagValues => {
  const zero = x.e.const('i32', 0);
  return { cf: overflow, of: overflow, sf: x.sign(low), pf: parity(x, low), zf: zero, af: zero };
};

/** Low and high half of a product at the instruction's size. */
const product = (x: Exec, a: Value, b: Value, isSigned: boolean): { readonly low: Value; readonly high: Value } => {
  const { e } = x;
  if (x.size === 64) return { low: e.mul(a, b), high: e.binary(isSigned ? 'mulhs' : 'mulhu', a, b) };
  if (x.size === 32) {
    const wide = isSigned ? e.mul(e.extendS(a), e.extendS(b)) : e.mul(e.extendU(a), e.extendU(b));
    return { low: e.wrap(wide), high: e.wrap(e.shr(wide, e.const('i64', 32))) };
  }
  const wide = isSigned ? e.mul(x.signed(a), x.signed(b)) : e.mul(a, b);
  return { low: x.fit(wide), high: x.fit(e.shr(wide, e.const('i32', x.size))) };
};

/** Whether the high half is more than the sign of the low one. */
const signedOverflow = (x: Exec, low: Value, high: Value): Value => {
  const signs = x.fit(x.e.sar(x.signed(low), x.const(x.size === 64 ? 63 : 31)));
  return x.e.ne(high, signs);
};

/** rDX:rAX, or AX for bytes. */
const writePair = (x: Exec, low: Value, high: Value): void => {
  if (x.size === 8) x.setGpr(RAX, 16, x.e.or(low, x.e.shl(high, x.e.const('i32', 8))));
  else {
    x.setGpr(RAX, x.size, low);
    x.setGpr(RDX, x.size, high);
  }
};

const multiply =
  (isSigned: boolean) =>
  (x: Exec): void => {
    const { low, high } = product(x, x.getGpr(RAX, x.size), x.read(0), isSigned);
    const overflow = isSigned ? signedOverflow(x, low, high) : x.isNonzero(high);
    const flags = productFlags(x, low, overflow);
    writePair(x, low, high);
    setFlags(x, flags);
  };

/** IMUL of two or three operands: only the low half is kept. */
const imul =
  (a: number, b: number) =>
  (x: Exec): void => {
    const { low, high } = product(x, x.read(a), x.read(b), true);
    const flags = productFlags(x, low, signedOverflow(x, low, high));
    x.write(0, low);
    setFlags(x, flags);
  };

/** The dividend of a division narrower than 64 bits, as one value of twice the size: AX, DX:AX (i32) or EDX:EAX (i64). */
const narrowDividend = (x: Exec): Value => {
  const { e } = x;
  if (x.size === 8) return x.getGpr(RAX, 16);
  const low = x.getGpr(RAX, x.size);
  const high = x.getGpr(RDX, x.size);
  if (x.size === 16) return e.or(low, e.shl(high, e.const('i32', 16)));
  return e.or(e.extendU(low), e.shl(e.extendU(high), e.const('i64', 32)));
};

const writeQuotient = (x: Exec, quotient: Value, remainder: Value): void => {
  const narrow = (v: Value): Value => x.fit(x.size === 32 ? x.e.wrap(v) : v);
  writePair(x, narrow(quotient), narrow(remainder));
};

/** #DE when the quotient does not fit, which includes a divisor of 0. The flags, undefined by the manual, stay. */
const div = (x: Exec): void => {
  const { e } = x;
  const divisor = x.read(0);
  if (x.size === 64) {
    const low = x.getGpr(RAX, 64);
    const high = x.getGpr(RDX, 64);
    e.trapIf(e.compare('leu', divisor, high), 'divide');
    writePair(x, e.divu128(high, low, divisor), e.remu128(high, low, divisor));
    return;
  }
  const dividend = narrowDividend(x);
  const high = x.size === 8 ? e.shr(dividend, e.const('i32', 8)) : x.getGpr(RDX, x.size);
  e.trapIf(e.compare('leu', divisor, high), 'divide');
  const by = x.size === 32 ? e.extendU(divisor) : divisor;
  writeQuotient(x, e.binary('divu', dividend, by), e.binary('remu', dividend, by));
};

const idiv = (x: Exec): void => {
  if (x.size === 64) {
    idiv64(x);
    return;
  }
  const { e } = x;
  const divisor = x.signed(x.read(0));
  const by = x.size === 32 ? e.extendS(divisor) : divisor;
  const dividend = x.size === 8 ? e.unary('sext16', narrowDividend(x)) : narrowDividend(x);
  const quotient = e.binary('divs', dividend, by);
  const fits = x.size === 32 ? e.eq(e.extendS(e.wrap(quotient)), quotient) : e.eq(x.signed(quotient), quotient);
  e.trapIf(e.or(x.isZero(by), x.isZero(fits)), 'divide');
  writeQuotient(x, quotient, e.binary('rems', dividend, by));
};

/** By magnitudes: the vocabulary divides 128 bits without sign only. */
const idiv64 = (x: Exec): void => {
  const { e } = x;
  const zero = e.const('i64', 0);
  const low = x.getGpr(RAX, 64);
  const high = x.getGpr(RDX, 64);
  const divisor = x.read(0);
  const negativeDividend = e.lts(high, zero);
  const negativeDivisor = e.lts(divisor, zero);
  const negateWhere = (c: Value, v: Value): Value => e.select(c, e.sub(zero, v), v);
  const absLow = negateWhere(negativeDividend, low);
  // Negating 128 bits: the borrow of the low half takes one more from the high half.
  const negatedHigh = e.sub(e.sub(zero, high), e.extendU(x.isNonzero(low)));
  const absHigh = e.select(negativeDividend, negatedHigh, high);
  const absDivisor = negateWhere(negativeDivisor, divisor);
  const absQuotient = e.divu128(absHigh, absLow, absDivisor);
  const negative = e.xor(negativeDividend, negativeDivisor);
  // The greatest magnitude is 2^63 for a negative quotient and one less for a positive one.
  const greatest = e.add(e.const('i64', (1n << 63n) - 1n), e.extendU(negative));
  const tooWide = e.compare('leu', absDivisor, absHigh);
  e.trapIf(e.or(tooWide, e.ltu(greatest, absQuotient)), 'divide');
  const remainder = e.remu128(absHigh, absLow, absDivisor);
  writePair(x, negateWhere(negative, absQuotient), negateWhere(negativeDividend, remainder));
};

export const MULDIV = family('muldiv', () => [
  clause('MUL r/m8', 'F6 /4', multiply(false)),
  clause('MUL r/mv', 'F7 /4', multiply(false)),
  clause('IMUL r/m8', 'F6 /5', multiply(true)),
  clause('IMUL r/mv', 'F7 /5', multiply(true)),
  clause('IMUL rv, r/mv', '0F AF /r', imul(0, 1)),
  clause('IMUL rv, r/mv, immz', '69 /r iz', imul(1, 2)),
  clause('IMUL rv, r/mv, simm8', '6B /r ib', imul(1, 2)),
  clause('DIV r/m8', 'F6 /6', div),
  clause('DIV r/mv', 'F7 /6', div),
  clause('IDIV r/m8', 'F6 /7', idiv),
  clause('IDIV r/mv', 'F7 /7', idiv),
]);
