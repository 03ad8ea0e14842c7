import { describe, expect, test } from 'vitest';
import {
  Gcopystack,
  Gdead,
  Gdeadextra,
  Gleaked,
  Gpreempted,
  Grunnable,
  Grunning,
  Gscan,
  Gsyscall,
  Gwaiting,
} from '../../src/goruntime/facts/constants.ts';
import { resumeG, SuspendError, Suspension } from '../../src/goruntime/suspend.ts';
import { cells, open } from './programs.ts';
import { G, M, running, STACK } from './running.ts';

describe.each(cells())('suspendG for $goarch, Go $release', (cell) => {
  const at = (status: number) => {
    const program = open(cell);
    const { model, memory } = running(program);
    model.runtime.setgstatus(G, status);
    return { program, model, memory, runtime: model.runtime };
  };

  test.each([Grunnable, Gsyscall, Gwaiting])('claims a goroutine in status %i and lets it go', (status) => {
    const { model, memory, runtime, program } = at(status);
    model.requestPreempt(G);
    const step = new Suspension(model, G).step(0);
    expect(step).toEqual({ kind: 'suspended', state: { g: G, dead: false, stopped: false } });
    expect(runtime.readgstatus(G)).toBe(status | Gscan);
    expect(runtime.preempt(G)).toBe(false);
    expect(memory.readPointer(G + program.offsets.g.stackguard0)).toBe(STACK + 928);
    expect(resumeG(model, { g: G, dead: false, stopped: false })).toBe(false);
    expect(runtime.readgstatus(G)).toBe(status);
  });

  test('takes a preempted one to waiting, and asks for it to be readied', () => {
    const { model, runtime } = at(Gpreempted);
    const step = new Suspension(model, G).step(0);
    expect(step).toMatchObject({ kind: 'suspended', state: { stopped: true } });
    expect(runtime.readgstatus(G)).toBe(Gwaiting | Gscan);
    expect(resumeG(model, { g: G, dead: false, stopped: true })).toBe(true);
    expect(runtime.readgstatus(G)).toBe(Gwaiting);
  });

  test('does not suspend the dead, and waits for a copied stack and for other callers', () => {
    expect(new Suspension(at(Gdead).model, G).step(0)).toMatchObject({ kind: 'suspended', state: { dead: true } });
    expect(new Suspension(at(Gcopystack).model, G).step(0)).toMatchObject({ kind: 'wait', preemptM: undefined });
    const { model, runtime } = at(Gwaiting);
    const [first, second] = [new Suspension(model, G), new Suspension(model, G)];
    expect(first.step(0).kind).toBe('suspended');
    expect(second.step(0)).toMatchObject({ kind: 'wait', reason: /someone else/ });
    resumeG(model, { g: G, dead: false, stopped: false });
    expect(second.step(0).kind).toBe('suspended');
    expect(runtime.readgstatus(G)).toBe(Gwaiting | Gscan);
  });

  test('leaked and dead extra goroutines exist from Go 1.26 on', () => {
    const has = open(cell).release.minor >= 26;
    for (const status of [Gleaked, Gdeadextra]) {
      const { model } = at(status);
      if (has) expect(new Suspension(model, G).step(0).kind).toBe('suspended');
      else expect(() => new Suspension(model, G).step(0)).toThrow(SuspendError);
    }
    expect(() => new Suspension(at(5).model, G).step(0)).toThrow(/invalid g status/);
    expect(() => resumeG(at(Grunning).model, { g: G, dead: false, stopped: false })).toThrow(
      /unexpected g status running/,
    );
  });

  test('signals a running one once for each M and preemptGen, and not oftener than every 5 microseconds', () => {
    const { model, runtime } = at(Grunning);
    const suspension = new Suspension(model, G);
    expect(suspension.step(0)).toMatchObject({ kind: 'wait', preemptM: M, until: 10_000 });
    expect([runtime.preemptStop(G), runtime.preempt(G), runtime.stackguardIsPoisoned(G)]).toEqual([true, true, true]);
    expect(suspension.step(1_000)).toMatchObject({ kind: 'wait', preemptM: undefined, reason: /pending/ });
    runtime.setPreemptGen(M, 1);
    expect(suspension.step(2_000)).toMatchObject({ kind: 'wait', preemptM: undefined });
    runtime.setPreemptGen(M, 2);
    expect(suspension.step(6_000)).toMatchObject({ kind: 'wait', preemptM: M });
    expect(suspension.step(10_000)).toMatchObject({ kind: 'wait', until: 15_000 });
  });
});
