// The guest is the judge: our verdicts against runtime.isAsyncSafePoint of real programs; and that a wrong model is found out.

import { describe, expect, it } from 'vitest';
import { GuestCaller } from '../../src/debug/guest-call.ts';
import { agrees, mergeReports } from '../../src/debug/verify.ts';
import { type CheckId, type Func, Session, type VerifyReport, verify } from '../../src/index.ts';
import { fixtureSpec, GOARCHES, type Goarch, loadFixture } from '../support/fixtures.ts';
import { sampled } from '../support/long.ts';

/** Everything may be evaluated, an instruction at a time. */
const timeout = 120_000;

interface Asked {
  readonly rules?: string;
  readonly without?: ReadonlySet<CheckId>;
  readonly sample?: number;
  readonly functions?: RegExp;
}

function open(goarch: Goarch, release: string, options: Asked = {}, purpose = 'hello'): Session {
  const { rules, without } = options;
  return Session.open(loadFixture(purpose, goarch, release), {
    path: `/${purpose}`,
    ...(rules === undefined ? {} : { rules }),
    ...(without === undefined ? {} : { without }),
  });
}

const functionsOf = (session: Session, pattern: RegExp): Func[] =>
  [...session.go!.program.tables.funcs()].filter((f) => pattern.test(f.name));

function ask(goarch: Goarch, release: string, options: Asked): VerifyReport {
  const session = open(goarch, release, options);
  const { sample, functions } = options;
  return verify(session, {
    ...(sample === undefined ? {} : { sample }),
    ...(functions === undefined ? {} : { functions: functionsOf(session, functions) }),
  });
}

const cells = GOARCHES.flatMap((goarch) => ['1.19', '1.27'].map((release) => ({ goarch, release })));

describe.each(sampled(cells, 3, 1))('$goarch, Go $release', { timeout }, ({ goarch, release }) => {
  it('agrees with the runtime of the program', () => {
    const report = ask(goarch, release, { sample: 60 });
    const { live, findfunc, funcname, funcMaxSPDelta, funcline, asyncPreemptStack } = report;
    for (const { disagreed } of [report, live, findfunc, funcname, funcMaxSPDelta, funcline])
      expect(disagreed).toEqual([]);
    expect(agrees(report)).toBe(true);
    expect(report.pcs).toBe(60);
    expect(report.agreed).toBe(60);
    for (const { compared } of [live, findfunc, funcname, funcMaxSPDelta, funcline])
      expect(compared).toBeGreaterThan(0);
    expect(asyncPreemptStack.theirs).toBe(asyncPreemptStack.ours);
    expect(report.totals.safe).toBeGreaterThan(0);
    expect(report.totals.unsafe).toBeGreaterThan(0);
  });
});

describe('shares of a verification', { timeout }, () => {
  it('make together what the whole is, in the same order, and are told apart by how far they are', () => {
    const asked = { rules: 'seed', functions: /^main\./ };
    const whole = ask('mips', '1.27', asked);
    expect(whole.disagreed.length).toBeGreaterThan(0);
    const parts = [0, 1].map((index) => {
      const session = open('mips', '1.27', asked);
      let last = { done: -1, total: 0 };
      const report = verify(session, {
        functions: functionsOf(session, asked.functions),
        share: { index, of: 2 },
        onProgress: (done, total) => {
          expect(done).toBe(last.done + 1);
          last = { done, total };
        },
      });
      expect(last.done + 1).toBe(last.total);
      return report;
    });
    const { calls: _calls, instructions: _instructions, ...same } = whole;
    expect(mergeReports(parts)).toMatchObject(same);
  });
});

describe('a wrong model is found out', { timeout }, () => {
  it('by the rules of the seed on Go 1.27 for MIPS: exactly at the restartable sequences', () => {
    const functions = /^main\.|^fmt\.\(\*pp\)\.printArg$/;
    const right = ask('mips', '1.27', { functions });
    expect(right.disagreed).toEqual([]);
    expect(right.totals.restart).toBeGreaterThan(0);

    const wrong = ask('mips', '1.27', { functions, rules: 'seed' });
    expect(new Set(wrong.disagreed.map((d) => d.pc)).size).toBe(right.totals.restart);
    expect(wrong.pcs - wrong.agreed).toBe(right.totals.restart);
    for (const { pc, ours, theirs } of wrong.disagreed) {
      expect(ours).toEqual({ verdict: 'unsafe', resume: null, check: 'unsafe-point' });
      expect(theirs.verdict).toBe('safe');
      expect(theirs.resume).toBeLessThan(pc + 1);
      expect(pc - theirs.resume!).toBeLessThanOrEqual(20);
    }
    // What Go 1.26 added: a goroutine in a system call refuses.
    expect(wrong.live.disagreed.map((d) => d.at)).toContain('g.atomicstatus = syscall');
    expect(agrees(wrong)).toBe(false);
  });

  it('by a model without half-call: only where LR is PC+8', () => {
    const { disagreed } = ask('mips64le', '1.19', { functions: /^main\./, without: new Set(['half-call']) });
    expect(disagreed.length).toBeGreaterThan(0);
    for (const { pc, lr, ours, theirs } of disagreed) {
      expect(lr).toBe(pc + 8);
      expect([ours.verdict, theirs.verdict]).toEqual(['safe', 'unsafe']);
    }
  });

  it.each(['unsafe-point', 'asm', 'prefix'] as const)('by a model without %s', (check) => {
    // In assembly of packages that no prefix names, only asm refuses.
    const functions = /^main\.main$|^runtime\.(newobject|mallocgc)$|^internal\/(bytealg|cpu)\.|^reflect\./;
    const { disagreed } = ask('amd64', '1.19', { functions, without: new Set([check]), sample: 250 });
    expect(disagreed.length).toBeGreaterThan(0);
    // In padding the runtime throws.
    for (const { theirs } of disagreed) expect(theirs.verdict).not.toBe('safe');
  });
});

describe('where the tables say nothing', { timeout }, () => {
  it('our refusal names what the runtime throws: padding after assembly on MIPS', () => {
    const session = open('mips', '1.27');
    const functions = functionsOf(session, /^internal\/runtime\/atomic\.Casint64$/);
    const padding = functions[0]!.end - 4;
    const report = verify(session, { functions });
    expect(report.disagreed).toEqual([]);
    const { safePoints } = session.go!.preemption;
    expect(safePoints.isAsyncSafePointPC(padding, padding + 8)).toMatchObject({ safe: false, check: 'half-call' });
    expect(safePoints.isAsyncSafePointPC(padding, padding + 8).reason).toContain('invalid runtime symbol table');
  });
});

describe('padding of functions with inlined calls, amd64', { timeout }, () => {
  const padding = ({ go }: Session): Func[] => {
    const { tables } = go!.program;
    const { safePoints } = go!.preemption;
    return [...tables.funcs()].filter(
      (f) => tables.inlTreeIndexIsMissing(f, f.end - 1) && safePoints.isAsyncSafePointPC(f.end - 1).check === 'prefix',
    );
  };

  it('makes runtimes before Go 1.21 throw, which the rules of 1.21 do not expect', () => {
    const right = open('amd64', '1.19', {}, 'files');
    const functions = padding(right).filter((f) => f.name.startsWith('fmt.'));
    expect(functions.length).toBeGreaterThan(0);
    expect(verify(right, { functions }).disagreed).toEqual([]);

    const { disagreed } = verify(open('amd64', '1.19', { rules: '1.21' }, 'files'), { functions });
    expect(new Set(disagreed.map((d) => d.func))).toEqual(new Set(functions.map((f) => f.name)));
    for (const { pc, ours, theirs } of disagreed) {
      expect(ours).toEqual({ verdict: 'safe', resume: pc });
      expect(theirs).toEqual({ verdict: 'throw', resume: null, message: 'invalid runtime symbol table' });
    }
  });
});

describe.each(GOARCHES)('calls of the functions of a %s program', { timeout }, (goarch) => {
  it('return results, hear throws, and leave the program as it was', () => {
    const out: Uint8Array[] = [];
    const session = Session.open(loadFixture('hello', goarch, '1.27'), {
      path: '/hello',
      stdout: (bytes) => void out.push(bytes.slice()),
    });
    const { tables } = session.go!.program;
    const caller = GuestCaller.start(session);
    const at = session.machine.instructions;
    const findfunc = caller.callee('runtime.findfunc', { args: ['uintptr'], results: ['uintptr', 'uintptr'] })!;
    const f = tables.funcsNamed('main.main')[0]!;
    const found = caller.call(findfunc, [f.entry]);
    expect(found).toMatchObject({ kind: 'returned', results: [tables.table.addr + f.record.at, expect.any(Number)] });
    expect(caller.call(findfunc, [0x10])).toEqual({ kind: 'returned', results: [0, 0] });

    const fail = caller.callee('runtime.throw', { args: ['uintptr', 'uintptr'], results: [] })!;
    // Any text in memory will do for a message: the bytes of an instruction are some.
    const text = caller.string(f.entry, 4);
    expect(caller.call(fail, [f.entry, 4])).toEqual({ kind: 'throw', message: text });
    expect(caller.call(findfunc, [f.entry])).toEqual(found);

    caller.close();
    expect(session.machine.instructions).toBe(at);
    expect(session.run()).toEqual({ kind: 'exit', status: 0 });
    expect(Buffer.concat(out).toString()).toBe(fixtureSpec('hello').want);
  });
});
