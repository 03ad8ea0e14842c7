// A program that goes wrong dies as on Linux, and the place is named.

import { describe, expect, it } from 'vitest';
import { readElf, Session, type SessionEnd } from '../../src/index.ts';
import { GOARCHES, type Goarch, loadFixture } from '../support/fixtures.ts';

/** The program without Go, with other code at its entry. */
function runWith(goarch: Goarch, code: readonly number[]): { end: SessionEnd; entry: number } {
  const bytes = Uint8Array.from(loadFixture('notgo', goarch, 'none'));
  const { entry, loads } = readElf(bytes);
  const text = loads.find((s) => entry >= s.vaddr && entry < s.vaddr + s.memsz)!;
  bytes.set(code, text.offset + entry - text.vaddr);
  return { end: Session.open(bytes, { path: '/broken', maxInstructions: 100_001 }).run(), entry };
}

const word = (goarch: Goarch, value: number): number[] => {
  const bytes = [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
  return goarch.endsWith('le') ? bytes.reverse() : bytes;
};

/** UD2; a reserved major opcode. */
const illegal = (goarch: Goarch): number[] => (goarch === 'amd64' ? [0x0f, 0x0b] : word(goarch, 0x4c00003f));
/** xor eax,eax; jmp rax. jr zero; nop. */
const toZero = (goarch: Goarch): number[] =>
  goarch === 'amd64' ? [0x31, 0xc0, 0xff, 0xe0] : [...word(goarch, 0x00000008), ...word(goarch, 0)];

describe.each(GOARCHES)('a program for %s', (goarch) => {
  it('that executes what is no instruction is killed by SIGILL there', () => {
    const { end, entry } = runWith(goarch, illegal(goarch));
    expect(end).toMatchObject({ kind: 'signal', status: 128 + 4, name: 'SIGILL' });
    expect(end).toHaveProperty('place', `0x${entry.toString(16)}`);
  });

  it('that jumps to 0 is killed by SIGSEGV at 0', () => {
    const { end } = runWith(goarch, toZero(goarch));
    expect(end).toMatchObject({ kind: 'signal', status: 128 + 11, name: 'SIGSEGV', place: '0x0' });
  });

  it('that never ends is stopped by a limit', () => {
    const loop = goarch === 'amd64' ? [0xeb, 0xfe] : [...word(goarch, 0x1000ffff), ...word(goarch, 0)];
    expect(runWith(goarch, loop).end).toMatchObject({ kind: 'limit', status: 1, instructions: 100_001 });
  });
});
