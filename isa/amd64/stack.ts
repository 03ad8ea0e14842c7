// The stack: PUSH POP PUSHF POPF ENTER LEAVE. SDM vol. 2.

import type { Value } from '../dsl/effects.ts';
import { clause, family } from './clause.ts';
import type { Exec } from './exec.ts';
import { flagsImage, setFlagsImage } from './flags.ts';
import { FLAG_BITS, FLAGS_REST_MASK, GPR, RBP, RSP } from './regs.ts';

/** Stores below RSP, then moves it. `bits` is 64 or 16. */
export const push = (x: Exec, bits: number, value: Value): void => {
  const top = x.e.sub(x.e.get(GPR[RSP]!), x.e.const('i64', bits >> 3));
  x.store(bits, top, value);
  x.e.set(GPR[RSP]!, top);
};

/** Loads from RSP; the caller moves it with `drop` once nothing can fault any more. */
export const top = (x: Exec, bits: number): Value => x.load(bits, x.e.get(GPR[RSP]!));

export const drop = (x: Exec, bytes: number): void =>
  x.e.set(GPR[RSP]!, x.e.add(x.e.get(GPR[RSP]!), x.e.const('i64', bytes)));

const pushImmediate = (x: Exec): void => {
  const { width, imm } = x.i;
  push(x, width, width === 64 ? x.e.const('i64', imm) : x.e.const('i32', Number(imm) & 0xffff));
};

/** RSP moves first, so that POP RSP leaves the value popped. */
const popRegister = (x: Exec): void => {
  const value = top(x, x.size);
  drop(x, x.size >> 3);
  x.write(0, value);
};

/** An address that uses RSP sees it already moved (SDM, POP). */
const popOperand = (x: Exec): void => {
  if (!x.inMemory) {
    popRegister(x);
    return;
  }
  const { e } = x;
  const bytes = x.size >> 3;
  const value = top(x, x.size);
  let address = x.effectiveAddress();
  if (x.i.memory?.base === RSP) address = x.truncateAddress(e.add(address, e.const('i64', bytes)));
  x.store(x.size, x.linear(address), value);
  drop(x, bytes);
};

const pushf = (x: Exec): void => {
  const image = flagsImage(x);
  push(x, x.i.width, x.i.width === 64 ? x.e.extendU(image) : image);
};

/** The flags that POPF changes at privilege 3, less TF (SDM, POPF, table 4-15). */
const POPF_MASK = FLAG_BITS.reduce((mask, [, bit]) => mask | (1 << bit), FLAGS_REST_MASK);

const popf = (x: Exec): void => {
  const { width } = x.i;
  const value = top(x, width);
  drop(x, width >> 3);
  if (width === 64) setFlagsImage(x, x.e.wrap(value), POPF_MASK);
  else setFlagsImage(x, value, POPF_MASK & 0xffff);
};

/** Only level 0, which is all that compilers ever used: nested levels store more than once. They are reported as undefined. */
const enter = (x: Exec): void => {
  const { e } = x;
  const { width } = x.i;
  if ((x.i.imm2 & 31) !== 0 || width === 16) {
    e.trap('illegal');
    return;
  }
  const frame = e.sub(e.get(GPR[RSP]!), e.const('i64', 8));
  const end = e.sub(frame, e.const('i64', Number(x.i.imm) & 0xffff));
  // The processor makes sure that the new top of the stack could be written (SDM, ENTER); a load finds an absent page as well.
  x.load(64, end);
  x.store(64, frame, e.get(GPR[RBP]!));
  e.set(GPR[RBP]!, frame);
  e.set(GPR[RSP]!, end);
};

const leave = (x: Exec): void => {
  const { e } = x;
  const { width } = x.i;
  const frame = e.get(GPR[RBP]!);
  const value = x.load(width, frame);
  e.set(GPR[RSP]!, e.add(frame, e.const('i64', width >> 3)));
  x.setGpr(RBP, width, value);
};

/** FS and GS hold null selectors in a Linux process; their bases have nothing to do with them. */
const pushNull = (x: Exec): void => push(x, x.i.width, x.e.const(x.i.width === 64 ? 'i64' : 'i32', 0));

export const STACK = family('stack', () => [
  clause('PUSH rv', '50+r o64', (x) => push(x, x.size, x.read(0))),
  clause('PUSH r/mv', 'FF /6 o64', (x) => push(x, x.size, x.read(0))),
  clause('PUSH simm8', '6A ib o64', pushImmediate),
  clause('PUSH immz', '68 iz o64', pushImmediate),
  clause('PUSH fs', '0F A0 o64', pushNull),
  clause('PUSH gs', '0F A8 o64', pushNull),
  clause('POP rv', '58+r o64', popRegister),
  clause('POP r/mv', '8F /0 o64', popOperand),
  clause('PUSHF/PUSHFD/PUSHFQ', '9C o64', pushf),
  clause('POPF/POPFD/POPFQ', '9D o64', popf),
  clause('ENTER imm16, imm2.8', 'C8 iw ib o64', enter),
  clause('LEAVE', 'C9 o64', leave),
]);
