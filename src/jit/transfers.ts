// How control goes from unit to unit: the convention that all of them and the driver keep, and calls, jumps and returns by it.
//
// Signature: (entry, remaining, depth) → (pc, remaining). `entry` numbers the place to begin at; `remaining` is the budget in
// instructions; `depth` counts down the calls that may still nest on the host's stack. A unit runs until control leaves it and returns
// the address where it goes on; or it writes the number of an exit to LEFT_FLAG and hands over to `left` (emit-left.ts), which goes on in its
// place, or returns an address that nobody waits for: the host is to take over.
//
// Calls nest: a guest call is a host call, and when the callee returns with another address than that after the call (another goroutine,
// a signal, an exhausted budget) the caller returns it on, up to the driver. So the host's stack predicts the guest's returns and is
// never needed to be right: all that it holds is where control is expected.

import type { Isa } from '../../isa/dsl/isa.ts';
import { JUMPS } from '../engine/layout.ts';
import type { FunctionType } from './assemble.ts';
import type { Block } from './blocks.ts';
import { emitJumpHash } from './emit-jumps.ts';
import { START_ENTRY } from './entries.ts';
import type { ExitKind } from './exits.ts';
import { I32, I64, OP, VOID } from './opcodes.ts';
import type { Code } from './wasm.ts';

/** Parameters of every unit, by index. */
export const ENTRY = 0;
export const LEFT_BUDGET = 1;
export const DEPTH = 2;

/** Index of the units' function type in their modules. */
export const UNIT_TYPE = 0;

export const unitType = (isa: Isa): FunctionType => ({
  parameters: [I32, I32, I32],
  results: [isa.variant.width === 64 ? I64 : I32, I32],
});

/** What a unit can call and jump to by name. */
export interface Links {
  /** A number, never 0, for leaving at `pc` after so many of a block's instructions; `told` where the observer knows of the one at `pc`. */
  exit(kind: ExitKind, pc: number, block: Block, executed: number, told: boolean): number;
  /** Address of the link cell of `pc`: table slot and entry number, the slot negative while nothing is compiled there. */
  cell(pc: number): number;
}

/** Emits transfers out of a unit whose registers are in the state block. Addresses are locals, or known. */
export class Transfers {
  readonly #code: Code;
  readonly #isa: Isa;
  readonly #links: Links;
  readonly #wide: boolean;
  readonly #byName: boolean;
  /** A local for an address to be returned. */
  readonly result: number;

  /** @param byName whether units of the same module are called without a look at the table, which takes more code */
  constructor(code: Code, isa: Isa, links: Links, byName: boolean) {
    this.#byName = byName;
    this.#code = code;
    this.#isa = isa;
    this.#links = links;
    this.#wide = isa.variant.width === 64;
    this.result = code.local(this.#wide ? I64 : I32);
  }

  /** Pushes an address. */
  push(pc: number): void {
    if (this.#wide) this.#code.i64(BigInt(pc));
    else this.#code.i32(pc | 0);
  }

  /** To whoever waits for the address in a local. */
  return(target: number): void {
    this.#code.get(target);
    this.#return();
  }

  /** To what is compiled at `pc`, in tail position, or else back with it. */
  jump(pc: number): void {
    this.jumpIfLinked(pc, () => undefined);
    this.push(pc);
    this.#return();
  }

  /** To what is compiled at `pc`, in tail position, if there is anything. @param store emits what is to be stored before */
  jumpIfLinked(pc: number, store: () => void): void {
    const code = this.#code;
    const cell = this.#links.cell(pc);
    this.#load(cell);
    code.i32(0);
    code.op(OP.i32_ge_s);
    code.if(VOID, true);
    store();
    this.#load(cell + 4);
    code.get(LEFT_BUDGET);
    code.get(DEPTH);
    this.#load(cell);
    code.returnCallIndirect(UNIT_TYPE);
    code.end();
  }

  /** Calls what is compiled at `pc`. @param resume emits what follows at `next`, where that is in this unit */
  call(pc: number, next: number, resume: (() => void) | undefined): void {
    const code = this.#code;
    const push = (): void => this.push(pc);
    this.#guardDepth(push);
    const cell = this.#links.cell(pc);
    if (this.#byName) {
      // Where the callee stands in the same module, and has not been compiled again. By the table V8 checks bounds and type first.
      this.#load(cell);
      code.slotOf(pc);
      code.op(OP.i32_eq);
      code.if(VOID, true);
      code.i32(START_ENTRY);
      code.get(LEFT_BUDGET);
      this.#pushDepth();
      code.callUnit(pc);
      this.#setReturned();
      code.else();
    }
    this.#load(cell);
    code.i32(0);
    code.op(OP.i32_lt_s);
    this.#returnIf(push);
    this.#load(cell + 4);
    code.get(LEFT_BUDGET);
    this.#pushDepth();
    this.#load(cell);
    code.callIndirect(UNIT_TYPE);
    this.#setReturned();
    if (this.#byName) code.end();
    this.#afterCall(next, resume);
  }

  /** As `jump`, to the address in a local. */
  jumpIndirect(target: number): void {
    const code = this.#code;
    const at = code.borrow(I32);
    this.#lookup(target, at);
    code.if(VOID, true);
    code.get(at);
    code.memory(OP.i32_load, JUMPS + 12);
    code.get(LEFT_BUDGET);
    code.get(DEPTH);
    code.get(at);
    code.memory(OP.i32_load, JUMPS + 8);
    code.returnCallIndirect(UNIT_TYPE);
    code.end();
    this.return(target);
    code.release(I32, at);
  }

  /** As `call`, of the address in a local. */
  callIndirect(target: number, next: number, resume: (() => void) | undefined): void {
    const code = this.#code;
    const push = (): void => code.get(target);
    this.#guardDepth(push);
    const at = code.borrow(I32);
    this.#lookup(target, at);
    code.op(OP.i32_eqz);
    this.#returnIf(push);
    code.get(at);
    code.memory(OP.i32_load, JUMPS + 12);
    code.get(LEFT_BUDGET);
    this.#pushDepth();
    code.get(at);
    code.memory(OP.i32_load, JUMPS + 8);
    code.callIndirect(UNIT_TYPE);
    code.release(I32, at);
    this.#setReturned();
    this.#afterCall(next, resume);
  }

  /** Returns the address that was pushed. */
  #return(): void {
    this.#code.get(LEFT_BUDGET);
    this.#code.op(OP.return);
  }

  /** Returns an address where the condition that was pushed holds. */
  #returnIf(push: () => void): void {
    const code = this.#code;
    code.if(VOID, false);
    push();
    this.#return();
    code.end();
  }

  #load(address: number): void {
    this.#code.i32(0);
    this.#code.memory(OP.i32_load, address);
  }

  /** Returns an address to the caller where no more calls may nest. */
  #guardDepth(push: () => void): void {
    this.#code.get(DEPTH);
    this.#code.op(OP.i32_eqz);
    this.#returnIf(push);
  }

  #pushDepth(): void {
    const code = this.#code;
    code.get(DEPTH);
    code.i32(1);
    code.op(OP.i32_sub);
  }

  /** Keeps what the callee has returned: an address, and what is left of the budget. */
  #setReturned(): void {
    this.#code.set(LEFT_BUDGET);
    this.#code.set(this.result);
  }

  /** The callee has returned. */
  #afterCall(next: number, resume: (() => void) | undefined): void {
    const code = this.#code;
    code.get(this.result);
    this.push(next);
    code.op(this.#wide ? OP.i64_ne : OP.i32_ne);
    this.#returnIf(() => code.get(this.result));
    if (resume === undefined) this.return(this.result);
    else resume();
  }

  /** Pushes whether the jump cache knows the address in `target`, leaving the entry's address in a local. */
  #lookup(target: number, at: number): void {
    const code = this.#code;
    emitJumpHash(code, this.#isa, target);
    code.tee(at);
    code.memory(this.#wide ? OP.i64_load : OP.i32_load, JUMPS);
    code.get(target);
    code.op(this.#wide ? OP.i64_eq : OP.i32_eq);
  }
}
