// One record of facts for each GOARCH: which register is which to Go, widths, byte order, and how a call is linked.

import type { Goarch } from '../../isa/dsl/variant.ts';

export { GOARCHES, type Goarch } from '../../isa/dsl/variant.ts';

/** What the Go runtime model and the debugger need to know about a target. Register names are those of `isa/`. */
export interface Arch {
  readonly goarch: Goarch;
  readonly family: 'amd64' | 'mips';
  readonly pointerSize: 4 | 8;
  readonly bigEndian: boolean;
  /** Bytes of the smallest instruction: the unit of pc deltas in pclntab (runtime `sys.PCQuantum`). */
  readonly pcQuantum: 1 | 4;
  /** Whether a branch executes the next instruction before it takes effect. */
  readonly delaySlot: boolean;
  /** Whether a call leaves its return address in a register instead of on the stack. */
  readonly linkRegister: boolean;
  /** Bytes below a frame's outgoing arguments that Go reserves (`sys.MinFrameSize`): the saved link register on MIPS. */
  readonly minFrameSize: 0 | 4 | 8;
  readonly spRegister: string;
  /** Name of the link register, where there is one. */
  readonly lrRegister: string | undefined;
  /** Register that holds g. On amd64 it is trustworthy only in ABIInternal code: the master copy is in TLS. */
  readonly gRegister: string;
  /** Offset of g from the thread pointer (FS base), where TLS holds the master copy; undefined where `gRegister` does. */
  readonly gTlsOffset: number | undefined;
  /** Register of the closure context. */
  readonly closureRegister: string;
  /** Register that the assembler takes for itself in expanded instructions, where it has one (REGTMP). */
  readonly tempRegister: string | undefined;
}

const AMD64: Arch = {
  goarch: 'amd64',
  family: 'amd64',
  pointerSize: 8,
  bigEndian: false,
  pcQuantum: 1,
  delaySlot: false,
  linkRegister: false,
  minFrameSize: 0,
  spRegister: 'RSP',
  lrRegister: undefined,
  gRegister: 'R14',
  gTlsOffset: -8,
  closureRegister: 'RDX',
  tempRegister: undefined,
};

function mips(goarch: Goarch, pointerSize: 4 | 8, bigEndian: boolean): Arch {
  return {
    goarch,
    family: 'mips',
    pointerSize,
    bigEndian,
    pcQuantum: 4,
    delaySlot: true,
    linkRegister: true,
    minFrameSize: pointerSize,
    spRegister: 'R29',
    lrRegister: 'R31',
    gRegister: 'R30',
    gTlsOffset: undefined,
    closureRegister: 'R22',
    tempRegister: 'R23',
  };
}

const ARCHES: Readonly<Record<Goarch, Arch>> = {
  amd64: AMD64,
  mips: mips('mips', 4, true),
  mipsle: mips('mipsle', 4, false),
  mips64: mips('mips64', 8, true),
  mips64le: mips('mips64le', 8, false),
};

/** The facts of one GOARCH. */
export function archOf(goarch: Goarch): Arch {
  return ARCHES[goarch];
}
