// Makes the files that are shipped of the command line: bin.js, which is executed, and entry.cjs, which it loads. Both are CommonJS, and a
// package.json says so: Node would begin its loader of modules for bin.js alone, 10 ms of each run.
// Usage: tsx cli/bundle.ts FOLDER

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, buildSync } from 'esbuild';

const OPTIONS: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  // `import()` of a package that is not in the file would be refused: bin.js executes entry.cjs as a script.
  define: { 'import.meta.url': 'ownUrl' },
  banner: { js: "const ownUrl = require('node:url').pathToFileURL(__filename).href;" },
  sourcemap: true,
  allowOverwrite: true,
  logLevel: 'warning',
};

/** Writes them into a folder; returns the one to execute. */
export function makeBundle(folder: string): string {
  const source = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const bin = join(folder, 'bin.js');
  buildSync({ ...OPTIONS, entryPoints: [source('bin.ts')], outfile: bin });
  buildSync({ ...OPTIONS, entryPoints: [source('entry.ts')], outfile: join(folder, 'entry.cjs') });
  writeFileSync(join(folder, 'package.json'), '{ "type": "commonjs" }\n');
  return bin;
}

const [, script, folder] = process.argv;
if (script === fileURLToPath(import.meta.url) && folder !== undefined) makeBundle(folder);
