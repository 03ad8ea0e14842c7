// Offsets of runtime.g, m and p as the program's own DWARF has them, held against the table of its release.

import { readStructs } from '../../object/dwarf.ts';
import { type Elf, ElfError } from '../../object/elf.ts';
import type { GOffsets, MOffsets, POffsets, StructOffsets } from './structs.ts';

/** Where a field is found in the structures of the runtime. */
const G_PATHS: Readonly<Record<keyof GOffsets, string>> = {
  stackLo: 'stack.lo',
  stackHi: 'stack.hi',
  stackguard0: 'stackguard0',
  m: 'm',
  schedSp: 'sched.sp',
  schedPc: 'sched.pc',
  schedG: 'sched.g',
  schedCtxt: 'sched.ctxt',
  schedLr: 'sched.lr',
  schedBp: 'sched.bp',
  syscallsp: 'syscallsp',
  syscallpc: 'syscallpc',
  stktopsp: 'stktopsp',
  atomicstatus: 'atomicstatus',
  goid: 'goid',
  schedlink: 'schedlink',
  waitreason: 'waitreason',
  preempt: 'preempt',
  preemptStop: 'preemptStop',
  preemptShrink: 'preemptShrink',
  asyncSafePoint: 'asyncSafePoint',
  lockedm: 'lockedm',
  sigpc: 'sigpc',
  gopc: 'gopc',
  startpc: 'startpc',
  secret: 'secret',
  xRegs: 'xRegs',
};
const M_PATHS: Readonly<Record<keyof MOffsets, string>> = {
  g0: 'g0',
  procid: 'procid',
  gsignal: 'gsignal',
  tls: 'tls',
  curg: 'curg',
  p: 'p',
  id: 'id',
  mallocing: 'mallocing',
  preemptoff: 'preemptoff',
  locks: 'locks',
  preemptGen: 'preemptGen',
  signalPending: 'signalPending',
  alllink: 'alllink',
};
const P_PATHS: Readonly<Record<keyof POffsets, string>> = {
  id: 'id',
  status: 'status',
  m: 'm',
  runqhead: 'runqhead',
  preempt: 'preempt',
  xRegs: 'xRegs',
};

/** Offsets, where they come from, and what did not fit. */
export interface FoundOffsets {
  readonly offsets: StructOffsets;
  readonly source: 'DWARF' | 'table';
  /** Fields on which DWARF and table disagree, such as `g.goid: 152 in DWARF, 160 in the table`. */
  readonly disagreements: readonly string[];
}

/**
 * The offsets of a program: those of its DWARF where it has some, and those of the table elsewhere. A field that only the table has
 * (or only DWARF) is taken from there.
 */
export function findOffsets(elf: Elf, table: StructOffsets): FoundOffsets {
  const fromTable: FoundOffsets = { offsets: table, source: 'table', disagreements: [] };
  let structs: ReturnType<typeof readStructs>;
  try {
    structs = readStructs(elf, ['runtime.g', 'runtime.m', 'runtime.p'], 'runtime');
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return { ...fromTable, disagreements: [`it cannot be read, so the table is used (${error.message})`] };
  }
  if (structs === undefined) return fromTable;
  const { offsetOf } = structs;
  const disagreements: string[] = [];
  let any = false;
  const merged = <T extends object>(letter: string, paths: Readonly<Record<keyof T, string>>, known: T): T => {
    const offsets: Record<string, number | undefined> = {};
    for (const [field, path] of Object.entries(paths) as [keyof T & string, string][]) {
      const found = offsetOf(`runtime.${letter}`, path);
      const expected = known[field] as number | undefined;
      offsets[field] = found ?? expected;
      any ||= found !== undefined;
      if (found !== undefined && expected !== undefined && found !== expected)
        disagreements.push(`${letter}.${path}: ${found} in DWARF, ${expected} in the table`);
    }
    return offsets as T;
  };
  const offsets: StructOffsets = {
    g: merged('g', G_PATHS, table.g),
    m: merged('m', M_PATHS, table.m),
    p: merged('p', P_PATHS, table.p),
  };
  return any ? { offsets, source: 'DWARF', disagreements } : fromTable;
}
