// The file of a program as readers of it see it: at hand whole, or a page at a time.

/** What a file is read by where little of it is wanted: a page of the targets' and of the host's. */
export const FILE_PAGE = 4096;

/** The file of a program. What it gives is not to be changed. */
export interface ProgramFile {
  /** Of all of it, in bytes. */
  readonly length: number;
  /** All of it. Where it is on the disk it is read when somebody asks for this: memory for megabytes costs more than running a small program. */
  readonly bytes: Uint8Array;
  /** The page at an offset that is a multiple of a page; less at the end of the file. Valid until the next call. */
  page(offset: number): Uint8Array;
}

/** A file whose bytes are there already. */
export function fileOf(bytes: Uint8Array): ProgramFile {
  return { length: bytes.length, bytes, page: (offset) => bytes.subarray(offset, offset + FILE_PAGE) };
}
