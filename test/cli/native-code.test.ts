// V8's machine code of modules: kept and taken over it computes the same, and what V8 does not accept is no error.

import { spawnSync } from 'node:child_process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { v8NativeCode } from '../../cli/native-code.ts';
import { assemble } from '../../src/jit/assemble.ts';
import { I32, OP, type Opcode } from '../../src/jit/opcodes.ts';
import { Code } from '../../src/jit/wasm.ts';

/** A module that exports `sum(n)`: n + (n - 1) + … + 1 + 0, or with another operation. */
function sumModule(operation: Opcode = OP.i32_add): Uint8Array<ArrayBuffer> {
  const code = new Code(1);
  const total = code.local(I32);
  const again = code.loop();
  code.get(total);
  code.get(0);
  code.op(operation);
  code.set(total);
  code.get(0);
  code.i32(1);
  code.op(OP.i32_sub);
  code.tee(0);
  code.brIf(again);
  code.end();
  code.get(total);
  return assemble({
    types: [{ parameters: [I32], results: [I32] }],
    functions: [],
    memoryPages: 1,
    bodies: [{ type: 0, body: code.body(), name: 'sum' }],
  });
}

function sumOf(module: WebAssembly.Module, n: number): unknown {
  const e = {
    m: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }),
    t: new WebAssembly.Table({ element: 'anyfunc', initial: 0 }),
  };
  return (new WebAssembly.Instance(module, { e }).exports.sum as (n: number) => unknown)(n);
}

describe("V8's machine code of a module", () => {
  const native = v8NativeCode()!;
  const bytes = sumModule();

  it('is what the module can be made of again, also while there is one of the same bytes', () => {
    expect(sumOf(new WebAssembly.Module(bytes), 10)).toBe(55);
    const restored = native.restore(native.of(bytes)!);
    expect(restored).toBeInstanceOf(WebAssembly.Module);
    expect(sumOf(restored!, 1000)).toBe(500_500);
  });

  it('is not taken for that of a module of the same form', () => {
    const other = sumModule(OP.i32_mul);
    const [sum, product] = [native.of(bytes)!, native.of(other)!];
    expect(sumOf(native.restore(sum)!, 5)).toBe(15);
    expect(sumOf(native.restore(product)!, 5)).toBe(0);
  });

  it('needs no more of the module than its form', () => {
    const { shell } = native.of(bytes)!;
    expect(() => sumOf(new WebAssembly.Module(shell), 5)).toThrow(WebAssembly.RuntimeError);
  });

  it('leaves V8 compiling as before', () => {
    const optimised = native.of(bytes)!;
    native.of(bytes);
    expect(native.restore(optimised)).toBeDefined();
  });

  it('is accepted by a process that has made none', () => {
    const text = `
      import { v8NativeCode } from ${JSON.stringify(new URL('../../cli/native-code.ts', import.meta.url).href)};
      const made = JSON.parse(await new Response(process.stdin).text());
      const restored = v8NativeCode().restore({ code: Uint8Array.from(made.code), shell: Uint8Array.from(made.shell) });
      console.log(restored instanceof WebAssembly.Module);
    `;
    const { code, shell } = native.of(bytes)!;
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', text], {
      input: JSON.stringify({ code: [...code], shell: [...shell] }),
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'true\n', stderr: '' });
  });

  it('can be had late in a long run, when V8 has dropped the bytecode of what has not been called for a while', () => {
    const idle = v8NativeCode()!;
    for (const flag of ['--stress-flush-code', '--expose-gc']) setFlagsFromString(flag);
    runInNewContext('gc')();
    setFlagsFromString('--no-stress-flush-code');
    expect(sumOf(idle.restore(idle.of(bytes)!)!, 10)).toBe(55);
  });

  it.each([
    ['of another V8', 4],
    ['of other flags', 12],
  ])('is not accepted where it says that it is %s', (_what, at) => {
    const made = native.of(bytes)!;
    made.code[at]! ^= 1;
    expect(native.restore(made)).toBeUndefined();
  });
});
