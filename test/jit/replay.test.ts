// Real programs under both engines: the same registers every few thousand instructions.

import { describe, expect, test } from 'vitest';
import { GOARCHES, listFixtures, loadFixture } from '../support/fixtures.ts';
import { lockstep } from '../support/lockstep.ts';
import { LONG } from '../support/long.ts';

describe.each(GOARCHES)('%s programs under both engines', (goarch) => {
  const fixtures = listFixtures().filter((f) => f.goarch === goarch && f.purpose === 'hello');
  test.each(fixtures.slice(-1).map((f) => [f.release] as const))(
    'hello of Go %s: the state is the same all the way',
    (release) => {
      const agreement = lockstep({
        bytes: loadFixture('hello', goarch, release),
        every: 1777,
        until: LONG ? 2_000_000 : 500_000,
      });
      expect(agreement.parted).toBeUndefined();
      expect(agreement.instructions).toBeGreaterThan(100_000);
      expect(agreement.stats.units).toBeGreaterThan(20);
    },
    120_000,
  );
  test.each(fixtures.slice(-1).map((f) => [f.release] as const))(
    'hello of Go %s with room for little compiled code: dropped many times, and still the same',
    (release) => {
      const agreement = lockstep({
        bytes: loadFixture('hello', goarch, release),
        every: 20_011,
        until: 300_000,
        policy: { cacheInstructions: 400 },
      });
      expect(agreement.parted).toBeUndefined();
      expect(agreement.stats.flushes).toBeGreaterThan(2);
    },
    120_000,
  );
  test.each(fixtures.slice(-1).map((f) => [f.release] as const))(
    'hello of Go %s with all but the smallest functions in parts: the same again',
    (release) => {
      const agreement = lockstep({
        bytes: loadFixture('hello', goarch, release),
        every: 1777,
        until: 300_000,
        policy: { maxBlocks: 6 },
      });
      expect(agreement.parted).toBeUndefined();
      expect(agreement.stats.units).toBeGreaterThan(40);
    },
    120_000,
  );
});
