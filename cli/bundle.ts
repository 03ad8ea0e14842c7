// Makes the files that are shipped of the command line: bin.js, which is executed, and the programs that it loads. All are CommonJS, and a
// package.json says so: Node would begin its loader of modules for bin.js alone, 10 ms of each run.
// Usage: tsx cli/bundle.ts FOLDER

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';
import { buildInParts } from './later.ts';

const OPTIONS: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  define: { 'import.meta.dirname': '__dirname', 'import.meta.filename': '__filename' },
  sourcemap: true,
  allowOverwrite: true,
  logLevel: 'warning',
};

/**
 * A program is an expression: as a script its value is the function that executes it, whose text is that of the file and no copy; as a
 * module, which is how worker threads begin, it calls that function.
 */
const PARAMETERS = 'exports, require, module, __filename, __dirname';
const PROGRAM: BuildOptions = {
  ...OPTIONS,
  // A text that is half as long, and has no letters of two bytes each.
  minify: true,
  banner: {
    js: `(typeof module === 'object' ? (f) => f(${PARAMETERS}) : (f) => f)(function (${PARAMETERS}) {`,
  },
  footer: { js: '})' },
};

/** Writes them into a folder; returns the one to execute. */
export async function makeBundle(folder: string): Promise<string> {
  const source = (name: string): string => join(import.meta.dirname, name);
  const bin = join(folder, 'bin.js');
  await build({ ...OPTIONS, entryPoints: [source('bin.ts')], outfile: bin });
  await build({ ...PROGRAM, entryPoints: [source('entry.ts')], outfile: join(folder, 'entry.cjs') });
  await buildInParts(source('entry-run.ts'), {
    ...PROGRAM,
    outfile: join(folder, 'entry-run.cjs'),
    // commander loads what it would execute commands with that are files of their own: there are none, and it takes 10 ms.
    alias: { 'node:child_process': source('nothing.ts') },
  });
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n');
  return bin;
}

const [, script, folder] = process.argv;
if (script === import.meta.filename && folder !== undefined) await makeBundle(folder);
