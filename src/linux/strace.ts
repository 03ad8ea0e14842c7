// System calls as text, in strace's manner. The rows say how; there is no second list.

import { GuestFault, type Memory } from '../engine/memory.ts';
import type { Abi } from './abi/abi.ts';
import type { ArgumentBits } from './abi/convert.ts';
import { type ArgType, isRestart, isWait, REGISTERS_SET, type Result, type Row } from './call.ts';

/** Bytes of a string or buffer that are shown (strace -s). */
const SHOWN = 32;
const AT_FDCWD = -100;

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function quote(bytes: Uint8Array, more: boolean): string {
  let text = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    if (byte === 10) text += '\\n';
    else if (byte === 9) text += '\\t';
    else if (byte === 13) text += '\\r';
    else if (char === '"' || char === '\\') text += `\\${char}`;
    else if (byte >= 32 && byte < 127) text += char;
    else text += `\\${byte.toString(8)}`;
  }
  return `"${text}"${more ? '...' : ''}`;
}

function readText(memory: Memory, address: number, length: number | undefined): string {
  if (address === 0) return 'NULL';
  try {
    if (length === undefined) {
      const bytes = memory.readCString(address, SHOWN + 1);
      return quote(bytes.subarray(0, SHOWN), bytes.length > SHOWN);
    }
    return quote(memory.read(address, Math.min(length, SHOWN)), length > SHOWN);
  } catch (error) {
    if (error instanceof GuestFault) return hex(address);
    throw error;
  }
}

function timespec(abi: Abi, memory: Memory, address: number): string {
  if (address === 0) return 'NULL';
  try {
    const [s, ns] =
      abi.word === 8
        ? [memory.readU64(address), memory.readU64(address + 8)]
        : [memory.readU32(address), memory.readU32(address + 4)];
    return `{tv_sec=${s}, tv_nsec=${ns}}`;
  } catch (error) {
    if (error instanceof GuestFault) return hex(address);
    throw error;
  }
}

/** What is known of a call when it is printed. */
export interface Traced {
  readonly abi: Abi;
  readonly memory: Memory;
  readonly args: readonly number[];
  readonly raw: ArgumentBits;
  /** Undefined while the call has not returned. */
  readonly result: Result | undefined;
}

function argument(type: ArgType, i: number, call: Traced): string {
  const value = call.args[i]!;
  switch (type) {
    case 'int':
    case 'uint':
    case 'long':
    case 'size':
    case 'fd':
      return String(value);
    case 'i64':
      return String(BigInt.asIntN(64, call.raw.at(i)));
    case 'u64':
      return String(call.raw.at(i));
    case 'dirfd':
      return value === AT_FDCWD ? 'AT_FDCWD' : String(value);
    case 'signal':
      return call.abi.signals.nameOf(value);
    case 'clock':
      return ['CLOCK_REALTIME', 'CLOCK_MONOTONIC', 'CLOCK_PROCESS_CPUTIME_ID'][value] ?? String(value);
    case 'mode':
      return `0${value.toString(8)}`;
    case 'path':
    case 'string':
      return readText(call.memory, value, undefined);
    case 'buffer-in':
      return readText(call.memory, value, call.args[i + 1] ?? 0);
    case 'buffer-out':
      return typeof call.result === 'number' ? readText(call.memory, value, call.result) : hex(value);
    case 'timespec':
      return timespec(call.abi, call.memory, value);
    case 'ptr':
    case 'out':
      return value === 0 ? 'NULL' : hex(call.raw.at(i));
    default:
      return hex(call.raw.at(i));
  }
}

/** `name(arguments)`. */
export const formatCall = (row: Row, call: Traced): string => {
  const shown = row.args.map((type, i) => (type === 'unused' ? undefined : argument(type, i, call)));
  return `${row.name}(${shown.filter((s) => s !== undefined).join(', ')})`;
};

/** ` = result`. */
export function formatResult(row: Row | undefined, abi: Abi, result: Result): string {
  if (isWait(result)) return ' <unfinished ...>';
  if (result === REGISTERS_SET) return ' = ?';
  if (isRestart(result)) return ` = ? ${result}`;
  if (typeof result === 'string') return ` = -1 ${result} (${abi.errno(result)})`;
  return ` = ${row?.returns === 'hex' ? hex(result) : result}`;
}
