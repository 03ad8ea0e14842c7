// Experiments on the host's processor, through amd64-native.c; for recording cases, never for replaying them.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packFlags, unpackFlags } from '../../isa/amd64/regs.ts';
import { CODE_ADDRESS } from './driver.ts';

/** The page of memory that experiments have. Its neighbours are not mapped. */
export const DATA_ADDRESS = 0x20000;
export const PAGE = 4096;

const REQUEST = 16 + 16 * 8 + 16 + 8 + 256 + PAGE;
const ANSWER = 16 * 8 + 16 + 8 + 8 + 256 + PAGE;
const GPR_ORDER = [
  'RAX',
  'RCX',
  'RDX',
  'RBX',
  'RSP',
  'RBP',
  'RSI',
  'RDI',
  'R8',
  'R9',
  'R10',
  'R11',
  'R12',
  'R13',
  'R14',
  'R15',
];

export interface Experiment {
  readonly code: Uint8Array;
  readonly registers: Readonly<Record<string, bigint>>;
  /** All of the page at DATA_ADDRESS. */
  readonly data: Uint8Array;
}

export interface Observation {
  readonly registers: Readonly<Record<string, bigint>>;
  readonly pc: number;
  readonly data: Uint8Array;
  /** In the spelling of the case files. */
  readonly stop: string;
}

/** Builds the harness in a temporary directory. Throws where there is no C compiler. */
export const buildNative = (): string => {
  const binary = join(mkdtempSync(join(tmpdir(), 'amd64-native-')), 'amd64-native');
  execFileSync('cc', ['-O1', '-o', binary, fileURLToPath(new URL('amd64-native.c', import.meta.url))]);
  return binary;
};

/** What Linux and the processor reported, by signal and exception number (SDM vol. 3, table 7-1). */
const stopOf = (signal: number, trap: number): string => {
  if (signal === 0) return 'done';
  switch (trap) {
    case 0:
      return 'trap:divide';
    case 1:
    case 3:
      return 'breakpoint:0';
    case 6:
      return 'illegal:0';
    case 13:
      return 'privileged:0';
    case 14:
      return 'fault:unmapped';
    default:
      return `signal:${signal}:${trap}`;
  }
};

/** Runs all experiments, one process for the lot. */
export const runNative = (binary: string, experiments: readonly Experiment[]): Observation[] => {
  const input = Buffer.alloc(REQUEST * experiments.length);
  for (const [k, { code, registers, data }] of experiments.entries()) {
    const at = k * REQUEST;
    const get = (name: string): bigint => registers[name] ?? 0n;
    input.set(code, at);
    for (const [n, name] of GPR_ORDER.entries()) input.writeBigUInt64LE(get(name), at + 16 + n * 8);
    input.writeBigUInt64LE(
      packFlags((r) => get(r.name)),
      at + 144,
    );
    input.writeBigUInt64LE(get('GS_BASE'), at + 152);
    input.writeUInt32LE(Number(get('MXCSR')) || 0x1f80, at + 160);
    for (let n = 0; n < 16; n++) {
      const value = get(`XMM${n}`);
      input.writeBigUInt64LE(value & 0xffffffffffffffffn, at + 168 + n * 16);
      input.writeBigUInt64LE(value >> 64n, at + 176 + n * 16);
    }
    input.set(data, at + 424);
  }
  const run = spawnSync(binary, { input, maxBuffer: ANSWER * experiments.length + 4096 });
  if (run.status !== 0) throw new Error(`the native harness ended with ${run.status ?? run.signal}`);
  const output = run.stdout;
  return experiments.map(({ registers: before }, k) => {
    const at = k * ANSWER;
    const registers: Record<string, bigint> = { ...before };
    for (const [n, name] of GPR_ORDER.entries()) registers[name] = output.readBigUInt64LE(at + n * 8);
    unpackFlags(output.readBigUInt64LE(at + 128), (r, value) => {
      registers[r.name] = value;
    });
    if (before['MXCSR'] !== undefined) registers['MXCSR'] = BigInt(output.readUInt32LE(at + 144));
    for (let n = 0; n < 16; n++) {
      const low = output.readBigUInt64LE(at + 160 + n * 16);
      registers[`XMM${n}`] = low | (output.readBigUInt64LE(at + 168 + n * 16) << 64n);
    }
    return {
      registers,
      pc: Number(output.readBigUInt64LE(at + 136)),
      data: new Uint8Array(output.subarray(at + 416, at + 416 + PAGE)),
      stop: stopOf(output.readUInt32LE(at + 148), Number(output.readBigUInt64LE(at + 152))),
    };
  });
};

export { CODE_ADDRESS };
