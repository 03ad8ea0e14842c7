// Comparisons whose results stand in registers. MIPS compares in one instruction and branches on the result in the next, which V8 makes
// five of: the result becomes a number, and that is tested. A branch on the comparison itself is one comparison and one jump, and the
// number is made where somebody wants it, mostly nobody.

import type { CompareName } from '../../isa/dsl/effects.ts';
import type { Register } from '../../isa/dsl/registers.ts';

/** What was compared: a register, or a constant. */
export type Operand = Register | bigint;

export interface Comparison {
  readonly name: CompareName;
  readonly type: 'i32' | 'i64';
  readonly a: Operand;
  readonly b: Operand;
}

/** The comparison that holds where another does not, told by its operands: a < b is not b <= a. */
const OPPOSITES: Readonly<Partial<Record<CompareName, CompareName>>> = { ltu: 'leu', lts: 'les' };

/** The comparisons of a block whose operands and results are still in their registers. */
export class Comparisons {
  readonly #byResult = new Map<Register, Comparison>();

  /** A block begins: nothing is known. */
  clear(): void {
    this.#byResult.clear();
  }

  /** A register is set, to the result of `comparison` if there is one. */
  set(register: Register, comparison: Comparison | undefined): void {
    this.#byResult.delete(register);
    for (const [result, { a, b }] of this.#byResult)
      if (a === register || b === register) this.#byResult.delete(result);
    if (comparison !== undefined && comparison.a !== register && comparison.b !== register)
      this.#byResult.set(register, comparison);
  }

  /**
   * The comparison that holds where a register is 0. It is another than the one that was made, so that V8 does not take the two for one
   * value, which would have to be a number.
   */
  whereZero(register: Register): Comparison | undefined {
    const made = this.#byResult.get(register);
    if (made === undefined) return undefined;
    const name = OPPOSITES[made.name];
    return name && { name, type: made.type, a: made.b, b: made.a };
  }
}
