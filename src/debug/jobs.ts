// Sweeps and verifications on several worker threads, each of which does its share of one whole.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { functionsNamed, LocationError } from '../goruntime/locate.ts';
import { InputError } from './input-error.ts';
import { Session, type SessionOptions } from './session.ts';
import {
  type Reference,
  Sweep,
  type SweepFailure,
  type SweepOptions,
  type SweepProgress,
  type SweepResult,
} from './sweep.ts';
import { mergeReports, type Share, type VerifyProgress, type VerifyReport, verify } from './verify.ts';

interface SweepWork {
  readonly kind: 'sweep';
  readonly bytes: Uint8Array;
  readonly options: SweepOptions;
  readonly reference: Reference;
}

interface VerifyWork {
  readonly kind: 'verify';
  readonly bytes: Uint8Array;
  readonly options: VerifyProgramOptions;
  readonly share: Share | undefined;
}

type Work = SweepWork | VerifyWork;

type Message =
  | { readonly kind: 'progress'; readonly so: unknown }
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'input-error'; readonly message: string };

/** What is verified of a program, and how. */
export interface VerifyProgramOptions extends Pick<SessionOptions, 'path' | 'rules' | 'without'> {
  /** Only functions of this name, or whose names match. */
  readonly func?: string;
  /** Only so many PCs, spread evenly. */
  readonly sample?: number;
}

/** Messages are not sent more often than this. */
const TELL_EVERY_MS = 200;

const byPlace = (a: SweepFailure, b: SweepFailure): number => a.at - b.at;

/**
 * Sweeps a program with so many workers. The result does not depend on their number, its times excepted.
 * @throws InputError for a program or options that do not do
 */
export async function sweep(
  bytes: Uint8Array,
  options: SweepOptions,
  jobs = 1,
  progress?: SweepProgress,
): Promise<SweepResult> {
  const first = new Sweep(bytes, options);
  if (jobs <= 1) return first.run(progress);
  const began = performance.now();
  const reference = first.reference();
  const state = Array.from({ length: jobs }, () => ({ injections: 0, failures: 0, done: 0 }));
  const results = await Promise.all(
    state.map((_, index) => {
      const share = { index, of: jobs };
      const work: SweepWork = { kind: 'sweep', bytes, options: { ...options, share }, reference };
      return inWorker<SweepResult, Parameters<SweepProgress>[0]>(work, (so) => {
        state[index] = so;
        // Every worker counts all injections of the range; the slowest one says how far the sweep is.
        const slowest = state.reduce((a, b) => (b.done < a.done ? b : a));
        progress?.({ ...slowest, failures: state.reduce((sum, s) => sum + s.failures, 0) });
      });
    }),
  );
  const [any] = results;
  const seconds = (performance.now() - began) / 1000;
  return {
    ...any!,
    ranToEnd: results.reduce((sum, r) => sum + r.ranToEnd, 0),
    seconds,
    perSecond: any!.injections / Math.max(seconds, 1e-9),
    failures: results.flatMap((r) => r.failures).sort(byPlace),
  };
}

/**
 * Verifies a program with so many workers. The report does not depend on their number, but for the calls and instructions that it took.
 * @throws InputError for a program whose runtime cannot be asked, or options that do not fit it
 */
export async function verifyProgram(
  bytes: Uint8Array,
  options: VerifyProgramOptions,
  jobs = 1,
  progress?: VerifyProgress,
): Promise<VerifyReport> {
  if (jobs <= 1) return verifyShare({ kind: 'verify', bytes, options, share: undefined }, progress);
  const state = Array.from({ length: jobs }, () => ({ done: 0, total: 0 }));
  const reports = await Promise.all(
    state.map((_, index) => {
      const work: VerifyWork = { kind: 'verify', bytes, options, share: { index, of: jobs } };
      return inWorker<VerifyReport, { done: number; total: number }>(work, (so) => {
        state[index] = so;
        // A worker that has not begun to ask has as much to do as the others.
        const most = Math.max(...state.map((s) => s.total));
        progress?.(
          state.reduce((sum, s) => sum + s.done, 0),
          state.reduce((sum, s) => sum + (s.total || most), 0),
        );
      });
    }),
  );
  return mergeReports(reports);
}

function verifyShare({ bytes, options, share }: VerifyWork, onProgress?: VerifyProgress): VerifyReport {
  const { func, sample, ...own } = options;
  const session = Session.open(bytes, own);
  const { go } = session;
  if (go === undefined) throw new InputError(session.notGo ?? 'no Go program');
  const functions = func === undefined ? undefined : functionsNamed(go.program.tables, func);
  return verify(session, {
    ...(functions === undefined ? {} : { functions }),
    ...(sample === undefined ? {} : { sample }),
    ...(share === undefined ? {} : { share }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
}

/** One worker's result. The types are those of its kind of work. */
function inWorker<Result, So>(work: Work, progress: (so: So) => void): Promise<Result> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(import.meta.filename, { workerData: work });
    worker.on('message', (message: Message) => {
      if (message.kind === 'progress') progress(message.so as So);
      else if (message.kind === 'result') resolve(message.result as Result);
      else reject(new InputError(message.message));
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`a worker ended with status ${code}`)));
  });
}

/** What a worker does: this module is its entry too. */
function carryOut(task: Work, tell: (message: Message) => void): void {
  let told = 0;
  const progress = (so: unknown): void => {
    const now = performance.now();
    if (now - told < TELL_EVERY_MS) return;
    told = now;
    tell({ kind: 'progress', so });
  };
  try {
    const result =
      task.kind === 'sweep'
        ? new Sweep(task.bytes, task.options, task.reference).run(progress)
        : verifyShare(task, (done, total) => progress({ done, total }));
    tell({ kind: 'result', result });
  } catch (error) {
    if (!(error instanceof InputError || error instanceof LocationError)) throw error;
    tell({ kind: 'input-error', message: error.message });
  }
}

const isWork = (data: unknown): data is Work => {
  if (typeof data !== 'object' || data === null) return false;
  const { kind, bytes } = data as { kind?: unknown; bytes?: unknown };
  return (kind === 'sweep' || kind === 'verify') && bytes instanceof Uint8Array;
};

if (!isMainThread && parentPort !== null && isWork(workerData)) {
  const port = parentPort;
  carryOut(workerData, (message) => port.postMessage(message));
}
