// GOARCH name to instruction-set description.

import { amd64Isa } from './amd64/index.ts';
import type { Isa } from './dsl/isa.ts';
import type { Goarch } from './dsl/variant.ts';
import { mipsIsa } from './mips/index.ts';
import { MIPS } from './mips/targets/mips.ts';
import { MIPS64 } from './mips/targets/mips64.ts';
import { MIPS64LE } from './mips/targets/mips64le.ts';
import { MIPSLE } from './mips/targets/mipsle.ts';

export * from './dsl/effects.ts';
export * from './dsl/isa.ts';
export * from './dsl/registers.ts';
export * from './dsl/variant.ts';
export * from './dsl/vector.ts';

const ISAS: Readonly<Partial<Record<Goarch, () => Isa>>> = {
  amd64: amd64Isa,
  mips: () => mipsIsa(MIPS),
  mipsle: () => mipsIsa(MIPSLE),
  mips64: () => mipsIsa(MIPS64),
  mips64le: () => mipsIsa(MIPS64LE),
};

/** Builds the instruction set of a target: once per machine, because the decode tables are its own. Throws for a GOARCH without one. */
export function isaFor(goarch: Goarch): Isa {
  const make = ISAS[goarch];
  if (make === undefined) throw new Error(`no instruction set for ${goarch}`);
  return make();
}
