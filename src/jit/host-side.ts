// What stands between the host and compiled code: the one table, what units import, and the way in.

import type { CompilerParts } from '../engine/compiler.ts';
import { driverModule } from './driver.ts';
import { supportModule } from './support.ts';

export interface HostSide {
  readonly table: WebAssembly.Table;
  readonly imports: WebAssembly.Imports;
  readonly drive: (slot: number, entry: number, remaining: number) => number;
  /** Computes flags that were put off. */
  readonly flags: () => void;
}

/** @param own what the host does itself for compiled code (`runtime.ts`) */
export function hostSide(
  { isa, memory }: Pick<CompilerParts, 'isa' | 'memory'>,
  memoryPages: number,
  own: WebAssembly.ModuleImports,
): HostSide {
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 256 });
  const e = { m: memory.wasm, t: table };
  const instance = (bytes: Uint8Array<ArrayBuffer>, h: WebAssembly.ModuleImports): WebAssembly.Instance =>
    new WebAssembly.Instance(new WebAssembly.Module(bytes), { e, h });
  const support = instance(supportModule(isa, memoryPages), own);
  const driver = instance(driverModule(isa, memoryPages), {});
  return {
    table,
    imports: { e, h: support.exports },
    drive: driver.exports.drive as HostSide['drive'],
    flags: support.exports.flags as HostSide['flags'],
  };
}
