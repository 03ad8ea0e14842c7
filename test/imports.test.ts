// Imports point downwards only: the direction of the architecture, held by a test.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

const BELOW_THE_API = ['src/uop', 'src/engine', 'src/jit', 'src/arch', 'src/object', 'src/linux', 'src/goruntime'];

/** What each folder may import besides itself. Longer prefixes win. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  isa: [],
  'src/uop': ['isa'],
  'src/engine': ['isa', 'src/uop'],
  'src/jit': ['isa', 'src/uop', 'src/engine'],
  'src/arch': ['isa'],
  'src/object': ['isa'],
  'src/linux': ['isa', 'src/engine', 'src/arch', 'src/object'],
  'src/goruntime': ['src/object', 'src/arch'],
  'src/debug': ['isa', ...BELOW_THE_API],
  'src/index.ts': ['isa', ...BELOW_THE_API, 'src/debug'],
  'src/vitest': ['src/index.ts'],
  cli: ['src/index.ts'],
};

function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const zoneOf = (file: string): string => {
  const zone = Object.keys(ALLOWED)
    .filter((z) => file === z || file.startsWith(`${z}/`))
    .sort((a, b) => b.length - a.length)[0];
  if (zone === undefined) throw new Error(`${file} stands in no folder of the architecture`);
  return zone;
};

describe('imports', () => {
  const files = [...filesUnder('isa'), ...filesUnder('src'), ...filesUnder('cli')];

  it.each(files)('%s imports only what stands below it', (file) => {
    const zone = zoneOf(file);
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
      const target = normalize(join(dirname(file), specifier!));
      const inside = target === zone || target.startsWith(`${zone}/`);
      const allowed = ALLOWED[zone]!.some((z) => target === z || target.startsWith(`${z}/`));
      expect(inside || allowed, `${file} imports ${target}`).toBe(true);
    }
  });
});
