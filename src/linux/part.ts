// What every stateful part of the kernel offers, so that a snapshot of the whole is the list of the snapshots of its parts.

/**
 * A part's state is plain data: no closures, no host handles. `save` may share structure with the living state as long as
 * the part replaces what it changes instead of mutating it. A saved state stays good for any number of restores.
 */
export interface Part<S = unknown> {
  save(): S;
  restore(saved: S): void;
}
