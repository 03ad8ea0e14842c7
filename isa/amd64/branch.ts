// Control transfer: Jcc JMP CALL RET LOOP JRCXZ. SDM vol. 2. Far transfers do not exist here.
//
// A jump to an address that is not canonical faults at the target, as AMD's processors have it; Intel's fault before the jump.

import type { Value } from '../dsl/effects.ts';
import { clause, family } from './clause.ts';
import type { Exec } from './exec.ts';
import { condition } from './flags.ts';
import { GPR, RCX, ZF } from './regs.ts';
import { drop, push, top } from './stack.ts';

const jcc = (x: Exec): void => x.e.branchIf(condition(x, x.i.opcode & 15), x.read(0));

const jmp = (x: Exec): void => x.e.branch(x.read(0), 'jump');

const call = (x: Exec): void => {
  const target = x.read(0);
  push(x, 64, x.e.pc(x.i.length));
  x.e.branch(target, 'call');
};

const ret = (x: Exec): void => {
  const target = top(x, 64);
  drop(x, 8 + (Number(x.i.imm) & 0xffff));
  x.e.branch(target, 'return');
};

/** RCX, or ECX under 67. */
const counter = (x: Exec): Value => x.getGpr(RCX, x.i.prefixes.address ? 32 : 64);

const loop =
  (also?: (x: Exec) => Value) =>
  (x: Exec): void => {
    const { e } = x;
    const old = counter(x);
    const next = e.sub(old, e.const(old.type as 'i32' | 'i64', 1));
    const target = x.read(0);
    const go = also === undefined ? x.isNonzero(next) : e.and(x.isNonzero(next), also(x));
    if (x.i.prefixes.address) x.setGpr(RCX, 32, next);
    else e.set(GPR[RCX]!, next);
    e.branchIf(go, target);
  };

export const BRANCH = family('branch', () => [
  clause('Jcc rel8', '70+cc cb f64', jcc),
  clause('Jcc rel32', '0F 80+cc cd f64', jcc),
  clause('JRCXZ rel8', 'E3 cb f64', (x) => x.e.branchIf(x.isZero(counter(x)), x.read(0))),
  clause(
    'LOOPNE rel8',
    'E0 cb f64',
    loop((x) => x.isZero(x.e.get(ZF))),
  ),
  clause(
    'LOOPE rel8',
    'E1 cb f64',
    loop((x) => x.e.get(ZF)),
  ),
  clause('LOOP rel8', 'E2 cb f64', loop()),
  clause('JMP rel8', 'EB cb f64', jmp),
  clause('JMP rel32', 'E9 cd f64', jmp),
  clause('JMP r/m64', 'FF /4 f64', jmp),
  clause('CALL rel32', 'E8 cd f64', call),
  clause('CALL r/m64', 'FF /2 f64', call),
  clause('RET', 'C3 f64', ret),
  clause('RET imm16', 'C2 iw f64', ret),
]);
