// Functions that are too large for one unit: compiled in parts, each from where it was arrived at.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { bareMachine, countEvaluated, FORMS, words } from '../support/bare-machine.ts';
import { differences } from '../support/lockstep.ts';

const CODE = 0x100000;
/** Loops, one behind the other, of which each is a block. */
const LOOPS = 40;

const PROGRAMS = {
  // Forty times: inc rcx; test cl, 3; jne to the inc. Then jmp to the first.
  amd64: [
    ...Array.from({ length: LOOPS }, () => [0x48, 0xff, 0xc1, 0xf6, 0xc1, 0x03, 0x75, 0xf8]).flat(),
    ...[0xe9, 0xbb, 0xfe, 0xff, 0xff],
  ],
  // Forty times: addiu v0, v0, 1; andi t0, v0, 3; bne t0, zero, to the first; addiu v1, v1, 1 (its slot). Then b to the first; nop.
  mips64le: words(
    ...Array.from({ length: LOOPS }, () => [0x24420001, 0x30480003, 0x1500fffd, 0x24630001]).flat(),
    ...[0x1000ff5f, 0x00000000],
  ),
} as const;

const GOARCHES = ['amd64', 'mips64le'] as const;
const ONCE_AROUND = 4 * 4 * LOOPS;

/** So that the loops take this many units at least. */
const PARTS = 6;
const TOO_LARGE = [
  ['of too many blocks', { maxBlocks: Math.floor(LOOPS / (PARTS - 1)) }],
  ['of too many operations', { maxOperations: 120 }],
] as const;

test.each(
  GOARCHES.flatMap((goarch) =>
    TOO_LARGE.flatMap(([why, bound]) => FORMS.map(([how, visits]) => [goarch, why, how, visits, bound] as const)),
  ),
)(
  '%s, %s, %s: nothing is left to the evaluator, and the state is the evaluator’s',
  (goarch, _why, _how, visits, bound) => {
    const isa = isaFor(goarch);
    // Nothing is left out for never having been arrived at: without the bound it is all one unit, and what is behind it.
    const policy = { visits, prunings: 0, ...bound };
    const compiled = bareMachine(isa, CODE, PROGRAMS[goarch], [], { policy });
    const evaluated = bareMachine(isa, CODE, PROGRAMS[goarch], [], undefined);
    for (let turn = 0; turn < 20; turn++) {
      for (const { machine } of [compiled, evaluated]) expect(machine.run(ONCE_AROUND)).toBe('budget');
      expect(differences(isa, evaluated.machine, compiled.machine)).toEqual([]);
    }
    expect(compiled.stats().units).toBeGreaterThanOrEqual(PARTS);
    const count = countEvaluated(compiled.machine);
    // From where it stands, perhaps in the middle of a loop, to the next entry. A window ends the run before a branch backwards.
    expect(compiled.machine.run(10 * ONCE_AROUND, ONCE_AROUND)).toBe('budget');
    expect(count()).toBeLessThan(4 * 4);
  },
);

test.each(GOARCHES)('%s: a part that is visited often is made again, to be fast', (goarch) => {
  const isa = isaFor(goarch);
  const policy = { visits: 64, visitedBatch: 1, maxBlocks: 8 };
  const { machine, stats } = bareMachine(isa, CODE, PROGRAMS[goarch], [], { policy });
  machine.run(4 * ONCE_AROUND);
  const { units } = stats();
  machine.run(200 * ONCE_AROUND);
  expect(stats().units).toBeGreaterThan(units);
  const made = stats().units;
  machine.run(200 * ONCE_AROUND);
  expect(stats().units).toBe(made);
});
