import { describe, expect, test } from 'vitest';
import { findOffsets } from '../../src/goruntime/facts/dwarf-offsets.ts';
import { structOffsets } from '../../src/goruntime/facts/structs.ts';
import { readStructs } from '../../src/object/dwarf.ts';
import { type Elf, ElfError, readElf } from '../../src/object/elf.ts';
import { load, open, symbolCells } from '../goruntime/programs.ts';

const WANTED = ['runtime.g', 'runtime.m', 'runtime.p'];

/** A program whose .debug_info is something else. */
const withInfo = (elf: Elf, info: Uint8Array): Elf => ({
  ...elf,
  sectionData: (name) => (name === '.debug_info' ? info : elf.sectionData(name)),
});

describe.each(symbolCells())('DWARF of $purpose for $goarch, Go $release', (cell) => {
  const elf = readElf(load(cell));
  const program = open(cell);

  test('has every field of g, m and p that the table of offsets has, at the same place', () => {
    const table = structOffsets(program.arch, program.release);
    const nothing = Object.fromEntries(
      Object.entries(table).map(([name, fields]) => [
        name,
        Object.fromEntries(Object.keys(fields).map((f) => [f, undefined])),
      ]),
    );
    // Held against an empty table, so that every value is DWARF's own.
    expect(findOffsets(elf, nothing as never)).toEqual({ source: 'DWARF', disagreements: [], offsets: table });
    expect(program.offsets).toEqual(table);
  });

  test('a difference is told, and DWARF is believed', () => {
    const table = structOffsets(program.arch, program.release);
    const wrong = { ...table, g: { ...table.g, goid: table.g.goid + 8 } };
    const found = findOffsets(elf, wrong);
    expect(found.offsets).toEqual(table);
    expect(found.disagreements).toEqual([`g.goid: ${table.g.goid} in DWARF, ${wrong.g.goid} in the table`]);
  });

  test('members are found through nested structures only where there are some', () => {
    const structs = readStructs(elf, WANTED, 'runtime')!;
    const w = program.arch.pointerSize;
    expect(structs.offsetOf('runtime.g', 'sched.pc')).toBe(structs.offsetOf('runtime.g', 'sched')! + w);
    expect(structs.offsetOf('runtime.g', 'goid.low')).toBeUndefined();
    expect(structs.offsetOf('runtime.g', 'nothing')).toBeUndefined();
    expect(structs.offsetOf('runtime.nothing', 'm')).toBeUndefined();
  });

  test('damage is an error or a missing structure, never a hang', () => {
    const info = elf.sectionData('.debug_info')!;
    for (let seed = 1; seed <= 25; seed++) {
      const damaged = Uint8Array.from(info.subarray(0, Math.min(info.length, 200_000)));
      for (let i = 0; i < 20; i++)
        damaged[(seed * 7919 + i * 104_729) % (i < 5 ? 64 : damaged.length)]! ^= 1 << (i % 8);
      try {
        readStructs(withInfo(elf, damaged), WANTED, 'runtime')?.offsetOf('runtime.g', 'sched.sp');
      } catch (error) {
        expect(error).toBeInstanceOf(ElfError);
      }
    }
  });
});
