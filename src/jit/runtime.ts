// What compiled code calls back: accesses that miss the TLB, NaN rules, wide division. All rare; all in terms of the engine's own rules.

import type { Variant } from '../../isa/dsl/variant.ts';
import { convertNan, propagateNan } from '../engine/float.ts';
import { PAGE_SIZE, RARE, SCRATCH } from '../engine/layout.ts';
import { GuestFault, type Memory } from '../engine/memory.ts';
import { HELPER } from './helpers.ts';
import { unpackAccess } from './packed-access.ts';

/** Counts of what went out of line. */
export interface MissCounts {
  loads: number;
  stores: number;
}

/**
 * What the support imports. `load` leaves its value in SCRATCH, `store` takes it from there; both give 1 where the evaluator has to execute the
 * instruction: it faults, or it changes code. `tell` tells the observer. `rare` is all the other helpers, by their numbers, with operands
 * and result at RARE: for each type of function V8 compiles another way out of WebAssembly, which takes longer than most runs need them.
 */
export interface HostFunctions {
  readonly load: (low: number, high: number, packed: number) => number;
  readonly store: (low: number, high: number, packed: number) => number;
  readonly tell: (number: number) => void;
  readonly rare: (helper: number) => void;
}

/**
 * @param settle computes flags that were put off
 * @param visited tells the policy of a unit that is short
 */
export function hostFunctions(
  variant: Variant,
  memory: Memory,
  counts: MissCounts,
  settle: () => void,
  tell: (number: number) => void,
  visited: (unit: number) => void,
): HostFunctions {
  const { u8, i32, i64 } = memory;
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
  const rareWord = RARE >>> 2;
  const rareLong = RARE >>> 3;
  const wide = (): { readonly dividend: bigint; readonly divisor: bigint } => {
    const [high, low, divisor] = [i64[rareLong]!, i64[rareLong + 1]!, i64[rareLong + 2]!];
    return {
      dividend: (BigInt.asUintN(64, high) << 64n) | BigInt.asUintN(64, low),
      divisor: BigInt.asUintN(64, divisor),
    };
  };
  const rare = (helper: number): void => {
    switch (helper) {
      case HELPER.nan32: {
        const operands = [BigInt(i32[rareWord]! >>> 0), BigInt(i32[rareWord + 2]! >>> 0)] as const;
        i32[rareWord] = Number(BigInt.asIntN(32, propagateNan(rule, 32, operands)));
        return;
      }
      case HELPER.nan64: {
        const operands = [BigInt.asUintN(64, i64[rareLong]!), BigInt.asUintN(64, i64[rareLong + 1]!)] as const;
        i64[rareLong] = propagateNan(rule, 64, operands);
        return;
      }
      case HELPER.widenNan:
        i64[rareLong] = convertNan(rule, 32, BigInt(i32[rareWord]! >>> 0));
        return;
      case HELPER.narrowNan:
        i32[rareWord] = Number(BigInt.asIntN(32, convertNan(rule, 64, BigInt.asUintN(64, i64[rareLong]!))));
        return;
      case HELPER.divu128: {
        const { dividend, divisor } = wide();
        i64[rareLong] = divisor === 0n ? 0n : dividend / divisor;
        return;
      }
      case HELPER.remu128: {
        const { dividend, divisor } = wide();
        i64[rareLong] = divisor === 0n ? 0n : dividend % divisor;
        return;
      }
      case HELPER.flags:
      case HELPER.settle:
        settle();
        return;
      case HELPER.visited:
        visited(i32[rareWord]!);
        return;
      default:
        throw new RangeError(`no helper ${helper}`);
    }
  };
  return { load, store, tell, rare };
}
