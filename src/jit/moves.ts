// Repeated moves (REP MOVS) many at a time: within a page of each side, where neither can fault, what they do is to copy bytes.
//
// The turns of such an instruction are instructions that were executed: they are counted, and none is done at once behind which the
// thread may have to stop. The last turn is always left to the instruction itself, and so is whatever this does not see to.

import type { RepeatedMove } from '../../isa/dsl/isa.ts';
import { PAGE_SIZE, TLB_READ, TLB_WRITE, WINDOW } from '../engine/layout.ts';
import { HELPER } from './helpers.ts';
import type { RegisterAccess } from './lower.ts';
import { I32, OP, VOID } from './opcodes.ts';
import { MOST_AHEAD } from './plan.ts';
import { emitLeftInPage, emitTlbFind } from './tlb.ts';
import type { Code } from './wasm.ts';

/** For fewer turns it is not worth asking. */
const LEAST = 8;
/** No page has more. */
const MOST = PAGE_SIZE;

/** Sets a local to the lesser of it and what `push` pushes, both i32. */
function emitAtMost(code: Code, local: number, push: () => void): void {
  const other = code.borrow(I32);
  push();
  code.set(other);
  code.get(other);
  code.get(local);
  code.get(other);
  code.get(local);
  code.op(OP.i32_lt_s);
  code.op(OP.select);
  code.set(local);
  code.release(I32, other);
}

/**
 * `moves(source, destination, most, bytes)`: moves `most` times `bytes` bytes at the most, upwards. Returns how many times.
 */
export function emitMoves(code: Code): void {
  const [source, destination, most, bytes] = [0, 1, 2, 3] as const;
  const size = code.local(I32);
  const zeroIf = (emit: () => void): void => {
    emit();
    code.if(VOID, false);
    code.i32(0);
    code.op(OP.return);
    code.end();
  };
  /** The local with the host's address of a guest's; returns from the function where the TLB does not have its page. */
  const find = (address: number, tag: number): number => {
    const host = code.local(I32);
    zeroIf(() => {
      emitTlbFind(code, true, address, tag, host);
      code.op(OP.i32_eqz);
    });
    return host;
  };
  for (const address of [source, destination])
    emitAtMost(code, most, () => {
      emitLeftInPage(code, () => {
        code.get(address);
        code.op(OP.i32_wrap_i64);
      });
      code.get(bytes);
      code.op(OP.i32_div_u);
    });
  code.get(most);
  code.get(bytes);
  code.op(OP.i32_mul);
  code.set(size);
  const from = find(source, TLB_READ);
  const to = find(destination, TLB_WRITE);
  // What the first turns have written the later ones would read.
  zeroIf(() => {
    code.get(to);
    code.get(from);
    code.op(OP.i32_sub);
    code.get(size);
    code.op(OP.i32_lt_u);
  });
  code.get(to);
  code.get(from);
  code.get(size);
  code.memoryCopy();
  code.get(most);
}

/**
 * Before a turn: does those at once that can be.
 * @param left the local of what is left of the budget; this turn, and what may follow without asking, are paid for
 */
export function emitRepeatedMove(code: Code, repeats: RepeatedMove, registers: RegisterAccess, left: number): void {
  const { source, destination, count, down, bytes } = repeats;
  const turns = code.borrow(I32);
  registers.push(count);
  code.i64(BigInt(LEAST));
  code.op(OP.i64_gt_u);
  registers.push(down);
  code.op(OP.i32_eqz);
  code.op(OP.i32_and);
  code.if(VOID, false);
  // All turns but the last one, as far as a number goes that a page has.
  code.i32(MOST);
  code.set(turns);
  registers.push(count);
  code.i64(BigInt(MOST));
  code.op(OP.i64_le_u);
  code.if(VOID, false);
  registers.push(count);
  code.op(OP.i32_wrap_i64);
  code.i32(1);
  code.op(OP.i32_sub);
  code.set(turns);
  code.end();
  // Before each of them the thread may have to stop.
  emitAtMost(code, turns, () => {
    code.get(left);
    code.i32(0);
    code.memory(OP.i32_load, WINDOW);
    code.op(OP.i32_sub);
    code.i32(MOST_AHEAD + 1);
    code.op(OP.i32_sub);
  });
  code.get(turns);
  code.i32(LEAST);
  code.op(OP.i32_ge_s);
  code.if(VOID, false);
  registers.push(source);
  registers.push(destination);
  code.get(turns);
  code.i32(bytes);
  code.call(HELPER.moves);
  code.set(turns);
  const moved = (factor: number): void => {
    code.get(turns);
    code.op(OP.i64_extend_i32_u);
    code.i64(BigInt(factor));
    code.op(OP.i64_mul);
  };
  for (const [register, factor] of [
    [source, bytes],
    [destination, bytes],
    [count, -1],
  ] as const) {
    registers.beginSet(register);
    registers.push(register);
    moved(factor);
    code.op(OP.i64_add);
    registers.endSet(register);
  }
  code.get(left);
  code.get(turns);
  code.op(OP.i32_sub);
  code.set(left);
  code.end();
  code.end();
  code.release(I32, turns);
}
