// Makes code: what the compiler needs where there is something to compile. A run that finds all of its code kept has no need of it, and
// loads none of it (cli/later.ts): nothing that such a run needs may be found here.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { RegisterFile } from '../../isa/dsl/registers.ts';
import type { FlagsPutOff } from '../engine/flags.ts';
import { accessFunctions } from './access-functions.ts';
import { assemble } from './assemble.ts';
import { HELPERS } from './helpers.ts';
import type { MadeUnit } from './modules.ts';
import type { Plan } from './plan.ts';
import { helperType } from './support.ts';
import { type Links, UNIT_TYPE, unitType } from './transfers.ts';
import { Unit } from './unit.ts';
import { Usages } from './usage.ts';
import type { Visits } from './visits.ts';
import type { Body } from './wasm.ts';
import type { Watch } from './watch.ts';

export { findBlocks } from './blocks.ts';
export { driverModule } from './driver.ts';
export { plan } from './plan.ts';
export { settlerModule } from './settler.ts';
export { supportModule } from './support.ts';

export const usagesOf = (registers: RegisterFile, flags: FlagsPutOff): Usages => new Usages(registers, flags);

/** The function of a plan. */
export const bodyOf = (
  isa: Isa,
  usages: Usages,
  plan: Plan,
  links: Links,
  watch: Watch,
  how: { readonly fast: boolean; readonly visits: Visits | undefined },
): Body => new Unit(isa, usages, plan, links, watch, how).emit();

/** The module of some units. */
export function moduleOf(isa: Isa, memoryPages: number, units: readonly MadeUnit[]): Uint8Array<ArrayBuffer> {
  const accesses = accessFunctions(isa);
  const firstType = 1 + HELPERS.length;
  return assemble({
    types: [unitType(isa), ...HELPERS.map((h) => helperType(isa, h)), ...accesses.map(({ type }) => type)],
    functions: HELPERS.map((name, i) => ({ module: 'h', name, type: i + 1 })),
    memoryPages,
    before: accesses.map(({ body }, i) => ({ type: firstType + i, body })),
    bodies: units.map(({ body }) => ({ type: UNIT_TYPE, body })),
    slots: units.map(({ slot }) => slot),
    starts: new Map(units.flatMap(({ start }, i) => (start === undefined ? [] : [[start, i]]))),
  });
}
