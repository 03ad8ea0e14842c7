// Commands that read a program without running it: the documents that other programs parse.

import { describe, expect, it } from 'vitest';
import { safepoint } from '../support/cli.ts';
import { fixturePath, GOARCHES } from '../support/fixtures.ts';

const json = async (...args: string[]): Promise<Record<string, unknown>> => {
  const { status, out } = await safepoint(...args);
  expect(status).toBe(0);
  return JSON.parse(out) as Record<string, unknown>;
};

describe('explain --json', () => {
  const path = fixturePath('hello', 'mips', '1.27');

  it('has the documented fields', async () => {
    const document = await json('explain', '--json', path, 'main.main');
    expect(document).toMatchObject({
      version: 1,
      pc: expect.any(Number),
      func: 'main.main',
      line: expect.any(Number),
      verdict: 'safe',
      resume: document.pc,
      check: null,
      reason: expect.any(String),
    });
    const checks = document.checks as { check: string; pass: boolean; detail: string }[];
    expect(checks.map((c) => c.check)).toEqual(['findfunc', 'half-call', 'unsafe-point', 'asm', 'prefix', 'restart']);
  });

  it('refuses a half-executed call where there is no frame, and names the check', async () => {
    const entry = (await json('explain', '--json', path, 'main.main')).pc as number;
    const document = await json('explain', '--json', path, 'main.main', '--lr', `0x${(entry + 8).toString(16)}`);
    expect(document).toMatchObject({ verdict: 'unsafe', check: 'half-call', resume: null });
  });

  it('differs between the seed and the release exactly at restartable sequences', async () => {
    const points = async (rules: string): Promise<{ pc: number; verdict: string; check: string | null }[]> => {
      const document = await json('map', '--json', '--rules', rules, path, 'main\\.');
      return (document.funcs as { points: { pc: number; verdict: string; check: string | null }[] }[]).flatMap(
        (f) => f.points,
      );
    };
    const [auto, seed] = [await points('auto'), await points('seed')];
    expect(auto.some((p) => p.verdict === 'restart')).toBe(true);
    for (const [i, point] of auto.entries()) {
      if (point.verdict === 'restart')
        expect(seed[i]).toMatchObject({ pc: point.pc, verdict: 'unsafe', check: 'unsafe-point' });
      else expect(seed[i]).toEqual(point);
    }
  });
});

describe.each(GOARCHES)('map --json of %s', (goarch) => {
  it('lists every instruction once, and totals that add up', async () => {
    const document = await json('map', '--json', fixturePath('exitcode', goarch, '1.19'), 'main\\.');
    const funcs = document.funcs as {
      name: string;
      entry: number;
      end: number;
      points: { pc: number; verdict: string; line: number }[];
    }[];
    expect(funcs.map((f) => f.name)).toContain('main.main');
    const counts: Record<string, number> = { safe: 0, unsafe: 0, restart: 0 };
    for (const f of funcs) {
      expect(f.points[0]!.pc).toBe(f.entry);
      for (const [i, point] of f.points.entries()) {
        counts[point.verdict]!++;
        expect(point.pc).toBeGreaterThanOrEqual(f.entry);
        expect(point.pc).toBeLessThan(f.end);
        if (i > 0) expect(point.pc).toBeGreaterThan(f.points[i - 1]!.pc);
      }
    }
    expect(document.totals).toEqual(counts);
  });
});

describe('listings', () => {
  it('info tells target and release, also of a stripped program', async () => {
    expect(await json('info', '--json', fixturePath('calls', 'mips64le', '1.19'))).toMatchObject({
      version: 1,
      goarch: 'mips64le',
      go: 'go1.19.8',
      asyncPreemptStack: 576,
    });
  });

  it('disasm shows bytes, text and source lines', async () => {
    const { out } = await safepoint('disasm', fixturePath('hello', 'mips', '1.27'), 'main.main');
    expect(out).toMatch(/^main\.main:\n {2}0x[0-9a-f]+ {2}main\.go:\d+ +8fc10008 {2}lw at,8\(s8\)\n/);
  });

  it('disasm names the targets of calls', async () => {
    const { out } = await safepoint('disasm', fixturePath('hello', 'mips', '1.27'), 'main.main');
    expect(out).toMatch(/jal 0x[0-9a-f]+ {2}<runtime\.morestack_noctxt>\n/);
  });

  it('funcs, syscalls and isa list what there is', async () => {
    expect((await safepoint('funcs', fixturePath('hello', 'mips', '1.27'), 'main.main')).out).toMatch(
      /^0x[0-9a-f]+ +\d+ +\d+ {2}main\.main\n$/,
    );
    expect((await safepoint('syscalls')).out).toMatch(/^futex +202 +4238 +5194 +partial/m);
    expect((await safepoint('isa', 'mips')).out).toMatch(/^alu +addu +000000 /m);
  });
});
