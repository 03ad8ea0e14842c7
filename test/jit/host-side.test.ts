// What is kept of what stands between the host and compiled code.

import { expect, test, vi } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { Memory } from '../../src/engine/memory.ts';
import { assemble } from '../../src/jit/assemble.ts';
import { HELPERS } from '../../src/jit/helpers.ts';
import { hostImage, hostSide } from '../../src/jit/host-side.ts';
import type { NativeCode } from '../../src/jit/image.ts';
import type { Inside } from '../../src/jit/inside.ts';
import { I32 } from '../../src/jit/opcodes.ts';
import { Code } from '../../src/jit/wasm.ts';

const isa = isaFor('mips64le');
const memory = new Memory({ bigEndian: false, limit: 2 ** 40, size: 2 ** 24 });
const PAGES = 2 ** 24 / 65536;

/** Takes a module itself for its machine code. */
const native: NativeCode = {
  of: (bytes) => ({ code: bytes, shell: bytes }),
  restore: ({ code }) => new WebAssembly.Module(code),
  makeRoom: () => undefined,
};

function inside(name: string): Inside {
  const body = (parameters: number) => {
    const code = new Code(parameters);
    code.i32(0);
    return code.body();
  };
  const module = (memoryPages: number): Uint8Array<ArrayBuffer> =>
    assemble({
      types: [
        { parameters: [I32], results: [I32] },
        { parameters: [I32, I32], results: [I32] },
      ],
      functions: [],
      memoryPages,
      bodies: [
        { type: 0, body: body(1), name: 'more' },
        { type: 1, body: body(2), name: 'passes' },
      ],
    });
  const decide = () => ({ decision: 0, resume: 0 });
  return { breakpoint: undefined, setStop: () => undefined, decide, name, module: vi.fn(module) };
}

test('what takes interrupts within compiled code is made again where it was kept for other rules', () => {
  const image = hostImage(isa, PAGES, inside('one'), native);
  const own = Object.fromEntries(HELPERS.map((name) => [name, () => 0])) as Parameters<typeof hostSide>[2];
  const [same, other] = [inside('one'), inside('another')];
  expect(hostSide({ isa, memory }, PAGES, own, same, { native, image }).restored).toBe(true);
  expect(same.module).not.toHaveBeenCalled();
  expect(hostSide({ isa, memory }, PAGES, own, other, { native, image }).restored).toBe(false);
  expect(other.module).toHaveBeenCalledOnce();
});
