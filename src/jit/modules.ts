// The modules of compiled code: which slots of the table each fills, those of another run of which nothing has been wanted yet, and the
// host's own machine code of them.

import { hostMilliseconds } from '../engine/host-clock.ts';
import type { CodeModule, CodeStore, MachineCode } from './image.ts';
import type { Body } from './wasm.ts';

/** What modules are instantiated with. */
export interface ModuleHost {
  readonly table: WebAssembly.Table;
  readonly imports: WebAssembly.Imports;
}

/** A unit that this run has made. Its body is the same in whichever module it stands. */
export interface MadeUnit {
  readonly slot: number;
  /** Address at which it begins, where it can be called by name. */
  readonly start: number | undefined;
  readonly body: Body;
  /** Guest instructions in it. */
  readonly instructions: number;
  readonly fast: boolean;
  /** It is of a function that an earlier run had compiled: what different runs of the program have in common. */
  readonly common: boolean;
}

/** Bytes of modules of which the host has made machine code by which what it left behind is given back. */
const SPENT = 1_000_000;

const instructionsOf = (units: readonly MadeUnit[]): number => units.reduce((sum, unit) => sum + unit.instructions, 0);

/** Makes a module of units. */
type Assemble = (units: readonly MadeUnit[]) => Uint8Array<ArrayBuffer>;

/** A module of units that this run has made. It has no bytes but those of its units, until somebody asks for them. */
class MadeModule implements CodeModule {
  readonly units: readonly MadeUnit[];
  readonly slots: readonly number[];
  readonly instructions: number;
  readonly native: MachineCode | undefined;
  readonly #assemble: Assemble;

  constructor(units: readonly MadeUnit[], assemble: Assemble, native?: MachineCode) {
    this.units = units;
    this.slots = units.map(({ slot }) => slot);
    this.instructions = instructionsOf(units);
    this.native = native;
    this.#assemble = assemble;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#assemble(this.units);
  }

  get optimised(): boolean {
    return this.native !== undefined;
  }

  /** The same with the host's machine code of it. */
  with(native: MachineCode): MadeModule {
    return new MadeModule(this.units, this.#assemble, native);
  }
}

/** A module of this run. */
interface Held {
  module: CodeModule;
  /** It belongs to another run, and nothing of it has been wanted yet. */
  asleep: boolean;
}

/** Units that are packed together: whether they are fast, and common. */
const GROUPS = [
  [true, true],
  [true, false],
  [false, true],
  [false, false],
] as const;

/** Cuts units into parts of at most so many instructions, but for the last unit of each. */
function inParts(units: readonly MadeUnit[], most: number): MadeUnit[][] {
  const parts: MadeUnit[][] = [];
  let full = true;
  for (const unit of units) {
    if (full) parts.push([]);
    const part = parts.at(-1)!;
    part.push(unit);
    full = instructionsOf(part) >= most;
  }
  return parts;
}

export class Modules {
  readonly #host: () => ModuleHost;
  readonly #assemble: Assemble;
  /** Where they are to be kept. */
  readonly #store: CodeStore | undefined;
  #held: Held[] = [];
  /** By slot: the modules that sleep. */
  #asleep: (Held | undefined)[] = [];
  #slots = 0;
  readonly #awoke: (slots: readonly number[]) => void;

  /** @param awoke is told of slots whose functions, which were another run's, are there from now on */
  constructor(
    host: () => ModuleHost,
    assemble: Assemble,
    store: CodeStore | undefined,
    awoke: (slots: readonly number[]) => void,
  ) {
    this.#host = host;
    this.#assemble = assemble;
    this.#store = store;
    this.#awoke = awoke;
  }

  /** How many slots of the table are taken: the next unit's. */
  get slots(): number {
    return this.#slots;
  }

  /** Whether the function in a slot is not there before `awake`. */
  sleeps(slot: number): boolean {
    return this.#asleep[slot] !== undefined;
  }

  /**
   * Makes a module of units, which fill the next slots.
   * @param later it is for later runs only: nothing of it will be called in this one
   */
  add(units: readonly MadeUnit[], later = false): void {
    this.#add(this.#made(units), later);
  }

  /** Makes a module of one function, which is no unit, and fills the next slot. */
  addFunction(bytes: Uint8Array<ArrayBuffer>, later = false): void {
    const module = { bytes, slots: [this.#slots], instructions: 0, native: undefined, optimised: false };
    this.#add({ module, asleep: false }, later);
  }

  #made(units: readonly MadeUnit[]): Held {
    return { module: new MadeModule(units, this.#assemble), asleep: false };
  }

  #add(held: Held, later: boolean): void {
    this.#grow(this.#slots + held.module.slots.length);
    if (!later) this.#instantiate(new WebAssembly.Module(held.module.bytes));
    if (this.#store !== undefined) this.#held.push(held);
  }

  /** Takes over those of another run, which sleep; there are none yet. */
  adopt(modules: readonly CodeModule[], slots: number): void {
    this.#grow(slots);
    for (const module of modules) {
      const held: Held = { module, asleep: true };
      this.#held.push(held);
      for (const slot of module.slots) this.#asleep[slot] = held;
    }
  }

  #grow(slots: number): void {
    const { table } = this.#host();
    // All at once: each instance that has the table makes room for itself.
    let size = table.length;
    while (slots > size) size *= 2;
    if (size > table.length) table.grow(size - table.length);
    this.#slots = slots;
  }

  /** Instantiates the module that is to fill a slot, if it has not been. A program runs little of what earlier ones needed. */
  awake(slot: number): void {
    const held = this.#asleep[slot];
    if (held === undefined) return;
    for (const each of held.module.slots) this.#asleep[each] = undefined;
    held.asleep = false;
    const { native } = held.module;
    let made = native === undefined ? undefined : this.#store?.native?.restore(native);
    if (made === undefined) {
      const { bytes, slots, instructions } = held.module;
      made = new WebAssembly.Module(bytes);
      // Machine code that the host does not accept is to be made anew.
      if (native !== undefined) held.module = { bytes, slots, instructions, native: undefined, optimised: false };
    }
    this.#instantiate(made);
    this.#awoke(held.module.slots);
  }

  #instantiate(module: WebAssembly.Module): void {
    void new WebAssembly.Instance(module, this.#host().imports);
  }

  clear(): void {
    this.retire();
    this.#held = [];
    this.#slots = 0;
  }

  /** Lets the host forget all of them: none can be called any more. */
  retire(): void {
    for (let i = 0; i < this.#slots; i++) this.#host().table.set(i, null);
    this.#asleep = [];
  }

  /** Those of which a slot is in use. */
  used(inUse: ReadonlySet<number>): readonly CodeModule[] {
    return this.#used(inUse).map(({ module }) => module);
  }

  #used(inUse: ReadonlySet<number>): readonly Held[] {
    return this.#held.filter(({ module }) => module.slots.some((slot) => inUse.has(slot)));
  }

  /**
   * Puts the units that this run has made and that are in use into few modules, the fast ones together: for later runs, whose host has
   * less to look at, and the code that runs most in one place. What runs have in common stands by itself: a module is restored whole,
   * and a short run should not have to restore what only a longer one needs.
   * @param most guest instructions of a module, but for its last unit
   */
  pack(inUse: ReadonlySet<number>, most: number): void {
    const units: MadeUnit[] = [];
    const others: Held[] = [];
    for (const held of this.#held) {
      const { module } = held;
      if (!(module instanceof MadeModule) || module.optimised) others.push(held);
      else for (const unit of module.units) if (inUse.has(unit.slot)) units.push(unit);
    }
    const packed = GROUPS.flatMap(([fast, common]) => {
      const group = units.filter((unit) => unit.fast === fast && unit.common === common);
      return inParts(group, most).map((part) => this.#made(part));
    });
    this.#held = [...packed, ...others];
  }

  /** Whether the host could optimise some of them that this run made or wanted. */
  unoptimised(): boolean {
    return this.#store?.native !== undefined && this.#held.some((held) => !held.asleep && !held.module.optimised);
  }

  /**
   * Has the host optimise those of them that are in use and that this run made or wanted, `until` it is so late.
   * @param working is called after each
   * @returns whether it did any
   */
  optimise(inUse: ReadonlySet<number>, until: number, working?: () => void): boolean {
    const native = this.#store?.native;
    if (native === undefined) return false;
    let news = false;
    let spent = 0;
    for (const held of this.#used(inUse)) {
      if (held.asleep || held.module.optimised) continue;
      if (hostMilliseconds() > until) break;
      const { module } = held;
      const { bytes } = module;
      const optimised = native.of(bytes);
      if (optimised === undefined) break;
      const { slots, instructions } = module;
      if (module instanceof MadeModule) held.module = module.with(optimised);
      else held.module = { bytes, slots, instructions, native: optimised, optimised: true };
      news = true;
      spent += bytes.length;
      if (spent > SPENT) {
        native.makeRoom();
        spent = 0;
      }
      working?.();
    }
    return news;
  }
}
