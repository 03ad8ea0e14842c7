// Compiled code from run to run: files in the user's cache, one for each program and way of compiling it. What cannot be read or written
// is done without: a cache is never a reason to fail.

import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import type { CodeImage, CodeModule, CodeStore } from '../src/index.ts';
import { v8NativeCode } from './native-code.ts';

/** Bytes of all files together at which the oldest are removed. */
const MOST = 512 * 1024 * 1024;
const SUFFIX = '.code';

/** Whether the user wants code to be kept. */
export const codeIsKept = (): boolean => process.env.SAFEPOINT_CACHE !== 'off';

/** Where code is kept: `SAFEPOINT_CACHE`, or what the XDG base directory specification says; undefined where it is `off`. */
function directory(): string | undefined {
  const { SAFEPOINT_CACHE, XDG_CACHE_HOME } = process.env;
  if (!codeIsKept()) return undefined;
  if (SAFEPOINT_CACHE !== undefined && SAFEPOINT_CACHE !== '') return SAFEPOINT_CACHE;
  return join(
    XDG_CACHE_HOME !== undefined && XDG_CACHE_HOME !== '' ? XDG_CACHE_HOME : join(homedir(), '.cache'),
    'safepoint',
  );
}

/** Changes with what makes the code: this very build, and the V8 whose format the files have. Undefined where we run from sources. */
function build(): string | undefined {
  const file = fileURLToPath(import.meta.url);
  if (file.endsWith('.ts')) return undefined;
  const { size, mtimeMs } = statSync(file);
  return `${file} ${size} ${mtimeMs} ${process.version} ${process.arch}`;
}

/** A name for a text: two hashes of it (FNV-1a), which need not be the best, for the file has the text itself. */
function fileName(text: string): string {
  const hash = (h: number): string => {
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    return (h >>> 0).toString(16).padStart(8, '0');
  };
  return hash(0x811c9dc5) + hash(0x2b7e1516);
}

// A file is a checksum of the rest, the length of what describes the image, this description as V8 serialises it, and of each module its
// bytes and V8's machine code of it: most modules are never looked at by a run, and are not copied.

/** Bytes of the checksum, and of the length. */
const FIELD = 4;

function encode(image: CodeImage, identity: string): Uint8Array {
  const modules = image.modules.map(({ bytes, native, ...module }) => ({
    ...module,
    length: bytes.length,
    nativeLength: native?.length ?? 0,
  }));
  const code = image.modules.flatMap(({ bytes, native }) => (native === undefined ? [bytes] : [bytes, native]));
  const description = serialize({ ...image, modules, identity });
  const head = Buffer.alloc(2 * FIELD);
  head.writeUInt32LE(description.length, FIELD);
  const file = Buffer.concat([head, description, ...code]);
  file.writeUInt32LE(crc32(file.subarray(FIELD)));
  return file;
}

type Described = Omit<CodeImage, 'modules'> & {
  readonly modules: readonly (Omit<CodeModule, 'bytes' | 'native'> & {
    readonly length: number;
    readonly nativeLength: number;
  })[];
  readonly identity: string;
};

/** @throws RangeError for a file that is damaged, or has the name of another */
function decode(file: Buffer, identity: string): CodeImage {
  if (file.readUInt32LE(0) !== crc32(file.subarray(FIELD))) throw new RangeError('a damaged file');
  let at = 2 * FIELD + file.readUInt32LE(FIELD);
  const described = deserialize(file.subarray(2 * FIELD, at)) as Described;
  const bytes = new Uint8Array(file.buffer as ArrayBuffer, file.byteOffset, file.length);
  const next = (length: number): Uint8Array<ArrayBuffer> => {
    at += length;
    return bytes.subarray(at - length, at);
  };
  const modules = described.modules.map(({ length, nativeLength, ...module }) => ({
    ...module,
    bytes: next(length),
    native: nativeLength > 0 ? next(nativeLength) : undefined,
  }));
  if (at !== file.length || described.identity !== identity) throw new RangeError('another file');
  return { ...described, modules };
}

/** Makes a directory and those above it. Node's own way goes round for ever below /proc, where nothing can be made (ENOENT). */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process was faster.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * A file's bytes. They are executed: not where somebody else could have written them.
 * @throws RangeError for such a file, and what the file system throws
 */
function readOwn(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const { uid, mode } = fstatSync(file);
    const user = process.getuid?.();
    if (user !== undefined && (uid !== user || (mode & 0o022) !== 0)) throw new RangeError("somebody else's file");
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

class DiskCodeStore implements CodeStore {
  readonly #directory: string;
  readonly #identity: string;
  readonly native = v8NativeCode();

  constructor(directory: string, identity: string) {
    this.#directory = directory;
    this.#identity = identity;
  }

  #identified(variant: string): { readonly identity: string; readonly file: string } {
    const identity = `${this.#identity}\n${variant}`;
    return { identity, file: join(this.#directory, `${fileName(identity)}${SUFFIX}`) };
  }

  load(variant: string): CodeImage | undefined {
    const { identity, file } = this.#identified(variant);
    try {
      const image = decode(readOwn(file), identity);
      const now = new Date();
      utimesSync(file, now, now);
      return image;
    } catch {
      return undefined;
    }
  }

  save(variant: string, image: CodeImage): void {
    const { identity, file } = this.#identified(variant);
    const partial = `${file}.${process.pid}`;
    try {
      makeDirectory(this.#directory);
      writeFileSync(partial, encode(image, identity), { mode: 0o600 });
      renameSync(partial, file);
      this.#prune();
    } catch {
      try {
        rmSync(partial, { force: true });
      } catch {
        // There is nothing to remove where nothing could be written.
      }
    }
  }

  /** Removes what was used longest ago where there is too much. */
  #prune(): void {
    const files = readdirSync(this.#directory).filter((name) => name.endsWith(SUFFIX));
    const stats = files.map((name) => {
      const path = join(this.#directory, name);
      const { size, mtimeMs } = statSync(path);
      return { path, size, mtimeMs };
    });
    let total = stats.reduce((sum, { size }) => sum + size, 0);
    for (const { path, size } of stats.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (total <= MOST) return;
      rmSync(path, { force: true });
      total -= size;
    }
  }
}

/** Bytes of a program that tell it from others: its headers, and what Go's linker puts behind them, the build ID. */
const HEAD = 4096;

/**
 * Where the compiled code of a program is kept; undefined where none is to be. That the program is the very same need not be certain
 * here: code is taken over only where the pages that it was made from are the same.
 */
export function codeStoreFor(program: Uint8Array): CodeStore | undefined {
  const where = directory();
  const made = build();
  if (where === undefined || made === undefined) return undefined;
  const head = Buffer.from(program.subarray(0, HEAD)).toString('latin1');
  return new DiskCodeStore(where, `${made} ${program.length} ${head}`);
}
