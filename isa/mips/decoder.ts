// The decoder: a tree over fixed bits, built from the patterns once per target.

/** A pattern's fixed bits (unsigned) and what stands behind them. */
export interface Candidate<T> {
  readonly mask: number;
  readonly value: number;
  readonly item: T;
}

interface Node<T> {
  /** Bits that all candidates below fix and no node above has looked at; 0 in a leaf. */
  readonly select: number;
  readonly children: ReadonlyMap<number, Node<T>>;
  readonly leaf: readonly Candidate<T>[];
}

function build<T>(candidates: readonly Candidate<T>[], seen: number): Node<T> {
  const common = candidates.reduce((bits, { mask }) => bits & mask, ~seen) | 0;
  if (common === 0 || candidates.length < 2) return { select: 0, children: new Map(), leaf: candidates };
  const groups = new Map<number, Candidate<T>[]>();
  for (const candidate of candidates) {
    const key = candidate.value & common;
    const group = groups.get(key);
    if (group) group.push(candidate);
    else groups.set(key, [candidate]);
  }
  const children = new Map([...groups].map(([key, group]) => [key, build(group, seen | common)] as const));
  return { select: common, children, leaf: [] };
}

/** Finds the candidate whose fixed bits a word has. Candidates must not overlap (test/isa/mips holds the tables to that). */
export class DecisionTree<T> {
  readonly #root: Node<T>;

  constructor(candidates: readonly Candidate<T>[]) {
    this.#root = build(candidates, 0);
  }

  find(word: number): T | undefined {
    let node: Node<T> | undefined = this.#root;
    while (node.select !== 0) {
      node = node.children.get(word & node.select);
      if (node === undefined) return undefined;
    }
    for (const { mask, value, item } of node.leaf) if ((word & mask) === (value | 0)) return item;
    return undefined;
  }
}
