import { describe, expect, test } from 'vitest';
import {
  FUNCDATA_ArgsPointerMaps,
  FUNCDATA_LocalsPointerMaps,
  funcdataStackObjects,
} from '../../src/goruntime/funcdata.ts';
import { LocationError } from '../../src/goruntime/locate.ts';
import { TableError } from '../../src/goruntime/pcvalue.ts';
import { GoProgram, NotGoError } from '../../src/goruntime/program.ts';
import { SafePoints } from '../../src/goruntime/safe-points.ts';
import { StackScanner } from '../../src/goruntime/stack-scan.ts';
import { GuestReadError } from '../../src/goruntime/view.ts';
import { readElf } from '../../src/object/elf.ts';
import { cells, load, open } from './programs.ts';

/** xorshift32: the same damage in every run. */
function random(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

const ROUNDS = 25;
const FLIPS = 40;
const FUNCS = 60;

function expected(error: unknown): void {
  if ((error as Error).name === 'AssertionError') throw error;
  expect([TableError.name, NotGoError.name, LocationError.name]).toContain((error as Error).name);
}

/** Scans a frame that stands in the data of the program: what funcdata says of it is what matters. */
function scan(program: GoProgram, next: (below: number) => number): void {
  const { tables, image } = program;
  const data = image.areas().find((a) => a.writable);
  if (data === undefined) return;
  const func = tables.func(next(tables.nfunc));
  const pc = func.entry + next(Math.max(1, Math.min(func.end - func.entry, 1 << 16)));
  const sp = data.addr + 4096;
  const frame = { pc, sp, fp: sp + 512, func, linePC: pc, interrupted: false, inline: () => [] };
  try {
    const [scanned] = new StackScanner(program, image).scan([frame]);
    expect(scanned!.frame).toBe(frame);
  } catch (error) {
    if ((error as Error).name === 'AssertionError') throw error;
    expect([TableError.name, GuestReadError.name]).toContain((error as Error).name);
    if (error instanceof GuestReadError) expect(error.message).toMatch(/^cannot read \S.* (of|at) \S.*: no memory at /);
  }
}

/** Asks everything of some functions; every answer is an answer or a TableError. */
function interrogate(program: GoProgram, next: (below: number) => number): void {
  const { tables } = program;
  const points = new SafePoints(tables, program.arch, { rules: program.rules });
  for (let i = 0; i < FUNCS; i++) {
    try {
      const f = tables.func(next(tables.nfunc));
      const pc = f.entry + next(Math.max(1, Math.min(f.end - f.entry, 1 << 16)));
      tables.inlineFrames(f, pc);
      tables.funcMaxSPDelta(f);
      const verdict = points.isAsyncSafePointPC(pc, next(2) === 0 ? 0 : pc + 8);
      expect(verdict.reason.length).toBeGreaterThan(0);
      // A refusal names what refused, and a safe place is inside the program's code.
      if (verdict.safe) expect(tables.findfunc(verdict.resume)).toBeDefined();
      else expect(verdict.check).toBeDefined();
      scan(program, next);
    } catch (error) {
      expected(error);
      if (error instanceof TableError) expect(error.message).toMatch(/ at offset -?0x[0-9a-f]+: /);
    }
  }
}

describe.each(cells())('damaged tables of $purpose for $goarch, Go $release', (cell) => {
  test('give answers or errors that name the table and the offset', () => {
    const whole = open(cell);
    const bytes = load(cell);
    const fileOffset = (addr: number): number => {
      const segment = whole.elf.loads.find((s) => addr >= s.vaddr && addr < s.vaddr + s.filesz)!;
      return segment.offset + addr - segment.vaddr;
    };
    const table = fileOffset(whole.tables.table.addr);
    const module = fileOffset(whole.tables.module!.addr);
    const next = random(0x5afe);
    /** The stack maps and stack objects of some functions. */
    const funcdata = (): (readonly [number, number])[] => {
      const { tables, release } = whole;
      const f = tables.func(next(tables.nfunc));
      const wanted = [FUNCDATA_ArgsPointerMaps, FUNCDATA_LocalsPointerMaps, funcdataStackObjects(release)];
      const found = wanted.map((table) => tables.funcdata(f, table)).filter((addr) => addr !== undefined);
      return found.map((addr) => [fileOffset(addr), 64]);
    };
    for (let round = 0; round < ROUNDS; round++) {
      const damaged = Uint8Array.from(bytes);
      // The header and the function table are small and matter most; the rest is hit at random.
      const areas: readonly (readonly [number, number])[] = [
        [table + 8, 64],
        [table + 72, 8 * whole.tables.nfunc],
        [table + 72, 600_000],
        [module, 592],
        ...funcdata(),
      ];
      for (let i = 0; i < FLIPS; i++) {
        const [start, size] = areas[round % 4 === 0 ? 0 : round % 4 === 1 ? 1 : next(areas.length)]!;
        const at = start + next(size);
        if (at < damaged.length) damaged[at] = next(256);
      }
      try {
        const program = GoProgram.open(readElf(damaged));
        interrogate(program, next);
        try {
          program.locate('main.main');
          program.locate('main.go:10');
        } catch (error) {
          expected(error);
        }
      } catch (error) {
        expected(error);
      }
    }
  });
});
