// How commands speak: results on stdout, everything else on stderr, errors in one line with an exit status.

import { writeSync } from 'node:fs';

/** Exit statuses of the contract; `run` and `exec` exit as the guest did. */
export const EXIT_FINE = 0;
export const EXIT_CHECK_FAILED = 1;
export const EXIT_BAD_INPUT = 2;

/** A mistake of the user's, or an input that cannot be used. The message is one line: what is wrong; what to try. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** Where a command writes; tests hand in their own. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
  /** What a guest writes to its standard output or error. */
  guest(stream: 1 | 2, bytes: Uint8Array): void;
  readonly isTerminal: boolean;
}

const STREAMS = ['standard input', 'standard output', 'standard error'];

/** Writes at once, so that guest and command do not overtake each other. A reader that has gone away ends the writing. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') return;
      if (code !== 'EAGAIN') throw new UserError(`${STREAMS[fd] ?? `descriptor ${fd}`}: cannot be written (${code})`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

export const PROCESS_OUTPUT: Output = {
  out: (text) => writeAll(1, Buffer.from(text)),
  err: (text) => writeAll(2, Buffer.from(text)),
  guest: writeAll,
  // Asked when it is wanted: Node makes the stream for it.
  get isTerminal() {
    return process.stderr.isTTY === true;
  },
};

export const hex = (value: number): string => `0x${value.toString(16)}`;

/** Rows in aligned columns; the last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/**
 * A bar, what has been done, and how long the rest will take.
 * @param done from 0 to 1
 * @param seconds since it began
 */
export function progressBar(done: number, what: string, seconds: number): string {
  const width = 24;
  const full = Math.max(0, Math.min(width, Math.round(done * width)));
  const left = done > 0 ? Math.round((seconds / done) * (1 - done)) : 0;
  const time = left >= 120 ? `${Math.round(left / 60)} min` : `${left} s`;
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${what}, ${time} left`;
}

const SHOW_AFTER_MS = 1000;
const SHOW_EVERY_MS = 200;

/** A line on stderr for work that takes longer than a second. On a terminal it is rewritten in place; elsewhere it is not shown. */
export class Progress {
  readonly #output: Output;
  readonly #started = Date.now();
  #shown = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  get seconds(): number {
    return (Date.now() - this.#started) / 1000;
  }

  /** `text` is made only when it is to be shown. */
  tick(text: () => string): void {
    if (!this.#output.isTerminal) return;
    const now = Date.now();
    if (now - this.#started < SHOW_AFTER_MS || now - this.#shown < SHOW_EVERY_MS) return;
    this.#shown = now;
    this.#output.err(`\r\x1b[K${text()}`);
  }

  end(): void {
    if (this.#shown !== 0) this.#output.err('\r\x1b[K');
  }
}
