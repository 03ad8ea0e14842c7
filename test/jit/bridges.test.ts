// Bridges: compiled code stops exactly where a budget ends, and goes on from there, without the evaluator.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import type { Machine } from '../../src/engine/machine.ts';
import { CodeDamaged, type CodeImage, type CodeStore } from '../../src/jit/image.ts';
import { bareMachine, countEvaluated, watch, words } from '../support/bare-machine.ts';
import { KeptCode } from '../support/kept-code.ts';
import { differences } from '../support/lockstep.ts';
import { Random } from '../support/random.ts';

const CODE = 0x100000;

const LOOPS = {
  // inc rcx; add rdx, rcx; cmp dl, 5; jne over what follows; xor rdx, rcx; inc rbx; jmp to the first
  amd64: [
    ...[0x48, 0xff, 0xc1, 0x48, 0x01, 0xca, 0x80, 0xfa, 0x05, 0x75, 0x03, 0x48, 0x31, 0xca],
    ...[0x48, 0xff, 0xc3, 0xeb, 0xed],
  ],
  // addiu v0, v0, 1; andi t0, v0, 3; bne t0, zero, to the addiu of v1; addu a0, a0, v0 (its slot); xor a0, a0, t0; addiu v1, v1, 1;
  // bnel t0, zero, to the first; addiu a1, a1, 1 (its slot); b to the first; nop (its slot)
  mips64le: words(
    ...[0x24420001, 0x30480003, 0x15000002, 0x00822021, 0x00882026, 0x24630001, 0x5500fff9, 0x24a50001],
    ...[0x1000fff7, 0x00000000],
  ),
} as const;

const GOARCHES = ['amd64', 'mips64le'] as const;
/** A bridge is made when one was wanted for the second time. */
const AT_ONCE = { bridgeThreshold: 2, exactThreshold: 2, bridgeBatch: 1 };
/** More instructions than a loop has, so that every one of them is stopped at. */
const LONGEST = 23;
const TURNS = 60 * LONGEST;

/** Lets a machine stop everywhere, again and again. */
function stopEverywhere(machine: Machine, each: (budget: number) => void): void {
  const random = new Random(1);
  for (let turn = 0; turn < TURNS; turn++) {
    const budget = 1 + random.below(LONGEST);
    expect(machine.run(budget)).toBe('budget');
    each(budget);
  }
}

test.each(GOARCHES)('%s: wherever a run stops, in a slot as well, the state is the evaluator’s', (goarch) => {
  const isa = isaFor(goarch);
  const compiled = bareMachine(isa, CODE, LOOPS[goarch], [], { policy: AT_ONCE });
  const evaluated = bareMachine(isa, CODE, LOOPS[goarch], [], undefined);
  const inSlots = new Set<number>();
  stopEverywhere(compiled.machine, (budget) => {
    evaluated.machine.run(budget);
    expect(differences(isa, evaluated.machine, compiled.machine)).toEqual([]);
    const { inSlot, pc } = compiled.machine.state;
    if (inSlot) inSlots.add(pc - CODE);
  });
  expect([...inSlots].sort((a, b) => a - b)).toEqual(goarch === 'amd64' ? [] : [12, 28, 36]);
});

test.each(GOARCHES)('%s: the evaluator executes nothing any more but slots that were stopped at', (goarch) => {
  // Nothing is compiled again meanwhile to be fast.
  const policy = { ...AT_ONCE, visits: 1 << 20 };
  const { machine, stats } = bareMachine(isaFor(goarch), CODE, LOOPS[goarch], [], { policy });
  stopEverywhere(machine, () => undefined);
  const { units } = stats();
  const evaluated = countEvaluated(machine);
  let inSlots = 0;
  stopEverywhere(machine, () => {
    if (machine.state.inSlot) inSlots++;
  });
  expect(evaluated()).toBe(inSlots);
  expect(stats().units).toBe(units);
});

test.each(GOARCHES)('%s: without bridges it executes what a budget is too small for, and some more', (goarch) => {
  const { machine } = bareMachine(isaFor(goarch), CODE, LOOPS[goarch], [], {
    policy: { bridgeThreshold: 1e9, exactThreshold: 1e9 },
  });
  stopEverywhere(machine, () => undefined);
  const evaluated = countEvaluated(machine);
  stopEverywhere(machine, () => undefined);
  expect(evaluated()).toBeGreaterThan(TURNS);
});

test.each(GOARCHES)('%s: whoever watches is told of each instruction once, and it is counted once', (goarch) => {
  const [compiled, evaluated] = [{ policy: AT_ONCE }, undefined].map((how) => {
    const { machine, stats } = bareMachine(isaFor(goarch), CODE, LOOPS[goarch], [], how);
    const { told, counted } = watch(machine);
    stopEverywhere(machine, () => undefined);
    machine.settleCounts();
    return { told, counted, units: how && stats().units };
  });
  expect(compiled!.units).toBeGreaterThan(5);
  expect(compiled!.told).toEqual(evaluated!.told);
  expect([...compiled!.counted].sort()).toEqual([...evaluated!.counted].sort());
});

test.each(GOARCHES)('%s: a window still ends the run before a switch point', (goarch) => {
  const isa = isaFor(goarch);
  const compiled = bareMachine(isa, CODE, LOOPS[goarch], [], { policy: AT_ONCE });
  const evaluated = bareMachine(isa, CODE, LOOPS[goarch], [], undefined);
  for (let turn = 0; turn < TURNS; turn++) {
    const budget = 1 + (turn % LONGEST);
    const window = turn % 4;
    for (const { machine } of [compiled, evaluated]) machine.run(budget, window);
    expect(differences(isa, evaluated.machine, compiled.machine)).toEqual([]);
  }
});

/** Runs a machine that is given more whenever its budget has ended, each time after `each` has been told of that budget. */
function goOn(machine: Machine, each: (budget: number) => void): void {
  const random = new Random(2);
  let budget = 1 + random.below(LONGEST);
  let turns = 0;
  const more = (): number => {
    each(budget);
    budget = ++turns < TURNS ? 1 + random.below(LONGEST) : 0;
    return budget;
  };
  expect(machine.run(budget, 0, { more })).toBe('budget');
  expect(turns).toBe(TURNS);
}

/** What an interrupt does that changes nothing. */
function exceptionReturn({ state }: Machine): void {
  if (state.inSlot) state.jump(state.epc);
}

/** Lets a machine go on again and again, sends it elsewhere now and then, and expects the state of one that evaluates whenever it is given more. */
function goOnAsEvaluated(goarch: (typeof GOARCHES)[number], compiled: Machine): void {
  const isa = isaFor(goarch);
  const { machine: evaluated } = bareMachine(isa, CODE, LOOPS[goarch], [], undefined);
  let turn = 0;
  goOn(compiled, (budget) => {
    evaluated.run(budget);
    expect(compiled.instructions).toBe(evaluated.instructions);
    expect(differences(isa, evaluated, compiled)).toEqual([]);
    turn++;
    for (const machine of [compiled, evaluated]) {
      exceptionReturn(machine);
      if (turn % 5 === 0) machine.state.jump(CODE);
    }
  });
}

test.each(GOARCHES)(
  '%s: where a run is given more, the state is the evaluator’s, and control goes where it is sent',
  (goarch) => {
    const { machine } = bareMachine(isaFor(goarch), CODE, LOOPS[goarch], [], { policy: AT_ONCE });
    goOnAsEvaluated(goarch, machine);
  },
);

test.each(GOARCHES)('%s: compiled code goes on by itself wherever it has been interrupted before', (goarch) => {
  const { machine, stats } = bareMachine(isaFor(goarch), CODE, LOOPS[goarch], [], { policy: AT_ONCE });
  for (let i = 0; i < 3; i++) goOn(machine, () => exceptionReturn(machine));
  const { enters } = stats();
  goOn(machine, () => exceptionReturn(machine));
  expect(stats().enters - enters).toBeLessThan(5);
});

test.each(GOARCHES)('%s: by what a run has learnt of interrupted places the next one goes from the start', (goarch) => {
  const isa = isaFor(goarch);
  const store = new KeptCode();
  const started = (from: CodeStore): ReturnType<typeof bareMachine> =>
    bareMachine(isa, CODE, LOOPS[goarch], [], { policy: AT_ONCE, store: from });
  const { machine } = started(store);
  for (let i = 0; i < 3; i++) goOn(machine, () => exceptionReturn(machine));
  machine.keepCode();
  const none = new Int32Array(0);
  const noLinks = { pcs: new Float64Array(0), slots: none };
  const unlearnt = store.with(() => ({ exitPlaces: none, exitDecisions: none, linkedBridges: noLinks }));
  const [enters, without] = [store, unlearnt].map((from) => {
    const next = started(from);
    goOnAsEvaluated(goarch, next.machine);
    return next.stats().enters;
  });
  expect(2 * enters!).toBeLessThan(without!);
});

test.each(GOARCHES)(
  '%s: what was kept of an earlier run is done without where a part of it cannot be read',
  (goarch) => {
    const isa = isaFor(goarch);
    // Each unit is a part.
    const policy = { ...AT_ONCE, packInstructions: 1 };
    const store = new KeptCode();
    const first = bareMachine(isa, CODE, LOOPS[goarch], [], { policy, store }).machine;
    stopEverywhere(first, () => undefined);
    first.keepCode();
    const { modules } = store.image;
    const flushes = modules.map((damaged) => {
      const unreadable = {
        slots: damaged.slots,
        instructions: damaged.instructions,
        native: undefined,
        optimised: false,
        get bytes(): never {
          throw new CodeDamaged('as the test wants it');
        },
      };
      const image = { ...store.image, modules: modules.map((module) => (module === damaged ? unreadable : module)) };
      const load = (): CodeImage => image;
      const { machine, stats } = bareMachine(isa, CODE, LOOPS[goarch], [], {
        policy,
        store: { load, save: () => undefined },
      });
      goOnAsEvaluated(goarch, machine);
      return stats().flushes;
    });
    expect(modules.length).toBeGreaterThan(5);
    expect(flushes).toEqual(modules.map(() => 1));
  },
);

test('a bridge that is too long goes on by another one', () => {
  // inc rcx, many times; jmp to the first
  const many = 220;
  const ROUNDS = 100;
  const code = [...Array.from({ length: many }, () => [0x48, 0xff, 0xc1]).flat(), 0xe9, ...words(-(3 * many + 5))];
  const { machine, stats } = bareMachine(isaFor('amd64'), CODE, code, [], { policy: AT_ONCE });
  let turns = 0;
  // Each round is interrupted near to its beginning.
  const more = (): number => (++turns % ROUNDS === 0 ? 0 : many + 1);
  const run = (): void => {
    expect(machine.run(many + 1, 0, { more })).toBe('budget');
  };
  machine.run(20);
  for (let i = 0; i < 3; i++) run();
  const { enters } = stats();
  expect(enters).toBeGreaterThan(0);
  run();
  expect(stats().enters - enters).toBeLessThan(5);
  expect(machine.state.get(machine.state.register('RCX'))).toBe(BigInt(20 + 4 * ROUNDS * many));
});

test.each(GOARCHES)('%s: it stops at breakpoints that come while it is given more', (goarch) => {
  const { machine } = bareMachine(isaFor(goarch), CODE, LOOPS[goarch], [], { policy: AT_ONCE });
  goOn(machine, () => exceptionReturn(machine));
  let turns = 0;
  const more = (): number => {
    if (++turns === 10) machine.breakpoints = new Set([CODE]);
    return LONGEST;
  };
  expect(machine.run(LONGEST, 0, { more })).toBe('breakpoint');
  expect(machine.state.pc).toBe(CODE);
  expect(turns).toBeLessThan(12);
});

test.each(GOARCHES)('%s: a function is not compiled again for the sake of what it holds', (goarch) => {
  const { machine, stats } = bareMachine(isaFor(goarch), CODE, LOOPS[goarch], [], {
    policy: { threshold: 5, urgent: 5, prunings: 0, bridgeThreshold: 1e9, exactThreshold: 1e9 },
    extents: () => ({ start: CODE, end: CODE + LOOPS[goarch].length }),
  });
  machine.run(20 * LONGEST);
  const { units } = stats();
  expect(units).toBeGreaterThan(0);
  // Within it the evaluator arrives at blocks that are no entries.
  stopEverywhere(machine, () => undefined);
  expect(stats().units).toBe(units);
});

/** Behind the loops: jmp rax; jr t9, and its slot. */
const RETURNS = { amd64: [0xff, 0xe0], mips64le: words(0x03200008, 0x00000000) } as const;
const RETURN_REGISTER = { amd64: 'RAX', mips64le: 'R25' } as const;

test.each(GOARCHES)('%s: what comes back where it was interrupted does not make that an entry', (goarch) => {
  const isa = isaFor(goarch);
  const store = new KeptCode();
  const loop = LOOPS[goarch];
  const { machine } = bareMachine(isa, CODE, [...loop, ...RETURNS[goarch]], [], {
    policy: { ...AT_ONCE, exactThreshold: 1e9, bridgeThreshold: 1e9, jumpThreshold: 2, visits: 1 << 20 },
    extents: (pc) =>
      pc < CODE + loop.length
        ? { start: CODE, end: CODE + loop.length }
        : { start: CODE + loop.length, end: CODE + loop.length + RETURNS[goarch].length },
    store,
  });
  const register = machine.state.register(RETURN_REGISTER[goarch]);
  const interrupted = new Set<number>();
  for (let i = 0; i < 3; i++)
    goOn(machine, () => {
      // Whoever takes the interrupt sends the thread through other code, which returns.
      const { epc } = machine.state;
      if (epc >= CODE + loop.length) return exceptionReturn(machine);
      interrupted.add(epc);
      machine.state.setNumber(register, epc);
      machine.state.jump(CODE + loop.length);
    });
  machine.keepCode();
  expect(interrupted.size).toBeGreaterThan(4);
  const inLoop = [...store.image.entryPcs].filter((pc) => pc < CODE + loop.length);
  expect(inLoop.length).toBeLessThan(interrupted.size / 2 + 1);
});
