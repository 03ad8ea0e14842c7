// Worker threads, in the bundle that is shipped: the result must not depend on their number.

import { spawnSync } from 'node:child_process';
import { afterAll, expect, test } from 'vitest';
import { makeBundle } from '../support/bundle.ts';
import { fixturePath } from '../support/fixtures.ts';

const TIMEOUT = 120_000;
const { bin, remove } = await makeBundle();
afterAll(remove);

/** The document of a command with so many workers, without what says how long it took: each worker has some calls to make for itself. */
function document(jobs: number, status: number, ...args: string[]): Record<string, unknown> {
  const [command, ...rest] = args;
  const done = spawnSync(process.execPath, [bin, command!, '--json', '--jobs', String(jobs), ...rest], {
    encoding: 'utf8',
  });
  expect(done.stderr).toBe('');
  expect(done.status).toBe(status);
  const { seconds: _seconds, perSecond: _rate, calls: _calls, instructions: _cost, ...same } = JSON.parse(done.stdout);
  return same;
}

test.each([
  ['sweep', 0, ['--func', '^main\\.', fixturePath('panics', 'mips', '1.27')]],
  ['sweep', 1, ['--func', '^main\\.', '--without', 'restart', fixturePath('panics', 'mips', '1.27')]],
  ['verify', 0, ['--func', '^main\\.', fixturePath('hello', 'mips64le', '1.19')]],
] as const)(
  '%s with status %i finds the same on two worker threads as on one',
  (command, status, args) => {
    const alone = document(1, status, command, ...args);
    expect(document(2, status, command, ...args)).toEqual(alone);
    if (status === 1) expect(alone.failures).not.toEqual([]);
  },
  TIMEOUT,
);

test(
  'what a worker says of a bad program is one line and status 2',
  () => {
    const args = ['verify', '--jobs', '2', '--func', '^no\\.such', fixturePath('hello', 'amd64', '1.27')];
    const done = spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' });
    expect(done.stderr.trim().split('\n')).toHaveLength(1);
    expect(done.status).toBe(2);
  },
  TIMEOUT,
);
