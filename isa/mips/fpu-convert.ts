// Conversions between binary32, binary64 and integers held in FPU registers.

import type { Rounding, Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { D, FLOATS, L, S, W } from './fpu-format.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';
import type { Funct } from './pattern.ts';

type Float = typeof S | typeof D;
type Fixed = typeof W | typeof L;
type Any = Float | Fixed;

/** What an unrepresentable value becomes with the invalid exception disabled (MIPS64 vol. I, 6.7.2, FCSR.NAN2008 = 0). */
const INVALID: Readonly<Record<'i32' | 'i64', bigint>> = { i32: 0x7fffffffn, i64: 0x7fffffffffffffffn };

function convert(name: string, from: Any, to: Any, funct: Funct, effect: (m: Machine, a: Value) => Value): Insn {
  const pairs: ('fd' | 'fs')[] = [];
  if (to.type === 'i64') pairs.push('fd');
  if (from.type === 'i64') pairs.push('fs');
  // The long format needs 64-bit FPRs.
  const long = from === L || to === L;
  return insn(
    `${name}.${from.suffix} fd,fs`,
    `010001 ${from.fmt} 00000 fs fd ${funct}`,
    (m, { fd, fs }) => m.setFpr(fd, effect(m, m.fpr(fs, from.type))),
    long ? { width: 64, pairs } : { pairs },
  );
}

function toFixed(name: string, from: Float, to: Fixed, funct: Funct, rounding: Rounding): Insn {
  return convert(`${name}.${to.suffix}`, from, to, funct, (m, a) =>
    m.e.floatToInt(a, rounding, to.type, INVALID[to.type]),
  );
}

/** CVT.W and CVT.L round as FCSR.RM says: 0 nearest, 1 to zero, 2 up, 3 down. */
function roundedByMode(m: Machine, a: Value, { type }: Fixed): Value {
  const { e } = m;
  const fcr31 = e.get(m.regs.fcr31);
  const as = (rounding: Rounding): Value => e.floatToInt(a, rounding, type, INVALID[type]);
  const bit = (n: number): Value => e.and(fcr31, m.i32(1 << n));
  return e.select(bit(1), e.select(bit(0), as('floor'), as('ceil')), e.select(bit(0), as('zero'), as('nearest')));
}

export const FPU_CONVERT = lazy((): readonly Insn[] => [
  ...FLOATS.flatMap((from) => [
    toFixed('round', from, L, '001000', 'nearest'),
    toFixed('trunc', from, L, '001001', 'zero'),
    toFixed('ceil', from, L, '001010', 'ceil'),
    toFixed('floor', from, L, '001011', 'floor'),
    toFixed('round', from, W, '001100', 'nearest'),
    toFixed('trunc', from, W, '001101', 'zero'),
    toFixed('ceil', from, W, '001110', 'ceil'),
    toFixed('floor', from, W, '001111', 'floor'),
    convert('cvt.w', from, W, '100100', (m, a) => roundedByMode(m, a, W)),
    convert('cvt.l', from, L, '100101', (m, a) => roundedByMode(m, a, L)),
  ]),
  convert('cvt.s', D, S, '100000', (m, a) => m.e.narrow(a)),
  convert('cvt.d', S, D, '100001', (m, a) => m.e.widen(a)),
  ...[W, L].flatMap((from) => [
    convert('cvt.s', from, S, '100000', (m, a) => m.e.intToFloat(a, 'i32')),
    convert('cvt.d', from, D, '100001', (m, a) => m.e.intToFloat(a, 'i64')),
  ]),
]);
