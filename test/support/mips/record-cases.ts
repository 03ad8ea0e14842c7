// Records test/cases/<goarch>/*.case of the MIPS targets from user-mode QEMU:
//
//   npx tsx test/support/mips/record-cases.ts [GOARCH…]
//
// For each clause random operands, with corner values in their registers; the seed is fixed, so a new run changes only what changed.
// What QEMU cannot show (LLbit, the trap's code, the state within a delay slot) is added from the manual. What QEMU gets wrong or the
// manual leaves open stands in `adjust` below. Cases by hand stand in files named *-by-hand.case, which this never touches.

import { mkdirSync, writeFileSync } from 'node:fs';
import { GOARCHES, type Goarch, isaFor } from '../../../isa/index.ts';
import type { MipsClause, MipsIsa } from '../../../isa/mips/index.ts';
import type { FieldName } from '../../../isa/mips/pattern.ts';
import { type Case, formatCase } from '../cases.ts';
import { CODE_ADDRESS } from '../driver.ts';
import { RESERVED_GPR, runOnQemu, SCRATCH_ADDRESS, SCRATCH_BYTES } from './qemu.ts';

const CASES_PER_CLAUSE = 5;
const SEED = 20;

/** xorshift32: any generator will do that is the same everywhere. */
class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  next(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }
  below(n: number): number {
    return this.next() % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  bits(width: 32 | 64): bigint {
    return width === 32 ? BigInt(this.next()) : (BigInt(this.next()) << 32n) | BigInt(this.next());
  }
}

const GPR_FIELDS: readonly FieldName[] = ['rs', 'rt', 'rd', 'base', 'index'];
const FPR_FIELDS: readonly FieldName[] = ['fs', 'ft', 'fd', 'fr'];

const INTEGERS_32 = [0n, 1n, 2n, 7n, 0x80n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xfffffffen, 0xffffffffn];
const INTEGERS_64 = [
  ...INTEGERS_32.map((n) => BigInt.asUintN(64, BigInt.asIntN(32, n))),
  1n << 32n,
  (1n << 63n) - 1n,
  1n << 63n,
];
/** 0, −0, 1, −1.5, 2.5, 1e10, ±∞, legacy quiet and signalling NaNs, the least subnormal, the greatest number, 2^31 and near it, −2^31. */
const SINGLES = [
  0n,
  0x80000000n,
  0x3f800000n,
  0xbfc00000n,
  0x40200000n,
  0x501502f9n,
  0x7f800000n,
  0xff800000n,
  0x7fbfffffn,
  0xffb00001n,
  0x7fc00000n,
  0x7fc12345n,
  1n,
  0x7f7fffffn,
  0x4f000000n,
  0x4effffffn,
  0xcf000000n,
  0x5f000000n,
];
const DOUBLES = [
  0n,
  0x8000000000000000n,
  0x3ff0000000000000n,
  0xbff8000000000000n,
  0x4004000000000000n,
  0x4202a05f20000000n,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  0x7ff7ffffffffffffn,
  0xfff4000000000001n,
  0x7ff8000000000000n,
  0x7ff8123456789abcn,
  1n,
  0x7fefffffffffffffn,
  0x41e0000000000000n,
  0x41dfffffffc00000n,
  0xc1e0000000200000n,
  0x43e0000000000000n,
  0xc3e0000000000000n,
  0x3fe0000000000000n,
];

const QUIET_NANS: ReadonlySet<bigint> = new Set([0x7fbfffffn, 0xffb00001n, 0x7ff7ffffffffffffn, 0xfff4000000000001n]);

/** Instructions of 32 bits whose result on 64-bit targets is defined only for sign-extended operands. */
const WHOLE = new Set(
  'and or xor nor andi ori xori slt sltu slti sltiu movz movn movf movt mthi mtlo mfhi mflo mtc1 ctc1 movz.s movn.s movz.d movn.d'.split(
    ' ',
  ),
);
const WHOLE_FAMILIES = new Set(['memory', 'atomic', 'branch', 'trap']);

/** Bits of FCSR: causes and flags, which are not kept. */
const CAUSES_AND_FLAGS = 0x0003f07cn;
const SIGNALS: Readonly<Record<string, readonly string[]>> = {
  SIGFPE: ['overflow'],
  SIGILL: ['illegal', 'privileged'],
  SIGTRAP: ['trap', 'breakpoint'],
  SIGBUS: ['alignment'],
};

class Recorder {
  readonly #isa: MipsIsa;
  readonly #random = new Random(SEED);

  constructor(isa: MipsIsa) {
    this.#isa = isa;
  }

  /** Cases for a clause, fewer where its encodings are. */
  clause(clause: MipsClause): Case[] {
    return Array.from({ length: CASES_PER_CLAUSE }, (_, i) => this.#case(clause, i)).filter((c) => c !== undefined);
  }

  #gpr(exclude: readonly number[]): number {
    const numbers = [2, 3, 4, 5, 8, 9, 15, 16, 24, 25, 29, 31].filter((n) => !exclude.includes(n));
    return this.#random.pick(numbers);
  }

  #fields(clause: MipsClause, round: number): Partial<Record<FieldName, number>> {
    const random = this.#random;
    const fields: Partial<Record<FieldName, number>> = {};
    const has = (name: FieldName) => clause.matcher.has(name);
    const taken: number[] = [];
    for (const name of GPR_FIELDS) {
      if (!has(name)) continue;
      const zero = round === 4 && (name === 'rd' || name === 'rs');
      const n = zero ? 0 : round === 3 && taken.length > 0 ? taken[0]! : this.#gpr(taken);
      fields[name] = n;
      taken.push(n);
    }
    for (const name of FPR_FIELDS) if (has(name)) fields[name] = random.below(16) * 2;
    if (this.#isa.variant.width === 64 || clause.insn.pairs.length === 0)
      for (const name of FPR_FIELDS) if (has(name) && random.below(2) === 0) fields[name]! += 1;
    for (const name of ['sa', 'lsb', 'msb', 'msbd', 'hint', 'stype'] as const)
      if (has(name)) fields[name] = random.below(32);
    if (has('msb') && (clause.name === 'ins' || clause.name === 'dins' || clause.name === 'dinsu') && round < 4) {
      const [low, high] = [fields.lsb!, fields.msb!];
      fields.lsb = Math.min(low, high);
      fields.msb = Math.max(low, high);
    }
    if (has('msbd') && clause.name !== 'dext' && round < 4) fields.msbd = Math.min(fields.msbd!, 31 - fields.lsb!);
    if (has('cc')) fields.cc = round === 0 ? 0 : random.below(8);
    if (has('code')) fields.code = random.pick([0, 1, 12, 1023]);
    if (has('code20')) fields.code20 = random.below(1 << 20);
    if (has('code26')) fields.code26 = random.below(1 << 26);
    if (has('immediate')) fields.immediate = random.pick([0, 1, -1, 0x7fff, -0x8000, random.below(0x10000) - 0x8000]);
    if (has('unsigned')) fields.unsigned = random.pick([0, 1, 0x7fff, 0x8000, 0xffff, random.below(0x10000)]);
    if (has('offset')) fields.offset = clause.matcher.has('base') ? random.below(0x10000) - 0x8000 : 2;
    if (has('instr_index')) fields.instr_index = (CODE_ADDRESS + 12) / 4;
    if (clause.name === 'rdhwr') fields.rd = round < 3 ? 29 : random.pick([5, 17, 30]);
    if (clause.name === 'ctc1' || clause.name === 'cfc1') fields.fs = [25, 26, 28, 31, 31][round]!;
    return fields;
  }

  #case(clause: MipsClause, round: number): Case | undefined {
    const isa = this.#isa;
    const random = this.#random;
    const { width } = isa.variant;
    const fields = this.#fields(clause, round);
    const registers: Record<string, bigint> = {};
    const wide =
      width === 64 && (clause.insn.width === 64 || WHOLE.has(clause.name) || WHOLE_FAMILIES.has(clause.family));
    const integer = (): bigint => {
      if (wide) return random.below(2) ? random.pick(INTEGERS_64) : random.bits(64);
      const value = random.below(2) ? random.pick(INTEGERS_32) : random.bits(32);
      return BigInt.asUintN(width, BigInt.asIntN(32, value));
    };
    for (const name of GPR_FIELDS) {
      const n = fields[name];
      if (n !== undefined && n !== 0) registers[`R${n}`] = integer();
    }
    // Equality is rare among random values.
    if (round === 1 && fields.rs !== undefined && fields.rt)
      registers[`R${fields.rt}`] = registers[`R${fields.rs}`] ?? 0n;
    const divides = /^d?divu?$/.test(clause.name);
    if (divides && (registers[`R${fields.rt}`] ?? 0n) === 0n) {
      if (fields.rt === 0) return undefined; // a divisor of 0 leaves HI and LO UNPREDICTABLE
      registers[`R${fields.rt}`] = 3n;
    }
    if (clause.family === 'muldiv') {
      const half = () => BigInt.asUintN(width, BigInt.asIntN(32, random.bits(32)));
      registers.HI = clause.name.startsWith('m') && clause.name.length <= 5 ? half() : integer();
      registers.LO = half();
    }
    if (clause.family.startsWith('fpu') || clause.name.startsWith('mov')) {
      for (const name of FPR_FIELDS)
        if (fields[name] !== undefined && !/^c[tf]c1$/.test(clause.name)) this.#setFpr(registers, fields[name], clause);
      const rounding =
        clause.name.startsWith('cvt.w') || clause.name.startsWith('cvt.l') ? BigInt(random.below(4)) : 0n;
      registers.FCR31 = (random.bits(32) & 0xfe800000n) | rounding;
    }
    if (clause.name === 'ctc1' && fields.rt) {
      // Enables beside causes, or the unimplemented-operation cause, would raise an exception. QEMU 7.2 ignores writes of FEXR and FENR that have flag bits.
      const masks: Readonly<Record<number, bigint>> = { 25: 0xffn, 26: 0x1f000n, 28: 0xf83n, 31: 0xfffdf07fn };
      registers[`R${fields.rt}`] = random.bits(32) & masks[fields.fs!]!;
      if (fields.fs === 28 || fields.fs === 26) registers.FCR31! &= 0xfffc0000n;
      registers[`R${fields.rt}`] = BigInt.asUintN(width, BigInt.asIntN(32, registers[`R${fields.rt}`]!));
    }
    if (clause.name === 'cfc1') registers.FCR31 = random.bits(32) & (fields.fs === 28 ? 0xfe800fffn : 0xfe81f07fn);
    if (clause.name === 'rdhwr' && fields.rd === 29) registers.UserLocal = 0n;

    const accesses = clause.matcher.has('base');
    if (accesses && (fields.base === 0 || (fields.index !== undefined && fields.index === fields.base))) {
      fields.base = this.#gpr([fields.rt ?? 0, fields.index ?? 0]);
    }
    if (accesses) this.#pointAtScratch(clause, fields, registers, round);

    const branches = clause.family === 'branch' || clause.name.startsWith('bc1');
    if (branches && !clause.matcher.has('offset') && fields.rs !== undefined) {
      if (fields.rs === 0) fields.rs = this.#gpr([fields.rd ?? 0]);
      registers[`R${fields.rs}`] = BigInt(CODE_ADDRESS + 12);
    }
    if (branches && fields.rs === 31 && clause.matcher.has('offset') && clause.name.includes('al')) return undefined; // UNPREDICTABLE
    if (fields.rd !== undefined && fields.rd === fields.rs && clause.name.startsWith('jalr')) return undefined; // likewise

    const word = clause.matcher.encode(fields);
    const words = branches
      ? [word, 0x377b0001, 0x377b0002] // ori k1,k1,1 in the slot, ori k1,k1,2 past it
      : clause.name.startsWith('sc') && round < 3
        ? [word - 0x20000000, word] // LL or LLD first
        : [word];
    return this.#judge(clause, this.#bytes(words), branches ? 2 : words.length, registers, accesses, branches);
  }

  #setFpr(registers: Record<string, bigint>, n: number, clause: MipsClause): void {
    const random = this.#random;
    // QEMU gives the default NaN even where the manual would pass a quiet one on: those cases are by hand (nan-by-hand.case).
    const arithmetic = clause.family === 'fpu-arith' || /^cvt\.[sd]/.test(clause.name);
    const quiet = (bits: bigint): boolean => arithmetic && QUIET_NANS.has(bits);
    const single = random.below(3) ? random.pick(SINGLES.filter((bits) => !quiet(bits))) : random.bits(32);
    const double = random.below(3) ? random.pick(DOUBLES.filter((bits) => !quiet(bits))) : random.bits(64);
    const holdsDouble = clause.insn.pairs.length > 0 ? !/^(cvt\.d\.s|cvt\.d\.w)$/.test(clause.name) : false;
    const isDouble = holdsDouble || /\.[dl]$|^[ls][du]x?c1$|^dm/.test(clause.name);
    if (this.#isa.variant.width === 64) registers[`F${n}`] = isDouble ? double : (random.bits(32) << 32n) | single;
    else if (isDouble) {
      registers[`F${n & ~1}`] = double & 0xffffffffn;
      registers[`F${n | 1}`] = double >> 32n;
    } else registers[`F${n}`] = single;
  }

  /** Points the base register such that the access falls into the scratch area; in round 4 off its natural alignment. */
  #pointAtScratch(
    clause: MipsClause,
    fields: Partial<Record<FieldName, number>>,
    registers: Record<string, bigint>,
    round: number,
  ): void {
    const random = this.#random;
    const { width } = this.#isa.variant;
    const bytes = /^[ls][du]x?c1$|^[ls]dx?c1$|^(ld|sd|lld|scd)$/.test(clause.name)
      ? 8
      : /^(lh|lhu|sh)$/.test(clause.name)
        ? 2
        : 4;
    const anyByte =
      /^([ls][bwd][ul]?[lr]?|[ls]b|lbu|[ls]uxc1)$/.test(clause.name) &&
      /^(lb|lbu|sb|[ls][wd][lr]|[ls]uxc1)$/.test(clause.name);
    const at = anyByte || round === 4 ? 8 + random.below(16) : 8 + random.below(3) * bytes;
    const distance = fields.offset ?? 0;
    if (fields.index !== undefined) {
      registers[`R${fields.index}`] = BigInt.asUintN(width, BigInt(random.below(2000) - 1000));
      const index = BigInt.asIntN(width, registers[`R${fields.index}`]!);
      registers[`R${fields.base}`] = BigInt.asUintN(
        width,
        BigInt(SCRATCH_ADDRESS + at) - (fields.index === 0 ? 0n : index),
      );
      if (fields.index === 0) delete registers.R0;
    } else {
      registers[`R${fields.base}`] = BigInt(SCRATCH_ADDRESS + at - distance);
    }
  }

  #bytes(words: readonly number[]): Uint8Array {
    const buffer = Buffer.alloc(words.length * 4);
    for (const [i, word] of words.entries())
      this.#isa.variant.bigEndian ? buffer.writeUInt32BE(word, i * 4) : buffer.writeUInt32LE(word, i * 4);
    return Uint8Array.from(buffer);
  }

  #judge(
    clause: MipsClause,
    code: Uint8Array,
    count: number,
    registers: Record<string, bigint>,
    accesses: boolean,
    branches: boolean,
  ): Case {
    const isa = this.#isa;
    const scratch = Uint8Array.from({ length: SCRATCH_BYTES }, () => (accesses ? this.#random.below(256) : 0));
    const reference = runOnQemu(isa.variant as never, code, registers, scratch);
    const decoded = isa.decode(code, 0);
    const remark =
      typeof decoded === 'object'
        ? Array.from({ length: count }, (_, i) => text(isa, code, i * 4)).join('; ')
        : clause.name;
    const base = {
      code,
      count,
      registers,
      memory: accesses ? [{ address: SCRATCH_ADDRESS, bytes: scratch }] : [],
      remark,
    };
    const nothing = { registers: {}, memory: [], masks: {} };
    if (reference.signal !== undefined)
      return { ...base, expected: { ...nothing, stop: this.#stop(clause, code, reference.signal) } };

    const changed: Record<string, bigint> = {};
    for (const [name, value] of Object.entries(reference.registers)) {
      if (name === `R${RESERVED_GPR}`) continue;
      let after = name === 'FCR31' ? BigInt.asUintN(32, value) : value;
      const before = registers[name] ?? 0n;
      if (name === 'FCR31' && !clause.name.startsWith('ctc1'))
        after = (after & ~CAUSES_AND_FLAGS) | (before & CAUSES_AND_FLAGS);
      if (after !== before) changed[name] = after;
    }
    if (branches) this.#controlAfter(changed);
    if (clause.name.startsWith('ll')) Object.assign(changed, { LLbit: 1n, LLaddr: this.#address(registers, code) });
    if (clause.name.startsWith('sc') && count === 2) changed.LLaddr = this.#address(registers, code);
    const same = Buffer.compare(reference.scratch, scratch) === 0;
    const memory = same ? [] : [{ address: SCRATCH_ADDRESS, bytes: reference.scratch }];
    return { ...base, expected: { registers: changed, memory, masks: {}, stop: 'done' } };
  }

  /** Where two instructions of a branch's code lead: R27 says which of the slot and what follows it were executed. */
  #controlAfter(changed: Record<string, bigint>): void {
    const ran = changed.R27;
    changed.R27 = ran === 2n ? 2n : 1n;
    changed.pc = BigInt(CODE_ADDRESS + (ran === 3n ? 8 : 12));
  }

  #address(registers: Readonly<Record<string, bigint>>, code: Uint8Array): bigint {
    const word = this.#isa.variant.bigEndian ? Buffer.from(code).readInt32BE(0) : Buffer.from(code).readInt32LE(0);
    return registers[`R${(word >>> 21) & 31}`]! + BigInt((word << 16) >> 16);
  }

  #stop(clause: MipsClause, code: Uint8Array, signal: string): string {
    const kinds = SIGNALS[signal];
    if (kinds === undefined) throw new Error(`${clause.name} ended by ${signal}`);
    if (signal === 'SIGBUS') return 'fault:alignment';
    const word = this.#isa.variant.bigEndian ? Buffer.from(code).readUInt32BE(0) : Buffer.from(code).readUInt32LE(0);
    if (signal === 'SIGTRAP') {
      if (clause.name === 'break') return `breakpoint:${((word >>> 6) & 0xfffff).toString(16)}`;
      return `trap:${(clause.matcher.has('code') ? (word >>> 6) & 0x3ff : 0).toString(16)}`;
    }
    const privileged = clause.name === 'cop0' || clause.name === 'cache';
    return signal === 'SIGFPE' ? 'overflow:0' : privileged ? 'privileged:0' : 'illegal:0';
  }
}

function text(isa: MipsIsa, code: Uint8Array, offset: number): string {
  const decoded = isa.decode(code, offset);
  return typeof decoded === 'object' ? decoded.text(CODE_ADDRESS + offset) : '?';
}

/** Clauses that the judge cannot run: system calls mean something to it, and hardware registers and FIR are its own. */
const BY_HAND = new Set(['syscall', 'rdhwr']);

function recordAll(goarch: Goarch): void {
  const isa = isaFor(goarch) as MipsIsa;
  const recorder = new Recorder(isa);
  const files = new Map<string, string[]>();
  for (const clause of isa.clauses) {
    if (BY_HAND.has(clause.name)) continue;
    const lines = recorder.clause(clause).map(formatCase);
    files.set(clause.family, [...(files.get(clause.family) ?? []), ...lines]);
  }
  const directory = new URL(`../../cases/${goarch}/`, import.meta.url);
  mkdirSync(directory, { recursive: true });
  for (const [family, lines] of files) {
    const header = '# Recorded by test/support/mips/record-cases.ts from user-mode QEMU.\n';
    writeFileSync(new URL(`${family}.case`, directory), `${header}${lines.join('\n')}\n`);
  }
}

const wanted = process.argv.slice(2);
for (const goarch of GOARCHES)
  if (goarch !== 'amd64' && (wanted.length === 0 || wanted.includes(goarch))) recordAll(goarch);
