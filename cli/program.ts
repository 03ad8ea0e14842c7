// Opening the program that a command is about, with errors that name the file.

import {
  type Elf,
  ElfError,
  GoProgram,
  InputError,
  type Listed,
  LocationError,
  NotGoError,
  openProgramFile,
  type ProgramFile,
  readElf,
} from '../src/index.ts';
import { hex, UserError } from './output.ts';

/** Opens a program's file. @throws UserError */
export function openProgram(path: string): ProgramFile {
  try {
    return openProgramFile(path);
  } catch (error) {
    if (error instanceof InputError) throw new UserError(error.message);
    throw error;
  }
}

/** Reads a program's file. @throws UserError */
export const readProgram = (path: string): Uint8Array => userErrors(path, () => openProgram(path).bytes);

/** @throws UserError for what is no static ELF executable of one of the five targets */
export function openElf(path: string): Elf {
  const file = openProgram(path);
  try {
    return readElf(file);
  } catch (error) {
    if (error instanceof ElfError) throw new UserError(`${path}: ${error.message}`);
    throw error;
  }
}

/** @throws UserError also for a program without Go tables */
export function openGoProgram(path: string): GoProgram {
  const elf = openElf(path);
  try {
    return GoProgram.open(elf);
  } catch (error) {
    if (error instanceof NotGoError) throw new UserError(`${path}: ${error.message}`);
    throw error;
  }
}

/** Runs `open`, turning what is the input's fault into one line about `path`. @throws UserError */
export function userErrors<T>(path: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof InputError || error instanceof LocationError) {
      throw new UserError(`${path}: ${error.message}`);
    }
    throw error;
  }
}

/** An instruction's text, with the name of the place that it goes to. */
export function textOf(program: GoProgram, listed: Listed): string {
  const text = listed.decoded?.text(listed.pc) ?? '(bad)';
  const target = /(?:^|[ ,])(0x[0-9a-f]+)$/.exec(text)?.[1];
  const f = target === undefined ? undefined : program.tables.findfunc(Number(target));
  if (f === undefined || (Number(target) !== f.entry && program.tables.findfunc(listed.pc) === f)) return text;
  return `${text}  <${f.name}${Number(target) === f.entry ? '' : `+${hex(Number(target) - f.entry)}`}>`;
}
