import { describe, expect, test } from 'vitest';
import { GoProgram } from '../../src/goruntime/program.ts';
import { readElf } from '../../src/object/elf.ts';
import { cfaRuns } from './debug-frame.ts';
import { cells, load, open, symbolCells, withoutSections } from './programs.ts';

const STT_FUNC = 2;

describe.each(cells())('tables of $purpose for $goarch, Go $release', (cell) => {
  test('the release is that of the toolchain', () => {
    const program = open(cell);
    expect(program.release.text).toMatch(new RegExp(`^go${cell.release.replace('.', '\\.')}(\\.|$)`));
    expect(program.releaseSource).toBe('build info');
    expect(program.notes).toEqual([]);
  });

  test('every table of every function decodes', () => {
    const { tables } = open(cell);
    const odd: string[] = [];
    for (const f of tables.funcs()) {
      for (const table of ['pcsp', 'pcfile', 'pcln'] as const) tables.fixedRuns(f, table);
      for (let index = 0; index < f.record.npcdata; index++) tables.pcdataRuns(f, index);
      for (let index = 0; index < f.record.nfuncdata; index++) tables.funcdata(f, index);
      for (const end of tables.pcdataRuns(f, 2)?.end ?? []) {
        const frames = tables.inlineFrames(f, end - tables.table.quantum);
        if (frames.at(-1)?.name !== f.name || frames.some((frame) => frame.name === '')) odd.push(f.name);
      }
    }
    expect(odd).toEqual([]);
  });

  test('a program without section headers gives the same tables', () => {
    const whole = open(cell);
    const bare = GoProgram.open(readElf(withoutSections(load(cell))));
    expect(bare.elf.sections).toEqual([]);
    expect(bare.release).toEqual(whole.release);
    expect(bare.tables.module).toEqual({ ...whole.tables.module, found: 'search for the address of pclntab' });
    expect(bare.tables.table.addr).toBe(whole.tables.table.addr);
    expect(bare.asyncPreempt).toBe(whole.asyncPreempt);
  });

  test('a byte of a table is among the constants, and one of the code is not', () => {
    const whole = open(cell);
    const isConstant = (address: number): boolean => {
      const segment = whole.elf.loads.find(({ vaddr, filesz }) => address >= vaddr && address < vaddr + filesz)!;
      const bytes = load(cell).slice();
      bytes[address - segment.vaddr + segment.offset]! ^= 1;
      const { constants } = GoProgram.open(readElf(bytes));
      return Buffer.compare(Buffer.concat(constants), Buffer.concat(whole.constants)) !== 0;
    };
    const { table } = whole.tables;
    expect(isConstant(whole.tables.minpc)).toBe(false);
    expect(isConstant(table.functabAddr + 8 * whole.tables.nfunc + 100)).toBe(true);
  });

  test('main.main has its lines, and its lines have their PCs', () => {
    const program = open(cell);
    const [entry] = program.locate('main.main').pcs;
    const f = program.tables.findfunc(entry ?? 0)!;
    const { file, line } = program.tables.fileLine(f, f.entry);
    expect(file).toMatch(/main\.go$/);
    expect(program.locate(`main.go:${line}`).pcs).toContain(f.entry);
  });

  test('places that do not exist are refused with near names', () => {
    const program = open(cell);
    expect(() => program.locate('main.mian')).toThrow(/no function main\.mian; did you mean .*main\.main/);
    expect(() => program.locate('main.go:9999')).toThrow(/no code comes from line 9999 of main\.go; the nearest line/);
    expect(() => program.locate('main.main+0xfffff')).toThrow(/past its end/);
    expect(() => program.locate('mian.go:1')).toThrow(/no code comes from mian\.go; did you mean .*main\.go/);
  });
});

describe.each(symbolCells())('tables against symbols and DWARF of $purpose for $goarch, Go $release', (cell) => {
  test('a symbol is found by its name as in the list of all', () => {
    const { elf } = open(cell);
    const byName = new Map(elf.symbols().map((s) => [s.name, s]));
    const names = [...byName.keys()].filter((name, i) => name !== '' && (i % 40 === 0 || name.startsWith('runtime.a')));
    expect(names.length).toBeGreaterThan(50);
    for (const name of names) expect(elf.symbol(name)).toEqual(byName.get(name));
    // The end of a longer name, its beginning, and nothing at all.
    for (const name of ['allgs', 'runtime.allg', '']) expect(elf.symbol(name)).toBe(byName.get(name));
  });

  test('every function symbol is a function of pclntab at the same address', () => {
    const { elf, tables } = open(cell);
    const symbols = elf.symbols().filter((s) => s.type === STT_FUNC && s.size > 0 && s.value < tables.maxpc);
    expect(symbols.length).toBeGreaterThan(500);
    const wrong = symbols.filter((s) => {
      const f = tables.findfunc(s.value);
      // The symbol of an ABI0 body may carry a suffix that the name table has not.
      return (
        f === undefined ||
        f.entry !== s.value ||
        (f.name !== s.name && f.name !== s.name.replace(/\.abi(0|internal)$/, ''))
      );
    });
    // Markers of the text section are symbols too, and equality helpers with the same code share one function.
    expect(wrong.map((s) => s.name).filter((n) => !/^(runtime\.e?text|_rt0_|type[.:]+eq\.)/.test(n))).toEqual([]);
  });

  test('the SP delta is what .debug_frame says, at every PC', () => {
    const { elf, tables, arch } = open(cell);
    const below = arch.linkRegister ? 0 : arch.pointerSize;
    const wrong: string[] = [];
    let pcs = 0;
    for (const run of cfaRuns(elf)) {
      const f = tables.findfunc(run.start);
      if (f === undefined) continue;
      for (let pc = run.start; pc < run.end; pc += tables.table.quantum) {
        pcs++;
        const delta = tables.funcspdelta(f, pc);
        if (delta !== run.offset - below) wrong.push(`${f.name}+${pc - f.entry}: ${delta}, not ${run.offset - below}`);
      }
    }
    expect(pcs).toBeGreaterThan(100_000);
    expect(wrong).toEqual([]);
  });

  test('the injected call is to the assembly body of asyncPreempt', () => {
    const { tables, asyncPreempt, elf } = open(cell);
    expect(tables.findfunc(asyncPreempt)?.funcIDName).toBe('asyncPreempt');
    const symbol = elf.symbol('runtime.asyncPreempt') ?? elf.symbol('runtime.asyncPreempt.abi0');
    expect(asyncPreempt).toBe(symbol?.value);
  });
});
