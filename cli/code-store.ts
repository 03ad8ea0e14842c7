// Compiled code from run to run: a file of the user's cache for each program and way of compiling it.

import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import {
  CodeDamaged,
  type CodeImage,
  type CodeModule,
  type CodeStore,
  type HostImage,
  type MachineCode,
  type ProgramFile,
} from '../src/index.ts';
import { buildIdentity, CacheFile, cacheDirectory, type KeptBytes, Scratch } from './cache.ts';
import { v8NativeCode } from './native-code.ts';

// A file's head is what describes the image, as V8 serialises it; behind it are, of each module, its bytes and V8's machine code of it.
// Most modules are never looked at by a run: they are read when they are wanted, held against their checksums, and not kept in memory.

/** A part of the file behind its head. */
interface Part {
  readonly length: number;
  readonly checksum: number;
}

type Described = Omit<CodeImage, 'modules'> & {
  readonly modules: readonly (Omit<CodeModule, 'bytes' | 'native' | 'optimised'> & {
    readonly code: Part;
    /** Of no bytes where there is none. */
    readonly machineCode: Part;
    readonly shell: Uint8Array<ArrayBuffer>;
  })[];
};

const partOf = (bytes: Uint8Array): Part => ({ length: bytes.length, checksum: crc32(bytes) });
const NOTHING: Part = { length: 0, checksum: 0 };

/** A module in a file. */
class StoredModule implements CodeModule {
  readonly slots: readonly number[];
  readonly instructions: number;
  readonly code: Part;
  readonly machineCode: Part;
  readonly shell: Uint8Array<ArrayBuffer>;
  readonly #kept: KeptBytes;
  readonly #at: number;

  constructor(described: Described['modules'][number], kept: KeptBytes, at: number) {
    this.slots = described.slots;
    this.instructions = described.instructions;
    this.code = described.code;
    this.machineCode = described.machineCode;
    this.shell = described.shell;
    this.#kept = kept;
    this.#at = at;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#read(this.#at, this.code).slice();
  }

  get native(): MachineCode | undefined {
    if (!this.optimised) return undefined;
    return { code: this.#read(this.#at + this.code.length, this.machineCode), shell: this.shell };
  }

  get optimised(): boolean {
    return this.machineCode.length > 0;
  }

  /** All that a file has of it, without a look at it: what was damaged stays so, by its checksums. */
  pieces(): Iterable<Uint8Array> {
    return this.#kept.pieces(this.#at, this.code.length + this.machineCode.length);
  }

  /** Until the next call. */
  #read(at: number, { length, checksum }: Part): Uint8Array<ArrayBuffer> {
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = this.#kept.read(at, length);
    } catch (error) {
      throw new CodeDamaged(error instanceof Error ? error.message : String(error));
    }
    if (crc32(bytes) !== checksum) throw new CodeDamaged('a checksum is wrong');
    return bytes;
  }
}

function describe(image: CodeImage): Buffer {
  const modules = image.modules.map((module): Described['modules'][number] => {
    const { slots, instructions } = module;
    const common = { slots, instructions };
    // One that is in a file already need not be read for this.
    if (module instanceof StoredModule) {
      const { code, machineCode, shell } = module;
      return { ...common, code, machineCode, shell };
    }
    const { bytes, native } = module;
    const machineCode = native === undefined ? NOTHING : partOf(native.code);
    return { ...common, code: partOf(bytes), machineCode, shell: native?.shell ?? new Uint8Array(0) };
  });
  return serialize({ ...image, modules } satisfies Described);
}

function* parts(image: CodeImage): Generator<Uint8Array> {
  for (const module of image.modules) {
    if (module instanceof StoredModule) {
      yield* module.pieces();
      continue;
    }
    yield module.bytes;
    const { native } = module;
    if (native !== undefined) yield native.code;
  }
}

/** What was deserialised as parts of one buffer, each in a buffer of its own, as `NativeCode` wants it. */
function ownBuffers({ support, driver, inside }: HostImage): HostImage {
  const own = ({ code, shell }: MachineCode): MachineCode => ({ code: code.slice(), shell });
  return { support: own(support), driver: own(driver), inside: inside && { ...own(inside), name: inside.name } };
}

function decode(kept: KeptBytes): CodeImage {
  const described = deserialize(kept.head) as Described;
  let at = 0;
  const modules = described.modules.map((module) => {
    const stored = new StoredModule(module, kept, at);
    at += module.code.length + module.machineCode.length;
    return stored;
  });
  return { ...described, host: described.host && ownBuffers(described.host), modules };
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
    this.#file(variant).write(describe(image), parts(image));
  }
}

/** Where what is known of a program is kept, and what tells it from others there; undefined where nothing is to be kept. */
interface Place {
  readonly directory: string;
  readonly identity: string;
}

/**
 * Programs are told apart by the first page: their headers, and what Go's linker puts behind them, the build ID. That the program is the
 * very same need not be certain here: code is taken over only where the pages that it was made from are the same.
 */
function placeOf(program: ProgramFile): Place | undefined {
  const directory = cacheDirectory();
  const own = import.meta.filename;
  // Run from sources, there is no file that says when what makes the code has changed.
  if (directory === undefined || own.endsWith('.ts')) return undefined;
  const head = Buffer.from(program.page(0)).toString('latin1');
  return { directory, identity: `${buildIdentity(own)} ${program.length} ${head}` };
}

/** Where the compiled code of a program is kept; undefined where none is to be. */
export function codeStoreFor(program: ProgramFile): CodeStore | undefined {
  const place = placeOf(program);
  return place === undefined ? undefined : new DiskCodeStore(place.directory, place.identity);
}

/** Whether this has been asked about the program before: if not, and something can be kept, it will have been from now on. */
export function isSeenAgain(program: ProgramFile): boolean {
  const place = placeOf(program);
  if (place === undefined) return false;
  const file = new CacheFile(place.directory, place.identity, 'seen');
  if (file.read(new Scratch()) !== undefined) return true;
  file.write(new Uint8Array(0));
  return false;
}
