// What `safepoint bench` runs: the jobs of the bench fixture that lies in a checkout, esbuild bundling generated modules, or one program.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import type { Goarch } from '../../src/index.ts';
import { openElf } from '../program.ts';

/** One thing to measure: a program with its arguments, started the same way by everybody who runs it. */
export interface Job {
  readonly name: string;
  readonly goarch: Goarch;
  readonly program: string;
  readonly args: readonly string[];
  /** `NAME=VALUE` each; nothing else is passed on. */
  readonly env: readonly string[];
  /** Working directory, which Safepoint maps; none for programs that read no files. */
  readonly directory?: string;
  /** Where Safepoint keeps the job's compiled code: empty before its first run. */
  readonly cache?: string;
}

/** Jobs of the bench fixture; `hello` measures start-up. */
export const FIXTURE_JOBS = ['hello', 'fannkuch', 'sha', 'tree', 'json', 'sort', 'spin'] as const;
const ESBUILD = 'esbuild';
/** Jobs outside of means: start-up, and a program of another kind that not every target has. */
export const OUTSIDE_OF_MEANS: readonly string[] = ['hello', ESBUILD];

/** The fields of fixtures/bin/manifest.json that are needed here. */
interface Manifest {
  readonly cells: readonly {
    readonly goarch: Goarch;
    readonly release: string;
    readonly archive: string;
    readonly programs: readonly { readonly purpose: string; readonly offset: number; readonly size: number }[];
  }[];
}

/** fixtures/bin of the checkout that this file belongs to; undefined in an installed package, which has no fixtures. */
function fixtures(): string | undefined {
  for (let at = import.meta.dirname; ; at = dirname(at)) {
    const found = join(at, 'fixtures', 'bin');
    if (existsSync(join(found, 'manifest.json'))) return found;
    if (dirname(at) === at) return undefined;
  }
}

const byRelease = (a: { release: string }, b: { release: string }): number =>
  a.release.localeCompare(b.release, 'en', { numeric: true });

/**
 * The jobs of the bench fixture, its programs unpacked into `folder`.
 * @param release of Go; the newest that is there by default
 * @returns undefined where there are no fixtures
 */
export function fixtureJobs(
  folder: string,
  goarches: readonly Goarch[],
  names: readonly string[],
  release: string | undefined,
): Job[] | undefined {
  const place = fixtures();
  if (place === undefined) return undefined;
  const { cells } = JSON.parse(readFileSync(join(place, 'manifest.json'), 'utf8')) as Manifest;
  return goarches.flatMap((goarch) => {
    const candidates = cells.filter((c) => c.goarch === goarch && c.programs.some((p) => p.purpose === 'bench'));
    const cell = candidates.sort(byRelease).findLast((c) => release === undefined || c.release === release);
    if (cell === undefined) return [];
    const { offset, size } = cell.programs.find((p) => p.purpose === 'bench')!;
    const plain = brotliDecompressSync(readFileSync(join(place, cell.archive)));
    const program = join(folder, `bench.${goarch}`);
    writeFileSync(program, plain.subarray(offset, offset + size), { mode: 0o755 });
    return names.map((name): Job => ({ name, goarch, program, args: [name], env: [] }));
  });
}

/** Modules that esbuild is given to bundle. */
const MODULES = 300;

/** A project of many modules: each has some code, and imports two that come later. */
function writeModules(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const name = (i: number): string => `m${i}`;
  for (let i = 0; i < MODULES; i++) {
    const imports = [2 * i + 1, 2 * i + 2].filter((n) => n < MODULES);
    const lines = imports.map((n) => `import { work as ${name(n)} } from './${name(n)}.js';`);
    lines.push(
      `const table${i} = [${Array.from({ length: 40 }, (_, k) => (i * 7919 + k * 104729) % 65537).join(', ')}];`,
    );
    for (let k = 0; k < 12; k++) {
      lines.push(`/** Step ${k} of ${i}. */`);
      lines.push(`function step${k}(input, { scale = ${k + 1}, offset = ${i} } = {}) {`);
      lines.push(
        `  const kept = input.filter((value) => value % ${k + 2} !== 0).map((value) => value * scale + offset);`,
      );
      lines.push('  return kept.length > 0 ? kept : [input.length];');
      lines.push('}');
    }
    const calls = Array.from({ length: 12 }, (_, k) => `step${k}`).join(', ');
    const inner = imports.map((n) => `${name(n)}(value)`).join(' + ') || '0';
    lines.push(`export function work(value) {`);
    lines.push(`  const all = [${calls}].reduce((list, step) => step(list), table${i});`);
    lines.push(`  return all.reduce((sum, each) => sum + each, value ?? 0) + ${inner};`);
    lines.push('}');
    writeFileSync(join(directory, `${name(i)}.js`), `${lines.join('\n')}\n`);
  }
  writeFileSync(join(directory, 'main.js'), "import { work } from './m0.js';\nconsole.log(work(1));\n");
}

/** esbuild bundling the same modules, on one P: where it has several, most of its time is idle spinning. */
export function esbuildJobs(folder: string, programs: readonly string[]): Job[] {
  if (programs.length === 0) return [];
  const directory = join(folder, 'modules');
  writeModules(directory);
  return programs.map((program): Job => {
    const { goarch } = openElf(program);
    const args = ['main.js', '--bundle', '--minify'];
    return { name: ESBUILD, goarch, program, args, env: ['GOMAXPROCS=1'], directory };
  });
}
