// The fixture programs that the tests of the Go tables read, opened once each.
import type { Goarch } from '../../fixtures/manifest.ts';
import { GoProgram } from '../../src/goruntime/program.ts';
import { readElf } from '../../src/object/elf.ts';
import { listFixtures, loadFixture, NOTGO } from '../support/fixtures.ts';

export interface Cell {
  readonly purpose: string;
  readonly goarch: Goarch;
  readonly release: string;
}

/** One small program for each GOARCH and release at hand. */
export function cells(purpose = 'hello'): Cell[] {
  return listFixtures().filter((f) => f.purpose === purpose && f.purpose !== NOTGO);
}

/** For each GOARCH and release at hand, one program that still has its symbols and DWARF. */
export function symbolCells(): Cell[] {
  const found = new Map<string, Cell>();
  for (const f of listFixtures()) {
    if (!f.stripped && f.purpose !== NOTGO) found.set(`${f.goarch} ${f.release}`, f);
  }
  return [...found.values()];
}

export function load({ purpose, goarch, release }: Cell): Uint8Array {
  return loadFixture(purpose, goarch, release);
}

const opened = new Map<string, GoProgram>();

export function open(cell: Cell): GoProgram {
  const { purpose, goarch, release } = cell;
  const key = `${purpose} ${goarch} ${release}`;
  let program = opened.get(key);
  if (program === undefined) {
    program = GoProgram.open(readElf(load(cell)));
    opened.set(key, program);
  }
  return program;
}

/** A copy of an executable without section headers: what a program looks like after `sstrip`. */
export function withoutSections(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const view = new DataView(copy.buffer);
  const little = copy[5] === 1;
  if (copy[4] === 2) {
    view.setBigUint64(40, 0n, little);
    view.setUint32(58, 0, little);
    view.setUint16(62, 0, little);
  } else {
    view.setUint32(32, 0, little);
    view.setUint32(46, 0, little);
    view.setUint16(50, 0, little);
  }
  // shentsize, shnum and shstrndx are 16-bit fields one after the other.
  for (const at of copy[4] === 2 ? [58, 60, 62] : [46, 48, 50]) view.setUint16(at, 0, little);
  return copy;
}
