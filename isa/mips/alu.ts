// Integer arithmetic, logic, shifts, conditional moves and bit fields (MIPS64 vol. II, release 2).

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';

const nor = (m: Machine, a: Value, b: Value): Value => m.e.not(m.e.or(a, b));

/** Exchanges neighbouring groups of `bits` bits; `mask` covers every second group. */
function swapGroups(m: Machine, value: Value, bits: number, mask: bigint): Value {
  const { e } = m;
  const type = value.type === 'i64' ? 'i64' : 'i32';
  const count = e.const(type, bits);
  const even = e.const(type, type === 'i64' ? mask : mask & 0xffffffffn);
  return e.or(e.shl(e.and(value, even), count), e.and(e.shr(value, count), even));
}
const swapBytes = (m: Machine, value: Value): Value => swapGroups(m, value, 8, 0x00ff00ff00ff00ffn);
const swapHalves = (m: Machine, value: Value): Value => swapGroups(m, value, 16, 0x0000ffff0000ffffn);

/** `size` bits of the value from `position` up. Of fields that reach beyond the operand the manual says UNPREDICTABLE; QEMU traps. */
function extractField(m: Machine, value: Value, position: number, size: number): Value {
  const { e } = m;
  const type = value.type === 'i64' ? 'i64' : 'i32';
  if (position + size > (type === 'i64' ? 64 : 32)) e.trap('illegal');
  return e.and(e.shr(value, e.const(type, position)), e.const(type, (1n << BigInt(size)) - 1n));
}

/** `into` with `size` bits of `value` at `position`. A field with its top below its bottom traps, as in QEMU. */
function insertField(m: Machine, into: Value, value: Value, position: number, size: number): Value {
  const { e } = m;
  if (size <= 0) {
    e.trap('illegal');
    return into;
  }
  const type = value.type === 'i64' ? 'i64' : 'i32';
  const mask = ((1n << BigInt(size)) - 1n) << BigInt(position);
  const placed = e.and(e.shl(value, e.const(type, position)), e.const(type, mask));
  return e.or(e.and(into, e.not(e.const(type, mask))), placed);
}

export const ALU = lazy((): readonly Insn[] => [
  // Arithmetic
  insn('add rd,rs,rt', '000000 rs rt rd 00000 100000', (m, { rd, rs, rt }) =>
    m.setLow(rd, m.addTrapping(m.low(rs), m.low(rt))),
  ),
  insn(
    'addu rd,rs,rt',
    '000000 rs rt rd 00000 100001',
    (m, { rd, rs, rt }) => m.setLow(rd, m.e.add(m.low(rs), m.low(rt))),
    { aliases: [['move rd,rs', { rt: 0 }]] },
  ),
  insn('addi rt,rs,immediate', '001000 rs rt immediate', (m, { rs, rt, immediate }) =>
    m.setLow(rt, m.addTrapping(m.low(rs), m.i32(immediate))),
  ),
  insn(
    'addiu rt,rs,immediate',
    '001001 rs rt immediate',
    (m, { rs, rt, immediate }) => m.setLow(rt, m.e.add(m.low(rs), m.i32(immediate))),
    { aliases: [['li rt,immediate', { rs: 0 }]] },
  ),
  insn('sub rd,rs,rt', '000000 rs rt rd 00000 100010', (m, { rd, rs, rt }) =>
    m.setLow(rd, m.subTrapping(m.low(rs), m.low(rt))),
  ),
  insn(
    'subu rd,rs,rt',
    '000000 rs rt rd 00000 100011',
    (m, { rd, rs, rt }) => m.setLow(rd, m.e.sub(m.low(rs), m.low(rt))),
    { aliases: [['negu rd,rt', { rs: 0 }]] },
  ),
  insn(
    'dadd rd,rs,rt',
    '000000 rs rt rd 00000 101100',
    (m, { rd, rs, rt }) => m.set(rd, m.addTrapping(m.gpr(rs), m.gpr(rt))),
    { width: 64 },
  ),
  insn(
    'daddu rd,rs,rt',
    '000000 rs rt rd 00000 101101',
    (m, { rd, rs, rt }) => m.set(rd, m.e.add(m.gpr(rs), m.gpr(rt))),
    { width: 64, aliases: [['move rd,rs', { rt: 0 }]] },
  ),
  insn(
    'daddi rt,rs,immediate',
    '011000 rs rt immediate',
    (m, { rs, rt, immediate }) => m.set(rt, m.addTrapping(m.gpr(rs), m.i64(immediate))),
    { width: 64 },
  ),
  insn(
    'daddiu rt,rs,immediate',
    '011001 rs rt immediate',
    (m, { rs, rt, immediate }) => m.set(rt, m.e.add(m.gpr(rs), m.i64(immediate))),
    { width: 64, aliases: [['dli rt,immediate', { rs: 0 }]] },
  ),
  insn(
    'dsub rd,rs,rt',
    '000000 rs rt rd 00000 101110',
    (m, { rd, rs, rt }) => m.set(rd, m.subTrapping(m.gpr(rs), m.gpr(rt))),
    { width: 64 },
  ),
  insn(
    'dsubu rd,rs,rt',
    '000000 rs rt rd 00000 101111',
    (m, { rd, rs, rt }) => m.set(rd, m.e.sub(m.gpr(rs), m.gpr(rt))),
    { width: 64, aliases: [['dnegu rd,rt', { rs: 0 }]] },
  ),
  insn('slt rd,rs,rt', '000000 rs rt rd 00000 101010', (m, { rd, rs, rt }) =>
    m.setBool(rd, m.e.lts(m.gpr(rs), m.gpr(rt))),
  ),
  insn('sltu rd,rs,rt', '000000 rs rt rd 00000 101011', (m, { rd, rs, rt }) =>
    m.setBool(rd, m.e.ltu(m.gpr(rs), m.gpr(rt))),
  ),
  insn('slti rt,rs,immediate', '001010 rs rt immediate', (m, { rs, rt, immediate }) =>
    m.setBool(rt, m.e.lts(m.gpr(rs), m.word(immediate))),
  ),
  insn('sltiu rt,rs,immediate', '001011 rs rt immediate', (m, { rs, rt, immediate }) =>
    m.setBool(rt, m.e.ltu(m.gpr(rs), m.word(immediate))),
  ),
  insn('clz rd,rs', '011100 rs rt rd 00000 100000', (m, { rd, rs }) => m.setLow(rd, m.e.unary('clz', m.low(rs)))),
  insn('clo rd,rs', '011100 rs rt rd 00000 100001', (m, { rd, rs }) =>
    m.setLow(rd, m.e.unary('clz', m.e.not(m.low(rs)))),
  ),
  insn('dclz rd,rs', '011100 rs rt rd 00000 100100', (m, { rd, rs }) => m.set(rd, m.e.unary('clz', m.gpr(rs))), {
    width: 64,
  }),
  insn(
    'dclo rd,rs',
    '011100 rs rt rd 00000 100101',
    (m, { rd, rs }) => m.set(rd, m.e.unary('clz', m.e.not(m.gpr(rs)))),
    {
      width: 64,
    },
  ),

  // Logic
  insn('and rd,rs,rt', '000000 rs rt rd 00000 100100', (m, { rd, rs, rt }) => m.set(rd, m.e.and(m.gpr(rs), m.gpr(rt)))),
  insn(
    'or rd,rs,rt',
    '000000 rs rt rd 00000 100101',
    (m, { rd, rs, rt }) => m.set(rd, rt === 0 ? m.gpr(rs) : m.e.or(m.gpr(rs), m.gpr(rt))),
    { aliases: [['move rd,rs', { rt: 0 }]] },
  ),
  insn('xor rd,rs,rt', '000000 rs rt rd 00000 100110', (m, { rd, rs, rt }) => m.set(rd, m.e.xor(m.gpr(rs), m.gpr(rt)))),
  insn('nor rd,rs,rt', '000000 rs rt rd 00000 100111', (m, { rd, rs, rt }) => m.set(rd, nor(m, m.gpr(rs), m.gpr(rt))), {
    aliases: [['not rd,rs', { rt: 0 }]],
  }),
  insn('andi rt,rs,unsigned', '001100 rs rt unsigned', (m, { rs, rt, unsigned }) =>
    m.set(rt, m.e.and(m.gpr(rs), m.word(unsigned))),
  ),
  insn(
    'ori rt,rs,unsigned',
    '001101 rs rt unsigned',
    (m, { rs, rt, unsigned }) => m.set(rt, m.e.or(m.gpr(rs), m.word(unsigned))),
    { aliases: [['li rt,unsigned', { rs: 0 }]] },
  ),
  insn('xori rt,rs,unsigned', '001110 rs rt unsigned', (m, { rs, rt, unsigned }) =>
    m.set(rt, m.e.xor(m.gpr(rs), m.word(unsigned))),
  ),
  insn('lui rt,unsigned', '001111 00000 rt unsigned', (m, { rt, unsigned }) => m.setLow(rt, m.i32(unsigned << 16))),

  // Shifts
  insn(
    'sll rd,rt,sa',
    '000000 00000 rt rd sa 000000',
    (m, { rd, rt, sa }) => m.setLow(rd, m.e.shl(m.low(rt), m.i32(sa))),
    {
      aliases: [
        ['nop', { rd: 0, rt: 0, sa: 0 }],
        ['ssnop', { rd: 0, rt: 0, sa: 1 }],
        ['ehb', { rd: 0, rt: 0, sa: 3 }],
        ['pause', { rd: 0, rt: 0, sa: 5 }],
      ],
    },
  ),
  insn('srl rd,rt,sa', '000000 00000 rt rd sa 000010', (m, { rd, rt, sa }) =>
    m.setLow(rd, m.e.shr(m.low(rt), m.i32(sa))),
  ),
  insn('rotr rd,rt,sa', '000000 00001 rt rd sa 000010', (m, { rd, rt, sa }) =>
    m.setLow(rd, m.e.binary('rotr', m.low(rt), m.i32(sa))),
  ),
  insn('sra rd,rt,sa', '000000 00000 rt rd sa 000011', (m, { rd, rt, sa }) =>
    m.setLow(rd, m.e.sar(m.low(rt), m.i32(sa))),
  ),
  insn('sllv rd,rt,rs', '000000 rs rt rd 00000 000100', (m, { rd, rs, rt }) =>
    m.setLow(rd, m.e.shl(m.low(rt), m.low(rs))),
  ),
  insn('srlv rd,rt,rs', '000000 rs rt rd 00000 000110', (m, { rd, rs, rt }) =>
    m.setLow(rd, m.e.shr(m.low(rt), m.low(rs))),
  ),
  insn('rotrv rd,rt,rs', '000000 rs rt rd 00001 000110', (m, { rd, rs, rt }) =>
    m.setLow(rd, m.e.binary('rotr', m.low(rt), m.low(rs))),
  ),
  insn('srav rd,rt,rs', '000000 rs rt rd 00000 000111', (m, { rd, rs, rt }) =>
    m.setLow(rd, m.e.sar(m.low(rt), m.low(rs))),
  ),
  insn(
    'dsll rd,rt,sa',
    '000000 00000 rt rd sa 111000',
    (m, { rd, rt, sa }) => m.set(rd, m.e.shl(m.gpr(rt), m.i64(sa))),
    { width: 64 },
  ),
  insn(
    'dsrl rd,rt,sa',
    '000000 00000 rt rd sa 111010',
    (m, { rd, rt, sa }) => m.set(rd, m.e.shr(m.gpr(rt), m.i64(sa))),
    { width: 64 },
  ),
  insn(
    'drotr rd,rt,sa',
    '000000 00001 rt rd sa 111010',
    (m, { rd, rt, sa }) => m.set(rd, m.e.binary('rotr', m.gpr(rt), m.i64(sa))),
    { width: 64 },
  ),
  insn(
    'dsra rd,rt,sa',
    '000000 00000 rt rd sa 111011',
    (m, { rd, rt, sa }) => m.set(rd, m.e.sar(m.gpr(rt), m.i64(sa))),
    { width: 64 },
  ),
  insn(
    'dsll32 rd,rt,sa',
    '000000 00000 rt rd sa 111100',
    (m, { rd, rt, sa }) => m.set(rd, m.e.shl(m.gpr(rt), m.i64(sa + 32))),
    { width: 64 },
  ),
  insn(
    'dsrl32 rd,rt,sa',
    '000000 00000 rt rd sa 111110',
    (m, { rd, rt, sa }) => m.set(rd, m.e.shr(m.gpr(rt), m.i64(sa + 32))),
    { width: 64 },
  ),
  insn(
    'drotr32 rd,rt,sa',
    '000000 00001 rt rd sa 111110',
    (m, { rd, rt, sa }) => m.set(rd, m.e.binary('rotr', m.gpr(rt), m.i64(sa + 32))),
    { width: 64 },
  ),
  insn(
    'dsra32 rd,rt,sa',
    '000000 00000 rt rd sa 111111',
    (m, { rd, rt, sa }) => m.set(rd, m.e.sar(m.gpr(rt), m.i64(sa + 32))),
    { width: 64 },
  ),
  insn(
    'dsllv rd,rt,rs',
    '000000 rs rt rd 00000 010100',
    (m, { rd, rs, rt }) => m.set(rd, m.e.shl(m.gpr(rt), m.gpr(rs))),
    { width: 64 },
  ),
  insn(
    'dsrlv rd,rt,rs',
    '000000 rs rt rd 00000 010110',
    (m, { rd, rs, rt }) => m.set(rd, m.e.shr(m.gpr(rt), m.gpr(rs))),
    { width: 64 },
  ),
  insn(
    'drotrv rd,rt,rs',
    '000000 rs rt rd 00001 010110',
    (m, { rd, rs, rt }) => m.set(rd, m.e.binary('rotr', m.gpr(rt), m.gpr(rs))),
    { width: 64 },
  ),
  insn(
    'dsrav rd,rt,rs',
    '000000 rs rt rd 00000 010111',
    (m, { rd, rs, rt }) => m.set(rd, m.e.sar(m.gpr(rt), m.gpr(rs))),
    { width: 64 },
  ),

  // Conditional moves on a general register (those on an FPU condition stand in fpu-compare.ts)
  insn('movz rd,rs,rt', '000000 rs rt rd 00000 001010', (m, { rd, rs, rt }) =>
    m.set(rd, m.e.select(m.isZero(m.gpr(rt)), m.gpr(rs), m.gpr(rd))),
  ),
  insn('movn rd,rs,rt', '000000 rs rt rd 00000 001011', (m, { rd, rs, rt }) =>
    m.set(rd, m.e.select(m.isZero(m.gpr(rt)), m.gpr(rd), m.gpr(rs))),
  ),

  // Bit fields and bytes (SPECIAL3)
  insn('ext rt,rs,pos,size', '011111 rs rt msbd lsb 000000', (m, { rs, rt, msbd, lsb }) =>
    m.setLow(rt, extractField(m, m.low(rs), lsb, msbd + 1)),
  ),
  insn('ins rt,rs,pos,inssize', '011111 rs rt msb lsb 000100', (m, { rs, rt, msb, lsb }) =>
    m.setLow(rt, insertField(m, m.low(rt), m.low(rs), lsb, msb - lsb + 1)),
  ),
  insn(
    'dextm rt,rs,pos,size32',
    '011111 rs rt msbd lsb 000001',
    (m, { rs, rt, msbd, lsb }) => m.set(rt, extractField(m, m.gpr(rs), lsb, msbd + 33)),
    { width: 64 },
  ),
  insn(
    'dextu rt,rs,pos32,size',
    '011111 rs rt msbd lsb 000010',
    (m, { rs, rt, msbd, lsb }) => m.set(rt, extractField(m, m.gpr(rs), lsb + 32, msbd + 1)),
    { width: 64 },
  ),
  insn(
    'dext rt,rs,pos,size',
    '011111 rs rt msbd lsb 000011',
    (m, { rs, rt, msbd, lsb }) => m.set(rt, extractField(m, m.gpr(rs), lsb, msbd + 1)),
    { width: 64 },
  ),
  insn(
    'dinsm rt,rs,pos,inssize32',
    '011111 rs rt msb lsb 000101',
    (m, { rs, rt, msb, lsb }) => m.set(rt, insertField(m, m.gpr(rt), m.gpr(rs), lsb, msb + 32 - lsb + 1)),
    { width: 64 },
  ),
  insn(
    'dinsu rt,rs,pos32,inssize',
    '011111 rs rt msb lsb 000110',
    (m, { rs, rt, msb, lsb }) => m.set(rt, insertField(m, m.gpr(rt), m.gpr(rs), lsb + 32, msb - lsb + 1)),
    { width: 64 },
  ),
  insn(
    'dins rt,rs,pos,inssize',
    '011111 rs rt msb lsb 000111',
    (m, { rs, rt, msb, lsb }) => m.set(rt, insertField(m, m.gpr(rt), m.gpr(rs), lsb, msb - lsb + 1)),
    { width: 64 },
  ),
  insn('wsbh rd,rt', '011111 00000 rt rd 00010 100000', (m, { rd, rt }) => m.setLow(rd, swapBytes(m, m.low(rt)))),
  insn('seb rd,rt', '011111 00000 rt rd 10000 100000', (m, { rd, rt }) => m.setLow(rd, m.e.unary('sext8', m.low(rt)))),
  insn('seh rd,rt', '011111 00000 rt rd 11000 100000', (m, { rd, rt }) => m.setLow(rd, m.e.unary('sext16', m.low(rt)))),
  insn('dsbh rd,rt', '011111 00000 rt rd 00010 100100', (m, { rd, rt }) => m.set(rd, swapBytes(m, m.gpr(rt))), {
    width: 64,
  }),
  insn(
    'dshd rd,rt',
    '011111 00000 rt rd 00101 100100',
    (m, { rd, rt }) => m.set(rd, m.e.binary('rotr', swapHalves(m, m.gpr(rt)), m.i64(32))),
    { width: 64 },
  ),
]);
