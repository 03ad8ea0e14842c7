// Where threads change: before a branch backwards. Every loop has one, compiled code can be entered at the loop's head, and which
// instructions they are both engines can tell from the text alone.

import type { OpList } from '../uop/ops.ts';

/** @param constants of the list's temporaries at `pc` (`Folds.at`) */
export function isSwitchPoint(list: OpList, constants: readonly (bigint | undefined)[], pc: number): boolean {
  if (!list.branches) return false;
  for (const uop of list.ops) {
    if (uop.op !== 'branch') continue;
    const target = constants[uop.target];
    return uop.kind !== 'call' && target !== undefined && target <= BigInt(pc);
  }
  return false;
}
