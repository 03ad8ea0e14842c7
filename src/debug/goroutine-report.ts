// What `safepoint goroutines` prints: every goroutine of a stopped program, suspended and read, one after another.

import { TableError } from '../goruntime/pcvalue.ts';
import type { SafePointKind } from '../goruntime/stop-kind.ts';
import { SuspendError } from '../goruntime/suspend.ts';
import { GuestReadError } from '../goruntime/view.ts';
import type { Go } from './go.ts';
import { GuestCallError } from './guest-runtime.ts';
import { Inspector, type SavedRegisters, type ScannedStackFrame } from './inspection.ts';
import type { Session } from './session.ts';
import type { Suspender } from './suspension.ts';

/** One call on a stack, innermost first. */
export interface CallReport {
  readonly pc: number;
  readonly sp: number;
  readonly func: string;
  readonly inlined: boolean;
  readonly file: string | null;
  readonly line: number;
}

/** What it took to suspend a goroutine. */
export interface SuspensionReport {
  readonly kind: SafePointKind | 'dead';
  /** Whether resumeG has to ready it. */
  readonly stopped: boolean;
  /** Instructions that the program executed meanwhile, turns of suspendG's loop, signals sent and refused. */
  readonly instructions: number;
  readonly steps: number;
  readonly signals: number;
  readonly refused: number;
}

/** One goroutine. */
export interface GoroutineReport {
  readonly goid: number;
  readonly g: number;
  /** As it was found. */
  readonly status: string;
  /** The safe-point at which it was found, before it was driven anywhere. */
  readonly kind: SafePointKind | 'none';
  readonly reason: string;
  readonly running: boolean;
  /** Undefined where it could not be suspended: `error` says why. With garbage in its structures there may be both. */
  readonly suspended: SuspensionReport | undefined;
  readonly error: string | undefined;
  readonly registers: SavedRegisters | undefined;
  readonly stack: readonly CallReport[];
  /** Why the stack ends where it does. */
  readonly stackEnd: string;
  /** With `scan`: frame by frame, innermost first. */
  readonly scan: readonly ScannedStackFrame[] | undefined;
}

export interface GoroutinesOptions {
  /** Only this one. */
  readonly goid?: number;
  /** List the roots on the stacks. */
  readonly scan?: boolean;
  /**
   * Suspend them in the program itself, as its garbage collector would: each one is resumed before the next, and the program goes on
   * a little between. Otherwise each is suspended in a fork of the stopped program, which stays as it is.
   */
  readonly inPlace?: boolean;
  /** Most frames of a stack. */
  readonly limit?: number;
}

export interface GoroutinesReport {
  readonly goroutines: readonly GoroutineReport[];
  /** How they were found, for people. */
  readonly how: string;
}

/** Suspends goroutines and reads them. The program has to be silenced by the caller while it runs in forks. */
export function reportGoroutines(
  session: Session,
  go: Go,
  suspender: Suspender,
  options: GoroutinesOptions = {},
): GoroutinesReport {
  const { preemption } = go;
  const { runtime } = preemption;
  const threads = session.threads().map((thread) => ({ thread, g: suspender.getg(thread) }));
  const { gs, how } = runtime.goroutines(
    go.allgs,
    threads.map((t) => t.g),
  );
  const found = gs
    .filter((g) => !runtime.isDead(g))
    .map((g) => {
      const on = threads.find((t) => t.g === g)?.thread;
      return { ...preemption.describe(g, on), running: on !== undefined };
    })
    .filter(({ goid }) => options.goid === undefined || goid === options.goid);
  const inspector = new Inspector(session, go);
  const goroutines: GoroutineReport[] = [];
  for (const one of found) {
    const fork = options.inPlace === true ? undefined : session.save();
    const read = suspendAndRead(one.g, suspender, inspector, options);
    goroutines.push({ ...one, ...read });
    if (fork === undefined) continue;
    session.restore(fork);
    session.process.kernel.drop(fork.kernel);
    suspender.reset();
  }
  return { goroutines, how };
}

type Read = Pick<GoroutineReport, 'suspended' | 'error' | 'registers' | 'stack' | 'stackEnd' | 'scan'>;

function suspendAndRead(g: number, suspender: Suspender, inspector: Inspector, options: GoroutinesOptions): Read {
  const nothing: Read = {
    suspended: undefined,
    error: undefined,
    registers: undefined,
    stack: [],
    stackEnd: '',
    scan: undefined,
  };
  let read = nothing;
  try {
    const request = suspender.suspendG(g);
    const suspended: SuspensionReport = {
      kind: request.kind ?? 'dead',
      stopped: request.state?.stopped === true,
      instructions: (request.suspendedAt ?? request.askedAt) - request.askedAt,
      ...request.counts,
    };
    read = { ...read, suspended };
    if (request.state?.dead !== true) {
      for (const part of PARTS) read = { ...read, ...attempt(() => part(g, inspector, options), read.error) };
    }
    suspender.resumeG(request);
    return read;
  } catch (error) {
    return { ...read, error: messageOf(error) };
  }
}

/** What is read of a suspended goroutine, each part for itself: one that garbage spoils leaves the others. */
const PARTS: readonly ((g: number, inspector: Inspector, options: GoroutinesOptions) => Partial<Read>)[] = [
  (g, inspector, { limit }) => {
    const walk = inspector.stack(g, limit);
    const stack = walk.frames.flatMap(({ pc, sp, inline }) =>
      inline().map(({ name, inlined, file, line }) => ({ pc, sp, func: name, inlined, file: file ?? null, line })),
    );
    return { stack, stackEnd: `${walk.stop}: ${walk.reason}` };
  },
  (g, inspector) => ({ registers: inspector.registers(g) }),
  (g, inspector, { scan }) => (scan === true ? { scan: inspector.scan(g) } : {}),
];

function attempt(part: () => Partial<Read>, before: string | undefined): Partial<Read> {
  try {
    return part();
  } catch (error) {
    return { error: before ?? messageOf(error) };
  }
}

/** What went wrong with a goroutine. Anything else is a mistake of ours, and is thrown on. */
function messageOf(error: unknown): string {
  for (const known of [SuspendError, GuestCallError, GuestReadError, TableError]) {
    if (error instanceof known) return error.message;
  }
  throw error;
}
