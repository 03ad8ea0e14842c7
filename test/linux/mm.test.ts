// The address space: placement, splitting, merging, protection, the heap.

import { beforeEach, describe, expect, test } from 'vitest';
import { GuestFault, Memory } from '../../src/engine/memory.ts';
import { AddressSpace } from '../../src/linux/mm.ts';

const GiB = 2 ** 30;
const TASK_SIZE = 2 ** 47 - 4096;
let memory: Memory;
let mm: AddressSpace;

beforeEach(() => {
  memory = new Memory({ bigEndian: false, limit: TASK_SIZE, size: 2 ** 25 });
  mm = new AddressSpace(memory, TASK_SIZE);
  memory.setSource(mm);
  mm.setLayout(0x500000, 0x7fff_0000_0000);
});

const anonymous = (address: number, length: number, prot = 3, fixed: 'no' | 'replace' | 'free' = 'no') =>
  mm.map({ address, length, prot, fixed });
const ranges = (): number[][] => mm.vmas.map((v) => [v.start, v.end, v.prot]);

describe('mmap', () => {
  test('takes a hint that is free, and goes below mmap_base otherwise', () => {
    expect(anonymous(0xc0_0000_0000, 4096)).toBe(0xc0_0000_0000);
    expect(anonymous(0xc0_0000_0000, 4096)).toBe(0x7fff_0000_0000 - 4096);
    expect(anonymous(0, 8192)).toBe(0x7fff_0000_0000 - 3 * 4096);
  });

  test('reserves gigabytes at the cost of one record', () => {
    anonymous(0xc0_0000_0000, 512 * GiB, 0);
    expect(ranges()).toEqual([[0xc0_0000_0000, 0xc0_0000_0000 + 512 * GiB, 0]]);
    expect(memory.residentBytes).toBe(0);
  });

  test('MAP_FIXED replaces, and what it replaces is gone', () => {
    anonymous(0x10_0000, 0x3000, 3, 'replace');
    memory.writeU32(0x10_1000, 77);
    anonymous(0x10_1000, 0x1000, 1, 'replace');
    expect(ranges()).toEqual([
      [0x10_0000, 0x10_1000, 3],
      [0x10_1000, 0x10_2000, 1],
      [0x10_2000, 0x10_3000, 3],
    ]);
    expect(memory.readU32(0x10_1000)).toBe(0);
  });

  test('MAP_FIXED_NOREPLACE does not', () => {
    anonymous(0x10_0000, 0x3000, 3, 'replace');
    expect(anonymous(0x10_2000, 0x2000, 3, 'free')).toBe('EEXIST');
    expect(anonymous(0x10_3000, 0x2000, 3, 'free')).toBe(0x10_3000);
    expect(ranges()).toEqual([[0x10_0000, 0x10_5000, 3]]);
  });

  test('refuses what lies beyond user space, and the first pages', () => {
    expect(anonymous(TASK_SIZE, 4096, 3, 'replace')).toBe('ENOMEM');
    expect(anonymous(0, 4096, 3, 'replace')).toBe('EPERM');
  });
});

describe('mprotect', () => {
  test('splits, and merges again', () => {
    anonymous(0x10_0000, 0x4000);
    expect(mm.protect(0x10_1000, 0x1000, 1)).toBeUndefined();
    expect(ranges()).toHaveLength(3);
    expect(() => memory.writeU8(0x10_1000, 1)).toThrow(GuestFault);
    expect(mm.protect(0x10_1000, 0x1000, 3)).toBeUndefined();
    expect(ranges()).toEqual([[0x10_0000, 0x10_4000, 3]]);
    memory.writeU8(0x10_1000, 1);
  });

  test('changes what comes before a hole, then fails', () => {
    anonymous(0x10_0000, 0x1000);
    anonymous(0x10_2000, 0x1000);
    expect(mm.protect(0x10_0000, 0x3000, 1)).toBe('ENOMEM');
    expect(ranges()).toEqual([
      [0x10_0000, 0x10_1000, 1],
      [0x10_2000, 0x10_3000, 3],
    ]);
  });
});

test('munmap in the middle leaves both ends, with their contents', () => {
  anonymous(0x10_0000, 0x3000);
  memory.writeU32(0x10_0000, 1);
  memory.writeU32(0x10_1000, 2);
  memory.writeU32(0x10_2000, 3);
  mm.unmap(0x10_1000, 0x1000);
  expect([memory.readU32(0x10_0000), memory.readU32(0x10_2000)]).toEqual([1, 3]);
  expect(() => memory.readU32(0x10_1000)).toThrow(GuestFault);
});

test('MADV_DONTNEED makes pages read as zeros', () => {
  anonymous(0x10_0000, 0x2000);
  memory.writeU32(0x10_0000, 1);
  mm.discard(0x10_0000, 0x1000);
  expect(memory.readU32(0x10_0000)).toBe(0);
});

test('mremap moves contents and protection', () => {
  anonymous(0x10_0000, 0x2000, 3, 'replace');
  anonymous(0x10_2000, 0x1000, 1, 'replace');
  memory.writeU32(0x10_1000, 42);
  expect(mm.remap(0x10_0000, 0x2000, 0x4000, { may: false, to: undefined })).toBe('ENOMEM');
  const at = mm.remap(0x10_0000, 0x2000, 0x4000, { may: true, to: undefined });
  expect(memory.readU32((at as number) + 0x1000)).toBe(42);
  memory.writeU32((at as number) + 0x3000, 1);
  expect(mm.find(0x10_0000)).toBeUndefined();
});

test('brk grows and shrinks the heap, and stays where it cannot', () => {
  expect(mm.setBrk(0)).toBe(0x50_0000);
  expect(mm.setBrk(0x50_2800)).toBe(0x50_2800);
  memory.writeU32(0x50_2000, 5);
  anonymous(0x50_4000, 0x1000, 3, 'replace');
  expect(mm.setBrk(0x50_8000)).toBe(0x50_2800);
  expect(mm.setBrk(0x50_1000)).toBe(0x50_1000);
  expect(() => memory.readU32(0x50_2000)).toThrow(GuestFault);
});

test('restoring brings the mappings of the snapshot back', () => {
  anonymous(0x10_0000, 0x2000);
  const saved = mm.save();
  mm.unmap(0x10_0000, 0x2000);
  mm.restore(saved);
  expect(ranges()).toEqual([[0x10_0000, 0x10_2000, 3]]);
});
