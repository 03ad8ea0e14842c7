// Makes the two files that are shipped of the command line: bin.js, which is executed, and entry.cjs, which it loads.
// Usage: tsx cli/bundle.ts FOLDER

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, buildSync } from 'esbuild';

const OPTIONS: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  allowOverwrite: true,
  logLevel: 'warning',
};

/** Writes both into a folder; returns the one to execute. */
export function makeBundle(folder: string): string {
  const source = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  const bin = join(folder, 'bin.js');
  buildSync({ ...OPTIONS, entryPoints: [source('bin.ts')], format: 'esm', outfile: bin });
  buildSync({
    ...OPTIONS,
    entryPoints: [source('entry.ts')],
    format: 'cjs',
    outfile: join(folder, 'entry.cjs'),
    // All packages are in it: `import()` of one that is not would be refused, for bin.js executes it as a script.
    define: { 'import.meta.url': 'ownUrl' },
    banner: { js: "const ownUrl = require('node:url').pathToFileURL(__filename).href;" },
  });
  return bin;
}

const [, script, folder] = process.argv;
if (script === fileURLToPath(import.meta.url) && folder !== undefined) makeBundle(folder);
