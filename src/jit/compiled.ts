// All compiled code of one machine: made of plans, taken over from another run, found by address and exit, handed on to the next run, and
// forgotten. Nothing here decides what is compiled, or when.

import { checksum } from '../engine/checksum.ts';
import type { CompilerParts } from '../engine/compiler.ts';
import { hostMilliseconds } from '../engine/host-clock.ts';
import { FLAGS_SETTLER, PAGE_SIZE } from '../engine/layout.ts';
import { GuestFault } from '../engine/memory.ts';
import type { Block } from './blocks.ts';
import { Bridges, placeIn, slotOf } from './bridges.ts';
import { Coverage } from './coverage.ts';
import { Entries } from './entries.ts';
import { ExitPlaces } from './exit-places.ts';
import { type ExitKind, Exits } from './exits.ts';
import { type HostSide, hostImage, hostSide } from './host-side.ts';
import { CodeDamaged, type CodeImage, type CodeStore, type HostImage } from './image.ts';
import type { Inside } from './inside.ts';
import { bodyOf, moduleOf, settlerModule, usagesOf } from './making.ts';
import { type MadeUnit, Modules } from './modules.ts';
import type { Plan } from './plan.ts';
import { type FunctionExtents, Planner } from './planner.ts';
import type { Policy } from './policy.ts';
import { helpers, type MissCounts } from './runtime.ts';
import type { Usages } from './usage.ts';
import { NO_FUNCTION, VisitCounts } from './visits.ts';
import { Watch } from './watch.ts';

/** What the compiler has done. */
export interface CompilerStats {
  modules: number;
  units: number;
  instructions: number;
  /** Bytes of WebAssembly, of functions alone. */
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

/** What compiled code is of and for. */
interface Given {
  readonly parts: CompilerParts;
  readonly extents: FunctionExtents | undefined;
  readonly policy: Policy;
  readonly store: CodeStore | undefined;
  readonly inside: () => Inside | undefined;
}

export class Compiled {
  readonly entries: Entries;
  readonly bridges: Bridges;
  readonly exits = new Exits();
  readonly exitPlaces: ExitPlaces;
  readonly coverage = new Coverage();
  readonly visits: VisitCounts;
  readonly planner: Planner;
  readonly modules: Modules;
  readonly watch: Watch;
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
  /** Guest instructions that the modules hold. */
  held = 0;
  /** Something was compiled that the store does not have. */
  news = false;
  readonly #parts: CompilerParts;
  readonly #store: CodeStore | undefined;
  readonly #memoryPages: number;
  /** Made when there is something to compile. */
  #host: HostSide | undefined;
  /** Its machine code, where an earlier run kept that. */
  #hostImage: HostImage | undefined;
  #knownUsages: Usages | undefined;
  /** Pages that compiled code came from. */
  readonly #pages = new Set<number>();
  /** The slot of what computes flags, negative where there is nothing. */
  #settler = -1;
  /** Something of what was taken over cannot be used: all of it is to be dropped when none of it is running. */
  #damaged = false;
  readonly #inside: () => Inside | undefined;
  readonly #more: (place: number) => number;
  readonly #forgotten: () => void;

  /**
   * @param more for how many instructions compiled code may go on where its budget has ended, if at all
   * @param forgotten called when all of it is
   */
  constructor(
    { parts, extents, policy, store, inside }: Given,
    more: (place: number) => number,
    forgotten: () => void,
  ) {
    this.#inside = inside;
    this.#more = more;
    this.#forgotten = forgotten;
    const { isa, memory, code } = parts;
    this.#parts = parts;
    this.#store = store;
    this.#memoryPages = memory.wasm.buffer.byteLength / 65536;
    this.modules = new Modules(
      () => this.#hostSide(),
      (units) => moduleOf(isa, this.#memoryPages, units),
      store,
      (slots) => {
        this.exitPlaces.awoke(slots);
        this.bridges.links.awoke(slots);
        this.entries.links.awoke(slots);
      },
    );
    this.entries = new Entries(isa, memory.i32, code, (slot) => this.modules.sleeps(slot));
    this.exitPlaces = new ExitPlaces(memory.i32, inside, (slot) => this.modules.sleeps(slot));
    this.visits = new VisitCounts(memory.i32, policy.visits);
    this.bridges = new Bridges(isa, memory.i32, policy.bridgeThreshold, policy.exactThreshold);
    this.watch = new Watch(memory);
    this.planner = new Planner({
      parts,
      extents,
      policy,
      usages: () => this.#usages,
      watch: this.watch,
      coverage: this.coverage,
      entries: this.entries,
    });
    memory.i32[FLAGS_SETTLER >>> 2] = -1;
  }

  /** The way into compiled code; undefined while there is none. */
  get host(): HostSide | undefined {
    return this.#host;
  }

  /** Whether something of what was taken over cannot be used, so that it is to be dropped when none of it is running. */
  get damaged(): boolean {
    return this.#damaged;
  }

  /** Whether there is code from a page. */
  isFrom(page: number): boolean {
    return this.#pages.has(page);
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
        (n) => this.watch.tell(n),
        this.visits.tell,
        this.#more,
      );
      const kept = { native: this.#store?.native, image: this.#hostImage };
      this.#host = hostSide(this.#parts, this.#memoryPages, own, this.#inside(), kept);
      // What the host does not accept is made anew.
      if (!this.#host.restored) this.#hostImage = undefined;
    }
    return this.#host;
  }

  // Flags

  /** What is left to the host of computing flags. */
  readonly #settle = (): void => {
    const { flags } = this.#parts;
    if (!this.modules.sleeps(this.#settler)) {
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
  makeSettler(later: boolean): void {
    const { isa, flags } = this.#parts;
    const began = hostMilliseconds();
    const firstSlot = this.modules.slots;
    this.modules.addFunction(settlerModule(isa, this.#memoryPages, firstSlot, flags.lists()), later);
    this.#settler = firstSlot;
    this.#useSettler();
    flags.followed = 0;
    this.news = true;
    this.stats.milliseconds += hostMilliseconds() - began;
  }

  #useSettler(): void {
    const { memory, flags } = this.#parts;
    const there = this.#settler >= 0;
    memory.i32[FLAGS_SETTLER >>> 2] = there && !this.modules.sleeps(this.#settler) ? this.#settler : -1;
    flags.settleWith(there ? this.#hostSide().flags : undefined);
  }

  // Made of plans

  /**
   * Makes a module of some units.
   * @param later it is for later runs only: nothing of it will be called in this one
   * @throws CacheFull
   */
  add(plans: readonly Plan[], later: boolean): void {
    const { isa } = this.#parts;
    const links = {
      cell: (pc: number) => this.entries.cell(pc),
      exit: (kind: ExitKind, pc: number, block: Block, executed: number, told: boolean) =>
        this.#exit(kind, pc, block, executed, told),
    };
    const firstSlot = this.modules.slots;
    /** What a bridge is of is no business of the planner's. */
    const functionOf = (p: Plan) => (p.exact ? undefined : this.planner.function(p.start));
    const units = plans.map((p, i): MadeUnit => {
      const slot = firstSlot + i;
      const function_ = functionOf(p);
      const fast = function_?.fast === true;
      const visits = fast || function_ === undefined ? undefined : this.visits.of(slot);
      const body = bodyOf(isa, this.#usages, p, links, this.watch, { fast, visits });
      const common = function_?.adopted === true;
      return {
        slot,
        start: p.exact ? undefined : p.start,
        body,
        instructions: p.instructions,
        fast,
        common,
      };
    });
    this.modules.add(units, later);
    const instructions = plans.reduce((sum, p) => sum + p.instructions, 0);
    for (const [i, p] of plans.entries()) {
      const slot = firstSlot + i;
      this.visits.fill(slot, functionOf(p) === undefined ? NO_FUNCTION : p.start);
      for (const [k, pc] of p.entries.entries()) {
        if (p.exact) this.bridges.add(pc, placeIn(slot, k + 1));
        if (!p.exact || (pc === p.start && !this.entries.has(pc))) this.entries.add(pc, { slot, number: k + 1 });
      }
      for (const block of p.blocks) {
        // Each instruction of a bridge that is exact would be one.
        if (!p.exact) this.coverage.add(block);
        for (const item of block.items) {
          this.#pages.add(Math.floor(item.pc / PAGE_SIZE));
          this.#pages.add(Math.floor((item.pc + item.instruction.length + (item.slot?.length ?? 0) - 1) / PAGE_SIZE));
        }
      }
    }
    this.news = true;
    this.held += instructions;
    this.stats.modules++;
    this.stats.units += plans.length;
    this.stats.instructions += instructions;
    this.stats.bytes += units.reduce((sum, { body }) => sum + body.bytes.length, 0);
  }

  #exit(kind: ExitKind, pc: number, block: Block, executed: number, told: boolean): number {
    const undone = block.count - executed;
    return this.exits.add(kind, pc, undone, { told, block: this.watch.counts && undone > 0 ? block : undefined });
  }

  // Found

  /** The word at which slot and number of the entry at `pc` stand, whose unit is there; negative where there is none. */
  linked(pc: number): number {
    const at = this.entries.linked(pc);
    if (at >= 0) return at;
    const entry = this.entries.get(pc);
    if (entry === undefined) return -1;
    if (!this.#awake(entry.slot)) {
      this.dropDamaged();
      return -1;
    }
    this.entries.links.add(pc);
    return this.entries.linked(pc);
  }

  /** The place in an exact bridge that stands for `pc`, whose unit is there; negative where there is none. */
  bridge(pc: number): number {
    const place = this.bridges.place(pc);
    if (place < 0 || this.#awake(slotOf(place))) return place;
    this.dropDamaged();
    return -1;
  }

  /** Makes the module of a slot, unless it is there; whether it can be made. */
  #awake(slot: number): boolean {
    if (!this.modules.sleeps(slot)) return true;
    const began = hostMilliseconds();
    try {
      this.modules.awake(slot);
      return true;
    } catch (error) {
      if (!(error instanceof CodeDamaged)) throw error;
      return false;
    } finally {
      this.stats.milliseconds += hostMilliseconds() - began;
    }
  }

  /** Forgets what was taken over, and has the store forget it when the run is over. */
  dropDamaged(): void {
    this.flush();
    this.#damaged = false;
    this.news = true;
  }

  // From run to run

  /** The layout of the one memory is part of all code. */
  nameOf(variant: string): string {
    return `${this.#memoryPages} ${variant}`;
  }

  /** Begins with the code of another run, unless it was made from other bytes. */
  adopt(image: CodeImage): void {
    const { memory, flags } = this.#parts;
    try {
      const { pages, pageSums } = image;
      for (let i = 0; i < pages.length; i++)
        if (checksum(memory.compiledPage(pages[i]! * PAGE_SIZE)) !== pageSums[i]) return;
    } catch (error) {
      if (error instanceof GuestFault) return;
      throw error;
    }
    if (!flags.adopt(image.flags)) return;
    this.#hostImage = image.host;
    this.modules.adopt(image.modules, image.slots);
    this.#settler = image.settler;
    this.#useSettler();
    this.held = image.held;
    this.stats.restored += image.held;
    for (const page of image.pages) this.#pages.add(page);
    this.coverage.adopt(image.blocks, image.blockSizes);
    this.planner.adopt(image);
    this.visits.adopt(image.starts);
    this.exits.adopt(image.exits);
    this.entries.adopt(image);
    this.bridges.adopt(image);
    this.exitPlaces.adopt(image);
    this.news = false;
  }

  /** What there is to keep, but for the modules. */
  image(): Omit<CodeImage, 'modules' | 'held'> {
    const { memory, flags } = this.#parts;
    // In order, which is how a file is best looked through.
    const pages = [...this.#pages].sort((a, b) => a - b);
    const blocks = this.coverage.all();
    const inUse = this.slotsInUse();
    return {
      host: this.#hostImage ?? hostImage(this.#parts.isa, this.#memoryPages, this.#inside(), this.#store?.native),
      slots: this.modules.slots,
      settler: this.#settler,
      ...this.entries.all(),
      ...this.bridges.all((pc) => this.entries.has(pc)),
      ...this.exitPlaces.image((slot) => inUse.has(slot)),
      ...this.planner.all(),
      exits: this.exits.all(),
      blocks: blocks.starts,
      blockSizes: blocks.sizes,
      starts: this.visits.all(this.modules.slots),
      pages: Float64Array.from(pages),
      pageSums: Uint32Array.from(pages, (page) => checksum(memory.compiledPage(page * PAGE_SIZE))),
      flags: flags.numbered(),
    };
  }

  /** The slots of what can still be entered. */
  slotsInUse(): Set<number> {
    const slots = this.entries.slots().add(this.#settler);
    for (const slot of this.bridges.slots()) slots.add(slot);
    return slots;
  }

  // Forgotten

  /** Forgets all compiled code. None of it is running: a store to code leaves it first. */
  flush(): void {
    this.stats.flushes++;
    this.forget();
    this.modules.clear();
    this.news = false;
  }

  /** Forgets where there is compiled code, and what is known of it. */
  forget(): void {
    this.held = 0;
    this.entries.clear();
    this.bridges.clear();
    this.exits.clear();
    this.exitPlaces.clear();
    this.watch.clear();
    this.visits.clear();
    this.planner.clear();
    this.#pages.clear();
    this.coverage.clear();
    this.#settler = -1;
    this.#useSettler();
    this.#forgotten();
  }
}
