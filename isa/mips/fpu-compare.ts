// Floating-point comparisons, and the branches and moves on their condition codes.

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { type D, FLOATS, operands, type S } from './fpu-format.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';

/**
 * The sixteen predicates in order of their cond field, whose bits say what makes them true: 1 unordered, 2 equal, 4 less.
 * Bit 3 makes quiet NaNs signal Invalid, which has no effect while exceptions are not enabled.
 */
const CONDITIONS = 'f un eq ueq olt ult ole ule sf ngle seq ngl lt nge le ngt'.split(' ');

function holds(m: Machine, cond: number, a: Value, b: Value): Value {
  const { e } = m;
  const unordered = cond & 1 ? e.floatCompare('funord', a, b) : m.i32(0);
  const less = cond & 4;
  const equal = cond & 2;
  if (!less && !equal) return unordered;
  const ordered = e.floatCompare(less ? (equal ? 'fle' : 'flt') : 'feq', a, b);
  return cond & 1 ? e.or(unordered, ordered) : ordered;
}

function compare(format: typeof S | typeof D, name: string, cond: number): Insn {
  const { suffix, fmt, type } = format;
  return insn(
    `c.${name}.${suffix} cc,fs,ft`,
    `010001 ${fmt} ft fs cc 00 11${cond.toString(2).padStart(4, '0')}`,
    (m, { cc, fs, ft }) => m.setCondition(cc, holds(m, cond, m.fpr(fs, type), m.fpr(ft, type))),
    { ...operands(format, 'fs', 'ft'), aliases: [[`c.${name}.${suffix} fs,ft`, { cc: 0 }]] },
  );
}

const isTrue = (m: Machine, cc: number): Value => m.condition(cc);
const isFalse = (m: Machine, cc: number): Value => m.isZero(m.condition(cc));

export const FPU_COMPARE = lazy((): readonly Insn[] => [
  ...FLOATS.flatMap((format) => CONDITIONS.map((name, cond) => compare(format, name, cond))),

  insn('bc1f cc,target', '010001 01000 cc 00 offset', (m, { cc, offset }) => m.branchIf(isFalse(m, cc), offset), {
    aliases: [['bc1f target', { cc: 0 }]],
  }),
  insn('bc1t cc,target', '010001 01000 cc 01 offset', (m, { cc, offset }) => m.branchIf(isTrue(m, cc), offset), {
    aliases: [['bc1t target', { cc: 0 }]],
  }),
  insn(
    'bc1fl cc,target',
    '010001 01000 cc 10 offset',
    (m, { cc, offset }) => m.branchLikelyIf(isFalse(m, cc), offset),
    {
      aliases: [['bc1fl target', { cc: 0 }]],
    },
  ),
  insn('bc1tl cc,target', '010001 01000 cc 11 offset', (m, { cc, offset }) => m.branchLikelyIf(isTrue(m, cc), offset), {
    aliases: [['bc1tl target', { cc: 0 }]],
  }),

  insn('movf rd,rs,cc', '000000 rs cc 00 rd 00000 000001', (m, { rd, rs, cc }) =>
    m.set(rd, m.e.select(m.condition(cc), m.gpr(rd), m.gpr(rs))),
  ),
  insn('movt rd,rs,cc', '000000 rs cc 01 rd 00000 000001', (m, { rd, rs, cc }) =>
    m.set(rd, m.e.select(m.condition(cc), m.gpr(rs), m.gpr(rd))),
  ),
  ...FLOATS.flatMap((format) => {
    const { suffix, fmt, type } = format;
    return [
      insn(
        `movf.${suffix} fd,fs,cc`,
        `010001 ${fmt} cc 00 fs fd 010001`,
        (m, { fd, fs, cc }) => m.setFpr(fd, m.e.select(m.condition(cc), m.fpr(fd, type), m.fpr(fs, type))),
        operands(format, 'fd', 'fs'),
      ),
      insn(
        `movt.${suffix} fd,fs,cc`,
        `010001 ${fmt} cc 01 fs fd 010001`,
        (m, { fd, fs, cc }) => m.setFpr(fd, m.e.select(m.condition(cc), m.fpr(fs, type), m.fpr(fd, type))),
        operands(format, 'fd', 'fs'),
      ),
    ];
  }),
]);
