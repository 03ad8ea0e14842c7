// Every fixture on every GOARCH and release gives the right output and exit status.

import { describe, expect, it } from 'vitest';
import { fixtureSpec, GOARCHES, listFixtures } from '../support/fixtures.ts';
import { runFixture } from '../support/programs.ts';

describe.each(GOARCHES)('%s', (goarch) => {
  const fixtures = listFixtures().filter((f) => f.goarch === goarch);

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
