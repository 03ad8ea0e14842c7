// Read-modify-write with comparison: XADD CMPXCHG CMPXCHG8B. SDM vol. 2. Guest threads share one host thread, so LOCK adds nothing:
// every instruction is atomic.

import { clause, family } from './clause.ts';
import type { Exec } from './exec.ts';
import { putDifference, putSum, setFlags } from './flags.ts';
import { RAX, RBX, RCX, RDX } from './regs.ts';

const xadd = (x: Exec): void => {
  const a = x.read(0);
  const b = x.read(1);
  const r = x.add(a, b);
  // The sum stays where both operands are one register; to memory it goes first, since a store may fault.
  if (x.inMemory) {
    x.write(0, r);
    x.write(1, a);
  } else {
    x.write(1, a);
    x.write(0, r);
  }
  putSum(x, a, b);
};

/** Memory is written even when the comparison fails, with what it held (SDM, CMPXCHG). */
const cmpxchg = (x: Exec): void => {
  const { e } = x;
  const expected = x.getGpr(RAX, x.size);
  const found = x.read(0);
  const replacement = x.read(1);
  const equal = e.eq(expected, found);
  const written = e.select(equal, replacement, found);
  const accumulator = x.register(RAX);
  if (x.inMemory) {
    x.write(0, written);
    const old = e.get(accumulator);
    x.setGpr(RAX, x.size, found);
    e.set(accumulator, e.select(equal, old, e.get(accumulator)));
  } else {
    const old = e.get(accumulator);
    x.setGpr(RAX, x.size, found);
    e.set(accumulator, e.select(equal, old, e.get(accumulator)));
    x.write(0, written);
  }
  putDifference(x, expected, found);
};

/** ZF alone changes. */
const cmpxchg8b = (x: Exec): void => {
  const { e } = x;
  const pair = (high: number, low: number) =>
    e.or(e.shl(x.getGpr(high, 64), e.const('i64', 32)), e.extendU(x.getGpr(low, 32)));
  const found = x.read(0);
  const equal = e.eq(found, pair(RDX, RAX));
  x.write(0, e.select(equal, pair(RCX, RBX), found));
  const low = e.and(found, e.const('i64', 0xffffffff));
  const high = e.shr(found, e.const('i64', 32));
  e.set(x.register(RAX), e.select(equal, x.getGpr(RAX, 64), low));
  e.set(x.register(RDX), e.select(equal, x.getGpr(RDX, 64), high));
  setFlags(x, { zf: equal });
};

export const ATOMIC = family('atomic', () => [
  clause('XADD r/m8, r8', '0F C0 /r LOCK', xadd),
  clause('XADD r/mv, rv', '0F C1 /r LOCK', xadd),
  clause('CMPXCHG r/m8, r8', '0F B0 /r LOCK', cmpxchg),
  clause('CMPXCHG r/mv, rv', '0F B1 /r LOCK', cmpxchg),
  // With REX.W it would be CMPXCHG16B, which the baseline does not have.
  clause('CMPXCHG8B m64', 'W0 0F C7 /1 LOCK', cmpxchg8b),
]);
