// Pipes, and the queue of bytes that they share with stream sockets.

import { CallError } from '../abi/errno.ts';
import { POLLERR, POLLHUP, type Pollable, pollable, READABLE, WRITABLE } from './pollable.ts';

/** A queue of bytes, in pieces that are never written after they are put here. */
export interface ByteQueue {
  readonly pieces: Uint8Array[];
  /** Bytes of the first piece that are gone. */
  taken: number;
  length: number;
}

export function byteQueue(): ByteQueue {
  return { pieces: [], taken: 0, length: 0 };
}

/** Appends a copy of the bytes. */
export function enqueue(queue: ByteQueue, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  queue.pieces.push(bytes.slice());
  queue.length += bytes.length;
}

/** Takes at most `count` bytes from the front; `peek` leaves them there. */
export function dequeue(queue: ByteQueue, count: number, peek = false): Uint8Array {
  const out = new Uint8Array(Math.min(count, queue.length));
  let taken = queue.taken;
  let index = 0;
  for (let done = 0; done < out.length; ) {
    const piece = queue.pieces[index]!;
    const part = piece.subarray(taken, taken + out.length - done);
    out.set(part, done);
    done += part.length;
    taken += part.length;
    if (taken === piece.length) {
      index++;
      taken = 0;
    }
  }
  if (!peek) {
    queue.pieces.splice(0, index);
    queue.taken = taken;
    queue.length -= out.length;
  }
  return out;
}

/** Bytes that a pipe holds (pipe(7): 65536 since Linux 2.6.11). */
export const PIPE_CAPACITY = 65536;
/** Writes of at most this many bytes are atomic (limits.h). */
export const PIPE_BUF = 4096;

export interface Pipe {
  readonly queue: ByteQueue;
  capacity: number;
  /** Open descriptions of each end. */
  readers: number;
  writers: number;
  /** Where readers wait for data, and writers for room. */
  readonly readable: Pollable;
  readonly writable: Pollable;
}

export function makePipe(id: number): Pipe {
  return {
    queue: byteQueue(),
    capacity: PIPE_CAPACITY,
    readers: 0,
    writers: 0,
    readable: pollable(`pipe:${id}:r`),
    writable: pollable(`pipe:${id}:w`),
  };
}

type Notify = (target: Pollable, events: number) => void;

/** Bytes, none at the end of file, or undefined where the reader must wait. (pipe_read) */
export function readPipe(pipe: Pipe, count: number, notify: Notify): Uint8Array | undefined {
  if (count === 0) return new Uint8Array(0);
  if (pipe.queue.length === 0) return pipe.writers === 0 ? new Uint8Array(0) : undefined;
  const bytes = dequeue(pipe.queue, count);
  notify(pipe.writable, WRITABLE);
  return bytes;
}

/**
 * The number of bytes taken, or undefined where the writer must wait: at most PIPE_BUF bytes go in whole or not at all. (pipe_write)
 * @throws CallError EPIPE when nobody reads
 */
export function writePipe(pipe: Pipe, bytes: Uint8Array, notify: Notify): number | undefined {
  if (bytes.length === 0) return 0;
  if (pipe.readers === 0) throw new CallError('EPIPE');
  const room = pipe.capacity - pipe.queue.length;
  if (room <= 0 || (bytes.length <= PIPE_BUF && room < bytes.length)) return undefined;
  const count = Math.min(room, bytes.length);
  enqueue(pipe.queue, bytes.subarray(0, count));
  notify(pipe.readable, READABLE);
  return count;
}

export function pollReadEnd(pipe: Pipe): number {
  return (pipe.queue.length > 0 ? READABLE : 0) | (pipe.writers === 0 ? POLLHUP : 0);
}

export function pollWriteEnd(pipe: Pipe): number {
  return (pipe.capacity - pipe.queue.length >= PIPE_BUF ? WRITABLE : 0) | (pipe.readers === 0 ? POLLERR : 0);
}

/** A description of an end has gone. (pipe_release) */
export function releasePipe(pipe: Pipe, end: 'read' | 'write', notify: Notify): void {
  if (end === 'read') pipe.readers--;
  else pipe.writers--;
  if (pipe.writers === 0) notify(pipe.readable, POLLHUP | READABLE);
  if (pipe.readers === 0) notify(pipe.writable, POLLERR | WRITABLE);
}
