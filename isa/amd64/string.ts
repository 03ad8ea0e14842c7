// String instructions: MOVS STOS LODS CMPS SCAS, with REP, REPE and REPNE. SDM vol. 2.
//
// One iteration of a repeated instruction is one executed instruction: it branches to itself while more are to come, so that an
// interrupt can land between iterations, as on the processor. With RCX at 0 it does nothing and touches no memory. The flags of a
// repeated comparison are those of its last iteration; until then the old ones stand, as a debugger sees on Intel's processors.

import type { AccessOptions, Value } from '../dsl/effects.ts';
import type { RepeatedMove } from '../dsl/isa.ts';
import { type Clause, clause, family, type Row } from './clause.ts';
import type { Exec } from './exec.ts';
import { type FlagValues, setFlags, stringStep, subFlags } from './flags.ts';
import type { Instruction } from './instruction.ts';
import { DF, GPR, RAX, RCX, RDI, RSI } from './regs.ts';

/** A run of one iteration: which of its parts take place. */
class Iteration {
  readonly x: Exec;
  readonly bits: number;
  readonly #count: Value | undefined;
  readonly #nextCount: Value | undefined;
  /** i32: whether the iteration takes place; undefined for always. */
  readonly when: Value | undefined;
  readonly access: AccessOptions;

  constructor(x: Exec, bits: number) {
    this.x = x;
    this.bits = bits;
    const { e, i } = x;
    if (i.prefixes.rep !== 0) {
      this.#count = x.getGpr(RCX, i.prefixes.address ? 32 : 64);
      this.#nextCount = e.sub(this.#count, e.const(this.#count.type as 'i32' | 'i64', 1));
      this.when = x.isNonzero(this.#count);
    }
    this.access = this.when === undefined ? {} : { when: this.when };
  }

  /** DS:RSI, which a segment prefix can redirect. */
  source(): Value {
    const { x } = this;
    return x.linear(x.truncateAddress(x.e.get(GPR[RSI]!)));
  }

  /** ES:RDI, which none can. */
  destination(): Value {
    const { x } = this;
    return x.truncateAddress(x.e.get(GPR[RDI]!));
  }

  /** Moves index registers on, counts down, sets flags, and branches back while there is more and `goOn` (an i32) agrees. */
  finish(indexes: readonly number[], flags?: FlagValues, goOn?: Value): void {
    const { x, when } = this;
    const { e, i } = x;
    const step = stringStep(x, this.bits >> 3);
    const moved = indexes.map((n) => x.truncateAddress(e.add(e.get(GPR[n]!), step)));
    const where = (n: number, value: Value): void =>
      e.set(GPR[n]!, when === undefined ? value : e.select(when, value, e.get(GPR[n]!)));
    for (const [k, n] of indexes.entries()) where(n, moved[k]!);
    if (this.#count === undefined || this.#nextCount === undefined || when === undefined) {
      if (flags !== undefined) setFlags(x, flags);
      return;
    }
    const left = e.and(when, x.isNonzero(this.#nextCount));
    const more = goOn === undefined ? left : e.and(left, goOn);
    if (flags !== undefined) setFlags(x, flags, e.and(when, x.isZero(more)));
    where(RCX, i.prefixes.address ? e.extendU(this.#nextCount) : this.#nextCount);
    e.branchIf(more, e.pc());
  }
}

const movs = (n: Iteration): void => {
  const value = n.x.load(n.bits, n.source(), n.access);
  n.x.store(n.bits, n.destination(), value, n.access);
  n.finish([RSI, RDI]);
};

/** Of a repeated MOVS whose addresses are those in RSI and RDI, and whose count is all of RCX. */
const repeatedMovs =
  (bits: number | undefined) =>
  ({ prefixes: { rep, address, segment }, width }: Instruction): RepeatedMove | undefined =>
    rep === 0 || address || segment !== 'none'
      ? undefined
      : { bytes: (bits ?? width) >> 3, source: GPR[RSI]!, destination: GPR[RDI]!, count: GPR[RCX]!, down: DF };

const stos = (n: Iteration): void => {
  n.x.store(n.bits, n.destination(), n.x.getGpr(RAX, n.bits), n.access);
  n.finish([RDI]);
};

const lods = (n: Iteration): void => {
  const { x } = n;
  const value = x.load(n.bits, n.source(), n.access);
  if (n.when === undefined) x.setGpr(RAX, n.bits, value);
  else {
    // A repeated load of 32 bits that does not take place leaves all of RAX.
    const old = x.e.get(GPR[RAX]!);
    x.setGpr(RAX, n.bits, value);
    x.e.set(GPR[RAX]!, x.e.select(n.when, x.e.get(GPR[RAX]!), old));
  }
  n.finish([RSI]);
};

/** Flags of a - b, on which REPE (F3) goes on when equal and REPNE (F2) when not. */
const compare = (n: Iteration, a: Value, b: Value, indexes: readonly number[]): void => {
  const { x } = n;
  const equal = x.e.eq(a, b);
  n.finish(indexes, subFlags(x, a, b, x.sub(a, b)), x.i.prefixes.rep === 0xf2 ? x.isZero(equal) : equal);
};

const cmps = (n: Iteration): void => {
  const a = n.x.load(n.bits, n.source(), n.access);
  const b = n.x.load(n.bits, n.destination(), n.access);
  compare(n, a, b, [RSI, RDI]);
};

const scas = (n: Iteration): void => {
  const b = n.x.load(n.bits, n.destination(), n.access);
  compare(n, n.x.getGpr(RAX, n.bits), b, [RDI]);
};

/** The byte form, and the one that goes by operand size. Byte forms name AL so that the size of their arithmetic is 8. */
const forms = (
  name: string,
  byteOpcode: string,
  opcode: string,
  repeat: 'REP' | 'REPcc',
  effect: (n: Iteration) => void,
  repeats?: (bits: number | undefined) => Clause['repeats'],
): Row[] => [
  clause(`${name}B`, `${byteOpcode} ${repeat} b`, (x) => effect(new Iteration(x, 8)), repeats?.(8)),
  clause(
    `${name}W/${name}D/${name}Q`,
    `${opcode} ${repeat}`,
    (x) => effect(new Iteration(x, x.i.width)),
    repeats?.(undefined),
  ),
];

export const STRING = family('string', () => [
  ...forms('MOVS', 'A4', 'A5', 'REP', movs, repeatedMovs),
  ...forms('CMPS', 'A6', 'A7', 'REPcc', cmps),
  ...forms('STOS', 'AA', 'AB', 'REP', stos),
  ...forms('LODS', 'AC', 'AD', 'REP', lods),
  ...forms('SCAS', 'AE', 'AF', 'REPcc', scas),
]);
