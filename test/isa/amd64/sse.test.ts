// SSE and SSE2: which encodings are instructions, and that each form of a clause has a case.

import { describe, expect, test } from 'vitest';
import { type Decoded, isaFor } from '../../../isa/index.ts';
import { capstoneFor } from '../../support/capstone.ts';
import { readCases } from '../../support/cases.ts';

const isa = isaFor('amd64');
const isSse = ({ family }: { readonly family: string }): boolean => family.startsWith('sse-');
const sseClauses = isa.clauses.filter(isSse);

const decode = (bytes: Uint8Array): Decoded | undefined => {
  const decoded = isa.decode(bytes, 0);
  return typeof decoded === 'object' ? decoded : undefined;
};
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

const cases = [...readCases('amd64')].filter(([file]) => file.startsWith('sse-')).flatMap(([, rows]) => rows);

describe('clauses', () => {
  test('are executed by a case from memory and by one from registers, where they have both forms', () => {
    const seen = new Set(
      cases.map(({ test: c }) => `${decode(c.code)?.clause.name} ${c.memory.length > 0 ? 'memory' : 'register'}`),
    );
    const wanted = sseClauses.flatMap(({ name }) => {
      const memory = /\bm\d+u?\b|m[yv]\b/.test(name) || name.startsWith('MASKMOVDQU');
      const register = !/ m\d/.test(name.split(' (')[0]!) && !name.startsWith('MASKMOVDQU');
      return [
        ...(memory && !name.includes('/r reg') ? [`${name} memory`] : []),
        ...(register ? [`${name} register`] : []),
      ];
    });
    expect(wanted.length).toBeGreaterThan(sseClauses.length);
    expect(wanted.filter((one) => !seen.has(one))).toEqual([]);
  });
});

describe('encodings', () => {
  // What follows the opcode: enough for any displacement or immediate.
  const TAIL = [1, 2, 3, 4, 5, 6, 7, 8];
  const PREFIXES = [[], [0x66], [0xf2], [0xf3]];
  const MODRM = Array.from({ length: 8 }, (_, reg) => [0x07 | (reg << 3), 0xc1 | (reg << 3)]).flat();

  const encodings = PREFIXES.flatMap((prefix) =>
    Array.from({ length: 256 }, (_, opcode) =>
      [0, 0x48].flatMap((rex) =>
        MODRM.map((modrm) => Uint8Array.from([...prefix, ...(rex === 0 ? [] : [rex]), 0x0f, opcode, modrm, ...TAIL])),
      ),
    ).flat(),
  );

  /** Capstone prints the predicate of a comparison in the mnemonic. */
  const plain = (mnemonic: string): string =>
    mnemonic.replace(/^cmp(eq|lt|le|unord|neq|nlt|nle|ord)([ps][sd])$/, 'cmp$2');

  test('are decoded with the mnemonic and the length that Capstone gives', async () => {
    const capstone = await capstoneFor('amd64');
    const wrong: string[] = [];
    let compared = 0;
    for (const bytes of encodings) {
      const ours = decode(bytes);
      if (ours === undefined || !isSse(ours.clause)) continue;
      compared++;
      const theirs = capstone(bytes, 0x1000);
      const mnemonic = ours.text(0x1000).split(' ')[0];
      if (theirs === undefined || plain(theirs.mnemonic) !== mnemonic || theirs.size !== ours.length)
        wrong.push(`${Buffer.from(bytes).toString('hex')}: ${ours.text(0x1000)}, ${theirs?.mnemonic}`);
    }
    expect(compared).toBeGreaterThan(sseClauses.length * 8);
    expect(wrong).toEqual([]);
  });

  test('are complete: what Capstone calls by a name of ours and has no MMX register is decoded', async () => {
    const capstone = await capstoneFor('amd64');
    const names = new Set(sseClauses.map(({ name }) => name.split(' ')[0]!.toLowerCase()));
    const missing: string[] = [];
    for (const bytes of encodings) {
      // Capstone ignores a mandatory prefix before REX that the instruction does not have; processors do not.
      if (bytes.includes(0x48) || decode(bytes) !== undefined) continue;
      const theirs = capstone(bytes, 0x1000);
      if (theirs === undefined || !names.has(plain(theirs.mnemonic)) || /\bmm\d/.test(theirs.op_str)) continue;
      missing.push(`${Buffer.from(bytes).toString('hex')}: ${theirs.mnemonic} ${theirs.op_str}`);
    }
    // LDMXCSR and STMXCSR are NP in the manual, and processors give #UD with the prefixes that Capstone accepts.
    expect(missing.filter((one) => !/^(66|f2|f3)0fae(17|1f)/.test(one))).toEqual([]);
  });

  test.each([
    ['0f fc c1', 'PADDB mm'],
    ['0f 6f c1', 'MOVQ mm'],
    ['0f 7e c1', 'MOVD from mm'],
    ['0f 77', 'EMMS'],
    ['0f c4 c1 01', 'PINSRW mm'],
    ['0f d7 c1', 'PMOVMSKB mm'],
    ['0f 2a c1', 'CVTPI2PS'],
    ['66 0f 2d c1', 'CVTPD2PI'],
    ['f2 0f d6 c1', 'MOVDQ2Q'],
    ['0f e7 07', 'MOVNTQ'],
    ['f2 0f 12 c1', 'MOVDDUP, SSE3'],
    ['f2 0f f0 07', 'LDDQU, SSE3'],
    ['66 0f 7c c1', 'HADDPD, SSE3'],
    ['66 0f 38 00 c1', 'PSHUFB, SSSE3'],
    ['66 0f 3a 0f c1 01', 'PALIGNR, SSSE3'],
    ['66 0f 3a 0b c1 01', 'ROUNDSD, SSE4.1'],
    ['66 0f 38 17 c1', 'PTEST, SSE4.1'],
    ['f2 0f 38 f0 c1', 'CRC32, SSE4.2'],
    ['66 0f 38 dc c1', 'AESENC'],
    ['c5 f8 58 c1', 'VADDPS'],
    ['0f ae 07', 'FXSAVE'],
    ['66 0f 12 c1', 'MOVLPD has no register form'],
    ['0f 13 c1', 'MOVLPS has no register form'],
    ['0f 2b c1', 'MOVNTPS has no register form'],
    ['66 0f d7 07', 'PMOVMSKB has no memory form'],
    ['f2 0f 28 c1', 'MOVAPS has no F2 form'],
    ['66 0f 53 c1', 'RCPPS has no 66 form'],
    ['f0 0f 58 07', 'ADDPS cannot be locked'],
  ])('%s is no instruction (%s)', (hex) => {
    expect(isa.decode(bytesOf(`${hex} ${'00 '.repeat(12)}`), 0)).toBeUndefined();
  });
});
