// A program's file: read as far as somebody asks, and the same file to its end.

import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { InputError } from '../../src/debug/input-error.ts';
import { openProgramFile, readProgramFile } from '../../src/debug/program-file.ts';
import { Session } from '../../src/debug/session.ts';
import { fixturePath } from '../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'safepoint-program-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

const BYTES = Uint8Array.from({ length: 3 * 4096 + 100 }, (_, i) => i % 251);

function written(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, BYTES);
  return path;
}

describe('a program’s file', () => {
  it('gives pages, ranges and all of it alike, before and after it has been read', () => {
    const file = openProgramFile(written('plain'));
    expect(file.length).toBe(BYTES.length);
    for (const when of ['a part at a time', 'whole']) {
      for (const at of [0, 4096, 8192, 12_288]) {
        expect(Buffer.from(file.page(at)), `${when}, page ${at}`).toEqual(Buffer.from(BYTES.subarray(at, at + 4096)));
      }
      expect(file.page(4 * 4096), when).toHaveLength(0);
      expect(Buffer.from(file.range(4000, 200)), when).toEqual(Buffer.from(BYTES.subarray(4000, 4200)));
      expect(Buffer.from(file.range(12_300, 4096)), when).toEqual(Buffer.from(BYTES.subarray(12_300)));
      expect(Buffer.from(file.bytes), when).toEqual(Buffer.from(BYTES));
    }
  });

  it('keeps what was read of it as a range while pages are read', () => {
    const file = openProgramFile(written('ranges'));
    const range = file.range(0, 100);
    file.page(4096);
    expect(Buffer.from(range)).toEqual(Buffer.from(BYTES.subarray(0, 100)));
  });

  it.each([
    ['grown', (path: string) => appendFileSync(path, 'more')],
    ['cut short', (path: string) => writeFileSync(path, BYTES.subarray(0, 5000))],
  ])('that has been %s since is not taken for the same', (name, change) => {
    const path = written(name);
    const file = openProgramFile(path);
    file.page(0);
    change(path);
    expect(() => file.bytes).toThrow('was overwritten while it was in use; run it again');
  });

  it('that is overwritten while it runs ends the run', () => {
    const path = fixturePath('hello', 'mips', '1.27');
    const copy = join(folder, 'running');
    copyFileSync(path, copy);
    const session = Session.open(openProgramFile(copy), { path: copy });
    appendFileSync(copy, 'more');
    expect(() => session.run()).toThrow(new InputError('was overwritten while it was in use; run it again'));
  });

  it('that is none is told of in one line', () => {
    const directory = join(folder, 'directory');
    mkdirSync(directory);
    expect(() => openProgramFile(directory)).toThrow(`${directory}: is a directory; name a program`);
    expect(() => readProgramFile(join(folder, 'nothing'))).toThrow('no such file; check the path');
  });
});
