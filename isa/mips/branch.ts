// Jumps and branches. Every one has a delay slot; the likely forms nullify it where they are not taken.

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';

const LINK = 31;

// Registers are read before the link register is written, so that a branch on R31 tests its old value.
const lessThanZero = (m: Machine, rs: number): Value => m.isNegative(m.gpr(rs));
const notLessThanZero = (m: Machine, rs: number): Value => m.isZero(lessThanZero(m, rs));
const notGreaterThanZero = (m: Machine, rs: number): Value => m.e.compare('les', m.gpr(rs), m.word(0));
const greaterThanZero = (m: Machine, rs: number): Value => m.e.lts(m.word(0), m.gpr(rs));
const equal = (m: Machine, rs: number, rt: number): Value => m.e.eq(m.gpr(rs), m.gpr(rt));
const different = (m: Machine, rs: number, rt: number): Value => m.e.ne(m.gpr(rs), m.gpr(rt));

function jumpRegister(m: Machine, rs: number): void {
  m.e.branch(m.gpr(rs), rs === LINK ? 'return' : 'jump');
}

export const BRANCH = lazy((): readonly Insn[] => [
  insn('j jump', '000010 instr_index', (m, { instr_index }) => m.e.branch(m.region(instr_index), 'jump')),
  insn('jal jump', '000011 instr_index', (m, { instr_index }) => {
    m.link();
    m.e.branch(m.region(instr_index), 'call');
  }),
  insn('jr rs', '000000 rs 0000000000 00000 001000', (m, { rs }) => jumpRegister(m, rs)),
  insn('jr.hb rs', '000000 rs 0000000000 10000 001000', (m, { rs }) => jumpRegister(m, rs)),
  insn(
    'jalr rd,rs',
    '000000 rs 00000 rd 00000 001001',
    (m, { rs, rd }) => {
      const target = m.gpr(rs);
      m.link(rd);
      m.e.branch(target, rd === 0 ? 'jump' : 'call');
    },
    { aliases: [['jalr rs', { rd: LINK }]] },
  ),
  insn(
    'jalr.hb rd,rs',
    '000000 rs 00000 rd 10000 001001',
    (m, { rs, rd }) => {
      const target = m.gpr(rs);
      m.link(rd);
      m.e.branch(target, rd === 0 ? 'jump' : 'call');
    },
    { aliases: [['jalr.hb rs', { rd: LINK }]] },
  ),

  insn(
    'beq rs,rt,target',
    '000100 rs rt offset',
    (m, { rs, rt, offset }) => {
      // B is BEQ of a register with itself: saying so spares the engines a condition.
      if (rs === rt) m.e.branch(m.target(offset), 'jump');
      else m.branchIf(equal(m, rs, rt), offset);
    },
    {
      aliases: [
        ['b target', { rs: 0, rt: 0 }],
        ['beqz rs,target', { rt: 0 }],
      ],
    },
  ),
  insn('bne rs,rt,target', '000101 rs rt offset', (m, { rs, rt, offset }) => m.branchIf(different(m, rs, rt), offset), {
    aliases: [['bnez rs,target', { rt: 0 }]],
  }),
  insn('blez rs,target', '000110 rs 00000 offset', (m, { rs, offset }) =>
    m.branchIf(notGreaterThanZero(m, rs), offset),
  ),
  insn('bgtz rs,target', '000111 rs 00000 offset', (m, { rs, offset }) => m.branchIf(greaterThanZero(m, rs), offset)),
  insn('bltz rs,target', '000001 rs 00000 offset', (m, { rs, offset }) => m.branchIf(lessThanZero(m, rs), offset)),
  insn('bgez rs,target', '000001 rs 00001 offset', (m, { rs, offset }) => m.branchIf(notLessThanZero(m, rs), offset)),
  insn('bltzal rs,target', '000001 rs 10000 offset', (m, { rs, offset }) => {
    const condition = lessThanZero(m, rs);
    m.link();
    m.branchIf(condition, offset);
  }),
  insn(
    'bgezal rs,target',
    '000001 rs 10001 offset',
    (m, { rs, offset }) => {
      const condition = notLessThanZero(m, rs);
      m.link();
      if (rs === 0) m.e.branch(m.target(offset), 'call');
      else m.branchIf(condition, offset);
    },
    { aliases: [['bal target', { rs: 0 }]] },
  ),

  insn(
    'beql rs,rt,target',
    '010100 rs rt offset',
    (m, { rs, rt, offset }) => m.branchLikelyIf(equal(m, rs, rt), offset),
    {
      aliases: [['beqzl rs,target', { rt: 0 }]],
    },
  ),
  insn(
    'bnel rs,rt,target',
    '010101 rs rt offset',
    (m, { rs, rt, offset }) => m.branchLikelyIf(different(m, rs, rt), offset),
    {
      aliases: [['bnezl rs,target', { rt: 0 }]],
    },
  ),
  insn('blezl rs,target', '010110 rs 00000 offset', (m, { rs, offset }) =>
    m.branchLikelyIf(notGreaterThanZero(m, rs), offset),
  ),
  insn('bgtzl rs,target', '010111 rs 00000 offset', (m, { rs, offset }) =>
    m.branchLikelyIf(greaterThanZero(m, rs), offset),
  ),
  insn('bltzl rs,target', '000001 rs 00010 offset', (m, { rs, offset }) =>
    m.branchLikelyIf(lessThanZero(m, rs), offset),
  ),
  insn('bgezl rs,target', '000001 rs 00011 offset', (m, { rs, offset }) =>
    m.branchLikelyIf(notLessThanZero(m, rs), offset),
  ),
  insn('bltzall rs,target', '000001 rs 10010 offset', (m, { rs, offset }) => {
    const condition = lessThanZero(m, rs);
    m.link();
    m.branchLikelyIf(condition, offset);
  }),
  insn('bgezall rs,target', '000001 rs 10011 offset', (m, { rs, offset }) => {
    const condition = notLessThanZero(m, rs);
    m.link();
    m.branchLikelyIf(condition, offset);
  }),
]);
