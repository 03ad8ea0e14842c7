// The table and its decoder: every clause is reached, none twice, and Capstone reads real programs as we do.

import { describe, expect, test } from 'vitest';
import { GOARCHES, type Goarch, type Isa, isaFor } from '../../../isa/index.ts';
import type { MipsClause, MipsIsa } from '../../../isa/mips/index.ts';
import { readElf } from '../../../src/object/elf.ts';
import { record } from '../../../src/uop/record.ts';
import { verify } from '../../../src/uop/verify.ts';
import { capstoneFor, type Disassembled } from '../../support/capstone.ts';
import { listFixtures, loadFixture } from '../../support/fixtures.ts';

const TARGETS: readonly Goarch[] = GOARCHES.filter((goarch) => goarch !== 'amd64');
/** Programs that between them use most of what Go's compiler and assembler emit. */
const PROGRAMS: readonly string[] = ['floats', 'asm', 'atomics'];
const PC = 0x10000;

function toBytes({ variant }: Isa, word: number): Uint8Array {
  const buffer = Buffer.alloc(4);
  if (variant.bigEndian) buffer.writeInt32BE(word | 0);
  else buffer.writeInt32LE(word | 0);
  return buffer;
}

/** Encodings of a clause: the fields all zeros, all ones, and patterns between; FPU numbers may come out odd. */
function encodings({ matcher }: MipsClause): number[] {
  return [0, -1, 0x55555555, 0x33333333, 0x0f0f0f0f, 0x00ff00ff, 0x2c6a3f91].map(
    (bits) => ((bits & ~matcher.mask) | matcher.value) >>> 0,
  );
}

const MARK = /[$\s]/g;
const O32_OF_N64: Readonly<Record<string, string>> = {
  a4: 't0',
  a5: 't1',
  a6: 't2',
  a7: 't3',
  t0: 't4',
  t1: 't5',
  t2: 't6',
  t3: 't7',
};

/** Both texts in one spelling: no blanks and dollar signs, o32 register names, numbers in decimal at the width of the target. */
function common(text: string, width: 32 | 64, names: Readonly<Record<string, string>>): string {
  const space = `${text} `.indexOf(' ');
  const operands = text
    .slice(space)
    .replaceAll(MARK, '')
    .split(/([,()])/)
    .map((part) => {
      if (/^-?(0x)?[0-9a-f]+$/.test(part) && /^-?\d/.test(part)) {
        const value = part.startsWith('-') ? -BigInt(part.slice(1)) : BigInt(part);
        return BigInt.asUintN(width, value).toString();
      }
      return names[part] ?? part;
    });
  return `${text.slice(0, space)} ${operands.join('')}`;
}

/** Where we follow objdump and Capstone does not: its spelling, and ours of the same. Divisions have a destination in Capstone only. */
const ALIASES: readonly (readonly [theirs: RegExp, ours: string])[] = [
  [/^addiu (\w+),zero,/, 'li $1,'],
  [/^ori (\w+),zero,/, 'li $1,'],
  [/^daddiu (\w+),zero,/, 'dli $1,'],
  [/^dsubu (\w+),zero,/, 'dnegu $1,'],
  [/^(d?divu?) zero,/, '$1 '],
  [/^(beq|bne)l (\w+),zero,/, '$1zl $2,'],
  [/,\(/, ',0('],
];

/** MSA's, which Go's assembly uses only where HWCAP offers them: no processor here has them. */
const MSA = /^(ldi?|st)\.[bhwd] /;

/** Capstone's text in our spelling. */
function canonical({ mnemonic, op_str }: Disassembled): string {
  const text = `${mnemonic} ${op_str.replaceAll(MARK, '')}`;
  return ALIASES.reduce((spelling, [theirs, ours]) => spelling.replace(theirs, ours), text);
}

describe.each(TARGETS)('%s', (goarch) => {
  const isa = isaFor(goarch) as MipsIsa;

  test('no two clauses match the same word', () => {
    const overlaps: string[] = [];
    for (const [i, a] of isa.clauses.entries()) {
      for (const b of isa.clauses.slice(i + 1)) {
        const both = a.matcher.mask & b.matcher.mask;
        if (((a.matcher.value ^ b.matcher.value) & both) === 0) overlaps.push(`${a.name} and ${b.name}`);
      }
    }
    expect(overlaps).toEqual([]);
  });

  test('no two clauses have the same name', () => {
    const names = isa.clauses.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  test('every clause is found by its encodings, and its op list is sound', () => {
    const wrong: string[] = [];
    for (const clause of isa.clauses) {
      let reached = 0;
      for (const word of encodings(clause)) {
        const decoded = isa.decode(toBytes(isa, word), 0);
        if (decoded === undefined && clause.insn.pairs.length > 0 && isa.variant.width === 32) continue;
        if (typeof decoded !== 'object' || decoded.clause !== clause) {
          wrong.push(`${clause.name}: ${word.toString(16)} is not decoded to it`);
          continue;
        }
        reached++;
        for (const line of verify(record(isa.variant, (e) => decoded.effect(e)))) wrong.push(`${clause.name}: ${line}`);
        if (/undefined|NaN/.test(decoded.text(PC))) wrong.push(`${clause.name}: ${decoded.text(PC)}`);
      }
      if (reached === 0) wrong.push(`${clause.name} is never reached`);
    }
    expect(wrong).toEqual([]);
  });

  test('asks for more bytes when there are fewer than four', () => {
    expect(isa.decode(new Uint8Array(7), 4)).toBe('short');
  });

  const programs = listFixtures().filter((f) => f.goarch === goarch && PROGRAMS.includes(f.purpose));
  test.skipIf(programs.length === 0)('reads the text of real programs as Capstone does', async () => {
    const disassemble = await capstoneFor(goarch);
    const { width } = isa.variant;
    const ours = width === 64 ? { ...O32_OF_N64, s8: 'fp' } : { s8: 'fp' };
    const seen = new Set<number>();
    const wrong: string[] = [];
    for (const { purpose, release } of programs) {
      const text = Buffer.from(readElf(loadFixture(purpose, goarch, release)).sectionData('.text')!);
      for (let at = 0; at + 4 <= text.length; at += 4) {
        const word = isa.variant.bigEndian ? text.readUInt32BE(at) : text.readUInt32LE(at);
        if (seen.has(word)) continue;
        seen.add(word);
        const bytes = toBytes(isa, word);
        const decoded = isa.decode(bytes, 0);
        const theirs = disassemble(bytes, PC);
        const mine = typeof decoded === 'object' ? common(decoded.text(PC), width, ours) : undefined;
        const other = theirs && common(canonical(theirs), width, {});
        if (mine === undefined && other !== undefined && MSA.test(other)) continue;
        if (mine !== other) wrong.push(`${word.toString(16)}: ${mine}, not ${other}`);
      }
    }
    expect(seen.size).toBeGreaterThan(10_000);
    expect(wrong).toEqual([]);
  });
});
