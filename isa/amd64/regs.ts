// Registers of amd64 as user programs see them, and the RFLAGS image that PUSHF and signal frames hold.

import { type Register, RegisterFileBuilder } from '../dsl/registers.ts';

/** Names of the general registers by number, for operands of 64 bits; the registers of the state block carry the same in capitals. */
export const GPR_NAMES: readonly string[] = [
  'rax',
  'rcx',
  'rdx',
  'rbx',
  'rsp',
  'rbp',
  'rsi',
  'rdi',
  'r8',
  'r9',
  'r10',
  'r11',
  'r12',
  'r13',
  'r14',
  'r15',
];

const builder = new RegisterFileBuilder();

/** RAX RCX RDX RBX RSP RBP RSI RDI R8 … R15, by number. */
export const GPR: readonly Register[] = GPR_NAMES.map((name) => builder.add(name.toUpperCase(), 'i64'));
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RBP = 5;
export const RSI = 6;
export const RDI = 7;

const flag = (name: string): Register => builder.add(name, 'i32');

/** The status and control flags, one register each, holding 0 or 1. */
export const CF = flag('CF');
export const PF = flag('PF');
export const AF = flag('AF');
export const ZF = flag('ZF');
export const SF = flag('SF');
export const OF = flag('OF');
export const DF = flag('DF');
/** NT (bit 14), AC (18) and ID (21) in their RFLAGS places: POPF writes them, PUSHF reads them. AC's alignment checks do not take place. */
export const FLAGS_REST = flag('FLAGS_REST');

export const FS_BASE = builder.add('FS_BASE', 'i64');
export const GS_BASE = builder.add('GS_BASE', 'i64');

/** XMM0 … XMM15, by number. */
export const XMM: readonly Register[] = Array.from({ length: 16 }, (_, n) => builder.add(`XMM${n}`, 'v128'));
/** SSE control and status. Zero in a fresh state block: whoever starts a program stores MXCSR_RESET. */
export const MXCSR = builder.add('MXCSR', 'i32');
/** All exceptions masked, round to nearest (SDM vol. 1, 10.2.3). */
export const MXCSR_RESET = 0x1f80;

export const REGISTERS = builder.build({
  carry: CF,
  zero: ZF,
  sign: SF,
  overflow: OF,
  all: [CF, PF, AF, ZF, SF, OF],
});

/** Where each flag stands in RFLAGS (SDM vol. 1, figure 3-8). */
export const FLAG_BITS: readonly (readonly [flag: Register, bit: number])[] = [
  [CF, 0],
  [PF, 2],
  [AF, 4],
  [ZF, 6],
  [SF, 7],
  [DF, 10],
  [OF, 11],
];
/** Bit 1 always reads as 1, and IF is 1 whenever user code runs under Linux. */
export const FLAGS_FIXED = 0x202;
/** NT, AC and ID. TF is not among them: a program that single-steps itself is not supported, its TF is dropped. */
export const FLAGS_REST_MASK = 0x244000;

/** The RFLAGS image of a state, for signal frames and ptrace-like views. `read` returns a register's value. */
export const packFlags = (read: (register: Register) => bigint): bigint => {
  let image = BigInt(FLAGS_FIXED) | (read(FLAGS_REST) & BigInt(FLAGS_REST_MASK));
  for (const [register, bit] of FLAG_BITS) image |= (read(register) & 1n) << BigInt(bit);
  return image;
};

/** The other way round: what a return from a signal handler restores (arch/x86/kernel/signal.c, FIX_EFLAGS). */
export const unpackFlags = (image: bigint, write: (register: Register, value: bigint) => void): void => {
  write(FLAGS_REST, image & BigInt(FLAGS_REST_MASK));
  for (const [register, bit] of FLAG_BITS) write(register, (image >> BigInt(bit)) & 1n);
};
