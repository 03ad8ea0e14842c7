// The compiler as the machine sees it: when what is compiled, how compiled code is run, and what is left for the next run.

import type { Compiler, CompilerParts, Left, MakeCompiler, Watched } from '../engine/compiler.ts';
import { type CodeBlock, HOTTEST } from '../engine/decode.ts';
import { hostMilliseconds } from '../engine/host-clock.ts';
import {
  DECIDED_CALL,
  DECIDED_STOP,
  LEFT_FLAG,
  REMAINING,
  STRETCH_END,
  TAKE_EVERY,
  TAKE_UNTIL,
  TAKEN,
  TAKEN_STRETCHES,
  WINDOW,
} from '../engine/layout.ts';
import { GuestFault } from '../engine/memory.ts';
import { numberOf, slotOf } from './bridges.ts';
import { Compiled, type CompilerStats } from './compiled.ts';
import { EXIT, type ExitKind } from './exits.ts';
import type { CodeStore } from './image.ts';
import type { Inside } from './inside.ts';
import { Maker } from './maker.ts';
import type { FunctionExtents } from './planner.ts';
import { POLICY, type Policy } from './policy.ts';

export type { CompilerStats } from './compiled.ts';

export interface CompilerOptions {
  readonly extents?: FunctionExtents | undefined;
  readonly policy?: Partial<Policy> | undefined;
  /** Has what earlier runs of the program compiled, and is given what this one does. */
  readonly store?: CodeStore | undefined;
  /** Takes interrupts within compiled code. Asked for when there is some. */
  readonly inside?: (() => Inside | undefined) | undefined;
  /** Receives the live counters. */
  readonly onStats?: ((stats: CompilerStats) => void) | undefined;
}

const REMAINING_WORD = REMAINING >>> 2;
const LEFT_WORD = LEFT_FLAG >>> 2;
const END_WORD = STRETCH_END >>> 2;
const WINDOW_WORD = WINDOW >>> 2;
const TAKEN_WORD = TAKEN >>> 2;
const TAKE_UNTIL_NUMBER = TAKE_UNTIL >>> 3;

/** Bridges that are made when the run is over. */
const MOST_BRIDGES = 1000;

class JitCompiler implements Compiler {
  readonly #parts: CompilerParts;
  readonly #policy: Policy;
  readonly #store: CodeStore | undefined;
  readonly #inside: () => Inside | undefined;
  readonly #compiled: Compiled;
  readonly #maker: Maker;
  readonly #stats: CompilerStats;
  #told = false;
  /** Arrivals so far. */
  #arrivals = 0;
  /** Something became urgent when it was too early for that. */
  #urgent = false;
  /** Addresses to be compiled. */
  #pending: number[] = [];
  /** The variant of code that was last looked for in the store. */
  #variant: string | undefined;
  readonly #began = hostMilliseconds();
  /** Instructions of the stretch under way that were left when compiled code was entered, and how many of them are for it. */
  #remaining = 0;
  #slice = 0;
  /** Of the stretch. */
  #window = 0;
  /** Stretches have begun since compiled code was entered. */
  #renewed = false;
  #watched: Watched | undefined;

  constructor(parts: CompilerParts, { extents, policy, store, inside, onStats }: CompilerOptions) {
    this.#parts = parts;
    this.#policy = { ...POLICY, ...policy };
    this.#store = store;
    this.#inside = inside ?? (() => undefined);
    const forgotten = (): void => {
      this.#pending = [];
    };
    this.#compiled = new Compiled(
      { parts, extents, policy: this.#policy, store, inside: this.#inside },
      this.#more,
      forgotten,
    );
    this.#maker = new Maker(parts, this.#policy, this.#compiled);
    this.#stats = this.#compiled.stats;
    onStats?.(this.#stats);
  }

  run(window: number): Left | undefined {
    const compiled = this.#compiled;
    const { host, exits, bridges } = compiled;
    if (host === undefined) return undefined;
    const { memory, state } = this.#parts;
    const { i32 } = memory;
    this.#window = window;
    /** Whether what is left of the run's budget did not suffice for the unit to go on. */
    let exhausted = false;
    for (;;) {
      if (this.#hasWork) this.#work();
      if (i32[REMAINING_WORD]! <= 0 || state.inSlot || (this.#renewed && !this.#keepsUp)) return undefined;
      const { pc } = state;
      const at = exhausted ? -1 : compiled.linked(pc);
      const place = at < 0 ? compiled.bridge(pc) : -1;
      // Where there is an entry, it is what is to be found there.
      if (place >= 0 && !(exhausted && compiled.entries.has(pc))) bridges.links.add(pc);
      if (at < 0 && place < 0) {
        bridges.want(pc, exhausted || bridges.wasInterrupted(pc));
        return undefined;
      }
      const slot = at < 0 ? slotOf(place) : i32[at]!;
      const number = at < 0 ? numberOf(place) : i32[at + 1]!;
      const budget = this.#begin();
      i32[LEFT_WORD] = 0;
      this.#renewed = false;
      this.#stats.enters++;
      let left = host.drive(slot, number, budget);
      this.#catchUp();
      const exit = i32[LEFT_WORD]!;
      let kind: ExitKind = EXIT.evaluator;
      if (exit > 0) {
        kind = exits.kind(exit);
        const undone = exits.undone(exit);
        left += undone;
        state.pc = exits.pc(exit);
        const watched = exits.watched(exit);
        this.#told = watched?.told === true;
        const block = watched?.block;
        if (block !== undefined) compiled.watch.leftAfter(block, block.count - undone);
        else if (kind === EXIT.budget) this.#learn(exit, undone);
        else if (kind === EXIT.breakpoint || kind === EXIT.syscall) this.#learnPassed(exit, kind, undone);
      }
      const slice = this.#slice;
      i32[REMAINING_WORD] = this.#remaining - (slice - left);
      if (kind === EXIT.syscall) return 'syscall';
      if (kind === EXIT.breakpoint) return 'breakpoint';
      if (kind === EXIT.switchPoint) this.#parts.code.knowSwitchPoint(state.pc);
      // A bridge is never exhausted before it has executed something.
      exhausted = kind === EXIT.budget && slice === this.#remaining;
      if (left === slice && !exhausted && !this.#renewed) return undefined;
      // Back by a jump to what is not compiled, or not in the jump cache: that is an arrival too. Where there is a bridge, it is somebody who
      // was interrupted and comes back.
      if (exit === 0 && compiled.linked(state.pc) < 0 && bridges.place(state.pc) < 0)
        this.#arriveFromCompiled(state.pc);
    }
  }

  /** Lets compiled code go on by itself at an exit by which it has left, the state being exact. */
  #learn(exit: number, undone: number): void {
    const { pc, epc } = this.#parts.state;
    const { flushes } = this.#stats;
    const place = this.#compiled.bridge(epc);
    // The bridge may turn out to be damaged: then the number means nothing any more.
    if (this.#stats.flushes === flushes) this.#compiled.exitPlaces.add(exit, undone, pc, epc, place);
  }

  /** The same at a breakpoint, or behind a system call, where compiled code may do by itself what is to be done. */
  #learnPassed(exit: number, kind: ExitKind, undone: number): void {
    const inside = this.#inside();
    const compiled = this.#compiled;
    const { pc } = this.#parts.state;
    if (inside === undefined || compiled.exitPlaces.has(exit)) return;
    if (kind === EXIT.breakpoint && inside.breakpoint !== pc) return;
    const { i32 } = this.#parts.memory;
    const { flushes } = this.#stats;
    const at = compiled.linked(pc);
    const place = at < 0 ? compiled.bridge(pc) : -1;
    if ((at < 0 && place < 0) || this.#stats.flushes !== flushes) return;
    const slot = at < 0 ? slotOf(place) : i32[at]!;
    const number = at < 0 ? numberOf(place) : i32[at + 1]!;
    compiled.exitPlaces.addPassed(exit, kind === EXIT.syscall ? DECIDED_CALL : DECIDED_STOP, undone, slot, number);
  }

  /** Takes over what compiled code has done by itself of interrupts. */
  #catchUp(): void {
    const { i32 } = this.#parts.memory;
    const taken = i32[TAKEN_WORD]!;
    if (taken === 0) return;
    i32[TAKEN_WORD] = 0;
    if ((taken & TAKEN_STRETCHES) !== 0) {
      this.#slice = i32[TAKE_EVERY >>> 2]!;
      this.#remaining = this.#slice;
      this.#window = 0;
      this.#renewed = true;
    }
    this.#parts.taken((taken & TAKEN_STRETCHES) !== 0);
  }

  /** Whether something is to be compiled, or dropped, before compiled code goes on. None of it may be running then. */
  get #hasWork(): boolean {
    const { settles, visitedBatch, bridgeBatch } = this.#policy;
    const { damaged, visits, bridges } = this.#compiled;
    return (
      damaged || this.#parts.flags.followed >= settles || visits.due(visitedBatch) || bridges.pressing >= bridgeBatch
    );
  }

  #work(): void {
    const compiled = this.#compiled;
    const { settles, visitedBatch, bridgeBatch } = this.#policy;
    if (compiled.damaged) compiled.dropDamaged();
    if (this.#parts.flags.followed >= settles) compiled.makeSettler(false);
    if (compiled.visits.due(visitedBatch)) this.#maker.makeFast();
    if (compiled.bridges.pressing >= bridgeBatch) this.#maker.compilePressing();
  }

  /** Prepares what compiled code looks at: for how many instructions it may be entered. */
  #begin(): number {
    const { memory } = this.#parts;
    const { i32 } = memory;
    const remaining = i32[REMAINING_WORD]!;
    const slice = Math.min(remaining, this.#policy.slice);
    this.#remaining = remaining;
    this.#slice = slice;
    const end = this.#parts.now() + slice;
    i32[END_WORD] = end | 0;
    i32[END_WORD + 1] = Math.floor(end / 2 ** 32);
    memory.f64[TAKE_UNTIL_NUMBER] = slice === remaining ? this.#parts.takesUntil() : 0;
    const near = Math.max(this.#window - (remaining - slice), 0);
    i32[WINDOW_WORD] = near - 1;
    i32[WINDOW_WORD + 1] = near - 2;
    return slice;
  }

  /** Compiled code is at the end of its budget: for how many instructions it may go on, the next stretch having begun. */
  readonly #more = (place: number): number => {
    const { i32 } = this.#parts.memory;
    this.#catchUp();
    if (place > 0) this.#compiled.exitPlaces.decide(place);
    i32[REMAINING_WORD] = this.#remaining - this.#slice;
    if (i32[REMAINING_WORD]! > 0 || this.#parts.nextStretch() === 0) return 0;
    this.#renewed = true;
    this.#window = 0;
    if (!this.#hasWork && this.#keepsUp) return this.#begin();
    this.#remaining = i32[REMAINING_WORD]!;
    this.#slice = 0;
    return 0;
  };

  /** Whether compiled code can go on where the thread stands by now, and does what is watched. */
  get #keepsUp(): boolean {
    if (this.#parts.state.inSlot) return false;
    const watched = this.#watched;
    if (watched === undefined || this.#compiled.watch.isCurrent(watched)) return true;
    const { flushes } = this.#stats;
    return this.watch(watched) && this.#stats.flushes === flushes;
  }

  watch(watched: Watched): boolean {
    const compiled = this.#compiled;
    const { watch } = compiled;
    this.#watched = watched;
    let possible = true;
    if (!watch.isCurrent(watched)) {
      const update = watch.update(watched, (page) => compiled.isFrom(page));
      if (update.stale) compiled.flush();
      possible = update.possible;
      const inside = this.#inside();
      if (inside?.breakpoint !== undefined) inside.setStop(watch.wordOf(inside.breakpoint));
    }
    if (this.#store !== undefined && watch.variant !== this.#variant) this.#lookUp(this.#store);
    return possible;
  }

  /** Takes over what the store has for what is watched now. */
  #lookUp(store: CodeStore): void {
    const compiled = this.#compiled;
    const { variant } = compiled.watch;
    this.#variant = variant;
    if (variant === undefined) return;
    const began = hostMilliseconds();
    const image = store.load(compiled.nameOf(variant));
    if (image !== undefined && image.held > compiled.held) {
      if (compiled.held > 0) compiled.flush();
      compiled.adopt(image);
    }
    this.#stats.milliseconds += hostMilliseconds() - began;
  }

  keep(working?: () => void): void {
    const store = this.#store;
    if (store === undefined) return;
    try {
      this.#maker.forLater(working, () => this.#keep(store, working));
    } catch (error) {
      // Something that was made for later runs may have an entry, and is not there.
      this.#compiled.flush();
      throw error;
    }
  }

  #keep(store: CodeStore, working: (() => void) | undefined): void {
    const compiled = this.#compiled;
    const maker = this.#maker;
    const { bridges, modules } = compiled;
    const { variant } = compiled.watch;
    if (variant === undefined) return;
    if (compiled.damaged) compiled.dropDamaged();
    const time = hostMilliseconds() - this.#began;
    const { restArrivals, restShare, nativeShare, keepLeast, packInstructions } = this.#policy;
    const until = (share: number): number => hostMilliseconds() + Math.max(time * share, keepLeast);
    const lacking = this.#arrivals >= restArrivals;
    if (lacking) this.#makeRoom(store);
    maker.makeFast(until(restShare));
    if (lacking) maker.compileRest(until(restShare));
    // What a run finds compiled tells where it leaves that; in the first one most was not compiled yet.
    if (this.#stats.restored > 0) maker.compileBridges(bridges.takeAll().slice(0, MOST_BRIDGES), until(restShare));
    if (this.#parts.flags.followed > 0) compiled.makeSettler(true);
    const learnt = [compiled.exitPlaces, compiled.entries.links, bridges.links].some(({ isNews }) => isNews);
    if (!compiled.news && !learnt && !modules.unoptimised()) return;
    const inUse = compiled.slotsInUse();
    if (compiled.news) modules.pack(inUse, packInstructions);
    const image = compiled.image();
    // Nothing is executed any more, and the host's optimising compiler needs the room.
    compiled.forget();
    modules.retire();
    this.#makeRoom(store);
    const optimised = modules.optimise(inUse, until(nativeShare), working);
    const used = modules.used(inUse);
    const held = used.reduce((sum, { instructions }) => sum + instructions, 0);
    if (compiled.news || learnt || optimised) store.save(compiled.nameOf(variant), { ...image, modules: used, held });
    compiled.news = false;
    modules.clear();
  }

  /** Gives back what only executing needs, and compiling has left behind: the first run of a large program has filled the memory with it. */
  #makeRoom(store: CodeStore): void {
    if (this.#stats.instructions < this.#policy.roomInstructions) return;
    this.#parts.code.forgetInstructions();
    store.native?.makeRoom();
  }

  interruptedAt(pc: number): void {
    this.#compiled.bridges.interruptedAt(pc);
  }

  takeTold(): boolean {
    const told = this.#told;
    this.#told = false;
    return told;
  }

  settle(): void {
    this.#compiled.watch.settle();
  }

  #arriveFromCompiled(pc: number): void {
    if (pc % this.#parts.isa.quantum !== 0) return;
    try {
      // Where a thread was interrupted, or the guest's runtime preempted it, it comes back to: an entry there would cost a loop more than this.
      if (this.#parts.code.isSwitchPoint(pc) || this.#compiled.bridges.wasInterrupted(pc)) return;
      if (this.arrived(pc, this.#parts.code.block(pc))) return;
      const { planner } = this.#compiled;
      const function_ = planner.function(planner.extentOf(pc).start);
      if (function_ === undefined) return;
      // Its function is compiled: this is the target of a switch, or was cold until now, and becomes an entry, so that the code that
      // came here finds the new one.
      const jumps = (function_.jumps.get(pc) ?? 0) + 1;
      function_.jumps.set(pc, jumps);
      const { jumpThreshold } = this.#policy;
      if (jumps === jumpThreshold) {
        function_.also.push(pc);
        this.#pending.push(pc);
      }
      if (jumps === 4 * jumpThreshold) this.#maker.compile(this.#takePending(0));
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
    }
  }

  arrived(pc: number, block: CodeBlock): boolean {
    const index = this.#parts.code.index(pc);
    const heat = block.heat[index]!;
    if (heat < 0) return true;
    if (heat < HOTTEST) block.heat[index] = heat + 1;
    this.#arrivals++;
    const { threshold, urgent, batchAddresses, warmUp } = this.#policy;
    if (heat + 1 < threshold) return false;
    if (heat + 1 === threshold) this.#pending.push(pc);
    const isUrgent = heat + 1 === urgent;
    if (this.#arrivals < warmUp) {
      this.#urgent ||= isUrgent;
      return false;
    }
    if (isUrgent || this.#urgent) {
      this.#urgent = false;
      this.#maker.compile(this.#takePending(Math.min(threshold, urgent >> 1)));
    }
    if (this.#pending.length >= batchAddresses) this.#maker.compile(this.#takePending(0));
    return block.heat[index]! < 0;
  }

  /** The addresses to be compiled that are arrived at so often, the last ones first. */
  #takePending(atLeast: number): number[] {
    const taken: number[] = [];
    const left: number[] = [];
    for (const pc of this.#pending.reverse()) (this.#compiled.planner.heatOf(pc) >= atLeast ? taken : left).push(pc);
    this.#pending = left.reverse();
    return taken;
  }

  invalidate(page: number): void {
    if (this.#compiled.isFrom(page)) this.#compiled.flush();
  }

  met(block: CodeBlock): void {
    this.#compiled.entries.met(block);
  }
}

/** A compiler for a machine: `new Machine(isa, { limit, compiler: jit() })`. */
export const jit =
  (options: CompilerOptions = {}): MakeCompiler =>
  (parts) =>
    new JitCompiler(parts, options);
