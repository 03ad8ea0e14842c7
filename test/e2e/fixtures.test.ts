// Every fixture on every GOARCH gives the right output and exit status: of the newest release, in a long run of all.

import { describe, expect, it } from 'vitest';
import { fixtureSpec, GOARCHES, listFixtures, NO_GO } from '../support/fixtures.ts';
import { LONG } from '../support/long.ts';
import { runFixture } from '../support/programs.ts';

const NEWEST: ReadonlySet<string> = new Set([NO_GO, '1.27']);

describe.each(GOARCHES)('%s', (goarch) => {
  const fixtures = listFixtures().filter((f) => f.goarch === goarch && (LONG || NEWEST.has(f.release)));

  it.each(fixtures.map((f) => [`${f.purpose} of ${f.release}`, f] as const))(
    'runs %s',
    (_name, fixture) => {
      const spec = fixtureSpec(fixture.purpose);
      const { end, out, stats } = runFixture(fixture);
      expect(out).toBe(spec.want);
      expect(end).toEqual({ kind: 'exit', status: spec.exit });
      expect(stats.unknownSyscalls).toEqual({});
    },
    120_000,
  );
});
