// 128-bit operations of the evaluator, lane by lane.

import type { VectorName } from '../../isa/dsl/vector.ts';
import type { Host, Step } from './steps.ts';

type Build = (h: Host, d: number, args: readonly number[], imm: readonly number[]) => Step;

const clamp = (v: number, low: number, high: number): number => Math.min(Math.max(v, low), high);

/** A lane-wise operation on two vectors, over the view that gives the lanes their signedness. */
const lanes =
  (view: 'i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32', f: (a: number, b: number) => number): Build =>
  (h, d, args) => {
    const array = h[view];
    const size = array.BYTES_PER_ELEMENT;
    const count = 16 / size;
    const at = (place: number): number => (place * 4) / size;
    const [to, a, b] = [at(d), at(args[0]!), at(args[1]!)];
    // Each lane depends on the same lane of the operands, so the result may stand where an operand does.
    return () => {
      for (let i = 0; i < count; i++) array[to + i] = f(array[a + i]!, array[b + i]!);
    };
  };

const lanes64 =
  (f: (a: bigint, b: bigint) => bigint): Build =>
  ({ u64 }, d, args) => {
    const [to, a, b] = [d >> 1, args[0]! >> 1, args[1]! >> 1];
    return () => {
      for (let i = 0; i < 2; i++) u64[to + i] = f(u64[a + i]!, u64[b + i]!);
    };
  };

const shift =
  (view: 'u16' | 'i16' | 'u32' | 'i32', width: number, f: (a: number, n: number) => number, saturate: boolean): Build =>
  (h, d, args) => {
    const array = h[view];
    const size = array.BYTES_PER_ELEMENT;
    const [to, a, n] = [(d * 4) / size, (args[0]! * 4) / size, args[1]!];
    return () => {
      const count = h.u32[n]!;
      for (let i = 0; i < 16 / size; i++) {
        array[to + i] = count < width ? f(array[a + i]!, count) : saturate ? f(array[a + i]!, width - 1) : 0;
      }
    };
  };

const shift64 =
  (f: (a: bigint, n: bigint) => bigint): Build =>
  ({ u64, u32 }, d, args) => {
    const [to, a, n] = [d >> 1, args[0]! >> 1, args[1]!];
    return () => {
      const count = u32[n]!;
      for (let i = 0; i < 2; i++) u64[to + i] = count < 64 ? f(u64[a + i]!, BigInt(count)) : 0n;
    };
  };

/** A result that is not lane-wise: made in the scratch vector, then copied. */
const mixed =
  (make: (h: Host, a: number, b: number, imm: readonly number[], out: DataView) => void): Build =>
  (h, d, args, imm) => {
    const out = new DataView(h.scratch);
    const [a, b] = [args[0]!, args[1] ?? args[0]!];
    return () => {
      make(h, a, b, imm, out);
      for (let w = 0; w < 4; w++) h.i32[d + w] = out.getInt32(4 * w, true);
    };
  };

const bitmask =
  (size: 1 | 4 | 8): Build =>
  ({ u8, i32 }, d, args) => {
    const a = args[0]! * 4;
    return () => {
      let bits = 0;
      for (let i = 0; i < 16 / size; i++) bits |= (u8[a + i * size + size - 1]! >>> 7) << i;
      i32[d] = bits;
    };
  };

const replace =
  (size: 2 | 4 | 8): Build =>
  ({ u8, scratch }, d, args, imm) => {
    const out = new Uint8Array(scratch);
    const [to, a, v, lane] = [d * 4, args[0]! * 4, args[1]! * 4, imm[0]!];
    return () => {
      for (let i = 0; i < 16; i++) out[i] = u8[a + i]!;
      for (let i = 0; i < size; i++) out[lane * size + i] = u8[v + i]!;
      u8.set(out, to);
    };
  };

const narrow = (from: 'i16' | 'i32', low: number, high: number): Build =>
  mixed((h, a, b, _imm, out) => {
    const array = h[from];
    const size = array.BYTES_PER_ELEMENT;
    const count = 16 / size;
    for (const [half, place] of [a, b].entries()) {
      for (let i = 0; i < count; i++) {
        const value = clamp(array[(place * 4) / size + i]!, low, high);
        if (from === 'i16') out.setInt8(half * count + i, value);
        else out.setInt16(2 * (half * count + i), value, true);
      }
    }
  });

const STEPS: Readonly<Record<VectorName, Build>> = {
  'v128.and': lanes('i32', (a, b) => a & b),
  'v128.or': lanes('i32', (a, b) => a | b),
  'v128.xor': lanes('i32', (a, b) => a ^ b),
  'v128.andnot': lanes('i32', (a, b) => a & ~b),

  'i8x16.add': lanes('u8', (a, b) => a + b),
  'i16x8.add': lanes('u16', (a, b) => a + b),
  'i32x4.add': lanes('i32', (a, b) => (a + b) | 0),
  'i64x2.add': lanes64((a, b) => a + b),
  'i8x16.sub': lanes('u8', (a, b) => a - b),
  'i16x8.sub': lanes('u16', (a, b) => a - b),
  'i32x4.sub': lanes('i32', (a, b) => (a - b) | 0),
  'i64x2.sub': lanes64((a, b) => a - b),
  'i8x16.add_sat_s': lanes('i8', (a, b) => clamp(a + b, -128, 127)),
  'i8x16.add_sat_u': lanes('u8', (a, b) => clamp(a + b, 0, 255)),
  'i16x8.add_sat_s': lanes('i16', (a, b) => clamp(a + b, -32768, 32767)),
  'i16x8.add_sat_u': lanes('u16', (a, b) => clamp(a + b, 0, 65535)),
  'i8x16.sub_sat_s': lanes('i8', (a, b) => clamp(a - b, -128, 127)),
  'i8x16.sub_sat_u': lanes('u8', (a, b) => clamp(a - b, 0, 255)),
  'i16x8.sub_sat_s': lanes('i16', (a, b) => clamp(a - b, -32768, 32767)),
  'i16x8.sub_sat_u': lanes('u16', (a, b) => clamp(a - b, 0, 65535)),
  'i8x16.avgr_u': lanes('u8', (a, b) => (a + b + 1) >> 1),
  'i16x8.avgr_u': lanes('u16', (a, b) => (a + b + 1) >> 1),
  'i8x16.min_u': lanes('u8', Math.min),
  'i8x16.max_u': lanes('u8', Math.max),
  'i16x8.min_s': lanes('i16', Math.min),
  'i16x8.max_s': lanes('i16', Math.max),
  'i16x8.mul': lanes('i16', Math.imul),
  'i16x8.mulhi_s': lanes('i16', (a, b) => (a * b) >> 16),
  'i16x8.mulhi_u': lanes('u16', (a, b) => Math.floor((a * b) / 65536)),
  'i64x2.mul_even_u': lanes64((a, b) => (a & 0xffffffffn) * (b & 0xffffffffn)),
  'i32x4.dot_i16x8_s': ({ i16, i32 }, d, args) => {
    const [a, b] = [args[0]! * 2, args[1]! * 2];
    return () => {
      for (let i = 0; i < 4; i++) {
        const j = 2 * i;
        i32[d + i] = (i16[a + j]! * i16[b + j]! + i16[a + j + 1]! * i16[b + j + 1]!) | 0;
      }
    };
  },
  'i64x2.sad_u8': mixed((h, a, b, _imm, out) => {
    for (let half = 0; half < 2; half++) {
      let sum = 0;
      for (let i = half * 8; i < half * 8 + 8; i++) sum += Math.abs(h.u8[a * 4 + i]! - h.u8[b * 4 + i]!);
      out.setBigUint64(half * 8, BigInt(sum), true);
    }
  }),
  'i8x16.eq': lanes('i8', (a, b) => (a === b ? -1 : 0)),
  'i16x8.eq': lanes('i16', (a, b) => (a === b ? -1 : 0)),
  'i32x4.eq': lanes('i32', (a, b) => (a === b ? -1 : 0)),
  'i8x16.gt_s': lanes('i8', (a, b) => (a > b ? -1 : 0)),
  'i16x8.gt_s': lanes('i16', (a, b) => (a > b ? -1 : 0)),
  'i32x4.gt_s': lanes('i32', (a, b) => (a > b ? -1 : 0)),
  'i8x16.narrow_i16x8_s': narrow('i16', -128, 127),
  'i8x16.narrow_i16x8_u': narrow('i16', 0, 255),
  'i16x8.narrow_i32x4_s': narrow('i32', -32768, 32767),

  'i16x8.shl': shift('u16', 16, (a, n) => a << n, false),
  'i32x4.shl': shift('i32', 32, (a, n) => a << n, false),
  'i64x2.shl': shift64((a, n) => a << n),
  'i16x8.shr_u': shift('u16', 16, (a, n) => a >>> n, false),
  'i32x4.shr_u': shift('i32', 32, (a, n) => a >>> n, false),
  'i64x2.shr_u': shift64((a, n) => a >> n),
  'i16x8.shr_s': shift('i16', 16, (a, n) => a >> n, true),
  'i32x4.shr_s': shift('i32', 32, (a, n) => a >> n, true),

  'i8x16.shuffle': mixed((h, a, b, imm, out) => {
    for (const [i, from] of imm.entries()) out.setUint8(i, h.u8[from < 16 ? a * 4 + from : b * 4 + from - 16]!);
  }),

  'i8x16.bitmask': bitmask(1),
  'i32x4.bitmask': bitmask(4),
  'i64x2.bitmask': bitmask(8),

  'i8x16.extract_lane_u':
    ({ u8, i32 }, d, args, imm) =>
    () => {
      i32[d] = u8[args[0]! * 4 + imm[0]!]!;
    },
  'i16x8.extract_lane_u':
    ({ u16, i32 }, d, args, imm) =>
    () => {
      i32[d] = u16[args[0]! * 2 + imm[0]!]!;
    },
  'i32x4.extract_lane':
    ({ i32 }, d, args, imm) =>
    () => {
      i32[d] = i32[args[0]! + imm[0]!]!;
    },
  'i64x2.extract_lane': ({ i32 }, d, args, imm) => {
    const from = args[0]! + 2 * imm[0]!;
    return () => {
      const low = i32[from]!;
      i32[d + 1] = i32[from + 1]!;
      i32[d] = low;
    };
  },
  'i16x8.replace_lane': replace(2),
  'i32x4.replace_lane': replace(4),
  'i64x2.replace_lane': replace(8),
  'i32x4.low':
    ({ i32 }, d, args) =>
    () => {
      i32[d] = i32[args[0]!]!;
      i32[d + 1] = 0;
      i32[d + 2] = 0;
      i32[d + 3] = 0;
    },
  'i64x2.low': ({ i32 }, d, args) => {
    const a = args[0]!;
    return () => {
      const high = i32[a + 1]!;
      i32[d] = i32[a]!;
      i32[d + 1] = high;
      i32[d + 2] = 0;
      i32[d + 3] = 0;
    };
  },
  'i64x2.make': mixed((h, a, b, _imm, out) => {
    out.setBigInt64(0, h.i64[a >> 1]!, true);
    out.setBigInt64(8, h.i64[b >> 1]!, true);
  }),
};

export const vectorStep = (
  h: Host,
  name: VectorName,
  d: number,
  args: readonly number[],
  imm: readonly number[],
): Step => STEPS[name](h, d, args, imm);
