// Load-linked, store-conditional and SYNC.
//
// A store-conditional succeeds when LLbit is still set and the address is the linked one. Guest threads run on one host thread, so
// nothing can come between but an interrupt or a context switch, and there the kernel personality clears LLbit as ERET does.

import type { Value } from '../dsl/effects.ts';
import { lazy } from '../dsl/lazy.ts';
import { type Insn, insn } from './insn.ts';
import type { Machine } from './machine.ts';

function loadLinked(m: Machine, bytes: 4 | 8, rt: number, address: Value): void {
  const { e, regs } = m;
  const value = e.load(bytes, address, bytes === 8 ? 'i64' : 'i32', { align: 'natural' });
  e.set(regs.llBit, m.i32(1));
  e.set(regs.llAddr, address);
  m.set(rt, m.toWord(value));
}

function storeConditional(m: Machine, bytes: 4 | 8, rt: number, address: Value): void {
  const { e, regs } = m;
  const success = e.and(e.get(regs.llBit), e.eq(e.get(regs.llAddr), address));
  e.store(bytes, address, bytes === 8 ? m.gpr(rt) : m.low(rt), { align: 'natural', when: success });
  e.set(regs.llBit, m.i32(0));
  m.setBool(rt, success);
}

export const ATOMIC = lazy((): readonly Insn[] => [
  insn('ll rt,offset(base)', '110000 base rt offset', (m, { base, rt, offset }) =>
    loadLinked(m, 4, rt, m.address(base, offset)),
  ),
  insn(
    'lld rt,offset(base)',
    '110100 base rt offset',
    (m, { base, rt, offset }) => loadLinked(m, 8, rt, m.address(base, offset)),
    { width: 64 },
  ),
  insn('sc rt,offset(base)', '111000 base rt offset', (m, { base, rt, offset }) =>
    storeConditional(m, 4, rt, m.address(base, offset)),
  ),
  insn(
    'scd rt,offset(base)',
    '111100 base rt offset',
    (m, { base, rt, offset }) => storeConditional(m, 8, rt, m.address(base, offset)),
    { width: 64 },
  ),
  // Memory is sequentially consistent: one host thread.
  insn('sync stype', '000000 000000000000000 stype 001111', () => {}, { aliases: [['sync', { stype: 0 }]] }),
]);
