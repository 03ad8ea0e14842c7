// What a unit is made of before it is emitted: where it can be entered, and the graph of its blocks, with ways in from outside.

import { type Block, endsInCall, type Flow, skipsSlot } from './blocks.ts';
import { type Analysis, analyse } from './shape.ts';

/** A unit before it is emitted. */
export interface Plan {
  readonly start: number;
  readonly blocks: readonly Block[];
  /** Addresses at which control may come in; the entry number of each is its index plus one. */
  readonly entries: readonly number[];
  readonly instructions: number;
  /** It stops at whichever instruction the budget ends, and asks before each. */
  readonly exact: boolean;
  readonly base: BaseGraph;
}

/** The blocks as nodes 1 … n under a root that leads to each place from outside. Irreducible edges are cut, their targets rooted. */
interface BaseGraph {
  readonly successors: number[][];
  readonly analysis: Analysis;
  readonly cut: readonly (readonly [from: number, to: number])[];
}

export interface Graphs {
  readonly successors: readonly (readonly number[])[];
  readonly labelled: ReadonlySet<number>;
  readonly analysis: Analysis;
  /** For each dispatching node: the node to branch to by entry number; 0 is the loop's own body. */
  readonly dispatch: ReadonlyMap<number, readonly number[]>;
  /** Nodes that load registers and go on at a block. */
  readonly stubs: ReadonlyMap<number, number>;
  /** The node to go to for each block: itself or the dispatching node before it. */
  readonly nodeOf: readonly number[];
  /** Edges that go through the root, by `from * n + to`: the entry number to set. */
  readonly through: ReadonlyMap<string, number>;
  /** Nodes that clear the entry number and go on at a block, for edges through the root. */
  readonly arrivals: ReadonlyMap<number, number>;
}

/** Where control comes in from outside. */
export const ROOT = 0;

/** Static successors of a block, by address. */
export function successorsOf(flow: Flow): readonly number[] {
  switch (flow.kind) {
    case 'fall':
      return [flow.next];
    case 'leave':
    case 'syscall':
      return [];
    case 'branch': {
      if (flow.transfer === 'call') return [flow.next];
      const targets: number[] = [];
      if (flow.target !== undefined) targets.push(flow.target);
      if (flow.conditional) targets.push(flow.next);
      return targets;
    }
  }
}

/** Decides where a unit can be entered: at its start, `also`, where control comes back, at loops, and so that each of `reach` is reached. */
export function plan(
  start: number,
  also: readonly number[],
  reach: readonly number[],
  blocks: readonly Block[],
  resumes: readonly number[],
  exact: boolean,
): Plan {
  const index = new Map(blocks.map((b, i) => [b.pc, i]));
  const entries = new Set<number>([start]);
  const add = (pc: number): void => {
    const i = index.get(pc);
    if (i === undefined) return;
    // A block left out returns its own address, to be looked up: it must not be found here. Nor is there anything to come in for where
    // nothing is executed, perhaps because nothing is mapped there.
    const { flow, count } = blocks[i]!;
    if (count > 0 && (flow.kind !== 'leave' || flow.why !== 'cold')) entries.add(pc);
  };
  for (const pc of also) add(pc);
  for (const pc of resumes) add(pc);
  for (const block of blocks) if (endsInCall(block)) add(block.flow.next);
  if (reach.length > 0) {
    const reached = new Set<number>();
    for (const pc of entries) mark(pc, blocks, index, reached);
    for (const pc of reach) {
      const i = index.get(pc);
      if (reached.has(pc) || i === undefined || blocks[i]!.count === 0) continue;
      entries.add(pc);
      mark(pc, blocks, index, reached);
    }
  }
  // That loops can be entered at their heads changes nothing in the graph: they are reached already.
  const base = baseGraph(blocks, index, [...entries]);
  for (const header of base.analysis.loops.keys()) if (header !== ROOT) entries.add(blocks[header - 1]!.pc);
  const instructions = blocks.reduce((sum, b) => sum + b.count, 0);
  return { start, blocks, entries: [...entries], instructions, exact, base };
}

/** Adds what can be reached from a block to `reached`, by address. */
function mark(from: number, blocks: readonly Block[], index: ReadonlyMap<number, number>, reached: Set<number>): void {
  const work = [from];
  for (let pc = work.pop(); pc !== undefined; pc = work.pop()) {
    const i = index.get(pc);
    if (i === undefined || reached.has(pc)) continue;
    reached.add(pc);
    work.push(...successorsOf(blocks[i]!.flow));
  }
}

function baseGraph(
  blocks: readonly Block[],
  index: ReadonlyMap<number, number>,
  outside: readonly number[],
): BaseGraph {
  const successors: number[][] = [[]];
  for (const block of blocks) {
    const nodes: number[] = [];
    for (const pc of successorsOf(block.flow)) {
      const i = index.get(pc);
      if (i !== undefined && !nodes.includes(i + 1)) nodes.push(i + 1);
    }
    successors.push(nodes);
  }
  // The loops are those of the function as it is; returns from calls come in besides. So only what nothing else reaches is rooted.
  const reached = new Set<number>();
  for (const pc of outside) {
    if (reached.has(pc)) continue;
    successors[ROOT]!.push(index.get(pc)! + 1);
    mark(pc, blocks, index, reached);
  }
  const cut: [number, number][] = [];
  for (;;) {
    const analysis = analyse(successors);
    if (analysis.irreducible.length === 0) return { successors, analysis, cut };
    for (const [from, to] of analysis.irreducible) {
      successors[from] = successors[from]!.filter((node) => node !== to);
      if (!successors[ROOT]!.includes(to)) successors[ROOT]!.push(to);
      cut.push([from, to]);
    }
  }
}

/** For each block the one behind which alone it is executed, or -1: where several lead to it, or control comes in from outside. */
export function parentsOf(p: Plan, index: ReadonlyMap<number, number>): Int32Array {
  const { successors, cut, analysis } = p.base;
  const parents = new Int32Array(p.blocks.length).fill(-1);
  const shared = new Set<number>([...successors[ROOT]!, ...cut.map(([, to]) => to)].map((node) => node - 1));
  for (const pc of p.entries) shared.add(index.get(pc)!);
  for (const [i, block] of p.blocks.entries()) {
    // What is never reached might be its own parent.
    if (analysis.order[i + 1]! < 0) shared.add(i);
    const last = block.items.at(-1);
    // Behind a slot that may be skipped there is no telling what was done, and behind a call anything was.
    const ends = endsInCall(block) || (last !== undefined && skipsSlot(last.instruction));
    for (const node of successors[i + 1]!) {
      const next = node - 1;
      if (parents[next] !== -1 || ends) shared.add(next);
      parents[next] = i;
    }
  }
  for (const i of shared) parents[i] = -1;
  return parents;
}

/** All blocks, each behind its parent. */
export function parentsFirst(parents: Int32Array): number[] {
  const order = new Set<number>();
  for (const i of parents.keys()) {
    const chain: number[] = [];
    for (let at = i; at >= 0 && !order.has(at); at = parents[at]!) chain.push(at);
    for (const at of chain.reverse()) order.add(at);
  }
  return [...order];
}

/** Whether a block is the head of a loop: who goes there asks for the budget, instead of the block itself. */
export const isHead = (p: Plan, i: number): boolean => p.base.analysis.loops.has(i + 1);

/** Instructions for which a budget is asked at once, beside a first block's own: the evaluator executes them where it does not suffice. */
export const MOST_AHEAD = 48;

/**
 * For each block the instructions for which the budget has to suffice when it begins: its own and those of blocks that are executed behind
 * it alone, or its first one if the unit asks before each. 0 where an earlier one has asked.
 */
export function budgetsOf({ blocks, exact }: Plan, parents: Int32Array): Int32Array {
  if (exact) return Int32Array.from(blocks, ({ count }) => Math.min(count, 1));
  const budgets = new Int32Array(blocks.length);
  /** Of each block: the one that asks for it, and the instructions from there to its end. */
  const asks = new Int32Array(blocks.length);
  const upTo = new Int32Array(blocks.length);
  for (const i of parentsFirst(parents)) {
    const { count } = blocks[i]!;
    const parent = parents[i]!;
    const together = parent < 0 ? Number.POSITIVE_INFINITY : upTo[parent]! + count;
    const own = together > MOST_AHEAD;
    asks[i] = own ? i : asks[parent]!;
    upTo[i] = own ? count : together;
    budgets[asks[i]!] = Math.max(budgets[asks[i]!]!, upTo[i]!);
  }
  return budgets;
}

/** The graph to emit: the blocks, with the ways in from outside and through loops to the middle of them. */
export function buildGraphs(p: Plan, index: ReadonlyMap<number, number>): Graphs {
  const { successors: base, analysis, cut } = p.base;
  const successors = base.map((nodes) => [...nodes]);
  const labelled = new Set<number>();
  const nodeOf = successors.map((_, node) => node);
  const dispatch = new Map<number, number[]>();
  const stubs = new Map<number, number>();
  const arrivals = new Map<number, number>();
  const through = new Map<string, number>();
  const add = (): number => successors.push([]) - 1;
  const dispatcher = new Map<number, number>();
  const dispatcherOf = (header: number): number => {
    let node = dispatcher.get(header);
    if (node === undefined) {
      node = add();
      dispatcher.set(header, node);
      dispatch.set(node, [header]);
      nodeOf[header] = node;
    }
    return node;
  };
  dispatch.set(ROOT, []);

  /** Makes entry number `number` lead from the root, down through the loops around the block, to `leaf`. */
  const route = (number: number, block: number, leaf: number): void => {
    const around = [...analysis.loops]
      .filter(([header, body]) => header !== ROOT && header !== block && body.has(block))
      .sort((a, b) => b[1].size - a[1].size)
      .map(([header]) => header);
    let at = ROOT;
    for (const header of around) {
      const next = dispatcherOf(header);
      dispatch.get(at)![number] = next;
      at = next;
    }
    dispatch.get(at)![number] = leaf;
  };
  for (const [i, pc] of p.entries.entries()) {
    const block = index.get(pc)! + 1;
    const stub = add();
    stubs.set(stub, block);
    route(i + 1, block, stub);
  }
  let number = p.entries.length;
  const arrivalNumber = new Map<number, number>();
  for (const [from, to] of cut) {
    let entry = arrivalNumber.get(to);
    if (entry === undefined) {
      entry = ++number;
      arrivalNumber.set(to, entry);
      const arrival = add();
      arrivals.set(arrival, to);
      route(entry, to, arrival);
    }
    through.set(`${from},${to}`, entry);
    successors[from]!.push(ROOT);
  }

  // Edges into a loop's header go to its dispatcher; dispatchers and the root lead to what their tables name.
  successors[ROOT] = [];
  for (const nodes of successors) for (const [i, node] of nodes.entries()) nodes[i] = nodeOf[node] ?? node;
  for (const [node, targets] of dispatch) {
    for (const target of targets) {
      if (target === undefined) continue;
      if (!successors[node]!.includes(target)) successors[node]!.push(target);
      labelled.add(target);
    }
  }
  for (const [node, block] of [...stubs, ...arrivals]) successors[node]!.push(nodeOf[block]!);
  return { successors, labelled, analysis: analyse(successors), dispatch, stubs, nodeOf, through, arrivals };
}
