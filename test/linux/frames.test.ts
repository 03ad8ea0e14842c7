// Signal frames, by the offsets of Linux's headers (arch/x86/include/uapi/asm/sigcontext.h, arch/mips/include/uapi/asm/sigcontext.h).

import { describe, expect, test } from 'vitest';
import type { Register } from '../../isa/dsl/registers.ts';
import { isaFor } from '../../isa/index.ts';
import { GOARCHES } from '../../src/arch/arch.ts';
import type { Machine } from '../../src/engine/machine.ts';
import { PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { abiFor } from '../../src/linux/abi/index.ts';
import { bareMachine } from '../support/bare-machine.ts';

const STACK = 0x200000;
const RESUME = 0x123454;

/** Of each GOARCH: from the ucontext, where the PC is, and where some registers of all kinds are. */
const PLACES = {
  amd64: { pc: 168, at: { R8: 40, R15: 96, RDI: 104, RAX: 144, RCX: 152, RSP: 160 } },
  mips: { pc: 32, at: { R1: 48, R31: 288, F0: 300, F1: 296, F30: 540, F31: 536, HI: 576, LO: 584 } },
  mipsle: { pc: 32, at: { R1: 48, R31: 288, F0: 296, F1: 300, F30: 536, F31: 540, HI: 576, LO: 584 } },
  mips64: { pc: 616, at: { R1: 48, R31: 288, F0: 296, F31: 544, HI: 552, LO: 584 } },
  mips64le: { pc: 616, at: { R1: 48, R31: 288, F0: 296, F31: 544, HI: 552, LO: 584 } },
} as const;

/** Fills all registers that a frame has whole, and returns what they are. */
function fill({ isa, state }: Machine, salt: bigint): Map<Register, bigint> {
  const filled = new Map<Register, bigint>();
  for (const [i, register] of isa.registers.all.entries()) {
    if (!/^(R[A-Z1-9]\w*|XMM\d+|F\d+|HI|LO)$/.test(register.name)) continue;
    state.set(register, BigInt(i + 1) * 0x0123_4567_89ab_cdef_1032_5476_98ba_dcfen + salt);
    filled.set(register, 0n);
  }
  for (const name of ['RSP', 'R29'])
    if (state.registers.byName.has(name)) state.set(state.register(name), BigInt(STACK + 0x3000));
  for (const register of filled.keys()) filled.set(register, state.get(register));
  return filled;
}

describe.each(GOARCHES)('on %s', (goarch) => {
  const isa = isaFor(goarch);
  const abi = abiFor(isa.variant);
  const { machine } = bareMachine(
    isa,
    0x100000,
    [],
    [{ at: STACK, size: 0x4000, protection: PROT_READ | PROT_WRITE }],
    undefined,
  );
  const { memory, state } = machine;
  const filled = fill(machine, 0n);
  state.jump(RESUME);
  abi.frames.push(machine, {
    action: { handler: 0x7000, flags: 0, mask: 0n, restorer: 0x8000 },
    info: { signal: 16, code: -6 },
    mask: 0x55n,
    altStack: { sp: 0x9000, size: 0x100, flags: 0 },
    trampoline: 0x8000,
  });
  const sp = abi.stackPointer(machine);
  const uc = Number(state.get(state.register(goarch === 'amd64' ? 'RDX' : 'R6')));

  test('registers stand where the kernel puts them', () => {
    const { pc, at } = PLACES[goarch];
    expect(Number(memory.readU64(uc + pc))).toBe(RESUME);
    for (const [name, offset] of Object.entries(at)) {
      const register = state.register(name);
      const half = register.type === 'i32' && name.startsWith('F');
      expect([name, half ? BigInt(memory.readU32(uc + offset)) : memory.readU64(uc + offset)]).toEqual([
        name,
        filled.get(register),
      ]);
    }
  });

  test('rt_sigreturn restores all of them', () => {
    fill(machine, 0x1111_1111_1111_1111_1111_1111_1111_1111n);
    abi.setStackPointer(machine, goarch === 'amd64' ? sp + 8 : sp);
    expect(abi.frames.pop(machine)).toEqual({ mask: 0x55n, altStack: { sp: 0x9000, size: 0x100, flags: 0 } });
    expect(state.pc).toBe(RESUME);
    for (const [register, value] of filled)
      expect([register.name, state.get(register)]).toEqual([register.name, value]);
  });
});
