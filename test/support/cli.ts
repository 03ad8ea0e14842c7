// Runs a command line in this process and keeps what it says.

import { main } from '../../cli/main.ts';

export interface Said {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Guest and command output together, as a user sees them. */
export async function safepoint(...args: readonly string[]): Promise<Said> {
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  const status = await main(args, {
    out: (text) => void out.push(Buffer.from(text)),
    err: (text) => void err.push(Buffer.from(text)),
    guest: (stream, bytes) => void (stream === 1 ? out : err).push(bytes.slice()),
    isTerminal: false,
  });
  return { status, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
}
