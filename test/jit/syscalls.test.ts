// System calls end compiled code, which executes the instruction itself: what the kernel sees is what the evaluator leaves to it.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import type { Stop } from '../../src/engine/machine.ts';
import { bareMachine, FORMS, watch, words } from '../support/bare-machine.ts';
import { differences } from '../support/lockstep.ts';

const CODE = 0x100000;

const LOOPS = {
  // add eax, 0x7fffffff; syscall; jmp to the first: RCX and R11 are where it returns to, and the flags
  amd64: [0x05, 0xff, 0xff, 0xff, 0x7f, 0x0f, 0x05, 0xeb, 0xf7],
  // addiu v0, v0, 1; syscall; b to the first; addiu v1, v1, 2
  mipsle: words(0x24420001, 0x0000000c, 0x1000fffd, 0x24630002),
  mips64le: words(0x24420001, 0x0000000c, 0x1000fffd, 0x24630002),
} as const;

const GOARCHES = ['amd64', 'mipsle', 'mips64le'] as const;

test.each(GOARCHES.flatMap((goarch) => FORMS.map(([how, visits]) => [goarch, how, visits] as const)))(
  '%s, %s: stops behind the instruction, in the state that the evaluator stops in, whatever the budget',
  (goarch, _how, visits) => {
    const isa = isaFor(goarch);
    const compiled = bareMachine(isa, CODE, LOOPS[goarch], [], { policy: { visits } });
    const evaluated = bareMachine(isa, CODE, LOOPS[goarch], [], undefined);
    const stops = new Set<Stop>();
    for (let turn = 0; turn < 300; turn++) {
      const [stop, wanted] = [compiled, evaluated].map(({ machine }) => machine.run(turn % 7 || 1000));
      expect(stop).toBe(wanted);
      expect(differences(isa, evaluated.machine, compiled.machine)).toEqual([]);
      stops.add(stop!);
    }
    expect(stops).toEqual(new Set<Stop>(['syscall', 'budget']));
    expect(compiled.stats().enters).toBeGreaterThan(100);
  },
);

test.each(GOARCHES)('%s: whoever watches is told of it, and it is counted', (goarch) => {
  const isa = isaFor(goarch);
  const seen = [undefined, { policy: {} }].map((how) => {
    const { machine, stats } = bareMachine(isa, CODE, LOOPS[goarch], [], how);
    const { told, counted } = watch(machine);
    for (let turn = 0; turn < 100; turn++) expect(machine.run(1000)).toBe('syscall');
    machine.settleCounts();
    if (how !== undefined) expect(stats().enters).toBeGreaterThan(50);
    return { told, counted: [...counted].sort(([a], [b]) => a - b) };
  });
  expect(seen[1]).toEqual(seen[0]);
});
