// The evaluator: turns an op list into steps. Exact, one instruction at a time; the oracle of the compiler.

import type { OpList, Uop } from '../uop/ops.ts';
import type { FlagsPutOff } from './flags.ts';
import { BRANCHED, NEXT, NULLIFIED } from './layout.ts';
import { type ConstantPool, place, placeOf } from './place.ts';
import type { Host, Step } from './steps.ts';
import {
  floatCompareStep,
  floatStep,
  floatToIntStep,
  intToFloatStep,
  narrowStep,
  sqrtStep,
  widenStep,
} from './steps-float.ts';
import { binaryStep, compareStep, extendSStep, extendUStep, unaryStep, wideStep, wrapStep } from './steps-int.ts';
import { loadStep, storeStep } from './steps-memory.ts';
import { vectorStep } from './steps-vector.ts';
import { GuestTrap } from './trap.ts';

const NEXT_WORD = NEXT >>> 2;
const BRANCHED_WORD = BRANCHED >>> 2;
const NULLIFIED_WORD = NULLIFIED >>> 2;

/** Words that a value of the type takes. */
const wordsOf = (type: string): number => (type === 'i32' ? 1 : type === 'i64' ? 2 : 4);

function copyStep(i32: Int32Array, words: number, d: number, a: number): Step {
  if (words === 1) {
    return () => {
      i32[d] = i32[a]!;
    };
  }
  if (words === 2) {
    return () => {
      i32[d] = i32[a]!;
      i32[d + 1] = i32[a + 1]!;
    };
  }
  return () => i32.copyWithin(d, a, a + words);
}

/**
 * Steps that carry out an op list. A branch writes its target to NEXT and sets BRANCHED; the machine's loop does the rest.
 * Steps throw GuestFault and GuestTrap, having changed nothing.
 */
export function compileSteps(
  list: OpList,
  h: Host,
  pool: ConstantPool,
  flags: FlagsPutOff,
  pcPlace: number,
): readonly Step[] {
  const { places, elided } = place(list, pool);
  const { i32 } = h;
  const wide = h.variant.width === 64;
  const at = (temp: number): number => places[temp]!;
  const optional = (temp: number | undefined): number => (temp === undefined ? -1 : at(temp));

  const step = (uop: Uop): Step => {
    switch (uop.op) {
      case 'const': {
        const d = at(uop.dst);
        const low = Number(BigInt.asIntN(32, uop.value));
        const high = Number(BigInt.asIntN(32, uop.value >> 32n));
        return () => {
          i32[d] = low;
          i32[d + 1] = high;
        };
      }
      case 'const128': {
        const d = at(uop.dst);
        const words = [uop.lo, uop.lo >> 32n, uop.hi, uop.hi >> 32n].map((v) => Number(BigInt.asIntN(32, v)));
        return () => i32.set(words, d);
      }
      case 'pc': {
        const d = at(uop.dst);
        const offset = uop.offset;
        if (uop.type === 'i32') {
          return () => {
            i32[d] = i32[pcPlace]! + offset;
          };
        }
        const offsetHigh = Math.floor(offset / 2 ** 32);
        return () => {
          const low = i32[pcPlace]!;
          const sum = (low + offset) | 0;
          i32[d + 1] = i32[pcPlace + 1]! + offsetHigh + (sum >>> 0 < low >>> 0 ? 1 : 0);
          i32[d] = sum;
        };
      }
      case 'get':
        return copyStep(i32, wordsOf(uop.register.type), at(uop.dst), placeOf(uop.register));
      case 'set':
        return copyStep(i32, wordsOf(uop.register.type), placeOf(uop.register), at(uop.value));
      case 'flags':
        return flags.step(uop.recipe, uop.inputs.map(at));
      case 'cycles': {
        const d = at(uop.dst);
        return () => {
          h.u64[d >> 1] = BigInt(h.cycles());
        };
      }
      case 'binary':
        return binaryStep(h, uop.name, uop.type, at(uop.dst), at(uop.a), at(uop.b));
      case 'compare':
        return compareStep(h, uop.name, uop.type, at(uop.dst), at(uop.a), at(uop.b));
      case 'unary':
        return unaryStep(h, uop.name, uop.type, at(uop.dst), at(uop.a));
      case 'select': {
        const [d, when, a, b] = [at(uop.dst), at(uop.when), at(uop.a), at(uop.b)];
        const words = wordsOf(uop.type);
        const takeA = copyStep(i32, words, d, a);
        const takeB = copyStep(i32, words, d, b);
        return () => (i32[when] !== 0 ? takeA() : takeB());
      }
      case 'wrap':
        return wrapStep(h, at(uop.dst), at(uop.a));
      case 'extendS':
        return extendSStep(h, at(uop.dst), at(uop.a));
      case 'extendU':
        return extendUStep(h, at(uop.dst), at(uop.a));
      case 'divu128':
      case 'remu128':
        return wideStep(h, uop.op, at(uop.dst), at(uop.hi), at(uop.lo), at(uop.divisor));
      case 'load':
        return loadStep(h, uop, wide, at(uop.dst), at(uop.address), optional(uop.when));
      case 'store':
        return storeStep(h, uop, wide, at(uop.address), at(uop.value), optional(uop.when));
      case 'branch': {
        const target = at(uop.target);
        const when = optional(uop.when);
        return () => {
          i32[BRANCHED_WORD] = 1;
          if (when >= 0 && i32[when] === 0) return;
          i32[NEXT_WORD] = i32[target]!;
          i32[NEXT_WORD + 1] = wide ? i32[target + 1]! : 0;
        };
      }
      case 'nullify': {
        const when = at(uop.when);
        return () => {
          if (i32[when] !== 0) i32[NULLIFIED_WORD] = 1;
        };
      }
      case 'trap': {
        const when = optional(uop.when);
        // Made once: an Error captures its stack when it is made, which takes longer than the rest of a system call.
        const trap = new GuestTrap(uop.kind, uop.code);
        return () => {
          if (when < 0 || i32[when] !== 0) throw trap;
        };
      }
      case 'float':
        return floatStep(h, uop.name, uop.type, at(uop.dst), at(uop.a), at(uop.b));
      case 'fsqrt':
        return sqrtStep(h, uop.type, at(uop.dst), at(uop.a));
      case 'floatCompare':
        return floatCompareStep(h, uop.name, uop.type, at(uop.dst), at(uop.a), at(uop.b));
      case 'widen':
        return widenStep(h, at(uop.dst), at(uop.a));
      case 'narrow':
        return narrowStep(h, at(uop.dst), at(uop.a));
      case 'intToFloat':
        return intToFloatStep(h, uop.from, uop.to, at(uop.dst), at(uop.a));
      case 'floatToInt':
        return floatToIntStep(h, uop.from, uop.to, uop.rounding, uop.invalid, at(uop.dst), at(uop.a));
      case 'vector':
        return vectorStep(h, uop.name, at(uop.dst), uop.args.map(at), uop.imm);
    }
  };
  const steps: Step[] = flags.needsCurrent(list) ? [flags.settle] : [];
  for (let i = 0; i < list.ops.length; i++) if (!elided[i]!) steps.push(step(list.ops[i]!));
  return steps;
}
