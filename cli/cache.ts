// The user's cache: files that any run may find, and that may vanish at any time. What cannot be read or written is done without: a cache
// is never a reason to fail. What is kept in it is executed, so a file is read only where nobody else could have written it.

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

/** A file's bytes; undefined where somebody else could have written it. @throws what the file system throws */
function readOwn(path: string): Buffer | undefined {
  const file = openSync(path, 'r');
  try {
    const { uid, mode } = fstatSync(file);
    const user = process.getuid?.();
    return user === undefined || (uid === user && (mode & 0o022) === 0) ? readFileSync(file) : undefined;
  } finally {
    closeSync(file);
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

  /** Its bytes, from now on the ones used last; undefined where there are none, or they are damaged. */
  read(): Buffer | undefined {
    const identity = this.#identity;
    try {
      const file = readOwn(this.#path);
      if (file === undefined || file.readUInt32LE(0) !== crc32(file.subarray(FIELD))) return undefined;
      const start = 2 * FIELD + file.readUInt32LE(FIELD);
      if (!file.subarray(2 * FIELD, start).equals(identity)) return undefined;
      const now = new Date();
      utimesSync(this.#path, now, now);
      return file.subarray(start);
    } catch {
      return undefined;
    }
  }

  /** Replaces it, whole, if that can be done. */
  write(...parts: readonly Uint8Array[]): void {
    const partial = `${this.#path}.${process.pid}`;
    const head = Buffer.alloc(2 * FIELD);
    head.writeUInt32LE(this.#identity.length, FIELD);
    const file = Buffer.concat([head, this.#identity, ...parts]);
    file.writeUInt32LE(crc32(file.subarray(FIELD)));
    try {
      makeDirectory(this.#directory);
      writeFileSync(partial, file, { mode: 0o600 });
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
