// Flags, system calls, traps, identification, fences, hints, and what user programs may not execute. SDM vol. 2.

import type { Value } from '../dsl/effects.ts';
import { clause, family } from './clause.ts';
import { CPUID_LEAVES } from './cpuid.ts';
import type { Exec } from './exec.ts';
import { flagsImage, setFlags, setFlagsImage } from './flags.ts';
import { AF, CF, DF, FLAGS_FIXED, PF, RAX, RBX, RCX, RDX, SF, ZF } from './regs.ts';

/** SF ZF AF PF CF in their RFLAGS places: what LAHF and SAHF move. */
const LOW_FLAGS = 0xd5;

const lahf = (x: Exec): void => {
  const { e } = x;
  let image: Value = e.const('i32', FLAGS_FIXED & 0xff);
  const at = [
    [CF, 0],
    [PF, 2],
    [AF, 4],
    [ZF, 6],
    [SF, 7],
  ] as const;
  for (const [flag, bit] of at) image = e.or(image, e.shl(e.get(flag), e.const('i32', bit)));
  setAh(x, image);
};

/** REX would turn register 4 into SPL; LAHF always means AH. */
const setAh = (x: Exec, value: Value): void => {
  const { e } = x;
  const rest = e.and(e.get(x.register(RAX)), e.const('i64', ~0xff00n));
  e.set(x.register(RAX), e.or(rest, e.extendU(e.shl(value, e.const('i32', 8)))));
};

const sahf = (x: Exec): void => {
  const ah = x.e.shr(x.getGpr(RAX, 16), x.e.const('i32', 8));
  setFlagsImage(x, ah, LOW_FLAGS);
};

/** RCX and R11 are set before the kernel is entered, and keep these values for it (SDM, SYSCALL). */
const syscall = (x: Exec): void => {
  const { e } = x;
  const image = e.extendU(flagsImage(x));
  e.set(x.register(RCX), e.pc(x.i.length));
  e.set(x.register(11), image);
  e.trap('syscall');
};

/** Leaves that CPUID_LEAVES does not list are zeros. */
const cpuid = (x: Exec): void => {
  const { e } = x;
  const leaf = x.getGpr(RAX, 32);
  const answer = (pick: (row: (typeof CPUID_LEAVES)[number]) => number): Value => {
    let value = e.const('i32', 0);
    for (const row of CPUID_LEAVES) {
      const word = pick(row);
      if (word !== 0) value = e.select(e.eq(leaf, e.const('i32', row.leaf)), e.const('i32', word), value);
    }
    return value;
  };
  const values = [answer((r) => r.eax), answer((r) => r.ecx), answer((r) => r.edx), answer((r) => r.ebx)];
  for (const [k, n] of [RAX, RCX, RDX, RBX].entries()) x.setGpr(n, 32, values[k]!);
};

const rdtsc = (x: Exec): void => {
  const { e } = x;
  const time = e.cycles();
  x.setGpr(RAX, 32, e.wrap(time));
  x.setGpr(RDX, 32, e.wrap(e.shr(time, e.const('i64', 32))));
};

/** INT 3 by its long form may be used like INT3; the other gates are closed to user programs, and 32-bit system calls do not exist here. */
const int = (x: Exec): void => {
  const n = Number(x.i.imm) & 0xff;
  if (n === 3) x.e.trap('breakpoint');
  else x.e.trap('privileged');
};

/** CLFLUSH faults like a load of the byte. */
const touch = (x: Exec): void => {
  x.read(0);
};

const setFlagTo =
  (flag: typeof CF, value: number) =>
  (x: Exec): void =>
    x.e.set(flag, x.e.const('i32', value));

const nothing = (): void => {};

const privileged = (x: Exec): void => x.e.trap('privileged');

export const SYSTEM = family('system', () => [
  clause('CMC', 'F5', (x) => setFlags(x, { cf: x.isZero(x.e.get(CF)) })),
  clause('CLC', 'F8', setFlagTo(CF, 0)),
  clause('STC', 'F9', setFlagTo(CF, 1)),
  clause('CLD', 'FC', setFlagTo(DF, 0)),
  clause('STD', 'FD', setFlagTo(DF, 1)),
  clause('LAHF', '9F', lahf),
  clause('SAHF', '9E', sahf),

  clause('SYSCALL', '0F 05', syscall),
  clause('INT3', 'CC', (x) => x.e.trap('breakpoint')),
  clause('INT imm8', 'CD ib', int),
  clause('INT1', 'F1', (x) => x.e.trap('breakpoint')),
  clause('UD2', '0F 0B', (x) => x.e.trap('illegal')),
  clause('CPUID', '0F A2', cpuid),
  clause('RDTSC', '0F 31', rdtsc),

  clause('LFENCE', 'NP 0F AE /5 reg', nothing),
  clause('MFENCE', 'NP 0F AE /6 reg', nothing),
  clause('SFENCE', 'NP 0F AE /7 reg', nothing),
  clause('CLFLUSH m8', 'NP 0F AE /7', touch),

  // Prefetches take any address; they never fault.
  clause('PREFETCHNTA m8', '0F 18 /0', nothing),
  clause('PREFETCHT0 m8', '0F 18 /1', nothing),
  clause('PREFETCHT1 m8', '0F 18 /2', nothing),
  clause('PREFETCHT2 m8', '0F 18 /3', nothing),
  clause('PREFETCH m8', '0F 0D /0', nothing),
  clause('PREFETCHW m8', '0F 0D /1', nothing),
  clause('NOP', '!F3 90 r0', nothing),
  clause('PAUSE', 'F3 90 r0', nothing),
  clause('ENDBR64', 'F3 0F 1E /7 reg rm=2', nothing),
  clause('NOP r/mv', '0F 1F /r', nothing),
  // The rest of the hint space (SDM vol. 2, appendix A, 0F 18 to 0F 1F): RDSSP, CLDEMOTE and BND… do nothing on processors before them.
  ...['18 /4', '18 /5', '18 /6', '18 /7'].map((row) => clause('NOP r/mv', `0F ${row}`, nothing)),
  ...['18 /0', '18 /1', '18 /2', '18 /3'].map((row) => clause('NOP r/mv', `0F ${row} reg`, nothing)),
  ...['19', '1A', '1B', '1C', '1D'].map((opcode) => clause('NOP r/mv', `0F ${opcode} /r`, nothing)),
  ...['/0', '/1', '/2', '/3', '/4', '/5', '/6'].map((digit) => clause('NOP r/mv', `0F 1E ${digit}`, nothing)),

  clause('HLT', 'F4', privileged),
  clause('CLI', 'FA', privileged),
  clause('STI', 'FB', privileged),
  clause('IN al, imm8', 'E4 ib', privileged),
  clause('IN rAX, imm8', 'E5 ib', privileged),
  clause('OUT imm8, al', 'E6 ib', privileged),
  clause('OUT imm8, rAX', 'E7 ib', privileged),
  clause('IN al, dx', 'EC', privileged),
  clause('IN rAX, dx', 'ED', privileged),
  clause('OUT dx, al', 'EE', privileged),
  clause('OUT dx, rAX', 'EF', privileged),
  clause('INSB', '6C REP b', privileged),
  clause('INSW/INSD/INSD', '6D REP', privileged),
  clause('OUTSB', '6E REP b', privileged),
  clause('OUTSW/OUTSD/OUTSD', '6F REP', privileged),
  clause('CLTS', '0F 06', privileged),
  clause('SYSRET', '0F 07', privileged),
  clause('INVD', '0F 08', privileged),
  clause('WBINVD', '0F 09', privileged),
  clause('WRMSR', '0F 30', privileged),
  clause('RDMSR', '0F 32', privileged),
  clause('RDPMC', '0F 33', privileged),
  clause('LGDT m', '0F 01 /2', privileged),
  clause('LIDT m', '0F 01 /3', privileged),
  clause('INVLPG m', '0F 01 /7', privileged),
  clause('SWAPGS', '0F 01 /7 reg rm=0', privileged),
]);
