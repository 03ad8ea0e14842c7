// `safepoint verify`: the document that other programs parse, and the exit statuses.

import { describe, expect, it } from 'vitest';
import type { VerifyReport } from '../../src/index.ts';
import { safepoint } from '../support/cli.ts';
import { fixturePath, NOTGO } from '../support/fixtures.ts';

const path = fixturePath('hello', 'mipsle', '1.27');

describe('safepoint verify', { timeout: 120_000 }, () => {
  it('exits 0 where the program agrees; --json has the documented fields', async () => {
    const { status, out, err } = await safepoint('verify', '--json', '--func', 'main.main', path);
    expect(err).toBe('');
    expect(status).toBe(0);
    const document = JSON.parse(out) as VerifyReport;
    expect(document).toMatchObject({ version: 1, goarch: 'mipsle', disagreed: [] });
    expect(document.pcs).toBeGreaterThan(10);
    expect(document.agreed).toBe(document.pcs);
    const { safe, unsafe, restart } = document.totals;
    expect(safe + unsafe + restart).toBe(document.pcs);
  });

  it('exits 1 and lists each disagreement where it does not', async () => {
    const wrong = ['--rules', 'seed', '--func', 'main.main'];
    const { status, out } = await safepoint('verify', '--json', ...wrong, path);
    expect(status).toBe(1);
    const { disagreed, pcs, agreed } = JSON.parse(out) as VerifyReport;
    expect(pcs - agreed).toBe(new Set(disagreed.map((d) => d.pc)).size);
    expect(disagreed[0]).toEqual({
      pc: expect.any(Number),
      func: 'main.main',
      lr: expect.any(Number),
      ours: { verdict: 'unsafe', resume: null, check: 'unsafe-point' },
      theirs: { verdict: 'safe', resume: expect.any(Number) },
    });
    const text = await safepoint('verify', ...wrong, path);
    expect(text.status).toBe(1);
    expect(text.out).toMatch(
      /^0x[0-9a-f]+ main\.main.*: ours unsafe \(unsafe-point\), the runtime's resume 0x[0-9a-f]+$/m,
    );
  });

  it('asks about as many PCs as --sample says', async () => {
    const { status, out } = await safepoint('verify', '--json', '--sample', '25', path);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ pcs: 25, agreed: 25, disagreed: [] });
  });

  it.each([
    ['a program that is not Go', ['verify', fixturePath(NOTGO, 'mips', 'none')], /no pclntab/],
    ['a function that there is not', ['verify', '--func', 'no\\.such', path], /no function/],
    ['a file that there is not', ['verify', '/no/such'], /no such file/],
    ['a sample of nothing', ['verify', '--sample', '0', path], /whole number from 1 up/],
  ])('exits 2 with one line for %s', async (_what, args, message) => {
    const { status, out, err } = await safepoint(...args);
    expect(status).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(message);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
  });
});
