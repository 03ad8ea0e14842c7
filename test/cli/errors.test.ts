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
    [['sweep', '--jobs', '0', 'x']],
    [['step', '--env', 'NOVALUE', 'x']],
    [['goroutines', 'x']],
    [['verify', 'x', 'y']],
    [['info', '--jsn', 'x']],
    [['isa', 'arm']],
    [['syscalls', 'x']],
  ])('%j is refused with one line that names the help', async (args) => {
    const { status, out, err } = await safepoint(...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(/^safepoint: [^\n]+; try safepoint [^\n]*--help\n$/);
  });

  it.each([
    [['run', '--preempt', 'every', 'x'], '--preempt every: every=N must be a whole number'],
    [['run', '--handler', 'nobody', 'x'], '--handler nobody: allowed choices are host, guest'],
    [['isa', 'arm'], 'GOARCH arm: allowed choices are amd64, mips'],
    [[fixturePath('hello', 'amd64', '1.27')], 'is no command; try safepoint run'],
    [
      ['sweep', '--from', '9', '--to', '8', fixturePath('hello', 'amd64', '1.27')],
      'the last place is before the first',
    ],
    [
      ['run', '--stats', join(folder, 'no', 'such'), fixturePath('hello', 'amd64', '1.27')],
      'cannot be written (ENOENT)',
    ],
    [['map', fixturePath('hello', 'amd64', '1.27'), 'main.('], 'it is no regular expression either'],
  ])('%j says what is wrong with it', async (args, says) => {
    const { status, out, err } = await safepoint(...args);
    expect([status, out]).toEqual([2, '']);
    expect(err).toMatch(/^safepoint: [^\n]+\n$/);
    expect(err).toContain(says);
  });

  it('tells who wrote an option after the program, and a sweep of nothing is no success', async () => {
    const path = fixturePath('hello', 'amd64', '1.27');
    const { status, err } = await safepoint('sweep', '--at', '0x10', '--sample', '0', path, '--func', 'main');
    expect(status).toBe(2);
    expect(err).toContain("--func stands after the program's name, and is given to the program");
    expect(err).toContain('no instruction of the range is executed');
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

describe('--help', async () => {
  const { out: all } = await safepoint('--help');
  const commands = [...all.matchAll(/^ {2}([a-z]+) .*$/gm)]
    .map((m) => m[1]!)
    .filter((name) => name !== 'help' && name !== 'safepoint');

  it('lists the commands', () => {
    expect(commands.slice(0, 4)).toEqual(['run', 'exec', 'explain', 'map']);
  });

  it.each(commands)('of %s teaches by examples, whose options there are', async (command) => {
    const { status, out } = await safepoint(command, '--help');
    expect(status).toBe(0);
    const [options, examples] = out.split('\nExamples:\n') as [string, string];
    const lines = examples.split('\n').filter((line) => line.includes(`safepoint ${command}`));
    expect(lines.length).toBeGreaterThan(0);
    for (const [, option] of lines.join('\n').matchAll(/ (--[a-z-]+)/g)) expect(options).toContain(` ${option}`);
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
