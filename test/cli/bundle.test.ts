// The files that are shipped: what only shows in them, because the rest of the tests runs from sources.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, expect, it } from 'vitest';
import { makeBundle } from '../support/bundle.ts';
import { fixturePath } from '../support/fixtures.ts';

const { bin, remove } = makeBundle();
const folder = mkdtempSync(join(tmpdir(), 'safepoint-shipped-'));

afterAll(() => {
  remove();
  rmSync(folder, { recursive: true });
});

it('a package that is loaded when it is needed is found: run --profile', { timeout: 60_000 }, () => {
  const profile = join(folder, 'profile.pb.gz');
  const program = fixturePath('hello', 'mips', '1.27');
  const done = spawnSync(process.execPath, [bin, 'run', '--profile', profile, program], { encoding: 'utf8' });
  expect(done).toMatchObject({ status: 0, stderr: '' });
  expect(gunzipSync(readFileSync(profile)).includes('runtime.main')).toBe(true);
});

it.runIf(existsSync('/dev/full'))(
  'where nothing more can be written, that is said in one line',
  { timeout: 60_000 },
  () => {
    const program = fixturePath('hello', 'mips', '1.27');
    const done = spawnSync('sh', ['-c', '"$0" "$1" run "$2" > /dev/full', process.execPath, bin, program], {
      encoding: 'utf8',
    });
    expect(done.status).toBe(2);
    expect(done.stderr).toContain('safepoint: standard output: cannot be written (ENOSPC)\n');
  },
);
