// Compiled code from run to run: a file of the user's cache for each program and way of compiling it.

import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import type { CodeImage, CodeModule, CodeStore } from '../src/index.ts';
import { buildIdentity, CacheFile, cacheDirectory } from './cache.ts';
import { v8NativeCode } from './native-code.ts';

// A file is the length of what describes the image, this description as V8 serialises it, and of each module its bytes and V8's machine
// code of it: most modules are never looked at by a run, and are not copied.

/** Bytes of the length. */
const FIELD = 4;

function encode(image: CodeImage): readonly Uint8Array[] {
  const modules = image.modules.map(({ bytes, native, ...module }) => ({
    ...module,
    length: bytes.length,
    nativeLength: native?.length ?? 0,
  }));
  const code = image.modules.flatMap(({ bytes, native }) => (native === undefined ? [bytes] : [bytes, native]));
  const description = serialize({ ...image, modules });
  const head = Buffer.alloc(FIELD);
  head.writeUInt32LE(description.length);
  return [head, description, ...code];
}

type Described = Omit<CodeImage, 'modules'> & {
  readonly modules: readonly (Omit<CodeModule, 'bytes' | 'native'> & {
    readonly length: number;
    readonly nativeLength: number;
  })[];
};

function decode(file: Buffer): CodeImage {
  let at = FIELD + file.readUInt32LE();
  const described = deserialize(file.subarray(FIELD, at)) as Described;
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
  return { ...described, modules };
}

class DiskCodeStore implements CodeStore {
  readonly #directory: string;
  readonly #identity: string;
  readonly native = v8NativeCode();

  constructor(directory: string, identity: string) {
    this.#directory = directory;
    this.#identity = identity;
  }

  #file(variant: string): CacheFile {
    return new CacheFile(this.#directory, `${this.#identity}\n${variant}`, 'code');
  }

  load(variant: string): CodeImage | undefined {
    const file = this.#file(variant).read();
    return file === undefined ? undefined : decode(file);
  }

  save(variant: string, image: CodeImage): void {
    this.#file(variant).write(...encode(image));
  }
}

/** Bytes of a program that tell it from others: its headers, and what Go's linker puts behind them, the build ID. */
const HEAD = 4096;

/**
 * Where the compiled code of a program is kept; undefined where none is to be. That the program is the very same need not be certain
 * here: code is taken over only where the pages that it was made from are the same.
 */
export function codeStoreFor(program: Uint8Array): CodeStore | undefined {
  const directory = cacheDirectory();
  const own = fileURLToPath(import.meta.url);
  // Run from sources, there is no file that says when what makes the code has changed.
  if (directory === undefined || own.endsWith('.ts')) return undefined;
  const head = Buffer.from(program.subarray(0, HEAD)).toString('latin1');
  return new DiskCodeStore(directory, `${buildIdentity(own)} ${program.length} ${head}`);
}
