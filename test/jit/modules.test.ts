// How the units of a run are put into modules for the next ones.

import { expect, test, vi } from 'vitest';
import { type MadeUnit, Modules } from '../../src/jit/modules.ts';

/** A module of nothing. */
const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

function modulesOf(units: readonly MadeUnit[]): Modules {
  const host = { table: new WebAssembly.Table({ element: 'anyfunc', initial: units.length }), imports: {} };
  const modules = new Modules(
    () => host,
    () => EMPTY,
    { load: () => undefined, save: () => undefined },
    () => undefined,
  );
  for (const unit of units) modules.add([unit]);
  return modules;
}

/** Units that are fast (F), and common to several runs (C): one for each word, in slots from 0 on. */
const units = (words: string): MadeUnit[] =>
  words.split(' ').map((word, slot) => ({
    slot,
    start: 0,
    body: { bytes: new Uint8Array(0), hints: new Uint8Array(0), hintCount: 0, holes: [] },
    instructions: 10,
    fast: word.includes('F'),
    common: word.includes('C'),
  }));

/** The slots of each module after packing. */
function packed(words: string, most: number, inUse?: readonly number[]): (readonly number[])[] {
  const all = units(words);
  const slots = new Set(inUse ?? all.map(({ slot }) => slot));
  const modules = modulesOf(all);
  modules.pack(slots, most);
  return modules.used(slots).map((module) => module.slots);
}

test('fast units stand together, and so does what runs have in common', () => {
  expect(packed('- F C FC - F C FC', 1000)).toEqual([
    [3, 7],
    [1, 5],
    [2, 6],
    [0, 4],
  ]);
});

test('a module takes units until it has so many instructions', () => {
  expect(packed('F F F F F', 20)).toEqual([[0, 1], [2, 3], [4]]);
  expect(packed('F F F F F', 11)).toEqual([[0, 1], [2, 3], [4]]);
});

test('what is for later runs is not made a module of the host’s', () => {
  const host = { table: new WebAssembly.Table({ element: 'anyfunc', initial: 1 }), imports: {} };
  // No bytes of any module: the host would not take them.
  const modules = new Modules(
    () => host,
    () => new Uint8Array(3),
    { load: () => undefined, save: () => undefined },
    () => undefined,
  );
  const [now, later] = units('- -').map((unit) => [unit]);
  expect(() => modules.add(now!)).toThrow(WebAssembly.CompileError);
  expect(() => modules.add(later!, true)).not.toThrow();
});

test('what is not in use is left out', () => {
  expect(packed('F F - F', 1000, [1, 2])).toEqual([[1], [2]]);
});

test('who wants to know is told of all slots of a module of another run as soon as one of them is there', () => {
  const host = { table: new WebAssembly.Table({ element: 'anyfunc', initial: 8 }), imports: {} };
  const awoke = vi.fn();
  const modules = new Modules(
    () => host,
    () => EMPTY,
    undefined,
    awoke,
  );
  const kept = { bytes: EMPTY, instructions: 1, native: undefined, optimised: false };
  modules.adopt(
    [
      { ...kept, slots: [0, 2] },
      { ...kept, slots: [1] },
    ],
    3,
  );
  expect([0, 1, 2].map((slot) => modules.sleeps(slot))).toEqual([true, true, true]);
  for (const slot of [2, 0, 2]) modules.awake(slot);
  expect(awoke.mock.calls).toEqual([[[0, 2]]]);
  expect([0, 1, 2].map((slot) => modules.sleeps(slot))).toEqual([false, true, false]);
});
