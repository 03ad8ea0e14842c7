// The LOC grammar of the command line: `0xADDR`, `func`, `func+0xOFF`, `file.go:LINE`.

import type { Func, GoTables } from './tables.ts';

/** A place that the program does not have. One line: what is wrong; what to try. */
export class LocationError extends Error {
  override readonly name = 'LocationError';
}

/** The PCs that a text stands for, in address order; at least one. */
export interface Location {
  readonly text: string;
  readonly kind: 'address' | 'function' | 'line';
  readonly pcs: readonly number[];
}

const SUGGESTIONS = 3;

/** Resolves a LOC. Throws LocationError, which suggests near names, if it stands for nothing. */
export function locate(tables: GoTables, text: string): Location {
  if (/^0x[0-9a-f]+$/i.test(text)) return atAddress(text, Number(text));
  const line = /^(.+\.(?:go|s|c|h)):(\d+)$/.exec(text);
  if (line !== null) return atLine(tables, text, line[1] ?? '', Number(line[2]));
  return inFunction(tables, text);
}

/**
 * Functions by exact name, else by regular expression over names, in address order; at least one.
 * @throws LocationError where there is none
 */
export function functionsNamed(tables: GoTables, name: string): readonly Func[] {
  const exact = tables.funcsNamed(name);
  if (exact.length > 0) return exact;
  let pattern: RegExp;
  try {
    pattern = new RegExp(name);
  } catch {
    throw new LocationError(`no function ${name}, and it is no regular expression either; try \`safepoint funcs\``);
  }
  const found = [...tables.funcs()].filter((f) => pattern.test(f.name));
  if (found.length === 0) throw new LocationError(`no function ${name}; try \`safepoint funcs\` for the names`);
  return found;
}

function atAddress(text: string, pc: number): Location {
  if (!Number.isSafeInteger(pc)) throw new LocationError(`${text} is no address of a user program`);
  return { text, kind: 'address', pcs: [pc] };
}

function inFunction(tables: GoTables, text: string): Location {
  // A name may itself hold a plus sign (an operator in a generic instance), so the whole text is tried first.
  const whole = tables.funcsNamed(text);
  if (whole.length > 0) return { text, kind: 'function', pcs: [whole[0]!.entry] };
  const match = /^(.*)\+(0x[0-9a-f]+|\d+)$/i.exec(text);
  const name = match?.[1] ?? text;
  const f: Func | undefined = match === null ? undefined : tables.funcsNamed(name)[0];
  if (f === undefined) throw new LocationError(`no function ${name}${suggest(name, tables.nameIndex().keys())}`);
  const offset = Number(match?.[2]);
  const size = f.end - f.entry;
  if (!(offset < size))
    throw new LocationError(`${f.name} has 0x${size.toString(16)} bytes; ${match?.[2]} is past its end`);
  if (offset % tables.table.quantum !== 0) {
    throw new LocationError(
      `${text} is not an instruction boundary: instructions stand at multiples of ${tables.table.quantum}`,
    );
  }
  return { text, kind: 'function', pcs: [f.entry + offset] };
}

function atLine(tables: GoTables, text: string, file: string, line: number): Location {
  const accept = (name: string): boolean => name === file || name.endsWith(`/${file}`);
  const pcs = new Set<number>();
  let seen = false;
  let nearest: number | undefined;
  const names = new Set<string>();
  for (const f of tables.funcs()) {
    const files = tables.filesOf(f);
    for (const name of files) names.add(name.slice(name.lastIndexOf('/') + 1));
    if (!files.some(accept)) continue;
    seen = true;
    for (const pc of tables.pcsOfLine(f, accept, line)) pcs.add(pc);
    nearest = nearestLine(tables, f, accept, line, nearest);
  }
  if (pcs.size > 0) return { text, kind: 'line', pcs: [...pcs].sort((a, b) => a - b) };
  if (!seen)
    throw new LocationError(`no code comes from ${file}${suggest(file.slice(file.lastIndexOf('/') + 1), names)}`);
  const hint = nearest === undefined ? '' : `; the nearest line with code is ${nearest}`;
  throw new LocationError(`no code comes from line ${line} of ${file}${hint}`);
}

function nearestLine(
  tables: GoTables,
  f: Func,
  accept: (file: string) => boolean,
  line: number,
  known: number | undefined,
): number | undefined {
  let best = known;
  for (const candidate of new Set(tables.fixedRuns(f, 'pcln')?.value ?? [])) {
    if (candidate <= 0) continue;
    if (best !== undefined && Math.abs(candidate - line) >= Math.abs(best - line)) continue;
    if (tables.pcsOfLine(f, accept, candidate).length > 0) best = candidate;
  }
  return best;
}

/** `; did you mean a, b or c?` for the names that are nearest to `name`; empty if none is near. */
function suggest(name: string, names: Iterable<string>): string {
  const wanted = name.toLowerCase();
  const scored: { name: string; score: number }[] = [];
  for (const candidate of names) {
    const other = candidate.toLowerCase();
    const score =
      other === wanted || other.endsWith(`.${wanted}`) ? 0 : other.includes(wanted) ? 1 : distance(wanted, other, 3);
    if (score <= 3 && wanted.length > 1) scored.push({ name: candidate, score });
  }
  scored.sort((a, b) => a.score - b.score || a.name.length - b.name.length || (a.name < b.name ? -1 : 1));
  const near = scored.slice(0, SUGGESTIONS).map((s) => s.name);
  if (near.length === 0) return '; list them with: safepoint funcs PROG';
  const last = near.pop();
  return `; did you mean ${near.length > 0 ? `${near.join(', ')} or ` : ''}${last}?`;
}

/** Levenshtein distance, given up (limit + 1) once it is sure to exceed `limit`. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const cost = Math.min(
        (row[j] ?? 0) + 1,
        (next[j - 1] ?? 0) + 1,
        (row[j - 1] ?? 0) + Number(a[i - 1] !== b[j - 1]),
      );
      next.push(cost);
      least = Math.min(least, cost);
    }
    if (least > limit) return limit + 1;
    row = next;
  }
  return row[b.length] ?? limit + 1;
}
