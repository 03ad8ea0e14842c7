// User-mode QEMU as a judge of MIPS instructions: a tiny program loads every register, runs the code, and writes every register out.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Variant } from '../../../isa/index.ts';
import { CODE_ADDRESS } from '../driver.ts';

const QEMU = { mips: 'qemu-mips', mipsle: 'qemu-mipsel', mips64: 'qemu-mips64', mips64le: 'qemu-mips64el' } as const;

/** Release 2 cores with an FPU. Of the 64-bit ones, QEMU 7.2 does not let programs write the FCSR of a 5KEf. */
const CPU = { 32: '24Kf', 64: 'MIPS64R2-generic' } as const;

/** Whether the judge is installed. */
export const qemuInstalled = (goarch: keyof typeof QEMU): boolean =>
  spawnSync(QEMU[goarch], ['--version']).status === 0;

/** Memory that the code may use, as long as the case gives. */
export const SCRATCH_ADDRESS = 0x30000;
export const SCRATCH_BYTES = 64;
/** The register that the judge's own code uses: cases leave it alone. */
export const RESERVED_GPR = 26;

const PROLOGUE_ADDRESS = 0x11000;
const INPUT_ADDRESS = 0x20000;
const OUTPUT_ADDRESS = SCRATCH_ADDRESS + SCRATCH_BYTES;
const MEMORY_END = 0x31000;

export interface Reference {
  readonly registers: Readonly<Record<string, bigint>>;
  readonly scratch: Uint8Array;
  /** The signal that ended the program; the registers are then not known. */
  readonly signal: string | undefined;
}

type Judged = Variant & { readonly goarch: keyof typeof QEMU };

const special = (funct: number, rs = 0, rt = 0, rd = 0): number => (rs << 21) | (rt << 16) | (rd << 11) | funct;
const immediate = (op: number, rs: number, rt: number, imm: number): number =>
  (op << 26) | (rs << 21) | (rt << 16) | (imm & 0xffff);
const cop1 = (move: number, rt: number, fs: number): number => (0x11 << 26) | (move << 21) | (rt << 16) | (fs << 11);
const lui = (rt: number, address: number): number => immediate(0x0f, 0, rt, address >>> 16);
const ori = (rt: number, imm: number): number => immediate(0x0d, rt, rt, imm);
const jump = (address: number): number => (2 << 26) | ((address >>> 2) & 0x3ffffff);

/** Slots of the register dump in order, each of the target's register width. */
const SLOTS: readonly string[] = [
  ...Array.from({ length: 32 }, (_, n) => `R${n}`),
  'HI',
  'LO',
  ...Array.from({ length: 32 }, (_, n) => `F${n}`),
  'FCR31',
];

/** Runs code at CODE_ADDRESS with the given registers and scratch memory. The code goes on past its end, or into a trap. */
export function runOnQemu(
  variant: Judged,
  code: Uint8Array,
  registers: Readonly<Record<string, bigint>>,
  scratch: Uint8Array,
): Reference {
  const size = variant.width / 8;
  const wide = size === 8;
  const [load, store] = wide ? [0x37, 0x3f] : [0x23, 0x2b];
  const [loadF, storeF] = wide ? [0x35, 0x3d] : [0x31, 0x39];
  const k = RESERVED_GPR;
  const at = (name: string): number => SLOTS.indexOf(name) * size;

  const prologue: number[] = [lui(k, INPUT_ADDRESS), ori(k, INPUT_ADDRESS & 0xffff)];
  const load1 = (name: string): number => immediate(load, k, 1, at(name));
  prologue.push(load1('HI'), special(0x11, 1), load1('LO'), special(0x13, 1), load1('FCR31'), cop1(6, 1, 31));
  for (let n = 0; n < 32; n++) prologue.push(immediate(loadF, k, n, at(`F${n}`)));
  for (let n = 1; n < 32; n++) if (n !== k) prologue.push(immediate(load, k, n, at(`R${n}`)));
  prologue.push(jump(CODE_ADDRESS), 0);

  const epilogueAddress = PROLOGUE_ADDRESS + prologue.length * 4;
  const epilogue: number[] = [lui(k, OUTPUT_ADDRESS), ori(k, OUTPUT_ADDRESS & 0xffff)];
  const save1 = (name: string): number => immediate(store, k, 1, at(name));
  for (let n = 1; n < 32; n++) epilogue.push(immediate(store, k, n, at(`R${n}`)));
  epilogue.push(
    special(0x10, 0, 0, 1),
    save1('HI'),
    special(0x12, 0, 0, 1),
    save1('LO'),
    cop1(2, 1, 31),
    save1('FCR31'),
  );
  for (let n = 0; n < 32; n++) epilogue.push(immediate(storeF, k, n, at(`F${n}`)));
  const [write, exit] = wide ? [5001, 5058] : [4004, 4001];
  const dumped = SCRATCH_BYTES + SLOTS.length * size;
  epilogue.push(
    immediate(9, 0, 4, 1),
    lui(5, SCRATCH_ADDRESS),
    ori(5, SCRATCH_ADDRESS & 0xffff),
    immediate(9, 0, 6, dumped),
  );
  epilogue.push(immediate(9, 0, 2, write), 0x0c, immediate(9, 0, 4, 0), immediate(9, 0, 2, exit), 0x0c);

  const image = Buffer.alloc(MEMORY_END - CODE_ADDRESS);
  const words = (address: number, list: readonly number[]): void => {
    for (const [i, word] of list.entries()) {
      const offset = address - CODE_ADDRESS + i * 4;
      if (variant.bigEndian) image.writeInt32BE(word | 0, offset);
      else image.writeInt32LE(word | 0, offset);
    }
  };
  image.set(code, 0);
  words(CODE_ADDRESS + code.length, [jump(epilogueAddress), 0]);
  words(PROLOGUE_ADDRESS, [...prologue, ...epilogue]);
  for (const [i, name] of SLOTS.entries())
    writeWord(variant, image, INPUT_ADDRESS - CODE_ADDRESS + i * size, registers[name] ?? 0n);
  image.set(scratch, SCRATCH_ADDRESS - CODE_ADDRESS);

  const directory = mkdtempSync(join(tmpdir(), 'judge-'));
  try {
    const file = join(directory, 'case');
    writeFileSync(file, Buffer.concat([elfHeader(variant, image.length), image]), { mode: 0o755 });
    const run = spawnSync('/bin/sh', [
      '-c',
      'ulimit -c 0; exec "$0" -cpu "$2" "$1"',
      QEMU[variant.goarch],
      file,
      CPU[variant.width],
    ]);
    if (run.signal !== null) return { registers: {}, scratch, signal: run.signal };
    if (run.status !== 0 || run.stdout.length !== dumped) throw new Error(`the judge failed: ${run.stderr}`);
    const out = run.stdout;
    return {
      registers: Object.fromEntries(SLOTS.map((name, i) => [name, readWord(variant, out, SCRATCH_BYTES + i * size)])),
      scratch: Uint8Array.from(out.subarray(0, SCRATCH_BYTES)),
      signal: undefined,
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function writeWord({ width, bigEndian }: Variant, buffer: Buffer, offset: number, value: bigint): void {
  const bits = BigInt.asUintN(width, value);
  if (width === 64) bigEndian ? buffer.writeBigUInt64BE(bits, offset) : buffer.writeBigUInt64LE(bits, offset);
  else bigEndian ? buffer.writeUInt32BE(Number(bits), offset) : buffer.writeUInt32LE(Number(bits), offset);
}

function readWord({ width, bigEndian }: Variant, buffer: Buffer, offset: number): bigint {
  if (width === 64) return bigEndian ? buffer.readBigUInt64BE(offset) : buffer.readBigUInt64LE(offset);
  return BigInt(bigEndian ? buffer.readUInt32BE(offset) : buffer.readUInt32LE(offset));
}

const HEADER_BYTES = 0x1000;
const ABI_FLAGS_OFFSET = 0x200;
const ABI_FLAGS_BYTES = 24;
/** In .MIPS.abiflags: doubles in pairs of 32-bit FPRs. Without it QEMU gives o32 programs FR = 1, Linux FR = 0. */
const ABI_FP_DOUBLE = 1;

/** An ELF header and its program headers, padded to a page: everything readable, writable and executable at CODE_ADDRESS. */
function elfHeader({ width, bigEndian }: Variant, length: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const wide = width === 64;
  let offset = 0;
  const put = (bytes: 2 | 4 | 8, value: number): void => {
    const start = bigEndian ? offset + bytes - Math.min(bytes, 6) : offset;
    if (bigEndian) header.writeUIntBE(value, start, Math.min(bytes, 6));
    else header.writeUIntLE(value, start, Math.min(bytes, 6));
    offset += bytes;
  };
  const word = (value: number): void => put(wide ? 8 : 4, value);
  const segment = (type: number, at: number, address: number, bytes: number): void => {
    put(4, type);
    if (wide) put(4, 7);
    for (const value of [at, address, address, bytes, bytes]) word(value);
    if (!wide) put(4, 7);
    word(HEADER_BYTES);
  };
  header.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, bigEndian ? 2 : 1, 1]);
  offset = 16;
  put(2, 2); // ET_EXEC
  put(2, 8); // EM_MIPS
  put(4, 1);
  word(PROLOGUE_ADDRESS);
  word(wide ? 64 : 52);
  word(0);
  put(4, wide ? 0x80000000 : 0x70001000); // release 2; o32 on 32-bit targets
  for (const half of wide ? [64, 56, 1, 0, 0, 0] : [52, 32, 2, 0, 0, 0]) put(2, half);
  segment(1, HEADER_BYTES, CODE_ADDRESS, length); // PT_LOAD
  if (!wide) {
    segment(0x70000003, ABI_FLAGS_OFFSET, 0, ABI_FLAGS_BYTES); // PT_MIPS_ABIFLAGS
    // Version 0 in two bytes, then ISA 32, release 2, general and FPU registers of 32 bits, no others.
    header.set([32, 2, 1, 1, 0, ABI_FP_DOUBLE], ABI_FLAGS_OFFSET + 2);
  }
  return header;
}
