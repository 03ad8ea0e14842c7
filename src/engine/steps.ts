// What the evaluator's parts share: a step is one operation made ready to run, its operands resolved to places in memory.

import type { Variant } from '../../isa/dsl/variant.ts';
import type { Memory } from './memory.ts';

/** Runs one operation. */
export type Step = () => void;

/**
 * Views of the one memory. Places are indexes into `i32`; an i64 takes two words, the low one first, and stands on an even index.
 * Steps read their operands before they write their result, because a place may be both.
 */
export interface Host {
  readonly variant: Variant;
  readonly memory: Memory;
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i16: Int16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly i64: BigInt64Array;
  readonly u64: BigUint64Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly view: DataView;
  /** A vector being made. */
  readonly scratch: ArrayBuffer;
  /** Instructions executed before the current one. */
  cycles(): number;
}

export function hostOver(variant: Variant, memory: Memory, cycles: () => number): Host {
  const buffer = memory.wasm.buffer;
  return {
    variant,
    memory,
    u8: memory.u8,
    i8: new Int8Array(buffer),
    u16: new Uint16Array(buffer),
    i16: new Int16Array(buffer),
    i32: memory.i32,
    u32: new Uint32Array(buffer),
    i64: memory.i64,
    u64: new BigUint64Array(buffer),
    f32: new Float32Array(buffer),
    f64: new Float64Array(buffer),
    view: memory.view,
    scratch: new ArrayBuffer(16),
    cycles,
  };
}
