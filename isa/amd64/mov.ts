// Data movement: MOV MOVSX MOVZX MOVSXD MOVNTI LEA XCHG CMOVcc SETcc BSWAP XLAT CBW CWD. SDM vol. 2.

import { clause, family } from './clause.ts';
import type { Exec } from './exec.ts';
import { condition } from './flags.ts';
import { GPR, RAX, RBX, RDX } from './regs.ts';

const mov = (x: Exec): void => x.write(0, x.read(1));

/** To the width of operand 0 by zeros. */
const movzx = (x: Exec): void => {
  const v = x.read(1);
  x.write(0, x.size === 64 ? x.e.extendU(v) : v);
};

/** To the width of operand 0 by sign, from `bits`. */
const extendSigned = (x: Exec, bits: number): void => {
  const v = x.signed(x.read(1), bits);
  x.write(0, x.size === 64 ? x.e.extendS(v) : x.fit(v));
};

const lea = (x: Exec): void => {
  const address = x.effectiveAddress();
  x.write(0, x.size === 64 ? address : x.fit(x.e.wrap(address)));
};

/** Operand 1 is a register: with a memory operand 0 the store comes first. */
const xchg = (x: Exec): void => {
  const a = x.read(0);
  const b = x.read(1);
  x.write(0, b);
  x.write(1, a);
};

/** The load takes place, and a 32-bit destination is zero-extended, whatever the condition. */
const cmov = (x: Exec): void => {
  const source = x.read(1);
  x.write(0, x.e.select(condition(x, x.i.opcode & 15), source, x.read(0)));
};

/** Selectors of a Linux process (arch/x86/include/asm/segment.h: __USER_CS, __USER_DS): ES CS SS DS FS GS. */
const SELECTORS = [0, 0x33, 0x2b, 0, 0, 0];

const movFromSegment = (x: Exec): void => {
  const value = x.e.const('i32', SELECTORS[x.i.reg & 7]!);
  // To memory always 16 bits; to a register the operand size, by zeros.
  if (x.inMemory) x.store(16, x.address(), value);
  else x.setGpr(x.i.rm, x.i.width, x.i.width === 64 ? x.e.extendU(value) : value);
};

/** CBW, CWDE, CDQE: the lower half of the accumulator to all of it. */
const widenAccumulator = (x: Exec): void => {
  const half = x.i.width >> 1;
  const v = x.signed(x.getGpr(RAX, half), half);
  x.setGpr(RAX, x.i.width, x.i.width === 64 ? x.e.extendS(v) : x.fit(v));
};

/** CWD, CDQ, CQO: the sign of the accumulator to all bits of rDX. */
const signToRdx = (x: Exec): void => {
  const a = x.signed(x.getGpr(RAX, x.i.width));
  x.setGpr(RDX, x.i.width, x.fit(x.e.sar(a, x.const(x.size === 64 ? 63 : 31))));
};

const xlat = (x: Exec): void => {
  const { e } = x;
  const index = e.extendU(x.getGpr(RAX, 8));
  x.setGpr(RAX, 8, x.load(8, x.linear(x.truncateAddress(e.add(e.get(GPR[RBX]!), index)))));
};

export const MOV = family('mov', () => [
  clause('MOV r/m8, r8', '88 /r', mov),
  clause('MOV r/mv, rv', '89 /r', mov),
  clause('MOV r8, r/m8', '8A /r', mov),
  clause('MOV rv, r/mv', '8B /r', mov),
  clause('MOV r/mv, es', '8C /0', movFromSegment),
  clause('MOV r/mv, cs', '8C /1', movFromSegment),
  clause('MOV r/mv, ss', '8C /2', movFromSegment),
  clause('MOV r/mv, ds', '8C /3', movFromSegment),
  clause('MOV r/mv, fs', '8C /4', movFromSegment),
  clause('MOV r/mv, gs', '8C /5', movFromSegment),
  clause('MOVABS al, moffs8', 'A0 moffs', mov),
  clause('MOVABS rAX, moffsv', 'A1 moffs', mov),
  clause('MOVABS moffs8, al', 'A2 moffs', mov),
  clause('MOVABS moffsv, rAX', 'A3 moffs', mov),
  clause('MOV r8, imm8', 'B0+r ib', mov),
  clause('MOV/MOV/MOVABS rv, immv', 'B8+r iv', mov),
  clause('MOV r/m8, imm8', 'C6 /0 ib', mov),
  clause('MOV r/mv, immz', 'C7 /0 iz', mov),
  clause('MOVNTI my, ry', 'NP 0F C3 /r', mov),

  clause('MOVZX rv, r/m8', '0F B6 /r', movzx),
  clause('MOVZX rv, r/m16', '0F B7 /r', movzx),
  clause('MOVSX rv, r/m8', '0F BE /r', (x) => extendSigned(x, 8)),
  clause('MOVSX rv, r/m16', '0F BF /r', (x) => extendSigned(x, 16)),
  clause('MOVSXD rv, r/mz', '63 /r', (x) => extendSigned(x, 32)),
  clause('CBW/CWDE/CDQE', '98', widenAccumulator),
  clause('CWD/CDQ/CQO', '99', signToRdx),

  clause('LEA rv, m', '8D /r', lea),
  clause('XCHG r/m8, r8', '86 /r LOCK', xchg),
  clause('XCHG r/mv, rv', '87 /r LOCK', xchg),
  clause('XCHG rv, rAX', '90+r !r0', xchg),
  clause('CMOVcc rv, r/mv', '0F 40+cc /r', cmov),
  clause('SETcc r/m8', '0F 90+cc /r', (x) => x.write(0, condition(x, x.i.opcode & 15))),
  // Of a 16-bit register the result is undefined (SDM); processors give 0.
  clause('BSWAP rv', '0F C8+r', (x) => x.write(0, x.size === 16 ? x.const(0) : x.e.unary('bswap', x.read(0)))),
  clause('XLATB', 'D7', xlat),
]);
