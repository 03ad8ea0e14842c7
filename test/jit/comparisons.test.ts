// Branches on the results of comparisons: what is compared again is what was compared, unless something of it has changed since.

import { expect, test } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import { bareMachine, words } from '../support/bare-machine.ts';
import { differences } from '../support/lockstep.ts';

const CODE = 0x100000;
const [AT, V0, A0, A1] = [1, 2, 4, 5] as const;
const alu = (op: number, rd: number, rs: number, rt: number): number => (rs << 21) | (rt << 16) | (rd << 11) | op;
const slt = (rd: number, rs: number, rt: number): number => alu(0x2a, rd, rs, rt);
const sltu = (rd: number, rs: number, rt: number): number => alu(0x2b, rd, rs, rt);
const slti = (rt: number, rs: number, value: number): number => (0x0a << 26) | (rs << 21) | (rt << 16) | value;
const addiu = (rt: number, rs: number, value: number): number => (0x09 << 26) | (rs << 21) | (rt << 16) | value;
const movn = (rd: number, rs: number, rt: number): number => alu(0x0b, rd, rs, rt);
const bnez = (rs: number, ahead: number): number => (0x05 << 26) | (rs << 21) | ahead;
const beqz = (rs: number, ahead: number): number => (0x04 << 26) | (rs << 21) | ahead;
const NOP = 0;

const CASES: Readonly<Record<string, readonly number[]>> = {
  'slt, bnez': [slt(AT, A0, A1), bnez(AT, 2), NOP],
  'slt, beqz': [slt(AT, A0, A1), beqz(AT, 2), NOP],
  'sltu, bnez': [sltu(AT, A0, A1), bnez(AT, 2), NOP],
  'slti of a constant, beqz': [slti(AT, A0, 7), beqz(AT, 2), NOP],
  'an operand is set in between': [slt(AT, A0, A1), addiu(A0, A0, 5), bnez(AT, 2), NOP],
  'the result is set in between': [slt(AT, A0, A1), addiu(AT, AT, 0xffff), bnez(AT, 2), NOP],
  'the result is an operand': [slt(A0, A0, A1), bnez(A0, 2), NOP],
  'an operand is set in the slot': [slt(AT, A0, A1), bnez(AT, 2), addiu(A0, A0, 5)],
  'the result moves another register': [slt(AT, A0, A1), movn(A1, A0, AT), beqz(AT, 2), NOP],
};

test.each(['mipsle', 'mips64le'].flatMap((goarch) => Object.keys(CASES).map((name) => [goarch, name] as const)))(
  '%s: %s',
  (goarch, name) => {
    // Behind the case: v0 += 1 where the branch is not taken; then back to the first, until the budget is used up.
    const body = [...CASES[name]!, addiu(V0, V0, 1)];
    const bytes = words(...body, (0x04 << 26) | (0x10000 - body.length - 1), NOP);
    const isa = isaFor(goarch as 'mipsle');
    const compiled = bareMachine(isa, CODE, bytes, [], { policy: { visits: 0 } });
    const evaluated = bareMachine(isa, CODE, bytes, [], undefined);
    const numbers = [0n, 1n, 6n, 7n, 8n, -1n, -8n, 0x7fff_ffffn, -0x8000_0000n];
    for (const a of numbers) {
      for (const b of numbers) {
        for (const { machine } of [compiled, evaluated]) {
          const { state } = machine;
          state.set(state.register(`R${A0}`), a);
          state.set(state.register(`R${A1}`), b);
          machine.run(61);
        }
        expect(differences(isa, evaluated.machine, compiled.machine)).toEqual([]);
      }
    }
    expect(compiled.stats().enters).toBeGreaterThan(50);
  },
);
