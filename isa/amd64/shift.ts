// Shifts and rotates: SHL SHR SAR ROL ROR RCL RCR SHLD SHRD. SDM vol. 2.
//
// The count is masked to 5 bits, 6 for 64-bit operands. A masked count of 0 changes neither the operand's value nor any flag, but a
// 32-bit register is zero-extended all the same. The manual defines OF for counts of 1 only; Intel's processors give any other
// count the OF that a count of 1 would give, except that ROL and ROR of a register by an immediate leave it. AF, undefined, is cleared by shifts.

import type { Value } from '../dsl/effects.ts';
import { clause, family, type Row } from './clause.ts';
import type { Exec } from './exec.ts';
import { type FlagValues, putFlags, setFlags, zsp } from './flags.ts';
import { CF } from './regs.ts';

interface Shifted {
  readonly result: Value;
  /** Computed where they are wanted. */
  readonly flags: () => FlagValues;
}

/** `count` is an i32, masked; what a formula gives for 0 is discarded. */
type Shift = (x: Exec, a: Value, count: Value) => Shifted;

const count = (x: Exec, k: number): Value => x.e.and(x.read(k), x.e.const('i32', x.size === 64 ? 63 : 31));

/** Writes operand 0 and the flags; these only where the count, unless the encoding fixes it, is not 0. */
const apply = (x: Exec, a: Value, n: Value, fixed: number | undefined, { result, flags }: Shifted): void => {
  if (fixed === 0) {
    x.write(0, a);
    return;
  }
  const values = flags();
  if (fixed !== undefined) {
    x.write(0, result);
    setFlags(x, values);
    return;
  }
  const when = x.isNonzero(n);
  x.write(0, x.e.select(when, result, a));
  setFlags(x, values, when);
};

/** The masked count where the encoding gives it. */
const fixedCount = (x: Exec): number | undefined => {
  const last = x.i.clause.operands.at(-1);
  if (last?.place === 'one') return 1;
  return last?.place === 'imm' ? Number(x.i.imm) & (x.size === 64 ? 63 : 31) : undefined;
};

/** Whether a shift to the left by 1 changes the sign. */
const turnsSign = (x: Exec, a: Value): Value => x.e.xor(x.sign(a), x.bit(a, x.size - 2));

const shl: Shift = (x, a, n) => {
  const { e } = x;
  const c = x.widen(n);
  const shifted = e.shl(a, c);
  const result = x.fit(shifted);
  const flags = (): FlagValues => {
    // The last bit out: of bytes and words it is still there above the operand.
    const cf = x.size < 32 ? x.bit(shifted, x.size) : x.bit(e.shr(a, e.sub(x.const(x.size), c)), 0);
    return { ...zsp(x, result), cf, of: turnsSign(x, a), af: e.const('i32', 0) };
  };
  return { result, flags };
};

const shr: Shift = (x, a, n) => {
  const { e } = x;
  const c = x.widen(n);
  const result = e.shr(a, c);
  const flags = (): FlagValues => {
    const cf = x.bit(e.shr(a, e.sub(c, x.const(1))), 0);
    return { ...zsp(x, result), cf, of: x.sign(a), af: e.const('i32', 0) };
  };
  return { result, flags };
};

const sar: Shift = (x, a, n) => {
  const { e } = x;
  const c = x.widen(n);
  const wide = x.signed(a);
  const result = x.fit(e.sar(wide, c));
  const flags = (): FlagValues => {
    const cf = x.bit(e.sar(wide, e.sub(c, x.const(1))), 0);
    const zero = e.const('i32', 0);
    return { ...zsp(x, result), cf, of: zero, af: zero };
  };
  return { result, flags };
};

/** Rotation of a byte or word by the count modulo its width: two copies side by side. */
const rotate = (x: Exec, a: Value, n: Value, left: boolean): Value => {
  const { e } = x;
  if (x.size >= 32) return e.binary(left ? 'rotl' : 'rotr', a, x.widen(n));
  const width = e.const('i32', x.size);
  const c = e.and(n, e.const('i32', x.size - 1));
  const twice = e.or(a, e.shl(a, width));
  return x.fit(e.shr(twice, left ? e.sub(width, c) : c));
};

/** Rotates leave SF ZF AF PF alone, and of a register by an immediate count other than 1 also OF. */
const rotateFlags = (x: Exec, cf: Value, of: Value): FlagValues => {
  const fixed = fixedCount(x);
  return fixed === undefined || fixed === 1 || x.inMemory ? { cf, of } : { cf };
};

const rol: Shift = (x, a, n) => {
  const result = rotate(x, a, n, true);
  return { result, flags: () => rotateFlags(x, x.bit(result, 0), turnsSign(x, a)) };
};

const ror: Shift = (x, a, n) => {
  const result = rotate(x, a, n, false);
  return { result, flags: () => rotateFlags(x, x.sign(result), x.e.xor(x.sign(a), x.bit(a, 0))) };
};

/** Rotation through the carry: of size + 1 bits. `count` counts to the left, 0 to size. */
const throughCarry = (x: Exec, a: Value, left: Value): { readonly result: Value; readonly cf: Value } => {
  const { e } = x;
  const cf = e.get(CF);
  if (x.size < 64) {
    const all = e.or(e.extendU(a), e.shl(e.extendU(cf), e.const('i64', x.size)));
    const c = e.extendU(left);
    const turned = e.or(e.shl(all, c), e.shr(all, e.sub(e.const('i64', x.size + 1), c)));
    return { result: x.fit(e.wrap(turned)), cf: x.bit(turned, x.size) };
  }
  const c = e.extendU(left);
  const one = e.const('i64', 1);
  // 64 bits and the carry do not fit one value: high part, the carry's place, and the low part that came round.
  const high = e.select(x.e.eq(left, e.const('i32', 64)), e.const('i64', 0), e.shl(a, c));
  const carry = e.shl(e.extendU(cf), e.sub(c, one));
  const round = e.shr(e.shr(a, one), e.sub(e.const('i64', 64), c));
  const out = x.bit(e.shr(a, e.sub(e.const('i64', 64), c)), 0);
  return { result: e.or(e.or(high, carry), round), cf: out };
};

/** RCL and RCR of bytes and words take the count modulo size + 1 after masking. */
const carryCount = (x: Exec, n: Value): Value =>
  x.size < 32 ? x.e.binary('remu', n, x.e.const('i32', x.size + 1)) : n;

const rcl: Shift = (x, a, n) => {
  const { result, cf } = throughCarry(x, a, n);
  return { result, flags: () => ({ cf, of: turnsSign(x, a) }) };
};

const rcr: Shift = (x, a, n) => {
  const of = x.e.xor(x.sign(a), x.e.get(CF));
  const { result, cf } = throughCarry(x, a, x.e.sub(x.e.const('i32', x.size + 1), n));
  return { result, flags: () => ({ cf, of }) };
};

/** A shift proper, which sets all flags of its operand and its count. */
const whole =
  (name: string, shift: Shift) =>
  (x: Exec): void => {
    const a = x.read(0);
    const n = count(x, 1);
    const fixed = fixedCount(x);
    if (fixed === undefined || fixed === 0) return apply(x, a, n, fixed, shift(x, a, n));
    x.writeWithFlags(
      () => shift(x, a, n).result,
      () => putFlags(x, name, (y, p, q) => shift(y, p, q).flags(), a, n),
    );
  };

const effect =
  (shift: Shift, adjust: (x: Exec, n: Value) => Value = (_, n) => n) =>
  (x: Exec): void => {
    const a = x.read(0);
    const n = adjust(x, count(x, 1));
    const fixed = fixedCount(x);
    // A count that the encoding gives may still become 0 modulo size + 1.
    const known = fixed !== undefined && x.size < 32 && adjust === carryCount ? fixed % (x.size + 1) : fixed;
    apply(x, a, n, known, shift(x, a, n));
  };

const forms = (name: string, n: number, run: (x: Exec) => void): Row[] => [
  clause(`${name} r/m8, imm8`, `C0 /${n} ib`, run),
  clause(`${name} r/mv, imm8`, `C1 /${n} ib`, run),
  clause(`${name} r/m8, 1`, `D0 /${n}`, run),
  clause(`${name} r/mv, 1`, `D1 /${n}`, run),
  clause(`${name} r/m8, cl`, `D2 /${n}`, run),
  clause(`${name} r/mv, cl`, `D3 /${n}`, run),
];

/** Double shifts: `b` supplies the bits that come in. */
const double =
  (left: boolean) =>
  (x: Exec): void => {
    const { e } = x;
    const a = x.read(0);
    const b = x.read(1);
    const n = count(x, 2);
    const { result, cf } = x.size === 16 ? doubleWord(x, a, b, n, left) : doubleWide(x, a, b, n, left);
    const of = left ? turnsSign(x, a) : e.xor(x.sign(a), x.bit(b, 0));
    const flags = { ...zsp(x, result), cf, of, af: e.const('i32', 0) };
    apply(x, a, n, fixedCount(x), { result, flags: () => flags });
  };

/** Words: the count goes to 31, beyond the width, where processors bring the operand's own bits round again. */
const doubleWord = (x: Exec, a: Value, b: Value, n: Value, left: boolean): { result: Value; cf: Value } => {
  const { e } = x;
  const c = e.extendU(n);
  const at = (v: Value, place: number): Value => e.shl(e.extendU(v), e.const('i64', place));
  // Three words side by side: a b a.
  const all = e.or(at(a, 32), e.or(at(b, 16), e.extendU(a)));
  if (left) {
    const moved = e.shl(all, c);
    return { result: x.fit(e.wrap(e.shr(moved, e.const('i64', 32)))), cf: x.bit(moved, 48) };
  }
  const moved = e.shr(all, c);
  return { result: x.fit(e.wrap(moved)), cf: x.bit(e.shr(all, e.sub(c, e.const('i64', 1))), 0) };
};

const doubleWide = (x: Exec, a: Value, b: Value, n: Value, left: boolean): { result: Value; cf: Value } => {
  const { e } = x;
  const c = x.widen(n);
  const back = e.sub(x.const(x.size), c);
  const before = e.sub(c, x.const(1));
  return left
    ? { result: e.or(e.shl(a, c), e.shr(b, back)), cf: x.bit(e.shr(a, back), 0) }
    : { result: e.or(e.shr(a, c), e.shl(b, back)), cf: x.bit(e.shr(a, before), 0) };
};

export const SHIFT = family('shift', () => [
  ...forms('ROL', 0, effect(rol)),
  ...forms('ROR', 1, effect(ror)),
  ...forms('RCL', 2, effect(rcl, carryCount)),
  ...forms('RCR', 3, effect(rcr, carryCount)),
  ...forms('SHL', 4, whole('shl', shl)),
  ...forms('SHR', 5, whole('shr', shr)),
  // The manual leaves /6 out; processors execute it like /4.
  ...forms('SHL', 6, whole('shl', shl)),
  ...forms('SAR', 7, whole('sar', sar)),
  clause('SHLD r/mv, rv, imm8', '0F A4 /r ib', double(true)),
  clause('SHLD r/mv, rv, cl', '0F A5 /r', double(true)),
  clause('SHRD r/mv, rv, imm8', '0F AC /r ib', double(false)),
  clause('SHRD r/mv, rv, cl', '0F AD /r', double(false)),
]);
