import { describe, expect, test } from 'vitest';
import { asyncPreemptFrame, decodeAsyncPreemptFrame } from '../../src/goruntime/async-preempt-frame.ts';
import { Gsyscall, Gwaiting } from '../../src/goruntime/facts/constants.ts';
import type { Preemption } from '../../src/goruntime/preempt.ts';
import type { GoProgram } from '../../src/goruntime/program.ts';
import { CHECKS, type CheckId, SafePoints, Trail } from '../../src/goruntime/safe-points.ts';
import type { Context } from '../../src/goruntime/view.ts';
import { SparseMemory } from './memory.ts';
import { type Cell, cells, open } from './programs.ts';
import { G, G0, M, P, running, STACK, STACK_SIZE } from './running.ts';

/** Which check refuses an interrupt, as its explanation says that it will; undefined where a call is injected. */
function refusedBy(model: Preemption, g: number, context: Context): CheckId | undefined {
  const { safe, check } = model.explainSigPreempt(g, context);
  const decision = model.doSigPreempt(g, context);
  expect(decision.refusedBy).toBe(safe ? undefined : check);
  return decision.refusedBy;
}

/** A PC of user code that the tables call plainly safe. */
function safePC(program: GoProgram): number {
  const points = new SafePoints(program.tables, program.arch, { rules: program.rules });
  const main = program.tables.funcsNamed('main.main')[0]!;
  for (let pc = main.entry; pc < main.end; pc += program.tables.table.quantum) {
    if (points.isAsyncSafePointPC(pc).verdict === 'safe' && program.tables.funcspdelta(main, pc) > 0) return pc;
  }
  throw new Error('main.main has no safe-point');
}

const SP = STACK + STACK_SIZE - 0x100;
const without = (...checks: CheckId[]): ReadonlySet<CheckId> => new Set(checks);
const mipsCells = cells().filter((c) => c.goarch !== 'amd64');

describe.each(cells())('isAsyncSafePoint for $goarch, Go $release', (cell: Cell) => {
  test('a running user goroutine in user code is safe, and every check says so', () => {
    const program = open(cell);
    const { model } = running(program);
    const pc = safePC(program);
    const verdict = model.isAsyncSafePoint(G, pc, SP, 0);
    expect(verdict).toMatchObject({ safe: true, verdict: 'safe', resume: pc, check: undefined });
    const explained = model.isAsyncSafePoint(G, pc, SP, 0, true);
    expect(explained.checks.map((c) => c.pass)).not.toContain(false);
    const order = explained.checks.map((c) => CHECKS.indexOf(c.check));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(explained.checks.length).toBe(program.arch.linkRegister ? 9 : 8);
  });

  test.each<[CheckId, string, (program: GoProgram, at: ReturnType<typeof running>) => void, RegExp]>([
    ['curg', 'another goroutine', (p, { word }) => word(M + p.offsets.m.curg, G0), /m\.curg/],
    ['canPreemptM', 'no P', (p, { word }) => word(M + p.offsets.m.p, 0), /no P/],
    ['canPreemptM', 'a lock', (p, { memory }) => memory.writeU32(M + p.offsets.m.locks, 1), /m\.locks 1/],
    ['canPreemptM', 'malloc', (p, { memory }) => memory.writeU32(M + p.offsets.m.mallocing, 1), /mallocing 1/],
    [
      'canPreemptM',
      'preemptoff',
      (p, { word }) => {
        word(M + p.offsets.m.preemptoff, STACK);
        word(M + p.offsets.m.preemptoff + p.arch.pointerSize, 3);
      },
      /preemptoff/,
    ],
    ['canPreemptM', 'P not running', (p, { memory }) => memory.writeU32(P + p.offsets.p.status, 3), /p\.status gcstop/],
  ])('refuses by %s: %s', (check, _, change, reason) => {
    const program = open(cell);
    const at = running(program);
    change(program, at);
    const verdict = at.model.isAsyncSafePoint(G, safePC(program), SP, 0);
    expect(verdict).toMatchObject({ safe: false, verdict: 'unsafe', resume: 0, check });
    expect(verdict.reason).toMatch(reason);
    const lenient = running(program, { without: without(check) });
    change(program, lenient);
    expect(lenient.model.isAsyncSafePoint(G, safePC(program), SP, 0).safe).toBe(true);
  });

  test('needs exactly asyncPreemptStack bytes of stack', () => {
    const program = open(cell);
    const { model, memory, word } = running(program);
    const pc = safePC(program);
    const need = program.asyncPreemptStack();
    expect(model.isAsyncSafePoint(G, pc, STACK + need, 0).safe).toBe(true);
    expect(model.isAsyncSafePoint(G, pc, STACK + need - 1, 0).check).toBe('stack');
    expect(model.isAsyncSafePoint(G, pc, STACK - 1, 0)).toMatchObject({ check: 'stack', reason: /below stack\.lo/ });
    const symbol = program.elf.symbol('runtime.asyncPreemptStack');
    if (symbol !== undefined) {
      word(symbol.value, -1);
      expect(memory.readU32(symbol.value)).toBe(0xffffffff);
      expect(model.isAsyncSafePoint(G, pc, SP, 0).check).toBe('stack');
    }
  });

  test('in a system call, Go 1.26 and later refuse by canPreemptM, and earlier releases do not', () => {
    const program = open(cell);
    const { model, memory } = running(program);
    memory.writeU32(G + program.offsets.g.atomicstatus, Gsyscall);
    const verdict = model.isAsyncSafePoint(G, safePC(program), SP, 0);
    expect(verdict.check).toBe(program.release.minor >= 26 ? 'canPreemptM' : undefined);
  });

  test('code that is not Go, assembly, the runtime and unsafe-points are refused by their checks', () => {
    const program = open(cell);
    const { model } = running(program);
    const at = (pc: number) => model.isAsyncSafePoint(G, pc, SP, 0).check;
    expect(at(program.tables.maxpc)).toBe('findfunc');
    expect(at(0)).toBe('findfunc');
    expect(at(program.addressOf('runtime.memmove')!)).toBe('asm');
    expect(at(program.addressOf('runtime.schedule')!)).toBe('prefix');
    expect(at(program.addressOf('runtime.mcall')!)).toBe('asm');
    const main = program.tables.funcsNamed('main.main')[0]!;
    const marked = program.tables.pcdataRuns(main, 0)!;
    const unsafe = marked.value.indexOf(-2);
    expect(unsafe).toBeGreaterThan(0);
    expect(at(marked.end[unsafe - 1]!)).toBe('unsafe-point');
    expect(at(marked.end[unsafe]! - program.tables.table.quantum)).toBe('unsafe-point');
  });

  test('a thread without a goroutine, or with garbage for one, is refused and not an error', () => {
    const program = open(cell);
    const { model } = running(program);
    const pc = safePC(program);
    for (const g of [0, 0x10, 0xdead0000]) {
      for (const explain of [false, true]) {
        expect(model.isAsyncSafePoint(g, pc, SP, 0, explain)).toMatchObject({ safe: false, check: 'curg' });
      }
    }
    const context = { pc, sp: SP, lr: 0 };
    expect(refusedBy(model, 0x10, context)).toBe('want');
    expect(context).toEqual({ pc, sp: SP, lr: 0 });
  });

  test('garbage in any field of g, m or p never makes an unsafe place safe, and never throws', () => {
    const program = open(cell);
    const { model, word } = running(program);
    const bad = program.addressOf('runtime.schedule')!;
    const pc = safePC(program);
    const fields: readonly (readonly [number, number])[] = [
      [G + program.offsets.g.m, M],
      [M + program.offsets.m.p, P],
      [M + program.offsets.m.curg, G],
    ];
    for (const [at, good] of fields) {
      for (const garbage of [1, 0x7fff_0000, -1]) {
        word(at, garbage);
        expect(model.isAsyncSafePoint(G, bad, SP, 0).safe).toBe(false);
        expect(model.isAsyncSafePoint(G, pc, SP, 0).safe).toBe(false);
      }
      word(at, good);
    }
    expect(model.isAsyncSafePoint(G, pc, SP, 0).safe).toBe(true);
  });

  test('decisions kept as runs equal those made PC by PC, with and without each check', () => {
    const program = open(cell);
    const names = [/^main\./, /^sync\.\(/, /^runtime\.(newstack|memmove|morestack)/];
    const funcs = [...program.tables.funcs()].filter((f) => names.some((n) => n.test(f.name)));
    expect(funcs.length).toBeGreaterThan(10);
    const wrong: string[] = [];
    for (const off of [without(), without('unsafe-point'), without('asm', 'prefix'), without('restart')]) {
      for (const rules of [program.rules, program.rulesNamed('seed')!]) {
        const points = new SafePoints(program.tables, program.arch, { rules, without: off });
        for (const f of funcs) {
          for (let pc = f.entry; pc < f.end; pc += program.tables.table.quantum) {
            const { refusedBy, restartAt } = points.decide(pc, 0, new Trail(off, false));
            const verdict = refusedBy !== undefined ? 'unsafe' : restartAt !== undefined ? 'restart' : 'safe';
            const check = refusedBy ?? (restartAt === undefined ? undefined : 'restart');
            const resume = refusedBy !== undefined ? 0 : (restartAt ?? pc);
            const kept = points.isAsyncSafePointPC(pc);
            if (kept.verdict !== verdict || kept.check !== check || kept.resume !== resume)
              wrong.push(`${f.name}+${pc - f.entry}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  test('a request is g.preempt, the poisoned guard and p.preempt; the interrupt acknowledges it', () => {
    const program = open(cell);
    const { model, memory } = running(program);
    const { runtime } = model;
    expect(model.wantAsyncPreempt(G)).toBe(false);
    expect(runtime.stackguardIsPoisoned(G)).toBe(false);
    model.requestPreempt(G);
    expect([runtime.preempt(G), runtime.stackguardIsPoisoned(G), runtime.ppreempt(P)]).toEqual([true, true, true]);
    const guard = memory.readU64(G + program.offsets.g.stackguard0);
    const poison = program.arch.pointerSize === 8 ? 0xfffffffffffffaden : 0xfffffaden;
    expect(program.arch.pointerSize === 8 ? guard : BigInt(memory.readU32(G + program.offsets.g.stackguard0))).toBe(
      poison,
    );
    memory.writeU32(M + (program.offsets.m.signalPending ?? 0), 1);
    const pc = safePC(program);
    const context = { pc, sp: SP, lr: 0x1234 };
    expect(refusedBy(model, G, context)).toBeUndefined();
    expect([runtime.preemptGen(M), runtime.signalPending(M)]).toEqual([1, 0]);
    const w = program.arch.pointerSize;
    expect(context.pc).toBe(program.asyncPreempt);
    expect(context.sp).toBe(SP - w);
    expect(context.lr).toBe(program.arch.linkRegister ? pc : 0x1234);
    expect(memory.readPointer(SP - w)).toBe(program.arch.linkRegister ? 0x1234 : pc);
  });

  test('without a request nothing is injected, but the interrupt is acknowledged', () => {
    const program = open(cell);
    const { model } = running(program);
    const context = { pc: safePC(program), sp: SP, lr: 0 };
    const before = { ...context };
    expect(refusedBy(model, G, context)).toBe('want');
    expect(context).toEqual(before);
    expect(model.runtime.preemptGen(M)).toBe(1);
    const eager = running(program, { without: without('want') });
    expect(refusedBy(eager.model, G, { ...before })).toBeUndefined();
  });

  test('a stop is classified', () => {
    const program = open(cell);
    const { model, memory } = running(program);
    const thread = (pc: number, g = G) => {
      if (program.arch.gTlsOffset !== undefined) {
        memory.map(0x6000_0000 - 8, 8);
        memory.writePointer(0x6000_0000 - 8, g);
      }
      return { pc, sp: SP, lr: 0, g, tls: 0x6000_0000 };
    };
    expect(model.classify(G, thread(safePC(program))).kind).toBe('asynchronous');
    expect(model.classify(G, thread(program.addressOf('runtime.schedule')!)).kind).toBe('none');
    model.requestPreempt(G);
    expect(model.classify(G, thread(program.addressOf('runtime.newstack')!, G0)).kind).toBe('synchronous');
    memory.writeU32(G + program.offsets.g.atomicstatus, Gwaiting);
    expect(model.classify(G, undefined)).toMatchObject({ kind: 'blocked', reason: /waiting/ });
  });

  test('the frame of asyncPreempt is as big as its SP delta says', () => {
    const program = open(cell);
    const layout = asyncPreemptFrame(program.arch, program.release);
    const f = program.tables.findfunc(program.asyncPreempt)!;
    // SP at the entry is one word (the return PC on amd64, the pushed LR on MIPS) below the interrupted one.
    expect(layout.size).toBe(program.tables.funcMaxSPDelta(f) + program.arch.pointerSize);
    const memory = new SparseMemory(program.arch);
    memory.map(STACK, layout.size);
    memory.writePointer(STACK + layout.resumePC, 0x1000);
    for (const [i, slot] of layout.saved.entries())
      memory.writeU32(STACK + slot.offset + (memory.bigEndian ? slot.size - 4 : 0), i);
    const decoded = decodeAsyncPreemptFrame(layout, program.arch, memory, STACK);
    expect(decoded.resumePC).toBe(0x1000);
    expect(decoded.sp).toBe(STACK + layout.size);
    for (const [i, slot] of layout.saved.entries())
      expect([slot.register, decoded.registers.get(slot.register)]).toEqual([slot.register, BigInt(i)]);
  });
});

describe.each(mipsCells)('the half-executed call on $goarch, Go $release', (cell: Cell) => {
  test('is refused where LR is PC+8 without a frame, and only there', () => {
    const program = open(cell);
    const { model } = running(program);
    const main = program.tables.funcsNamed('main.main')[0]!;
    for (let pc = main.entry; pc < main.end; pc += 4) {
      const frameless = program.tables.funcspdelta(main, pc) === 0;
      const half = model.isAsyncSafePoint(G, pc, SP, pc + 8);
      expect(half.check === 'half-call').toBe(frameless);
      if (!frameless) expect(half.resume).toBe(model.isAsyncSafePoint(G, pc, SP, 0).resume);
    }
    const off = running(program, { without: without('half-call') }).model;
    expect(off.isAsyncSafePoint(G, main.entry, SP, main.entry + 8).safe).toBe(true);
  });

  test('an answer that was given before for another LR speaks of the LR that it is asked for', () => {
    const program = open(cell);
    const points = new SafePoints(program.tables, program.arch, { rules: program.rules });
    const { entry } = program.tables.funcsNamed('main.main')[0]!;
    const said = (lr: number): string | undefined =>
      points.isAsyncSafePointPC(entry, lr).checks.find(({ check }) => check === 'half-call')?.detail;
    expect(said(0x1234)).toContain('0x1234');
    expect(said(0x5678)).toContain('0x5678');
    expect(points.isAsyncSafePointPC(entry, entry + 8).check).toBe('half-call');
    expect(points.isAsyncSafePointPC(entry, 0x1234).check).not.toBe('half-call');
  });

  test('restartable sequences resume at their start from Go 1.18 on; the seed refuses them', () => {
    const program = open(cell);
    const auto = new SafePoints(program.tables, program.arch, { rules: program.rules });
    const seed = new SafePoints(program.tables, program.arch, { rules: program.rulesNamed('seed')! });
    const off = new SafePoints(program.tables, program.arch, { rules: program.rules, without: without('restart') });
    let restarts = 0;
    for (const f of program.tables.funcs()) {
      for (const run of auto.verdictRuns(f)) {
        if (run.verdict !== 'restart' || ++restarts % 20 !== 0) continue;
        expect(run.restartAt).toBe(run.start);
        const last = run.end - 4;
        expect(auto.isAsyncSafePointPC(last)).toMatchObject({
          verdict: 'restart',
          resume: run.start,
          check: 'restart',
        });
        expect(seed.isAsyncSafePointPC(last)).toMatchObject({ verdict: 'unsafe', check: 'unsafe-point' });
        expect(off.isAsyncSafePointPC(last)).toMatchObject({ verdict: 'safe', resume: last });
      }
    }
    expect(restarts).toBeGreaterThan(100);
  });

  test('the seed and the program agree everywhere else, but for the prefixes', () => {
    const program = open(cell);
    const auto = new SafePoints(program.tables, program.arch, { rules: program.rules });
    const seed = new SafePoints(program.tables, program.arch, { rules: program.rulesNamed('seed')! });
    const wrong: string[] = [];
    for (const f of program.tables.funcs()) {
      for (const run of auto.verdictRuns(f)) {
        if (run.verdict === 'restart' || run.check === 'prefix') continue;
        const theirs = seed.isAsyncSafePointPC(run.start);
        if (theirs.verdict !== run.verdict) wrong.push(`${f.name}+${run.start - f.entry}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
