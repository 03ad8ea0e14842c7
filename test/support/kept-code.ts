// A store of compiled code for tests: it keeps what a file would keep.

import type { CodeImage, CodeStore } from '../../src/jit/image.ts';

export class KeptCode implements CodeStore {
  readonly images = new Map<string, CodeImage>();

  load(variant: string): CodeImage | undefined {
    return this.images.get(variant);
  }

  save(variant: string, image: CodeImage): void {
    const modules = image.modules.map(({ bytes, slots, instructions, native, optimised }) => {
      return { bytes, slots, instructions, native, optimised };
    });
    this.images.set(variant, structuredClone({ ...image, modules }));
  }

  /** The one that there is. */
  get image(): CodeImage {
    const [image, another] = this.images.values();
    if (image === undefined || another !== undefined) throw new Error(`${this.images.size} images, and not one`);
    return image;
  }

  /** A store with the images of this one, changed. */
  with(change: (image: CodeImage) => Partial<CodeImage>): KeptCode {
    const changed = new KeptCode();
    for (const [variant, image] of this.images) changed.images.set(variant, { ...image, ...change(image) });
    return changed;
  }
}
