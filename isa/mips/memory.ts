// Loads and stores of general registers, whole and in unaligned halves. LL and SC stand in atomic.ts, the FPU's in fpu-move.ts.

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';

/** The unaligned pair: `left` reaches the most significant byte of the register, `right` the least. */
type Side = 'left' | 'right';

interface Partial {
  /** The aligned unit that holds the addressed byte. */
  readonly address: Value;
  /** How far the unit's bytes are shifted towards the register's left or right end; of the unit's type. */
  readonly shift: Value;
}

/**
 * Where LWL, LWR and their relatives look. Byte order matters here and in no other clause: the number of the addressed byte,
 * counted from the most significant one, is what the address says on a big-endian target and its complement on a little-endian one.
 */
function partial(m: Machine, side: Side, bytes: 4 | 8, base: number, offset: number): Partial {
  const { e } = m;
  const address = m.address(base, offset);
  const low = e.and(m.narrowed(address), m.i32(bytes - 1));
  const fromLeft = e.variant.bigEndian === (side === 'left');
  const byte = fromLeft ? low : e.xor(low, m.i32(bytes - 1));
  const shift = e.shl(byte, m.i32(3));
  return { address: e.and(address, m.word(-bytes)), shift: bytes === 8 ? e.extendU(shift) : shift };
}

const ones = (m: Machine, bytes: 4 | 8): Value => (bytes === 8 ? m.i64(-1) : m.i32(-1));
const typeOf = (bytes: 4 | 8) => (bytes === 8 ? 'i64' : 'i32');

/** Bytes from memory shifted to one end of the register, the register's own bytes at the other. */
function loadPartial(m: Machine, side: Side, bytes: 4 | 8, rt: number, base: number, offset: number): void {
  const { e } = m;
  const { address, shift } = partial(m, side, bytes, base, offset);
  const memory = e.load(bytes, address, typeOf(bytes), { align: 'natural' });
  const old = bytes === 8 ? m.gpr(rt) : m.low(rt);
  const move = side === 'left' ? e.shl(memory, shift) : e.shr(memory, shift);
  const mask = side === 'left' ? e.shl(ones(m, bytes), shift) : e.shr(ones(m, bytes), shift);
  // On MIPS64, LWR that does not load the sign bit may keep the upper half or extend bit 31; QEMU and most cores extend.
  m.set(rt, m.toWord(e.or(move, e.and(old, e.not(mask)))));
}

/** One end of the register into a part of the aligned unit; the unit's other bytes are stored back as they were. */
function storePartial(m: Machine, side: Side, bytes: 4 | 8, rt: number, base: number, offset: number): void {
  const { e } = m;
  const { address, shift } = partial(m, side, bytes, base, offset);
  const memory = e.load(bytes, address, typeOf(bytes), { align: 'natural' });
  const value = bytes === 8 ? m.gpr(rt) : m.low(rt);
  const move = side === 'left' ? e.shr(value, shift) : e.shl(value, shift);
  const mask = side === 'left' ? e.shr(ones(m, bytes), shift) : e.shl(ones(m, bytes), shift);
  e.store(bytes, address, e.or(move, e.and(memory, e.not(mask))), { align: 'natural' });
}

export const MEMORY = lazy((): readonly Insn[] => [
  insn('lb rt,offset(base)', '100000 base rt offset', (m, { base, rt, offset }) =>
    m.setLow(rt, m.e.unary('sext8', m.e.load(1, m.address(base, offset), 'i32'))),
  ),
  insn('lbu rt,offset(base)', '100100 base rt offset', (m, { base, rt, offset }) =>
    m.setLow(rt, m.e.load(1, m.address(base, offset), 'i32')),
  ),
  insn('lh rt,offset(base)', '100001 base rt offset', (m, { base, rt, offset }) =>
    m.setLow(rt, m.e.unary('sext16', m.e.load(2, m.address(base, offset), 'i32', { align: 'natural' }))),
  ),
  insn('lhu rt,offset(base)', '100101 base rt offset', (m, { base, rt, offset }) =>
    m.setLow(rt, m.e.load(2, m.address(base, offset), 'i32', { align: 'natural' })),
  ),
  insn('lw rt,offset(base)', '100011 base rt offset', (m, { base, rt, offset }) =>
    m.setLow(rt, m.e.load(4, m.address(base, offset), 'i32', { align: 'natural' })),
  ),
  insn(
    'lwu rt,offset(base)',
    '100111 base rt offset',
    (m, { base, rt, offset }) => m.set(rt, m.e.load(4, m.address(base, offset), 'i64', { align: 'natural' })),
    { width: 64 },
  ),
  insn(
    'ld rt,offset(base)',
    '110111 base rt offset',
    (m, { base, rt, offset }) => m.set(rt, m.e.load(8, m.address(base, offset), 'i64', { align: 'natural' })),
    { width: 64 },
  ),
  insn('sb rt,offset(base)', '101000 base rt offset', (m, { base, rt, offset }) =>
    m.e.store(1, m.address(base, offset), m.low(rt)),
  ),
  insn('sh rt,offset(base)', '101001 base rt offset', (m, { base, rt, offset }) =>
    m.e.store(2, m.address(base, offset), m.low(rt), { align: 'natural' }),
  ),
  insn('sw rt,offset(base)', '101011 base rt offset', (m, { base, rt, offset }) =>
    m.e.store(4, m.address(base, offset), m.low(rt), { align: 'natural' }),
  ),
  insn(
    'sd rt,offset(base)',
    '111111 base rt offset',
    (m, { base, rt, offset }) => m.e.store(8, m.address(base, offset), m.gpr(rt), { align: 'natural' }),
    { width: 64 },
  ),

  insn('lwl rt,offset(base)', '100010 base rt offset', (m, { base, rt, offset }) =>
    loadPartial(m, 'left', 4, rt, base, offset),
  ),
  insn('lwr rt,offset(base)', '100110 base rt offset', (m, { base, rt, offset }) =>
    loadPartial(m, 'right', 4, rt, base, offset),
  ),
  insn('swl rt,offset(base)', '101010 base rt offset', (m, { base, rt, offset }) =>
    storePartial(m, 'left', 4, rt, base, offset),
  ),
  insn('swr rt,offset(base)', '101110 base rt offset', (m, { base, rt, offset }) =>
    storePartial(m, 'right', 4, rt, base, offset),
  ),
  insn(
    'ldl rt,offset(base)',
    '011010 base rt offset',
    (m, { base, rt, offset }) => loadPartial(m, 'left', 8, rt, base, offset),
    { width: 64 },
  ),
  insn(
    'ldr rt,offset(base)',
    '011011 base rt offset',
    (m, { base, rt, offset }) => loadPartial(m, 'right', 8, rt, base, offset),
    { width: 64 },
  ),
  insn(
    'sdl rt,offset(base)',
    '101100 base rt offset',
    (m, { base, rt, offset }) => storePartial(m, 'left', 8, rt, base, offset),
    { width: 64 },
  ),
  insn(
    'sdr rt,offset(base)',
    '101101 base rt offset',
    (m, { base, rt, offset }) => storePartial(m, 'right', 8, rt, base, offset),
    { width: 64 },
  ),

  // Hints. Caches are not modelled, and stores to code are noticed without SYNCI.
  insn('pref hint,offset(base)', '110011 base hint offset', () => {}),
  insn('synci offset(base)', '000001 base 11111 offset', () => {}),
]);
