// The map from addresses to numbers, held against a Map.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AddressMap } from '../../src/jit/address-map.ts';

/** Near to each other, and far above 32 bits: some have the same low bits. */
const address = fc
  .tuple(fc.constantFrom(0, 0x40_0000, 0x1_2000_0000, 0x7fff_2000_0000), fc.nat(3000))
  .map(([base, i]) => base + 4 * i);

test('as a map, and it grows', () => {
  const entry = fc.tuple(address, fc.nat());
  fc.assert(
    fc.property(fc.array(entry, { size: 'max', maxLength: 3000 }), fc.nat(5000), (entries, room) => {
      const map = new AddressMap();
      const known = new Map<number, number>();
      for (const [i, [at, value]] of entries.entries()) {
        expect(map.get(at)).toBe(known.get(at) ?? -1);
        map.set(at, value);
        known.set(at, value);
        if (i === 100) map.reserve(room);
      }
      for (const [at, value] of known) expect(map.get(at)).toBe(value);
      expect(new Map(map.entries())).toEqual(known);
      map.clear();
      expect([...map.entries()]).toEqual([]);
    }),
    { numRuns: 20 },
  );
});
