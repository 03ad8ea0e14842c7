// System calls, breakpoints, conditional traps, hardware registers, and what user programs may not execute.

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';

/** Bytes between the lines that SYNCI must visit: a 24K's or 5KE's cache line. */
const SYNCI_STEP = 32;

const notLess = (m: Machine, less: Value): Value => m.isZero(less);

/** Hardware registers that Linux lets users read (HWREna as set by cpu_probe: 0–3 and 29); others are reserved instructions. */
function hardwareRegister(m: Machine, number: number): Value | undefined {
  switch (number) {
    case 0: // CPUNum
      return m.word(0);
    case 1: // SYNCI_Step
      return m.word(SYNCI_STEP);
    case 2: // CC, a 32-bit counter
      return m.widened(m.e.wrap(m.e.cycles()));
    case 3: // CCRes: cycles per step of CC
      return m.word(1);
    case 29: // UserLocal
      return m.e.get(m.regs.userLocal);
    default:
      return undefined;
  }
}

export const TRAP = lazy((): readonly Insn[] => [
  insn('syscall code20', '000000 code20 001100', (m) => m.e.trap('syscall'), { aliases: [['syscall', { code20: 0 }]] }),
  insn('break code20', '000000 code20 001101', (m, { code20 }) => m.e.trap('breakpoint', code20), {
    aliases: [['break', { code20: 0 }]],
  }),

  insn(
    'tge rs,rt,code',
    '000000 rs rt code 110000',
    (m, { rs, rt, code }) => m.e.trapIf(notLess(m, m.e.lts(m.gpr(rs), m.gpr(rt))), 'trap', code),
    { aliases: [['tge rs,rt', { code: 0 }]] },
  ),
  insn(
    'tgeu rs,rt,code',
    '000000 rs rt code 110001',
    (m, { rs, rt, code }) => m.e.trapIf(notLess(m, m.e.ltu(m.gpr(rs), m.gpr(rt))), 'trap', code),
    { aliases: [['tgeu rs,rt', { code: 0 }]] },
  ),
  insn(
    'tlt rs,rt,code',
    '000000 rs rt code 110010',
    (m, { rs, rt, code }) => m.e.trapIf(m.e.lts(m.gpr(rs), m.gpr(rt)), 'trap', code),
    { aliases: [['tlt rs,rt', { code: 0 }]] },
  ),
  insn(
    'tltu rs,rt,code',
    '000000 rs rt code 110011',
    (m, { rs, rt, code }) => m.e.trapIf(m.e.ltu(m.gpr(rs), m.gpr(rt)), 'trap', code),
    { aliases: [['tltu rs,rt', { code: 0 }]] },
  ),
  insn(
    'teq rs,rt,code',
    '000000 rs rt code 110100',
    (m, { rs, rt, code }) => m.e.trapIf(m.e.eq(m.gpr(rs), m.gpr(rt)), 'trap', code),
    { aliases: [['teq rs,rt', { code: 0 }]] },
  ),
  insn(
    'tne rs,rt,code',
    '000000 rs rt code 110110',
    (m, { rs, rt, code }) => m.e.trapIf(m.e.ne(m.gpr(rs), m.gpr(rt)), 'trap', code),
    { aliases: [['tne rs,rt', { code: 0 }]] },
  ),
  insn('tgei rs,immediate', '000001 rs 01000 immediate', (m, { rs, immediate }) =>
    m.e.trapIf(notLess(m, m.e.lts(m.gpr(rs), m.word(immediate))), 'trap', 0),
  ),
  insn('tgeiu rs,immediate', '000001 rs 01001 immediate', (m, { rs, immediate }) =>
    m.e.trapIf(notLess(m, m.e.ltu(m.gpr(rs), m.word(immediate))), 'trap', 0),
  ),
  insn('tlti rs,immediate', '000001 rs 01010 immediate', (m, { rs, immediate }) =>
    m.e.trapIf(m.e.lts(m.gpr(rs), m.word(immediate)), 'trap', 0),
  ),
  insn('tltiu rs,immediate', '000001 rs 01011 immediate', (m, { rs, immediate }) =>
    m.e.trapIf(m.e.ltu(m.gpr(rs), m.word(immediate)), 'trap', 0),
  ),
  insn('teqi rs,immediate', '000001 rs 01100 immediate', (m, { rs, immediate }) =>
    m.e.trapIf(m.e.eq(m.gpr(rs), m.word(immediate)), 'trap', 0),
  ),
  insn('tnei rs,immediate', '000001 rs 01110 immediate', (m, { rs, immediate }) =>
    m.e.trapIf(m.e.ne(m.gpr(rs), m.word(immediate)), 'trap', 0),
  ),

  insn('rdhwr rt,hwr', '011111 00000 rt rd 00000 111011', (m, { rt, rd }) => {
    const value = hardwareRegister(m, rd);
    if (value === undefined) m.e.trap('illegal');
    else m.set(rt, value);
  }),

  // Coprocessor 0 belongs to the kernel, coprocessor 2 to nobody here: coprocessor unusable.
  insn('cop0 code26', '010000 code26', (m) => m.e.trap('privileged')),
  insn('cache hint,offset(base)', '101111 base hint offset', (m) => m.e.trap('privileged')),
]);
