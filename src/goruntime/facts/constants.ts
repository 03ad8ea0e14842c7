// Constants of the scheduler and of stacks, with the runtime's names (runtime2.go, stack.go, internal/abi/stack.go).

import { isBefore, type Release } from '../version.ts';

export const Gidle = 0;
export const Grunnable = 1;
export const Grunning = 2;
export const Gsyscall = 3;
export const Gwaiting = 4;
export const Gdead = 6;
export const Gcopystack = 8;
export const Gpreempted = 9;
/** Go 1.26 and later. */
export const Gleaked = 10;
/** Go 1.26 and later. */
export const Gdeadextra = 11;
export const Gscan = 0x1000;

const G_STATUS: Readonly<Record<number, string>> = {
  0: 'idle',
  1: 'runnable',
  2: 'running',
  3: 'syscall',
  4: 'waiting',
  6: 'dead',
  8: 'copystack',
  9: 'preempted',
  10: 'leaked',
  11: 'deadextra',
};

/** A goroutine status as text, e.g. `waiting`, `running+scan`; `invalid (5)` for a number that is none. */
export function gstatusName(status: number): string {
  const name = G_STATUS[status & ~Gscan] ?? `invalid (${status & ~Gscan})`;
  return status & Gscan ? `${name}+scan` : name;
}

export const Prunning = 1;
const P_STATUS = ['idle', 'running', 'syscall', 'gcstop', 'dead'] as const;

/** A P status as text. */
export function pstatusName(status: number): string {
  return P_STATUS[status] ?? `invalid (${status})`;
}

/** Low half of the poison in g.stackguard0 that requests preemption (-1314); the upper half is all ones. */
export const stackPreemptLow = 0xfffffade;
export const stackPreempt = -1314;

/** Bytes above stack.lo at which g.stackguard0 stands (StackGuard; race builds, which need cgo, double a part of it). */
export function stackGuard(release: Release): number {
  return isBefore(release, '1.15') ? 896 : 928;
}

/** Longest way back that the runtime accepts for a restart sequence; more is thrown as "bad restart PC". */
export const maxRestartBytes = 20;
