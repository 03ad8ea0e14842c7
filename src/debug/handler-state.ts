// What the handler of interrupts keeps, in the one memory, where its half in compiled code (src/debug/inside) looks at it as well: what
// became of the interrupts, what they left of each goroutine, and the request that is pending.

import { HANDLER, HANDLER_SIZE } from '../engine/layout.ts';
import type { Memory } from '../engine/memory.ts';
import { CHECKS } from '../goruntime/safe-points.ts';
import type { SafePointKind } from '../goruntime/stop-kind.ts';
import { Places } from './places.ts';

/** Who refused an interrupt: what the goroutine and its M were doing, or the tables. */
export type Refuser = 'state' | 'tables';
export const REFUSERS: readonly Refuser[] = ['state', 'tables'];

/** The order in which they are counted. */
export const KINDS: readonly SafePointKind[] = ['blocked', 'synchronous', 'asynchronous'];

/** More places of one goroutine are not remembered. */
const MOST_PLACES = 4096;
/** More goroutines are kept outside of the memory, and their interrupts handled there. */
const PASTS = 128;
const STOPPED_SET_BITS = 9;
const MOST_CHECKS = 16;

/** No restartable sequence is longer: the runtime throws beyond 20 bytes. */
export const RESTART_LIMIT = 20;

/** Of a past. */
export const PAST_SIZE = 128;
export const PAST = {
  gp: 0,
  refusedPc: 8,
  refusedSp: 16,
  refusedAt: 24,
  injectedFrom: 32,
  injectedTo: 40,
  injectedSp: 48,
  resumedAt: 56,
  /** How often the refusals were forgotten. */
  generation: 64,
  /** i64, so many: for each of them two bits of one word, by a hash of its place. */
  filter: 72,
} as const;

/** Of a refusal that was noted: whose (i32), and by whom (i32, index into REFUSERS); of which generation, and where. */
export const NOTE_SIZE = 32;
export const MOST_NOTES = 128;
export const NOTE = { past: 0, by: 4, generation: 8, pc: 16, sp: 24 } as const;

/** Of what is known of a PC at which goroutines stop running: the PC, and the kind (i32, index into KINDS). A hash of it says in which set it is. */
export const STOPPED_SIZE = 16;
export const STOPPED_SET = 4 * STOPPED_SIZE;
export const STOPPED_SHIFT = 32 - STOPPED_SET_BITS;
export const STOPPED = { pc: 0, kind: 8 } as const;

/** Of what is counted of a kind of safe-point. */
export const SERVED_SIZE = 16;

/** Byte offsets. Numbers are f64 unless they say otherwise. */
export const OFFSETS = {
  /** i32: the pasts that were asked for last, mostly of a goroutine and of the g0 of its M; 0 for none. */
  latest: HANDLER,
  former: HANDLER + 4,
  /** i32: the word of the breakpoint at which requests are served; 0 while it is not known. */
  stop: HANDLER + 8,
  /** i32: requests that are not served yet; which g the first one is of, and when it was made. */
  pending: HANDLER + 12,
  pendingG: HANDLER + 16,
  pendingSince: HANDLER + 24,
  delivered: HANDLER + 32,
  injected: HANDLER + 40,
  /** i32: refusals that compiled code has noted, and `Past.refusals` does not have yet. */
  noted: HANDLER + 48,
  /** i32: where the pasts in the memory end. */
  pastsEnd: HANDLER + 52,
  /** One for each check. */
  refused: HANDLER + 64,
  /** Two for each kind of safe-point: requests served, and the instructions that took. */
  served: HANDLER + 64 + 8 * MOST_CHECKS,
  pasts: HANDLER + 0x100,
  notes: HANDLER + 0x100 + PASTS * PAST_SIZE,
  stoppedPcs: HANDLER + 0x100 + PASTS * PAST_SIZE + MOST_NOTES * NOTE_SIZE,
} as const;

if (OFFSETS.stoppedPcs + (STOPPED_SET << STOPPED_SET_BITS) > HANDLER + HANDLER_SIZE) throw new Error('HANDLER_SIZE');
if (CHECKS.length > MOST_CHECKS) throw new Error('more checks than there is room for');

/** Where there has been no interrupt yet: it is equal to no address and no time. */
const NEVER = Number.NaN;

/**
 * The bits of a place in a filter: the highest bits of a hash choose the word, the next six, twice, the bits. inside/interrupt.ts says the same.
 * (One bit of all 256 was another place's for one request in a hundred.)
 */
export const HASH_FACTOR = 0x9e3779b1;
const FILTER_WORD_BITS = 2;
export const FILTER_WORDS = 1 << FILTER_WORD_BITS;
export const FILTER_WORD_SHIFT = 32 - FILTER_WORD_BITS;
export const FILTER_BIT_SHIFTS = [FILTER_WORD_SHIFT - 6, FILTER_WORD_SHIFT - 12] as const;
/** The set of a PC at which goroutines stop running. inside/served.ts says the same. */
const stoppedSet = (pc: number): number => Math.imul(pc, HASH_FACTOR) >>> STOPPED_SHIFT;

/** What the last interrupts left of a goroutine. Changed in place: there are hundreds of thousands of interrupts in a second. */
export class Past {
  /** Where it stands in the memory; 0 where it does not. */
  readonly at: number;
  readonly #f64: Float64Array;
  readonly #i32: Int32Array;
  /** The places at which interrupts were refused since it was last preempted, and by whom, but for those that are noted. */
  readonly #refusals = new Places<Refuser>();
  #generation = 0;

  constructor(gp: number, f64: Float64Array, i32: Int32Array, at: number) {
    this.at = at;
    this.#f64 = f64;
    this.#i32 = i32;
    this.#set(PAST.gp, gp);
    for (const field of [PAST.refusedPc, PAST.refusedSp, PAST.refusedAt]) this.#set(field, NEVER);
    for (const field of [PAST.injectedFrom, PAST.injectedTo, PAST.injectedSp, PAST.resumedAt]) this.#set(field, NEVER);
    this.#set(PAST.generation, 0);
    this.#clearFilter();
  }

  #get(field: number): number {
    return this.#f64[(this.at + field) >>> 3]!;
  }

  #set(field: number, value: number): void {
    this.#f64[(this.at + field) >>> 3] = value;
  }

  #clearFilter(): void {
    const filter = (this.at + PAST.filter) >>> 2;
    this.#i32.fill(0, filter, filter + 2 * FILTER_WORDS);
  }

  get gp(): number {
    return this.#get(PAST.gp);
  }

  /** Where and when the last refused interrupt found it. */
  get refusedPc(): number {
    return this.#get(PAST.refusedPc);
  }

  get refusedSp(): number {
    return this.#get(PAST.refusedSp);
  }

  get refusedAt(): number {
    return this.#get(PAST.refusedAt);
  }

  /** The last injected call: where it goes on, and up to where the goroutine had come. Interrupts within the call do not make it forgotten. */
  get injectedFrom(): number {
    return this.#get(PAST.injectedFrom);
  }

  get injectedTo(): number {
    return this.#get(PAST.injectedTo);
  }

  get injectedSp(): number {
    return this.#get(PAST.injectedSp);
  }

  /** When the first interrupt came after the goroutine had resumed. */
  get resumedAt(): number {
    return this.#get(PAST.resumedAt);
  }

  set resumedAt(at: number) {
    this.#set(PAST.resumedAt, at);
  }

  injected(from: number, to: number, sp: number): void {
    this.#set(PAST.injectedFrom, from);
    this.#set(PAST.injectedTo, to);
    this.#set(PAST.injectedSp, sp);
    this.resumedAt = NEVER;
  }

  refused(pc: number, sp: number, at: number): void {
    this.#set(PAST.refusedPc, pc);
    this.#set(PAST.refusedSp, sp);
    this.#set(PAST.refusedAt, at);
  }

  /** Who refused an interrupt at a place since the goroutine was last preempted. */
  refuser(pc: number, sp: number): Refuser | undefined {
    return this.#current.get(pc, sp);
  }

  /** Remembers a refusal. */
  refuse(pc: number, sp: number, by: Refuser): void {
    const refusals = this.#current;
    if (refusals.size >= MOST_PLACES) this.forgetRefusals();
    refusals.set(pc, sp, by);
    const hash = Math.imul(pc ^ sp, HASH_FACTOR);
    const word = ((this.at + PAST.filter) >>> 2) + 2 * (hash >>> FILTER_WORD_SHIFT);
    for (const shift of FILTER_BIT_SHIFTS) {
      const bit = (hash >>> shift) & 63;
      this.#i32[word + (bit >>> 5)]! |= 1 << bit;
    }
  }

  forgetRefusals(): void {
    this.#generation++;
    this.#set(PAST.generation, this.#generation);
    this.#clearFilter();
    this.#refusals.clear();
  }

  /** The refusals, without those that compiled code has forgotten. */
  get #current(): Places<Refuser> {
    const generation = this.#get(PAST.generation);
    if (generation !== this.#generation) this.#refusals.clear();
    this.#generation = generation;
    return this.#refusals;
  }

  /** Takes over a refusal that compiled code has noted. */
  takeOver(generation: number, pc: number, sp: number, by: Refuser): void {
    if (generation === this.#get(PAST.generation)) this.#current.set(pc, sp, by);
  }
}

export class HandlerState {
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  /** By g. */
  readonly #pasts = new Map<number, Past>();
  /** Those in the memory, in order. */
  readonly #inMemory: Past[] = [];

  constructor(memory: Memory) {
    this.#i32 = memory.i32;
    this.#f64 = memory.f64;
    this.#i32[OFFSETS.pastsEnd >>> 2] = OFFSETS.pasts;
  }

  // What became of the interrupts

  get delivered(): number {
    return this.#f64[OFFSETS.delivered >>> 3]!;
  }

  get injected(): number {
    return this.#f64[OFFSETS.injected >>> 3]!;
  }

  /** Interrupts that a check refused, by its index. */
  refusedBy(check: number): number {
    return this.#f64[(OFFSETS.refused >>> 3) + check]!;
  }

  /** Counts an interrupt. @param check index of that which refused it, negative for none */
  count(check: number): void {
    this.#f64[OFFSETS.delivered >>> 3]!++;
    if (check < 0) this.#f64[OFFSETS.injected >>> 3]!++;
    else this.#f64[(OFFSETS.refused >>> 3) + check]!++;
  }

  /** Requests that a kind of safe-point served, and after how many instructions in all. */
  served(kind: SafePointKind): { readonly served: number; readonly instructions: number } {
    const at = (OFFSETS.served + SERVED_SIZE * KINDS.indexOf(kind)) >>> 3;
    return { served: this.#f64[at]!, instructions: this.#f64[at + 1]! };
  }

  /** Counts a request that was served. */
  countServed(kind: SafePointKind, instructions: number): void {
    const at = (OFFSETS.served + SERVED_SIZE * KINDS.indexOf(kind)) >>> 3;
    this.#f64[at]!++;
    this.#f64[at + 1]! += instructions;
  }

  // Goroutines

  past(gp: number): Past {
    const i32 = this.#i32;
    const [latest, former] = [OFFSETS.latest >>> 2, OFFSETS.former >>> 2];
    if (this.#isOf(i32[latest]!, gp)) return this.#at(i32[latest]!);
    const past = this.#isOf(i32[former]!, gp) ? this.#at(i32[former]!) : (this.#pasts.get(gp) ?? this.#make(gp));
    if (past.at !== 0) {
      i32[former] = i32[latest]!;
      i32[latest] = past.at;
    }
    return past;
  }

  #isOf(at: number, gp: number): boolean {
    return at !== 0 && this.#f64[(at + PAST.gp) >>> 3] === gp;
  }

  #at(at: number): Past {
    return this.#inMemory[(at - OFFSETS.pasts) / PAST_SIZE]!;
  }

  #make(gp: number): Past {
    const inMemory = this.#inMemory.length < PASTS;
    const buffer = inMemory ? undefined : new ArrayBuffer(PAST_SIZE);
    const past =
      buffer === undefined
        ? new Past(gp, this.#f64, this.#i32, OFFSETS.pasts + PAST_SIZE * this.#inMemory.length)
        : new Past(gp, new Float64Array(buffer), new Int32Array(buffer), 0);
    if (inMemory) {
      this.#inMemory.push(past);
      this.#i32[OFFSETS.pastsEnd >>> 2] = past.at + PAST_SIZE;
    }
    this.#pasts.set(gp, past);
    return past;
  }

  /** Hands what compiled code has noted to those whom it is about. */
  takeOverNotes(): void {
    const [i32, f64] = [this.#i32, this.#f64];
    const noted = i32[OFFSETS.noted >>> 2]!;
    for (let i = 0; i < noted; i++) {
      const note = OFFSETS.notes + NOTE_SIZE * i;
      const past = this.#at(i32[(note + NOTE.past) >>> 2]!);
      const by = REFUSERS[i32[(note + NOTE.by) >>> 2]!]!;
      const f = (field: number): number => f64[(note + field) >>> 3]!;
      past.takeOver(f(NOTE.generation), f(NOTE.pc), f(NOTE.sp), by);
    }
    if (noted > 0) i32[OFFSETS.noted >>> 2] = 0;
  }

  /** Forgets where goroutines were. */
  forget(): void {
    this.#pasts.clear();
    this.#inMemory.length = 0;
    for (const word of [OFFSETS.latest, OFFSETS.former, OFFSETS.noted]) this.#i32[word >>> 2] = 0;
    this.#i32[OFFSETS.pastsEnd >>> 2] = OFFSETS.pasts;
  }

  // The pending request

  get pending(): number {
    return this.#i32[OFFSETS.pending >>> 2]!;
  }

  set pending(count: number) {
    const i32 = this.#i32;
    i32[OFFSETS.pending >>> 2] = count;
    // Whoever turns it on and off elsewhere may not know that compiled code has done the opposite.
    const stop = i32[OFFSETS.stop >>> 2]!;
    if (stop !== 0) i32[stop >>> 2] = Number(count > 0);
  }

  /** Of the first one. */
  get pendingG(): number {
    return this.#f64[OFFSETS.pendingG >>> 3]!;
  }

  get pendingSince(): number {
    return this.#f64[OFFSETS.pendingSince >>> 3]!;
  }

  setPending(gp: number, since: number): void {
    this.#f64[OFFSETS.pendingG >>> 3] = gp;
    this.#f64[OFFSETS.pendingSince >>> 3] = since;
  }

  /** The word of the breakpoint at which requests are served; 0 where there is none. */
  set stop(at: number) {
    this.#i32[OFFSETS.stop >>> 2] = at;
  }

  /** A goroutine whose saved PC is this one has stopped at that kind of safe-point, if neither preempted asynchronously nor in a system call. */
  knowStopped(pc: number, kind: SafePointKind): void {
    const [f64, i32] = [this.#f64, this.#i32];
    const set = OFFSETS.stoppedPcs + STOPPED_SET * stoppedSet(pc);
    let at = set;
    for (let way = 0; way < STOPPED_SET; way += STOPPED_SIZE) {
      const there = f64[(set + way + STOPPED.pc) >>> 3]!;
      if (there !== 0 && there !== pc) continue;
      at = set + way;
      break;
    }
    f64[(at + STOPPED.pc) >>> 3] = pc;
    i32[(at + STOPPED.kind) >>> 2] = KINDS.indexOf(kind);
  }
}
