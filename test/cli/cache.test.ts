// The user's cache: the second run of a program begins with what the first one compiled, and of a command with its bytecode; and nothing
// that is wrong with the cache is an error.

import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { makeBundle } from '../support/bundle.ts';
import { fixturePath } from '../support/fixtures.ts';

const { bin, remove } = await makeBundle();
const PROGRAM = fixturePath('hello', 'mips', '1.27');
const OTHER = fixturePath('calls', 'mips', '1.27');
const TIMEOUT = 180_000;
const folders: string[] = [];
let cache: string;

beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), 'safepoint-cache-'));
  folders.push(folder);
  cache = join(folder, 'of', 'code');
});

afterAll(() => {
  remove();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

interface Done {
  readonly stdout: string;
  /** Instructions that had been compiled before. */
  readonly restored: number;
  /** How often all compiled code was dropped. */
  readonly flushes: number;
}

/** Runs hello. */
function run(where: NodeJS.ProcessEnv, program = PROGRAM): Done {
  const env = { ...process.env, ...where };
  const done = spawnSync(process.execPath, [bin, 'run', '--stats', '-', program], { encoding: 'utf8', env });
  expect(done.status).toBe(0);
  const { restored, flushes } = JSON.parse(done.stderr).host;
  return { stdout: done.stdout, restored, flushes };
}

/** The file that another program leaves, in the same cache. */
function imageOf(program: string): string {
  const before = files();
  run({ SAFEPOINT_CACHE: cache }, program);
  return files().find((file) => !before.includes(file))!;
}

/** Changes some bytes of a file. */
function change(file: string, which: (size: number, at: number) => boolean): void {
  const bytes = readFileSync(file);
  for (let at = 0; at < bytes.length; at++) if (which(bytes.length, at)) bytes[at]! ^= 1;
  writeFileSync(file, bytes);
}

const files = (kind = '.code', where = cache): string[] =>
  readdirSync(where)
    .filter((name) => name.endsWith(kind))
    .map((name) => join(where, name));

describe('the cache', () => {
  it('has no more files than can be looked through, and loses what was used longest ago', () => {
    mkdirSync(cache, { recursive: true });
    const names = Array.from({ length: 2100 }, (_, i) => join(cache, `${i}.seen`));
    for (const [i, name] of names.entries()) {
      writeFileSync(name, '');
      utimesSync(name, i, i);
    }
    run({ SAFEPOINT_CACHE: cache });
    const left = readdirSync(cache);
    expect(left).toHaveLength(2000);
    expect(left).toContain('2099.seen');
    expect(left).not.toContain('0.seen');
  });
});

describe('compiled code in the cache', () => {
  it(
    'is what the second run of a program begins with',
    () => {
      const first = run({ SAFEPOINT_CACHE: cache });
      expect(first.restored).toBe(0);
      expect(files()).toHaveLength(1);
      const second = run({ SAFEPOINT_CACHE: cache });
      expect(second.restored).toBeGreaterThan(1000);
      expect(second.stdout).toBe(first.stdout);
    },
    TIMEOUT,
  );

  it(
    'is kept by exec from the second run of a program on: what go test builds is mostly run once',
    () => {
      const env = { ...process.env, SAFEPOINT_CACHE: cache };
      const exec = (): void => {
        const done = spawnSync(process.execPath, [bin, 'exec', PROGRAM], { encoding: 'utf8', env });
        expect([done.status, done.stderr]).toEqual([0, '']);
      };
      exec();
      expect(files()).toHaveLength(0);
      exec();
      expect(files()).toHaveLength(1);
      expect(run({ SAFEPOINT_CACHE: cache }).restored).toBeGreaterThan(1000);
    },
    TIMEOUT,
  );

  it(
    'lies where XDG_CACHE_HOME says if nothing else is said, and nowhere with SAFEPOINT_CACHE=off',
    () => {
      run({ SAFEPOINT_CACHE: 'off', XDG_CACHE_HOME: cache });
      expect(existsSync(cache)).toBe(false);
      run({ SAFEPOINT_CACHE: '', XDG_CACHE_HOME: cache });
      cache = join(cache, 'safepoint');
      expect(files()).toHaveLength(1);
    },
    TIMEOUT,
  );

  it.each([
    ['cut short', (file: string) => truncateSync(file, 5000)],
    ['no image', (file: string) => writeFileSync(file, 'what is this')],
    ['empty', (file: string) => truncateSync(file, 0)],
    ['changed in what describes the code', (file: string) => change(file, (_size, at) => at === 1000)],
    ['one that others may write', (file: string) => chmodSync(file, 0o666)],
    ['that of another program', (file: string) => renameSync(imageOf(OTHER), file)],
  ])(
    'is not used where the file is %s, and is made anew',
    (_what, damage) => {
      run({ SAFEPOINT_CACHE: cache });
      const [file] = files();
      damage(file!);
      expect(run({ SAFEPOINT_CACHE: cache }).restored).toBe(0);
      expect(run({ SAFEPOINT_CACHE: cache }).restored).toBeGreaterThan(1000);
    },
    TIMEOUT,
  );

  it(
    'is dropped where it is found that the code itself was changed, and is made anew',
    () => {
      const { stdout } = run({ SAFEPOINT_CACHE: cache });
      const [file] = files();
      // The second half is modules, and what V8 made of them.
      change(file!, (size, at) => at > size / 2 && at % 5000 === 0);
      expect(run({ SAFEPOINT_CACHE: cache })).toMatchObject({ stdout, flushes: 1 });
      const again = run({ SAFEPOINT_CACHE: cache });
      expect(again).toMatchObject({ stdout, flushes: 0 });
      expect(again.restored).toBeGreaterThan(1000);
    },
    TIMEOUT,
  );

  it(
    'is done without where it cannot be written',
    () => {
      const file = join(folders.at(-1)!, 'file');
      writeFileSync(file, '');
      const { stdout } = run({ SAFEPOINT_CACHE: 'off' });
      expect(run({ SAFEPOINT_CACHE: file }).stdout).toBe(stdout);
      expect(run({ SAFEPOINT_CACHE: '/proc/safepoint' }).stdout).toBe(stdout);
    },
    TIMEOUT,
  );
});

describe("V8's machine code", () => {
  it(
    'is not asked for where V8 is told not to optimise',
    () => {
      const env = { ...process.env, SAFEPOINT_CACHE: cache };
      const done = spawnSync(process.execPath, ['--liftoff-only', bin, 'run', PROGRAM], { encoding: 'utf8', env });
      expect(done).toMatchObject({ status: 0, stderr: '' });
      expect(files()).toHaveLength(1);
    },
    TIMEOUT,
  );
});

describe('the bytecode of the command line', () => {
  it(
    'is kept by command, and made anew where it is damaged',
    () => {
      run({ SAFEPOINT_CACHE: cache });
      // That of the file which every run loads is the largest.
      const [file] = files('.bytecode').sort((a, b) => statSync(b).size - statSync(a).size);
      // The second run has other functions than the first, which had to compile.
      run({ SAFEPOINT_CACHE: cache });
      const made = statSync(file!).ino;
      run({ SAFEPOINT_CACHE: cache });
      expect(statSync(file!).ino).toBe(made);
      truncateSync(file!, 5000);
      run({ SAFEPOINT_CACHE: cache });
      expect(statSync(file!).size).toBeGreaterThan(100_000);
      const { length } = files('.bytecode');
      spawnSync(process.execPath, [bin, 'syscalls'], { env: { ...process.env, SAFEPOINT_CACHE: cache } });
      expect(files('.bytecode')).toHaveLength(length + 1);
    },
    TIMEOUT,
  );

  it(
    'is that of the start as well, however often garbage was collected since',
    () => {
      // With the flag, V8 takes bytecode for old when garbage is collected once.
      const sizes = [[], ['--stress-flush-code']].map((flags, i) => {
        const where = `${cache}${i}`;
        const env = { ...process.env, SAFEPOINT_CACHE: where };
        expect(spawnSync(process.execPath, [...flags, bin, 'run', PROGRAM], { env }).status).toBe(0);
        return Math.max(...files('.bytecode', where).map((file) => statSync(file).size));
      });
      expect(sizes[1]! / sizes[0]!).toBeGreaterThan(0.95);
    },
    TIMEOUT,
  );

  it('is not kept for what is no command', () => {
    const done = spawnSync(process.execPath, [bin, 'nonsense'], { env: { ...process.env, SAFEPOINT_CACHE: cache } });
    expect(done.status).toBe(2);
    expect(existsSync(cache)).toBe(false);
  });
});
