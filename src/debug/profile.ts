// The profile of a guest: how often each instruction was executed, and its form as a pprof file (profile.proto of google/pprof, gzip'd).
//
// Counts are exact and of the instruction itself: a sample has one location, with the calls that were inlined there, and no callers.
// The file holds nothing of the host, so that the same run makes the same bytes.

import { gzipSync } from 'node:zlib';
import type { LocationInput, Function as PprofFunction, SampleInput } from 'pprof-format';
import type { Counter } from '../engine/compiler.ts';
import type { GoTables } from '../goruntime/tables.ts';
import type { Elf } from '../object/elf.ts';

const PAGE_BITS = 12;
const PAGE_SIZE = 1 << PAGE_BITS;

/** Counts executions by PC. */
export class InstructionCounts implements Counter {
  readonly #now: () => number;
  readonly #pages = new Map<number, Float64Array<ArrayBuffer>>();
  #page = -1;
  #counts = new Float64Array(PAGE_SIZE);
  /** The instruction count when the last one was seen, and where that was counted. */
  #lastAt = -1;
  #lastCounts = this.#counts;
  #lastOffset = 0;

  /** @param now instructions executed so far: one that is seen twice at the same count has faulted the first time */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The instruction at `pc` is about to be executed. */
  add(pc: number): void {
    this.settle();
    this.#lastAt = this.#now();
    const page = Math.floor(pc / PAGE_SIZE);
    if (page !== this.#page) this.#turnTo(page);
    const offset = pc - page * PAGE_SIZE;
    this.#counts[offset]!++;
    this.#lastCounts = this.#counts;
    this.#lastOffset = offset;
  }

  addTimes(pc: number, times: number): void {
    const page = Math.floor(pc / PAGE_SIZE);
    if (page !== this.#page) this.#turnTo(page);
    this.#counts[pc - page * PAGE_SIZE]! += times;
  }

  /** Takes back the instruction that was seen last if it has not been executed: it faulted, or the run ended there. */
  settle(): void {
    if (this.#now() !== this.#lastAt) return;
    this.#lastCounts[this.#lastOffset]!--;
    this.#lastAt = -1;
  }

  #turnTo(page: number): void {
    let counts = this.#pages.get(page);
    if (counts === undefined) {
      counts = new Float64Array(PAGE_SIZE);
      this.#pages.set(page, counts);
    }
    this.#page = page;
    this.#counts = counts;
  }

  /** PCs by address, each with how often it was executed. */
  *entries(): Generator<readonly [pc: number, count: number]> {
    this.settle();
    for (const page of [...this.#pages.keys()].sort((a, b) => a - b)) {
      for (const [offset, count] of this.#pages.get(page)!.entries())
        if (count > 0) yield [page * PAGE_SIZE + offset, count];
    }
  }
}

/** What names places in the guest. */
export interface ProfiledProgram {
  /** Path of the program's file, for pprof's own listings. */
  readonly path: string;
  readonly elf: Elf;
  /** Where it lies in memory, beyond what its file says: 0 unless it is position-independent. */
  readonly base: number;
  /** Undefined for a program without Go tables: pprof then looks for names in the file itself. */
  readonly tables: GoTables | undefined;
}

interface Frame {
  readonly name: string;
  readonly file: string | undefined;
  readonly line: number;
  /** Line of the `func` keyword, 0 where the tables do not say. */
  readonly startLine: number;
}

/** The calls at a PC, innermost first; none where nothing is known. */
function framesAt(tables: GoTables | undefined, pc: number): readonly Frame[] {
  const f = tables?.findfunc(pc);
  if (tables === undefined || f === undefined) return [];
  return tables.inlineFrames(f, pc).map(({ name, file, line, inlined }) => {
    return { name, file, line, startLine: inlined ? 0 : f.record.startLine };
  });
}

/** The bytes of a pprof file. Its one sample type is `instructions`, in units of `count`. */
export async function encodeProfile(counts: InstructionCounts, program: ProfiledProgram): Promise<Uint8Array> {
  // Only here: a run without a profile should not wait for it.
  const pprof = await import('pprof-format');
  const strings = new pprof.StringTable();
  const functions = new Map<string, PprofFunction>();
  const functionOf = ({ name, file = '', startLine }: Frame): number => {
    const key = `${name}\0${file}`;
    let made = functions.get(key);
    if (made === undefined) {
      const id = functions.size + 1;
      const text = strings.dedup(name);
      made = new pprof.Function({ id, name: text, systemName: text, filename: strings.dedup(file), startLine });
      functions.set(key, made);
    }
    return Number(made.id);
  };
  const known = program.tables !== undefined;
  const pageOf = (address: number): number => Math.floor(address / PAGE_SIZE) * PAGE_SIZE;
  const mappings = program.elf.loads
    .filter((segment) => segment.executable)
    .map(({ vaddr, memsz, offset }, i) => ({
      id: i + 1,
      memoryStart: program.base + pageOf(vaddr),
      memoryLimit: program.base + pageOf(vaddr + memsz - 1) + PAGE_SIZE,
      fileOffset: pageOf(offset),
      filename: strings.dedup(program.path),
      hasFunctions: known,
      hasFilenames: known,
      hasLineNumbers: known,
      hasInlineFrames: known,
    }));
  const locations: LocationInput[] = [];
  const samples: SampleInput[] = [];
  for (const [pc, count] of counts.entries()) {
    const id = locations.length + 1;
    const mappingId = mappings.find((m) => pc >= m.memoryStart && pc < m.memoryLimit)?.id ?? 0;
    const line = framesAt(program.tables, pc).map((frame) => ({ functionId: functionOf(frame), line: frame.line }));
    locations.push({ id, mappingId, address: pc, line });
    samples.push({ locationId: [id], value: [count] });
  }
  const type = { type: strings.dedup('instructions'), unit: strings.dedup('count') };
  const profile = new pprof.Profile({
    sampleType: [type],
    periodType: type,
    period: 1,
    sample: samples,
    mapping: mappings,
    location: locations,
    function: [...functions.values()],
    stringTable: strings,
  });
  return gzipSync(profile.encode());
}
