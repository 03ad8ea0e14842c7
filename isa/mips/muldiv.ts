// Multiplication and division: the HI and LO registers.

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';

type Extend = (value: Value) => Value;

function setHiLo(m: Machine, hi: Value, lo: Value): void {
  m.e.set(m.regs.hi, hi);
  m.e.set(m.regs.lo, lo);
}

/** The 64-bit product of two registers' low halves. */
function product(m: Machine, rs: number, rt: number, extend: Extend): Value {
  return m.e.mul(extend(m.low(rs)), extend(m.low(rt)));
}

/** A 64-bit value into HI and LO, 32 bits each. */
function setSplit(m: Machine, value: Value): void {
  const { e } = m;
  setHiLo(m, m.widened(e.wrap(e.shr(value, m.i64(32)))), m.widened(e.wrap(value)));
}

/** HI and LO as one 64-bit value, the low 32 bits of each. */
function accumulator(m: Machine): Value {
  const { e, regs } = m;
  const hi = m.narrowed(e.get(regs.hi));
  const lo = m.narrowed(e.get(regs.lo));
  return e.or(e.shl(e.extendU(hi), m.i64(32)), e.extendU(lo));
}

// A divisor of 0 leaves HI and LO UNPREDICTABLE and does not trap: compilers put a TEQ beside the division.
function divide(m: Machine, quotient: 'divs' | 'divu', remainder: 'rems' | 'remu', a: Value, b: Value): void {
  const { e } = m;
  setHiLo(m, m.toWord(e.binary(remainder, a, b)), m.toWord(e.binary(quotient, a, b)));
}

export const MULDIV = lazy((): readonly Insn[] => [
  insn('mult rs,rt', '000000 rs rt 0000000000 011000', (m, { rs, rt }) =>
    setSplit(
      m,
      product(m, rs, rt, (v) => m.e.extendS(v)),
    ),
  ),
  insn('multu rs,rt', '000000 rs rt 0000000000 011001', (m, { rs, rt }) =>
    setSplit(
      m,
      product(m, rs, rt, (v) => m.e.extendU(v)),
    ),
  ),
  insn('div rs,rt', '000000 rs rt 0000000000 011010', (m, { rs, rt }) =>
    divide(m, 'divs', 'rems', m.low(rs), m.low(rt)),
  ),
  insn('divu rs,rt', '000000 rs rt 0000000000 011011', (m, { rs, rt }) =>
    divide(m, 'divu', 'remu', m.low(rs), m.low(rt)),
  ),
  insn(
    'dmult rs,rt',
    '000000 rs rt 0000000000 011100',
    (m, { rs, rt }) => setHiLo(m, m.e.binary('mulhs', m.gpr(rs), m.gpr(rt)), m.e.mul(m.gpr(rs), m.gpr(rt))),
    { width: 64 },
  ),
  insn(
    'dmultu rs,rt',
    '000000 rs rt 0000000000 011101',
    (m, { rs, rt }) => setHiLo(m, m.e.binary('mulhu', m.gpr(rs), m.gpr(rt)), m.e.mul(m.gpr(rs), m.gpr(rt))),
    { width: 64 },
  ),
  insn(
    'ddiv rs,rt',
    '000000 rs rt 0000000000 011110',
    (m, { rs, rt }) => divide(m, 'divs', 'rems', m.gpr(rs), m.gpr(rt)),
    {
      width: 64,
    },
  ),
  insn(
    'ddivu rs,rt',
    '000000 rs rt 0000000000 011111',
    (m, { rs, rt }) => divide(m, 'divu', 'remu', m.gpr(rs), m.gpr(rt)),
    {
      width: 64,
    },
  ),

  insn('madd rs,rt', '011100 rs rt 0000000000 000000', (m, { rs, rt }) =>
    setSplit(
      m,
      m.e.add(
        accumulator(m),
        product(m, rs, rt, (v) => m.e.extendS(v)),
      ),
    ),
  ),
  insn('maddu rs,rt', '011100 rs rt 0000000000 000001', (m, { rs, rt }) =>
    setSplit(
      m,
      m.e.add(
        accumulator(m),
        product(m, rs, rt, (v) => m.e.extendU(v)),
      ),
    ),
  ),
  // MUL leaves HI and LO UNPREDICTABLE; cores and QEMU keep them.
  insn('mul rd,rs,rt', '011100 rs rt rd 00000 000010', (m, { rd, rs, rt }) =>
    m.setLow(rd, m.e.mul(m.low(rs), m.low(rt))),
  ),
  insn('msub rs,rt', '011100 rs rt 0000000000 000100', (m, { rs, rt }) =>
    setSplit(
      m,
      m.e.sub(
        accumulator(m),
        product(m, rs, rt, (v) => m.e.extendS(v)),
      ),
    ),
  ),
  insn('msubu rs,rt', '011100 rs rt 0000000000 000101', (m, { rs, rt }) =>
    setSplit(
      m,
      m.e.sub(
        accumulator(m),
        product(m, rs, rt, (v) => m.e.extendU(v)),
      ),
    ),
  ),

  insn('mfhi rd', '000000 0000000000 rd 00000 010000', (m, { rd }) => m.set(rd, m.e.get(m.regs.hi))),
  insn('mthi rs', '000000 rs 000000000000000 010001', (m, { rs }) => m.e.set(m.regs.hi, m.gpr(rs))),
  insn('mflo rd', '000000 0000000000 rd 00000 010010', (m, { rd }) => m.set(rd, m.e.get(m.regs.lo))),
  insn('mtlo rs', '000000 rs 000000000000000 010011', (m, { rs }) => m.e.set(m.regs.lo, m.gpr(rs))),
]);
