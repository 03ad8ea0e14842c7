// The committed fixtures are whole: archives match the manifest, the manifest matches the sources, nothing is missing.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  BIN_DIR,
  GOARCHES,
  isWanted,
  NO_GO,
  NOTGO,
  purposes,
  readFixtureJson,
  readManifest,
  sha256,
  sourceHash,
} from '../fixtures/manifest.ts';
import type { Fixture, Goarch } from './support/fixtures.ts';
import {
  DIR_ARGUMENT,
  FixtureError,
  fixturePath,
  fixtureSpec,
  listFixtures,
  loadFixture,
  unpackCell,
} from './support/fixtures.ts';

const cells = readManifest()?.cells ?? [];

/** User-mode emulators that can run a target's programs on an x86-64 Linux host; null runs them natively. */
const RUNNERS: Record<Goarch, string | null> = {
  amd64: null,
  mips: 'qemu-mips',
  mipsle: 'qemu-mipsel',
  mips64: 'qemu-mips64',
  mips64le: 'qemu-mips64el',
};

/**
 * Go 1.22 for mips64 stores an unaligned word in netpollinit. Linux repairs that; user-mode QEMU 7.2 sends SIGBUS, and of these
 * programs gcheavy and timers come that far.
 */
function needsUnalignedRepair({ purpose, goarch, release }: Fixture): boolean {
  return goarch.startsWith('mips64') && release === '1.22' && (purpose === 'gcheavy' || purpose === 'timers');
}

function canRun(goarch: Goarch): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return false;
  const runner = RUNNERS[goarch];
  return runner === null || spawnSync(runner, ['--version']).status === 0;
}

describe('the manifest', () => {
  it('names every archive below bin, and no other', () => {
    const found = GOARCHES.flatMap((goarch) => readdirSync(join(BIN_DIR, goarch)).map((name) => `${goarch}/${name}`));
    expect(found.sort()).toEqual(cells.map((cell) => cell.archive).sort());
  });

  it.each(GOARCHES)('holds every purpose for %s, built by Go 1.19 and 1.27', (goarch) => {
    for (const release of ['1.19', '1.27']) {
      const cell = cells.find((c) => c.goarch === goarch && c.release === release);
      expect(cell?.programs.map((program) => program.purpose)).toEqual(
        purposes().filter((purpose) => isWanted(purpose, goarch, release)),
      );
      expect(cell?.toolchain.startsWith(`go${release}`)).toBe(true);
    }
    const bare = cells.find((c) => c.goarch === goarch && c.release === NO_GO);
    expect(bare?.programs.map((program) => program.purpose)).toEqual([NOTGO]);
  });

  it.each(purposes())('was written after the last change to the sources of %s', (purpose) => {
    const built = cells.flatMap((cell) => cell.programs).filter((program) => program.purpose === purpose);
    expect(built.length).toBeGreaterThan(0);
    expect(new Set(built.map((program) => program.source))).toEqual(new Set([sourceHash(purpose)]));
    expect(new Set(built.map((program) => program.gcflags))).toEqual(new Set([readFixtureJson(purpose).gcflags]));
  });

  it('keeps every archive below 6 MB and all of them below 40 MB', () => {
    const sizes = cells.map((cell) => statSync(join(BIN_DIR, cell.archive)).size);
    expect(sizes).toEqual(cells.map((cell) => cell.compressed.size));
    expect(Math.max(...sizes)).toBeLessThan(6e6);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(40e6);
  });
});

describe.each(cells.map((cell) => [cell.archive, cell] as const))('archive %s', (_, cell) => {
  it('unpacks to the programs that the manifest describes', () => {
    const plain = unpackCell(cell);
    expect(plain.length).toBe(cell.plain.size);
    let end = 0;
    for (const { offset, size, sha256: hash } of cell.programs) {
      expect(offset).toBe(end);
      end = offset + size;
      expect(sha256(plain.subarray(offset, end))).toBe(hash);
    }
    expect(end).toBe(plain.length);
  });
});

describe('loading', () => {
  it('gives the same ELF file as bytes and as an executable path', () => {
    const bytes = loadFixture('hello', 'mips', '1.19');
    expect([...bytes.subarray(0, 6)]).toEqual([0x7f, 0x45, 0x4c, 0x46, 1, 2]);
    const path = fixturePath('hello', 'mips', '1.19');
    expect(statSync(path).mode & 0o111).not.toBe(0);
    expect(statSync(path).size).toBe(bytes.length);
  });

  it('reports a fixture that does not exist', () => {
    expect(() => loadFixture('hello', 'amd64', '1.1')).toThrow(FixtureError);
    expect(() => loadFixture('absent', 'amd64', '1.19')).toThrow('no fixture absent for amd64, Go 1.19');
  });

  it('tells stripped programs from those with symbols', () => {
    const symbols = listFixtures().filter((fixture) => !fixture.stripped);
    expect(new Set(symbols.map((fixture) => fixture.purpose))).toEqual(new Set(['hello']));
    expect(symbols.map(({ goarch, release }) => `${goarch} ${release}`).sort()).toEqual(
      GOARCHES.flatMap((goarch) => [`${goarch} 1.19`, `${goarch} 1.27`]).sort(),
    );
  });

  it('describes each purpose by arguments, expected output and exit status', () => {
    for (const purpose of purposes()) expect(fixtureSpec(purpose).summary).not.toBe('');
    expect(fixtureSpec('exitcode')).toMatchObject({ args: [], want: 'leaving with 7\n', exit: 7 });
    expect(fixtureSpec('files')).toMatchObject({ args: [DIR_ARGUMENT], dir: true });
    expect(fixtureSpec('bench').others.map((run) => run.args)).toEqual(
      ['fannkuch', 'sha', 'tree', 'json', 'sort', 'spin'].map((workload) => [workload]),
    );
  });
});

// A reference runs in real time: on a busy machine a timer may come late.
describe.each(GOARCHES)('on a reference, %s', { timeout: 30_000, retry: 3 }, (goarch) => {
  const runner = RUNNERS[goarch];
  const programs = listFixtures().filter((fixture) => fixture.goarch === goarch && !needsUnalignedRepair(fixture));
  it.skipIf(!canRun(goarch)).each(programs)(
    '$purpose of $toolchain does what its files say',
    ({ purpose, release }) => {
      const spec = fixtureSpec(purpose);
      const dir = mkdtempSync(join(tmpdir(), 'fixture-'));
      try {
        const args = spec.args.map((arg) => (arg === DIR_ARGUMENT ? dir : arg));
        const path = fixturePath(purpose, goarch, release);
        const argv = runner === null ? [path, ...args] : [runner, path, ...args];
        const done = spawnSync(argv[0]!, argv.slice(1), { env: spec.env, input: spec.stdin, encoding: 'utf8' });
        expect({ stdout: done.stdout, status: done.status }).toEqual({ stdout: spec.want, status: spec.exit });
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    },
  );
});
