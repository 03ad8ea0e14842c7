// What stands between the host and compiled code: the one table, what units import, and the way in.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { CompilerParts } from '../engine/compiler.ts';
import type { HostHelper } from './helpers.ts';
import type { HostImage, MachineCode, NativeCode } from './image.ts';
import type { Inside } from './inside.ts';
import { driverModule, supportModule } from './making.ts';

export interface HostSide {
  readonly table: WebAssembly.Table;
  readonly imports: WebAssembly.Imports;
  readonly drive: (slot: number, entry: number, remaining: number) => number;
  /** Computes flags that were put off. */
  readonly flags: () => void;
  /** Whether the host accepted all of the machine code that was kept. */
  readonly restored: boolean;
}

/** Where the machine code of what stands between is kept, and what there is of it. */
export interface KeptHost {
  readonly native: NativeCode | undefined;
  readonly image: HostImage | undefined;
}

/**
 * @param own what the host does itself for compiled code (`runtime.ts`)
 * @param inside what compiled code does itself of that
 */
export function hostSide(
  { isa, memory }: Pick<CompilerParts, 'isa' | 'memory'>,
  memoryPages: number,
  own: Readonly<Record<HostHelper, unknown>>,
  inside: Inside | undefined,
  { native, image }: KeptHost,
): HostSide {
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 256 });
  const e = { m: memory.wasm, t: table };
  let restored = image !== undefined;
  const instance = (
    kept: MachineCode | undefined,
    make: () => Uint8Array<ArrayBuffer>,
    h: WebAssembly.ModuleImports | WebAssembly.Exports,
  ): WebAssembly.Instance => {
    const module = kept === undefined ? undefined : native?.restore(kept);
    if (module === undefined) restored = false;
    return new WebAssembly.Instance(module ?? new WebAssembly.Module(make()), {
      e,
      h,
    } as WebAssembly.Imports);
  };
  const imports = own as WebAssembly.ModuleImports;
  const keptInside = image?.inside?.name === inside?.name ? image?.inside : undefined;
  const instead = inside && instance(keptInside, () => inside.module(memoryPages), imports).exports;
  const support = instance(image?.support, () => supportModule(isa, memoryPages), { ...imports, ...instead });
  const driver = instance(image?.driver, () => driverModule(isa, memoryPages), support.exports);
  return {
    table,
    imports: { e, h: support.exports },
    drive: driver.exports.drive as HostSide['drive'],
    flags: support.exports.flags as HostSide['flags'],
    restored,
  };
}

/** What is kept of it; undefined where the host's machine code cannot be had. */
export function hostImage(
  isa: Isa,
  memoryPages: number,
  inside: Inside | undefined,
  native: NativeCode | undefined,
): HostImage | undefined {
  const support = native?.of(supportModule(isa, memoryPages));
  const driver = native?.of(driverModule(isa, memoryPages));
  if (support === undefined || driver === undefined) return undefined;
  const insideCode = inside && native?.of(inside.module(memoryPages));
  return { support, driver, inside: insideCode && { ...insideCode, name: inside.name } };
}
