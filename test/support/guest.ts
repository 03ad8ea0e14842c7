// Small guest programs written by hand, as ELF files, under a kernel of their own.

import type { Goarch } from '../../isa/index.ts';
import { isaFor } from '../../isa/index.ts';
import { Machine } from '../../src/engine/machine.ts';
import { abiFor } from '../../src/linux/abi/index.ts';
import { Process } from '../../src/linux/process.ts';
import { CapturedOutput } from '../../src/linux/vfs/streams.ts';
import { Vfs } from '../../src/linux/vfs/vfs.ts';
import { readElf } from '../../src/object/elf.ts';

/** Where the code of a guest stands, and where its writable page is. */
export const TEXT = 0x10000;
export const DATA = 0x20000;

/** An executable of one readable and executable segment at TEXT and a page of zeros at DATA. */
export function tinyElf(goarch: Goarch, code: Uint8Array): Uint8Array {
  const wide = goarch !== 'mips' && goarch !== 'mipsle';
  const little = goarch !== 'mips' && goarch !== 'mips64';
  const ehsize = wide ? 64 : 52;
  const phentsize = wide ? 56 : 32;
  const offset = 0x1000;
  const bytes = new Uint8Array(offset + code.length);
  bytes.set(code, offset);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1]);
  const view = new DataView(bytes.buffer);
  const u16 = (at: number, v: number): void => view.setUint16(at, v, little);
  const u32 = (at: number, v: number): void => view.setUint32(at, v, little);
  const word = (at: number, v: number): void => (wide ? view.setBigUint64(at, BigInt(v), little) : u32(at, v));
  u16(16, 2);
  u16(18, goarch === 'amd64' ? 62 : 8);
  u32(20, 1);
  word(24, TEXT);
  word(wide ? 32 : 28, ehsize);
  u16(wide ? 52 : 40, ehsize);
  u16(wide ? 54 : 42, phentsize);
  u16(wide ? 56 : 44, 2);
  const segment = (i: number, vaddr: number, filesz: number, memsz: number, flags: number): void => {
    const at = ehsize + i * phentsize;
    u32(at, 1);
    u32(at + (wide ? 4 : 24), flags);
    word(at + (wide ? 8 : 4), offset);
    word(at + (wide ? 16 : 8), vaddr);
    word(at + (wide ? 32 : 16), filesz);
    word(at + (wide ? 40 : 20), memsz);
    word(at + (wide ? 48 : 28), 0x1000);
  };
  segment(0, TEXT, code.length, code.length, 5);
  segment(1, DATA, 0, 0x1000, 6);
  return bytes;
}

export interface Guest {
  readonly process: Process;
  readonly output: CapturedOutput;
}

/** A process of an ELF file, with captured output. */
export function startElf(
  bytes: Uint8Array,
  options: {
    readonly args?: readonly string[];
    readonly env?: readonly string[];
    readonly cpus?: number;
    readonly seed?: number;
  } = {},
): Guest {
  const elf = readElf(bytes);
  const isa = isaFor(elf.goarch);
  const machine = new Machine(isa, { limit: abiFor(isa.variant).taskSize, memorySize: 2 ** 28 });
  const output = new CapturedOutput();
  const files = new Vfs({ bigEndian: elf.bigEndian, pid: 1000, uid: 1000, gid: 1000, output });
  const process = Process.load({
    machine,
    files,
    elf,
    args: options.args ?? ['guest'],
    env: options.env ?? [],
    cpus: options.cpus ?? 1,
    seed: options.seed ?? 0,
  });
  return { process, output };
}

/** MIPS code in a target's byte order. */
export function mipsCode(goarch: Goarch, words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, w] of words.entries()) view.setUint32(4 * i, w >>> 0, goarch === 'mipsle' || goarch === 'mips64le');
  return bytes;
}

/** A handful of MIPS encodings; registers by number. */
export const mips = {
  nop: 0,
  syscall: 0xc,
  li: (rt: number, value: number): number => 0x2400_0000 | (rt << 16) | (value & 0xffff),
  lui: (rt: number, value: number): number => 0x3c00_0000 | (rt << 16) | (value & 0xffff),
  ori: (rt: number, rs: number, value: number): number => 0x3400_0000 | (rs << 21) | (rt << 16) | (value & 0xffff),
  addiu: (rt: number, rs: number, value: number): number => 0x2400_0000 | (rs << 21) | (rt << 16) | (value & 0xffff),
  lw: (rt: number, offset: number, base: number): number => 0x8c00_0000 | (base << 21) | (rt << 16) | (offset & 0xffff),
  sw: (rt: number, offset: number, base: number): number => 0xac00_0000 | (base << 21) | (rt << 16) | (offset & 0xffff),
  sd: (rt: number, offset: number, base: number): number => 0xfc00_0000 | (base << 21) | (rt << 16) | (offset & 0xffff),
  /** Branch always, by a number of instructions counted from the slot. */
  b: (distance: number): number => 0x1000_0000 | (distance & 0xffff),
  jr: (rs: number): number => (rs << 21) | 8,
  teq: (rs: number, rt: number, code: number): number => (rs << 21) | (rt << 16) | (code << 6) | 0x34,
  break: (code: number): number => (code << 6) | 0xd,
} as const;
