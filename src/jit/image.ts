// What was compiled, as data: kept when a run ends, for the next run of the same program to begin with.
//
// Compiled code has addresses of link cells, numbers of exits and slots of the table in it. They are handed out from the beginning
// whenever everything is dropped, so an image is taken over whole, by a compiler that holds nothing.

import type { NumberedList } from '../engine/flags.ts';
import type { BridgeImage } from './bridges.ts';
import type { EntryImage } from './entries.ts';
import type { PlaceImage } from './exit-places.ts';
import type { ExitImage } from './exits.ts';
import type { FunctionImage } from './planner.ts';

/** What was kept of a module is not what was given to be kept. */
export class CodeDamaged extends Error {
  override readonly name = 'CodeDamaged';
}

/** The host's machine code of a module, and the module without what that is the code of. */
export interface MachineCode {
  /** All of its buffer. */
  readonly code: Uint8Array<ArrayBuffer>;
  readonly shell: Uint8Array<ArrayBuffer>;
}

/** A module and the slots of the table that it fills when it is instantiated. `bytes` and `native` may throw CodeDamaged. */
export interface CodeModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly slots: readonly number[];
  /** Guest instructions in it. */
  readonly instructions: number;
  /** The host's machine code of it, until the next time that a module of the image is asked for it. */
  readonly native: MachineCode | undefined;
  /** Whether there is such code, which is long to look at. */
  readonly optimised: boolean;
}

/** The host's own machine code of modules, as data: what was optimised once need not be compiled again. */
export interface NativeCode {
  /** The code of the module of these bytes, all of it optimised: takes long. Undefined where the host does not optimise. */
  of(bytes: Uint8Array<ArrayBuffer>): MachineCode | undefined;
  /** The module, made of such code; undefined where the host does not accept it. */
  restore(native: MachineCode): WebAssembly.Module | undefined;
  /** What nobody can reach any more is to be given back now. */
  makeRoom(): void;
}

/** The host's machine code of the modules that units stand on (`host-side.ts`). */
export interface HostImage {
  readonly support: MachineCode;
  readonly driver: MachineCode;
  /** Of runs that something interrupts (`Inside`), and what it was made for. */
  readonly inside: (MachineCode & { readonly name: string }) | undefined;
}

export interface CodeImage extends EntryImage, BridgeImage, PlaceImage, FunctionImage {
  /** Undefined where the host's machine code cannot be had. */
  readonly host: HostImage | undefined;
  /** Those modules of which something is still in use. */
  readonly modules: readonly CodeModule[];
  /** How many slots are taken. */
  readonly slots: number;
  /** The slot of what computes flags that were put off, negative where there is none. */
  readonly settler: number;
  /** Guest instructions in all of them. */
  readonly held: number;
  readonly exits: ExitImage;
  /** Addresses at which blocks that are compiled begin, in order, and how many bytes they have. */
  readonly blocks: Float64Array;
  readonly blockSizes: Int32Array;
  /** By slot: the start of the function in it, or a negative number. */
  readonly starts: Float64Array;
  /** Pages that the code was compiled from, by number, and checksums of their bytes (CRC-32). */
  readonly pages: Float64Array;
  readonly pageSums: Uint32Array;
  /** What the numbers of flags that are put off mean. */
  readonly flags: readonly NumberedList[];
}

/** Where images are kept: one for each way in which code can be compiled, which `variant` names. The program is the store's own. */
export interface CodeStore {
  /** Where the machine code of modules is to be kept as well. */
  readonly native?: NativeCode | undefined;
  load(variant: string): CodeImage | undefined;
  /** Takes an image, which is data but for its modules: of those, what CodeModule has, each made when it is asked for. */
  save(variant: string, image: CodeImage): void;
}
