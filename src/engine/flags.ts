// Status flags that are put off: the number of a recipe and its inputs stand in memory until somebody reads a flag. Both engines do so.

import type { FlagRegisters, Register } from '../../isa/dsl/registers.ts';
import { compacted, type FlagsRecipe, type OpList, type Uop } from '../uop/ops.ts';
import { FLAGS_INPUT_COUNT, FLAGS_INPUTS, FLAGS_KIND, STATE } from './layout.ts';
import type { Step } from './steps.ts';

const KIND_WORD = FLAGS_KIND >>> 2;
const INPUT_WORDS = FLAGS_INPUTS >>> 2;

/** What an input is kept in, as if it were a register. */
export const flagsInput = (i: number, type: 'i32' | 'i64'): Register => ({
  name: `flags input ${i}`,
  type,
  offset: FLAGS_INPUTS + 8 * i - STATE,
});

/** What is known of a recipe. */
interface Known {
  readonly number: number;
  /** Leaves no flag as it is. */
  readonly setsAll: boolean;
}

interface Numbered {
  readonly text: string;
  steps: readonly Step[] | undefined;
}

/** A list as text, and its number. */
export interface NumberedList {
  readonly number: number;
  readonly text: string;
}

/** Constants as text, which JSON has no integers of 64 bits for. */
const textOf = (list: OpList): string =>
  JSON.stringify({
    ...list,
    ops: list.ops.map((uop) => (uop.op === 'const' ? { ...uop, value: `${uop.value}n` } : uop)),
  });
const reviveBigint = (_key: string, value: unknown): unknown =>
  typeof value === 'string' && /^-?\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value;

const listOf = (text: string): OpList => JSON.parse(text, reviveBigint) as OpList;

/** FNV-1a, 31 bits. */
function hash(text: string): number {
  let h = 0x811c9dc5 | 0;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h & 0x7fffffff;
}

export class FlagsPutOff {
  readonly #all: readonly Register[];
  readonly #i32: Int32Array;
  readonly #stepsOf: (list: OpList) => readonly Step[];
  readonly #known = new Map<FlagsRecipe, Known>();
  /** What computes flags, by number: 0 stands for none. */
  readonly #byNumber = new Map<number, Numbered>();
  readonly #numbers = new Map<string, number>();
  #otherWay: (() => void) | undefined;
  #followed = 0;

  constructor(registers: FlagRegisters | undefined, i32: Int32Array, stepsOf: (list: OpList) => readonly Step[]) {
    this.#all = registers?.all ?? [];
    this.#i32 = i32;
    this.#stepsOf = stepsOf;
  }

  /** Computes flags that have been put off. */
  readonly settle = (): void => {
    if (this.#i32[KIND_WORD] === 0) return;
    (this.#otherWay ?? this.settleBySteps)();
  };

  /** Computes the flags that have been put off, there being some, here and not another way. */
  readonly settleBySteps = (): void => {
    const found = this.#byNumber.get(this.#i32[KIND_WORD]!)!;
    this.#i32[KIND_WORD] = 0;
    found.steps ??= this.#stepsOf(listOf(found.text));
    for (const step of found.steps) step();
    this.#followed++;
  };

  /** From now on `settle` does this, which falls back on `settleBySteps`; undefined for that alone. */
  settleWith(otherWay: (() => void) | undefined): void {
    this.#otherWay = otherWay;
  }

  /** How often flags were computed by steps since this was set to 0. */
  get followed(): number {
    return this.#followed;
  }

  set followed(times: number) {
    this.#followed = times;
  }

  /**
   * The number under which `settle` carries out a list that makes flags of the inputs where these are kept (`flagsInput`). It is a hash of
   * the list, so that code compiled in another run means the same by it.
   */
  numberOf(list: OpList): number {
    const text = textOf(compacted(list));
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = hash(text);
      while (number === 0 || this.#byNumber.has(number)) number = (number + 1) & 0x7fffffff;
      this.#define(number, text);
    }
    return number;
  }

  #define(number: number, text: string): void {
    this.#byNumber.set(number, { text, steps: undefined });
    this.#numbers.set(text, number);
  }

  /** The lists that have numbers, for `adopt`. */
  numbered(): readonly NumberedList[] {
    return [...this.#byNumber].map(([number, { text }]) => ({ number, text }));
  }

  /** The lists themselves. */
  lists(): readonly { readonly number: number; readonly list: OpList }[] {
    return [...this.#byNumber].map(([number, { text }]) => ({ number, list: listOf(text) }));
  }

  /** Gives lists the numbers that they had in another run; whether none of these means something else here, and all of them now do. */
  adopt(lists: readonly NumberedList[]): boolean {
    const texts = new Map<number, string>();
    for (const { number, text } of lists) {
      if ((texts.get(number) ?? this.#byNumber.get(number)?.text ?? text) !== text) return false;
      if ((this.#numbers.get(text) ?? number) !== number) return false;
      texts.set(number, text);
    }
    for (const { number, text } of lists) this.#define(number, text);
    return true;
  }

  /** Whether flags must be current before the list: it reads one, or leaves one as it is. */
  needsCurrent({ ops }: OpList): boolean {
    if (this.#all.length === 0) return false;
    for (const uop of ops) {
      if (uop.op === 'get' || uop.op === 'set') {
        if (this.#all.includes(uop.register)) return true;
      } else if (uop.op === 'flags' && !this.of(uop.recipe).setsAll) return true;
    }
    return false;
  }

  /** Puts a recipe off, its inputs being at these places. */
  step(recipe: FlagsRecipe, places: readonly number[]): Step {
    const i32 = this.#i32;
    const { number } = this.of(recipe);
    const [a, b, c] = places;
    if (a !== undefined && b === undefined) {
      return () => {
        i32[KIND_WORD] = number;
        i32[INPUT_WORDS] = i32[a]!;
        i32[INPUT_WORDS + 1] = i32[a + 1]!;
      };
    }
    if (a !== undefined && b !== undefined && c === undefined) {
      if (recipe.inputs.includes('i64')) {
        return () => {
          i32[KIND_WORD] = number;
          i32[INPUT_WORDS] = i32[a]!;
          i32[INPUT_WORDS + 1] = i32[a + 1]!;
          i32[INPUT_WORDS + 2] = i32[b]!;
          i32[INPUT_WORDS + 3] = i32[b + 1]!;
        };
      }
      return () => {
        i32[KIND_WORD] = number;
        i32[INPUT_WORDS] = i32[a]!;
        i32[INPUT_WORDS + 2] = i32[b]!;
      };
    }
    return () => {
      i32[KIND_WORD] = number;
      for (let i = 0; i < places.length; i++) {
        i32[INPUT_WORDS + 2 * i] = i32[places[i]!]!;
        i32[INPUT_WORDS + 2 * i + 1] = i32[places[i]! + 1]!;
      }
    };
  }

  /** The number of a recipe, its inputs being kept in order. */
  of(recipe: FlagsRecipe): Known {
    let known = this.#known.get(recipe);
    if (known === undefined) {
      const { list, inputs } = recipe;
      if (inputs.length > FLAGS_INPUT_COUNT) throw new RangeError(`${recipe.name}: a recipe of too many inputs`);
      const gets = inputs.map((type, dst): Uop => ({ op: 'get', dst, register: flagsInput(dst, type) }));
      known = {
        number: this.numberOf({ ...list, ops: [...gets, ...list.ops] }),
        setsAll: this.#all.every((register) => list.ops.some((uop) => uop.op === 'set' && uop.register === register)),
      };
      this.#known.set(recipe, known);
    }
    return known;
  }
}
