// Times as calls pass them: struct timespec and timeval, in the ABI's own width and in 64 bits.

import type { Memory } from '../engine/memory.ts';
import { struct, type WordSize } from './abi/layout.ts';

export const NS = 1_000_000_000;

export const TIMESPEC = struct({ sec: 'long', nsec: 'long' });
export const TIMEVAL = struct({ sec: 'long', usec: 'long' });

/** Which structure a call uses: the ABI's `long`s, or __kernel_timespec's 64 bits (the `_time64` calls of o32). */
export type TimeForm = 'long' | 'time64';

/** Bytes of a timespec. */
export const timespecSize = (word: WordSize, form: TimeForm): number => (form === 'time64' ? 16 : 2 * word);

/** Reads a timespec as nanoseconds; undefined where it is no valid time (then EINVAL). Beyond what doubles count it is Infinity. */
export function readTimespec(memory: Memory, word: WordSize, address: number, form: TimeForm): number | undefined {
  let sec: number;
  let nsec: number;
  if (form === 'time64' && word === 4) {
    sec = Number(BigInt.asIntN(64, memory.readU64(address)));
    nsec = time64Nanoseconds(memory, address + 8);
  } else ({ sec, nsec } = TIMESPEC.read(memory, word, address));
  if (sec < 0 || nsec < 0 || nsec >= NS) return undefined;
  const ns = sec * NS + nsec;
  return ns > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : ns;
}

/**
 * The kernel keeps the low 32 bits of an 8-byte field on 32-bit ABIs (get_timespec64). Go 1.27 declares it as 4 bytes and 4 of padding,
 * which on big-endian puts the value in the other half: both are accepted.
 */
function time64Nanoseconds(memory: Memory, address: number): number {
  const first = memory.readU32(address) | 0;
  if (!memory.bigEndian) return first;
  const second = memory.readU32(address + 4) | 0;
  return second === 0 ? first : second;
}

/** Writes nanoseconds as a timespec. */
export function writeTimespec(
  memory: Memory,
  word: WordSize,
  address: number,
  form: TimeForm,
  ns: bigint | number,
): void {
  if (typeof ns === 'number' && form === 'long') {
    TIMESPEC.write(memory, word, address, { sec: Math.floor(ns / NS), nsec: ns % NS });
    return;
  }
  const exact = BigInt(ns);
  const sec = exact / BigInt(NS);
  const nsec = exact % BigInt(NS);
  if (form === 'time64') {
    memory.writeU64(address, sec);
    memory.writeU64(address + 8, nsec);
  } else TIMESPEC.write(memory, word, address, { sec: Number(sec), nsec: Number(nsec) });
}

/** Reads a timeval as nanoseconds; undefined where it is no valid time. */
export function readTimeval(memory: Memory, word: WordSize, address: number): number | undefined {
  const { sec, usec } = TIMEVAL.read(memory, word, address);
  if (sec < 0 || usec < 0 || usec >= 1_000_000) return undefined;
  const ns = sec * NS + usec * 1000;
  return ns > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : ns;
}

export function writeTimeval(memory: Memory, word: WordSize, address: number, ns: bigint): void {
  TIMEVAL.write(memory, word, address, { sec: Number(ns / BigInt(NS)), usec: Number((ns % BigInt(NS)) / 1000n) });
}
