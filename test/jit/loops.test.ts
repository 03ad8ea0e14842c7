// Loops: the budget is asked for on all ways to their heads, and the run stops at exactly that instruction.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { bareMachine, FORMS, words } from '../support/bare-machine.ts';
import { differences } from '../support/lockstep.ts';

const CODE = 0x100000;

const LOOPS = {
  // inc rcx; inc rdx; cmp dl, 5; jne to the second; sub rdx, 3; cmp rcx, 7; jne to the first; xor ecx, ecx; jmp to the first
  'amd64: one in the other, with flags from turn to turn': {
    goarch: 'amd64',
    code: [
      ...[0x48, 0xff, 0xc1, 0x48, 0xff, 0xc2, 0x80, 0xfa, 0x05, 0x75, 0xf8],
      ...[0x48, 0x83, 0xea, 0x03, 0x48, 0x83, 0xf9, 0x07, 0x75, 0xeb, 0x31, 0xc9, 0xeb, 0xe7],
    ],
  },
  // addiu v0, v0, 1; andi t0, v0, 1; bnel t0, zero, to the last but one; addiu v1, v1, 1 (its slot, which alone sets v1);
  // addiu a1, a1, 1; andi at, a1, 3; bne at, zero, two back; nop; jr ra, which is the first; nop
  'mips64le: one behind a branch that may skip its slot': {
    goarch: 'mips64le',
    code: words(
      ...[0x24420001, 0x30480001, 0x55000005, 0x24630001],
      ...[0x24a50001, 0x30a10003, 0x1420fffd, 0x00000000, 0x03e00008, 0x00000000],
    ),
  },
} as const;

test.each(
  (Object.keys(LOOPS) as (keyof typeof LOOPS)[]).flatMap((name) =>
    FORMS.map(([how, visits]) => [name, how, visits] as const),
  ),
)('%s, %s', (name, _how, visits) => {
  const { goarch, code } = LOOPS[name];
  const isa = isaFor(goarch);
  const compiled = bareMachine(isa, CODE, code, [], { policy: { visits } });
  const evaluated = bareMachine(isa, CODE, code, [], undefined);
  if (goarch === 'mips64le') {
    for (const { state } of [compiled.machine, evaluated.machine]) {
      state.set(state.register('R31'), BigInt(CODE));
      // The inner loop first: what was never executed is not compiled along.
      state.set(state.register('R2'), 1n);
    }
  }
  for (let turn = 0; turn < 400; turn++) {
    // Long ones for the compiler, and every short one in turn.
    const budget = turn % 3 === 0 ? 500 : 1 + (turn % 67);
    for (const { machine } of [compiled, evaluated]) expect(machine.run(budget)).toBe('budget');
    expect(differences(isa, evaluated.machine, compiled.machine)).toEqual([]);
  }
  expect(compiled.stats().enters).toBeGreaterThan(100);
});
