// runtime.firstmoduledata: its layout by release, and how to find it in a program without symbols.

import type { Elf } from '../object/elf.ts';
import type { Pclntab } from './pclntab.ts';
import { isBefore, type Release } from './version.ts';
import { GuestReadError, type ImageView } from './view.ts';

/** The fields used here, as numbers. */
export interface Moduledata {
  readonly addr: number;
  readonly minpc: number;
  readonly maxpc: number;
  readonly text: number;
  readonly etext: number;
  readonly types: number;
  readonly rodata: number | undefined;
  readonly gofunc: number | undefined;
  /** How it was found, for people. */
  readonly found: 'symbol runtime.firstmoduledata' | 'section .go.module' | 'search for the address of pclntab';
}

/** Word indexes (multiply by the pointer size): every field up to gofunc is pointer-sized or a slice of three words. */
interface ModuledataRow {
  readonly since: string;
  readonly ftab: number;
  readonly minpc: number;
  readonly text: number;
  readonly types: number;
  readonly rodata?: number;
  readonly gofunc?: number;
}

/** Oldest first; a row holds until the next one begins. Computed from runtime/symtab.go, measured in real programs. */
const ROWS: readonly ModuledataRow[] = [
  { since: '1.2', ftab: 3, minpc: 10, text: 12, types: 25 },
  { since: '1.16', ftab: 16, minpc: 20, text: 22, types: 35 },
  { since: '1.18', ftab: 16, minpc: 20, text: 22, types: 35, rodata: 37, gofunc: 38 },
  { since: '1.20', ftab: 16, minpc: 20, text: 22, types: 37, rodata: 39, gofunc: 40 },
  { since: '1.27', ftab: 16, minpc: 20, text: 22, types: 37, rodata: 42, gofunc: 43 },
];

function rowFor(release: Release): ModuledataRow {
  return ROWS.findLast((row) => !isBefore(release, row.since)) ?? ROWS[0]!;
}

/** Finds the moduledata that describes `table`; undefined if nothing in the program fits. */
export function findModuledata(elf: Elf, image: ImageView, table: Pclntab, release: Release): Moduledata | undefined {
  const expected = rowFor(release);
  const places: Candidate[] = [];
  for (const place of candidates(elf, image, table)) {
    const module = read(image, table, expected, place);
    if (module !== undefined) return module;
    places.push(place);
  }
  // The release may have been guessed, or be newer than the facts: the other layouts are tried after its own.
  for (const row of ROWS.filter((r) => r !== expected)) {
    for (const place of places) {
      const module = read(image, table, row, place);
      if (module !== undefined) return module;
    }
  }
  return undefined;
}

type Candidate = { readonly addr: number; readonly found: Moduledata['found'] };

function* candidates(elf: Elf, image: ImageView, table: Pclntab): Generator<Candidate> {
  const symbol = elf.symbol('runtime.firstmoduledata');
  if (symbol !== undefined) yield { addr: symbol.value, found: 'symbol runtime.firstmoduledata' };
  const section = elf.section('.go.module');
  if (section !== undefined) yield { addr: section.addr, found: 'section .go.module' };
  for (const area of image.areas()) {
    const bytes = image.bytesFrom(area.addr);
    if (bytes === undefined || area.executable) continue;
    for (const offset of wordsEqual(bytes, table.addr, image)) {
      yield { addr: area.addr + offset, found: 'search for the address of pclntab' };
    }
  }
}

/** Offsets of the aligned pointer-sized words equal to `value`. */
function* wordsEqual(bytes: Uint8Array, value: number, image: ImageView): Generator<number> {
  const { pointerSize, bigEndian } = image;
  const needle = Buffer.alloc(pointerSize);
  const view = new DataView(needle.buffer, needle.byteOffset, pointerSize);
  if (pointerSize === 8) view.setBigUint64(0, BigInt(value), !bigEndian);
  else view.setUint32(0, value, !bigEndian);
  const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + 1)) {
    if (at % pointerSize === 0) yield at;
  }
}

function read(
  image: ImageView,
  table: Pclntab,
  row: ModuledataRow,
  { addr, found }: Candidate,
): Moduledata | undefined {
  const word = (index: number): number => image.readPointer(addr + index * image.pointerSize);
  try {
    const text = word(row.text);
    const module: Moduledata = {
      addr,
      minpc: word(row.minpc),
      maxpc: word(row.minpc + 1),
      text,
      etext: word(row.text + 1),
      types: word(row.types),
      rodata: row.rodata === undefined ? undefined : word(row.rodata),
      gofunc: row.gofunc === undefined ? undefined : word(row.gofunc),
      found,
    };
    const fits =
      word(0) === table.addr &&
      word(row.ftab) === table.functabAddr &&
      word(row.ftab + 1) === table.nfunc + 1 &&
      text <= module.minpc &&
      module.minpc < module.maxpc &&
      module.maxpc <= module.etext &&
      image.areas().some((a) => a.executable && text >= a.addr && module.etext <= a.end) &&
      (module.gofunc === undefined || image.bytesFrom(module.gofunc) !== undefined);
    return fits ? module : undefined;
  } catch (error) {
    // A candidate that leads out of memory is none.
    if (error instanceof GuestReadError) return undefined;
    throw error;
  }
}
