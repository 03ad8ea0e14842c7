import { beforeEach, describe, expect, it } from 'vitest';
import { GuestFault, Memory, PROT_EXEC, PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';

const RW = PROT_READ | PROT_WRITE;

function make(bigEndian = false): { memory: Memory; prot: Map<number, number> } {
  const memory = new Memory({ bigEndian, limit: 2 ** 47, size: 2 ** 24 });
  const prot = new Map<number, number>();
  memory.setSource({ protectionAt: (address) => prot.get(Math.floor(address / 4096)) ?? -1 });
  return { memory, prot };
}

const page = (n: number): number => n * 4096;

describe.each([false, true])('memory, big-endian %s', (bigEndian) => {
  let memory: Memory;
  let prot: Map<number, number>;
  beforeEach(() => {
    ({ memory, prot } = make(bigEndian));
    for (let i = 1; i <= 4; i++) prot.set(i, RW);
  });

  it('reads zeros from a page never written, without a frame of its own', () => {
    expect(memory.readU64(page(1))).toBe(0n);
    expect(memory.residentBytes).toBe(0);
  });

  it('reads in the guest byte order what was written as bytes', () => {
    memory.write(page(1) + 3, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    expect(memory.readU32(page(1) + 3)).toBe(bigEndian ? 0x01020304 : 0x04030201);
    expect(memory.readU64(page(1) + 3)).toBe(bigEndian ? 0x0102030405060708n : 0x0807060504030201n);
    expect(memory.readU16(page(1) + 4)).toBe(bigEndian ? 0x0203 : 0x0302);
  });

  it.each([0, 3, 4])('writes 64 bits in the guest byte order, %i bytes into a word', (offset) => {
    const at = page(1) + 8 + offset;
    memory.writeU64(at, 0xf102030405060708n);
    const bytes = [0xf1, 2, 3, 4, 5, 6, 7, 8];
    expect([...memory.read(at, 8)]).toEqual(bigEndian ? bytes : bytes.reverse());
    expect(memory.readU64(at)).toBe(0xf102030405060708n);
    memory.writeU64(at, -1n);
    expect(memory.readU64(at)).toBe(2n ** 64n - 1n);
    expect([memory.readU8(at - 1), memory.readU8(at + 8)]).toEqual([0, 0]);
  });

  it('copies across page boundaries', () => {
    const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i & 0xff);
    memory.write(page(1) + 100, bytes);
    expect(memory.read(page(1) + 100, 5000)).toEqual(bytes);
  });

  it('copies any number of bytes to and from any place, and touches no others', () => {
    const pattern = Uint8Array.from({ length: 40 }, (_, i) => 0x80 + i);
    for (let offset = 0; offset < 9; offset++) {
      for (let length = 0; length < 20; length++) {
        const around = new Uint8Array(48).fill(0xee);
        memory.write(page(1), around);
        // A part of a larger array: what is copied does not begin where its buffer does.
        memory.write(page(1) + 8 + offset, pattern.subarray(3, 3 + length));
        around.set(pattern.subarray(3, 3 + length), 8 + offset);
        expect(Array.from(around, (_, i) => memory.readU8(page(1) + i))).toEqual([...around]);
        expect(memory.read(page(1) + offset, 40)).toEqual(around.subarray(offset, offset + 40));
      }
    }
  });

  it('faults where nothing is mapped, where the mapping forbids it, and beyond user space', () => {
    prot.set(2, PROT_READ);
    const reason = (f: () => unknown): string => {
      try {
        f();
      } catch (error) {
        return error instanceof GuestFault ? error.reason : String(error);
      }
      return 'none';
    };
    expect(reason(() => memory.readU8(page(9)))).toBe('unmapped');
    expect(reason(() => memory.writeU8(page(2), 1))).toBe('protection');
    expect(reason(() => memory.readU8(2 ** 47))).toBe('range');
  });

  it('restores what a snapshot saw, as often as wanted, and counts only pages written since', () => {
    memory.writeU32(page(1), 11);
    memory.writeU32(page(2), 22);
    const snapshot = memory.snapshot();
    for (let round = 0; round < 3; round++) {
      memory.writeU32(page(1), 100 + round);
      memory.writeU32(page(3), 200 + round);
      memory.discard(page(2), 4096);
      expect(memory.readU32(page(2))).toBe(0);
      memory.restore(snapshot);
      expect([1, 2, 3].map((n) => memory.readU32(page(n)))).toEqual([11, 22, 0]);
      expect(memory.residentBytes).toBe(2 * 4096);
    }
  });

  it('nests snapshots, and frees what a dropped one alone needed', () => {
    memory.writeU32(page(1), 1);
    const first = memory.snapshot();
    memory.writeU32(page(1), 2);
    const second = memory.snapshot();
    memory.writeU32(page(1), 3);
    memory.restore(second);
    expect(memory.readU32(page(1))).toBe(2);
    memory.writeU32(page(1), 4);
    memory.drop(second);
    expect(memory.readU32(page(1))).toBe(4);
    memory.restore(first);
    expect(memory.readU32(page(1))).toBe(1);
    memory.drop(first);
    memory.writeU32(page(1), 5);
    expect(memory.residentBytes).toBe(4096);
  });

  describe('a page that begins with contents', () => {
    const contents = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    let told: number[];
    beforeEach(() => {
      told = [];
      prot.set(7, RW | PROT_EXEC);
      memory.setSource({
        protectionAt: (address) => prot.get(Math.floor(address / 4096)) ?? -1,
        contentsAt: (at) => (at === page(7) ? contents : undefined),
      });
      memory.setCodeListener((changed) => told.push(changed));
    });

    it('has them, and zeros behind them, whoever accesses it first', () => {
      expect(memory.residentBytes).toBe(0);
      expect([...memory.read(page(7), 9)]).toEqual([...contents, 0]);
      memory.discard(page(7), 4096);
      memory.write(page(7) + 2, Uint8Array.of(0xff), true);
      expect([...memory.read(page(7), 9)]).toEqual([1, 2, 0xff, 4, 5, 6, 7, 8, 0]);
      expect([...contents]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    });

    it('has them again after it was written and a snapshot restored, and after it was discarded', () => {
      const snapshot = memory.snapshot();
      memory.writeU8(page(7), 0xee);
      memory.restore(snapshot);
      expect(memory.readU8(page(7))).toBe(1);
      memory.writeU8(page(7), 0xdd);
      memory.discard(page(7), 4096);
      expect(memory.readU8(page(7))).toBe(1);
    });

    it('keeps the code that came from it since a snapshot when that is restored, unless it was written', () => {
      const snapshot = memory.snapshot();
      expect([...memory.codePage(page(7)).subarray(0, 8)]).toEqual([...contents]);
      memory.restore(snapshot);
      expect(memory.holdsCode(page(7))).toBe(true);
      expect(told).toEqual([]);
      memory.writeU8(page(7), 0xee);
      expect(told).toEqual([7]);
      memory.restore(snapshot);
      expect(memory.readU8(page(7))).toBe(1);
    });

    it('need not be present for code that was compiled from it, and tells of changes all the same', () => {
      const whole = new Uint8Array(4096).fill(0x90);
      for (const n of [8, 9]) prot.set(n, RW | PROT_EXEC);
      memory.setSource({
        protectionAt: (address) => prot.get(Math.floor(address / 4096)) ?? -1,
        contentsAt: (at) => (at === page(8) || at === page(9) ? whole : undefined),
      });
      expect(memory.compiledPage(page(8))).toBe(whole);
      expect(memory.compiledPage(page(9))).toBe(whole);
      expect(memory.present(page(8))).toBe(false);
      expect(memory.readU8(page(8))).toBe(0x90);
      expect(told).toEqual([]);
      memory.writeU8(page(8), 1);
      expect(told).toEqual([8]);
      memory.discard(page(9), 4096);
      expect(told).toEqual([8, 9]);
    });

    it('has the protection that it had, when a snapshot is restored', () => {
      const snapshot = memory.snapshot();
      prot.set(7, PROT_READ);
      memory.readU8(page(7));
      prot.set(7, RW);
      memory.restore(snapshot);
      memory.writeU8(page(7), 9);
      expect(memory.readU8(page(7))).toBe(9);
    });
  });

  it('hands out frames that were freed as zeros', () => {
    memory.writeU32(page(1), 0xffffffff);
    memory.discard(page(1), 4096);
    memory.writeU8(page(2), 1);
    expect(memory.readU32(page(2) + 4)).toBe(0);
  });

  it('tells the listener when a page of decoded code is written', () => {
    prot.set(4, RW | PROT_EXEC);
    memory.write(page(4), Uint8Array.of(1, 2, 3));
    const seen: number[] = [];
    memory.setCodeListener((n) => seen.push(n));
    expect([...memory.codePage(page(4)).subarray(0, 3)]).toEqual([1, 2, 3]);
    memory.writeU8(page(4) + 1, 9);
    expect(seen).toEqual([4]);
    expect([...memory.codePage(page(4)).subarray(0, 3)]).toEqual([1, 9, 3]);
  });
});
