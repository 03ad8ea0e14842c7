// Each check matters: without it harm is done at the places of the table, and with it none. Prints the table.
import { describe, expect, test } from 'vitest';
import { CHECKS } from '../../src/index.ts';
import { sampled } from '../support/long.ts';
import { ABLATIONS, ALL, RELEASES, UNSHOWN } from './cases.ts';
import { show } from './table.ts';

/** The release on which the test shows each ablation, and in short runs each on one target in turn; `generate.ts` shows all. */
const NEWEST = '1.27';

test('every check is shown, or said not to be, on every target and release', () => {
  for (const check of CHECKS.filter((c) => c !== 'want')) {
    for (const goarch of ALL) {
      for (const release of RELEASES) {
        const rows = [...ABLATIONS, ...UNSHOWN].filter(
          (row) => row.check === check && row.goarches.includes(goarch) && row.releases.includes(release),
        );
        expect(rows.length, `${check} ${goarch} ${release}`).toBe(1);
      }
    }
  }
});

describe.each(ABLATIONS.filter((a) => a.releases.includes(NEWEST)))('without $without', (ablation) => {
  test.each(sampled(ablation.goarches, ablation.goarches.length, ABLATIONS.indexOf(ablation)))(
    '%s comes to harm, and with all checks it does not',
    async (goarch) => {
      const { kept, harm, removed } = await show(ablation, goarch, NEWEST);
      expect(kept.failures).toBe(0);
      expect(removed.injections).toBeGreaterThan(0);
      expect(harm).toBeDefined();
      const { func, at, oracle, detail } = harm!;
      console.log(
        `${ablation.check} | ${goarch} | ${NEWEST} | ${func}, instruction ${at} | ${oracle}: ${detail.slice(0, 120)}`,
      );
    },
    300_000,
  );
});
