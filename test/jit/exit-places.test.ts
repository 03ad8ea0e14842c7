// What compiled code has learnt of its exits goes from run to run: what was decided of them only where the same would be decided.

import { expect, test } from 'vitest';
import {
  DECIDED_CALL,
  DECIDED_REFUSED,
  DECISION_ENTRY,
  DECISIONS,
  PASSED,
  PLACE_DECISION,
  PLACE_ENTRY,
  PLACE_NUMBER,
  PLACE_RETURN,
  PLACE_SLOT,
  PLACES,
} from '../../src/engine/layout.ts';
import { placeIn } from '../../src/jit/bridges.ts';
import { ExitPlaces, type PlaceImage } from '../../src/jit/exit-places.ts';
import type { Inside } from '../../src/jit/inside.ts';

const insideNamed = (name: string): Inside => ({
  breakpoint: undefined,
  setStop: () => undefined,
  decide: (pc) => ({ decision: DECIDED_REFUSED + (pc % 7), resume: 0 }),
  name,
  module: () => new Uint8Array(0),
});

/** Those of a run of their own, and the memory that they are in. All units of other runs sleep. */
function places(name: string): { readonly i32: Int32Array; readonly exits: ExitPlaces } {
  const i32 = new Int32Array(2 ** 22);
  const exits = new ExitPlaces(
    i32,
    () => insideNamed(name),
    (slot) => slot >= 0,
  );
  return { i32, exits };
}

const word = (i32: Int32Array, exit: number, field: number): number =>
  i32[(PLACES + PLACE_ENTRY * (exit / 2) + field) >>> 2]!;
const decisionWord = (i32: Int32Array, exit: number, field: number): number =>
  i32[(DECISIONS + DECISION_ENTRY * (exit / 2) + field) >>> 2]!;

const [UNDECIDED, DECIDED, WITHOUT_BRIDGE, CALL] = [6, 8, 10, 12];
const [SLOT, OTHER_SLOT] = [11, 12];

/** What a run has learnt. */
function learnt(name: string, inUse: (slot: number) => boolean = () => true): PlaceImage {
  const { exits } = places(name);
  exits.add(UNDECIDED, 2, 0x1000, 0x0ffc, placeIn(SLOT, 1));
  exits.add(DECIDED, 0, 0x2000, 0x2000, placeIn(OTHER_SLOT, 2));
  exits.decide((DECISION_ENTRY * DECIDED) / 2);
  exits.add(WITHOUT_BRIDGE, 0, 0x3000, 0x3000, -1);
  exits.addPassed(CALL, DECIDED_CALL, 0, SLOT, 9);
  return exits.image(inUse);
}

test('an exit is known as soon as the unit that it leads to is there, and one that leads to none at once', () => {
  const { i32, exits } = places('a');
  exits.adopt(learnt('a'));
  const known = (): number[] => [UNDECIDED, DECIDED, WITHOUT_BRIDGE, CALL].filter((exit) => exits.has(exit));
  expect(known()).toEqual([WITHOUT_BRIDGE]);
  exits.awoke([SLOT]);
  expect(known()).toEqual([UNDECIDED, WITHOUT_BRIDGE, CALL]);
  exits.awoke([SLOT, OTHER_SLOT]);
  expect(known()).toEqual([UNDECIDED, DECIDED, WITHOUT_BRIDGE, CALL]);
  expect(word(i32, UNDECIDED, PLACE_SLOT)).toBe(SLOT);
  expect(word(i32, CALL, PLACE_NUMBER)).toBe(9 | PASSED);
  expect(decisionWord(i32, UNDECIDED, PLACE_RETURN)).toBe(0x0ffc);
});

test('what was decided is known where the same decides, and neither that nor what was passed where another does', () => {
  const [same, other] = [places('a'), places('b')];
  for (const { exits } of [same, other]) {
    exits.adopt(learnt('a'));
    exits.awoke([SLOT, OTHER_SLOT]);
  }
  expect(decisionWord(same.i32, DECIDED, PLACE_DECISION)).toBe(DECIDED_REFUSED + (0x2000 % 7));
  expect(same.exits.has(CALL)).toBe(true);
  expect(decisionWord(other.i32, DECIDED, PLACE_DECISION)).toBe(0);
  expect(other.exits.has(DECIDED)).toBe(true);
  expect(other.exits.has(CALL)).toBe(false);
});

test('what leads to a unit that is not kept is not kept either', () => {
  const { exits } = places('a');
  exits.adopt(learnt('a', (slot) => slot !== SLOT));
  exits.awoke([SLOT, OTHER_SLOT]);
  expect([UNDECIDED, DECIDED, WITHOUT_BRIDGE, CALL].filter((exit) => exits.has(exit))).toEqual([
    DECIDED,
    WITHOUT_BRIDGE,
  ]);
});

test('what another has decided is not handed on, though no unit was there for it', () => {
  const [other, next] = [places('b'), places('b')];
  other.exits.adopt(learnt('a'));
  next.exits.adopt(other.exits.image(() => true));
  next.exits.awoke([SLOT, OTHER_SLOT]);
  expect(decisionWord(next.i32, DECIDED, PLACE_DECISION)).toBe(0);
  expect(next.exits.has(CALL)).toBe(false);
});

test('what no unit was there for is handed on, and what is little is no news', () => {
  const { exits } = places('a');
  const image = learnt('a');
  exits.adopt(image);
  expect(exits.image(() => true).exitPlaces.length).toBe(image.exitPlaces.length);
  for (let exit = 100; exit < 120; exit += 2) exits.add(exit, 0, 0x4000, 0x4000, -1);
  expect(exits.isNews).toBe(false);
  for (let exit = 120; exit < 300; exit += 2) exits.add(exit, 0, 0x4000, 0x4000, -1);
  expect(exits.isNews).toBe(true);
});

test('what is known already is no news, and what was decided of it stays', () => {
  const { exits, i32 } = places('a');
  const add = (): void => exits.add(DECIDED, 0, 0x2000, 0x2000, placeIn(SLOT, 1));
  add();
  exits.decide((DECISION_ENTRY * DECIDED) / 2);
  const decided = decisionWord(i32, DECIDED, PLACE_DECISION);
  for (let i = 0; i < 100; i++) add();
  expect(exits.isNews).toBe(false);
  expect(decided).not.toBe(0);
  expect(decisionWord(i32, DECIDED, PLACE_DECISION)).toBe(decided);
});
