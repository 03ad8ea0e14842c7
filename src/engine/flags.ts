// Status flags that are put off: the number of a recipe and its inputs stand in memory until somebody reads a flag. Both engines do so.

import type { FlagRegisters, Register } from '../../isa/dsl/registers.ts';
import type { FlagsRecipe, OpList, Uop } from '../uop/ops.ts';
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

export class FlagsPutOff {
  readonly #all: readonly Register[];
  readonly #i32: Int32Array;
  readonly #stepsOf: (list: OpList) => readonly Step[];
  readonly #known = new Map<FlagsRecipe, Known>();
  /** What computes flags, by number less 1: number 0 stands for none. */
  readonly #byNumber: { readonly list: OpList; steps: readonly Step[] | undefined }[] = [];

  constructor(registers: FlagRegisters | undefined, i32: Int32Array, stepsOf: (list: OpList) => readonly Step[]) {
    this.#all = registers?.all ?? [];
    this.#i32 = i32;
    this.#stepsOf = stepsOf;
  }

  /** Computes flags that have been put off. */
  readonly settle = (): void => {
    const number = this.#i32[KIND_WORD]!;
    if (number === 0) return;
    this.#i32[KIND_WORD] = 0;
    const found = this.#byNumber[number - 1]!;
    found.steps ??= this.#stepsOf(found.list);
    for (const step of found.steps) step();
  };

  /** The number under which `settle` carries out a list that makes flags of the inputs where these are kept (`flagsInput`). */
  numberOf(list: OpList): number {
    return this.#byNumber.push({ list, steps: undefined });
  }

  /** Whether flags must be current before the list: it reads one, or leaves one as it is. */
  needsCurrent({ ops }: OpList): boolean {
    if (this.#all.length === 0) return false;
    for (const uop of ops) {
      if (uop.op === 'get' || uop.op === 'set') {
        if (this.#all.includes(uop.register)) return true;
      } else if (uop.op === 'flags' && !this.#of(uop.recipe).setsAll) return true;
    }
    return false;
  }

  /** Puts a recipe off, its inputs being at these places. */
  step(recipe: FlagsRecipe, places: readonly number[]): Step {
    const i32 = this.#i32;
    const { number } = this.#of(recipe);
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

  #of(recipe: FlagsRecipe): Known {
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
