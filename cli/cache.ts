// The user's cache: files that any run may find, and that may vanish at any time. What cannot be read or written is done without: a cache
// is never a reason to fail. What is kept in it is executed, so a file is read only where nobody else could have written it.

import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Bytes of all files together at which the oldest are removed. */
const MOST = 512 * 1024 * 1024;
/** And how many files: all of them are looked through when one is written. */
const MOST_FILES = 2000;

/** What a file is for. */
export type CacheKind = 'code' | 'bytecode' | 'seen';
const SUFFIXES: readonly string[] = ['.code', '.bytecode', '.seen'];

/** Where things are kept: `SAFEPOINT_CACHE`, or what the XDG base directory specification says; undefined where it is `off`. */
export function cacheDirectory(): string | undefined {
  const { SAFEPOINT_CACHE, XDG_CACHE_HOME } = process.env;
  if (SAFEPOINT_CACHE === 'off') return undefined;
  if (SAFEPOINT_CACHE !== undefined && SAFEPOINT_CACHE !== '') return SAFEPOINT_CACHE;
  return join(
    XDG_CACHE_HOME !== undefined && XDG_CACHE_HOME !== '' ? XDG_CACHE_HOME : join(homedir(), '.cache'),
    'safepoint',
  );
}

/** Tells a build of ours from others, and from itself under another V8. */
export function buildIdentity(file: string): string {
  const { size, mtimeMs } = statSync(file);
  return `${file} ${size} ${mtimeMs} ${process.version} ${process.arch}`;
}

/** A name for what tells a thing from others: two of the same name take turns in one file, which says whose it is. */
function fileName(identity: Buffer): string {
  return `${crc32(identity).toString(16).padStart(8, '0')}-${identity.length.toString(16)}`;
}

/** Whether nobody else could have written an open file. */
function isOwn(file: number): boolean {
  const { uid, mode } = fstatSync(file);
  const user = process.getuid?.();
  return user === undefined || (uid === user && (mode & 0o022) === 0);
}

/** Fills a buffer from a place in a file. @throws what the file system throws, RangeError where the file ends before */
export function readAt(file: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length; ) {
    const n = readSync(file, into, done, into.length - done, position + done);
    if (n === 0) throw new RangeError('a file that is too short');
    done += n;
  }
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

/** Bytes of the checksum, and of the lengths of the identity and of the head. */
const FIELD = 4;
const FIELDS = 3 * FIELD;
/** What V8 wants bytecode to be aligned to: it copies what is not. */
const ALIGNMENT = 8;
/** Less than this has memory of its own. */
const LITTLE = 128 * 1024;
/** What is copied at once from one file to another. */
const PIECE = 256 * 1024;
/** Addresses that are set aside for what is read into the same memory. */
const RESERVED = 64 * 1024 * 1024;

/** Memory for what is read and then used up: pages that are touched for the first time cost more than reading them does. */
export class Scratch {
  /** V8 has machine code fill a buffer to its end, so that one is not merely large enough. */
  readonly #buffer = new ArrayBuffer(0, { maxByteLength: RESERVED });

  /** A buffer of so many bytes, with anything in them, until the next call. */
  take(length: number): Uint8Array<ArrayBuffer> {
    // Making the buffer smaller gives its pages away: for the sake of little that is not worth while.
    if (length < LITTLE || length > RESERVED) return new Uint8Array(length);
    this.#buffer.resize(length);
    return new Uint8Array(this.#buffer);
  }
}

/**
 * What is kept in an open file: a head, which is as it was written, and what is behind it. That may be large, and is read by the part,
 * without a look at the rest: whoever reads it has to know what it was, by the head. By then the file's name may stand for another.
 */
export class KeptBytes {
  readonly #file: number;
  readonly #start: number;
  readonly #scratch = new Scratch();
  readonly head: Uint8Array<ArrayBuffer>;

  constructor(file: number, start: number, head: Uint8Array<ArrayBuffer>) {
    this.#file = file;
    this.#start = start;
    this.head = head;
  }

  /**
   * A part of what is behind the head, which fills a buffer, until the next call.
   * @throws what the file system throws, RangeError where the file ends before
   */
  read(at: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = this.#scratch.take(length);
    readAt(this.#file, bytes, this.#start + at);
    return bytes;
  }

  /** The same in pieces, each until the next one: to be written elsewhere, as it is. */
  *pieces(at: number, length: number): Generator<Uint8Array> {
    const piece = new Uint8Array(Math.min(length, PIECE));
    for (let done = 0; done < length; done += PIECE) {
      const bytes = piece.subarray(0, length - done);
      readAt(this.#file, bytes, this.#start + at + done);
      yield bytes;
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}

/**
 * One thing that is kept. Its file is a checksum of what follows up to the end of the head, the lengths of what tells it from others and of
 * the head, both of these, and the rest.
 */
export class CacheFile {
  readonly #directory: string;
  readonly #identity: Buffer;
  readonly #path: string;

  /** @param identity tells it from all others of its kind */
  constructor(directory: string, identity: string, kind: CacheKind) {
    this.#directory = directory;
    // So long that the head behind it is aligned.
    const { length } = Buffer.from(identity);
    this.#identity = Buffer.from(identity + ' '.repeat(-length & (ALIGNMENT - 1)));
    this.#path = join(directory, `${fileName(this.#identity)}.${kind}`);
  }

  /**
   * Its bytes, from now on the ones used last; undefined where there are none, or they are damaged. The file stays open.
   * @param scratch where to put the head, if it is used up at once
   */
  open(scratch?: Scratch): KeptBytes | undefined {
    let file: number | undefined;
    try {
      file = openSync(this.#path, 'r');
      const kept = this.#check(file, scratch);
      if (kept !== undefined) return kept;
    } catch {
      // As where it is damaged.
    }
    if (file !== undefined) closeSync(file);
    return undefined;
  }

  /** Its head, where that is all there is. */
  read(scratch: Scratch): Uint8Array<ArrayBuffer> | undefined {
    const kept = this.open(scratch);
    kept?.close();
    return kept?.head;
  }

  #check(file: number, scratch: Scratch | undefined): KeptBytes | undefined {
    if (!isOwn(file)) return undefined;
    const identity = this.#identity;
    const fields = Buffer.alloc(FIELDS);
    readAt(file, fields, 0);
    const length = identity.length + fields.readUInt32LE(2 * FIELD);
    if (fields.readUInt32LE(FIELD) !== identity.length || FIELDS + length > fstatSync(file).size) return undefined;
    const bytes = scratch?.take(length) ?? Buffer.allocUnsafeSlow(length);
    readAt(file, bytes, FIELDS);
    if (!identity.equals(bytes.subarray(0, identity.length))) return undefined;
    if (fields.readUInt32LE() !== crc32(bytes, crc32(fields.subarray(FIELD)))) return undefined;
    const now = new Date();
    utimesSync(this.#path, now, now);
    return new KeptBytes(file, FIELDS + length, bytes.subarray(identity.length));
  }

  /** Replaces it, whole, if that can be done; the parts of the rest are asked for one after the other. */
  write(head: Uint8Array, rest: Iterable<Uint8Array> = []): void {
    const partial = `${this.#path}.${process.pid}`;
    try {
      makeDirectory(this.#directory);
      const file = openSync(partial, 'w', 0o600);
      try {
        this.#writeTo(file, head, rest);
      } finally {
        closeSync(file);
      }
      renameSync(partial, this.#path);
      prune(this.#directory);
    } catch {
      try {
        rmSync(partial, { force: true });
      } catch {
        // There is nothing to remove where nothing could be written.
      }
    }
  }

  #writeTo(file: number, head: Uint8Array, rest: Iterable<Uint8Array>): void {
    const fields = Buffer.alloc(FIELDS);
    fields.writeUInt32LE(this.#identity.length, FIELD);
    fields.writeUInt32LE(head.length, 2 * FIELD);
    fields.writeUInt32LE(crc32(head, crc32(this.#identity, crc32(fields.subarray(FIELD)))));
    for (const part of [fields, this.#identity, head]) writeFileSync(file, part);
    for (const part of rest) writeFileSync(file, part);
  }
}

/** Removes what was used longest ago where there is too much. */
function prune(directory: string): void {
  const files = readdirSync(directory).filter((name) => SUFFIXES.some((suffix) => name.endsWith(suffix)));
  const stats = files.map((name) => {
    const path = join(directory, name);
    const { size, mtimeMs } = statSync(path);
    return { path, size, mtimeMs };
  });
  let total = stats.reduce((sum, { size }) => sum + size, 0);
  let left = stats.length;
  for (const { path, size } of stats.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (total <= MOST && left <= MOST_FILES) return;
    rmSync(path, { force: true });
    total -= size;
    left--;
  }
}
