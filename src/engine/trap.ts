// An instruction that does not go on by itself.

import type { TrapKind } from '../../isa/dsl/effects.ts';

/** Thrown by a step: the instruction traps. It has changed nothing, except that a system call is complete. */
export class GuestTrap extends Error {
  override readonly name = 'GuestTrap';
  readonly kind: TrapKind;
  readonly code: number;

  constructor(kind: TrapKind, code: number) {
    super(`trap: ${kind}`);
    this.kind = kind;
    this.code = code;
  }
}
