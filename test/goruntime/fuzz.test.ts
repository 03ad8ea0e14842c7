import { describe, expect, test } from 'vitest';
import { LocationError } from '../../src/goruntime/locate.ts';
import { TableError } from '../../src/goruntime/pcvalue.ts';
import { GoProgram, NotGoError } from '../../src/goruntime/program.ts';
import { SafePoints } from '../../src/goruntime/safe-points.ts';
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
  expect([TableError.name, NotGoError.name, LocationError.name]).toContain((error as Error).name);
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
    } catch (error) {
      expected(error);
      if (error instanceof TableError) expect(error.message).toMatch(/ at offset 0x[0-9a-f]+: /);
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
    for (let round = 0; round < ROUNDS; round++) {
      const damaged = Uint8Array.from(bytes);
      // The header and the function table are small and matter most; the rest is hit at random.
      const areas: readonly (readonly [number, number])[] = [
        [table + 8, 64],
        [table + 72, 8 * whole.tables.nfunc],
        [table + 72, 600_000],
        [module, 592],
      ];
      for (let i = 0; i < FLIPS; i++) {
        const [start, size] = areas[round % 4 === 0 ? 0 : round % 4 === 1 ? 1 : next(4)]!;
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
