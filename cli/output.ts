// How commands speak: results on stdout, everything else on stderr, errors in one line with an exit status.

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
  readonly isTerminal: boolean;
}

export const PROCESS_OUTPUT: Output = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isTerminal: process.stderr.isTTY === true,
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
