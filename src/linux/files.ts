// What the core of the kernel asks of the part that keeps open files. The part itself is in vfs/ and calls/.

import type { ErrnoName } from './abi/errno.ts';
import type { Part } from './part.ts';

/** A file as mmap sees it. */
export interface Mappable {
  /** Name for /proc/self/maps. */
  readonly path: string;
  readonly readable: boolean;
  readonly writable: boolean;
  /** At most `length` bytes at `offset`; fewer at the end of the file. */
  read(offset: number, length: number): Uint8Array;
  write(offset: number, bytes: Uint8Array): void;
}

/** The process's open files, current directory and umask. One process has one of it: threads share it (CLONE_FILES, CLONE_FS). */
export interface Files extends Part {
  /** The file behind a descriptor, or why it cannot be mapped. */
  mappable(fd: number): Mappable | ErrnoName;
}
