// Floating-point arithmetic (COP1 and COP1X).
//
// Results are rounded to nearest whatever FCSR.RM says, subnormals are never flushed, and neither cause bits nor flags are set nor
// enabled exceptions taken: Go's runtime leaves FCSR as Linux sets it, 0, and never reads the flags.

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { type D, FLOATS, operands, type S } from './fpu-format.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';
import type { Funct } from './pattern.ts';

type Format = typeof S | typeof D;

const ONE: Readonly<Record<'i32' | 'i64', bigint>> = { i32: 0x3f800000n, i64: 0x3ff0000000000000n };
const SIGN: Readonly<Record<'i32' | 'i64', bigint>> = { i32: 0x80000000n, i64: 0x8000000000000000n };

const one = (m: Machine, { type }: Format): Value => m.e.const(type, ONE[type]);
const sign = (m: Machine, { type }: Format): Value => m.e.const(type, SIGN[type]);

/** Changes the sign of anything, NaNs included, as QEMU does for FCSR.ABS2008 = 0. */
const negate = (m: Machine, format: Format, a: Value): Value => m.e.xor(a, sign(m, format));

function binary(format: Format, name: 'add' | 'sub' | 'mul' | 'div', funct: Funct): Insn {
  const { suffix, fmt, type } = format;
  return insn(
    `${name}.${suffix} fd,fs,ft`,
    `010001 ${fmt} ft fs fd ${funct}`,
    (m, { fd, fs, ft }) => m.setFpr(fd, m.e.float(`f${name}`, m.fpr(fs, type), m.fpr(ft, type))),
    operands(format, 'fd', 'fs', 'ft'),
  );
}

function unary(format: Format, name: string, funct: Funct, effect: (m: Machine, a: Value) => Value): Insn {
  const { suffix, fmt, type } = format;
  return insn(
    `${name}.${suffix} fd,fs`,
    `010001 ${fmt} 00000 fs fd ${funct}`,
    (m, { fd, fs }) => m.setFpr(fd, effect(m, m.fpr(fs, type))),
    operands(format, 'fd', 'fs'),
  );
}

/** Multiply and add, each rounded: the cores of release 2 that Linux runs on do not fuse. The sign is changed last. */
function multiplyAdd(format: Format, name: string, op: string, sum: 'fadd' | 'fsub', negated: boolean): Insn {
  const { suffix, fmt3, type } = format;
  return insn(
    `${name}.${suffix} fd,fr,fs,ft`,
    `010011 fr ft fs fd ${op}${fmt3}`,
    (m, { fd, fr, fs, ft }) => {
      const product = m.e.float('fmul', m.fpr(fs, type), m.fpr(ft, type));
      const result = m.e.float(sum, product, m.fpr(fr, type));
      m.setFpr(fd, negated ? negate(m, format, result) : result);
    },
    operands(format, 'fd', 'fr', 'fs', 'ft'),
  );
}

export const FPU_ARITH = lazy((): readonly Insn[] =>
  FLOATS.flatMap((format) => [
    binary(format, 'add', '000000'),
    binary(format, 'sub', '000001'),
    binary(format, 'mul', '000010'),
    binary(format, 'div', '000011'),
    unary(format, 'sqrt', '000100', (m, a) => m.e.fsqrt(a)),
    unary(format, 'abs', '000101', (m, a) => m.e.and(a, m.e.not(sign(m, format)))),
    unary(format, 'neg', '000111', (m, a) => negate(m, format, a)),
    unary(format, 'recip', '010101', (m, a) => m.e.float('fdiv', one(m, format), a)),
    unary(format, 'rsqrt', '010110', (m, a) => m.e.float('fdiv', one(m, format), m.e.fsqrt(a))),
    multiplyAdd(format, 'madd', '100', 'fadd', false),
    multiplyAdd(format, 'msub', '101', 'fsub', false),
    multiplyAdd(format, 'nmadd', '110', 'fadd', true),
    multiplyAdd(format, 'nmsub', '111', 'fsub', true),
  ]),
);
