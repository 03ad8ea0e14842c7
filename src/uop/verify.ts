// Well-formedness of an op list, above all the rule by which faults are precise.

import type { OpList, Uop } from './ops.ts';
import { operandsOf } from './ops.ts';

const mayFault = (uop: Uop): boolean =>
  uop.op === 'load' || uop.op === 'store' || (uop.op === 'trap' && uop.kind !== 'syscall');
const changesState = (uop: Uop): boolean =>
  uop.op === 'set' || uop.op === 'flags' || uop.op === 'store' || uop.op === 'branch';

/**
 * What is wrong with an op list, a line each; nothing when it is sound:
 * temporaries are assigned once before they are read, nothing that may fault follows a change of state, and no more than one branch.
 * (A system call never faults, so its trap may follow the registers that the instruction itself sets.)
 */
export function verify(list: OpList): string[] {
  const wrong: string[] = [];
  const assigned = new Set<number>();
  let changed: string | undefined;
  let branches = 0;
  for (const [i, uop] of list.ops.entries()) {
    for (const temp of operandsOf(uop))
      if (!assigned.has(temp)) wrong.push(`op ${i} (${uop.op}) reads t${temp} before it is assigned`);
    if (mayFault(uop) && changed !== undefined)
      wrong.push(`op ${i} (${uop.op}) may fault after op ${changed} changed state`);
    if (changesState(uop)) changed = `${i} (${uop.op})`;
    if (uop.op === 'branch' && ++branches > 1) wrong.push(`op ${i} is a second branch`);
    if (uop.op === 'nullify' && branches === 0) wrong.push(`op ${i} nullifies before a branch`);
    if ('dst' in uop) {
      if (assigned.has(uop.dst)) wrong.push(`op ${i} assigns t${uop.dst} again`);
      if (list.temps[uop.dst] === undefined) wrong.push(`op ${i} assigns t${uop.dst}, which has no type`);
      assigned.add(uop.dst);
    }
  }
  return wrong;
}
