// Functions whose code is short at first, and that become fast when control comes by often.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import type { Machine } from '../../src/engine/machine.ts';
import { bareMachine } from '../support/bare-machine.ts';

const CODE = 0x100000;
// inc rax; jmp to it
const LOOP = [0x48, 0xff, 0xc0, 0xeb, 0xfb];

function looping(visits: number): ReturnType<typeof bareMachine> {
  const bare = bareMachine(isaFor('amd64'), CODE, LOOP, [], { policy: { visits } });
  bare.machine.run(20);
  return bare;
}

const rax = ({ state }: Machine): number => state.getNumber(state.register('RAX'));

test('what turns a few times stays short', () => {
  const { machine, stats } = looping(64);
  for (let i = 0; i < 6; i++) machine.run(100);
  expect(stats().units).toBe(1);
  expect(rax(machine)).toBe(310);
});

test('what turns often is compiled again, once, and goes on where it was', () => {
  const { machine, stats } = looping(64);
  for (let i = 0; i < 100; i++) machine.run(100);
  expect(stats().units).toBe(2);
  expect(rax(machine)).toBe(5010);
});

test('with no visits to wait for, all code is fast at once', () => {
  const { machine, stats } = looping(0);
  for (let i = 0; i < 100; i++) machine.run(100);
  expect(stats().units).toBe(1);
  expect(rax(machine)).toBe(5010);
});
