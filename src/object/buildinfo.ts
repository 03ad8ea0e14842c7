// The build information that the linker leaves in a Go program: which release built it, and with what settings.
// Both forms of debug/buildinfo (Go 1.19): string headers up to Go 1.17, inline text from Go 1.18.

import type { Elf } from './elf.ts';

export interface BuildInfo {
  /** The text of runtime.Version(), e.g. `go1.26.5`. */
  readonly version: string;
  /** The module text (path, mod, dep and build lines), without its 16-byte sentinels; empty if there is none. */
  readonly modinfo: string;
}

const MAGIC = '\xff Go buildinf:';
const HEADER = 32;
const ALIGN = 16;
const MAX_TEXT = 1 << 20;

/** Finds and reads the build information; undefined where the program has none (linkers may drop it). */
export function readBuildInfo(elf: Elf): BuildInfo | undefined {
  const magic = Buffer.from(MAGIC, 'latin1');
  const section = elf.section('.go.buildinfo');
  const areas = section
    ? [{ offset: section.offset, size: section.size }]
    : elf.loads.filter((s) => s.writable).map((s) => ({ offset: s.offset, size: s.filesz }));
  for (const { offset, size } of areas) {
    const area = Buffer.from(elf.file.range(offset, size));
    let at = area.indexOf(magic);
    while (at >= 0) {
      if (at % ALIGN === 0 && at + HEADER <= area.length) {
        const info = parse(elf, area.subarray(at));
        if (info !== undefined) return info;
      }
      at = area.indexOf(magic, at + 1);
    }
  }
  return undefined;
}

function parse(elf: Elf, blob: Buffer): BuildInfo | undefined {
  const pointerSize = blob[14] ?? 0;
  const flags = blob[15] ?? 0;
  if (flags & 2) {
    const version = inlineText(blob, HEADER);
    if (version === undefined) return undefined;
    const modinfo = inlineText(blob, version.end);
    return made(version.text, modinfo?.text ?? '');
  }
  if (pointerSize !== 4 && pointerSize !== 8) return undefined;
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const littleEndian = (flags & 1) === 0;
  const pointer = (at: number): number => readPointer(view, at, pointerSize, littleEndian);
  const version = goString(elf, pointer(16), pointerSize, littleEndian);
  if (version === undefined) return undefined;
  const modinfo = goString(elf, pointer(16 + pointerSize), pointerSize, littleEndian);
  return made(version, modinfo ?? '');
}

/** The module text is stored between two sentinels of 16 bytes each (cmd/go modload.ModInfoData). */
function made(version: string, modinfo: string): BuildInfo {
  const bare = modinfo.length >= 33 && modinfo.at(-17) === '\n' ? modinfo.slice(16, -16) : '';
  return { version, modinfo: bare };
}

function inlineText(blob: Buffer, at: number): { text: string; end: number } | undefined {
  let length = 0;
  let scale = 1;
  for (let i = at; i < at + 5 && i < blob.length; i++) {
    const byte = blob[i] ?? 0;
    length += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte < 0x80) {
      const start = i + 1;
      if (length > MAX_TEXT || start + length > blob.length) return undefined;
      return { text: blob.toString('utf8', start, start + length), end: start + length };
    }
  }
  return undefined;
}

function readPointer(view: DataView, at: number, size: 4 | 8, littleEndian: boolean): number {
  if (at + size > view.byteLength) return 0;
  return size === 4 ? view.getUint32(at, littleEndian) : Number(view.getBigUint64(at, littleEndian));
}

/** The Go string whose header stands at `addr`. */
function goString(elf: Elf, addr: number, size: 4 | 8, littleEndian: boolean): string | undefined {
  const header = fileBytes(elf, addr, 2 * size);
  if (header === undefined) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const length = readPointer(view, size, size, littleEndian);
  if (length > MAX_TEXT) return undefined;
  const text = fileBytes(elf, readPointer(view, 0, size, littleEndian), length);
  return text && Buffer.from(text).toString('utf8');
}

/** `length` bytes of the file that are loaded at `addr`. */
export function fileBytes(elf: Elf, addr: number, length: number): Uint8Array | undefined {
  for (const s of elf.loads) {
    const offset = addr - s.vaddr;
    if (offset >= 0 && offset + length <= s.filesz) {
      return elf.file.range(s.offset + offset, length);
    }
  }
  return undefined;
}
