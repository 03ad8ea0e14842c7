// What compiled code finds by itself goes from run to run, and each exact bridge has room in the table in which the driver looks for it.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { BRIDGE_JUMPS, BRIDGE_WAY, BRIDGE_WAYS } from '../../src/engine/layout.ts';
import { beginJumps, jumpHash, putBridgeJump } from '../../src/jit/jumps.ts';
import { Links } from '../../src/jit/links.ts';

const SLOTS: ReadonlyMap<number, number> = new Map([
  [0x1000, 7],
  [0x2000, 3],
  [0x3000, 7],
]);

function links(): { readonly linked: number[]; readonly links: Links } {
  const linked: number[] = [];
  return { linked, links: new Links((pc) => linked.push(pc)) };
}

test('what a run has linked the next one links when the units are there', () => {
  const [first, second] = [links(), links()];
  for (const pc of SLOTS.keys()) first.links.add(pc);
  second.links.adopt(first.links.image((pc) => SLOTS.get(pc)));
  expect(second.linked).toEqual([]);
  second.links.awoke([7]);
  expect(second.linked).toEqual([0x1000, 0x3000]);
  second.links.awoke([4, 3]);
  expect(second.linked).toEqual([0x1000, 0x3000, 0x2000]);
});

test('it is handed on with what was linked since, but for what leads nowhere any more', () => {
  const [first, second] = [links(), links()];
  for (const pc of SLOTS.keys()) first.links.add(pc);
  second.links.adopt(first.links.image((pc) => SLOTS.get(pc)));
  second.links.add(0x4000);
  const image = second.links.image((pc) => (pc === 0x2000 ? undefined : (SLOTS.get(pc) ?? 5)));
  expect([...image.pcs]).toEqual([0x4000, 0x1000, 0x3000]);
  expect([...image.slots]).toEqual([5, 7, 7]);
});

test('a few links are no news', () => {
  const { links: some } = links();
  for (let pc = 0; pc < 32; pc++) some.add(pc);
  expect(some.isNews).toBe(false);
  some.add(32);
  expect(some.isNews).toBe(true);
});

test('what is linked again is no news', () => {
  const [first, second] = [links(), links()];
  for (let pc = 0; pc < 100; pc++) first.links.add(pc);
  second.links.adopt(first.links.image(() => 1));
  for (let pc = 0; pc < 100; pc++) second.links.add(pc);
  expect(second.links.isNews).toBe(false);
});

test.each(['amd64', 'mips64le'] as const)('%s: bridges of one place in the table do not evict each other', (goarch) => {
  const isa = isaFor(goarch);
  const i32 = new Int32Array(2 ** 22);
  beginJumps(i32, isa, BRIDGE_JUMPS);
  const home = jumpHash(isa, 0x12340);
  const pcs: number[] = [];
  for (let pc = 0x12340; pcs.length < BRIDGE_WAYS + 1; pc += isa.quantum) if (jumpHash(isa, pc) === home) pcs.push(pc);
  const found = (): number[] => {
    const tags = Array.from({ length: BRIDGE_WAYS }, (_, k) => i32[(BRIDGE_JUMPS + (home ^ (BRIDGE_WAY * k))) >>> 2]!);
    return pcs.filter((pc) => tags.includes(pc));
  };
  for (const pc of pcs.slice(0, BRIDGE_WAYS)) putBridgeJump(i32, isa, pc, 1, 2);
  expect(found()).toEqual(pcs.slice(0, BRIDGE_WAYS));
  putBridgeJump(i32, isa, pcs[BRIDGE_WAYS]!, 1, 2);
  expect(found()).toHaveLength(BRIDGE_WAYS);
  expect(found()).toContain(pcs[BRIDGE_WAYS]);
});
