// The file of a program on the host, with errors that name it.

import { closeSync, fstatSync, openSync, readFileSync, readSync, type Stats } from 'node:fs';
import { FILE_PAGE, fileOf, type ProgramFile } from '../object/file.ts';
import { InputError } from './input-error.ts';

/** Pages that are read before the file's times are looked at again, which takes as long as reading one. */
const CHECKED = 32;

/** An open file, read when it is asked for. */
class OpenProgram implements ProgramFile {
  readonly #file: number;
  readonly #modified: number;
  readonly #page = new Uint8Array(FILE_PAGE);
  readonly length: number;
  #bytes: Uint8Array | undefined;
  #unchecked = 0;

  constructor(file: number, { size, mtimeMs }: Stats) {
    this.#file = file;
    this.length = size;
    this.#modified = mtimeMs;
  }

  get bytes(): Uint8Array {
    if (this.#bytes === undefined) {
      const bytes = Buffer.allocUnsafeSlow(this.length);
      this.#read(0, bytes);
      closeSync(this.#file);
      this.#bytes = bytes;
    }
    return this.#bytes;
  }

  range(offset: number, length: number): Uint8Array {
    if (this.#bytes !== undefined) return this.#bytes.subarray(offset, offset + length);
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, this.length - offset)));
    this.#read(offset, bytes);
    return bytes;
  }

  page(offset: number): Uint8Array {
    if (this.#bytes !== undefined) return this.#bytes.subarray(offset, offset + FILE_PAGE);
    const left = this.length - offset;
    const page = left >= FILE_PAGE ? this.#page : this.#page.subarray(0, Math.max(0, left));
    this.#read(offset, page);
    return page;
  }

  #read(offset: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const count = readSync(this.#file, into, done, into.length - done, offset + done);
      // The end is not where it was.
      if (count === 0) return this.#check();
      done += count;
    }
    if (++this.#unchecked >= CHECKED || into.length > FILE_PAGE) this.#check();
  }

  /** A program that somebody overwrites while it runs would be two at once, which Linux does not allow either (ETXTBSY). */
  #check(): void {
    this.#unchecked = 0;
    const { size, mtimeMs } = fstatSync(this.#file);
    if (size !== this.length || mtimeMs !== this.#modified) {
      throw new InputError('was overwritten while it was in use; run it again');
    }
  }
}

/**
 * Opens a program's file, which is read as far as it is needed, and stays open until all of it has been read. Whoever reads it may hear, by
 * an InputError without the path, that it has been overwritten since.
 * @throws InputError in one line: the path, what is wrong, what to try
 */
export function openProgramFile(path: string): ProgramFile {
  try {
    const file = openSync(path, 'r');
    const stats = fstatSync(file);
    if (stats.isDirectory()) throw new InputError(`${path}: is a directory; name a program`);
    if (stats.isFile()) return new OpenProgram(file, stats);
    // Of a pipe nothing is known before its end.
    const bytes = readFileSync(file);
    closeSync(file);
    return fileOf(bytes);
  } catch (error) {
    if (error instanceof InputError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new InputError(`${path}: no such file; check the path`);
    if (code === 'EACCES') throw new InputError(`${path}: permission denied; make it readable`);
    throw new InputError(`${path}: cannot be read (${code ?? String(error)})`);
  }
}

/** Reads a program's file. @throws InputError in one line: the path, what is wrong, what to try */
export function readProgramFile(path: string): Uint8Array {
  const file = openProgramFile(path);
  try {
    return file.bytes;
  } catch (error) {
    if (error instanceof InputError) throw new InputError(`${path}: ${error.message}`);
    throw error;
  }
}
