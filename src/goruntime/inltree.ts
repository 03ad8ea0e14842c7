// Inline trees: which calls were inlined at a PC (runtime `inlinedCall`, symtabinl.go).

import { TableError } from './pcvalue.ts';
import { isBefore, type Release } from './version.ts';
import type { ImageView } from './view.ts';

/** Where the fields of an `inlinedCall` stand. */
interface InlinedCallLayout {
  readonly size: number;
  readonly funcID: number;
  readonly nameOff: number;
  readonly parentPc: number;
  /** Absent before Go 1.20. */
  readonly startLine?: number;
}

const WITH_PARENT: InlinedCallLayout = { size: 20, funcID: 2, nameOff: 12, parentPc: 16 };
const WITHOUT_PARENT: InlinedCallLayout = { size: 16, funcID: 0, nameOff: 4, parentPc: 8, startLine: 12 };

export interface InlinedCall {
  readonly funcID: number;
  /** Offset of the inlined function's name in the name table. */
  readonly nameOff: number;
  /** Offset from the function's entry of an instruction whose position is that of the call. */
  readonly parentPc: number;
}

/** Reads entries of inline trees of programs of one release. */
export class InlineTrees {
  readonly #image: ImageView;
  readonly #layout: InlinedCallLayout;

  constructor(image: ImageView, release: Release) {
    this.#image = image;
    this.#layout = isBefore(release, '1.20') ? WITH_PARENT : WITHOUT_PARENT;
  }

  /**
   * Entry `index` of the tree at `tree`.
   * @throws TableError if it lies outside the program
   */
  call(tree: number, index: number): InlinedCall {
    const layout = this.#layout;
    const at = tree + index * layout.size;
    const bytes = this.#image.bytesFrom(at);
    if (index < 0 || bytes === undefined || bytes.length < layout.size) {
      throw new TableError(
        'inline tree',
        index * layout.size,
        `entry ${index} of the tree at 0x${tree.toString(16)} is outside the program`,
      );
    }
    return {
      funcID: bytes[layout.funcID] ?? 0,
      nameOff: this.#image.readU32(at + layout.nameOff) | 0,
      parentPc: this.#image.readU32(at + layout.parentPc) | 0,
    };
  }
}
