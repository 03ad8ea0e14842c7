// The file of a program as readers of it see it: at hand whole, or a page at a time.

/** What a file is read by where little of it is wanted: a page of the targets' and of the host's. */
export const FILE_PAGE = 4096;

/** The file of a program. What it gives is not to be changed. */
export interface ProgramFile {
  /** Of all of it, in bytes. */
  readonly length: number;
  /** All of it. Where it is on the disk it is read when somebody asks for this: memory for megabytes costs more than running a small program. */
  readonly bytes: Uint8Array;
  /** So many bytes from an offset on, fewer at the end of the file: those of `bytes`, or a copy. */
  range(offset: number, length: number): Uint8Array;
  /** The page at an offset that is a multiple of a page; less at the end of the file. Valid until the next call. */
  page(offset: number): Uint8Array;
}

/** A file whose bytes are there already. */
export function fileOf(bytes: Uint8Array): ProgramFile {
  const range = (offset: number, length: number): Uint8Array => bytes.subarray(offset, offset + length);
  return { length: bytes.length, bytes, range, page: (offset) => range(offset, FILE_PAGE) };
}
