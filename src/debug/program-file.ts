// Reading the file of a program, with errors that name it.

import { readFileSync, statSync } from 'node:fs';
import { InputError } from './session.ts';

/** Reads a program's file. @throws InputError in one line: the path, what is wrong, what to try */
export function readProgramFile(path: string): Uint8Array {
  try {
    if (statSync(path).isDirectory()) throw new InputError(`${path}: is a directory; name a program`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof InputError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new InputError(`${path}: no such file; check the path`);
    if (code === 'EACCES') throw new InputError(`${path}: permission denied; make it readable`);
    throw new InputError(`${path}: cannot be read (${code ?? String(error)})`);
  }
}
