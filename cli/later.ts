// Cuts a program in two: what every run needs, and what one that finds its code compiled does without, in a file that is loaded when one of
// its functions is first called. Text that is not read, and classes and tables that are not made, are a tenth of a short run's time.
//
// The sources know nothing of it: they import what they need. Here stands where the second file begins; it also has what only these modules
// need, while what both need is in the first file, which hands it on.

import { readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Where the second file begins: from outside of it only functions of these are imported. */
const LATER: readonly string[] = [
  'isa/amd64/families.ts',
  'isa/mips/families.ts',
  'src/debug/go.ts',
  'src/engine/evaluate.ts',
  'src/jit/making.ts',
].map((name) => join(ROOT, name));

/** Of a statement that imports or exports names from one of our files. */
const FROM = /^(?:import|export) (type )?\{([^}]*)\} from '(\.[^']*)';/gm;

/** Names of values that are imported from a file. */
interface Imported {
  readonly file: string;
  readonly values: readonly string[];
}

function imported(importer: string, type: string | undefined, list: string, path: string): Imported {
  const names = list.split(',').flatMap((name) => name.trim() || []);
  const values = type === undefined ? names.filter((name) => !name.startsWith('type ')) : [];
  return { file: resolve(dirname(importer), path), values: values.map((name) => name.split(' as ')[0]!) };
}

/** Collects names by file. */
function collect(into: Map<string, Set<string>>, { file, values }: Imported): void {
  const known = into.get(file) ?? new Set();
  into.set(file, known);
  for (const value of values) known.add(value);
}

/** What the second file's modules import from those of the first. */
function handedOn(first: ReadonlySet<string>): ReadonlyMap<string, ReadonlySet<string>> {
  const names = new Map<string, Set<string>>();
  // Grows while it is gone through.
  const second = new Set(LATER);
  for (const importer of second) {
    for (const [, type, list, path] of readFileSync(importer, 'utf8').matchAll(FROM)) {
      const found = imported(importer, type, list!, path!);
      if (found.values.length === 0) continue;
      if (first.has(found.file)) collect(names, found);
      else second.add(found.file);
    }
  }
  return names;
}

const nameOf = (file: string): string => JSON.stringify(relative(ROOT, file));

/** A module that has the first file say what it hands on, once that is asked for. */
function handingOn(names: ReadonlyMap<string, ReadonlySet<string>>): string {
  const lines = ["import { handOn } from 'later:load';"];
  const parts: string[] = [];
  for (const [i, [file, values]] of [...names].entries()) {
    const own = [...values].map((value) => `${value} as ${value}_${i}`);
    lines.push(`import { ${own.join(', ')} } from ${JSON.stringify(file)};`);
    parts.push(`${nameOf(file)}: { ${[...values].map((value) => `${value}: ${value}_${i}`).join(', ')} }`);
  }
  return `${lines.join('\n')}\nhandOn(() => ({ ${parts.join(', ')} }));`;
}

/**
 * In the first file, an import of what is in the second is a function that loads it.
 * @param called is told of what is imported
 */
function firstFile(entry: string, second: string, handing: string, called: Map<string, Set<string>>): Plugin {
  const texts: Readonly<Record<string, string>> = {
    'later:entry': `import 'later:handing';\nimport ${JSON.stringify(entry)};`,
    'later:handing': handing,
    'later:load': `let made, loaded;
      export const handOn = (make) => { made = make; };
      export const later = () => loaded ??= require('./${basename(second)}')(made());`,
  };
  return {
    name: 'first',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^later:/ }, ({ path }) => ({ path, namespace: 'later' }));
      onResolve({ filter: /./, namespace: 'later' }, ({ path, kind }) => {
        if (kind === 'require-call') return { path, external: true };
        // package.json says that none of our modules does anything by being loaded; the entry does.
        return path === entry ? { path, sideEffects: true } : undefined;
      });
      onLoad({ filter: /./, namespace: 'later' }, ({ path }) => ({ contents: texts[path]!, resolveDir: ROOT }));
      onLoad({ filter: /\.ts$/, namespace: 'file' }, ({ path: importer }) => {
        if (LATER.includes(importer))
          throw new Error(`${relative(ROOT, importer)} is imported in a form that is not known`);
        const contents = readFileSync(importer, 'utf8').replace(FROM, (statement, type, list, path) => {
          const found = imported(importer, type, list, path);
          if (!LATER.includes(found.file) || found.values.length === 0) return statement;
          collect(called, found);
          const functions = found.values.map((name) => `const ${name} = (...a) => later().${name}(...a);`);
          return `import { later } from 'later:load'; ${functions.join(' ')}`;
        });
        return { contents, loader: 'ts' };
      });
    },
  };
}

/** In the second file, an import of what is in the first is what it was handed. */
function secondFile(
  called: ReadonlyMap<string, ReadonlySet<string>>,
  names: ReadonlyMap<string, ReadonlySet<string>>,
): Plugin {
  const exports = [...called].map(
    ([file, values]) => `export { ${[...values].join(', ')} } from ${JSON.stringify(file)};`,
  );
  return {
    name: 'second',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^later:entry$/ }, ({ path }) => ({ path, namespace: 'later' }));
      onLoad({ filter: /./, namespace: 'later' }, () => ({ contents: exports.join('\n'), resolveDir: ROOT }));
      onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
        const file = resolve(resolveDir, path);
        return names.has(file) ? { path: file, namespace: 'handed' } : undefined;
      });
      onLoad({ filter: /./, namespace: 'handed' }, ({ path }) => ({
        contents: `export const { ${[...names.get(path)!].join(', ')} } = handed[${nameOf(path)}];`,
      }));
    },
  };
}

/** A constant, or a class, would have to be there at once. */
async function checkFunctions(called: ReadonlyMap<string, ReadonlySet<string>>): Promise<void> {
  for (const [file, values] of called) {
    const module: Readonly<Record<string, unknown>> = await import(pathToFileURL(file).href);
    for (const name of values) {
      const value = module[name];
      if (typeof value !== 'function' || /^class\b/.test(String(value)))
        throw new Error(`${relative(ROOT, file)}: ${name} is no function, so it cannot be loaded later`);
    }
  }
}

/**
 * Writes a program as two files: `options.outfile`, and beside it the one that it loads later.
 * @param options of the first; it is a program of one entry
 */
export async function buildInTwo(entry: string, options: BuildOptions & { readonly outfile: string }): Promise<void> {
  const { outfile } = options;
  const second = outfile.replace(/(\.\w+)$/, '-later$1');
  const called = new Map<string, Set<string>>();
  const buildFirst = (handing: string, write: boolean) =>
    build({
      ...options,
      entryPoints: ['later:entry'],
      plugins: [firstFile(entry, second, handing, called)],
      metafile: true,
      write,
    });
  const [output] = Object.values((await buildFirst('', false)).metafile.outputs).filter(
    ({ entryPoint }) => entryPoint !== undefined,
  );
  // Not all that is imported is used: package.json says that no module does anything by being loaded.
  const first = Object.entries(output!.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  await checkFunctions(called);
  const names = handedOn(new Set(first.map(([path]) => resolve(path))));
  await buildFirst(handingOn(names), true);
  await build({
    ...options,
    outfile: second,
    entryPoints: ['later:entry'],
    plugins: [secondFile(called, names)],
    // An expression, as the first is (bundle.ts).
    banner: {
      js: `(typeof module === 'object' ? (f) => { module.exports = f; } : (f) => f)(function (handed) { const module = {};`,
    },
    footer: { js: 'return module.exports; })' },
  });
}
