// Random programs of real encodings, under both engines: the same registers, flags, memory and count wherever they stop.

import { describe, expect, test } from 'vitest';
import { GOARCHES, type Isa, isaFor } from '../../isa/index.ts';
import { PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';
import { bareMachine } from '../support/bare-machine.ts';
import { Random } from '../support/random.ts';

const CODE = 0x100000;
const DATA = 0x200000;
const DATA_SIZE = 0x4000;
const LENGTH = 48;
const PAGES = [{ at: DATA, size: DATA_SIZE, protection: PROT_READ | PROT_WRITE }];

/** Bytes of one instruction that decodes, by luck. */
function instruction(isa: Isa, random: Random): Uint8Array {
  for (;;) {
    const bytes = new Uint8Array(16);
    for (let i = 0; i < 16; i++) bytes[i] = random.u32();
    if (isa.maxLength > 4) {
      // Opcodes of one and two bytes, with and without the common prefixes, each about as often.
      const prefixes = random.pick([
        [],
        [],
        [0x48],
        [0x48],
        [0x66],
        [0xf3],
        [0xf2],
        [0x41],
        [0x66, 0x0f],
        [0xf3, 0x0f],
        [0x0f],
        [0x0f],
      ]);
      bytes.set(prefixes);
      // Short displacements and registers rather than far memory.
      if (random.below(3) !== 0) bytes[prefixes.length + 1]! |= 0xc0;
    } else if (random.below(3) !== 0) {
      // SPECIAL, REGIMM and the immediate opcodes more often than the rest.
      const word = isa.variant.bigEndian ? 0 : 3;
      bytes[word] =
        (random.pick([0, 0, 0, 1, 0x1f, 0x11, 0x1c, 9, 0xd, 0xe, 0xf, 0x23, 0x2b, 4, 5]) << 2) | (bytes[word]! & 3);
    }
    const decoded = isa.decode(bytes, 0);
    if (decoded === undefined || decoded === 'short') continue;
    return bytes.slice(0, decoded.length);
  }
}

function program(isa: Isa, random: Random): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let i = 0; i < LENGTH; i++) parts.push(instruction(isa, random));
  return Uint8Array.from(parts.flatMap((p) => [...p]));
}

describe.each(GOARCHES)('random %s programs', (goarch) => {
  const isa = isaFor(goarch);
  test.each([1, 2, 7, 9])(
    'seed %i: both engines agree',
    (seed) => {
      const random = new Random(seed * 7919);
      let compiledInstructions = 0;
      for (let round = 0; round < 35; round++) {
        const code = program(isa, random);
        const { machine: evaluated } = bareMachine(isa, CODE, code, PAGES, undefined);
        // Whole programs at once, and as far as they have been executed; fast, short, and short at first; with bridges and without.
        const visits = [0, 2048, 2][round % 3]!;
        const threshold = round % 4 === 0 ? 1 << 20 : 1;
        const bridges = { bridgeThreshold: threshold, exactThreshold: threshold, bridgeBatch: 1 };
        const policy = { settles: 1, prunings: round % 2, visits, visitedBatch: 1, ...bridges };
        const { machine: compiled, stats } = bareMachine(isa, CODE, code, PAGES, { policy });
        const both = [evaluated, compiled];
        const { control, all } = isa.registers;
        for (let start = 0; start < 12; start++) {
          const flags = isa.registers.flags?.all ?? [];
          for (const r of all) {
            if (r === control.pc || r === control.pending || r === control.slot || r.name === 'R0') continue;
            let value = r.type === 'v128' ? random.value() | (random.value() << 64n) : random.value();
            if (random.below(2) === 0 && r.type !== 'v128') value = BigInt(DATA + 64 + random.below(DATA_SIZE - 128));
            if (flags.includes(r) || r.name === 'DF' || r.name === 'LLbit') value &= 1n;
            for (const m of both) m.state.set(r, value);
          }
          for (const m of both) m.state.jump(CODE);
          for (let step = 0; step < 15; step++) {
            const budget = random.pick([1, 2, 7, 40, 300]);
            const window = random.below(4) === 0 ? random.pick([1, 5, 60, budget]) : 0;
            const stops = both.map((m) => m.run(budget, window));
            const wrong: string[] = [];
            if (stops[0] !== stops[1]) wrong.push(`${stops[1]}, not ${stops[0]}`);
            if (evaluated.instructions !== compiled.instructions)
              wrong.push(`${compiled.instructions} instructions, not ${evaluated.instructions}`);
            const inSlot = evaluated.state.inSlot;
            for (const r of all) {
              if (r === control.pending && !inSlot) continue;
              const [should, is] = both.map((m) => m.state.get(r));
              if (is !== should) wrong.push(`${r.name} ${is!.toString(16)}, not ${should!.toString(16)}`);
            }
            const [a, b] = both.map((m) => m.memory.read(DATA, DATA_SIZE));
            if (Buffer.compare(a!, b!) !== 0) wrong.push('memory');
            if (wrong.length > 0) {
              const bytes = [...code].map((x) => x.toString(16).padStart(2, '0')).join(' ');
              expect.fail(
                `round ${round}, start ${start}, step ${step}, at ${evaluated.state.pc.toString(16)}: ${wrong.join('; ')}\n${bytes}`,
              );
            }
            if (stops[0] === 'fault' || stops[0] === 'trap') {
              // Past it, so that more is executed.
              const pc = evaluated.state.pc;
              let length = isa.quantum;
              try {
                length = evaluated.code.at(pc)?.length ?? isa.quantum;
              } catch {
                break;
              }
              if (pc < CODE || pc >= CODE + code.length) break;
              for (const m of both) m.state.jump(pc + length);
            }
          }
        }
        compiledInstructions += stats().instructions;
      }
      expect(compiledInstructions).toBeGreaterThan(50);
    },
    120_000,
  );
});
