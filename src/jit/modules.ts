// The modules of compiled code: which slots of the table each fills, those of another run of which nothing has been wanted yet, and the
// host's own machine code of them.

import { hostMilliseconds } from '../engine/host-clock.ts';
import type { CodeModule, CodeStore } from './image.ts';

/** What modules are instantiated with. */
export interface ModuleHost {
  readonly table: WebAssembly.Table;
  readonly imports: WebAssembly.Imports;
}

/** A module of this run. */
interface Held {
  module: CodeModule;
  /** It belongs to another run, and nothing of it has been wanted yet. */
  asleep: boolean;
}

export class Modules {
  readonly #host: () => ModuleHost;
  /** Where they are to be kept. */
  readonly #store: CodeStore | undefined;
  #held: Held[] = [];
  /** By slot: the modules that sleep. */
  #asleep: (Held | undefined)[] = [];
  #slots = 0;

  constructor(host: () => ModuleHost, store: CodeStore | undefined) {
    this.#host = host;
    this.#store = store;
  }

  /** How many slots of the table are taken: the first one of the next module. */
  get slots(): number {
    return this.#slots;
  }

  /** Whether the function in a slot is not there before `awake`. */
  sleeps(slot: number): boolean {
    return this.#asleep[slot] !== undefined;
  }

  /** Makes a module, whose functions fill the next slots. */
  add(made: Omit<CodeModule, 'native' | 'optimised'>): void {
    const module: CodeModule = { ...made, native: undefined, optimised: false };
    this.#grow(this.#slots + module.slots);
    const held: Held = { module, asleep: false };
    this.#instantiate(held);
    if (this.#store !== undefined) this.#held.push(held);
  }

  /** Takes over those of another run, which sleep; there are none yet. */
  adopt(modules: readonly CodeModule[], slots: number): void {
    this.#grow(slots);
    for (const module of modules) {
      const held: Held = { module, asleep: true };
      this.#held.push(held);
      for (let i = 0; i < module.slots; i++) this.#asleep[module.firstSlot + i] = held;
    }
  }

  #grow(slots: number): void {
    const { table } = this.#host();
    while (slots > table.length) table.grow(table.length);
    this.#slots = slots;
  }

  /** Instantiates the module that is to fill a slot, if it has not been. A program runs little of what earlier ones needed. */
  awake(slot: number): void {
    const held = this.#asleep[slot];
    if (held === undefined) return;
    const { firstSlot, slots } = held.module;
    for (let i = 0; i < slots; i++) this.#asleep[firstSlot + i] = undefined;
    held.asleep = false;
    this.#instantiate(held);
  }

  #instantiate(held: Held): void {
    const { native } = held.module;
    let made = native === undefined ? undefined : this.#store?.native?.restore(native);
    if (made === undefined) {
      const { bytes, firstSlot, slots, instructions } = held.module;
      made = new WebAssembly.Module(bytes);
      // Machine code that the host does not accept is to be made anew.
      if (native !== undefined)
        held.module = { bytes, firstSlot, slots, instructions, native: undefined, optimised: false };
    }
    void new WebAssembly.Instance(made, this.#host().imports);
  }

  clear(): void {
    for (let i = 0; i < this.#slots; i++) this.#host().table.set(i, null);
    this.#held = [];
    this.#asleep = [];
    this.#slots = 0;
  }

  /** Those of which a slot is in use. */
  used(inUse: ReadonlySet<number>): readonly CodeModule[] {
    return this.#used(inUse).map(({ module }) => module);
  }

  #used(inUse: ReadonlySet<number>): readonly Held[] {
    return this.#held.filter(({ module: { firstSlot, slots } }) => {
      for (let i = 0; i < slots; i++) if (inUse.has(firstSlot + i)) return true;
      return false;
    });
  }

  /**
   * Has the host optimise those of them that this run made or wanted, in the order in which it made them, `until` it is so late.
   * @returns whether it did any
   */
  optimise(inUse: ReadonlySet<number>, until: number): boolean {
    const native = this.#store?.native;
    if (native === undefined) return false;
    let news = false;
    for (const held of this.#used(inUse)) {
      if (held.asleep || held.module.optimised) continue;
      if (hostMilliseconds() > until) break;
      const optimised = native.of(held.module.bytes);
      if (optimised === undefined) break;
      const { bytes, firstSlot, slots, instructions } = held.module;
      held.module = { bytes, firstSlot, slots, instructions, native: optimised, optimised: true };
      news = true;
    }
    return news;
  }
}
