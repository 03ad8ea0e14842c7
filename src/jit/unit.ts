// One guest function as one WebAssembly function.
//
// Signature: (entry, remaining, depth) → (pc, remaining). `entry` numbers the place to begin at; `remaining` is the budget in
// instructions; `depth` counts down the calls that may still nest on the host's stack. The function runs until control leaves it and
// returns the address where it goes on, or, having written the number of the exit to LEFT_FLAG, anything: the evaluator is to take over.
//
// Calls nest: a guest call is a host call, and when the callee returns with another address than that after the call (another goroutine,
// a signal, an exhausted budget) the caller returns it on, up to the driver. So the host's stack predicts the guest's returns and is
// never needed to be right: all that it holds is where control is expected.
//
// Registers are locals. They are stored to the state block where control leaves, and loaded again after a call. At a fault or an
// exhausted budget what differs from the state block is stored (a stub for all such places that store the same), so that it is exact.
//
// Most code runs a few times. It is made short instead of fast (`Visits`): registers stay in the state block, but for flags that are put
// off, and are read once a block; accesses go out of line. Such a unit counts how often control comes by, and tells the host.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { Instruction } from '../engine/decode.ts';
import { JUMPS, LEFT_FLAG, STATE, STRETCH_END, WINDOW } from '../engine/layout.ts';
import { type Block, type Item, isSwitched } from './blocks.ts';
import { DataFlow } from './dataflow.ts';
import { type Emitted, groupsOf, type Members } from './groups.ts';
import { HELPER } from './helpers.ts';
import { emitJumpHash } from './jumps.ts';
import { Lowering, type Surroundings } from './lower.ts';
import { valueType } from './lower-access.ts';
import { buildGraphs, type Graphs, type Plan, ROOT } from './plan.ts';
import { Shape } from './shape.ts';
import { RegisterSet, type Usages } from './usage.ts';
import type { Visits } from './visits.ts';
import { type Body, Code, I32, I64, type Label, OP, SIMD, VOID } from './wasm.ts';
import type { Watch } from './watch.ts';

/** Parameters of every unit, by index. */
const ENTRY = 0;
const LEFT_BUDGET = 1;
const DEPTH = 2;

/** What a unit can call and jump to by name. */
export interface Links {
  /** A number, never 0, for leaving at `pc` after so many of a block's instructions; `told` where the observer knows of the one at `pc`. */
  exit(pc: number, block: Block, executed: number, told: boolean): number;
  /** Address of the link cell of `pc`: table slot and entry number, the slot negative while nothing is compiled there. */
  cell(pc: number): number;
}

/** Index of the unit's function type in its module. */
export const UNIT_TYPE = 0;

export class Unit implements Surroundings {
  readonly code = new Code(3);
  readonly variant;
  readonly #isa: Isa;
  readonly #plan: Plan;
  readonly #usages: Usages;
  readonly #links: Links;
  readonly #watch: Watch;
  readonly #visits: Visits | undefined;
  readonly fast: boolean;
  /** Registers that have no locals. */
  readonly #inState: RegisterSet;
  /** Those of them whose value is in a local nevertheless, in this block. */
  readonly #cached = new RegisterSet();
  /** Nesting of the block: what stands deeper may not be executed. */
  #blockDepth = 0;
  readonly #wide: boolean;
  readonly #index: ReadonlyMap<number, number>;
  readonly #registers: readonly Register[];
  readonly #locals: Int32Array;
  readonly #lowering: Lowering;
  readonly #result: number;
  readonly #flow: DataFlow;
  #leaveClean: Label = 0;
  /** Labels of the stubs, by number (`DataFlow.stubFor`). */
  readonly #stubs: Label[] = [];
  readonly #stubUsed: boolean[] = [];
  // Where emission stands
  #block: Block;
  #executed = 0;
  #itemPc = 0;
  #dirtyNow = new RegisterSet();
  /** Within a delay slot: pushes the address where control goes afterwards, as i64. */
  #pending: (() => void) | undefined;

  /** @param visits of a unit that is to be short */
  constructor(isa: Isa, usages: Usages, p: Plan, links: Links, watch: Watch, visits: Visits | undefined) {
    this.#isa = isa;
    this.variant = isa.variant;
    this.#wide = isa.variant.width === 64;
    this.#plan = p;
    this.#usages = usages;
    this.#links = links;
    this.#watch = watch;
    this.#visits = visits;
    this.fast = visits === undefined;
    this.#inState = visits === undefined ? new RegisterSet() : usages.plainSet;
    this.#block = p.blocks[0]!;
    this.#index = new Map(p.blocks.map((b, i) => [b.pc, i]));
    this.#registers = usages.registers;
    this.#locals = new Int32Array(this.#registers.length).fill(-1);
    this.#lowering = new Lowering(this);
    this.#result = this.code.local(this.#wide ? I64 : I32);
    this.#flow = new DataFlow(p, usages, (pc) => watch.stopsAt(pc).length > 0, this.#inState);
  }

  /** The body of the function. */
  emit(): Body {
    const graphs = buildGraphs(this.#plan, this.#index);
    if (graphs.analysis.irreducible.length > 0) throw new Error('a graph that stays irreducible');
    const { code } = this;
    this.#leaveClean = code.block();
    const { stubs } = this.#flow;
    for (let stub = 0; stub < stubs; stub++) this.#stubs[stub] = code.block();
    this.#visit();
    const shape = new Shape(code, graphs, graphs.analysis, (node, s) => this.#node(node, s, graphs));
    shape.emit();
    code.op(OP.unreachable);
    code.end();
    for (let stub = stubs - 1; stub >= 0; stub--) {
      if (this.#stubUsed[stub] === true) this.#store(this.#flow.stubSet(stub));
      if (stub > 0) {
        code.br(this.#leaveClean);
        code.end();
      }
    }
    code.end();
    // No caller may take what is left in the local for the address that it waits for.
    this.#word(-1);
    code.get(this.#result);
    code.i32(0);
    code.memory(OP.i32_load, LEFT_FLAG);
    code.op(OP.select);
    code.get(LEFT_BUDGET);
    return code.body();
  }

  // Surroundings of the lowering

  #local(register: Register): number {
    const index = this.#usages.indexOf.get(register)!;
    let local = this.#locals[index]!;
    if (local < 0) {
      local = this.code.local(valueType(register.type));
      this.#locals[index] = local;
    }
    return local;
  }

  pushRegister(register: Register): void {
    const { code } = this;
    const index = this.#usages.indexOf.get(register)!;
    if (!this.#inState.has(index) || this.#cached.has(index)) {
      code.get(this.#local(register));
      return;
    }
    code.i32(0);
    this.#loadFromState(register);
    if (code.depth !== this.#blockDepth) return;
    code.tee(this.#local(register));
    this.#cached.add(index);
  }

  beginSet(register: Register): void {
    if (this.#inState.has(this.#usages.indexOf.get(register)!)) this.code.i32(0);
  }

  endSet(register: Register): void {
    const { code } = this;
    const index = this.#usages.indexOf.get(register)!;
    if (!this.#inState.has(index)) {
      code.set(this.#local(register));
      return;
    }
    if (code.depth === this.#blockDepth) {
      code.tee(this.#local(register));
      this.#cached.add(index);
    } else this.#cached.delete(index);
    this.#storeToState(register);
  }

  leave(): void {
    this.#leaveAt(this.#itemPc, this.#executed, this.#watch.observes);
  }

  exit(): number {
    return this.#links.exit(this.#itemPc, this.#block, this.#executed, this.#watch.observes);
  }

  leaveIfLeft(): void {
    const { code } = this;
    if (this.#pending === undefined) {
      code.brIf(this.#stubLabel());
      return;
    }
    code.if(VOID, false);
    this.#storePending();
    code.br(this.#stubLabel());
    code.end();
  }

  cycles(): void {
    const { code } = this;
    code.i32(0);
    code.memory(OP.i64_load, STRETCH_END);
    code.get(LEFT_BUDGET);
    code.i32(this.#block.count - this.#executed);
    code.op(OP.i32_add);
    code.op(OP.i64_extend_i32_s);
    code.op(OP.i64_sub);
  }

  // Nodes

  #node(node: number, shape: Shape, graphs: Graphs): void {
    const { code } = this;
    const table = graphs.dispatch.get(node);
    if (table !== undefined) {
      const fallback = table.find((t) => t !== undefined)!;
      if (node !== ROOT) {
        code.get(ENTRY);
        code.op(OP.i32_eqz);
        code.brIf(shape.label(table[0]!));
      }
      code.get(ENTRY);
      const labels = Array.from({ length: table.length }, (_, i) => shape.label(table[i] ?? fallback));
      code.brTable(labels, shape.label(fallback));
      return;
    }
    const stub = graphs.stubs.get(node);
    if (stub !== undefined) {
      this.#load(this.#flow.live[stub - 1]!);
      code.i32(0);
      code.set(ENTRY);
      shape.go(node, graphs.nodeOf[stub]!);
      return;
    }
    const arrival = graphs.arrivals.get(node);
    if (arrival !== undefined) {
      code.i32(0);
      code.set(ENTRY);
      shape.go(node, graphs.nodeOf[arrival]!);
      return;
    }
    this.#emitBlock(node - 1, (pc) => {
      const to = this.#index.get(pc)! + 1;
      const number = graphs.through.get(`${node},${to}`);
      if (number === undefined) {
        shape.go(node, graphs.nodeOf[to]!);
        return;
      }
      code.i32(number);
      code.set(ENTRY);
      shape.go(node, ROOT);
    });
  }

  /** Counts, where the unit does that. */
  #visit(): void {
    if (this.#visits === undefined) return;
    const { at, every, unit } = this.#visits;
    const { code } = this;
    const count = code.borrow(I32);
    code.i32(0);
    code.i32(0);
    code.memory(OP.i32_load, at);
    code.i32(1);
    code.op(OP.i32_add);
    code.tee(count);
    code.memory(OP.i32_store, at);
    code.get(count);
    code.i32(every - 1);
    code.op(OP.i32_and);
    code.op(OP.i32_eqz);
    code.if(VOID, false);
    code.i32(unit);
    code.call(HELPER.visited);
    code.end();
    code.release(I32, count);
  }

  #emitBlock(i: number, go: (pc: number) => void): void {
    const block = this.#plan.blocks[i]!;
    this.#block = block;
    this.#cached.clear();
    this.#blockDepth = this.code.depth;
    if (this.#plan.base.analysis.loops.has(i + 1)) this.#visit();
    this.#dirtyNow = this.#flow.dirty[i]!.copy();
    this.#pending = undefined;
    const { code } = this;
    if (block.count > 0) {
      code.get(LEFT_BUDGET);
      code.i32(block.count);
      code.op(OP.i32_lt_s);
      code.if(VOID, false);
      this.#executed = block.count;
      this.#leaveAt(block.pc, block.count, false);
      code.end();
      code.get(LEFT_BUDGET);
      code.i32(block.count);
      code.op(OP.i32_sub);
      code.set(LEFT_BUDGET);
      if (this.#watch.counts) this.#count(block);
    }
    const emitted = this.#emitted(block, this.#flow.needs(i));
    const members = this.fast ? groupsOf(emitted, this.variant.width, this.variant.bigEndian) : [];
    this.#lowering.begin();
    let k = 0;
    let executed = 0;
    for (const item of block.items) {
      this.#executed = executed;
      this.#itemPc = item.pc;
      if (isSwitched(item)) this.#beforeSwitchPoint();
      this.#beforeInstruction(item.instruction);
      const branch = this.#lowering.instruction(emitted[k]!, members[k]);
      // An access was a call, across which nothing stays in a register of the host.
      if (emitted[k]!.list.accesses) this.#cached.clear();
      this.#flow.applyDirt(this.#dirtyNow, this.#usages.of(item.instruction));
      k++;
      executed++;
      if (branch === undefined) continue;
      if (item.slot !== undefined) executed++;
      const slot = item.slot === undefined ? undefined : { emitted: emitted[k]!, members: members[k] };
      this.#transfer(item, branch, slot, go);
      return;
    }
    this.#executed = executed;
    if (block.flow.kind === 'fall') this.#continue(block.flow.next, go);
    else if (block.flow.kind === 'leave') {
      if (block.flow.cold) this.#returnTo(block.flow.at);
      else this.#leaveAt(block.flow.at, executed, false);
    }
  }

  /** A block's instructions, slots included. */
  #emitted(block: Block, needs: readonly Uint8Array[]): readonly Emitted[] {
    const out: Emitted[] = [];
    const add = (instruction: Instruction, constants: Emitted['constants']): void => {
      const { list } = this.#usages.of(instruction);
      out.push({ list, needed: needs[out.length]!, constants });
    };
    for (const { pc, instruction, slot, constants } of block.items) {
      add(instruction, constants);
      if (slot !== undefined) add(slot, this.#usages.folds.at(slot.writtenOut, pc + instruction.length));
    }
    return out;
  }

  #count(block: Block): void {
    const { code } = this;
    const at = this.#watch.countOf(block);
    code.i32(0);
    code.i32(0);
    code.memory(OP.i32_load, at);
    code.i32(1);
    code.op(OP.i32_add);
    code.memory(OP.i32_store, at);
  }

  /** Stops here if the end of the budget is near enough. */
  #beforeSwitchPoint(): void {
    const { code } = this;
    // The branch itself, and its slot, are counted already.
    const ahead = this.#block.count - this.#executed;
    code.get(LEFT_BUDGET);
    code.i32(0);
    code.memory(OP.i32_load, WINDOW + 4 * (ahead - 1));
    code.op(OP.i32_le_s);
    code.if(VOID, false);
    this.#leaveAt(this.#itemPc, this.#executed, false);
    code.end();
  }

  /** Stops here if a breakpoint is on, and tells the observer. */
  #beforeInstruction(instruction: Instruction): void {
    const { code } = this;
    for (const stop of this.#watch.stopsAt(this.#itemPc)) {
      code.i32(0);
      code.memory(OP.i32_load, stop);
      code.if(VOID, false);
      this.#leaveAt(this.#itemPc, this.#executed, false);
      code.end();
    }
    if (this.#watch.observes) {
      code.i32(this.#watch.numberOf(this.#itemPc, instruction));
      code.call(HELPER.tell);
    }
  }

  /** The slot of a branch, then the transfer. */
  #transfer(
    item: Item,
    branch: NonNullable<ReturnType<Lowering['instruction']>>,
    slotEmitted: { readonly emitted: Emitted; readonly members: Members | undefined } | undefined,
    go: (pc: number) => void,
  ): void {
    const { code } = this;
    const lowering = this.#lowering;
    const flow = this.#block.flow;
    if (flow.kind !== 'branch') throw new Error('a branch in the middle of a block');
    const { slot } = item;
    const word = this.#wide ? I64 : I32;
    let when: number | undefined;
    let target: number | undefined;
    const emitSlot = (): void => {
      if (slot === undefined) return;
      this.#executed++;
      this.#itemPc = item.pc + item.instruction.length;
      this.#pending = () => {
        const aim = (): void => {
          if (target !== undefined) code.get(target);
          else this.#word(flow.target!);
        };
        if (when === undefined || branch.nullify !== undefined) aim();
        else {
          aim();
          this.#word(flow.next);
          code.get(when);
          code.op(OP.select);
        }
        if (!this.#wide) code.op(OP.i64_extend_i32_u);
      };
      this.#beforeInstruction(slot);
      lowering.instruction(slotEmitted!.emitted, slotEmitted!.members);
      this.#flow.applyDirt(this.#dirtyNow, this.#usages.of(slot));
      this.#pending = undefined;
      this.#executed++;
    };
    const pushWhen = (): void => {
      if (when !== undefined) code.get(when);
      else lowering.push(branch.when!);
    };
    if (slot !== undefined && slot.list.ops.length > 0) {
      if (branch.when !== undefined) when = lowering.capture(branch.when);
      if (flow.target === undefined) target = lowering.capture(branch.target);
    } else if (flow.conditional && flow.target === undefined) {
      when = lowering.capture(branch.when!);
      target = lowering.capture(branch.target);
    }
    const arrive = (): void => {
      if (flow.target !== undefined) {
        if (flow.transfer === 'call') this.#call(flow.target, flow.next, go);
        else this.#continue(flow.target, go);
        return;
      }
      if (target === undefined) {
        target = lowering.capture(branch.target);
      }
      if (flow.transfer === 'return') {
        this.#store(this.#dirtyNow);
        code.get(target);
        code.get(LEFT_BUDGET);
        code.op(OP.return);
      } else if (flow.transfer === 'call') this.#callIndirect(target, flow.next, go);
      else this.#jumpIndirect(target);
      code.release(word, target);
    };
    if (!flow.conditional) {
      emitSlot();
      arrive();
      return;
    }
    if (branch.nullify === undefined) {
      if (slot !== undefined && slot.list.ops.length === 0) this.#executed += 2;
      else emitSlot();
      pushWhen();
      this.#taken(arrive);
      if (when !== undefined) code.release(I32, when);
      this.#continue(flow.next, go);
      return;
    }
    // Branch-likely: the slot belongs to the taken path, and is not an instruction executed on the other.
    pushWhen();
    this.#taken(() => {
      emitSlot();
      arrive();
    });
    code.get(LEFT_BUDGET);
    code.i32(1);
    code.op(OP.i32_add);
    code.set(LEFT_BUDGET);
    this.#continue(flow.next, go);
  }

  /** Emits what is done where the condition that was pushed holds: other blocks, perhaps. Behind it all is as before. */
  #taken(emit: () => void): void {
    const [block, dirty, executed] = [this.#block, this.#dirtyNow.copy(), this.#executed];
    this.code.if();
    emit();
    this.code.end();
    this.#block = block;
    this.#dirtyNow = dirty;
    this.#executed = executed;
  }

  // Leaving and calling

  #word(value: number): void {
    if (this.#wide) this.code.i64(BigInt(value));
    else this.code.i32(value | 0);
  }

  #load(registers: RegisterSet): void {
    const { code } = this;
    const { flags, flagSet, conditionSet } = this.#usages;
    if (flags !== undefined && (registers.meets(flagSet) || registers.meets(conditionSet))) {
      code.call(HELPER.flags);
      const word = (register: Register): void => {
        code.i32(0);
        code.memory(OP.i32_load, STATE + register.offset);
      };
      const { carry, zero, sign, overflow } = flags.registers;
      const condition = (register: Register, push: () => void): void => {
        if (!registers.has(this.#usages.indexOf.get(register)!)) return;
        push();
        code.set(this.#local(register));
      };
      const less = (): void => {
        word(sign);
        word(overflow);
        code.op(OP.i32_xor);
      };
      condition(flags.less, less);
      condition(flags.lessEqual, () => {
        less();
        word(zero);
        code.op(OP.i32_or);
      });
      condition(flags.belowEqual, () => {
        word(carry);
        word(zero);
        code.op(OP.i32_or);
      });
    }
    for (const i of registers.indexes()) {
      if (conditionSet.has(i) || this.#inState.has(i)) continue;
      const register = this.#registers[i]!;
      code.i32(0);
      this.#loadFromState(register);
      code.set(this.#local(register));
    }
  }

  #loadFromState({ type, offset }: Register): void {
    if (type === 'v128') this.code.simdMemory(SIMD.v128_load, STATE + offset);
    else this.code.memory(type === 'i64' ? OP.i64_load : OP.i32_load, STATE + offset);
  }

  #storeToState({ type, offset }: Register): void {
    if (type === 'v128') this.code.simdMemory(SIMD.v128_store, STATE + offset);
    else this.code.memory(type === 'i64' ? OP.i64_store : OP.i32_store, STATE + offset);
  }

  #store(registers: RegisterSet): void {
    const { code } = this;
    for (const i of registers.indexes()) {
      const register = this.#registers[i]!;
      code.i32(0);
      code.get(this.#local(register));
      this.#storeToState(register);
    }
  }

  /** To the evaluator at `pc`, of this block's instructions `executed` being done. */
  #leaveAt(pc: number, executed: number, told: boolean): void {
    const { code } = this;
    this.#storePending();
    code.i32(0);
    code.i32(this.#links.exit(pc, this.#block, executed, told));
    code.memory(OP.i32_store, LEFT_FLAG);
    code.br(this.#stubLabel());
  }

  /** Within a delay slot, stores where its branch leads. */
  #storePending(): void {
    if (this.#pending === undefined) return;
    const { code } = this;
    const { control } = this.#isa.registers;
    code.i32(0);
    this.#pending();
    code.memory(OP.i64_store, STATE + control.pending.offset);
    code.i32(0);
    code.i32(1);
    code.memory(OP.i32_store, STATE + control.slot.offset);
  }

  /** Label of what stores what is dirty, out of line, and returns. */
  #stubLabel(): Label {
    const stub = this.#flow.stubFor(this.#dirtyNow);
    if (stub < 0) return this.#leaveClean;
    const label = this.#stubs[stub];
    if (label === undefined) throw new Error('an exit that the data flow does not know');
    this.#stubUsed[stub] = true;
    return label;
  }

  /** Returns `pc` out of line: to whatever is there by now. */
  #returnTo(pc: number): void {
    this.#word(pc);
    this.code.set(this.#result);
    this.code.br(this.#stubLabel());
  }

  /** To a known address: a block of this unit, or another unit in tail position. */
  #continue(pc: number, go: (pc: number) => void): void {
    if (this.#index.has(pc)) {
      go(pc);
      return;
    }
    const { code } = this;
    this.#store(this.#dirtyNow);
    const cell = this.#links.cell(pc);
    code.i32(0);
    code.memory(OP.i32_load, cell);
    code.i32(0);
    code.op(OP.i32_ge_s);
    code.if(VOID, true);
    code.i32(0);
    code.memory(OP.i32_load, cell + 4);
    code.get(LEFT_BUDGET);
    code.get(DEPTH);
    code.i32(0);
    code.memory(OP.i32_load, cell);
    code.returnCallIndirect(UNIT_TYPE);
    code.end();
    this.#word(pc);
    code.get(LEFT_BUDGET);
    code.op(OP.return);
  }

  /** Returns `pc` to the caller where no more calls may nest. */
  #guardDepth(pushPc: () => void): void {
    const { code } = this;
    code.get(DEPTH);
    code.op(OP.i32_eqz);
    code.if(VOID, false);
    pushPc();
    code.get(LEFT_BUDGET);
    code.op(OP.return);
    code.end();
  }

  #pushDepth(): void {
    const { code } = this;
    code.get(DEPTH);
    code.i32(1);
    code.op(OP.i32_sub);
  }

  #call(pc: number, next: number, go: (pc: number) => void): void {
    const { code } = this;
    this.#store(this.#dirtyNow);
    this.#guardDepth(() => this.#word(pc));
    const cell = this.#links.cell(pc);
    code.i32(0);
    code.memory(OP.i32_load, cell);
    code.i32(0);
    code.op(OP.i32_lt_s);
    code.if(VOID, false);
    this.#word(pc);
    code.get(LEFT_BUDGET);
    code.op(OP.return);
    code.end();
    code.i32(0);
    code.memory(OP.i32_load, cell + 4);
    code.get(LEFT_BUDGET);
    this.#pushDepth();
    code.i32(0);
    code.memory(OP.i32_load, cell);
    code.callIndirect(UNIT_TYPE);
    this.#afterCall(next, go);
  }

  /** The callee has returned with an address and what is left of the budget. */
  #afterCall(next: number, go: (pc: number) => void): void {
    const { code } = this;
    code.set(LEFT_BUDGET);
    code.tee(this.#result);
    this.#word(next);
    code.op(this.#wide ? OP.i64_ne : OP.i32_ne);
    code.if(VOID, false);
    code.get(this.#result);
    code.get(LEFT_BUDGET);
    code.op(OP.return);
    code.end();
    const i = this.#index.get(next);
    if (i === undefined) {
      code.get(this.#result);
      code.get(LEFT_BUDGET);
      code.op(OP.return);
      return;
    }
    this.#load(this.#flow.live[i]!);
    go(next);
  }

  /** Pushes whether the jump cache knows the address in `target`, leaving the entry's address in a local. */
  #lookup(target: number, at: number): void {
    const { code } = this;
    emitJumpHash(code, this.#isa, target);
    code.tee(at);
    code.memory(this.#wide ? OP.i64_load : OP.i32_load, JUMPS);
    code.get(target);
    code.op(this.#wide ? OP.i64_eq : OP.i32_eq);
  }

  #callIndirect(target: number, next: number, go: (pc: number) => void): void {
    const { code } = this;
    this.#store(this.#dirtyNow);
    this.#guardDepth(() => code.get(target));
    const at = code.borrow(I32);
    this.#lookup(target, at);
    code.op(OP.i32_eqz);
    code.if(VOID, false);
    code.get(target);
    code.get(LEFT_BUDGET);
    code.op(OP.return);
    code.end();
    code.get(at);
    code.memory(OP.i32_load, JUMPS + 12);
    code.get(LEFT_BUDGET);
    this.#pushDepth();
    code.get(at);
    code.memory(OP.i32_load, JUMPS + 8);
    code.callIndirect(UNIT_TYPE);
    code.release(I32, at);
    this.#afterCall(next, go);
  }

  #jumpIndirect(target: number): void {
    const { code } = this;
    this.#store(this.#dirtyNow);
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
    code.get(target);
    code.get(LEFT_BUDGET);
    code.op(OP.return);
    code.release(I32, at);
  }
}
