// Stepping through a process: the same execution as running it.

import { expect, test } from 'vitest';
import { Session } from '../../src/index.ts';
import { QUANTUM } from '../../src/linux/sched.ts';
import type { Task } from '../../src/linux/task.ts';
import { type Goarch, loadFixture } from '../support/fixtures.ts';

const open = (purpose: string, goarch: Goarch, seed = 0): Session =>
  Session.open(loadFixture(purpose, goarch, '1.27'), { path: `/${purpose}`, engine: 'evaluate', seed });

/** Every register, and which thread they are of. */
const stateOf = (session: Session): string =>
  `${session.tid} ${session.machine.instructions} ${Buffer.from(session.machine.state.save()).toString('hex')}`;

// Timers, signals and several threads; faults that become signals.
test.each([
  ['timers', 'amd64'],
  ['panics', 'mips'],
] as const)('%s on %s: single steps are the run, instruction for instruction', (purpose, goarch) => {
  const stepped = open(purpose, goarch);
  const run = open(purpose, goarch);
  const from = 250_000;
  stepped.advance(from);
  run.advance(from);
  for (let at = from; at < from + 150_000; at++) {
    const end = stepped.step();
    if (end !== undefined) {
      expect(run.run()).toEqual(end);
      break;
    }
    // Each step is an instruction: where nothing can run, time skips until something can.
    if (stepped.machine.instructions !== at + 1) expect(stepped.machine.instructions).toBe(at + 1);
    if (at % 997 === 0) {
      run.advance(at + 1);
      expect(stateOf(stepped)).toBe(stateOf(run));
    }
  }
  run.advance(stepped.machine.instructions);
  expect(stateOf(stepped)).toBe(stateOf(run));
  expect(stepped.process.stats.calls).toEqual(run.process.stats.calls);
});

// A loop, and sysmon, which wakes all the time.
test.each([
  [0, 'before branches backwards'],
  [7, 'anywhere'],
])('with seed %i threads change %s', (seed) => {
  const session = open('tightloop', 'mips', seed);
  const { machine, process } = session;
  /** Whether a thread that does not run stands before a branch backwards. */
  const atSwitchPoint = ({ registers }: Task): boolean =>
    machine.code.isSwitchPoint(Buffer.from(registers).readUInt32LE(machine.isa.registers.control.pc.offset));
  session.advance(1_000_000);
  let [there, elsewhere] = [0, 0];
  /** How long those ran that did not wait. */
  const turns: number[] = [];
  while (there + elsewhere < 4 && machine.instructions < 20_000_000) {
    // Far from the end of a quantum threads change only because they wait.
    if (process.kernel.sched.quantumEnd - machine.instructions > QUANTUM / 4)
      session.advance(machine.instructions + QUANTUM / 8);
    const { tid } = session;
    const { switchedIn } = process.kernel.sched;
    session.step();
    const task = process.kernel.task(tid!)!;
    if (session.tid === tid || task.blocked !== undefined) continue;
    turns.push(machine.instructions - switchedIn);
    if (atSwitchPoint(task)) there++;
    else elsewhere++;
  }
  expect(there + elsewhere).toBeGreaterThan(3);
  if (seed === 0) {
    expect(elsewhere).toBe(0);
    // Whoever wakes up meanwhile waits.
    expect(Math.min(...turns)).toBeGreaterThanOrEqual(QUANTUM);
  } else {
    expect(elsewhere).toBeGreaterThan(there);
    expect(Math.min(...turns)).toBeLessThan(QUANTUM);
  }
});

test('the last step says how the program ended, and so does every one after it', () => {
  const session = Session.open(loadFixture('notgo', 'mips', 'none'), { path: '/notgo' });
  let end = session.step();
  for (let i = 0; i < 100 && end === undefined; i++) end = session.step();
  expect(end).toEqual({ kind: 'exit', status: 3 });
  expect(session.step()).toEqual(end);
});
