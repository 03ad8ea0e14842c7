// The bytes of an in-memory file: pages that are replaced, never changed, so that snapshots may share them.

import type { ProgramFile } from '../../object/file.ts';

const CHUNK = 4096;

/** Pages by number. A copy shares them until one of the two changes. None is written after it is put here. */
export class Pages {
  /** Until somebody wants one of its pages, the file that they are made of. */
  #from: ProgramFile | undefined;
  #map: Map<number, Uint8Array>;
  #shared: boolean;

  constructor(from?: ProgramFile, shared?: Map<number, Uint8Array>) {
    this.#from = from;
    this.#map = shared ?? new Map();
    this.#shared = shared !== undefined;
  }

  copy(): Pages {
    if (this.#from !== undefined) return new Pages(this.#from);
    this.#shared = true;
    return new Pages(undefined, this.#map);
  }

  get size(): number {
    return this.#from === undefined ? this.#map.size : Math.ceil(this.#from.length / CHUNK);
  }

  get(number: number): Uint8Array | undefined {
    return this.#pages().get(number);
  }

  has(number: number): boolean {
    return this.#pages().has(number);
  }

  #pages(): Map<number, Uint8Array> {
    if (this.#from !== undefined) {
      const { bytes } = this.#from;
      this.#from = undefined;
      for (let at = 0; at < bytes.length; at += CHUNK)
        this.#map.set(at / CHUNK, pageOf(bytes.subarray(at, at + CHUNK)));
    }
    return this.#map;
  }

  set(number: number, page: Uint8Array): void {
    this.#own().set(number, page);
  }

  /** Removes the pages from `first` on. */
  truncate(first: number): void {
    for (const number of [...this.#pages().keys()]) if (number >= first) this.#own().delete(number);
  }

  #own(): Map<number, Uint8Array> {
    const pages = this.#pages();
    if (this.#shared) {
      this.#map = new Map(pages);
      this.#shared = false;
    }
    return this.#map;
  }
}

/** A whole page of at most that many bytes. */
function pageOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length === CHUNK) return bytes;
  const page = new Uint8Array(CHUNK);
  page.set(bytes);
  return page;
}

export interface Content {
  size: number;
  /** A missing page reads as zeros. */
  readonly pages: Pages;
}

export function emptyContent(): Content {
  return { size: 0, pages: new Pages() };
}

/** The content of a file like one of the host's, whose bytes are not copied. */
export function contentOf(file: ProgramFile): Content {
  return { size: file.length, pages: new Pages(file) };
}

/** At most `length` bytes from `offset`; fewer at the end. */
export function readContent(content: Content, offset: number, length: number): Uint8Array {
  const end = Math.min(offset + length, content.size);
  if (offset >= end) return new Uint8Array(0);
  const out = new Uint8Array(end - offset);
  for (let at = offset; at < end; ) {
    const within = at % CHUNK;
    const count = Math.min(CHUNK - within, end - at);
    const page = content.pages.get((at - within) / CHUNK);
    if (page !== undefined) out.set(page.subarray(within, within + count), at - offset);
    at += count;
  }
  return out;
}

/** Pages that writing `length` bytes at `offset` would add. */
export function pagesNeeded(content: Content, offset: number, length: number): number {
  let needed = 0;
  for (let page = Math.floor(offset / CHUNK); page * CHUNK < offset + length; page++) {
    if (!content.pages.has(page)) needed++;
  }
  return needed;
}

export function writeContent(content: Content, offset: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const at = offset + done;
    const within = at % CHUNK;
    const count = Math.min(CHUNK - within, bytes.length - done);
    const number = (at - within) / CHUNK;
    const page = new Uint8Array(CHUNK);
    const old = content.pages.get(number);
    if (old !== undefined && count < CHUNK) page.set(old);
    page.set(bytes.subarray(done, done + count), within);
    content.pages.set(number, page);
    done += count;
  }
  if (bytes.length > 0) content.size = Math.max(content.size, offset + bytes.length);
}

export function truncateContent(content: Content, size: number): void {
  if (size < content.size) {
    content.pages.truncate(Math.ceil(size / CHUNK));
    const within = size % CHUNK;
    const last = content.pages.get((size - within) / CHUNK);
    if (within !== 0 && last !== undefined) {
      const cut = new Uint8Array(CHUNK);
      cut.set(last.subarray(0, within));
      content.pages.set((size - within) / CHUNK, cut);
    }
  }
  content.size = size;
}

/** Pages that hold data: st_blocks is eight times this. */
export function contentPages(content: Content): number {
  return content.pages.size;
}
