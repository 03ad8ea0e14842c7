// Assembly text in Intel syntax, with the spellings of capstone.

import type { Instruction } from './instruction.ts';
import type { OperandSpec } from './pattern.ts';
import { GPR_NAMES } from './regs.ts';

const LEGACY_16 = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const LEGACY_8 = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'];
const REX_8 = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];

/** Condition suffixes by number (SDM vol. 2, appendix B.1.4.7). */
export const CONDITIONS: readonly string[] = [
  'o',
  'no',
  'b',
  'ae',
  'e',
  'ne',
  'be',
  'a',
  's',
  'ns',
  'p',
  'np',
  'l',
  'ge',
  'le',
  'g',
];

/** Name of a general register as an operand of `bits`. Without REX, bytes 4 to 7 are AH CH DH BH. */
export const registerName = (n: number, bits: number, rex: boolean): string => {
  if (bits === 64) return GPR_NAMES[n]!;
  if (n >= 8) return `r${n}${bits === 32 ? 'd' : bits === 16 ? 'w' : 'b'}`;
  if (bits === 32) return `e${LEGACY_16[n]}`;
  if (bits === 16) return LEGACY_16[n]!;
  return (rex ? REX_8 : LEGACY_8)[n]!;
};

const hex = (n: number | bigint): string => (n < 0 ? `-0x${(-n).toString(16)}` : `0x${n.toString(16)}`);
/** Small numbers print in decimal. */
const number = (n: number | bigint): string => (n >= -9 && n <= 9 ? `${n}` : hex(n));

const SIZE_NAMES: Readonly<Record<number, string>> = {
  8: 'byte ptr ',
  16: 'word ptr ',
  32: 'dword ptr ',
  64: 'qword ptr ',
  128: 'xmmword ptr ',
};

const memoryText = (i: Instruction, bits: number): string => {
  const m = i.memory!;
  const addressBits = i.prefixes.address ? 32 : 64;
  const parts: string[] = [];
  if (m.ripRelative) parts.push(addressBits === 32 ? 'eip' : 'rip');
  if (m.base >= 0) parts.push(registerName(m.base, addressBits, true));
  if (m.index >= 0) {
    const index = registerName(m.index, addressBits, true);
    parts.push(m.scale === 0 ? index : `${index}*${1 << m.scale}`);
  }
  let inner = parts.join(' + ');
  if (inner === '') inner = hex(BigInt.asUintN(64, BigInt(m.disp)));
  else if (m.disp !== 0) inner += m.disp < 0 ? ` - ${number(-m.disp)}` : ` + ${number(m.disp)}`;
  const segment = i.prefixes.segment === 'none' ? '' : `${i.prefixes.segment}:`;
  return `${SIZE_NAMES[bits] ?? ''}${segment}[${inner}]`;
};

/** What prints immediates by their sign: sums, and PUSH and TEST with Capstone. Masks print as bits. */
const SIGNED: ReadonlySet<string> = new Set(['ADD', 'ADC', 'SUB', 'SBB', 'CMP', 'IMUL', 'PUSH', 'TEST']);

const immediateText = (i: Instruction, spec: OperandSpec): string => {
  if (spec.size === 8 && spec.place === 'imm') return number(Number(i.imm) & 0xff);
  const first = i.clause.operands[0]!;
  const bits = first.place !== 'imm' && first.place !== 'simm' ? i.bits(first.size) : first.size === 16 ? 16 : 64;
  if (SIGNED.has(i.clause.mnemonic) && (bits === 64 || spec.place === 'simm')) return number(i.imm);
  return number(BigInt.asUintN(bits, BigInt(i.imm)));
};

const operandText = (i: Instruction, spec: OperandSpec, pc: number): string => {
  const bits = i.bits(spec.size);
  const rex = i.prefixes.rex !== 0;
  switch (spec.place) {
    case 'reg':
      return registerName(i.reg, bits, rex);
    case 'rm':
    case 'mem':
      return i.memory === undefined ? registerName(i.rm, bits, rex) : memoryText(i, bits);
    case 'xmm':
      return `xmm${i.reg}`;
    case 'xmm-rm':
      return i.memory === undefined ? `xmm${i.rm}` : memoryText(i, bits);
    case 'acc':
      return registerName(0, bits, rex);
    case 'cl':
      return 'cl';
    case 'dx':
      return 'dx';
    case 'one':
      return '1';
    case 'segment':
      return spec.text;
    case 'imm':
    case 'simm':
      return immediateText(i, spec);
    case 'imm2':
      return number(i.imm2);
    case 'rel':
      return `0x${BigInt.asUintN(64, BigInt(pc) + BigInt(i.length) + BigInt(i.imm)).toString(16)}`;
    case 'moffs':
      return `${SIZE_NAMES[bits]}[${hex(BigInt.asUintN(64, BigInt(i.imm)))}]`;
  }
};

/** The mnemonic in lower case, without prefixes. */
export const mnemonicOf = (i: Instruction): string => {
  const names = i.clause.mnemonic.toLowerCase();
  if (names.endsWith('cc')) return names.slice(0, -2) + CONDITIONS[i.opcode & 15]!;
  const bySize = names.split('/');
  return bySize.length === 1 ? names : bySize[i.width === 16 ? 0 : i.width === 32 ? 1 : 2]!;
};

const repeatPrefix = (i: Instruction): string => {
  if (i.clause.encoding.repeat === 'none' || i.prefixes.rep === 0) return '';
  if (i.prefixes.rep === 0xf2) return 'repne ';
  return i.clause.encoding.repeat === 'REP' ? 'rep ' : 'repe ';
};

export const instructionText = (i: Instruction, pc: number): string => {
  const operands = i.clause.operands.map((spec) => operandText(i, spec, pc)).join(', ');
  const prefix = (i.prefixes.lock ? 'lock ' : '') + repeatPrefix(i);
  return operands === '' ? prefix + mnemonicOf(i) : `${prefix}${mnemonicOf(i)} ${operands}`;
};
