// A sweep on several worker threads: each walks the whole range and makes its share of the injections.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { InputError } from './session.ts';
import {
  type Reference,
  Sweep,
  type SweepFailure,
  type SweepOptions,
  type SweepProgress,
  type SweepResult,
} from './sweep.ts';

interface Work {
  readonly kind: 'sweep';
  readonly bytes: Uint8Array;
  readonly options: SweepOptions;
  readonly reference: Reference;
}

type Message =
  | { readonly kind: 'progress'; readonly injections: number; readonly failures: number; readonly done: number }
  | { readonly kind: 'result'; readonly result: SweepResult }
  | { readonly kind: 'input-error'; readonly message: string };

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
      return inWorker({ kind: 'sweep', bytes, options: { ...options, share }, reference }, (so) => {
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

function inWorker(work: Work, progress: SweepProgress): Promise<SweepResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: work });
    worker.on('message', (message: Message) => {
      if (message.kind === 'progress') progress(message);
      else if (message.kind === 'result') resolve(message.result);
      else reject(new InputError(message.message));
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`a sweep worker ended with status ${code}`)));
  });
}

/** What a worker does: this module is its entry too. */
function work({ bytes, options, reference }: Work, tell: (message: Message) => void): void {
  let told = 0;
  try {
    const result = new Sweep(bytes, options, reference).run((so) => {
      const now = performance.now();
      if (now - told < TELL_EVERY_MS) return;
      told = now;
      tell({ kind: 'progress', ...so });
    });
    tell({ kind: 'result', result });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    tell({ kind: 'input-error', message: error.message });
  }
}

const isWork = (data: unknown): data is Work =>
  typeof data === 'object' && data !== null && (data as { kind?: unknown }).kind === 'sweep';

if (!isMainThread && parentPort !== null && isWork(workerData)) {
  const port = parentPort;
  work(workerData, (message) => port.postMessage(message));
}
