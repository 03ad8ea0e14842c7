// A machine without a program: some code, pages about it as a test wants them, and a compiler that waits for nothing.

import type { Isa } from '../../isa/index.ts';
import { Machine } from '../../src/engine/machine.ts';
import { PROT_EXEC, PROT_READ } from '../../src/engine/memory.ts';
import { type CompilerOptions, type CompilerStats, jit } from '../../src/jit/compiler.ts';

/** Pages from `at` on, `size` bytes of them. */
export interface Pages {
  readonly at: number;
  readonly size: number;
  readonly protection: number;
}

/** How code is compiled, and the visits by policy for that: fast from the beginning, or short as long as a test runs. */
export const FORMS = [
  ['fast', 0],
  ['short', 1 << 20],
] as const;

/** The bytes of little-endian words. */
export const words = (...list: readonly number[]): number[] =>
  list.flatMap((w) => [0, 8, 16, 24].map((by) => (w >>> by) & 0xff));

/** What is compiled at its second arrival, and soon at that. */
const AT_ONCE: NonNullable<CompilerOptions['policy']> = { threshold: 1, urgent: 1, warmUp: 0 };

/**
 * A machine about to execute `code` at `at`, whose pages may be executed; there are no others but `data`.
 *
 * @param compiled how it is compiled; undefined where all is to be evaluated
 */
export function bareMachine(
  isa: Isa,
  at: number,
  code: Iterable<number>,
  data: readonly Pages[],
  compiled: Pick<CompilerOptions, 'policy' | 'store' | 'extents'> | undefined,
): { readonly machine: Machine; readonly stats: () => CompilerStats } {
  let stats: CompilerStats | undefined;
  const onStats = (s: CompilerStats): void => {
    stats = s;
  };
  const machine = new Machine(isa, {
    limit: isa.variant.width === 64 ? 2 ** 40 : 2 ** 31,
    memorySize: 2 ** 24,
    compiler: compiled && jit({ ...compiled, policy: { ...AT_ONCE, ...compiled.policy }, onStats }),
  });
  const bytes = Uint8Array.from(code);
  const pages = [{ at, size: Math.max(bytes.length, 4096), protection: PROT_READ | PROT_EXEC }, ...data];
  machine.memory.setSource({
    protectionAt: (address) => pages.find((p) => address >= p.at && address < p.at + p.size)?.protection ?? -1,
  });
  machine.memory.write(at, bytes, true);
  machine.state.jump(at);
  return { machine, stats: () => stats! };
}

/** Counts what the evaluator executes from now on of what is decoded. */
export function countEvaluated(machine: Machine): () => number {
  let evaluated = 0;
  const count = (): void => {
    evaluated++;
  };
  for (const instruction of machine.code.numbered)
    if (instruction !== undefined)
      Object.defineProperty(instruction, 'steps', { value: [count, ...instruction.steps] });
  return () => evaluated;
}

/** Watches a machine from now on: the addresses that it tells of, and how often each was counted. */
export function watch(machine: Machine): { readonly told: readonly number[]; readonly counted: Map<number, number> } {
  const told: number[] = [];
  const counted = new Map<number, number>();
  const addTimes = (pc: number, times: number): void => {
    counted.set(pc, (counted.get(pc) ?? 0) + times);
  };
  machine.observer = (pc) => told.push(pc);
  machine.counter = { add: (pc) => addTimes(pc, 1), addTimes };
  return { told, counted };
}
