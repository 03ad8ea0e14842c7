// The compiler as the machine sees it: what to compile when, where compiled code is found, and how it is left behind when code changes.

import { crc32 } from 'node:zlib';
import type { Compiler, CompilerParts, Left, MakeCompiler, Watched } from '../engine/compiler.ts';
import { type CodeBlock, HOTTEST } from '../engine/decode.ts';
import { hostMilliseconds } from '../engine/host-clock.ts';
import { BLOCK_SIZE, FLAGS_SETTLER, LEFT_FLAG, PAGE_SIZE, REMAINING, STRETCH_END, WINDOW } from '../engine/layout.ts';
import { GuestFault } from '../engine/memory.ts';
import type { Block, Extent } from './blocks.ts';
import { Bridges, numberOf, placeIn, slotOf } from './bridges.ts';
import { Coverage } from './coverage.ts';
import { Entries } from './entries.ts';
import { EXIT, type ExitKind, Exits } from './exits.ts';
import { type HostSide, hostImage, hostSide } from './host-side.ts';
import { CodeDamaged, type CodeImage, type CodeStore, type HostImage } from './image.ts';
import { bodyOf, moduleOf, settlerModule, usagesOf } from './making.ts';
import { type MadeUnit, Modules } from './modules.ts';
import type { Plan } from './plan.ts';
import { type FunctionExtents, Planner } from './planner.ts';
import { POLICY, type Policy } from './policy.ts';
import { helpers, type MissCounts } from './runtime.ts';
import type { Usages } from './usage.ts';
import { NO_FUNCTION, VisitCounts } from './visits.ts';
import { CacheFull, Watch } from './watch.ts';

/** What the compiler has done. */
export interface CompilerStats {
  modules: number;
  units: number;
  instructions: number;
  /** Bytes of WebAssembly. */
  bytes: number;
  /** Milliseconds spent compiling, the host's part of it included. */
  milliseconds: number;
  flushes: number;
  /** Guest instructions that an earlier run had compiled. */
  restored: number;
  /** Entries into compiled code from outside. */
  enters: number;
  misses: MissCounts;
}

export interface CompilerOptions {
  readonly extents?: FunctionExtents | undefined;
  readonly policy?: Partial<Policy> | undefined;
  /** Has what earlier runs of the program compiled, and is given what this one does. */
  readonly store?: CodeStore | undefined;
  /** Receives the live counters. */
  readonly onStats?: ((stats: CompilerStats) => void) | undefined;
}

/** Bridges that are made at once. */
const MOST_BRIDGES = 1000;

/** What is to be compiled, by start of the function: where it was arrived at, or is entered already and to be compiled `again`. */
type Wanted = Map<number, { readonly extent: Extent; readonly pcs: number[]; readonly again: boolean }>;

class JitCompiler implements Compiler {
  readonly #parts: CompilerParts;
  readonly #policy: Policy;
  #knownUsages: Usages | undefined;
  readonly #watch: Watch;
  /** Made when there is something to compile. */
  #host: HostSide | undefined;
  /** Its machine code, where an earlier run kept that. */
  #hostImage: HostImage | undefined;
  readonly #memoryPages: number;
  readonly stats: CompilerStats = {
    modules: 0,
    units: 0,
    instructions: 0,
    bytes: 0,
    milliseconds: 0,
    flushes: 0,
    restored: 0,
    enters: 0,
    misses: { loads: 0, stores: 0 },
  };
  readonly #entries: Entries;
  readonly #planner: Planner;
  readonly #visits: VisitCounts;
  readonly #bridges: Bridges;
  /** Guest instructions that the modules hold. */
  #held = 0;
  readonly #exits = new Exits();
  #told = false;
  /** Arrivals so far. */
  #arrivals = 0;
  /** Addresses to be compiled. */
  #pending: number[] = [];
  /** Pages that compiled code came from. */
  readonly #pages = new Set<number>();
  readonly #store: CodeStore | undefined;
  readonly #modules: Modules;
  readonly #coverage = new Coverage();
  /** The variant of code that was last looked for in the store. */
  #variant: string | undefined;
  /** The slot of what computes flags, negative where there is nothing. */
  #settler = -1;
  /** Something was compiled that the store does not have. */
  #news = false;
  /** Something of what was taken over cannot be used: all of it is to be dropped when none of it is running. */
  #damaged = false;
  readonly #began = hostMilliseconds();
  /** The run is over: what is made now is to be kept, and nothing of it will be called. */
  #over = false;
  /** Who wants to know, while code is made to be kept, that some of it has been. */
  #working: (() => void) | undefined;

  constructor(parts: CompilerParts, options: CompilerOptions) {
    this.#parts = parts;
    this.#policy = { ...POLICY, ...options.policy };
    this.#store = options.store;
    this.#modules = new Modules(
      () => this.#hostSide(),
      (units) => moduleOf(parts.isa, this.#memoryPages, units),
      options.store,
    );
    const { isa, memory, code } = parts;
    this.#entries = new Entries(isa, memory.i32, code, (slot) => this.#modules.sleeps(slot));
    this.#visits = new VisitCounts(memory.i32, this.#policy.visits);
    this.#bridges = new Bridges(this.#policy.bridgeThreshold, this.#policy.exactThreshold);
    this.#watch = new Watch(memory);
    this.#planner = new Planner({
      parts,
      extents: options.extents,
      policy: this.#policy,
      usages: () => this.#usages,
      watch: this.#watch,
      coverage: this.#coverage,
      entries: this.#entries,
    });
    this.#memoryPages = memory.wasm.buffer.byteLength / 65536;
    memory.i32[FLAGS_SETTLER >>> 2] = -1;
    options.onStats?.(this.stats);
  }

  get #usages(): Usages {
    const { isa, flags } = this.#parts;
    this.#knownUsages ??= usagesOf(isa.registers, flags);
    return this.#knownUsages;
  }

  #hostSide(): HostSide {
    if (this.#host === undefined) {
      const { memory, isa } = this.#parts;
      const own = helpers(
        isa.variant,
        memory,
        this.stats.misses,
        this.#settle,
        (n) => this.#watch.tell(n),
        this.#visits.tell,
      );
      const kept = { native: this.#store?.native, image: this.#hostImage };
      this.#host = hostSide(this.#parts, this.#memoryPages, own as WebAssembly.ModuleImports, kept);
      // What the host does not accept is made anew.
      if (!this.#host.restored) this.#hostImage = undefined;
    }
    return this.#host;
  }

  // Flags

  /** What is left to the host of computing flags. */
  readonly #settle = (): void => {
    const { flags } = this.#parts;
    if (!this.#modules.sleeps(this.#settler)) {
      flags.settleBySteps();
      return;
    }
    if (!this.#awake(this.#settler)) {
      // The rest is dropped later: compiled code may be running.
      this.#settler = -1;
      this.#damaged = true;
    }
    this.#useSettler();
    if (this.#settler >= 0) this.#hostSide().flags();
    else flags.settleBySteps();
  };

  /** Makes what computes flags, for all recipes that there are by now. */
  #makeSettler(): void {
    const { isa, flags } = this.#parts;
    const began = hostMilliseconds();
    const firstSlot = this.#modules.slots;
    this.#modules.addFunction(settlerModule(isa, this.#memoryPages, firstSlot, flags.lists()), this.#over);
    this.#settler = firstSlot;
    this.#useSettler();
    flags.followed = 0;
    this.#news = true;
    this.stats.milliseconds += hostMilliseconds() - began;
  }

  #useSettler(): void {
    const { memory, flags } = this.#parts;
    const there = this.#settler >= 0;
    memory.i32[FLAGS_SETTLER >>> 2] = there && !this.#modules.sleeps(this.#settler) ? this.#settler : -1;
    flags.settleWith(there ? this.#hostSide().flags : undefined);
  }

  run(window: number): Left | undefined {
    const host = this.#host;
    if (host === undefined) return undefined;
    const { memory, state, now } = this.#parts;
    if (this.#damaged) this.#dropDamaged();
    if (this.#parts.flags.followed >= this.#policy.settles) this.#makeSettler();
    if (this.#visits.due(this.#policy.visitedBatch)) this.#makeFast();
    if (this.#bridges.pressing >= this.#policy.bridgeBatch) this.#compilePressing();
    const { i32 } = memory;
    const remainingWord = REMAINING >>> 2;
    const leftWord = LEFT_FLAG >>> 2;
    const endWord = STRETCH_END >>> 2;
    const windowWord = WINDOW >>> 2;
    /** Whether what is left of the run's budget did not suffice for the unit to go on. */
    let exhausted = false;
    for (;;) {
      const remaining = i32[remainingWord]!;
      if (remaining <= 0) return undefined;
      const { pc } = state;
      const at = exhausted ? -1 : this.#linked(pc);
      const place = at < 0 ? this.#bridge(pc) : -1;
      if (at < 0 && place < 0) {
        this.#bridges.want(pc, exhausted);
        return undefined;
      }
      const slot = at < 0 ? slotOf(place) : i32[at]!;
      const number = at < 0 ? numberOf(place) : i32[at + 1]!;
      const slice = Math.min(remaining, this.#policy.slice);
      const end = now() + slice;
      i32[endWord] = end | 0;
      i32[endWord + 1] = Math.floor(end / 2 ** 32);
      const near = Math.max(window - (remaining - slice), 0);
      i32[windowWord] = near - 1;
      i32[windowWord + 1] = near - 2;
      i32[leftWord] = 0;
      this.stats.enters++;
      let left = host.drive(slot, number, slice);
      const exit = i32[leftWord]!;
      let kind: ExitKind = EXIT.evaluator;
      if (exit !== 0) {
        kind = this.#exits.kind(exit);
        const undone = this.#exits.undone(exit);
        left += undone;
        state.pc = this.#exits.pc(exit);
        const watched = this.#exits.watched(exit);
        this.#told = watched?.told === true;
        const block = watched?.block;
        if (block !== undefined) this.#watch.leftAfter(block, block.count - undone);
      }
      i32[remainingWord] = remaining - (slice - left);
      if (kind === EXIT.syscall) return 'syscall';
      if (kind === EXIT.breakpoint) return 'breakpoint';
      if (kind === EXIT.switchPoint) this.#parts.code.knowSwitchPoint(state.pc);
      // A bridge is never exhausted before it has executed something.
      exhausted = kind === EXIT.budget && slice === remaining;
      if (left === slice && !exhausted) return undefined;
      // Back by a jump to what is not compiled, or not in the jump cache: that is an arrival too. Where there is a bridge, it is somebody who
      // was interrupted and comes back.
      if (exit === 0 && this.#linked(state.pc) < 0 && this.#bridges.place(state.pc) < 0)
        this.#arriveFromCompiled(state.pc);
    }
  }

  /** The word at which slot and number of the entry at `pc` stand, whose unit is there; negative where there is none. */
  #linked(pc: number): number {
    const at = this.#entries.linked(pc);
    if (at >= 0) return at;
    const entry = this.#entries.get(pc);
    if (entry === undefined) return -1;
    if (!this.#awake(entry.slot)) {
      this.#dropDamaged();
      return -1;
    }
    this.#entries.link(pc, entry);
    return this.#entries.linked(pc);
  }

  /** The place in an exact bridge that stands for `pc`, whose unit is there; negative where there is none. */
  #bridge(pc: number): number {
    const place = this.#bridges.place(pc);
    if (place < 0 || this.#awake(slotOf(place))) return place;
    this.#dropDamaged();
    return -1;
  }

  watch(watched: Watched): boolean {
    let possible = true;
    if (!this.#watch.isCurrent(watched)) {
      const update = this.#watch.update(watched, (page) => this.#pages.has(page));
      if (update.stale) this.flush();
      possible = update.possible;
    }
    if (this.#store !== undefined && this.#watch.variant !== this.#variant) this.#lookUp(this.#store);
    return possible;
  }

  /** Takes over what the store has for what is watched now. */
  #lookUp(store: CodeStore): void {
    const { variant } = this.#watch;
    this.#variant = variant;
    if (variant === undefined) return;
    const began = hostMilliseconds();
    const image = store.load(this.#variantName(variant));
    if (image !== undefined && image.held > this.#held) {
      if (this.#held > 0) this.flush();
      this.#adopt(image);
    }
    this.stats.milliseconds += hostMilliseconds() - began;
  }

  /** The layout of the one memory is part of all code. */
  #variantName(variant: string): string {
    return `${this.#memoryPages} ${variant}`;
  }

  /** Begins with the code of another run, unless it was made from other bytes. */
  #adopt(image: CodeImage): void {
    const { memory, flags } = this.#parts;
    try {
      const { pages, pageSums } = image;
      for (let i = 0; i < pages.length; i++)
        if (crc32(memory.compiledPage(pages[i]! * PAGE_SIZE)) !== pageSums[i]) return;
    } catch (error) {
      if (error instanceof GuestFault) return;
      throw error;
    }
    if (!flags.adopt(image.flags)) return;
    this.#hostImage = image.host;
    this.#modules.adopt(image.modules, image.slots);
    this.#settler = image.settler;
    this.#useSettler();
    this.#held = image.held;
    this.stats.restored += image.held;
    for (const page of image.pages) this.#pages.add(page);
    this.#coverage.adopt(image.blocks, image.blockSizes);
    this.#planner.adopt(image);
    this.#visits.adopt(image.starts);
    this.#exits.adopt(image.exits);
    this.#entries.adopt(image);
    this.#bridges.adopt(image);
    this.#news = false;
  }

  /** Makes the module of a slot, unless it is there; whether it can be made. */
  #awake(slot: number): boolean {
    if (!this.#modules.sleeps(slot)) return true;
    const began = hostMilliseconds();
    try {
      this.#modules.awake(slot);
      return true;
    } catch (error) {
      if (!(error instanceof CodeDamaged)) throw error;
      return false;
    } finally {
      this.stats.milliseconds += hostMilliseconds() - began;
    }
  }

  /** Forgets what was taken over, and has the store forget it when the run is over. */
  #dropDamaged(): void {
    this.flush();
    this.#damaged = false;
    this.#news = true;
  }

  keep(working?: () => void): void {
    this.#working = working;
    this.#over = true;
    try {
      this.#keep();
    } catch (error) {
      // Something that was made for later runs may have an entry, and is not there.
      this.flush();
      throw error;
    } finally {
      this.#over = false;
      this.#working = undefined;
    }
  }

  #keep(): void {
    const store = this.#store;
    const { variant } = this.#watch;
    if (store === undefined || variant === undefined) return;
    if (this.#damaged) this.#dropDamaged();
    const time = hostMilliseconds() - this.#began;
    const { restArrivals, restVisits, restShare, nativeShare, keepLeast, packInstructions } = this.#policy;
    const until = (share: number): number => hostMilliseconds() + Math.max(time * share, keepLeast);
    this.#makeFast(until(restShare), restVisits);
    if (this.#arrivals >= restArrivals) {
      this.#makeRoom(store);
      this.#compileRest(until(restShare));
    }
    // What a run finds compiled tells where it leaves that; in the first one most was not compiled yet.
    if (this.stats.restored > 0) this.#compileBridges(this.#bridges.takeAll().slice(0, MOST_BRIDGES), until(restShare));
    if (this.#parts.flags.followed > 0) this.#makeSettler();
    if (!this.#news && !this.#modules.unoptimised()) return;
    const inUse = this.#entries.slots().add(this.#settler);
    for (const slot of this.#bridges.slots()) inUse.add(slot);
    if (this.#news) this.#modules.pack(inUse, packInstructions);
    const image = this.#image();
    // Nothing is executed any more, and the host's optimising compiler needs the room.
    this.#forget();
    this.#modules.retire();
    this.#makeRoom(store);
    const optimised = this.#modules.optimise(inUse, until(nativeShare), this.#working);
    const modules = this.#modules.used(inUse);
    const held = modules.reduce((sum, { instructions }) => sum + instructions, 0);
    if (this.#news || optimised) store.save(this.#variantName(variant), { ...image, modules, held });
    this.#news = false;
    this.#modules.clear();
  }

  /** Gives back what only executing needs, and compiling has left behind: the first run of a large program has filled the memory with it. */
  #makeRoom(store: CodeStore): void {
    if (this.stats.instructions < this.#policy.packInstructions) return;
    this.#parts.code.forgetInstructions();
    store.native?.makeRoom();
  }

  /** Compiles what was executed but not often enough for the sake of this run, `until` it is so late. */
  #compileRest(until: number): void {
    const { code, isa } = this.#parts;
    const pcs: number[] = [];
    for (const block of code.blocks()) {
      const { heat } = block;
      for (let i = 0; i < heat.length; i++) {
        if (heat[i]! <= 0) continue;
        pcs.push(block.number * BLOCK_SIZE + i * isa.quantum);
      }
    }
    // What is held in the middle of a block was come back to: no reason to cut the block.
    const rest = this.#coverage.lacks(pcs).sort((a, b) => this.#planner.heatOf(b) - this.#planner.heatOf(a));
    if (rest.length > 0 && this.#held <= this.#policy.cacheInstructions) this.#compile(rest, until);
  }

  /** Compiles the bridges that are pressing, but for where it is arrivals that say that something is to be compiled. */
  #compilePressing(): void {
    const pcs = this.#bridges.takePressing();
    const lacking = new Set(this.#coverage.lacks(pcs));
    this.#compileBridges(pcs.filter((pc) => !lacking.has(pc) || this.#planner.heatOf(pc) === 0));
  }

  /**
   * Compiles the ways from where the evaluator took over to the next entries, `until` it is so late: the next run of the program comes by
   * the same places. They are units of their own, because entries there would cost the functions more than they save.
   */
  #compileBridges(pcs: readonly number[], until = Number.POSITIVE_INFINITY): void {
    if (this.#held > this.#policy.cacheInstructions) return;
    const began = hostMilliseconds();
    let plans: Plan[] = [];
    let size = 0;
    // What is interrupted in the middle of one that is exact goes on by it.
    const exactFirst = [...pcs].sort(
      (a, b) => Number(this.#bridges.wantsExact(b)) - Number(this.#bridges.wantsExact(a)),
    );
    /** Where what is made now can be entered. */
    const made = new Set<number>();
    const has = (pc: number): boolean => made.has(pc) || this.#bridges.place(pc) >= 0;
    for (const pc of exactFirst) {
      const exact = this.#bridges.wantsExact(pc);
      if (has(pc) || (!exact && this.#entries.has(pc))) continue;
      for (const bridge of exact ? this.#planner.exactBridges(pc, has) : this.#planner.bridges(pc)) {
        if (exact) for (const entry of bridge.entries) made.add(entry);
        plans.push(bridge);
        size += bridge.instructions;
      }
      if (size < this.#policy.batchInstructions) continue;
      const room = this.#build(plans);
      plans = [];
      size = 0;
      if (!room || hostMilliseconds() > until) break;
    }
    this.#build(plans);
    this.stats.milliseconds += hostMilliseconds() - began;
  }

  /** What there is to keep, but for the modules. */
  #image(): Omit<CodeImage, 'modules' | 'held'> {
    const { memory, flags } = this.#parts;
    // In order, which is how a file is best looked through.
    const pages = [...this.#pages].sort((a, b) => a - b);
    const blocks = this.#coverage.all();
    return {
      host: this.#hostImage ?? hostImage(this.#parts.isa, this.#memoryPages, this.#store?.native),
      slots: this.#modules.slots,
      settler: this.#settler,
      ...this.#entries.all(),
      ...this.#bridges.all(),
      ...this.#planner.all(),
      exits: this.#exits.all(),
      blocks: blocks.starts,
      blockSizes: blocks.sizes,
      starts: this.#visits.all(this.#modules.slots),
      pages: Float64Array.from(pages),
      pageSums: Uint32Array.from(pages, (page) => crc32(memory.compiledPage(page * PAGE_SIZE))),
      flags: flags.numbered(),
    };
  }

  takeTold(): boolean {
    const told = this.#told;
    this.#told = false;
    return told;
  }

  settle(): void {
    this.#watch.settle();
  }

  #arriveFromCompiled(pc: number): void {
    if (pc % this.#parts.isa.quantum !== 0) return;
    try {
      // Where the guest's runtime was preempted it comes back to: an entry at the end of a loop would cost the loop more than this branch.
      if (this.#parts.code.isSwitchPoint(pc)) return;
      if (this.arrived(pc, this.#parts.code.block(pc))) return;
      const function_ = this.#planner.function(this.#planner.extentOf(pc).start);
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
      if (jumps === 4 * jumpThreshold) this.#compile(this.#takePending(0));
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
    if (this.#arrivals < warmUp) return false;
    if (heat + 1 === urgent || (heat > urgent && this.stats.modules === 0))
      this.#compile(this.#takePending(Math.min(threshold, urgent >> 1)));
    else if (this.#pending.length >= batchAddresses) this.#compile(this.#takePending(0));
    return block.heat[index]! < 0;
  }

  /** The addresses to be compiled that are arrived at so often, the last ones first. */
  #takePending(atLeast: number): number[] {
    const taken: number[] = [];
    const left: number[] = [];
    for (const pc of this.#pending.reverse()) (this.#planner.heatOf(pc) >= atLeast ? taken : left).push(pc);
    this.#pending = left.reverse();
    return taken;
  }

  invalidate(page: number): void {
    if (this.#pages.has(page)) this.flush();
  }

  /** Forgets all compiled code. None of it is running: a store to code leaves it first. */
  flush(): void {
    this.stats.flushes++;
    this.#forget();
    this.#modules.clear();
    this.#news = false;
  }

  /** Forgets where there is compiled code, and what is known of it. */
  #forget(): void {
    this.#held = 0;
    this.#entries.clear();
    this.#bridges.clear();
    this.#exits.clear();
    this.#watch.clear();
    this.#pending = [];
    this.#visits.clear();
    this.#planner.clear();
    this.#pages.clear();
    this.#coverage.clear();
    this.#settler = -1;
    this.#useSettler();
  }

  #exit(kind: ExitKind, pc: number, block: Block, executed: number, told: boolean): number {
    const undone = block.count - executed;
    return this.#exits.add(kind, pc, undone, { told, block: this.#watch.counts && undone > 0 ? block : undefined });
  }

  // Compiling

  /** Compiles the functions of some addresses and those that they call, in modules of a certain size, `until` it is so late. */
  #compile(pcs: readonly number[], until = Number.POSITIVE_INFINITY): void {
    const began = hostMilliseconds();
    if (this.#held > this.#policy.cacheInstructions) this.flush();
    /** By start of the function: it may have been arrived at in its middle, in several places, and call itself. */
    const wanted: Wanted = new Map();
    const want = (pc: number): void => {
      const { start, extent } = this.#planner.extentOf(pc);
      const found = wanted.get(start);
      if (found === undefined) wanted.set(start, { extent, pcs: [pc], again: false });
      else found.pcs.push(pc);
    };
    for (const pc of pcs) if (!this.#entries.has(pc)) want(pc);
    this.#compileWanted(wanted, want, until);
    this.stats.milliseconds += hostMilliseconds() - began;
  }

  /** Compiles functions, and what `want` adds to them meanwhile. */
  #compileWanted(wanted: Wanted, want: (pc: number) => void, until: number): void {
    let plans: Plan[] = [];
    let size = 0;
    // A map is gone through in the order of insertion, with what is inserted meanwhile.
    for (const [start, { extent, pcs, again }] of wanted) {
      const made = this.#planner.plans(start, extent, pcs, again);
      plans.push(...made);
      for (const { instructions } of made) size += instructions;
      if (size > this.#policy.batchInstructions) {
        if (!this.#build(plans)) break;
        plans = [];
        size = 0;
        if (hostMilliseconds() > until) break;
      } else
        for (const callee of made.flatMap((each) => this.#planner.callees(each)))
          if (!wanted.has(this.#planner.extentOf(callee).start)) want(callee);
    }
    this.#build(plans);
  }

  /** Compiles what was visited often again, `until` it is so late; with `least`, all that was visited so often. */
  #makeFast(until = Number.POSITIVE_INFINITY, least?: number): void {
    const began = hostMilliseconds();
    const wanted: Wanted = new Map();
    for (const start of this.#visits.take(least)) {
      const function_ = this.#planner.function(start);
      if (function_ === undefined || function_.fast) continue;
      function_.fast = true;
      const pcs = this.#entries.of((slot) => this.#visits.isIn(slot, start));
      wanted.set(start, { extent: this.#planner.extentOf(start).extent, pcs, again: true });
    }
    if (wanted.size === 0) return;
    this.#compileWanted(wanted, () => undefined, until);
    this.stats.milliseconds += hostMilliseconds() - began;
  }

  /** Makes a module of some units; whether there was room. */
  #build(plans: readonly Plan[]): boolean {
    if (plans.length === 0) return true;
    try {
      this.#makeModule(plans);
      if (this.#over) this.#parts.code.forgetInstructions();
      this.#working?.();
      return true;
    } catch (error) {
      if (!(error instanceof CacheFull)) throw error;
      this.flush();
      this.#entries.forgetCells();
      return false;
    }
  }

  #makeModule(plans: readonly Plan[]): void {
    const { isa } = this.#parts;
    const links = {
      cell: (pc: number) => this.#entries.cell(pc),
      exit: (kind: ExitKind, pc: number, block: Block, executed: number, told: boolean) =>
        this.#exit(kind, pc, block, executed, told),
    };
    const firstSlot = this.#modules.slots;
    /** What a bridge is of is no business of the planner's. */
    const functionOf = (p: Plan) => (p.exact ? undefined : this.#planner.function(p.start));
    const units = plans.map((p, i): MadeUnit => {
      const slot = firstSlot + i;
      const function_ = functionOf(p);
      const visits = function_?.fast === true ? undefined : this.#visits.of(slot);
      const body = bodyOf(isa, this.#usages, p, links, this.#watch, visits);
      const common = function_?.adopted === true;
      return {
        slot,
        start: p.exact ? undefined : p.start,
        body,
        instructions: p.instructions,
        fast: visits === undefined,
        common,
      };
    });
    const bytes = this.#modules.add(units, this.#over);
    const instructions = plans.reduce((sum, p) => sum + p.instructions, 0);
    for (const [i, p] of plans.entries()) {
      const slot = firstSlot + i;
      this.#visits.fill(slot, functionOf(p) === undefined ? NO_FUNCTION : p.start);
      for (const [k, pc] of p.entries.entries()) {
        if (p.exact) this.#bridges.add(pc, placeIn(slot, k + 1));
        if (!p.exact || (pc === p.start && !this.#entries.has(pc))) this.#entries.add(pc, { slot, number: k + 1 });
      }
      for (const block of p.blocks) {
        // Each instruction of a bridge that is exact would be one.
        if (!p.exact) this.#coverage.add(block);
        for (const item of block.items) {
          this.#pages.add(Math.floor(item.pc / PAGE_SIZE));
          this.#pages.add(Math.floor((item.pc + item.instruction.length + (item.slot?.length ?? 0) - 1) / PAGE_SIZE));
        }
      }
    }
    this.#news = true;
    this.#held += instructions;
    this.stats.modules++;
    this.stats.units += plans.length;
    this.stats.instructions += instructions;
    this.stats.bytes += bytes;
  }

  met(block: CodeBlock): void {
    this.#entries.met(block);
  }
}

/** A compiler for a machine: `new Machine(isa, { limit, compiler: jit() })`. */
export const jit =
  (options: CompilerOptions = {}): MakeCompiler =>
  (parts) =>
    new JitCompiler(parts, options);
