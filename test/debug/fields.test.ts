// Fields of structures: they are what the memory itself says, wherever the structure is and whatever has become of its page since.

import { beforeEach, describe, expect, test } from 'vitest';
import { archOf } from '../../src/arch/arch.ts';
import type { MachineFields } from '../../src/debug/fields.ts';
import { MachineMemory } from '../../src/debug/view.ts';
import { Memory, PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { GuestReadError } from '../../src/goruntime/view.ts';

const RW = PROT_READ | PROT_WRITE;

describe.each([
  ['amd64', 0xc0_0000_1000, 0xc1_8765_4320],
  ['mips', 0x40_1000, 0x8765_4320],
  ['mipsle', 0x40_1000, 0x8765_4320],
  ['mips64', 0xc0_0000_1000, 0xc1_8765_4320],
  ['mips64le', 0xc0_0000_1000, 0xc1_8765_4320],
] as const)('%s', (goarch, BASE, POINTER) => {
  let memory: Memory;
  let plain: MachineMemory;
  let fields: MachineFields;
  const prot = new Map<number, number>();

  beforeEach(() => {
    const arch = archOf(goarch);
    memory = new Memory({ bigEndian: arch.bigEndian, limit: 2 ** 47, size: 2 ** 24 });
    prot.clear();
    for (const page of [0, 1]) prot.set(BASE + page * 4096, RW);
    memory.setSource({ protectionAt: (address) => prot.get(address - (address % 4096)) ?? -1 });
    plain = new MachineMemory(memory, arch);
    fields = plain.fields();
  });

  test.each([
    ['in one page', BASE],
    ['across two', BASE + 4096 - 16],
    ['not aligned', BASE + 3],
  ])('%s', (_, base) => {
    for (const offset of [0, 8, 16, 24]) {
      plain.writePointer(base + offset, POINTER + offset);
      expect(fields.readPointer(base, offset)).toBe(plain.readPointer(base + offset));
      expect(fields.readU32(base, offset + 4)).toBe(plain.readU32(base + offset + 4));
      for (let i = 0; i < 8; i++) expect(fields.readU8(base, offset + i)).toBe(plain.readU8(base + offset + i));
      fields.writePointer(base, offset, -1314);
      for (let i = 0; i < plain.pointerSize; i++) {
        const byte = plain.bigEndian ? plain.pointerSize - 1 - i : i;
        expect(plain.readU8(base + offset + i)).toBe(Number((-1314n >> BigInt(8 * byte)) & 0xffn));
      }
      fields.writeU32(base, offset, 0x8123_4567);
      expect(plain.readU32(base + offset)).toBe(0x8123_4567);
      fields.writeU8(base, offset + 5, 0x9a);
      expect(plain.readU8(base + offset + 5)).toBe(0x9a);
    }
  });

  test('an offset that is not aligned', () => {
    plain.writePointer(BASE + 4, POINTER);
    expect(fields.readPointer(BASE, 4)).toBe(POINTER);
    expect(fields.readU32(BASE, 2)).toBe(plain.readU32(BASE + 2));
  });

  test('a page that is written for the first time, copied for a snapshot, put back, and given back', () => {
    expect(fields.readU32(BASE, 8)).toBe(0);
    memory.writeU32(BASE + 8, 1);
    expect(fields.readU32(BASE, 8)).toBe(1);
    fields.writeU32(BASE, 8, 2);
    const snapshot = memory.snapshot();
    fields.writeU32(BASE, 8, 3);
    expect(memory.readU32(BASE + 8)).toBe(3);
    memory.restore(snapshot);
    expect(fields.readU32(BASE, 8)).toBe(2);
    fields.writeU32(BASE, 8, 4);
    memory.restore(snapshot);
    expect(fields.readU32(BASE, 8)).toBe(2);
    memory.discard(BASE, 4096);
    expect(fields.readU32(BASE, 8)).toBe(0);
  });

  test('two structures in turn, while the pages of either become others', () => {
    const [one, two] = [BASE + 64, BASE + 4096];
    // The one that was asked for before the last one first: it is remembered as well.
    const both = (): number[] => [two, one].map((base) => fields.readU32(base, 8));
    expect(both()).toEqual([0, 0]);
    fields.writeU32(two, 8, 2);
    fields.writeU32(one, 8, 1);
    expect(both()).toEqual([2, 1]);
    const snapshot = memory.snapshot();
    fields.writeU32(two, 8, 3);
    fields.writeU32(one, 8, 4);
    expect(both()).toEqual([3, 4]);
    memory.restore(snapshot);
    expect(both()).toEqual([2, 1]);
    memory.discard(two, 4096);
    expect(both()).toEqual([0, 1]);
    fields.writeU8(two, 8, 5);
    expect([plain.readU8(two + 8), plain.readU32(one + 8)]).toEqual([5, 1]);
  });

  test('what is nowhere, or may not be written, is said as the memory says it', () => {
    const nowhere = BASE + 0x10000;
    expect(() => fields.readU32(nowhere, 8)).toThrow(new GuestReadError(nowhere + 8));
    prot.set(nowhere, PROT_READ);
    expect(fields.readU32(nowhere, 8)).toBe(0);
    expect(() => fields.writeU32(nowhere, 8, 1)).toThrow(new GuestReadError(nowhere + 8, 'write'));
    expect(fields.readU32(nowhere, 8)).toBe(0);
    prot.delete(nowhere);
    memory.discard(nowhere, 4096);
    expect(() => fields.readPointer(nowhere, 16)).toThrow(new GuestReadError(nowhere + 16));
  });
});
