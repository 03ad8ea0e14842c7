// WebAssembly, binary format: a module of function bodies, by its sections. (WebAssembly Core Specification 2.0, 5.5; threads as in the proposal
// of that name.)

import { FUNCREF, type ValueType } from './opcodes.ts';
import { type Body, Bytes, HOLE_BYTES } from './wasm.ts';

/** Flags of a memory's limits. */
const LIMITS_MAXIMUM = 1;
const LIMITS_SHARED = 2;

/** The slot of what is not in the module: no unit's, and not the negative number of a link cell that leads nowhere. */
const NO_SLOT = -2;

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface FunctionImport {
  readonly module: string;
  readonly name: string;
  readonly type: number;
}

export interface ModuleParts {
  readonly types: readonly FunctionType[];
  readonly functions: readonly FunctionImport[];
  /** Names of the imported memory (in 64 KiB pages, minimum and maximum) and table. */
  readonly memoryPages: number;
  /** Functions of the module's own, before those of `bodies`. */
  readonly before?: readonly { readonly type: number; readonly body: Body }[];
  /** Those that have a name are exported. V8 compiles a wrapper for each exported type, in each module. */
  readonly bodies: readonly { readonly type: number; readonly body: Body; readonly name?: string }[];
  /** Where the functions of `bodies` are put into the table, one by one. */
  readonly slots?: readonly number[];
  /** By its start: which of `bodies` a unit is that others may call by name. */
  readonly starts?: ReadonlyMap<number, number>;
}

/** Runs of consecutive numbers. */
function runsOf(numbers: readonly number[]): { readonly from: number; readonly count: number }[] {
  const runs: { from: number; count: number }[] = [];
  for (const [i, number] of numbers.entries()) {
    const run = runs.at(-1);
    if (run !== undefined && number === numbers[i - 1]! + 1) run.count++;
    else runs.push({ from: i, count: 1 });
  }
  return runs;
}

/** Of a module but for its bodies and their hints there is mostly less than this. */
const REST_BYTES = 8192;

/** A module that imports memory `e.m`, table `e.t` and functions. */
export function assemble(parts: ModuleParts): Uint8Array<ArrayBuffer> {
  const { bodies, slots, before = [] } = parts;
  /** Of the first of `bodies`. */
  const firstIndex = parts.functions.length + before.length;
  const all: ModuleParts['bodies'] = [...before, ...bodies];
  const bodyBytes = all.reduce((sum, { body }) => sum + body.bytes.length, 0);
  // Copies of what may be megabytes would be as large again each.
  const out = new Bytes(all.reduce((sum, { body }) => sum + body.hints.length, bodyBytes + REST_BYTES));
  out.append(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  const section = (id: number, write: (s: Bytes) => void): void => {
    const s = new Bytes();
    write(s);
    out.u8(id);
    out.unsigned(s.length);
    out.append(s.view());
  };
  section(1, (s) => {
    s.unsigned(parts.types.length);
    for (const type of parts.types) {
      s.u8(0x60);
      s.unsigned(type.parameters.length);
      for (const p of type.parameters) s.u8(p);
      s.unsigned(type.results.length);
      for (const r of type.results) s.u8(r);
    }
  });
  section(2, (s) => {
    s.unsigned(parts.functions.length + 2);
    for (const f of parts.functions) {
      s.name(f.module);
      s.name(f.name);
      s.u8(0);
      s.unsigned(f.type);
    }
    s.name('e');
    s.name('m');
    s.u8(2);
    // Limits with a maximum, which a shared memory must have.
    s.u8(LIMITS_MAXIMUM | LIMITS_SHARED);
    s.unsigned(parts.memoryPages);
    s.unsigned(parts.memoryPages);
    s.name('e');
    s.name('t');
    s.u8(1);
    s.u8(FUNCREF);
    s.u8(0);
    s.unsigned(0);
  });
  section(3, (s) => {
    s.unsigned(all.length);
    for (const body of all) s.unsigned(body.type);
  });
  section(7, (s) => {
    s.unsigned(bodies.filter((body) => body.name !== undefined).length);
    for (const [i, body] of bodies.entries()) {
      if (body.name === undefined) continue;
      s.name(body.name);
      s.u8(0);
      s.unsigned(firstIndex + i);
    }
  });
  if (slots !== undefined) {
    section(9, (s) => {
      const runs = runsOf(slots);
      s.unsigned(runs.length);
      for (const { from, count } of runs) {
        s.u8(0);
        s.u8(0x41);
        s.signed(slots[from]!);
        s.u8(0x0b);
        s.unsigned(count);
        for (let i = 0; i < count; i++) s.unsigned(firstIndex + from + i);
      }
    });
  }
  // https://github.com/WebAssembly/branch-hinting: what is unlikely is put out of the way, and costs the rest no registers.
  section(0, (s) => {
    s.name('metadata.code.branch_hint');
    const hinted = [...all.entries()].filter(([, { body }]) => body.hintCount > 0);
    s.unsigned(hinted.length);
    for (const [i, { body }] of hinted) {
      s.unsigned(parts.functions.length + i);
      s.unsigned(body.hintCount);
      s.append(body.hints);
    }
  });
  const count = new Bytes(HOLE_BYTES);
  count.unsigned(all.length);
  out.u8(10);
  out.unsigned(count.length + bodyBytes);
  out.append(count.view());
  for (const { body } of all) {
    const begin = out.length;
    out.append(body.bytes);
    for (const { offset, what, start } of body.holes) {
      const unit = parts.starts?.get(start);
      if (what === 'function') out.fill(begin + offset, firstIndex + (unit ?? 0));
      else out.fill(begin + offset, unit === undefined ? NO_SLOT : slots![unit]!);
    }
  }
  return out.view();
}
