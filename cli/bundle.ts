// Makes the files that are shipped of the command line: bin.js, which is executed, and the programs that it loads. All are CommonJS, and a
// package.json says so: Node would begin its loader of modules for bin.js alone, 10 ms of each run.
// Usage: tsx cli/bundle.ts FOLDER

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';
import { buildInParts } from './later.ts';

const OPTIONS: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  // `import()` of a package that is not in the file would be refused: bin.js executes the programs as scripts.
  define: { 'import.meta.url': 'ownUrl' },
  sourcemap: true,
  allowOverwrite: true,
  logLevel: 'warning',
};

const OWN_URL = "const ownUrl = require('node:url').pathToFileURL(__filename).href;";

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
    js: `(typeof module === 'object' ? (f) => f(${PARAMETERS}) : (f) => f)(function (${PARAMETERS}) { ${OWN_URL}`,
  },
  footer: { js: '})' },
};

/** Writes them into a folder; returns the one to execute. */
export async function makeBundle(folder: string): Promise<string> {
  const source = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const bin = join(folder, 'bin.js');
  await build({ ...OPTIONS, banner: { js: OWN_URL }, entryPoints: [source('bin.ts')], outfile: bin });
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
if (script === fileURLToPath(import.meta.url) && folder !== undefined) await makeBundle(folder);
