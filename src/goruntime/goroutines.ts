// The live structures g, m and p of a running program, read by offset; and the few writes that preempt.go makes.

import { Gdead, Gdeadextra, Gidle, Gscan, gstatusName, stackPreempt, stackPreemptLow } from './facts/constants.ts';
import type { StructOffsets } from './facts/structs.ts';
import { TableError } from './pcvalue.ts';
import { type Fields, type GuestMemory, GuestReadError, PlainFields } from './view.ts';

/** Where runtime.allgs and allglen are, in programs with symbols. */
export interface AllgsSymbols {
  readonly allgs: number;
}

const MAX_GOROUTINES = 1 << 20;
const MAX_MS = 1 << 16;

/** An error of memory, saying which field of which structure it was. */
function named(error: unknown, doing: 'read' | 'write', field: string, base: number, offset: number): unknown {
  if (!(error instanceof GuestReadError)) return error;
  return new GuestReadError(error.addr, doing, `${field} at offset 0x${offset.toString(16)} of 0x${base.toString(16)}`);
}

/**
 * Accessors of g, m and p. Structures are named by their address, so that a read allocates nothing.
 * Every accessor throws GuestReadError, naming field and offset, if the structure is not where memory is.
 */
export class RuntimeView {
  readonly memory: GuestMemory;
  readonly offsets: StructOffsets;
  readonly #g: Fields;
  readonly #m: Fields;
  readonly #p: Fields;
  /** What is none of the three. */
  readonly #others: Fields;

  constructor(memory: GuestMemory, offsets: StructOffsets) {
    this.memory = memory;
    this.offsets = offsets;
    const fields = (): Fields => memory.fields?.() ?? new PlainFields(memory);
    this.#g = fields();
    this.#m = fields();
    this.#p = fields();
    this.#others = new PlainFields(memory);
  }

  #pointer(of: Fields, field: string, base: number, offset: number): number {
    try {
      return of.readPointer(base, offset);
    } catch (error) {
      throw named(error, 'read', field, base, offset);
    }
  }

  #word(of: Fields, field: string, base: number, offset: number): number {
    try {
      return of.readU32(base, offset);
    } catch (error) {
      throw named(error, 'read', field, base, offset);
    }
  }

  #byte(of: Fields, field: string, base: number, offset: number): number {
    try {
      return of.readU8(base, offset);
    } catch (error) {
      throw named(error, 'read', field, base, offset);
    }
  }

  #long(field: string, base: number, offset: number): bigint {
    try {
      return this.memory.readU64(base + offset);
    } catch (error) {
      throw named(error, 'read', field, base, offset);
    }
  }

  #putPointer(of: Fields, field: string, base: number, offset: number, value: number): void {
    try {
      of.writePointer(base, offset, value);
    } catch (error) {
      throw named(error, 'write', field, base, offset);
    }
  }

  #putWord(of: Fields, field: string, base: number, offset: number, value: number): void {
    try {
      of.writeU32(base, offset, value);
    } catch (error) {
      throw named(error, 'write', field, base, offset);
    }
  }

  #putByte(of: Fields, field: string, base: number, offset: number, value: number): void {
    try {
      of.writeU8(base, offset, value);
    } catch (error) {
      throw named(error, 'write', field, base, offset);
    }
  }

  stackLo(gp: number): number {
    return this.#pointer(this.#g, 'g.stack.lo', gp, this.offsets.g.stackLo);
  }

  stackHi(gp: number): number {
    return this.#pointer(this.#g, 'g.stack.hi', gp, this.offsets.g.stackHi);
  }

  /** gp.stackguard0 == stackPreempt, compared exactly. */
  stackguardIsPoisoned(gp: number): boolean {
    const { memory } = this;
    const at = this.offsets.g.stackguard0;
    if (memory.pointerSize === 4) return this.#word(this.#g, 'g.stackguard0', gp, at) === stackPreemptLow;
    const [low, high] = memory.bigEndian ? [at + 4, at] : [at, at + 4];
    return (
      this.#word(this.#g, 'g.stackguard0', gp, low) === stackPreemptLow &&
      this.#word(this.#g, 'g.stackguard0', gp, high) === 0xffffffff
    );
  }

  setStackguard0(gp: number, value: number): void {
    this.#putPointer(this.#g, 'g.stackguard0', gp, this.offsets.g.stackguard0, value);
  }

  poisonStackguard(gp: number): void {
    this.setStackguard0(gp, stackPreempt);
  }

  m(gp: number): number {
    return this.#pointer(this.#g, 'g.m', gp, this.offsets.g.m);
  }

  /** gp.atomicstatus, the scan bit included (runtime `readgstatus`). */
  readgstatus(gp: number): number {
    return this.#word(this.#g, 'g.atomicstatus', gp, this.offsets.g.atomicstatus);
  }

  setgstatus(gp: number, status: number): void {
    this.#putWord(this.#g, 'g.atomicstatus', gp, this.offsets.g.atomicstatus, status);
  }

  goid(gp: number): number {
    return Number(this.#long('g.goid', gp, this.offsets.g.goid));
  }

  preempt(gp: number): boolean {
    return this.#byte(this.#g, 'g.preempt', gp, this.offsets.g.preempt) !== 0;
  }

  setPreempt(gp: number, value: boolean): void {
    this.#putByte(this.#g, 'g.preempt', gp, this.offsets.g.preempt, Number(value));
  }

  preemptStop(gp: number): boolean {
    return this.#byte(this.#g, 'g.preemptStop', gp, this.offsets.g.preemptStop) !== 0;
  }

  setPreemptStop(gp: number, value: boolean): void {
    this.#putByte(this.#g, 'g.preemptStop', gp, this.offsets.g.preemptStop, Number(value));
  }

  asyncSafePoint(gp: number): boolean {
    return this.#byte(this.#g, 'g.asyncSafePoint', gp, this.offsets.g.asyncSafePoint) !== 0;
  }

  waitreason(gp: number): number {
    return this.#byte(this.#g, 'g.waitreason', gp, this.offsets.g.waitreason);
  }

  /** gp.secret: the depth of secret mode; 0 in releases that have none. */
  secret(gp: number): number {
    const offset = this.offsets.g.secret;
    return offset === undefined ? 0 : this.#word(this.#g, 'g.secret', gp, offset);
  }

  schedSp(gp: number): number {
    return this.#pointer(this.#g, 'g.sched.sp', gp, this.offsets.g.schedSp);
  }

  schedPc(gp: number): number {
    return this.#pointer(this.#g, 'g.sched.pc', gp, this.offsets.g.schedPc);
  }

  syscallSp(gp: number): number {
    return this.#pointer(this.#g, 'g.syscallsp', gp, this.offsets.g.syscallsp);
  }

  syscallPc(gp: number): number {
    return this.#pointer(this.#g, 'g.syscallpc', gp, this.offsets.g.syscallpc);
  }

  /** PC of the go statement that made the goroutine. */
  gopc(gp: number): number {
    return this.#pointer(this.#g, 'g.gopc', gp, this.offsets.g.gopc);
  }

  /** PC of the goroutine's function. */
  startpc(gp: number): number {
    return this.#pointer(this.#g, 'g.startpc', gp, this.offsets.g.startpc);
  }

  g0(mp: number): number {
    return this.#pointer(this.#m, 'm.g0', mp, this.offsets.m.g0);
  }

  gsignal(mp: number): number {
    return this.#pointer(this.#m, 'm.gsignal', mp, this.offsets.m.gsignal);
  }

  curg(mp: number): number {
    return this.#pointer(this.#m, 'm.curg', mp, this.offsets.m.curg);
  }

  p(mp: number): number {
    return this.#pointer(this.#m, 'm.p', mp, this.offsets.m.p);
  }

  mid(mp: number): number {
    return Number(BigInt.asIntN(64, this.#long('m.id', mp, this.offsets.m.id)));
  }

  procid(mp: number): number {
    return Number(this.#long('m.procid', mp, this.offsets.m.procid));
  }

  locks(mp: number): number {
    return this.#word(this.#m, 'm.locks', mp, this.offsets.m.locks) | 0;
  }

  mallocing(mp: number): number {
    return this.#word(this.#m, 'm.mallocing', mp, this.offsets.m.mallocing) | 0;
  }

  /** Length of m.preemptoff: the reason not to preempt is empty when this is 0. */
  preemptoffLength(mp: number): number {
    return this.#pointer(this.#m, 'm.preemptoff', mp, this.offsets.m.preemptoff + this.memory.pointerSize);
  }

  /** The text of m.preemptoff, for messages; at most 64 bytes of it. */
  preemptoff(mp: number): string {
    const length = Math.min(this.preemptoffLength(mp), 64);
    const at = this.#pointer(this.#m, 'm.preemptoff', mp, this.offsets.m.preemptoff);
    let text = '';
    try {
      for (let i = 0; i < length; i++) text += String.fromCharCode(this.memory.readU8(at + i));
    } catch (error) {
      if (!(error instanceof GuestReadError)) throw error;
      return `${text}… (${error.message})`;
    }
    return text;
  }

  preemptGen(mp: number): number {
    return this.#word(this.#m, 'm.preemptGen', mp, this.offsets.m.preemptGen);
  }

  setPreemptGen(mp: number, value: number): void {
    this.#putWord(this.#m, 'm.preemptGen', mp, this.offsets.m.preemptGen, value >>> 0);
  }

  /** m.signalPending; undefined in Go 1.14.0, which has no such field. */
  signalPending(mp: number): number | undefined {
    const offset = this.offsets.m.signalPending;
    return offset === undefined ? undefined : this.#word(this.#m, 'm.signalPending', mp, offset);
  }

  setSignalPending(mp: number, value: number): void {
    const offset = this.offsets.m.signalPending;
    if (offset !== undefined) this.#putWord(this.#m, 'm.signalPending', mp, offset, value);
  }

  pstatus(pp: number): number {
    return this.#word(this.#p, 'p.status', pp, this.offsets.p.status);
  }

  pid(pp: number): number {
    return this.#word(this.#p, 'p.id', pp, this.offsets.p.id) | 0;
  }

  ppreempt(pp: number): boolean {
    return this.#byte(this.#p, 'p.preempt', pp, this.offsets.p.preempt) !== 0;
  }

  setPpreempt(pp: number, value: boolean): void {
    this.#putByte(this.#p, 'p.preempt', pp, this.offsets.p.preempt, Number(value));
  }

  /** The goroutine in one line, for people. */
  describe(gp: number): string {
    return `goroutine ${this.goid(gp)} (${gstatusName(this.readgstatus(gp))})`;
  }

  /**
   * All goroutines, in the order of runtime.allgs, where that variable's address is known; else those that can be
   * reached from the g of each thread: m.curg, m.g0 and, where its place is known, the list of all Ms.
   * @param threads g of each thread of the program
   * @throws GuestReadError, TableError if the list is damaged
   * @returns `complete` says whether every goroutine is among them, and `how` how they were found
   */
  goroutines(
    symbols: AllgsSymbols | undefined,
    threads: readonly number[],
  ): { readonly gs: readonly number[]; readonly complete: boolean; readonly how: string } {
    if (symbols !== undefined) {
      return { gs: this.#allgs(symbols.allgs), complete: true, how: 'runtime.allgs' };
    }
    const gs = new Set<number>();
    const ms = new Set<number>();
    for (const gp of threads) {
      if (gp === 0) continue;
      // The list of all Ms ends at m0, so a walk from each thread finds older Ms only: walk from every one.
      let mp = this.#tryRead(() => this.m(gp));
      while (mp !== undefined && mp !== 0 && !ms.has(mp) && ms.size < MAX_MS) {
        ms.add(mp);
        const at: number = mp;
        const curg = this.#tryRead(() => this.curg(at));
        if (curg !== undefined && curg !== 0) gs.add(curg);
        const { alllink } = this.offsets.m;
        mp = alllink === undefined ? 0 : this.#tryRead(() => this.#pointer(this.#m, 'm.alllink', at, alllink));
      }
    }
    return {
      gs: [...gs],
      complete: false,
      how: 'the running goroutine of each thread (the program has no symbols, so goroutines that wait are not listed)',
    };
  }

  #allgs(addr: number): number[] {
    const { memory } = this;
    const w = memory.pointerSize;
    const base = this.#pointer(this.#others, 'runtime.allgs', addr, 0);
    const length = this.#pointer(this.#others, 'runtime.allgs', addr, w);
    const capacity = this.#pointer(this.#others, 'runtime.allgs', addr, 2 * w);
    if (length > capacity || length > MAX_GOROUTINES)
      throw new TableError('runtime.allgs', w, `its length is ${length}, its capacity ${capacity}`);
    const gs: number[] = [];
    for (let i = 0; i < length; i++) gs.push(this.#pointer(this.#others, 'the array of runtime.allgs', base, i * w));
    return gs;
  }

  /** Whether the status is one of a goroutine that does not exist (any more). One that cannot be read is not known to be dead. */
  isDead(gp: number): boolean {
    const status = (this.#tryRead(() => this.readgstatus(gp)) ?? -1) & ~Gscan;
    return status === Gdead || status === Gdeadextra || status === Gidle;
  }

  #tryRead(read: () => number): number | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof GuestReadError) return undefined;
      throw error;
    }
  }
}
