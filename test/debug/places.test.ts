// Places and what is known of them, against a map by name.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Places } from '../../src/debug/places.ts';

const address = fc.integer({ min: 0, max: 40 }).map((i) => 0x40_0000 + 4 * i);
const high = fc.integer({ min: 0, max: 8 }).map((i) => 0xc0_0000_0000 + 8 * i);

test('as a map', () => {
  const command = fc.oneof(
    { weight: 1, arbitrary: fc.constant(undefined) },
    { weight: 60, arbitrary: fc.tuple(fc.oneof(address, high), high, fc.nat(3)) },
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
      const places = new Places<number>();
      const map = new Map<string, number>();
      for (const said of commands) {
        if (said === undefined) {
          places.clear();
          map.clear();
          continue;
        }
        const [pc, sp, known] = said;
        expect(places.get(pc, sp)).toBe(map.get(`${pc} ${sp}`));
        places.set(pc, sp, known);
        map.set(`${pc} ${sp}`, known);
        expect(places.size).toBe(map.size);
        expect(places.get(pc, sp)).toBe(known);
      }
    }),
  );
});
