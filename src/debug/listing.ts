// A function's instructions in address order, as its file has them.

import type { Decoded, Isa } from '../../isa/dsl/isa.ts';
import type { ImageView } from '../goruntime/view.ts';

/** One place of a listing. `decoded` is undefined where the bytes are no instruction; `length` is then the quantum. */
export interface Listed {
  readonly pc: number;
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly decoded: Decoded | undefined;
}

/** Decodes from `start` to `end` one after another, which is sound for Go functions: they hold no data between instructions. */
export function* instructionsOf(isa: Isa, image: ImageView, start: number, end: number): Generator<Listed> {
  const bytes = image.bytesFrom(start);
  if (bytes === undefined) return;
  const limit = Math.min(end - start, bytes.length);
  for (let at = 0; at < limit; ) {
    const found = isa.decode(bytes, at);
    const decoded = found === 'short' ? undefined : found;
    const length = decoded?.length ?? isa.quantum;
    yield { pc: start + at, length, bytes: bytes.subarray(at, Math.min(at + length, limit)), decoded };
    at += length;
  }
}

/** The instruction boundaries of a range. */
export function* boundariesOf(isa: Isa, image: ImageView, start: number, end: number): Generator<number> {
  for (const { pc } of instructionsOf(isa, image, start, end)) yield pc;
}
