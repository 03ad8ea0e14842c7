import { describe, expect, test, vi } from 'vitest';
import { GOARCHES } from '../../src/arch/arch.ts';
import { Inspector } from '../../src/debug/inspection.ts';
import { Gcopystack, Gdead, Gscan, Gwaiting } from '../../src/goruntime/facts/constants.ts';
import { SuspendError } from '../../src/goruntime/suspend.ts';
import { listFixtures } from '../support/fixtures.ts';
import { type Opened, open, runTo } from './sessions.ts';

vi.setConfig({ testTimeout: 120_000 });

const EXIT = { kind: 'exit', status: 0 };
const SPIN = 20_000;

/** g of a goroutine by its number. */
const g = (opened: Opened, goid: number): number => opened.suspender.find(goid)!;

/** Every goroutine that is alive. */
const living = ({ go, session, suspender }: Opened): number[] => {
  const { runtime } = go.preemption;
  const threads = session.threads().map((t) => suspender.getg(t));
  return runtime.goroutines(go.allgs, threads).gs.filter((gp) => !runtime.isDead(gp));
};

describe.each(GOARCHES)('suspendG on %s', (goarch) => {
  test.each(['1.19', '1.27'])('stops a loop without calls, shows its registers, and lets it go (Go %s)', (release) => {
    const opened = open('tightloop', goarch, release);
    const { session, go, suspender } = opened;
    runTo(opened, 'main.spin');
    session.advance(session.machine.instructions + 100);
    const request = suspender.suspendG(g(opened, 1));
    expect(request).toMatchObject({ phase: 'suspended', kind: 'asynchronous', state: { stopped: true, dead: false } });
    expect(request.counts.signals).toBeGreaterThan(0);
    const { runtime } = go.preemption;
    expect(runtime.readgstatus(request.g)).toBe(Gwaiting | Gscan);
    expect([runtime.preempt(request.g), runtime.preemptStop(request.g)]).toEqual([false, false]);

    const inspector = new Inspector(session, go);
    const { from, values } = inspector.registers(request.g);
    expect(from).toBe('asyncPreempt');
    expect(go.program.tables.findfunc(Number(values.get('PC')))?.name).toBe('main.spin');
    const { frames, stop } = inspector.stack(request.g);
    expect(frames.map((f) => f.func.name)).toEqual([
      'runtime.asyncPreempt2',
      ...(frames.length === 7 ? ['runtime.asyncPreempt2'] : []),
      'runtime.asyncPreempt',
      'main.spin',
      'main.main',
      'runtime.main',
      'runtime.goexit',
    ]);
    expect(stop).toBe('complete');

    suspender.resumeG(request);
    expect(session.run()).toEqual(EXIT);
    expect(opened.printed()).toBe(opened.want);
  });
});

describe('suspendG', () => {
  test('the program is not taken for dead while its only goroutine is held, and ends as if undisturbed', () => {
    const opened = open('tightloop', 'mips', '1.27');
    const { session, suspender } = opened;
    runTo(opened, 'main.spin');
    session.advance(session.machine.instructions + 100);
    const request = suspender.suspendG(g(opened, 1));
    // The other goroutine sets the flag and ends; then there is nothing to do but for what is held.
    session.advance(session.machine.instructions + 50 * SPIN);
    expect(opened.printed()).toBe('');
    suspender.resumeG(request);
    expect(session.run()).toEqual(EXIT);
    expect(opened.printed()).toBe(opened.want);
  });

  test('without signals a loop without calls is never stopped, and goes on when the caller gives up', () => {
    const opened = open('tightloop', 'amd64', '1.27', { preemptM: 'off' });
    const { session, suspender } = opened;
    runTo(opened, 'main.spin');
    // Only while it spins: the runtime's own monitor would have the flag set after 10 ms.
    expect(() => suspender.suspendG(g(opened, 1), 3 * SPIN)).toThrow(/did not come to a safe-point/);
    expect(session.run()).toEqual(EXIT);
    expect(opened.printed()).toBe(opened.want);
  });

  test('without signals a goroutine that calls is stopped by the check of a prologue', () => {
    const opened = open('gcheavy', 'mipsle', '1.19', { preemptM: 'off' });
    const { session, suspender, go } = opened;
    runTo(opened, 'main.(*tree).insert');
    const request = suspender.suspendG(g(opened, 1));
    expect(request).toMatchObject({ kind: 'synchronous', state: { stopped: true }, counts: { signals: 0 } });
    const names = new Inspector(session, go).stack(request.g).frames.map((f) => f.func.name);
    expect(names[0]).toMatch(/^(main|runtime)\./);
    expect(names).not.toContain('runtime.asyncPreempt');
    suspender.resumeG(request);
    expect(session.run()).toEqual(EXIT);
    expect(opened.printed()).toBe(opened.want);
  });

  test.each(['host', 'guest'] as const)(
    'stops goroutines while the collector stops them too (%s handler)',
    (preemptM) => {
      const opened = open('gcheavy', 'amd64', '1.27', { cpus: 2, preemptM });
      const { session, suspender } = opened;
      runTo(opened, 'main.main');
      const kinds = new Set<string>();
      let end: ReturnType<typeof session.advance>;
      for (let round = 0; round < 40 && end === undefined; round++) {
        end = session.advance(session.machine.instructions + 60_000);
        if (end !== undefined) break;
        for (const gp of living(opened)) {
          const request = suspender.suspendG(gp);
          kinds.add(request.kind ?? 'dead');
          suspender.resumeG(request);
        }
      }
      expect(end ?? session.run()).toEqual(EXIT);
      expect(opened.printed()).toBe(opened.want);
      expect(kinds).toContain('blocked');
      expect(kinds.has('asynchronous') || kinds.has('synchronous')).toBe(true);
    },
  );

  test('two callers of one goroutine take turns by its scan bit', () => {
    const opened = open('channels', 'mips64', '1.27');
    const { session, suspender } = opened;
    runTo(opened, 'main.squares');
    const gp = g(opened, 1);
    const [first, second] = [suspender.request(gp), suspender.request(gp)];
    suspender.settle([first]);
    expect(first.phase).toBe('suspended');
    session.advance(session.machine.instructions + 2 * SPIN);
    expect(second).toMatchObject({ phase: 'waiting', reason: 'someone else is suspending it' });
    suspender.resumeG(first);
    suspender.settle([second]);
    expect(second.phase).toBe('suspended');
    suspender.resumeG(second);
    expect(() => suspender.resumeG(second)).toThrow(SuspendError);
    expect(session.run()).toEqual(EXIT);
    expect(opened.printed()).toBe(opened.want);
  });

  test('throws what the runtime throws for a status that no goroutine has, and does not touch the dead', () => {
    const opened = open('channels', 'amd64', '1.19');
    const { go, suspender } = opened;
    runTo(opened, 'main.squares');
    const { runtime } = go.preemption;
    const gp = living(opened).find((each) => runtime.readgstatus(each) === Gwaiting)!;
    runtime.setgstatus(gp, 5);
    expect(() => suspender.suspendG(gp)).toThrow(/invalid g status/);
    runtime.setgstatus(gp, Gdead);
    expect(suspender.suspendG(gp)).toMatchObject({ state: { dead: true }, kind: undefined });
    runtime.setgstatus(gp, Gcopystack);
    expect(() => suspender.suspendG(gp, 2 * SPIN)).toThrow(/its stack is being copied/);
    runtime.setgstatus(gp, Gwaiting);
    const request = suspender.suspendG(gp);
    runtime.setgstatus(gp, Gwaiting);
    expect(() => suspender.resumeG(request)).toThrow(/unexpected g status waiting/);
  });

  test('before the runtime has started its monitor, a running goroutine is suspended once it has', () => {
    const opened = open('hello', 'mips', '1.27');
    const { session, suspender } = opened;
    runTo(opened, 'runtime.main');
    expect(session.threads()).toHaveLength(1);
    const request = suspender.suspendG(suspender.getg(session.threads()[0]!));
    expect(session.threads().length).toBeGreaterThan(1);
    suspender.resumeG(request);
    expect(session.run()).toEqual(EXIT);
    expect(opened.printed()).toBe(opened.want);
  });

  test('fixtures are here for every target', () => {
    expect(new Set(listFixtures().map((f) => f.goarch))).toEqual(new Set(GOARCHES));
  });
});
