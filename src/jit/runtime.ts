// What compiled code calls back: accesses that miss the TLB, NaN rules, wide division. All rare; all in terms of the engine's own rules.

import type { Variant } from '../../isa/dsl/variant.ts';
import { convertNan, propagateNan } from '../engine/float.ts';
import { PAGE_SIZE, SCRATCH } from '../engine/layout.ts';
import { GuestFault, type Memory } from '../engine/memory.ts';
import type { HostHelper } from './helpers.ts';
import { unpackAccess } from './packed-access.ts';

/** Counts of what went out of line. */
export interface MissCounts {
  loads: number;
  stores: number;
}

/**
 * The functions to import. `load` leaves its value in SCRATCH, `store` takes it from there; both give 1 where the evaluator has to
 * execute the instruction: it faults, or it changes code. `settle` computes flags that were put off (`flags` those that compiled code does
 * not), `tell` tells the observer, `visited` the policy of a unit that is short. `more` says for how many instructions to go on from PC in the
 * state block, where the budget has ended: 0 for none; `passes` whether to go on at another exit, which only `Inside` does.
 */
export function helpers(
  variant: Variant,
  memory: Memory,
  counts: MissCounts,
  settle: () => void,
  tell: (number: number) => void,
  visited: (unit: number) => void,
  more: (place: number) => number,
): Readonly<Record<HostHelper, unknown>> {
  const { u8, i32 } = memory;
  const rule = variant.nan;
  const scratchWord = SCRATCH >>> 2;
  /** Copies a few bytes, in guest order on a little-endian target. */
  const copy = (to: number, from: number, bytes: number): void => {
    for (let i = 0; i < bytes; i++) u8[to + i] = u8[from + i]!;
  };
  const load = (low: number, high: number, packed: number): number => {
    const { bytes, align } = unpackAccess(packed);
    const address = (high >>> 0) * 2 ** 32 + (low >>> 0);
    counts.loads++;
    if (align !== 'any' && address % bytes !== 0) return 1;
    try {
      const host = memory.translate(address, 'read');
      if (!memory.bigEndian) {
        const inPage = Math.min(PAGE_SIZE - (address % PAGE_SIZE), bytes);
        const rest = inPage < bytes ? memory.translate(address + inPage, 'read') : 0;
        copy(SCRATCH, host, inPage);
        copy(SCRATCH + inPage, rest, bytes - inPage);
        return 0;
      }
      if ((host & 7) + bytes <= 8) {
        i32[scratchWord] = 0;
        i32[scratchWord + 1] = 0;
        for (let i = 0; i < bytes; i++) u8[SCRATCH + bytes - 1 - i] = u8[(host + i) ^ 7]!;
        return 0;
      }
      memory.translate(address + bytes - 1, 'read');
      for (let i = 0; i < bytes; i++) u8[SCRATCH + bytes - 1 - i] = memory.readU8(address + i);
      return 0;
    } catch (error) {
      if (error instanceof GuestFault) return 1;
      throw error;
    }
  };
  const store = (low: number, high: number, packed: number): number => {
    const { bytes, align } = unpackAccess(packed);
    const address = (high >>> 0) * 2 ** 32 + (low >>> 0);
    counts.stores++;
    if (align !== 'any' && address % bytes !== 0) return 1;
    if (memory.holdsCode(address) || memory.holdsCode(address + bytes - 1)) return 1;
    try {
      const host = memory.translate(address, 'write');
      if (!memory.bigEndian) {
        const inPage = Math.min(PAGE_SIZE - (address % PAGE_SIZE), bytes);
        const rest = inPage < bytes ? memory.translate(address + inPage, 'write') : 0;
        copy(host, SCRATCH, inPage);
        copy(rest, SCRATCH + inPage, bytes - inPage);
        return 0;
      }
      if (bytes > 1) memory.translate(address + bytes - 1, 'write');
      for (let i = 0; i < bytes; i++) memory.writeU8(address + i, u8[SCRATCH + bytes - 1 - i]!);
      return 0;
    } catch (error) {
      if (error instanceof GuestFault) return 1;
      throw error;
    }
  };
  const wide =
    (quotient: boolean) =>
    (hi: bigint, lo: bigint, divisor: bigint): bigint => {
      const by = BigInt.asUintN(64, divisor);
      if (by === 0n) return 0n;
      const dividend = (BigInt.asUintN(64, hi) << 64n) | BigInt.asUintN(64, lo);
      return BigInt.asIntN(64, quotient ? dividend / by : dividend % by);
    };
  return {
    load,
    store,
    nan32: (a: number, b: number) =>
      Number(BigInt.asIntN(32, propagateNan(rule, 32, [BigInt(a >>> 0), BigInt(b >>> 0)]))),
    nan64: (a: bigint, b: bigint) => propagateNan(rule, 64, [BigInt.asUintN(64, a), BigInt.asUintN(64, b)]),
    widenNan: (a: number) => convertNan(rule, 32, BigInt(a >>> 0)),
    narrowNan: (a: bigint) => Number(BigInt.asIntN(32, convertNan(rule, 64, BigInt.asUintN(64, a)))),
    divu128: wide(true),
    remu128: wide(false),
    flags: settle,
    settle,
    tell,
    visited,
    more,
    passes: () => 0,
  };
}
