// The example project: what is committed was built from its sources, and its own Go tests pass under `go test -exec`.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { EXAMPLE_DIR, exampleHash, FIXTURES_DIR, goroots, readManifest, sha256 } from '../../fixtures/manifest.ts';

const CLI = fileURLToPath(new URL('../../cli/entry.ts', import.meta.url));
const GO = ['1.27', '1.24', '1.22', '1.19'].map((r) => join(goroots(), `go-${r}`, 'bin', 'go')).find(existsSync);

/** A Go command: a release that builds the fixtures, else whatever `go` the machine has. */
function goCommand(): string | undefined {
  if (GO !== undefined) return GO;
  return spawnSync('go', ['version']).status === 0 ? 'go' : undefined;
}

describe.each(readManifest()!.example)('$archive', ({ archive, compressed, sha256: hash, source }) => {
  test('is what the manifest says, built from the sources as they are', () => {
    const packed = readFileSync(join(FIXTURES_DIR, archive));
    expect(sha256(packed)).toBe(compressed.sha256);
    expect(sha256(brotliDecompressSync(packed))).toBe(hash);
    expect(source).toBe(exampleHash());
  });
});

describe('go test -exec', () => {
  const go = goCommand();

  test.skipIf(go === undefined)('passes for mips, preempted at every 1009th instruction', { timeout: 300_000 }, () => {
    const { PATH, HOME, GOCACHE } = process.env;
    const exec = `${process.execPath} --import tsx ${CLI} exec --preempt every=1009`;
    const done = spawnSync(go!, ['test', '-count=1', '-v', '-exec', exec, '.'], {
      cwd: EXAMPLE_DIR,
      encoding: 'utf8',
      env: {
        PATH,
        HOME,
        ...(GOCACHE === undefined ? {} : { GOCACHE }),
        CGO_ENABLED: '0',
        GOARCH: 'mips',
        GOFLAGS: '-mod=mod',
        GOOS: 'linux',
        GOTOOLCHAIN: 'local',
        GOWORK: 'off',
      },
    });
    expect(done.stderr).toBe('');
    expect(done.stdout).toMatch(/^--- PASS: TestSum/m);
    expect(done.status).toBe(0);
  });
});
