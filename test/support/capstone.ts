// Capstone as a second opinion on our decoders.

import { createRequire } from 'node:module';
import type { Goarch } from '../../isa/index.ts';

export interface Disassembled {
  readonly mnemonic: string;
  /** Operands as Capstone spells them. */
  readonly op_str: string;
  /** Length in bytes. */
  readonly size: number;
}

interface Engine {
  disasm(bytes: Uint8Array, address: number): (Disassembled & { readonly address: number; readonly bytes: number[] })[];
  close(): void;
}

type Module = { readonly Capstone: new (arch: number, mode: number) => Engine } & Readonly<Record<string, number>>;

const TARGETS: Readonly<Record<Goarch, readonly [arch: string, ...modes: string[]]>> = {
  amd64: ['ARCH_X86', 'MODE_64'],
  mips: ['ARCH_MIPS', 'MODE_MIPS32', 'MODE_BIG_ENDIAN'],
  mipsle: ['ARCH_MIPS', 'MODE_MIPS32', 'MODE_LITTLE_ENDIAN'],
  mips64: ['ARCH_MIPS', 'MODE_MIPS64', 'MODE_BIG_ENDIAN'],
  mips64le: ['ARCH_MIPS', 'MODE_MIPS64', 'MODE_LITTLE_ENDIAN'],
};

/** A function that disassembles the first instruction of some bytes; `undefined` where Capstone sees none. */
export async function capstoneFor(
  goarch: Goarch,
): Promise<(bytes: Uint8Array, address: number) => Disassembled | undefined> {
  const load = createRequire(import.meta.url)('@alexaltea/capstone-js') as () => Promise<Module>;
  const module = await load();
  const [arch, ...modes] = TARGETS[goarch].map((name) => {
    const value = module[name];
    if (value === undefined) throw new Error(`this build of Capstone has no ${name}`);
    return value;
  });
  const engine = new module.Capstone(
    arch!,
    modes.reduce((a, b) => (a | b) >>> 0, 0),
  );
  return (bytes, address) => {
    try {
      const first = engine.disasm(bytes, address)[0];
      return first === undefined ? undefined : { ...first, size: first.bytes.length };
    } catch (error) {
      // It throws a text where it recognises nothing, with the library's status, which then is no error.
      if (String(error).includes('CS_ERR_OK')) return undefined;
      throw error;
    }
  };
}
