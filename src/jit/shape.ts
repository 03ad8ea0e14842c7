// From a graph of nodes to WebAssembly's nested blocks and loops, by the dominator tree.
// (N. Ramsey, "Beyond Relooper: recursive translation of unstructured control flow to structured control flow", ICFP 2022.)
//
// Departure from the paper: what a loop leaves to is placed after the loop and not within it, so that the loop that the host compiles
// holds nothing but the loop.

import type { Code, Label } from './wasm.ts';

/** A directed graph over nodes 0 … n-1, entered at 0. */
export interface Graph {
  readonly successors: readonly (readonly number[])[];
  /** Nodes that are reached by a table of labels, and so need a label wherever they stand. */
  readonly labelled: ReadonlySet<number>;
}

/** Orders and trees of a graph, as the shape and the entry logic need them. */
export interface Analysis {
  /** Reverse postorder number of each node; -1 where it cannot be reached. */
  readonly order: Int32Array;
  /** Nodes in reverse postorder. */
  readonly sequence: readonly number[];
  /** Immediate dominator; the root's is itself. */
  readonly dominator: Int32Array;
  readonly predecessors: readonly (readonly number[])[];
  /** Retreating edges whose target does not dominate their source: what makes a graph irreducible. */
  readonly irreducible: readonly (readonly [from: number, to: number])[];
  /** Natural loops by header, each with the nodes of its body, header included. */
  readonly loops: ReadonlyMap<number, ReadonlySet<number>>;
}

export function analyse(successors: readonly (readonly number[])[]): Analysis {
  const n = successors.length;
  const order = new Int32Array(n).fill(-1);
  const post: number[] = [];
  // Depth first with an explicit stack: functions can have thousands of blocks in a row.
  const seen = new Uint8Array(n);
  const stack: number[] = [0];
  const position: number[] = [0];
  seen[0] = 1;
  while (stack.length > 0) {
    const node = stack.at(-1)!;
    const at = position.at(-1)!;
    const next = successors[node]![at];
    if (next === undefined) {
      post.push(node);
      stack.pop();
      position.pop();
    } else {
      position[position.length - 1] = at + 1;
      if (seen[next] === 0) {
        seen[next] = 1;
        stack.push(next);
        position.push(0);
      }
    }
  }
  const sequence = post.reverse();
  for (const [i, node] of sequence.entries()) order[node] = i;
  const predecessors: number[][] = successors.map(() => []);
  for (const node of sequence) for (const next of successors[node]!) predecessors[next]!.push(node);

  // Cooper, Harvey, Kennedy, "A simple, fast dominance algorithm".
  const dominator = new Int32Array(n).fill(-1);
  dominator[0] = 0;
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of sequence) {
      if (node === 0) continue;
      let best = -1;
      for (const p of predecessors[node]!) {
        if (dominator[p] === -1) continue;
        if (best === -1) best = p;
        else {
          let a = p;
          while (a !== best) {
            while (order[a]! > order[best]!) a = dominator[a]!;
            while (order[best]! > order[a]!) best = dominator[best]!;
          }
        }
      }
      if (dominator[node] !== best) {
        dominator[node] = best;
        changed = true;
      }
    }
  }
  const dominates = (a: number, b: number): boolean => {
    let x = b;
    while (order[x]! > order[a]!) x = dominator[x]!;
    return x === a;
  };
  const irreducible: [number, number][] = [];
  const loops = new Map<number, Set<number>>();
  for (const node of sequence) {
    for (const next of successors[node]!) {
      if (order[next]! > order[node]!) continue;
      if (!dominates(next, node)) {
        irreducible.push([node, next]);
        continue;
      }
      let body = loops.get(next);
      if (body === undefined) {
        body = new Set([next]);
        loops.set(next, body);
      }
      const work = [node];
      for (let x = work.pop(); x !== undefined; x = work.pop()) {
        if (body.has(x)) continue;
        body.add(x);
        work.push(...predecessors[x]!);
      }
    }
  }
  return { order, sequence, dominator, predecessors, irreducible, loops };
}

/** What emits a node: its code, ending in branches made by `go`, or in something that never falls through. */
export type EmitNode = (node: number, shape: Shape) => void;

/** Emits a reducible graph. */
export class Shape {
  readonly #code: Code;
  readonly #analysis: Analysis;
  readonly #emit: EmitNode;
  readonly #labels = new Map<number, Label>();
  /** Nodes placed behind a block of their own, under the node that holds the block; inside or outside of that node's loop. */
  readonly #inside = new Map<number, number[]>();
  readonly #outside = new Map<number, number[]>();
  readonly #placed: Uint8Array;

  constructor(code: Code, graph: Graph, analysis: Analysis, emit: EmitNode) {
    this.#code = code;
    this.#analysis = analysis;
    this.#emit = emit;
    const { order, sequence, dominator, predecessors, loops } = analysis;
    this.#placed = new Uint8Array(graph.successors.length);
    const innermost = (node: number): number => {
      let best = -1;
      let size = Number.POSITIVE_INFINITY;
      for (const [header, body] of loops) {
        if (body.has(node) && body.size < size) {
          best = header;
          size = body.size;
        }
      }
      return best;
    };
    const loopOf = new Int32Array(graph.successors.length).fill(-1);
    if (loops.size > 0) for (const node of sequence) loopOf[node] = innermost(node);
    const parentLoop = new Map<number, number>();
    for (const [header, body] of loops) {
      let best = -1;
      let size = Number.POSITIVE_INFINITY;
      for (const [other, otherBody] of loops) {
        if (other !== header && otherBody.has(header) && otherBody.size < size && otherBody.size >= body.size) {
          best = other;
          size = otherBody.size;
        }
      }
      parentLoop.set(header, best);
    }
    for (const node of sequence) {
      if (node === 0) continue;
      const forward = predecessors[node]!.filter((p) => order[p]! < order[node]!);
      let parent = dominator[node]!;
      let loop = loopOf[parent]!;
      let outside = false;
      while (loop !== -1 && !loops.get(loop)!.has(node)) {
        parent = loop;
        outside = true;
        loop = parentLoop.get(loop)!;
      }
      if (!outside && forward.length < 2 && !graph.labelled.has(node)) continue;
      this.#placed[node] = 1;
      const places = outside ? this.#outside : this.#inside;
      const list = places.get(parent);
      if (list === undefined) places.set(parent, [node]);
      else list.push(node);
    }
  }

  /** The whole graph. */
  emit(): void {
    this.#tree(0);
  }

  /** Label of a node that has one from here: a loop around, or a block that ends before it. */
  label(node: number): Label {
    const label = this.#labels.get(node);
    if (label === undefined) throw new Error(`node ${node} has no label here`);
    return label;
  }

  /** Continues at a successor: a branch, or the successor's own code. */
  go(from: number, to: number): void {
    if (this.#analysis.order[to]! <= this.#analysis.order[from]! || this.#placed[to] === 1)
      this.#code.br(this.label(to));
    else this.#tree(to);
  }

  #tree(node: number): void {
    const code = this.#code;
    const isLoop = this.#analysis.loops.has(node);
    const blocks = (nodes: readonly number[] | undefined, inner: () => void): void => {
      // In reverse postorder, so that each stands behind all that branch to it: the last one's block is the outermost.
      const list = nodes ?? [];
      const open = (i: number): void => {
        if (i < 0) {
          inner();
          return;
        }
        const target = list[i]!;
        this.#labels.set(target, code.block());
        open(i - 1);
        code.end();
        this.#labels.delete(target);
        this.#tree(target);
      };
      open(list.length - 1);
    };
    const body = (): void => blocks(this.#inside.get(node), () => this.#emit(node, this));
    if (!isLoop) {
      body();
      return;
    }
    blocks(this.#outside.get(node), () => {
      const before = this.#labels.get(node);
      this.#labels.set(node, code.loop());
      body();
      code.end();
      if (before === undefined) this.#labels.delete(node);
      else this.#labels.set(node, before);
      // Every path through a loop's body branches.
      code.op(0);
    });
  }
}
