// What an op list reads and writes of the register file, and which of its operations matter when some results are dead.

import type { Register, RegisterFile } from '../../isa/dsl/registers.ts';
import type { Instruction } from '../engine/decode.ts';
import type { FlagsPutOff } from '../engine/flags.ts';
import { Folds } from '../uop/fold.ts';
import { type OpList, operandsOf } from '../uop/ops.ts';
import { Flags } from './flags.ts';

/** A set of registers, by their index in the register file. At most 96. */
export class RegisterSet {
  a = 0;
  b = 0;
  c = 0;

  add(index: number): void {
    if (index < 32) this.a |= 1 << index;
    else if (index < 64) this.b |= 1 << (index - 32);
    else this.c |= 1 << (index - 64);
  }

  delete(index: number): void {
    if (index < 32) this.a &= ~(1 << index);
    else if (index < 64) this.b &= ~(1 << (index - 32));
    else this.c &= ~(1 << (index - 64));
  }

  has(index: number): boolean {
    const word = index < 32 ? this.a : index < 64 ? this.b : this.c;
    return ((word >>> (index & 31)) & 1) !== 0;
  }

  get empty(): boolean {
    return (this.a | this.b | this.c) === 0;
  }

  equals(other: RegisterSet): boolean {
    return this.a === other.a && this.b === other.b && this.c === other.c;
  }

  /** Adds all of another set; whether that changed anything. */
  addAll(other: RegisterSet): boolean {
    const { a, b, c } = this;
    this.a |= other.a;
    this.b |= other.b;
    this.c |= other.c;
    return this.a !== a || this.b !== b || this.c !== c;
  }

  removeAll(other: RegisterSet): void {
    this.a &= ~other.a;
    this.b &= ~other.b;
    this.c &= ~other.c;
  }

  meets(other: RegisterSet): boolean {
    return ((this.a & other.a) | (this.b & other.b) | (this.c & other.c)) !== 0;
  }

  copy(): RegisterSet {
    const set = new RegisterSet();
    set.addAll(this);
    return set;
  }

  clear(): void {
    this.a = 0;
    this.b = 0;
    this.c = 0;
  }

  /** Its registers in ascending order. */
  indexes(): number[] {
    const out: number[] = [];
    for (let w = this.a; w !== 0; w &= w - 1) out.push(31 - Math.clz32(w & -w));
    for (let w = this.b; w !== 0; w &= w - 1) out.push(63 - Math.clz32(w & -w));
    for (let w = this.c; w !== 0; w &= w - 1) out.push(95 - Math.clz32(w & -w));
    return out;
  }
}

const NOTHING = new RegisterSet();

/** Both sets' registers: one of the two where it holds the other. */
function union(x: RegisterSet, y: RegisterSet): RegisterSet {
  if (((y.a & ~x.a) | (y.b & ~x.b) | (y.c & ~x.c)) === 0) return x;
  if (((x.a & ~y.a) | (x.b & ~y.b) | (x.c & ~y.c)) === 0) return y;
  const set = x.copy();
  set.addAll(y);
  return set;
}

/** What is in both sets. */
export function both(x: RegisterSet, y: RegisterSet): RegisterSet {
  const set = new RegisterSet();
  set.a = x.a & y.a;
  set.b = x.b & y.b;
  set.c = x.c & y.c;
  return set;
}

/** What is in the first set alone. */
export function without(x: RegisterSet, y: RegisterSet): RegisterSet {
  const set = x.copy();
  set.removeAll(y);
  return set;
}

export interface Usage {
  /** Registers read on account of accesses, traps and branches, whatever is dead. */
  readonly always: RegisterSet;
  /** Registers that are set. */
  readonly sets: RegisterSet;
  /** For each register that is set: which registers its value is made of. A register set twice has both. */
  readonly sources: readonly (readonly [index: number, from: RegisterSet])[];
  /** Registers that differ from the state block afterwards, and those that do so no longer. */
  readonly dirties: RegisterSet;
  readonly cleans: RegisterSet;
  /** The list to lower: the instruction's own, or with its flags put off. */
  readonly list: OpList;
  /** The instruction may leave the compiled code before it has changed anything. */
  readonly mayExit: boolean;
}

/** Usages of op lists, each worked out once. */
export class Usages {
  /** The register file's registers, then the compiler's own. */
  readonly registers: readonly Register[];
  readonly indexOf: ReadonlyMap<Register, number>;
  readonly flags: Flags | undefined;
  readonly folds = new Folds();
  /** The status flags; what stands for them while they are put off; and the conditions, which the state block does not hold. */
  readonly flagSet: RegisterSet;
  readonly recipeSet: RegisterSet;
  readonly conditionSet: RegisterSet;
  /** All others. */
  readonly plainSet: RegisterSet;
  readonly everything: RegisterSet;
  readonly #cache = new WeakMap<OpList, Usage>();
  readonly #singles: (RegisterSet | undefined)[] = [];

  constructor(file: RegisterFile, putOff: FlagsPutOff) {
    this.flags = file.flags === undefined ? undefined : new Flags(file.flags, putOff);
    const { flags } = this;
    const recipe = flags === undefined ? [] : [flags.kind, ...flags.inputs];
    const conditions = flags === undefined ? [] : [flags.less, flags.lessEqual, flags.belowEqual];
    this.registers = [...file.all, ...recipe, ...conditions];
    if (this.registers.length > 96) throw new RangeError('a register file of too many registers');
    this.indexOf = new Map(this.registers.map((r, i) => [r, i]));
    const setOf = (registers: readonly Register[]): RegisterSet => {
      const set = new RegisterSet();
      for (const r of registers) set.add(this.indexOf.get(r)!);
      return set;
    };
    this.flagSet = setOf(file.flags?.all ?? []);
    this.recipeSet = setOf(recipe);
    this.conditionSet = setOf(conditions);
    this.plainSet = setOf(file.all);
    this.plainSet.removeAll(this.flagSet);
    this.everything = setOf(this.registers);
  }

  of(instruction: Instruction): Usage {
    const list = instruction.writtenOut;
    let usage = this.#cache.get(list);
    if (usage === undefined) {
      usage = this.#make(list, instruction.list);
      this.#cache.set(list, usage);
    }
    return usage;
  }

  #make(original: OpList, source: OpList): Usage {
    const rewritten = this.flags?.rewrite(original, source) ?? { list: original, flags: 'none' };
    const { list } = rewritten;
    const reads = new Array<RegisterSet>(list.temps.length).fill(NOTHING);
    const always = new RegisterSet();
    const sets = new RegisterSet();
    const sources = new Map<number, RegisterSet>();
    for (const uop of list.ops) {
      // Most values are made of those of one other: sets are shared, and never changed.
      let from = NOTHING;
      for (const temp of operandsOf(uop)) from = union(from, reads[temp]!);
      switch (uop.op) {
        case 'get': {
          // A register read back after it has been set in the same list carries what the set was made of.
          const index = this.indexOf.get(uop.register)!;
          reads[uop.dst] = sources.get(index) ?? this.#single(index);
          break;
        }
        case 'set': {
          const index = this.indexOf.get(uop.register)!;
          sets.add(index);
          const earlier = sources.get(index);
          sources.set(index, earlier === undefined ? from : union(earlier, from));
          break;
        }
        case 'load':
        case 'store':
        case 'trap':
        case 'branch':
        case 'nullify':
          always.addAll(from);
          break;
        default:
          if ('dst' in uop) reads[uop.dst] = from;
      }
    }
    const dirties = sets.copy();
    const cleans = new RegisterSet();
    dirties.removeAll(this.conditionSet);
    if (rewritten.flags === 'deferred') {
      dirties.removeAll(this.flagSet);
      cleans.addAll(this.flagSet);
    } else if (rewritten.flags === 'eager') {
      // Those that it leaves must be current too: there is no recipe any more.
      for (const index of this.flagSet.indexes()) if (!sets.has(index)) always.add(index);
      dirties.addAll(this.flagSet);
    }
    return {
      always,
      sets,
      // There are thousands of usages, and a map takes three times as much.
      sources: [...sources],
      dirties,
      cleans,
      list,
      mayExit: list.accesses || list.ops.some((o) => o.op === 'trap' && o.kind !== 'syscall'),
    };
  }

  #single(index: number): RegisterSet {
    let set = this.#singles[index];
    if (set === undefined) {
      set = new RegisterSet();
      set.add(index);
      this.#singles[index] = set;
    }
    return set;
  }

  /** What an instruction reads for the sake of what is `live` behind it. */
  reads(usage: Usage, live: RegisterSet): RegisterSet {
    const wanted = usage.always.copy();
    for (const [index, from] of usage.sources) if (live.has(index)) wanted.addAll(from);
    return wanted;
  }

  /** Which operations are needed when only `live` is read afterwards: 1 for each that is. */
  needed(list: OpList, live: RegisterSet): Uint8Array {
    const needed = new Uint8Array(list.ops.length);
    const wanted = new Uint8Array(list.temps.length);
    const readLater = live.copy();
    for (let i = list.ops.length - 1; i >= 0; i--) {
      const uop = list.ops[i]!;
      let need: boolean;
      switch (uop.op) {
        case 'set':
          need = readLater.has(this.indexOf.get(uop.register)!);
          break;
        case 'load':
        case 'store':
        case 'trap':
        case 'branch':
        case 'nullify':
          need = true;
          break;
        default:
          need = 'dst' in uop && wanted[uop.dst] === 1;
      }
      if (!need) continue;
      needed[i] = 1;
      if (uop.op === 'get') readLater.add(this.indexOf.get(uop.register)!);
      for (const temp of operandsOf(uop)) wanted[temp] = 1;
    }
    return needed;
  }
}
