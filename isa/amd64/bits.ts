// Single bits: BT BTS BTR BTC BSF BSR. SDM vol. 2. At this baseline F3 0F BC and F3 0F BD are BSF and BSR, not TZCNT and LZCNT.

import type { Value } from '../dsl/effects.ts';
import { clause, family, type Row } from './clause.ts';
import type { Exec } from './exec.ts';
import { parity, setFlags } from './flags.ts';

/** The new value of the operand from the old one and a value that has just the chosen bit set; absent for BT. */
type Change = ((x: Exec, value: Value, mask: Value) => Value) | undefined;

/** Tests bit `n` (within the width) of `value`, and writes the change back. Of the flags only CF changes. */
const testBit = (x: Exec, value: Value, n: Value, change: Change, write: (v: Value) => void): void => {
  const { e } = x;
  const cf = x.bit(e.shr(value, n), 0);
  if (change !== undefined) write(change(x, value, e.shl(x.const(1), n)));
  setFlags(x, { cf });
};

const bitOperand =
  (change: Change) =>
  (x: Exec): void => {
    const { e } = x;
    const offset = x.read(1);
    const n = e.and(offset.type === x.type ? offset : e.extendU(offset), x.const(x.size - 1));
    const fromRegister = x.i.clause.operands[1]?.place === 'reg';
    if (!x.inMemory || !fromRegister) {
      testBit(x, x.read(0), n, change, (v) => x.write(0, v));
      return;
    }
    // A bit string in memory: the signed offset reaches beyond the operand, by units of its size.
    const signed = x.signed(offset);
    const wide = x.size === 64 ? signed : e.extendS(signed);
    const bytes = x.size >> 3;
    const unit = e.sar(wide, e.const('i64', Math.log2(x.size)));
    const distance = e.mul(unit, e.const('i64', bytes));
    const address = x.linear(x.truncateAddress(e.add(x.effectiveAddress(), distance)));
    testBit(x, x.load(x.size, address), n, change, (v) => x.store(x.size, address, v));
  };

const forms = (name: string, opcode: string, n: number, lock: string, change: Change): Row[] => [
  clause(`${name} r/mv, rv`, `0F ${opcode} /r${lock}`, bitOperand(change)),
  clause(`${name} r/mv, imm8`, `0F BA /${n} ib${lock}`, bitOperand(change)),
];

/** Of a source of 0 the destination stays as it is, all 64 bits of it, and ZF is set. The other flags are undefined;
 * Intel's processors clear them, but for PF, which is that of the result, or 1 without one. */
const scan =
  (reverse: boolean) =>
  (x: Exec): void => {
    const { e } = x;
    const source = x.read(1);
    const zero = x.isZero(source);
    const counted = reverse ? e.sub(x.const(x.size === 64 ? 63 : 31), e.unary('clz', source)) : e.unary('ctz', source);
    const old = x.getGpr(x.i.reg, 64);
    x.write(0, x.fit(counted));
    x.e.set(x.register(x.i.reg), e.select(zero, old, x.getGpr(x.i.reg, 64)));
    const clear = e.const('i32', 0);
    const pf = e.select(zero, e.const('i32', 1), parity(x, counted));
    setFlags(x, { zf: zero, cf: clear, of: clear, sf: clear, af: clear, pf });
  };

export const BITS = family('bits', () => [
  ...forms('BT', 'A3', 4, '', undefined),
  ...forms('BTS', 'AB', 5, ' LOCK', (x, v, mask) => x.e.or(v, mask)),
  ...forms('BTR', 'B3', 6, ' LOCK', (x, v, mask) => x.e.and(v, x.e.not(mask))),
  ...forms('BTC', 'BB', 7, ' LOCK', (x, v, mask) => x.e.xor(v, mask)),
  clause('BSF rv, r/mv', '0F BC /r', scan(false)),
  clause('BSR rv, r/mv', '0F BD /r', scan(true)),
]);
