// Threads as plain data: a copy of one keeps its registers, whichever of the two runs on.

import { expect, it } from 'vitest';
import { keepRegisters } from '../../src/linux/task.ts';
import { Guest } from './guest.ts';

/** A thread that has been switched out with a value in R2. */
function switchedOut(value: bigint): Guest {
  const guest = new Guest('mips64le');
  const { state } = guest.kernel.machine;
  state.set(state.register('R2'), value);
  keepRegisters(guest.task, state);
  return guest;
}

const valueIn = ({ kernel }: Guest): bigint => {
  const { state } = kernel.machine;
  state.load(kernel.tasks[0]!.registers);
  return state.get(state.register('R2'));
};

const runOn = ({ kernel }: Guest, value: bigint): void => {
  const { state } = kernel.machine;
  state.set(state.register('R2'), value);
  keepRegisters(kernel.tasks[0]!, state);
};

it('a snapshot has the registers of a thread that has run since', () => {
  const guest = switchedOut(1n);
  const snapshot = guest.kernel.save();
  runOn(guest, 2n);
  expect(valueIn(guest)).toBe(2n);
  guest.kernel.restore(snapshot);
  expect(valueIn(guest)).toBe(1n);
});

it('a snapshot that has been gone back to is good for another time', () => {
  const guest = switchedOut(1n);
  const snapshot = guest.kernel.save();
  for (const value of [2n, 3n]) {
    guest.kernel.restore(snapshot);
    runOn(guest, value);
    runOn(guest, value + 10n);
    expect(valueIn(guest)).toBe(value + 10n);
  }
  guest.kernel.restore(snapshot);
  expect(valueIn(guest)).toBe(1n);
});
