// Pages that share an entry of the first TLB: both are found without the host, in code that is fast and in code that is short, and the
// first one has the one that was accessed last.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { PAGE_SIZE, TLB, TLB_ENTRIES, TLB_ENTRY, TLB_READ } from '../../src/engine/layout.ts';
import { PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { bareMachine, FORMS } from '../support/bare-machine.ts';

const CODE = 0x100000;
const ONE = 0x200000;
const OTHER = ONE + TLB_ENTRIES * 4096;
// mov eax, [rsi]; add [rdi], eax; inc rcx; jmp to the first
const LOOP = [0x8b, 0x06, 0x01, 0x07, 0x48, 0xff, 0xc1, 0xeb, 0xf7];

function looping(visits: number): ReturnType<typeof bareMachine> {
  const data = [ONE, OTHER].map((at) => ({ at, size: 4096, protection: PROT_READ | PROT_WRITE }));
  return bareMachine(isaFor('amd64'), CODE, LOOP, data, { policy: { visits } });
}

test.each(FORMS)('%s', (_how, visits) => {
  const { machine, stats } = looping(visits);
  const { memory, state } = machine;
  memory.writeU32(ONE, 3);
  state.set(state.register('RSI'), BigInt(ONE));
  state.set(state.register('RDI'), BigInt(OTHER));
  machine.run(40_000);
  expect(memory.readU32(OTHER)).toBe(30_000);
  const { loads, stores } = stats().misses;
  expect(loads + stores).toBeLessThan(10);
  // A snapshot shares both pages: they are copied once, and found again.
  const snapshot = memory.snapshot();
  machine.run(40_000);
  expect(memory.readU32(OTHER)).toBe(60_000);
  memory.restore(snapshot);
  expect(memory.readU32(OTHER)).toBe(30_000);
  expect(stats().misses.loads + stats().misses.stores).toBeLessThan(20);
});

test.each(FORMS)('%s: who comes back is in the first one again', (_how, visits) => {
  const { machine, stats } = looping(visits);
  const { memory, state } = machine;
  const first = (): number => memory.i32[(TLB + ((ONE / PAGE_SIZE) % TLB_ENTRIES) * TLB_ENTRY + TLB_READ) >>> 2]!;
  for (const page of [ONE, OTHER, ONE, OTHER]) {
    for (const register of ['RSI', 'RDI']) state.set(state.register(register), BigInt(page));
    machine.run(4000);
    expect(first()).toBe(page);
  }
  const { loads, stores } = stats().misses;
  expect(loads + stores).toBeLessThan(10);
});
