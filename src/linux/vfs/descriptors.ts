// The table of file descriptors.

import { CallError } from '../abi/errno.ts';
import type { OpenFile } from './file.ts';

export interface Descriptor {
  readonly file: OpenFile;
  readonly closeOnExec: boolean;
}

export interface DescriptorTable {
  readonly entries: Map<number, Descriptor>;
  /** RLIMIT_NOFILE: descriptors are below it. */
  limit: number;
  /** No descriptor below this is free. */
  lowest: number;
}

/** What Linux sets the hard limit to, and Go raises the soft limit to. */
export const OPEN_MAX = 1_048_576;

export function makeDescriptorTable(): DescriptorTable {
  return { entries: new Map(), limit: OPEN_MAX, lowest: 0 };
}

/** @throws CallError EBADF */
export function descriptor(table: DescriptorTable, fd: number): Descriptor {
  const found = table.entries.get(fd);
  if (found === undefined) throw new CallError('EBADF');
  return found;
}

/** Puts a description at the lowest free descriptor from `from` on, counting the reference. @throws CallError EMFILE */
export function install(table: DescriptorTable, file: OpenFile, closeOnExec: boolean, from = 0): number {
  let fd = Math.max(from, table.lowest);
  while (table.entries.has(fd)) fd++;
  if (fd >= table.limit) throw new CallError('EMFILE');
  if (from <= table.lowest) table.lowest = fd + 1;
  table.entries.set(fd, { file, closeOnExec });
  file.refs++;
  return fd;
}

/** Puts a description at `fd`, which must be free. */
export function installAt(table: DescriptorTable, fd: number, file: OpenFile, closeOnExec: boolean): void {
  table.entries.set(fd, { file, closeOnExec });
  file.refs++;
}

/** Frees a descriptor and returns what it referred to, with its reference gone. @throws CallError EBADF */
export function uninstall(table: DescriptorTable, fd: number): OpenFile {
  const { file } = descriptor(table, fd);
  table.entries.delete(fd);
  table.lowest = Math.min(table.lowest, fd);
  file.refs--;
  return file;
}

export function setCloseOnExec(table: DescriptorTable, fd: number, closeOnExec: boolean): void {
  const { file } = descriptor(table, fd);
  table.entries.set(fd, { file, closeOnExec });
}
