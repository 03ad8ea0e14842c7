// Sessions over fixture programs, with what they print.
import { Session, type SessionOptions } from '../../src/debug/session.ts';
import { Suspender, type SuspendOptions } from '../../src/debug/suspension.ts';
import { fixtureSpec, type Goarch, loadFixture } from '../support/fixtures.ts';

export interface Opened {
  readonly session: Session;
  readonly go: NonNullable<Session['go']>;
  readonly suspender: Suspender;
  /** What has been printed on standard output. */
  printed(): string;
  /** What an undisturbed run prints. */
  readonly want: string;
}

export function open(
  purpose: string,
  goarch: Goarch,
  release: string,
  options: Partial<SessionOptions> & SuspendOptions = {},
): Opened {
  let out = '';
  const { want, args } = fixtureSpec(purpose);
  const session = Session.open(loadFixture(purpose, goarch, release), {
    path: purpose,
    args,
    ...options,
    stdout: (chunk) => {
      out += Buffer.from(chunk).toString();
    },
  });
  const go = session.go!;
  const { preemptM } = options;
  const suspender = new Suspender(session, go, preemptM === undefined ? {} : { preemptM });
  return { session, go, suspender, printed: () => out, want };
}

/** Runs until the next instruction is at a place. */
export function runTo({ session }: Opened, place: string): void {
  const { machine } = session;
  machine.breakpoints = new Set(session.locate(place));
  session.advance(Number.POSITIVE_INFINITY);
  machine.breakpoints = undefined;
}
