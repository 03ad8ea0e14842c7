// Real programs under both engines: the same registers every few thousand instructions.

import { describe, expect, test } from 'vitest';
import type { CompilerStats } from '../../src/jit/compiler.ts';
import { GOARCHES, listFixtures, loadFixture } from '../support/fixtures.ts';
import { type LockstepOptions, lockstep } from '../support/lockstep.ts';
import { LONG } from '../support/long.ts';

/** How it is compiled and compared, and of what there has to be more than so much for that to be so. */
const WAYS: readonly {
  readonly name: string;
  readonly options: Pick<LockstepOptions, 'every' | 'until' | 'policy'>;
  readonly more: Partial<Pick<CompilerStats, 'units' | 'flushes'>>;
}[] = [
  { name: 'as it is', options: { every: 1777, until: LONG ? 2_000_000 : 500_000 }, more: { units: 20 } },
  {
    name: 'with room for little compiled code, which is dropped many times',
    options: { every: 20_011, until: 300_000, policy: { cacheInstructions: 400 } },
    more: { flushes: 2 },
  },
  // Without parts there are at most 29 units: of functions of six blocks and fewer.
  {
    name: 'with all but the smallest functions in parts',
    options: { every: 1777, until: 300_000, policy: { maxBlocks: 6 } },
    more: { units: 100 },
  },
];

describe.each(GOARCHES)('%s programs under both engines', (goarch) => {
  const { release } = listFixtures()
    .filter((f) => f.goarch === goarch && f.purpose === 'hello')
    .at(-1)!;
  test.each(WAYS)(
    'hello, $name: the state is the same all the way',
    ({ options, more }) => {
      const agreement = lockstep({ bytes: loadFixture('hello', goarch, release), ...options });
      expect(agreement.parted).toBeUndefined();
      expect(agreement.instructions).toBeGreaterThan(100_000);
      const { units = -1, flushes = -1 } = more;
      expect(agreement.stats.units).toBeGreaterThan(units);
      expect(agreement.stats.flushes).toBeGreaterThan(flushes);
    },
    120_000,
  );
});
