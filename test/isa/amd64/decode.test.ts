// The decoder: rows do not overlap, lengths and mnemonics are Capstone's over whole programs, prefixes mean what the manual says.

import { describe, expect, test } from 'vitest';
import type { Clause } from '../../../isa/amd64/clause.ts';
import { buildTable, type MatchFields, matches } from '../../../isa/amd64/decode.ts';
import { amd64Clauses } from '../../../isa/amd64/families.ts';
import { packFlags, REGISTERS, unpackFlags } from '../../../isa/amd64/regs.ts';
import { isaFor } from '../../../isa/index.ts';
import { readElf } from '../../../src/object/elf.ts';
import { capstoneFor } from '../../support/capstone.ts';
import { listFixtures, loadFixture } from '../../support/fixtures.ts';

const isa = isaFor('amd64');
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const decode = (hex: string) => isa.decode(bytes(hex), 0);
const text = (hex: string): string | undefined => {
  const decoded = decode(hex);
  return typeof decoded === 'object' ? decoded.text(0x1000) : decoded;
};

describe('rows', () => {
  /** All that rows can tell encodings of one opcode apart by. */
  const spellings = function* (opcode: number, modrm: boolean): Generator<MatchFields> {
    for (const mandatory of [0, 0x66, 0xf2, 0xf3])
      for (const rex of [0, 0x41, 0x48, 0x49])
        for (let m = modrm ? 0 : -1; m < (modrm ? 256 : 0); m++)
          yield { mandatory, rep: mandatory === 0x66 ? 0 : mandatory, rex, opcode, modrm: m };
  };

  test('no two of them take one encoding, and each takes some', () => {
    const taken = new Set<Clause>();
    const overlaps = new Set<string>();
    for (const [at, slot] of buildTable(amd64Clauses()).entries()) {
      if (slot === undefined) continue;
      for (const fields of spellings(at & 0xff, slot.modrm)) {
        const takers = slot.rows.filter((row) => matches(row.encoding, fields));
        if (takers.length > 1) overlaps.add(takers.map(({ name }) => name).join(' and '));
        for (const row of takers) taken.add(row);
      }
    }
    expect([...overlaps]).toEqual([]);
    expect(
      amd64Clauses()
        .filter((row) => !taken.has(row))
        .map(({ name }) => name),
    ).toEqual([]);
  });

  test('names are unique', () => {
    expect(new Set(amd64Clauses().map(({ name }) => name)).size).toBe(amd64Clauses().length);
  });
});

/** Instructions in Go programs that are later than SSE2. They stand behind CPUID tests. */
const LATER =
  /^(v[a-z]|kmov|aes|sha|pclmul|pshufb|palignr|pinsr[bdq]|pextr[bdq]|pcmpestri|popcnt|round[sp][sd]|crc32|andn|rorx|mulx|ad[co]x|xgetbv|tzcnt|lzcnt|rdtscp|blsr|bzhi|shlx|shrx|sarx|pblend|ptest|movbe)/;

/** Where Capstone's name is another one for the same instruction. */
const ALIASES: Readonly<Record<string, string>> = { tzcnt: 'bsf', lzcnt: 'bsr' };
/** Capstone names the predicate; the immediate does. */
const normal = (name: string): string =>
  ALIASES[name] ?? name.replace(/^cmp(?:eq|lt|le|unord|neq|nlt|nle|ord)([sp][sd])$/, 'cmp$1');

const releases = [...new Set(listFixtures().map(({ release }) => release))].filter((release) =>
  listFixtures().some((f) => f.goarch === 'amd64' && f.release === release && f.purpose === 'hello'),
);
const ends = [...new Set([releases[0], releases.at(-1)])].filter((release) => release !== undefined);

describe.each(ends)('hello of Go %s', (release) => {
  test('every instruction has the length and the mnemonic that Capstone gives it', { timeout: 60_000 }, async () => {
    const capstone = await capstoneFor('amd64');
    const file = loadFixture('hello', 'amd64', release);
    const section = readElf(file).sections.find(({ name }) => name === '.text')!;
    const code = file.subarray(Number(section.offset), Number(section.offset) + Number(section.size));
    const seen = new Set<string>();
    const wrong: string[] = [];
    for (let at = 0; at < code.length; ) {
      const ours = isa.decode(code, at);
      const window = code.subarray(at, at + 15);
      if (typeof ours !== 'object') {
        const theirs = capstone(window, at);
        if (theirs !== undefined && !LATER.test(theirs.mnemonic))
          wrong.push(`${at.toString(16)}: not decoded: ${theirs.mnemonic} ${theirs.op_str}`);
        at += theirs?.size ?? 1;
        continue;
      }
      const key = Buffer.from(code.subarray(at, at + ours.length)).toString('latin1');
      if (!seen.has(key)) {
        seen.add(key);
        const theirs = capstone(window, at);
        const line = ours.text(at);
        const name = theirs === undefined ? '' : normal(theirs.mnemonic);
        if (theirs?.size !== ours.length || !(line === name || line.startsWith(`${name} `)))
          wrong.push(`${at.toString(16)}: ${line} (${ours.length}) is ${name} (${theirs?.size})`);
      }
      at += ours.length;
    }
    expect(seen.size).toBeGreaterThan(10_000);
    expect(wrong).toEqual([]);
  });
});

describe('prefixes', () => {
  test('an instruction of more than 15 bytes is none, one that ends too early is short', () => {
    expect(text(`${'66'.repeat(14)}90`)).toBe('nop');
    expect(decode(`${'66'.repeat(15)}90`)).toBeUndefined();
    expect(decode('48')).toBe('short');
    expect(decode('48 8b')).toBe('short');
    expect(decode('48 8b 04')).toBe('short');
    expect(decode('48 8b 84 24 00 00 00')).toBe('short');
    expect(decode('48 b8 00 00 00 00 00 00 00')).toBe('short');
  });

  test('REX counts only right before the opcode', () => {
    expect(text('48 66 b8 34 12')).toBe('mov ax, 0x1234');
    expect(text('66 48 b8 88 77 66 55 44 33 22 11')).toBe('movabs rax, 0x1122334455667788');
  });

  test('REX turns AH CH DH BH into SPL BPL SIL DIL', () => {
    expect(text('88 e0')).toBe('mov al, ah');
    expect(text('40 88 e0')).toBe('mov al, spl');
  });

  test('LOCK is refused but before what reads and writes memory', () => {
    expect(text('f0 01 00')).toBe('lock add dword ptr [rax], eax');
    expect(decode('f0 01 c0')).toBeUndefined();
    expect(decode('f0 03 00')).toBeUndefined();
    expect(decode('f0 39 00')).toBeUndefined();
    expect(decode('f0 89 00')).toBeUndefined();
    expect(text('f0 87 00')).toBe('lock xchg dword ptr [rax], eax');
    expect(decode('f0 0f a3 00')).toBeUndefined();
    expect(text('f0 0f ab 00')).toBe('lock bts dword ptr [rax], eax');
  });

  test('R12 is an index though RSP is none, R13 a base though RBP needs a displacement', () => {
    expect(text('4a 8b 04 20')).toBe('mov rax, qword ptr [rax + r12]');
    expect(text('48 8b 04 20')).toBe('mov rax, qword ptr [rax]');
    expect(text('49 8b 45 00')).toBe('mov rax, qword ptr [r13]');
    expect(text('49 8b 05 10 00 00 00')).toBe('mov rax, qword ptr [rip + 0x10]');
  });

  test('branches ignore the operand size', () => {
    expect(text('66 e8 00 00 00 00')).toBe('call 0x1006');
    expect(text('66 0f 84 10 00 00 00')).toBe('je 0x1017');
  });

  test('what left the 64-bit mode, and what came after SSE2, is no instruction', () => {
    const none = [
      '06',
      '27',
      '37',
      '60',
      'd4 0a',
      '9a',
      'ea',
      '62',
      'c4 e2 7d 18',
      'c5 f8 77',
      '0f 38 00 c0',
      'f3 0f b8 c0',
    ];
    for (const hex of [...none, '48 0f c7 08', '0f 01 d0', '0f 01 f9'])
      expect(decode(`${hex} 00 00 00 00 00 00 00 00`), hex).toBeUndefined();
  });
});

test('the RFLAGS image goes there and back', () => {
  const state = new Map<string, bigint>();
  unpackFlags(0x200cd7n, (r, value) => state.set(r.name, value));
  expect(packFlags((r) => state.get(r.name) ?? 0n)).toBe(0x200ed7n);
  expect(REGISTERS.byName.get('XMM15')?.type).toBe('v128');
});
