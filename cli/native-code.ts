// V8's machine code of WebAssembly modules, as data. Node has no way of its own to it: V8's functions for its tests do (`%Name`, see
// src/runtime/runtime-test-wasm.cc there). A V8 that lacks one of them does without; what another V8 made, or one with other flags, or on
// another processor, it does not accept.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { NativeCode } from '../src/index.ts';

/** Does something while V8 takes `%Name` for one of its functions. */
function withNatives<R>(action: () => R): R {
  setFlagsFromString('--allow-natives-syntax');
  try {
    return action();
  } finally {
    setFlagsFromString('--no-allow-natives-syntax');
  }
}

/** A function that calls one of V8's; undefined where this V8 does not have it. */
function native<A extends readonly unknown[], R>(
  name: string,
  ...parameters: string[]
): ((...args: A) => R) | undefined {
  try {
    const text = `return %${name}(${parameters.join(', ')})`;
    const call = withNatives(() => new Function(...parameters, text) as (...args: A) => R);
    // V8 drops the bytecode of what has not been called for a while, and then reads the text again.
    return (...args) => withNatives(() => call(...args));
  } catch {
    return undefined;
  }
}

/** What makes V8 compile a module at once, and with its optimising compiler only. */
const FLAGS = ['liftoff', 'wasm-lazy-compilation', 'wasm-dynamic-tiering'];

/** How many functions of a module V8 compiles at a time, by default as many as it has threads: the largest take 50 MB each. */
const tasks = (count: number): void => setFlagsFromString(`--wasm-num-compilation-tasks=${count}`);
const TASKS_BY_DEFAULT = 128;
const TASKS = 2;

/** A module of all functions optimised. */
function optimised(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  for (const flag of FLAGS) setFlagsFromString(`--no-${flag}`);
  tasks(TASKS);
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    // As they were: V8 takes no machine code that was made with other flags.
    tasks(TASKS_BY_DEFAULT);
    for (const flag of FLAGS) setFlagsFromString(`--${flag}`);
  }
}

/** Sections of a module by their ids (WebAssembly core specification, 5.5.2). */
const CUSTOM = 0;
const CODE = 10;
/** Of a module: the magic number and the version. */
const PREAMBLE = 8;
/** A function that declares no locals and traps. */
const TRAPS = [3, 0, 0, 0x0b];

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/**
 * A module without what V8 has its machine code for: no function does anything, and no custom sections but one of random bytes. It is
 * all that V8 wants to see of a module whose functions are compiled, and a fraction of it; and it is like no other module's: V8 takes
 * modules of the same bytes for the same.
 */
export function shellOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  let at = PREAMBLE;
  const length = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const out = [...bytes.subarray(0, PREAMBLE)];
  while (at < bytes.length) {
    const begin = at;
    const id = bytes[at++]!;
    const end = length() + at;
    if (id === CODE) {
      const count = length();
      const bodies = [...unsigned(count), ...Array.from({ length: count }, () => TRAPS).flat()];
      out.push(CODE, ...unsigned(bodies.length), ...bodies);
    } else if (id !== CUSTOM) out.push(...bytes.subarray(begin, end));
    at = end;
  }
  const random = Array.from({ length: 16 }, () => Math.floor(Math.random() * 256));
  out.push(CUSTOM, random.length + 1, 0, ...random);
  return Uint8Array.from(out);
}

/** The same module, and no other's. */
function asAnother(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes.length + 3);
  out.set(bytes);
  // A custom section of one byte, the length of its name.
  out.set([CUSTOM, 1, 0], bytes.length);
  return out;
}

/** A module that exports `f`, which does nothing. */
// biome-ignore format: a line for each section
const PROBE = Uint8Array.of(
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 4, 1, 0x60, 0, 0,
  3, 2, 1, 0,
  7, 5, 1, 1, 0x66, 0, 0,
  10, 4, 1, 2, 0, 0x0b,
);

/** V8's own; undefined where it cannot be had. */
export function v8NativeCode(): NativeCode | undefined {
  const serialize = native<[WebAssembly.Module], ArrayBuffer>('SerializeWasmModule', 'module');
  const deserialize = native<[ArrayBuffer, Uint8Array], WebAssembly.Module | undefined>(
    'DeserializeWasmModule',
    'data',
    'bytes',
  );
  const isOptimised = native<[unknown], boolean>('IsTurboFanFunction', 'exported');
  if (serialize === undefined || deserialize === undefined || isOptimised === undefined) return undefined;
  // V8 ends the process where nothing of a module is optimised: with --liftoff-only, or under a debugger.
  let optimises: boolean | undefined;
  const canOptimise = (): boolean => isOptimised(new WebAssembly.Instance(optimised(PROBE)).exports.f);
  return {
    of(bytes) {
      optimises ??= canOptimise();
      if (!optimises) return undefined;
      return { code: new Uint8Array(serialize(optimised(asAnother(bytes)))), shell: shellOf(bytes) };
    },
    restore: ({ code, shell }) => deserialize(code.buffer, shell),
    makeRoom() {
      setFlagsFromString('--expose-gc');
      const gc = runInNewContext('gc') as () => void;
      setFlagsFromString('--no-expose-gc');
      // What the first one frees V8 gives back with the second.
      gc();
      gc();
    },
  };
}
