// Basic blocks of a function, from the decode cache: found by following control flow from its entry.

import type { BranchKind } from '../../isa/dsl/effects.ts';
import type { DecodeCache, Instruction } from '../engine/decode.ts';
import { GuestFault } from '../engine/memory.ts';
import { isSwitchPoint } from '../engine/switch-points.ts';
import type { Folds } from '../uop/fold.ts';

/** An instruction in a block; on a target with delay slots, a branch together with its slot. */
export interface Item {
  readonly pc: number;
  readonly instruction: Instruction;
  readonly slot: Instruction | undefined;
  /** Constants among the temporaries at this address. */
  readonly constants: readonly (bigint | undefined)[];
}

/** Whether threads change before it. */
export const isSwitched = ({ pc, instruction, constants }: Item): boolean =>
  isSwitchPoint(instruction.writtenOut, constants, pc);

/** Why a block leads out of the unit: what follows was never executed, the unit takes no more, or it is the evaluator's to execute. */
export type Leaving = 'cold' | 'cut' | 'evaluator';

/** How a block ends. */
export type Flow =
  /** Goes on at `next`, which begins another block. */
  | { readonly kind: 'fall'; readonly next: number }
  /** Goes on at `at`, which is not in the unit. */
  | { readonly kind: 'leave'; readonly at: number; readonly why: Leaving }
  /** The last item is a system call, behind which control goes on at `next`. */
  | { readonly kind: 'syscall'; readonly next: number }
  /** The last item branches. `target` is undefined where only the guest knows it, `next` where it never falls through. */
  | {
      readonly kind: 'branch';
      readonly transfer: BranchKind;
      readonly target: number | undefined;
      readonly conditional: boolean;
      /** Address of the instruction after it: where it falls through to, or where a call returns to. */
      readonly next: number;
    };

export interface Block {
  readonly pc: number;
  readonly items: readonly Item[];
  readonly flow: Flow;
  /** Instructions, delay slots included. */
  readonly count: number;
}

export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** Blocks are cut here, so that a budget that ends among them leaves the evaluator little to do. */
const MAX_BLOCK = 240;

type Found = { readonly item: Item; readonly flow: Flow; readonly next: number };

/** Whether an instruction traps for certain. */
const trapsAlways = (i: Instruction): boolean =>
  i.list.traps && i.list.ops.some((o) => o.op === 'trap' && o.when === undefined);

const isSyscall = (i: Instruction): boolean => i.list.ops.some((o) => o.op === 'trap' && o.kind === 'syscall');

function decodeAt(code: DecodeCache, pc: number): Instruction | undefined {
  try {
    return code.at(pc);
  } catch (error) {
    if (error instanceof GuestFault) return undefined;
    throw error;
  }
}

/** How blocks are to be made. */
export interface BlockRules {
  readonly delaySlot: boolean;
  /** Calls are the evaluator's, which stops in their slots. */
  readonly leaveCalls: boolean;
  /** Every instruction of a block is executed whenever its last one is: branches that may skip their slots are the evaluator's. */
  readonly whole: boolean;
  /** Where the unit ends, besides the end of its extent: control goes on in another. */
  readonly ends: (pc: number) => boolean;
  /** Instructions after which the unit takes no more: what lies further is left to the evaluator. */
  readonly most: number;
}

/** Whether a branch may skip its slot (branch-likely). */
export const skipsSlot = (i: Instruction): boolean => i.list.ops.some((o) => o.op === 'nullify');

/** Whether control is behind a block only once a call has returned. Conditional calls are jumps as far as blocks are concerned. */
export const endsInCall = (block: Block): block is Block & { readonly flow: Extract<Flow, { kind: 'branch' }> } =>
  block.flow.kind === 'branch' && block.flow.transfer === 'call';

/** One instruction with its slot, and where control goes after it; undefined where the evaluator has to take over. */
function look(code: DecodeCache, folds: Folds, pc: number, rules: BlockRules): Found | undefined {
  const instruction = decodeAt(code, pc);
  if (instruction === undefined || (trapsAlways(instruction) && !isSyscall(instruction))) return undefined;
  if (rules.leaveCalls && instruction.call) return undefined;
  if (rules.whole && skipsSlot(instruction)) return undefined;
  const constants = folds.at(instruction.writtenOut, pc);
  const after = pc + instruction.length;
  const branch = instruction.list.branches ? instruction.list.ops.find((o) => o.op === 'branch') : undefined;
  if (branch === undefined || branch.op !== 'branch') {
    return {
      item: { pc, instruction, slot: undefined, constants },
      flow: { kind: isSyscall(instruction) ? 'syscall' : 'fall', next: after },
      next: after,
    };
  }
  let slot: Instruction | undefined;
  let next = after;
  if (rules.delaySlot) {
    slot = decodeAt(code, after);
    if (slot === undefined || slot.list.branches || trapsAlways(slot)) return undefined;
    next = after + slot.length;
  }
  // An address that a number cannot hold is no user's: it is left to fault as a jump to wherever.
  const folded = constants[branch.target];
  const target = folded !== undefined && folded <= Number.MAX_SAFE_INTEGER ? folded : undefined;
  return {
    item: { pc, instruction, slot, constants },
    flow: {
      kind: 'branch',
      transfer: branch.kind,
      target: target === undefined ? undefined : Number(target),
      conditional: branch.when !== undefined,
      next,
    },
    next,
  };
}

export interface Blocks {
  readonly blocks: readonly Block[];
  /** Addresses after system calls and calls that are left, where control comes back, and where long blocks were cut, so that it can. */
  readonly resumes: readonly number[];
  /** Whether there was room for all of them. */
  readonly complete: boolean;
}

/**
 * The blocks that can be reached from `starts` without leaving the extent, in order of address.
 * Calls are taken to return. Where a branch leads to a place that is `cold`, and nothing falls into it, the block is empty and leaves.
 */
export function findBlocks(
  code: DecodeCache,
  folds: Folds,
  starts: readonly number[],
  extent: Extent,
  rules: BlockRules,
  cold: (pc: number) => boolean,
): Blocks {
  const resumes: number[] = [];
  const found = new Map<number, Found | undefined>();
  const leaders = new Set<number>();
  const work: number[] = [];
  const inside = (pc: number): boolean =>
    pc >= extent.start && pc < extent.end && (!rules.ends(pc) || starts.includes(pc));
  const lead = (pc: number): void => {
    if (!inside(pc)) return;
    if (!leaders.has(pc)) {
      leaders.add(pc);
      work.push(pc);
    }
  };
  const avoided = new Set<number>();
  /** Where there was no room for more. */
  const cut = new Set<number>();
  const follow = (pc: number): void => {
    if (leaders.has(pc) || !inside(pc)) return;
    if (cold(pc)) avoided.add(pc);
    else lead(pc);
  };
  for (const start of starts) lead(start);
  for (let from = work.pop(); from !== undefined; from = work.pop()) {
    let pc = from;
    while (inside(pc) && !found.has(pc)) {
      const room = found.size < rules.most;
      const here = room ? look(code, folds, pc, rules) : undefined;
      found.set(pc, here);
      if (!room) cut.add(pc);
      if (here === undefined) {
        const left = room ? decodeAt(code, pc) : undefined;
        if (left?.call === true) {
          const next = pc + left.length + 4;
          resumes.push(next);
          lead(next);
        }
        break;
      }
      if (here.flow.kind === 'syscall') {
        resumes.push(here.flow.next);
        lead(here.flow.next);
        break;
      }
      if (here.flow.kind === 'branch') {
        if (here.flow.target !== undefined && here.flow.transfer !== 'call') follow(here.flow.target);
        if (here.flow.conditional || here.flow.transfer === 'call') follow(here.flow.next);
        break;
      }
      pc = here.next;
    }
  }

  for (const pc of avoided) if (found.has(pc)) leaders.add(pc);

  // Cut what is too long, then make the blocks.
  for (const leader of [...leaders]) {
    let pc = leader;
    let count = 0;
    for (let here = found.get(pc); here !== undefined && here.flow.kind === 'fall'; here = found.get(pc)) {
      pc = here.next;
      if (leaders.has(pc)) break;
      if (++count >= MAX_BLOCK) {
        leaders.add(pc);
        resumes.push(pc);
        count = 0;
      }
    }
  }
  const ends = (pc: number): boolean => leaders.has(pc) || rules.ends(pc);
  const blocks = [...leaders].map((pc) => makeBlock(pc, found, cut, ends));
  for (const pc of avoided)
    if (!leaders.has(pc)) blocks.push({ pc, items: [], flow: { kind: 'leave', at: pc, why: 'cold' }, count: 0 });
  return { blocks: blocks.sort((a, b) => a.pc - b.pc), resumes, complete: found.size < rules.most };
}

/** The same, each instruction a block of its own. */
export function split(block: Block): Block[] {
  const { items, flow } = block;
  if (items.length < 2) return [block];
  return items.map((item, i) => {
    const next = items[i + 1];
    return {
      pc: item.pc,
      items: [item],
      flow: next === undefined ? flow : { kind: 'fall', next: next.pc },
      count: item.slot === undefined ? 1 : 2,
    };
  });
}

/** @param ends whether another block begins at an address, here or elsewhere */
function makeBlock(
  start: number,
  found: ReadonlyMap<number, Found | undefined>,
  cut: ReadonlySet<number>,
  ends: (pc: number) => boolean,
): Block {
  const items: Item[] = [];
  let count = 0;
  let pc = start;
  for (;;) {
    if (pc !== start && ends(pc)) return { pc: start, items, flow: { kind: 'fall', next: pc }, count };
    const here = found.get(pc);
    if (here === undefined) {
      const why = cut.has(pc) ? 'cut' : 'evaluator';
      return { pc: start, items, flow: { kind: 'leave', at: pc, why }, count };
    }
    items.push(here.item);
    count += here.item.slot === undefined ? 1 : 2;
    if (here.flow.kind !== 'fall') return { pc: start, items, flow: here.flow, count };
    pc = here.next;
  }
}
