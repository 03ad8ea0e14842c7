// Accesses that share a look into the TLB, under both engines: near the end of a page, misaligned, to pages that cannot be written, that are
// missing, or that a snapshot shares, and with another register pointing into the same page.

import { describe, expect, test } from 'vitest';
import { GOARCHES, type Isa, isaFor } from '../../isa/index.ts';
import { PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { bareMachine } from '../support/bare-machine.ts';
import { Random } from '../support/random.ts';

const CODE = 0x10000;
/** Pages of data: two to be written, one to be read only, and none behind it. */
const DATA = 0x20000;
const PAGE = 0x1000;
const ACCESSES = 12;
const ROUNDS = 60;

type Kind = 'any' | 'load' | 'store';

/** Loads and stores by base register and displacement: two bases, and what is loaded goes to other registers. */
interface Target {
  readonly bases: readonly [string, string];
  access(random: Random, kind: Kind, base: 0 | 1, displacement: number): number[];
  /** A branch over the next so many bytes where a register that is loaded to is zero. */
  over(random: Random, bytes: number): number[];
  /** Back to the beginning of the code, which has so many bytes. */
  again(length: number): number[];
}

function choose<T>(kind: Kind, loads: readonly T[], stores: readonly T[]): readonly T[] {
  return kind === 'any' ? [...loads, ...stores] : kind === 'load' ? loads : stores;
}

const AMD64: Target = {
  bases: ['RBX', 'RDI'],
  access(random, kind, base, displacement) {
    const loads = [[0x48, 0x8b], [0x8b], [0x0f, 0xb6], [0x0f, 0xb7], [0xf3, 0x0f, 0x6f]];
    const stores = [[0x48, 0x89], [0x89], [0x66, 0x89], [0x88], [0xf3, 0x0f, 0x7f]];
    const opcode = random.pick(choose(kind, loads, stores));
    // RAX, RCX and RDX, of which a byte access knows the low bytes; RSI is an index of what is between the bases and 0.
    const register = random.below(3) << 3;
    const form =
      random.below(3) === 0 ? [0x84 | register, (6 << 3) | [3, 7][base]!] : [0x80 | register | [3, 7][base]!];
    return [...opcode, ...form, ...new Uint8Array(Int32Array.of(displacement).buffer)];
  },
  over(random, bytes) {
    const register = random.below(3);
    return [0x84, 0xc0 | (register << 3) | register, 0x74, bytes];
  },
  again: (length) => [0xe9, ...new Uint8Array(Int32Array.of(-length - 5).buffer)],
};

function mips(isa: Isa): Target {
  const word = (value: number): number[] => {
    const bytes = [...new Uint8Array(Int32Array.of(value).buffer)];
    return isa.variant.bigEndian ? bytes.reverse() : bytes;
  };
  const wide = isa.variant.width === 64;
  const loads = [0x20, 0x21, 0x23, 0x24, 0x25, ...(wide ? [0x37, 0x37] : [])];
  const stores = [0x28, 0x29, 0x2b, ...(wide ? [0x3f, 0x3f] : [])];
  return {
    bases: ['R8', 'R9'],
    access(random, kind, base, displacement) {
      const register = 10 + random.below(3);
      return word(
        (random.pick(choose(kind, loads, stores)) << 26) |
          ((8 + base) << 21) |
          (register << 16) |
          (displacement & 0xffff),
      );
    },
    over: (random, bytes) => [...word((4 << 26) | ((10 + random.below(3)) << 21) | (bytes / 4 + 1)), ...word(0)],
    again: () => [...word((2 << 26) | (CODE >>> 2)), ...word(0)],
  };
}

const PAGES = [
  { at: DATA, size: 2 * PAGE, protection: PROT_READ | PROT_WRITE },
  { at: DATA + 2 * PAGE, size: PAGE, protection: PROT_READ },
];

/** A place for a base: in the middle of a page, about its end or the end of all, mostly aligned. */
function place(random: Random): number {
  const page = DATA + random.below(3) * PAGE;
  const at = random.pick([page + 0x800, page + PAGE - 16, page + PAGE - 64, DATA + 3 * PAGE - 16]);
  return random.below(4) === 0 ? at + random.below(8) : at;
}

describe.each(GOARCHES)('%s', (goarch) => {
  const isa = isaFor(goarch);
  const target = goarch === 'amd64' ? AMD64 : mips(isa);

  test.each([
    ['one behind the other', 0],
    ['some of them only now and then', 3],
  ])('accesses off the same registers are executed the same, %s', (_how, everyBranch) => {
    const random = new Random(4711);
    let compiledInstructions = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const code: number[] = [];
      for (let i = 0; i < ACCESSES; i++) {
        const odd = round % 3 === 0 && random.below(12) === 0 ? random.below(8) : 0;
        const displacement = random.pick([0, 8, 16, 24, -8, 64, 400]) + odd;
        const base = random.below(4) === 0 ? 1 : 0;
        // In half of the programs one register is only loaded from, while the other one may point to the same.
        const kind = round % 2 === 0 ? 'any' : base === 0 ? 'load' : 'store';
        const access = target.access(random, kind, base, displacement);
        if (everyBranch > 0 && random.below(everyBranch) === 0) code.push(...target.over(random, access.length));
        code.push(...access);
      }
      code.push(...target.again(code.length));
      const { machine: evaluated } = bareMachine(isa, CODE, code, PAGES, undefined);
      const { machine: compiled, stats } = bareMachine(isa, CODE, code, PAGES, { policy: { prunings: 0, visits: 0 } });
      const both = [evaluated, compiled];
      const bytes = Uint8Array.from({ length: 3 * PAGE }, (_, i) => (i * 37) ^ (i >> 8));
      for (const m of both) m.memory.write(DATA, bytes, true);
      for (let start = 0; start < 6; start++) {
        // At first where nothing faults, so that the code is come back to and compiled.
        const first = start === 0 ? DATA + 0x800 : place(random);
        const second = start === 0 || random.below(2) === 0 ? first : place(random);
        for (const m of both) {
          const set = (name: string, value: number): void => m.state.setNumber(m.state.register(name), value);
          set(target.bases[0], first);
          set(target.bases[1], second);
          if (goarch === 'amd64') set('RSI', 0);
          m.state.jump(CODE);
          // Now and then all pages are shared with a snapshot, and the first store to each makes a copy.
          if (start % 2 === 1) m.memory.snapshot();
        }
        const stops = both.map((m) => m.run(3 * (2 * ACCESSES + 2)));
        const what = `round ${round}, start ${start}: ${first.toString(16)}, ${second.toString(16)}`;
        expect([what, stops[1], compiled.instructions]).toEqual([what, stops[0], evaluated.instructions]);
        for (const r of isa.registers.all) {
          if (r === isa.registers.control.pending) continue;
          const [should, is] = both.map((m) => m.state.get(r));
          expect([what, r.name, is]).toEqual([what, r.name, should]);
        }
        const [should, is] = both.map((m) => m.memory.read(DATA, 3 * PAGE));
        expect(Buffer.compare(is!, should!), `${what}: memory`).toBe(0);
      }
      compiledInstructions += stats().instructions;
    }
    expect(compiledInstructions).toBeGreaterThan((ROUNDS * ACCESSES) / 2);
  });
});
