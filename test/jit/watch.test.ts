// What is compiled in besides executing: it must be what the evaluator does, to the instruction.

import { describe, expect, test } from 'vitest';
import { InstructionCounts } from '../../src/debug/profile.ts';
import { parseSchedule, Session, type SessionOptions } from '../../src/index.ts';
import { fixtureSpec, type Goarch, loadFixture } from '../support/fixtures.ts';

const LIMIT = 6_000_000;
const ENGINES = ['evaluate', 'compile'] as const;

function opened(goarch: Goarch, engine: (typeof ENGINES)[number], options: Partial<SessionOptions> = {}): Session {
  const { args } = fixtureSpec('mapstrings');
  return Session.open(loadFixture('mapstrings', goarch, '1.27'), {
    path: '/mapstrings',
    args,
    stdout: () => {},
    hostTimes: true,
    maxInstructions: LIMIT,
    engine,
    ...options,
  });
}

/** What both engines make of it; the compiler has to have done something. */
function both<T>(
  goarch: Goarch,
  options: Partial<SessionOptions>,
  look: (session: Session) => T,
): readonly [evaluated: T, compiled: T] {
  const [evaluated, compiled] = ENGINES.map((engine) => {
    const session = opened(goarch, engine, options);
    const seen = look(session);
    const { host } = session.stats({ kind: 'exit', status: 0 }, 0);
    if (engine === 'compile') expect(host!.functions).toBeGreaterThan(20);
    return seen;
  });
  return [evaluated!, compiled!];
}

describe.each(['amd64', 'mips', 'mips64le'] as const)('compiled code for %s', (goarch) => {
  test('counts every instruction as often as the evaluator does', () => {
    const [evaluated, compiled] = both(goarch, {}, (session) => {
      const { machine } = session;
      const counts = new InstructionCounts(() => machine.instructions);
      machine.counter = counts;
      session.run();
      machine.settleCounts();
      let total = 0;
      for (const [, count] of counts.entries()) total += count;
      expect(total).toBe(machine.instructions);
      return new Map(counts.entries());
    });
    expect(compiled).toEqual(evaluated);
  });

  test('goes on as it should when an observer looks at the registers, current or not', () => {
    const [evaluated, compiled] = both(goarch, {}, (session) => {
      const { machine } = session;
      machine.observer = () => machine.state.save();
      session.advance(1_000_000);
      machine.observer = undefined;
      const { all, control } = machine.isa.registers;
      // What is pending means nothing outside of a delay slot.
      const known = all.filter((r) => r !== control.pending || machine.state.inSlot);
      return known.map((r) => `${r.name} ${machine.state.get(r)}`);
    });
    expect(compiled).toEqual(evaluated);
  });

  test('tells an observer of the same instructions in the same order', () => {
    const [evaluated, compiled] = both(goarch, { traceHash: true }, (session) => {
      const end = session.run();
      return session.stats(end, 0).traceHash;
    });
    expect(compiled).toBe(evaluated);
  });

  test('stops at breakpoints, wherever they are and whenever they come', () => {
    const [evaluated, compiled] = both(goarch, {}, (session) => {
      const { machine } = session;
      const stops: string[] = [];
      const { tables } = session.go!.program;
      const inside = tables.funcsNamed('runtime.mallocgc')[0]!;
      machine.breakpoints = new Set(session.locate('runtime.memhash32'));
      for (let i = 0; i < 400; i++) {
        if (i === 100) machine.breakpoints = new Set([...session.locate('runtime.mallocgc'), inside.entry + 64]);
        if (i === 200) machine.breakpoints = { has: (pc) => pc >= inside.entry && pc < inside.end };
        if (i === 300) machine.breakpoints = undefined;
        const end = session.advance(machine.instructions + (i < 300 ? 50_000 : 1_009));
        if (end !== undefined) break;
        const { pc, inSlot } = machine.state;
        stops.push(`${machine.instructions} ${pc.toString(16)} ${inSlot}`);
      }
      session.advance(LIMIT - 1);
      return stops;
    });
    expect(compiled).toEqual(evaluated);
    expect(new Set(compiled.map((s) => s.split(' ')[1])).size).toBeGreaterThan(20);
  });

  test.skipIf(goarch === 'amd64')('stops in the slot of every call', () => {
    const schedule = parseSchedule('half-call');
    const [evaluated, compiled] = both(goarch, { schedule }, (session) => {
      const end = session.run();
      return session.stats(end, 0).interrupts;
    });
    expect(compiled).toEqual(evaluated);
    expect(compiled.delivered).toBeGreaterThan(1000);
  });
});
