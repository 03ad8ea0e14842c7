// At which of the three kinds of safe-points a goroutine that does not run was stopped (the head of runtime/preempt.go).

import type { Preemption } from './preempt.ts';

/**
 * - `asynchronous`: it seems to have called runtime.asyncPreempt.
 * - `synchronous`: the stack check of a prologue failed on the poisoned guard, and newstack gave its place to others.
 * - `blocked`: it gave up the CPU of itself, is in a system call, or has not begun.
 */
export type SafePointKind = 'blocked' | 'synchronous' | 'asynchronous';

/**
 * The kind of safe-point at which gp was stopped. gp must run on no thread.
 * @throws GuestReadError if gp is no goroutine
 */
export function stoppedKind(model: Preemption, gp: number): SafePointKind {
  const { runtime } = model;
  if (runtime.asyncSafePoint(gp)) return 'asynchronous';
  if (runtime.syscallSp(gp) !== 0) return 'blocked';
  // morestack saves the PC after its own call, where the prologue has made no frame yet. Whoever calls mcall has one.
  const pc = runtime.schedPc(gp);
  const { tables } = model.program;
  const f = tables.findfunc(pc);
  return f !== undefined && pc !== f.entry && tables.funcspdelta(f, pc) === 0 ? 'synchronous' : 'blocked';
}
