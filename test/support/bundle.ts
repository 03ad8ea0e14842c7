// The bundle that is shipped, made for a test: what only exists there are worker threads and compiled code that is kept.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBundle as makeFiles } from '../../cli/bundle.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Makes the bundle in a folder of its own, which `remove` removes. */
export async function makeBundle(): Promise<{ readonly bin: string; readonly folder: string; remove(): void }> {
  // Below node_modules, where the packages that are not bundled are found.
  const cache = join(ROOT, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'safepoint-bundle-'));
  const bin = await makeFiles(folder);
  return { bin, folder, remove: () => rmSync(folder, { recursive: true }) };
}
