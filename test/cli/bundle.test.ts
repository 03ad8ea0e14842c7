// The files that are shipped: what only shows in them, because the rest of the tests runs from sources.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, expect, it } from 'vitest';
import { makeBundle } from '../support/bundle.ts';
import { fixturePath } from '../support/fixtures.ts';

const { bin, remove } = await makeBundle();
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

it.each(['amd64', 'mips64le'] as const)(
  'a run that finds all of its code compiled loads nothing of what compiles or reads Go’s tables: %s',
  { timeout: 120_000 },
  (goarch) => {
    const later = ['code', 'go'].map((part) => join(dirname(bin), `entry-run-${part}.cjs`));
    const run = () =>
      spawnSync(process.execPath, [bin, 'run', fixturePath('hello', goarch, '1.27')], {
        encoding: 'utf8',
        env: { ...process.env, SAFEPOINT_CACHE: join(folder, goarch) },
      });
    const withoutLater = () => {
      for (const file of later) renameSync(file, `${file}.gone`);
      try {
        return run();
      } finally {
        for (const file of later) renameSync(`${file}.gone`, file);
      }
    };
    const first = run();
    expect(first.status).toBe(0);
    // How many runs it takes until all is compiled depends on how busy the machine is.
    let done = withoutLater();
    for (let runs = 0; runs < 10 && done.status !== 0; runs++) {
      run();
      done = withoutLater();
    }
    expect(done).toMatchObject({ status: 0, stdout: first.stdout, stderr: '' });
  },
);
