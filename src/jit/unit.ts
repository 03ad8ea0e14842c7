// One guest function as one WebAssembly function: its blocks, their instructions and branches, and the exits to the evaluator.
//
// It may be entered at several places, and control leaves it by `Transfers`. Registers are where `Registers` has them: mostly in locals.
// At a fault or an exhausted budget what differs from the state block is stored (a stub for all such places that store the same), so
// that it is exact.
//
// A unit that is exact asks for budget before each instruction, instead of for blocks.
//
// Most code runs a few times. It is made short instead of fast: accesses go out of line as well, and what is of a function counts how often
// control comes by, and tells the host (`Visits`).

import type { Isa } from '../../isa/dsl/isa.ts';
import type { Instruction } from '../engine/decode.ts';
import { LEFT_FLAG, STATE, STRETCH_END, WINDOW } from '../engine/layout.ts';
import { type Block, type Item, isSwitched } from './blocks.ts';
import { DataFlow } from './dataflow.ts';
import { START_ENTRY } from './entries.ts';
import { EXIT, type ExitKind } from './exits.ts';
import { type Emitted, type Grouped, groupsOf, type Members } from './groups.ts';
import { HELPER } from './helpers.ts';
import { Lowering, type Surroundings } from './lower.ts';
import { emitRepeatedMove } from './moves.ts';
import { I32, I64, OP, VOID } from './opcodes.ts';
import { budgetsOf, buildGraphs, type Graphs, isHead, type Plan, parentsOf, ROOT } from './plan.ts';
import { Registers } from './registers.ts';
import { Residence } from './residence.ts';
import { Shape } from './shape.ts';
import { DEPTH, ENTRY, LEFT_BUDGET, type Links, Transfers } from './transfers.ts';
import { RegisterSet, type Usages } from './usage.ts';
import type { Visits } from './visits.ts';
import { type Body, Code, type Label } from './wasm.ts';
import type { Watch } from './watch.ts';

const NOTHING_DIRTY = new RegisterSet();

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
  readonly registers: Registers;
  readonly #transfers: Transfers;
  readonly #index: ReadonlyMap<number, number>;
  readonly #parents: Int32Array;
  readonly #lowering: Lowering;
  readonly #flow: DataFlow;
  readonly #residence: Residence;
  /** By block: its instructions, and what their accesses share, until it has been emitted. */
  #emitted: readonly (readonly Emitted[])[] = [];
  #grouped: (Grouped | undefined)[] = [];
  #budgets: Int32Array = new Int32Array(0);
  #leaveClean: Label = 0;
  /** Labels of the stubs, by number (`DataFlow.stubFor`). */
  readonly #stubs: Label[] = [];
  readonly #stubUsed: boolean[] = [];
  // Where emission stands
  #block: Block;
  #number = 0;
  #executed = 0;
  #itemPc = 0;
  #dirtyNow = new RegisterSet();
  /** Within a delay slot: pushes the address where control goes afterwards, as i64. */
  #pending: (() => void) | undefined;

  /**
   * @param fast whether it is to be fast instead of short
   * @param visits what it counts by, if it counts
   */
  constructor(
    isa: Isa,
    usages: Usages,
    p: Plan,
    links: Links,
    watch: Watch,
    { fast, visits }: { readonly fast: boolean; readonly visits: Visits | undefined },
  ) {
    this.#isa = isa;
    this.variant = isa.variant;
    this.#plan = p;
    this.#usages = usages;
    this.#links = links;
    this.#watch = watch;
    this.#visits = visits;
    this.fast = fast;
    this.registers = new Registers(this.code, usages, this.fast);
    this.#transfers = new Transfers(this.code, isa, links, this.fast);
    this.#block = p.blocks[0]!;
    this.#index = new Map(p.blocks.map((b, i) => [b.pc, i]));
    this.#lowering = new Lowering(this);
    this.#flow = new DataFlow(p, usages, (pc) => watch.stopsAt(pc).length > 0, this.registers.inState);
    this.#parents = parentsOf(p, this.#index);
    this.#residence = new Residence(p, this.#flow, this.#parents, this.#index, usages);
  }

  /** The body of the function. */
  emit(): Body {
    const graphs = buildGraphs(this.#plan, this.#index);
    if (graphs.analysis.irreducible.length > 0) throw new Error('a graph that stays irreducible');
    const { code } = this;
    const { blocks } = this.#plan;
    this.#emitted = blocks.map((block, i) => this.#list(block, this.#flow.needs(i)));
    this.#budgets = budgetsOf(this.#plan, this.#parents);
    if (this.fast) {
      this.#grouped = [...groupsOf(this.#emitted, this.#parents, this.variant.width, this.variant.bigEndian)];
    }
    this.#leaveClean = code.block();
    const { stubs } = this.#flow;
    for (let stub = 0; stub < stubs; stub++) this.#stubs[stub] = code.block();
    this.#visit();
    const shape = new Shape(code, graphs, graphs.analysis, (node, s) => this.#node(node, s, graphs));
    shape.emit();
    code.op(OP.unreachable);
    code.end();
    for (let stub = stubs - 1; stub >= 0; stub--) {
      if (this.#stubUsed[stub] === true) this.registers.store(this.#flow.stubSet(stub));
      if (stub > 0) {
        code.br(this.#leaveClean);
        code.end();
      }
    }
    code.end();
    code.i32(0);
    code.memory(OP.i32_load, LEFT_FLAG);
    code.if();
    code.get(LEFT_BUDGET);
    code.get(DEPTH);
    code.returnCall(HELPER.left);
    code.end();
    code.get(this.#transfers.result);
    code.get(LEFT_BUDGET);
    return code.body();
  }

  // Surroundings of the lowering

  leave(): void {
    this.#leaveAt(EXIT.evaluator, this.#itemPc, this.#executed, this.#watch.observes);
  }

  exit(): number {
    return this.#links.exit(EXIT.evaluator, this.#itemPc, this.#block, this.#executed, this.#watch.observes);
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
      } else if (table.length > 2) {
        // Mostly it is called: no jump by a table for that.
        code.get(ENTRY);
        code.i32(START_ENTRY);
        code.op(OP.i32_eq);
        code.brIf(shape.label(table[START_ENTRY]!));
      }
      code.get(ENTRY);
      const labels = Array.from({ length: table.length }, (_, i) => shape.label(table[i] ?? fallback));
      code.brTable(labels, shape.label(fallback));
      return;
    }
    const stub = graphs.stubs.get(node);
    if (stub !== undefined) {
      this.registers.load(this.#residence.expected(stub - 1));
      this.#beforeHead(stub - 1, NOTHING_DIRTY);
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
    this.#number = i;
    this.registers.beginBlock();
    this.registers.load(this.#residence.missing(i));
    if (this.#plan.base.analysis.loops.has(i + 1)) this.#visit();
    this.#dirtyNow = this.#flow.dirty[i]!.copy();
    this.#pending = undefined;
    const { code } = this;
    if (block.count > 0) {
      const ahead = this.#budgets[i]!;
      if (ahead > 0 && !isHead(this.#plan, i)) this.#askForBudget(i, this.#dirtyNow);
      code.get(LEFT_BUDGET);
      code.i32(block.count);
      code.op(OP.i32_sub);
      code.set(LEFT_BUDGET);
      if (this.#watch.counts) this.#count(block);
    }
    const emitted = this.#emitted[i]!;
    const { members } = this.#begin(i);
    let k = 0;
    let executed = 0;
    for (const item of block.items) {
      this.#executed = executed;
      this.#itemPc = item.pc;
      this.#beforeTurns(item);
      if (isSwitched(item)) this.#beforeSwitchPoint();
      this.#beforeInstruction(item.instruction);
      const branch = this.#lowering.instruction(emitted[k]!, members[k]);
      // An access was a call, across which nothing stays in a register of the host.
      if (emitted[k]!.list.accesses) this.registers.forget();
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
      const { at, why } = block.flow;
      if (why === 'cold') this.#returnTo(at);
      else {
        if (why === 'cut') this.#transfers.jumpIfLinked(at, () => this.registers.store(this.#dirtyNow));
        this.#leaveAt(EXIT.evaluator, at, executed, false);
      }
    } else if (block.flow.kind === 'syscall') this.#leaveAt(EXIT.syscall, block.flow.next, executed, false);
  }

  /** Leaves with the address of a block, nothing of which is executed, where the budget does not suffice for what it asks for. */
  #askForBudget(i: number, dirty: RegisterSet): void {
    const { code } = this;
    const block = this.#plan.blocks[i]!;
    code.get(LEFT_BUDGET);
    code.i32(this.#budgets[i]!);
    code.op(OP.i32_lt_s);
    code.if(VOID, false);
    this.#leaveBy(this.#links.exit(EXIT.budget, block.pc, block, block.count, false), dirty);
    code.end();
  }

  /**
   * On the way to a loop's head, asks for its budget. Asked there, all that is dirty would be wanted in it, where V8 has it from two
   * sides: what a turn has just computed would wait in memory for the next one.
   */
  #beforeHead(i: number, dirty: RegisterSet): void {
    if (isHead(this.#plan, i) && this.#budgets[i]! > 0) this.#askForBudget(i, dirty);
  }

  /** Begins a block; what is emitted for the second time looks its pages up for itself. */
  #begin(i: number): Pick<Grouped, 'members'> {
    const grouped = this.#grouped[i];
    this.#grouped[i] = undefined;
    this.#lowering.begin(grouped?.tree ?? i);
    return grouped ?? { members: [] };
  }

  /** A block's instructions, slots included. */
  #list(block: Block, needs: readonly Uint8Array[]): readonly Emitted[] {
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

  /** Does many turns of a repeated instruction at once, unless somebody wants to know of each. */
  #beforeTurns({ pc, instruction }: Item): void {
    const { repeats } = instruction.decoded;
    const watch = this.#watch;
    // It begins a block of its own: it branches to itself.
    if (repeats === undefined || this.#executed > 0) return;
    if (watch.observes || watch.counts || watch.stopsAt(pc).length > 0) return;
    emitRepeatedMove(this.code, repeats, this.registers, LEFT_BUDGET);
    this.registers.forget();
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
    this.#leaveAt(EXIT.switchPoint, this.#itemPc, this.#executed, false);
    code.end();
  }

  /** Stops here if the unit is exact and the budget has ended, or a breakpoint is on; and tells the observer. */
  #beforeInstruction(instruction: Instruction): void {
    const { code } = this;
    if (this.#plan.exact && this.#executed > 0) {
      // The block is counted already.
      code.get(LEFT_BUDGET);
      code.i32(1 - (this.#block.count - this.#executed));
      code.op(OP.i32_lt_s);
      code.if(VOID, false);
      this.#leaveAt(EXIT.budget, this.#itemPc, this.#executed, false);
      code.end();
    }
    for (const stop of this.#watch.stopsAt(this.#itemPc)) {
      code.i32(0);
      code.memory(OP.i32_load, stop);
      code.if(VOID, false);
      this.#leaveAt(EXIT.breakpoint, this.#itemPc, this.#executed, false);
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
    const transfers = this.#transfers;
    const wide = this.variant.width === 64;
    const word = wide ? I64 : I32;
    /** A slot that does nothing is nothing, unless the unit may stop before it. */
    const happens = slot !== undefined && (slot.list.ops.length > 0 || this.#plan.exact);
    let when: number | undefined;
    let target: number | undefined;
    const emitSlot = (): void => {
      if (slot === undefined) return;
      this.#executed++;
      this.#itemPc = item.pc + item.instruction.length;
      this.#pending = () => {
        const aim = (): void => {
          if (target !== undefined) code.get(target);
          else transfers.push(flow.target!);
        };
        if (when === undefined || branch.nullify !== undefined) aim();
        else {
          aim();
          transfers.push(flow.next);
          code.get(when);
          code.op(OP.select);
        }
        if (!wide) code.op(OP.i64_extend_i32_u);
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
    if (happens) {
      if (branch.when !== undefined) when = lowering.capture(branch.when);
      if (flow.target === undefined) target = lowering.capture(branch.target);
    } else if (flow.conditional && flow.target === undefined) {
      when = lowering.capture(branch.when!);
      target = lowering.capture(branch.target);
    }
    const arrive = (): void => {
      if (flow.target !== undefined) {
        if (flow.transfer !== 'call') this.#continue(flow.target, go);
        else {
          this.registers.store(this.#dirtyNow);
          transfers.call(flow.target, flow.next, this.#resume(flow.next, go));
        }
        return;
      }
      target ??= lowering.capture(branch.target);
      this.registers.store(this.#dirtyNow);
      if (flow.transfer === 'return') transfers.return(target);
      else if (flow.transfer === 'call') transfers.callIndirect(target, flow.next, this.#resume(flow.next, go));
      else transfers.jumpIndirect(target);
      code.release(word, target);
    };
    if (!flow.conditional) {
      emitSlot();
      arrive();
      return;
    }
    if (branch.nullify === undefined) {
      if (slot === undefined || happens) emitSlot();
      else this.#executed += 2;
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
    const [block, number, dirty, executed] = [this.#block, this.#number, this.#dirtyNow.copy(), this.#executed];
    this.code.if();
    emit();
    this.code.end();
    this.#block = block;
    this.#number = number;
    this.#dirtyNow = dirty;
    this.#executed = executed;
  }

  // Leaving

  /** Leaves with `pc`, of this block's instructions `executed` being done. */
  #leaveAt(kind: ExitKind, pc: number, executed: number, told: boolean): void {
    this.#storePending();
    this.#leaveBy(this.#links.exit(kind, pc, this.#block, executed, told), this.#dirtyNow);
  }

  #leaveBy(exit: number, dirty: RegisterSet): void {
    const { code } = this;
    code.i32(0);
    code.i32(exit);
    code.memory(OP.i32_store, LEFT_FLAG);
    code.br(this.#stubLabel(dirty));
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
  #stubLabel(dirty = this.#dirtyNow): Label {
    const stub = this.#flow.stubFor(dirty);
    if (stub < 0) return this.#leaveClean;
    const label = this.#stubs[stub];
    if (label === undefined) throw new Error('an exit that the data flow does not know');
    this.#stubUsed[stub] = true;
    return label;
  }

  /** Returns `pc` out of line: to whatever is there by now. */
  #returnTo(pc: number): void {
    this.#transfers.push(pc);
    this.code.set(this.#transfers.result);
    this.code.br(this.#stubLabel());
  }

  /** To a known address: a block of this unit, or another unit in tail position. */
  #continue(pc: number, go: (pc: number) => void): void {
    const i = this.#index.get(pc);
    if (i !== undefined) {
      this.registers.load(this.#residence.between(this.#number, i));
      this.#beforeHead(i, this.#dirtyNow);
      go(pc);
      return;
    }
    this.registers.store(this.#dirtyNow);
    this.#transfers.jump(pc);
  }

  /** What follows a call that returns to `next`, where that is in this unit. */
  #resume(next: number, go: (pc: number) => void): (() => void) | undefined {
    const i = this.#index.get(next);
    if (i === undefined) return undefined;
    return () => {
      this.registers.load(this.#residence.expected(i));
      this.#beforeHead(i, NOTHING_DIRTY);
      go(next);
    };
  }
}
