// Accesses of two pages at once: the host is asked for a page that has not been accessed, and no more. What has to be aligned faults.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { bareMachine, FORMS } from '../support/bare-machine.ts';

const CODE = 0x100000;
const FROM = 0x200000;
const TO = 0x300000;

// What copies [rsi] to [rdi]; inc rcx and the jump back come behind it.
const COPIES: readonly (readonly [bytes: number, copy: readonly number[]])[] = [
  [2, [0x66, 0x8b, 0x06, 0x66, 0x89, 0x07]],
  [4, [0x8b, 0x06, 0x89, 0x07]],
  [8, [0x48, 0x8b, 0x06, 0x48, 0x89, 0x07]],
  [16, [0x0f, 0x10, 0x06, 0x0f, 0x11, 0x07]],
];

for (const [bytes, copy] of COPIES)
  test.each(FORMS)(`${bytes} bytes, %s`, (_how, visits) => {
    const loop = [...copy, 0x48, 0xff, 0xc1, 0xeb, 0x100 - (copy.length + 5)];
    const data = [FROM, TO].map((at) => ({ at, size: 8192, protection: PROT_READ | PROT_WRITE }));
    const { machine, stats } = bareMachine(isaFor('amd64'), CODE, loop, data, { policy: { visits } });
    const { memory, state } = machine;
    const text = Uint8Array.from({ length: bytes }, (_, i) => 0xa0 + i);
    for (let inFirst = 1; inFirst < bytes; inFirst++) {
      const [from, to] = [FROM + 4096 - inFirst, TO + 4096 - (bytes - inFirst)];
      memory.write(from - 1, Uint8Array.of(1, ...text, 2));
      memory.write(to - 1, new Uint8Array(bytes + 2).fill(3));
      state.set(state.register('RSI'), BigInt(from));
      state.set(state.register('RDI'), BigInt(to));
      machine.run(4000);
      expect([...memory.read(to - 1, bytes + 2)]).toEqual([3, ...text, 3]);
    }
    const { loads, stores } = stats().misses;
    expect(loads + stores).toBeLessThan(10);
    // A snapshot shares the pages: each is copied once.
    const snapshot = memory.snapshot();
    machine.run(4000);
    memory.write(FROM, new Uint8Array(8192));
    machine.run(4000);
    expect(memory.read(Number(state.get(state.register('RDI'))), bytes)).toEqual(new Uint8Array(bytes));
    memory.restore(snapshot);
    expect(memory.read(Number(state.get(state.register('RDI'))), bytes)).toEqual(text);
    const after = stats().misses;
    expect(after.loads + after.stores).toBeLessThan(20);
  });

test.each(FORMS)('16 bytes that have to be aligned, %s', (_how, visits) => {
  // movaps xmm0, [rsi]; inc rcx; jmp to the first
  const loop = [0x0f, 0x28, 0x06, 0x48, 0xff, 0xc1, 0xeb, 0xf8];
  const data = [{ at: FROM, size: 8192, protection: PROT_READ | PROT_WRITE }];
  const { machine } = bareMachine(isaFor('amd64'), CODE, loop, data, { policy: { visits } });
  const { state } = machine;
  for (const at of [FROM + 4080, FROM + 4096]) {
    state.set(state.register('RSI'), BigInt(at));
    expect(machine.run(4000)).toBe('budget');
  }
  state.set(state.register('RSI'), BigInt(FROM + 4088));
  expect(machine.run(4000)).toBe('fault');
  expect(machine.fault.reason).toBe('alignment');
});
