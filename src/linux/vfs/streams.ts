// Standard input, output and error: where the embedder's bytes meet the guest's. The state counts bytes; the bytes are out here.

/**
 * Standard input by position, so that a guest that is taken back to an earlier snapshot reads the same bytes again.
 * Returns none at the end of input.
 */
export interface Input {
  read(position: number, length: number): Uint8Array;
}

/**
 * Standard output and error. `position` counts the bytes that this guest had written to the stream before; after a restore
 * it goes back, and the embedder decides whether to show the bytes again.
 */
export interface Output {
  write(stream: 1 | 2, bytes: Uint8Array, position: number): void;
}

/** Remembers what a source gave, so that it can be read again. `next` gives no bytes at the end. */
export class RecordedInput implements Input {
  readonly #next: () => Uint8Array;
  readonly #pieces: Uint8Array[] = [];
  #length = 0;
  #ended = false;

  constructor(next: () => Uint8Array) {
    this.#next = next;
  }

  read(position: number, length: number): Uint8Array {
    while (!this.#ended && position >= this.#length) {
      const piece = this.#next();
      if (piece.length === 0) this.#ended = true;
      else {
        this.#pieces.push(piece);
        this.#length += piece.length;
      }
    }
    let start = 0;
    for (const piece of this.#pieces) {
      if (position < start + piece.length) return piece.slice(position - start, position - start + length);
      start += piece.length;
    }
    return new Uint8Array(0);
  }
}

/** Standard input that is these bytes, or nothing. */
export function inputOf(bytes: Uint8Array = new Uint8Array(0)): Input {
  return { read: (position, length) => bytes.slice(position, position + length) };
}

/** Collects output; rewriting at an earlier position drops what came after. */
export class CapturedOutput implements Output {
  readonly #streams: { 1: Uint8Array; 2: Uint8Array } = { 1: new Uint8Array(0), 2: new Uint8Array(0) };

  write(stream: 1 | 2, bytes: Uint8Array, position: number): void {
    const out = new Uint8Array(position + bytes.length);
    out.set(this.#streams[stream].subarray(0, position));
    out.set(bytes, position);
    this.#streams[stream] = out;
  }

  bytes(stream: 1 | 2): Uint8Array {
    return this.#streams[stream];
  }

  text(stream: 1 | 2): string {
    return new TextDecoder().decode(this.#streams[stream]);
  }
}
