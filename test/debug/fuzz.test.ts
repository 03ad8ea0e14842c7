// Goroutine structures with garbage in them: whatever g, m and p hold, every facility that reads them answers or says what it could
// not read and where; none hangs; and nothing is called safe that the checks, read again from memory, would refuse.

import { describe, expect, test } from 'vitest';
import { Debugger } from '../../src/debug/debugger.ts';
import { reportGoroutines } from '../../src/debug/goroutine-report.ts';
import { GuestCallError } from '../../src/debug/guest-runtime.ts';
import { Inspector } from '../../src/debug/inspection.ts';
import { generator } from '../../src/debug/schedule.ts';
import { Suspender } from '../../src/debug/suspension.ts';
import { threadOf } from '../../src/debug/view.ts';
import { Prunning } from '../../src/goruntime/facts/constants.ts';
import { TableError } from '../../src/goruntime/pcvalue.ts';
import { SafePoints, type Verdict } from '../../src/goruntime/safe-points.ts';
import { SuspendError } from '../../src/goruntime/suspend.ts';
import { GuestReadError } from '../../src/goruntime/view.ts';
import { GOARCHES } from '../support/fixtures.ts';
import { LONG, sampled } from '../support/long.ts';
import { type Opened, open, runTo } from './sessions.ts';

const ROUNDS = LONG ? 600 : 40;
/** Bytes of each structure that are hit: every field that is read lies below. */
const SIZES = { g: 512, m: 1024, p: 64 };
/** Instructions for which a program with garbage in it is driven on. */
const DRIVE = 20_000;

/** What may be thrown, each with where it was: an address, or a goroutine's. */
const EXPECTED: readonly { readonly name: string; readonly says: RegExp }[] = [
  { name: GuestReadError.name, says: /^cannot (read|write) \S.* (of|at) .*0x[0-9a-f]+/ },
  { name: TableError.name, says: / at offset -?0x[0-9a-f]+: / },
  { name: SuspendError.name, says: /g status .* of g 0x[0-9a-f]+$|did not come to a safe-point: / },
  { name: GuestCallError.name, says: /\S/ },
];

type Random = () => number;

/** Words as bugs and bad luck make them: noise, small numbers, -1, pointers to the wrong structure, addresses just out of bounds. */
function garbage(random: Random, addresses: readonly number[], pointerSize: number): bigint {
  const noise = (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32));
  switch (Math.floor(random() * 6)) {
    case 0:
      return BigInt.asUintN(pointerSize * 8, noise);
    case 1:
      return BigInt(Math.floor(random() * 16));
    case 2:
      return BigInt.asUintN(pointerSize * 8, -1n - BigInt(Math.floor(random() * 8)));
    case 3:
      return 0n;
    default: {
      const address = addresses[Math.floor(random() * addresses.length)]!;
      return BigInt(address) + BigInt(Math.floor(random() * 3) - 1) * BigInt(Math.floor(random() * 64));
    }
  }
}

class Fuzz {
  readonly opened: Opened;
  readonly random: Random;
  readonly debug: Debugger;
  readonly thrown = new Map<string, number>();
  safe = 0;
  refused = 0;

  constructor(opened: Opened, seed: number) {
    this.opened = opened;
    this.random = generator(seed);
    this.debug = new Debugger(opened.session);
  }

  /** Addresses of structures, and of what they belong to. */
  structures(): { readonly g: number[]; readonly m: number[]; readonly p: number[]; readonly all: number[] } {
    const { session, go, suspender } = this.opened;
    const { runtime } = go.preemption;
    const threads = session.threads().map((thread) => suspender.getg(thread));
    const g = [...runtime.goroutines(go.allgs, threads).gs];
    const m = [...new Set(threads.filter((gp) => gp !== 0).map((gp) => runtime.m(gp)))];
    const p = m.map((mp) => runtime.p(mp)).filter((pp) => pp !== 0);
    for (const mp of m) g.push(runtime.g0(mp));
    const { pc, sp } = threadOf(session.machine, session.arch);
    return { g, m, p, all: [...g, ...m, ...p, pc, sp, go.program.tables.minpc, go.program.tables.maxpc] };
  }

  /** Overwrites words of one or several structures. */
  damage(): void {
    const { go } = this.opened;
    const { memory } = go;
    const found = this.structures();
    const hits = 1 + Math.floor(this.random() * 24);
    for (let i = 0; i < hits; i++) {
      const kind = (['g', 'g', 'm', 'p'] as const)[Math.floor(this.random() * 4)]!;
      const base = found[kind][Math.floor(this.random() * found[kind].length)];
      if (base === undefined) continue;
      const w = memory.pointerSize;
      const fields = Object.values(go.program.offsets[kind]).filter((at): at is number => at !== undefined);
      const field = fields[Math.floor(this.random() * fields.length)]!;
      // Mostly fields that are read, and now and then what lies around them.
      const offset = Math.floor((this.random() < 0.7 ? field : this.random() * SIZES[kind]) / w) * w;
      const value = garbage(this.random, found.all, w);
      memory.writeU32(base + offset + (memory.bigEndian ? w - 4 : 0), Number(value & 0xffffffffn));
      if (w === 8) memory.writeU32(base + offset + (memory.bigEndian ? 0 : 4), Number(value >> 32n));
    }
  }

  /** Runs one facility: it answers, or throws what it may. */
  ask<T>(what: () => T): T | undefined {
    try {
      return what();
    } catch (error) {
      const { name, message } = error as Error;
      const expected = EXPECTED.find((e) => e.name === name);
      if (expected === undefined) throw error;
      expect(message).toMatch(expected.says);
      this.thrown.set(name, (this.thrown.get(name) ?? 0) + 1);
      return undefined;
    }
  }

  /** A verdict is no safer than memory is: each check is made again here, in its own words. */
  judge(verdict: Verdict | undefined, gp: number, pc: number, sp: number, lr: number): void {
    if (verdict === undefined) return;
    if (!verdict.safe) {
      this.refused++;
      expect(verdict.check).toBeDefined();
      expect(verdict.reason).not.toBe('');
      return;
    }
    this.safe++;
    const { program, memory, preemption } = this.opened.go;
    const { g, m, p } = program.offsets;
    const tables = new SafePoints(program.tables, program.arch, { rules: preemption.rules }).isAsyncSafePointPC(pc, lr);
    expect({ safe: tables.safe, resume: tables.resume }).toEqual({ safe: true, resume: verdict.resume });
    const mp = memory.readPointer(gp + g.m);
    expect(memory.readPointer(mp + m.curg)).toBe(gp);
    expect([memory.readU32(mp + m.locks), memory.readU32(mp + m.mallocing)]).toEqual([0, 0]);
    expect(memory.readPointer(mp + m.preemptoff + memory.pointerSize)).toBe(0);
    expect(memory.readU32(memory.readPointer(mp + m.p) + p.status)).toBe(Prunning);
    expect(sp - memory.readPointer(gp + g.stackLo)).toBeGreaterThanOrEqual(preemption.asyncPreemptStack);
  }

  /** Everything that a user can ask at a stop. */
  interrogate(): void {
    const { session, go, suspender } = this.opened;
    const { machine, arch } = session;
    const thread = threadOf(machine, arch);
    const { pc, sp, lr } = thread;
    const gp = suspender.getg(thread);
    this.judge(
      this.ask(() => this.debug.verdict()),
      gp,
      pc,
      sp,
      lr,
    );
    this.ask(() => this.debug.goroutines());
    this.ask(() => this.debug.stack(64));
    const gs = this.ask(() => go.preemption.runtime.goroutines(go.allgs, [gp]).gs) ?? [];
    const inspector = new Inspector(session, go);
    for (const g of gs.slice(0, 4)) {
      this.ask(() => inspector.stack(g));
      this.ask(() => inspector.registers(g));
    }
    const some = gs[Math.floor(this.random() * gs.length)];
    if (some !== undefined) this.ask(() => inspector.scan(some));
    const before = session.save();
    const fired = this.ask(() => this.debug.fire());
    session.restore(before);
    this.judge(fired?.verdict, gp, pc, sp, lr);
    if (some !== undefined) {
      this.ask(() => {
        const request = suspender.suspendG(some, DRIVE);
        suspender.resumeG(request);
      });
    }
    session.restore(before);
    // Driven on, it may end as it will; the timer lands in whatever it does meanwhile.
    for (let i = 0; i < 4 && session.process.kernel.exit === undefined; i++) {
      if (this.ask(() => session.advance(machine.instructions + 97 + i)) !== undefined) break;
      const at = { pc: thread.pc, sp: thread.sp, lr: thread.lr, gp: suspender.getg(thread) };
      const own = this.ask(() => this.debug.verdict(false));
      this.judge(own, at.gp, at.pc, at.sp, at.lr);
      this.ask(() => go.handler.interrupt(session.tid));
    }
    session.restore(before);
    session.process.kernel.drop(before.kernel);
    suspender.reset();
  }
}

describe.each(sampled(GOARCHES, 3))('garbage in g, m and p of a program for %s', (goarch) => {
  test('gives answers and errors that say what and where, and no safe-point that is none', { timeout: 300_000 }, () => {
    const opened = open('gcheavy', goarch, '1.27', { cpus: 2 });
    const { session, go, suspender } = opened;
    runTo(opened, 'main.reverse');
    const fuzz = new Fuzz(opened, 0x5afe);
    fuzz.debug.nextSafePoint(1000);
    const whole = session.save();
    for (let round = 0; round < ROUNDS; round++) {
      fuzz.damage();
      fuzz.interrogate();
      if (round % 20 === 0) {
        const fork = session.save();
        fuzz.ask(() => reportGoroutines(session, go, new Suspender(session, go), { scan: true }));
        session.restore(fork);
        session.process.kernel.drop(fork.kernel);
      }
      session.restore(whole);
      suspender.reset();
    }
    expect(fuzz.safe).toBeGreaterThan(0);
    expect(fuzz.refused).toBeGreaterThan(0);
  });
});
