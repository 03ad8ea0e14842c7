import { describe, expect, test } from 'vitest';
import { readBuildInfo } from '../../src/object/buildinfo.ts';
import { ElfError, readElf } from '../../src/object/elf.ts';

/** The smallest executable that is read: one header, one segment that is the whole file. */
function tiny(options: { wide?: boolean; little?: boolean; machine?: number; flags?: number; type?: number } = {}) {
  const { wide = true, little = true, machine = 62, flags = 0, type = 2 } = options;
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, little ? 1 : 2, 1]);
  const u16 = (at: number, v: number) => view.setUint16(at, v, little);
  const u32 = (at: number, v: number) => view.setUint32(at, v, little);
  const word = (at: number, v: number) => (wide ? view.setBigUint64(at, BigInt(v), little) : u32(at, v));
  u16(16, type);
  u16(18, machine);
  word(24, 0x10080);
  word(wide ? 32 : 28, wide ? 64 : 52);
  u32(wide ? 48 : 36, flags);
  u16(wide ? 54 : 42, wide ? 56 : 32);
  u16(wide ? 56 : 44, 1);
  const ph = wide ? 64 : 52;
  u32(ph, 1);
  u32(ph + (wide ? 4 : 24), 5);
  word(ph + (wide ? 16 : 8), 0x10000);
  word(ph + (wide ? 32 : 16), 256);
  word(ph + (wide ? 40 : 20), 256);
  return { bytes, view, ph };
}

describe('which GOARCH an ELF file is for', () => {
  test.each([
    ['amd64', { machine: 62 }],
    ['mips', { wide: false, little: false, machine: 8, flags: 0x50001004 }],
    ['mipsle', { wide: false, little: true, machine: 8, flags: 0x50001004 }],
    ['mips64', { wide: true, little: false, machine: 8, flags: 0x20000004 }],
    ['mips64le', { wide: true, little: true, machine: 8, flags: 0x20000004 }],
  ])('%s', (goarch, options) => {
    const elf = readElf(tiny(options).bytes);
    expect(elf.goarch).toBe(goarch);
    expect(elf.entry).toBe(0x10080);
    expect(elf.loads).toHaveLength(1);
    expect(elf.sections).toEqual([]);
    expect(readBuildInfo(elf)).toBeUndefined();
  });
});

describe('inputs that are refused, each with one line', () => {
  const refused = (bytes: Uint8Array): string => {
    try {
      readElf(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(ElfError);
      const { message } = error as ElfError;
      expect(message).not.toMatch(/\n/);
      return message;
    }
    throw new Error('was accepted');
  };
  const text = (s: string): Uint8Array => new TextEncoder().encode(s);

  test.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /the file is empty/],
    ['a text file', text('hello\n'), /a text file/],
    ['a script', text('#!/bin/sh\n'), /a script/],
    ['a Windows program', text('MZ\0\0\0\0'), /a Windows program/],
    ['a magic alone', text('\x7fELF'), /truncated/],
    ['another machine', tiny({ machine: 183 }).bytes, /a program for arm64; Safepoint runs/],
    ['a relocatable object', tiny({ type: 1 }).bytes, /a relocatable object/],
    ['n32', tiny({ wide: false, machine: 8, flags: 0x20000024 }).bytes, /n32/],
    ['MIPS release 6', tiny({ machine: 8, flags: 0xa0000000 }).bytes, /release 6/],
    ['x32', tiny({ wide: false }).bytes, /x32/],
  ])('%s', (_, bytes, message) => {
    expect(refused(bytes)).toMatch(message);
  });

  test('a dynamically linked program, with the interpreter named', () => {
    const { bytes, view, ph } = tiny();
    view.setUint32(ph, 3, true);
    view.setBigUint64(ph + 8, 200n, true);
    bytes.set(text('/lib/ld.so\0'), 200);
    expect(refused(bytes)).toMatch(/dynamically linked \(it asks for \/lib\/ld\.so\); build a static program/);
  });

  test('a program cut short anywhere', () => {
    const { bytes } = tiny();
    for (let size = 0; size < bytes.length; size++) refused(bytes.subarray(0, size));
  });

  test('an entry point outside the code, and sizes that cannot be', () => {
    const broken = (change: (view: DataView, ph: number) => void): string => {
      const { bytes, view, ph } = tiny();
      change(view, ph);
      return refused(bytes);
    };
    expect(broken((v) => v.setBigUint64(24, 0x999999n, true))).toMatch(/entry point 0x999999/);
    expect(broken((v, ph) => v.setBigUint64(ph + 32, 0xffffffffffffffffn, true))).toMatch(/corrupted/);
    expect(broken((v, ph) => v.setBigUint64(ph + 32, 512n, true))).toMatch(/more bytes in the file than in memory/);
    expect(broken((v) => v.setBigUint64(32, 0xffffffn, true))).toMatch(/truncated/);
    expect(broken((v) => v.setUint16(56, 0, true))).toMatch(/no program headers/);
  });

  test('a byte changed anywhere gives a program or an ElfError, never another error', () => {
    for (const options of [{}, { wide: false, little: false, machine: 8 }]) {
      const { bytes } = tiny(options);
      for (let at = 0; at < 128; at++) {
        for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
          const changed = Uint8Array.from(bytes);
          changed[at] = value;
          try {
            const elf = readElf(changed);
            elf.symbols();
            elf.sectionData('.debug_info');
          } catch (error) {
            expect(error).toBeInstanceOf(ElfError);
          }
        }
      }
    }
  });
});
