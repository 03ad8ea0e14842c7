// Moves of the FPU: between registers, to and from general and control registers, and to and from memory.

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { FLOATS, operands } from './fpu-format.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';

/** FIR: formats S, D, W, L and 64-bit registers; the processor number of a 24Kf, of a 5KEf on 64-bit targets. */
const FIR = { 32: 0x00739300, 64: 0x00738900 } as const;

/** Bits of FCSR (MIPS64 vol. I, 5.6.2) that software can write, and those that its partial views show. */
const FCSR_WRITABLE = 0xff83ffff;
const CONDITION_CODES = 0xfe800000;
const CAUSES_AND_FLAGS = 0x0003f07c;
const ENABLES_AND_RM = 0x00000f83;
const FLUSH = 0x01000000;

/** Distances between FCSR and its views: condition codes 1–7, condition code 0, FS. */
const FCC_SHIFT = 24;
const FCC0_SHIFT = 23;
const FS_SHIFT = 22;

/** What CFC1 reads. Other numbers are UNPREDICTABLE; QEMU gives FCSR. */
function controlRegister(m: Machine, number: number): Value {
  const { e } = m;
  const fcsr = () => e.get(m.regs.fcr31);
  const shifted = (count: number, mask: number) => e.and(e.shr(fcsr(), m.i32(count)), m.i32(mask));
  switch (number) {
    case 0:
      return m.i32(FIR[e.variant.width]);
    case 25: // FCCR
      return e.or(shifted(FCC_SHIFT, 0xfe), shifted(FCC0_SHIFT, 1));
    case 26: // FEXR
      return e.and(fcsr(), m.i32(CAUSES_AND_FLAGS));
    case 28: // FENR
      return e.or(e.and(fcsr(), m.i32(ENABLES_AND_RM)), shifted(FS_SHIFT, FLUSH >>> FS_SHIFT));
    default:
      return fcsr();
  }
}

/** What FCSR becomes by CTC1; `undefined` where it stays. */
function controlWritten(m: Machine, number: number, value: Value): Value | undefined {
  const { e } = m;
  const merged = (mask: number, bits: Value) =>
    e.or(e.and(e.get(m.regs.fcr31), m.i32(~mask)), e.and(bits, m.i32(mask)));
  const shifted = (count: number, mask: number) => e.and(e.shl(value, m.i32(count)), m.i32(mask));
  switch (number) {
    case 25:
      return merged(CONDITION_CODES, e.or(shifted(FCC_SHIFT, 0xfe000000), shifted(FCC0_SHIFT, 1 << FCC0_SHIFT)));
    case 26:
      return merged(CAUSES_AND_FLAGS, value);
    case 28:
      return merged(ENABLES_AND_RM | FLUSH, e.or(e.and(value, m.i32(ENABLES_AND_RM)), shifted(FS_SHIFT, FLUSH)));
    case 31:
      return e.and(value, m.i32(FCSR_WRITABLE));
    default:
      return undefined;
  }
}

const loadWord = (m: Machine, address: Value): Value => m.e.load(4, address, 'i32', { align: 'natural' });
const loadDouble = (m: Machine, address: Value): Value => m.e.load(8, address, 'i64', { align: 'natural' });
const indexed = (m: Machine, base: number, index: number): Value => m.e.add(m.gpr(base), m.gpr(index));
/** LUXC1 and SUXC1 ignore the low three bits of the address. */
const rounded = (m: Machine, address: Value): Value => m.e.and(address, m.word(-8));

export const FPU_MOVE = lazy((): readonly Insn[] => [
  // Between FPU registers
  ...FLOATS.flatMap((format) => {
    const { suffix, fmt, type } = format;
    return [
      insn(
        `mov.${suffix} fd,fs`,
        `010001 ${fmt} 00000 fs fd 000110`,
        (m, { fd, fs }) => m.setFpr(fd, m.fpr(fs, type)),
        operands(format, 'fd', 'fs'),
      ),
      insn(
        `movz.${suffix} fd,fs,rt`,
        `010001 ${fmt} rt fs fd 010010`,
        (m, { fd, fs, rt }) => m.setFpr(fd, m.e.select(m.isZero(m.gpr(rt)), m.fpr(fs, type), m.fpr(fd, type))),
        operands(format, 'fd', 'fs'),
      ),
      insn(
        `movn.${suffix} fd,fs,rt`,
        `010001 ${fmt} rt fs fd 010011`,
        (m, { fd, fs, rt }) => m.setFpr(fd, m.e.select(m.isZero(m.gpr(rt)), m.fpr(fd, type), m.fpr(fs, type))),
        operands(format, 'fd', 'fs'),
      ),
    ];
  }),

  // With general and control registers
  insn('mfc1 rt,fs', '010001 00000 rt fs 00000000000', (m, { rt, fs }) => m.setLow(rt, m.fpr(fs, 'i32'))),
  insn('dmfc1 rt,fs', '010001 00001 rt fs 00000000000', (m, { rt, fs }) => m.set(rt, m.fpr(fs, 'i64')), { width: 64 }),
  insn('cfc1 rt,fcr', '010001 00010 rt fs 00000000000', (m, { rt, fs }) => m.setLow(rt, controlRegister(m, fs))),
  insn('mfhc1 rt,fs', '010001 00011 rt fs 00000000000', (m, { rt, fs }) => m.setLow(rt, m.fprHigh(fs))),
  insn('mtc1 rt,fs', '010001 00100 rt fs 00000000000', (m, { rt, fs }) => m.setFpr(fs, m.low(rt))),
  insn('dmtc1 rt,fs', '010001 00101 rt fs 00000000000', (m, { rt, fs }) => m.setFpr(fs, m.gpr(rt)), { width: 64 }),
  insn('ctc1 rt,fcr', '010001 00110 rt fs 00000000000', (m, { rt, fs }) => {
    const value = controlWritten(m, fs, m.low(rt));
    if (value !== undefined) m.e.set(m.regs.fcr31, value);
  }),
  insn('mthc1 rt,fs', '010001 00111 rt fs 00000000000', (m, { rt, fs }) => m.setFprHigh(fs, m.low(rt))),

  // With memory
  insn('lwc1 ft,offset(base)', '110001 base ft offset', (m, { base, ft, offset }) =>
    m.setFpr(ft, loadWord(m, m.address(base, offset))),
  ),
  insn(
    'ldc1 ft,offset(base)',
    '110101 base ft offset',
    (m, { base, ft, offset }) => m.setFpr(ft, loadDouble(m, m.address(base, offset))),
    { pairs: ['ft'] },
  ),
  insn('swc1 ft,offset(base)', '111001 base ft offset', (m, { base, ft, offset }) =>
    m.e.store(4, m.address(base, offset), m.fpr(ft, 'i32'), { align: 'natural' }),
  ),
  insn(
    'sdc1 ft,offset(base)',
    '111101 base ft offset',
    (m, { base, ft, offset }) => m.e.store(8, m.address(base, offset), m.fpr(ft, 'i64'), { align: 'natural' }),
    { pairs: ['ft'] },
  ),
  insn('lwxc1 fd,index(base)', '010011 base index 00000 fd 000000', (m, { base, index, fd }) =>
    m.setFpr(fd, loadWord(m, indexed(m, base, index))),
  ),
  insn(
    'ldxc1 fd,index(base)',
    '010011 base index 00000 fd 000001',
    (m, { base, index, fd }) => m.setFpr(fd, loadDouble(m, indexed(m, base, index))),
    { pairs: ['fd'] },
  ),
  insn(
    'luxc1 fd,index(base)',
    '010011 base index 00000 fd 000101',
    (m, { base, index, fd }) => m.setFpr(fd, loadDouble(m, rounded(m, indexed(m, base, index)))),
    { width: 64 },
  ),
  insn('swxc1 fs,index(base)', '010011 base index fs 00000 001000', (m, { base, index, fs }) =>
    m.e.store(4, indexed(m, base, index), m.fpr(fs, 'i32'), { align: 'natural' }),
  ),
  insn(
    'sdxc1 fs,index(base)',
    '010011 base index fs 00000 001001',
    (m, { base, index, fs }) => m.e.store(8, indexed(m, base, index), m.fpr(fs, 'i64'), { align: 'natural' }),
    { pairs: ['fs'] },
  ),
  insn(
    'suxc1 fs,index(base)',
    '010011 base index fs 00000 001101',
    (m, { base, index, fs }) =>
      m.e.store(8, rounded(m, indexed(m, base, index)), m.fpr(fs, 'i64'), { align: 'natural' }),
    { width: 64 },
  ),
  insn('prefx hint,index(base)', '010011 base index hint 00000 001111', () => {}),
]);
