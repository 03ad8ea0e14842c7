// Runs fixture programs under a session, the way `safepoint run` does.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Session, type SessionEnd, type SessionOptions, type Stats } from '../../src/index.ts';
import { DIR_ARGUMENT, type Fixture, type FixtureRun, fixtureSpec, loadFixture } from './fixtures.ts';
import { LONG } from './long.ts';

export interface Ran {
  readonly end: SessionEnd;
  readonly out: string;
  readonly err: string;
  readonly stats: Stats;
}

const GUEST_DIR = '/data';

/** The evaluator is the reference; `ENGINE=compile` runs every program with the compiler, and must change nothing. */
const ENGINE = process.env.ENGINE === 'compile' ? 'compile' : 'evaluate';

/** No fixture comes near, whatever interrupts it: what does not end is reported, not waited for. */
const LIMIT = LONG ? 4e9 : 4e8;

/** Runs one fixture to its end. */
export function runFixture(
  fixture: Pick<Fixture, 'purpose' | 'goarch' | 'release'>,
  options: Partial<SessionOptions> = {},
  run: FixtureRun = fixtureSpec(fixture.purpose),
): Ran {
  const usesFiles = run.args.includes(DIR_ARGUMENT);
  const host = usesFiles ? mkdtempSync(join(tmpdir(), 'safepoint-files-')) : undefined;
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  let input: Uint8Array | null = Buffer.from(run.stdin);
  try {
    const session = Session.open(loadFixture(fixture.purpose, fixture.goarch, fixture.release), {
      path: `/${fixture.purpose}`,
      args: run.args.map((a) => (a === DIR_ARGUMENT ? `${GUEST_DIR}/made` : a)),
      env: Object.entries(run.env).map(([name, value]) => `${name}=${value}`),
      ...(host === undefined ? {} : { dirs: [`${host}:${GUEST_DIR}`] }),
      engine: ENGINE,
      maxInstructions: LIMIT,
      stdin: () => {
        const all = input;
        input = null;
        return all;
      },
      stdout: (bytes) => void out.push(bytes.slice()),
      stderr: (bytes) => void err.push(bytes.slice()),
      ...options,
    });
    const end = session.run();
    const text = (pieces: Uint8Array[]): string => Buffer.concat(pieces).toString();
    return { end, out: text(out), err: text(err), stats: session.stats(end, 0) };
  } finally {
    if (host !== undefined) rmSync(host, { recursive: true });
  }
}
