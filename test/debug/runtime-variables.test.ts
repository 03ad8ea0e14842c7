import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { allgsFromCode } from '../../src/debug/runtime-variables.ts';
import { cells, open, symbolCells } from '../goruntime/programs.ts';

test.each(symbolCells())('runtime.allgs of $purpose for $goarch, Go $release is found in its code', (cell) => {
  const program = open(cell);
  expect(program.allgs).toBeDefined();
  expect(allgsFromCode(isaFor(cell.goarch), program)).toEqual(program.allgs);
});

test.each(cells('calls'))('so is that of $purpose for $goarch, Go $release, which has no symbols', (cell) => {
  const program = open(cell);
  expect(program.allgs).toBeUndefined();
  const found = allgsFromCode(isaFor(cell.goarch), program)?.allgs;
  // A variable that is zero at the start: past what the file has of its segment, and inside it.
  const data = program.image.areas().find((a) => found !== undefined && found >= a.addr && found < a.end);
  expect(data?.writable).toBe(true);
  expect(program.image.readPointer(found!)).toBe(0);
});
