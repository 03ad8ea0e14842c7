// `safepoint goroutines`: the document that other programs parse, what people read, and the exit statuses.

import { describe, expect, it } from 'vitest';
import { safepoint } from '../support/cli.ts';
import { fixturePath, NOTGO } from '../support/fixtures.ts';

const path = fixturePath('hello', 'mips', '1.27');

interface Document {
  readonly version: number;
  readonly at: { readonly pc: number; readonly instructions: number; readonly place: string };
  readonly how: string;
  readonly goroutines: readonly {
    readonly goid: number;
    readonly kind: string;
    readonly running: boolean;
    readonly suspended?: { readonly kind: string; readonly signals: number };
    readonly registers?: { readonly from: string; readonly values: Readonly<Record<string, string>> };
    readonly stack: readonly { readonly func: string; readonly line: number }[];
    readonly scan?: readonly { readonly func: string; readonly how: string; readonly roots: readonly object[] }[];
  }[];
  readonly end?: string;
}

describe('safepoint goroutines', { timeout: 120_000 }, () => {
  it('suspends every goroutine at a place; --json has their stacks, registers and roots', async () => {
    const { status, out, err } = await safepoint('goroutines', '--json', '--scan', '--at', 'main.main', path);
    expect([status, err]).toEqual([0, '']);
    const document = JSON.parse(out) as Document;
    expect(document).toMatchObject({
      version: 1,
      at: { place: expect.stringMatching(/^main\.main \(main\.go:\d+\)$/) },
    });
    const { goroutines } = document;
    expect(goroutines.map((g) => g.goid)).toEqual(expect.arrayContaining([1, 2, 3]));
    expect(goroutines.filter((g) => g.running).map((g) => g.goid)).toEqual([1]);
    for (const { stack, suspended, registers, scan } of goroutines) {
      expect(stack.at(-1)!.func).toBe('runtime.goexit');
      expect(['blocked', 'synchronous', 'asynchronous']).toContain(suspended!.kind);
      expect(registers!.values.PC).toMatch(/^0x[0-9a-f]+$/);
      expect(scan!.map((f) => f.func)).toContain('runtime.goexit');
    }
    expect(document.end).toBeUndefined();
  });

  it('prints one of them for people, and runs on to the end when it is told to', async () => {
    const { status, out, err } = await safepoint('goroutines', '--goid', '1', '--run', '--at', 'main.main', path);
    expect(status).toBe(0);
    expect(out).toMatch(
      /^at main\.main \(main\.go:\d+\), after \d+ instructions; from runtime\.allgs\n\ngoroutine 1 \[running\]: /,
    );
    expect(out).toMatch(/\n {2}suspended after \d+ instructions at an? (a?synchronous) safe-point/);
    expect(out).toMatch(/\n {4}0x[0-9a-f]+ {2}sp 0x[0-9a-f]+ {2}main\.main {2}\S*main\.go:\d+\n/);
    expect(out).toMatch(/\nthe program ended: exit status 0\n$/);
    expect(out).not.toContain('goroutine 2');
    // What the program says goes where it does not mix with the report.
    expect(err).toContain('hello');
  });

  it('exits 1 where the program does not come to the place so often', async () => {
    const { status, out, err } = await safepoint('goroutines', '--at', 'main.main,hit=2', path);
    expect([status, out]).toEqual([1, '']);
    expect(err).toMatch(
      /safepoint: \S+: it ended \(exit status 0\) after 1 of 2 arrivals at main\.main; try a smaller hit=K\n$/,
    );
  });

  it.each([
    ['no place', ['goroutines', path], /--at.*not specified/],
    [
      'a place that is none',
      ['goroutines', '--at', 'main.mian', path],
      /no function main\.mian; did you mean main\.main/,
    ],
    ['a hit that is none', ['goroutines', '--at', 'main.main,hit=0', path], /wanted LOC\[,hit=K\]/],
    ['a goroutine that there is not', ['goroutines', '--goid', '99', '--at', 'main.main', path], /no goroutine 99/],
    ['a program without Go', ['goroutines', '--at', '0x1000', fixturePath(NOTGO, 'mips', 'none')], /no pclntab/],
  ])('exits 2 with one line for %s', async (_what, args, says) => {
    const { status, out, err } = await safepoint(...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(says);
    expect(err).toMatch(/^safepoint: [^\n]+\n$/);
  });
});
