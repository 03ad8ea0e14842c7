// Cuts a program into files: what every run needs, and what one that finds its code compiled, or is not interrupted, does without, which is
// loaded when one of its functions is first called. Text that is not read, and classes and tables that are not made, are a tenth of a
// short run's time.
//
// The sources know nothing of it: they import what they need. Here stands where the files begin that are loaded later; each also has what
// only its modules need, while what several need is in the first file, which hands it on.

import { readFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';

const ROOT = dirname(import.meta.dirname);
const ours = (name: string): string => join(ROOT, name);

/** Where each later file begins: from outside of it only functions of these are imported. */
const LATER: Readonly<Record<string, readonly string[]>> = {
  code: ['isa/amd64/families.ts', 'isa/mips/families.ts', 'src/engine/evaluate.ts', 'src/jit/making.ts'].map(ours),
  go: ['src/debug/go.ts'].map(ours),
};

/** The later file that begins with a module; undefined for other modules. */
const partOf = (file: string): string | undefined => Object.keys(LATER).find((part) => LATER[part]!.includes(file));

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

const importsOf = (importer: string): Imported[] =>
  [...readFileSync(importer, 'utf8').matchAll(FROM)].map(([, type, list, path]) =>
    imported(importer, type, list!, path!),
  );

/** Collects names by file. */
function collect(into: Map<string, Set<string>>, { file, values }: Imported): void {
  const known = into.get(file) ?? new Set();
  into.set(file, known);
  for (const value of values) known.add(value);
}

/** The modules that a later file would have, with what they need, but for those of the first. */
function reached(part: string, first: ReadonlySet<string>): Set<string> {
  // Grows while it is gone through.
  const files = new Set(LATER[part]);
  for (const importer of files) {
    for (const { file, values } of importsOf(importer)) if (values.length > 0 && !first.has(file)) files.add(file);
  }
  return files;
}

/** Adds to the first file's modules what several of the later ones need. */
function addShared(first: Set<string>): void {
  const times = new Map<string, number>();
  for (const part of Object.keys(LATER)) {
    for (const file of reached(part, first)) times.set(file, (times.get(file) ?? 0) + 1);
  }
  for (const [file, count] of times) if (count > 1) first.add(file);
}

/** What the modules of later files import from those of the first. */
function handedOn(first: ReadonlySet<string>): ReadonlyMap<string, ReadonlySet<string>> {
  const names = new Map<string, Set<string>>();
  for (const part of Object.keys(LATER)) {
    for (const importer of reached(part, first)) {
      for (const found of importsOf(importer))
        if (found.values.length > 0 && first.has(found.file)) collect(names, found);
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
 * In the first file, an import of what is in a later one is a function that loads it.
 * @param nameIn the name of a later file
 * @param called is told of what is imported
 */
function firstFile(
  entry: string,
  nameIn: (part: string) => string,
  handing: string,
  called: Map<string, Set<string>>,
): Plugin {
  const loads = Object.keys(LATER).map((part) => `${part}: () => require('./${nameIn(part)}')`);
  const texts: Readonly<Record<string, string>> = {
    'later:entry': `import 'later:handing';\nimport ${JSON.stringify(entry)};`,
    'later:handing': handing,
    'later:load': `let make;
      const files = { ${loads.join(', ')} };
      const loaded = {};
      export const handOn = (f) => { make = f; };
      export const later = (part) => loaded[part] ??= files[part]()(make());`,
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
        if (partOf(importer) !== undefined)
          throw new Error(`${relative(ROOT, importer)} is imported in a form that is not known`);
        const contents = readFileSync(importer, 'utf8').replace(FROM, (statement, type, list, path) => {
          const found = imported(importer, type, list, path);
          const part = partOf(found.file);
          if (part === undefined || found.values.length === 0) return statement;
          collect(called, found);
          const functions = found.values.map((name) => `const ${name} = (...a) => later('${part}').${name}(...a);`);
          return `import { later } from 'later:load'; ${functions.join(' ')}`;
        });
        return { contents, loader: 'ts' };
      });
    },
  };
}

/** In a later file, an import of what is in the first is what it was handed. */
function laterFile(
  part: string,
  called: ReadonlyMap<string, ReadonlySet<string>>,
  names: ReadonlyMap<string, ReadonlySet<string>>,
): Plugin {
  const exports = [...called]
    .filter(([file]) => partOf(file) === part)
    .map(([file, values]) => `export { ${[...values].join(', ')} } from ${JSON.stringify(file)};`);
  return {
    name: part,
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

/** Modules that are in what was built. Not all that is imported is used: package.json says that none does anything by being loaded. */
function usedIn({ outputs }: Metafile): string[] {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  return inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => resolve(path));
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
 * Writes a program as several files: `options.outfile`, and beside it those that it loads later.
 * @param options of the first; it is a program of one entry
 */
export async function buildInParts(entry: string, options: BuildOptions & { readonly outfile: string }): Promise<void> {
  const { outfile } = options;
  const fileOf = (part: string): string => outfile.replace(/(\.\w+)$/, `-${part}$1`);
  const called = new Map<string, Set<string>>();
  const buildFirst = (handing: string, write: boolean) =>
    build({
      ...options,
      entryPoints: ['later:entry'],
      plugins: [firstFile(entry, (part) => basename(fileOf(part)), handing, called)],
      metafile: true,
      write,
    });
  const first = new Set(usedIn((await buildFirst('', false)).metafile));
  addShared(first);
  await checkFunctions(called);
  const names = handedOn(first);
  await buildFirst(handingOn(names), true);
  for (const part of Object.keys(LATER)) {
    const { metafile } = await build({
      ...options,
      metafile: true,
      outfile: fileOf(part),
      entryPoints: ['later:entry'],
      plugins: [laterFile(part, called, names)],
      // An expression, as the first is (bundle.ts).
      banner: {
        js: `(typeof module === 'object' ? (f) => { module.exports = f; } : (f) => f)(function (handed) { const module = {};`,
      },
      footer: { js: 'return module.exports; })' },
    });
    // A class that is there twice is not itself.
    const twice = usedIn(metafile).find((file) => first.has(file));
    if (twice !== undefined) throw new Error(`${relative(ROOT, twice)} is in ${part} as well as in the first file`);
  }
}
