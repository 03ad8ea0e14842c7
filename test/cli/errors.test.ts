import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { safepoint } from '../support/cli.ts';
import { fixturePath, loadFixture } from '../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'safepoint-errors-'));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const hello = loadFixture('hello', 'amd64', '1.27');
const changed = (name: string, offset: number, ...bytes: number[]): string => {
  const copy = Uint8Array.from(hello);
  copy.set(bytes, offset);
  return file(name, copy);
};

/** Input, and what the line must say. Offsets are those of the 64-bit ELF header. */
const BAD: readonly (readonly [what: string, path: string, says: RegExp])[] = [
  ['a missing file', join(folder, 'missing'), /no such file; check the path/],
  ['a directory', folder, /is a directory; name a program/],
  ['an empty file', file('empty', ''), /the file is empty; build/],
  ['a text file', file('text', 'echo hello\n'), /not an ELF executable: a text file; build/],
  [
    'a program cut short',
    file('short', hello.subarray(0, 5000)),
    /truncated: .* the file has 5000 bytes; copy or build it again/,
  ],
  ['a header cut short', file('header', hello.subarray(0, 40)), /truncated: the ELF header/],
  ['a wild program header offset', changed('wild', 32, 255, 255, 255, 255, 255, 255, 255, 255), /corrupted/],
  ['a program for arm64', changed('arm64', 18, 183, 0), /a program for arm64; Safepoint runs/],
  ['an object file', changed('object', 16, 1, 0), /relocatable object/],
];

describe.each(['run', 'info', 'step'])('%s', (command) => {
  it.each(BAD)('refuses %s with one line and status 2', async (_what, path, says) => {
    const { status, out, err } = await safepoint(command, path);
    expect(status).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(/^safepoint: [^\n]+\n$/);
    expect(err).toContain(path);
    expect(err).toMatch(says);
  });
});

describe('usage', () => {
  it.each([
    [['run']],
    [['nonsense']],
    [['run', '--preempt', 'sometimes', 'x']],
    [['run', '--preempt', 'every=0', 'x']],
    [['run', '--cpus', 'many', 'x']],
    [['run', '--without', 'luck', 'x']],
    [['run', '--handler', 'nobody', 'x']],
    [['run', '--env', 'NOVALUE', 'x']],
    [['explain', 'x']],
  ])('%j is refused with one line that names the help', async (args) => {
    const { status, out, err } = await safepoint(...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(/^safepoint: [^\n]+; try safepoint [^\n]*--help\n$/);
  });

  it('refuses a place that the program does not have, and suggests near names', async () => {
    const { status, err } = await safepoint('explain', fixturePath('hello', 'amd64', '1.27'), 'main.mian');
    expect(status).toBe(2);
    expect(err).toMatch(/no function main\.mian.*main\.main/);
  });

  it('refuses rules that do not exist, and directories that are not there', async () => {
    const path = fixturePath('hello', 'amd64', '1.27');
    expect((await safepoint('run', '--rules', 'old', path)).err).toMatch(/no rules old/);
    expect((await safepoint('run', '--dir', join(folder, 'nowhere'), path)).err).toMatch(/there is no/);
    expect((await safepoint('run', '--dir', `${folder}:/`, path)).err).toMatch(/cannot be mapped at \//);
  });
});

describe('a static program that is not Go', () => {
  const path = fixturePath('notgo', 'mips', 'none');

  it('runs', async () => {
    expect(await safepoint('run', path)).toEqual({ status: 3, out: 'hi\n', err: '' });
  });

  it.each([
    ['explain', path, 'main.main'],
    ['map', path],
    ['run', '--preempt', 'every=97', path],
  ])('is told by %s that it has no Go tables', async (...args) => {
    const { status, err } = await safepoint(...args);
    expect(status).toBe(2);
    expect(err).toMatch(/^safepoint: [^\n]*not a Go program: it has no pclntab[^\n]*\n$/);
  });
});
