// Loads fixture programs for tests: decompressed, checked against the manifest, cached on disk.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import type { Cell, Goarch, Manifest, Program } from '../../fixtures/manifest.ts';
import {
  BIN_DIR,
  FIXTURES_DIR,
  NO_GO,
  NOTGO,
  readFixtureJson,
  readManifest,
  sha256,
  sourceDir,
} from '../../fixtures/manifest.ts';

export type { Goarch } from '../../fixtures/manifest.ts';
export { GOARCHES, NO_GO, NOTGO } from '../../fixtures/manifest.ts';

/** Stands among a fixture's arguments for a directory that it may fill and empty. */
export const DIR_ARGUMENT = '{dir}';

const CACHE_DIR = join(FIXTURES_DIR, '..', '.cache', 'fixtures');

/** One program that is at hand. */
export interface Fixture {
  readonly purpose: string;
  readonly goarch: Goarch;
  /** `1.19`, `1.27`, …; `none` for the program without Go. */
  readonly release: string;
  /** The full release (`go1.19.8`), or the assembler's version line. */
  readonly toolchain: string;
  /** True when symbols and DWARF were left out. */
  readonly stripped: boolean;
}

/** One way to run a program, and what it then does. */
export interface FixtureRun {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  /** Standard output, exactly. */
  readonly want: string;
  /** Exit status. */
  readonly exit: number;
}

/** How a purpose is run, the same on every GOARCH and release. */
export interface FixtureSpec extends FixtureRun {
  readonly purpose: string;
  readonly summary: string;
  /** Needs a directory in place of `DIR_ARGUMENT`. */
  readonly dir: boolean;
  /** Further runs of the same program (bench has one for each workload). */
  readonly others: readonly FixtureRun[];
}

/** A fixture that does not exist, or an archive that is not what the manifest says. */
export class FixtureError extends Error {
  override readonly name = 'FixtureError';
}

function manifest(): Manifest {
  const found = readManifest();
  if (!found) throw new FixtureError('fixtures/bin/manifest.json is missing: run npx tsx fixtures/build.ts');
  return found;
}

/** Every program at hand, in the manifest's order. */
export function listFixtures(): Fixture[] {
  return manifest().cells.flatMap(({ goarch, release, toolchain, programs }) =>
    programs.map(({ purpose, ldflags }) => ({
      purpose,
      goarch,
      release,
      toolchain,
      stripped: ldflags.split(' ').includes('-s'),
    })),
  );
}

/** A cell's programs as one buffer. Throws `FixtureError` when a hash differs. */
export function unpackCell(cell: Cell): Buffer {
  const packed = readFileSync(join(BIN_DIR, cell.archive));
  if (sha256(packed) !== cell.compressed.sha256)
    throw new FixtureError(`${cell.archive}: not the archive of the manifest`);
  const plain = brotliDecompressSync(packed);
  if (sha256(plain) !== cell.plain.sha256) throw new FixtureError(`${cell.archive}: not the programs of the manifest`);
  return plain;
}

/** Named by content, so that a stale entry is never found again. */
function cachePath(cell: Cell, program: Program): string {
  return join(CACHE_DIR, `${program.purpose}-${cell.goarch}-${cell.release}-${program.sha256.slice(0, 16)}`);
}

/** Written aside and renamed: test workers share the cache. */
function fillCache(cell: Cell): void {
  const plain = unpackCell(cell);
  mkdirSync(CACHE_DIR, { recursive: true });
  for (const program of cell.programs) {
    const path = cachePath(cell, program);
    if (existsSync(path)) continue;
    const aside = `${path}.${process.pid}`;
    writeFileSync(aside, plain.subarray(program.offset, program.offset + program.size), { mode: 0o755 });
    renameSync(aside, path);
  }
}

function find(purpose: string, goarch: Goarch, release: string): { cell: Cell; program: Program } {
  const wanted = purpose === NOTGO ? NO_GO : release;
  const cell = manifest().cells.find((c) => c.goarch === goarch && c.release === wanted);
  const program = cell?.programs.find((p) => p.purpose === purpose);
  if (!cell || !program) throw new FixtureError(`no fixture ${purpose} for ${goarch}, Go ${release}`);
  return { cell, program };
}

/**
 * The path of an executable copy of a program, below .cache. Its content is checked against the manifest each time.
 * For `notgo` the release is ignored. Throws `FixtureError`.
 */
export function fixturePath(purpose: string, goarch: Goarch, release: string): string {
  return cached(purpose, goarch, release).path;
}

/** A program's ELF file, checked against the manifest. For `notgo` the release is ignored. Throws `FixtureError`. */
export function loadFixture(purpose: string, goarch: Goarch, release: string): Uint8Array {
  return cached(purpose, goarch, release).bytes;
}

function cached(purpose: string, goarch: Goarch, release: string): { path: string; bytes: Uint8Array } {
  const { cell, program } = find(purpose, goarch, release);
  const path = cachePath(cell, program);
  if (existsSync(path)) {
    const bytes = readFileSync(path);
    if (sha256(bytes) === program.sha256) return { path, bytes };
    throw new FixtureError(`${path} was altered: delete it`);
  }
  fillCache(cell);
  return { path, bytes: readFileSync(path) };
}

/** How to run a purpose and what to expect. */
export function fixtureSpec(purpose: string): FixtureSpec {
  const json = readFixtureJson(purpose);
  const env = json.env ?? {};
  const stdin = json.stdin ?? '';
  const text = (name: string) => readFileSync(join(sourceDir(purpose), name), 'utf8');
  return {
    purpose,
    summary: json.summary,
    dir: json.dir ?? false,
    args: json.args,
    env,
    stdin,
    want: text('want.txt'),
    exit: json.exit,
    others: (json.others ?? []).map(({ args, want, exit }) => ({
      args,
      env,
      stdin,
      want: text(want),
      exit: exit ?? json.exit,
    })),
  };
}
