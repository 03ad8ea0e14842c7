// A program with one goroutine, its M and its P, as memory would show them.
import { Grunning } from '../../src/goruntime/facts/constants.ts';
import { Preemption, type PreemptOptions } from '../../src/goruntime/preempt.ts';
import type { GoProgram } from '../../src/goruntime/program.ts';
import { SparseMemory } from './memory.ts';

export const G = 0x4000_0000;
export const G0 = 0x4001_0000;
export const M = 0x4002_0000;
export const P = 0x4004_0000;
export const STACK = 0x5000_0000;
export const STACK_SIZE = 0x2000;

/** A program with one running user goroutine, as memory would show it. */
export function running(program: GoProgram, options: PreemptOptions = {}) {
  const { arch, offsets } = program;
  const memory = new SparseMemory(arch);
  for (const addr of [G, G0]) memory.map(addr, 0x200);
  memory.map(M, 0x1000);
  memory.map(P, 0x4000);
  memory.map(STACK, STACK_SIZE);
  const word = (addr: number, value: number) => memory.writePointer(addr, value);
  for (const g of [G, G0]) word(g + offsets.g.m, M);
  word(G + offsets.g.stackLo, STACK);
  word(G + offsets.g.stackHi, STACK + STACK_SIZE);
  memory.writeU32(G + offsets.g.atomicstatus, Grunning);
  word(M + offsets.m.g0, G0);
  word(M + offsets.m.curg, G);
  word(M + offsets.m.p, P);
  memory.writeU32(P + offsets.p.status, 1);
  const stackSize = program.elf.symbol('runtime.asyncPreemptStack');
  if (stackSize !== undefined) {
    memory.map(stackSize.value, 8);
    word(stackSize.value, program.asyncPreemptStack());
  }
  return { memory, model: new Preemption(program, memory, options), word };
}
