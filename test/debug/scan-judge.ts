// Watches a program's own garbage collector scan stacks, as a judge of the model's scan.
import { threadOf } from '../../src/debug/view.ts';
import type { Opened } from './sessions.ts';

/** One call of runtime.scanstack, stopped before its first frame. */
export interface WatchedScan {
  readonly gp: number;
  /** Lets it scan its frames. @returns the addresses that scanframeworker had it look at */
  words(): ReadonlySet<number>;
}

const NAMES = ['scanstack', 'scanframeworker', 'scanblock', 'scanConservative'] as const;

export class ScanJudge {
  readonly #opened: Opened;
  readonly #at: Readonly<Record<(typeof NAMES)[number], number>>;
  readonly #breakpoints = new Set<number>();

  constructor(opened: Opened) {
    this.#opened = opened;
    const { program } = opened.go;
    this.#at = Object.fromEntries(NAMES.map((name) => [name, program.addressOf(`runtime.${name}`)!])) as never;
    for (const pc of Object.values(this.#at)) this.#breakpoints.add(pc);
    opened.session.machine.breakpoints = this.#breakpoints;
  }

  /** The next scan of a stack that has frames; undefined when the program ends first. */
  next(): WatchedScan | undefined {
    const { session } = this.#opened;
    // Two threads may scan at once: each has its own goroutine.
    const scanning = new Map<number, { readonly gp: number; readonly end: number }>();
    for (;;) {
      if (session.advance(Number.POSITIVE_INFINITY) !== undefined) return undefined;
      const { pc } = session.machine.state;
      const { tid } = session;
      if (pc === this.#at.scanstack) {
        const end = this.#return();
        this.#breakpoints.add(end);
        scanning.set(tid, { gp: this.#argument(0), end });
      } else if (pc === this.#at.scanframeworker) {
        const scan = scanning.get(tid);
        if (scan !== undefined) return { gp: scan.gp, words: () => this.#collect(tid, scan.end) };
      } else {
        scanning.delete(tid);
      }
    }
  }

  #collect(tid: number, end: number): Set<number> {
    const { session, go } = this.#opened;
    const { memory, program } = go;
    const worker = program.tables.findfunc(this.#at.scanframeworker)!;
    const words = new Set<number>();
    while (session.advance(Number.POSITIVE_INFINITY) === undefined) {
      const { pc } = session.machine.state;
      if (session.tid !== tid) continue;
      if (pc === end) break;
      if (pc !== this.#at.scanblock && pc !== this.#at.scanConservative) continue;
      const from = this.#return();
      if (from < worker.entry || from >= worker.end) continue;
      const [b, n, mask] = [this.#argument(0), this.#argument(1), this.#argument(2)];
      const w = memory.pointerSize;
      for (let i = 0; i * w < n; i++) {
        if (mask === 0 || (memory.readU8(mask + (i >> 3)) >> (i & 7)) & 1) words.add(b + i * w);
      }
    }
    return words;
  }

  /** Argument `i` of the function at whose entry the program stands. */
  #argument(i: number): number {
    const { session, go } = this.#opened;
    const { state } = session.machine;
    if (session.arch.family === 'amd64') return state.getNumber(state.register(['RAX', 'RBX', 'RCX'][i]!));
    const { sp } = threadOf(session.machine, session.arch);
    return go.memory.readPointer(sp + session.arch.minFrameSize + i * session.arch.pointerSize);
  }

  #return(): number {
    const { session, go } = this.#opened;
    const { sp, lr } = threadOf(session.machine, session.arch);
    return session.arch.linkRegister ? lr : go.memory.readPointer(sp);
  }
}
