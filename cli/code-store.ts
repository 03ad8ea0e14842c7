// Compiled code from run to run: a file of the user's cache for each program and way of compiling it.

import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import type { CodeImage, CodeModule, CodeStore } from '../src/index.ts';
import { buildIdentity, CacheFile, cacheDirectory, type KeptBytes } from './cache.ts';
import { v8NativeCode } from './native-code.ts';

// A file is the length of what describes the image, this description as V8 serialises it, and of each module its bytes and V8's machine
// code of it. Most modules are never looked at by a run: they are read when they are wanted, and not held.

/** Bytes of the length. */
const FIELD = 4;

type Described = Omit<CodeImage, 'modules'> & {
  readonly modules: readonly (Omit<CodeModule, 'bytes' | 'native' | 'optimised'> & {
    readonly length: number;
    readonly nativeLength: number;
  })[];
};

/** A module in a file. */
class StoredModule implements CodeModule {
  readonly firstSlot: number;
  readonly slots: number;
  readonly instructions: number;
  readonly length: number;
  readonly nativeLength: number;
  readonly #kept: KeptBytes;
  readonly #at: number;

  constructor(described: Described['modules'][number], kept: KeptBytes, at: number) {
    this.firstSlot = described.firstSlot;
    this.slots = described.slots;
    this.instructions = described.instructions;
    this.length = described.length;
    this.nativeLength = described.nativeLength;
    this.#kept = kept;
    this.#at = at;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#kept.read(this.#at, this.length);
  }

  get native(): Uint8Array<ArrayBuffer> | undefined {
    return this.optimised ? this.#kept.read(this.#at + this.length, this.nativeLength) : undefined;
  }

  get optimised(): boolean {
    return this.nativeLength > 0;
  }
}

function* encode(image: CodeImage): Generator<Uint8Array> {
  const modules = image.modules.map((module): Described['modules'][number] => {
    const { firstSlot, slots, instructions } = module;
    // Of one that is in a file already only the lengths are wanted here.
    const [length, nativeLength] =
      module instanceof StoredModule
        ? [module.length, module.nativeLength]
        : [module.bytes.length, module.native?.length ?? 0];
    return { firstSlot, slots, instructions, length, nativeLength };
  });
  const description = serialize({ ...image, modules } satisfies Described);
  const head = Buffer.alloc(FIELD);
  head.writeUInt32LE(description.length);
  yield head;
  yield description;
  for (const module of image.modules) {
    yield module.bytes;
    const { native } = module;
    if (native !== undefined) yield native;
  }
}

function decode(kept: KeptBytes): CodeImage {
  const length = Buffer.from(kept.read(0, FIELD).buffer).readUInt32LE();
  const described = deserialize(kept.read(FIELD, length)) as Described;
  let at = FIELD + length;
  const modules = described.modules.map((module) => {
    const stored = new StoredModule(module, kept, at);
    at += module.length + module.nativeLength;
    return stored;
  });
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
    const kept = this.#file(variant).open();
    return kept === undefined ? undefined : decode(kept);
  }

  save(variant: string, image: CodeImage): void {
    this.#file(variant).write(encode(image));
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
