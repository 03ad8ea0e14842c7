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
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';

/** Bytes of all files together at which the oldest are removed. */
const MOST = 512 * 1024 * 1024;

/** What a file is for. */
export type CacheKind = 'code' | 'bytecode';
const SUFFIXES: readonly string[] = ['.code', '.bytecode'];

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

/** A name for a text: two hashes of it (FNV-1a). */
function fileName(text: string): string {
  const hash = (h: number): string => {
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
    return (h >>> 0).toString(16).padStart(8, '0');
  };
  return hash(0x811c9dc5) + hash(0x2b7e1516);
}

/** Whether nobody else could have written an open file. */
function isOwn(file: number): boolean {
  const { uid, mode } = fstatSync(file);
  const user = process.getuid?.();
  return user === undefined || (uid === user && (mode & 0o022) === 0);
}

/** Fills a buffer from a place in a file. @throws what the file system throws, RangeError where the file ends before */
function readAt(file: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length; ) {
    const n = readSync(file, into, done, into.length - done, position + done);
    if (n === 0) throw new RangeError('a cache file that is too short');
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

/** Bytes of the checksum, and of the identity's length. */
const FIELD = 4;
/** Bytes that are read at once for the checksum. */
const CHUNK = 1 << 18;

/** Checksum of a file from a place on. */
function checksumFrom(file: number, start: number): number {
  const { size } = fstatSync(file);
  const chunk = new Uint8Array(CHUNK);
  let checksum = 0;
  for (let at = start; at < size; at += CHUNK) {
    const part = chunk.subarray(0, Math.min(CHUNK, size - at));
    readAt(file, part, at);
    checksum = crc32(part, checksum);
  }
  return checksum;
}

/** What is kept in an open file. It may be large, and is read by the part; by then the file's name may stand for another. */
export class KeptBytes {
  readonly #file: number;
  readonly #start: number;
  readonly length: number;

  constructor(file: number, start: number, length: number) {
    this.#file = file;
    this.#start = start;
    this.length = length;
  }

  /** A copy of a part. @throws what the file system throws */
  read(at: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    readAt(this.#file, bytes, this.#start + at);
    return bytes;
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** One thing that is kept. Its file is a checksum of the rest, the length of what tells it from others, that text, and the bytes. */
export class CacheFile {
  readonly #directory: string;
  readonly #identity: Buffer;
  readonly #path: string;

  /** @param identity tells it from all others of its kind */
  constructor(directory: string, identity: string, kind: CacheKind) {
    this.#directory = directory;
    this.#identity = Buffer.from(identity);
    this.#path = join(directory, `${fileName(identity)}.${kind}`);
  }

  /** Its bytes, from now on the ones used last; undefined where there are none, or they are damaged. The file stays open. */
  open(): KeptBytes | undefined {
    let file: number | undefined;
    try {
      file = openSync(this.#path, 'r');
      const kept = this.#check(file);
      if (kept !== undefined) return kept;
    } catch {
      // As where it is damaged.
    }
    if (file !== undefined) closeSync(file);
    return undefined;
  }

  /** All of its bytes at once. */
  read(): Buffer | undefined {
    const kept = this.open();
    if (kept === undefined) return undefined;
    try {
      return Buffer.from(kept.read(0, kept.length).buffer);
    } catch {
      return undefined;
    } finally {
      kept.close();
    }
  }

  #check(file: number): KeptBytes | undefined {
    if (!isOwn(file)) return undefined;
    const identity = this.#identity;
    const start = 2 * FIELD + identity.length;
    const head = Buffer.alloc(start);
    readAt(file, head, 0);
    if (head.readUInt32LE(FIELD) !== identity.length || !head.subarray(2 * FIELD).equals(identity)) return undefined;
    if (head.readUInt32LE(0) !== checksumFrom(file, FIELD)) return undefined;
    const now = new Date();
    utimesSync(this.#path, now, now);
    return new KeptBytes(file, start, fstatSync(file).size - start);
  }

  /** Replaces it, whole, if that can be done; the parts of its bytes are asked for one after the other. */
  write(parts: Iterable<Uint8Array>): void {
    const partial = `${this.#path}.${process.pid}`;
    try {
      makeDirectory(this.#directory);
      const file = openSync(partial, 'w', 0o600);
      try {
        this.#writeTo(file, parts);
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

  #writeTo(file: number, parts: Iterable<Uint8Array>): void {
    const head = Buffer.alloc(2 * FIELD);
    head.writeUInt32LE(this.#identity.length, FIELD);
    writeFileSync(file, head);
    writeFileSync(file, this.#identity);
    let checksum = crc32(this.#identity, crc32(head.subarray(FIELD)));
    for (const part of parts) {
      writeFileSync(file, part);
      checksum = crc32(part, checksum);
    }
    head.writeUInt32LE(checksum);
    writeSync(file, head, 0, FIELD, 0);
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
  for (const { path, size } of stats.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (total <= MOST) return;
    rmSync(path, { force: true });
    total -= size;
  }
}
