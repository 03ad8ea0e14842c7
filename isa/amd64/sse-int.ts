// Packed integers of SSE2: the MMX instructions on XMM registers, and the shuffles (SDM vol. 1, 9.4, 10.4.4 and 11.4.2).

import type { Value } from '../dsl/effects.ts';
import type { VectorName } from '../dsl/vector.ts';
import { clause, family, type Row } from './clause.ts';
import type { Exec } from './exec.ts';
import { immediateByte, lane, selectors, shuffle, zeroVector } from './lanes.ts';

/** destination := destination op source: the form of most of this file. The memory operand must be aligned. */
const packed = (name: string, opcode: string, effect: (x: Exec, a: Value, b: Value) => Value): Row =>
  clause(`${name} xmm, xmm/m128`, `66 0F ${opcode} /r`, (x) => x.write(0, effect(x, x.read(0), x.read(1))));

/** The vocabulary has the operation. */
const direct = (name: string, opcode: string, operation: VectorName): Row =>
  packed(name, opcode, (x, a, b) => x.e.vector(operation, [a, b]));

/** Lanes of the low (or high) halves in turn, the destination's first. */
export const interleave = (x: Exec, a: Value, b: Value, bytes: 1 | 2 | 4 | 8, high: boolean): Value => {
  const count = 16 / bytes;
  const from = high ? count / 2 : 0;
  const order = Array.from({ length: count }, (_, k) => from + (k >> 1) + (k & 1) * count);
  return shuffle(x, a, b, bytes, order);
};

const unpack = (name: string, opcode: string, bytes: 1 | 2 | 4 | 8, high: boolean): Row =>
  packed(name, opcode, (x, a, b) => interleave(x, a, b, bytes, high));

/** The count is all 64 low bits of the source: what is too large for an i32 shifts everything out. */
const count = (x: Exec, source: Value): Value => {
  const { e } = x;
  const n = lane(x, source, 64, 0);
  return e.select(e.ltu(n, e.const('i64', 64)), e.wrap(n), e.const('i32', 64));
};

/** A shift by a register or memory operand, and the same by an immediate. */
const shift = (name: string, opcode: string, group: string, operation: VectorName): readonly Row[] => [
  packed(name, opcode, (x, a, b) => x.e.vector(operation, [a, count(x, b)])),
  clause(`${name} xmm/rm, imm8`, `66 0F ${group} reg ib`, (x) =>
    x.write(0, x.e.vector(operation, [x.read(0), x.read(1)])),
  ),
];

/** Bytes of the whole register, zeros coming in. `left` is towards the high bytes. */
const shiftBytes = (x: Exec, left: boolean): void => {
  const n = Math.min(immediateByte(x), 16);
  // The first operand of the shuffle is the register (0–15), the second zeros (16).
  const order = Array.from({ length: 16 }, (_, k) => {
    const from = left ? k - n : k + n;
    return from >= 0 && from < 16 ? from : 16;
  });
  x.write(0, shuffle(x, x.read(0), zeroVector(x), 1, order));
};

const pshufd = (x: Exec): void => {
  const v = x.read(1);
  x.write(0, shuffle(x, v, v, 4, selectors(immediateByte(x))));
};

/** Words of one half by the immediate; the other half is copied. */
const pshufWords = (x: Exec, first: 0 | 4): void => {
  const v = x.read(1);
  const moved = selectors(immediateByte(x)).map((n) => n + first);
  x.write(0, shuffle(x, v, v, 2, first === 0 ? [...moved, 4, 5, 6, 7] : [0, 1, 2, 3, ...moved]));
};

const pextrw = (x: Exec): void => x.write(0, x.e.vector('i16x8.extract_lane_u', [x.read(1)], [immediateByte(x) & 7]));

const pinsrw = (x: Exec): void => {
  const word = x.read(1);
  x.write(0, x.e.vector('i16x8.replace_lane', [x.read(0), word], [immediateByte(x) & 7]));
};

export const SSE_INT = family('sse-int', () => [
  direct('PADDB', 'FC', 'i8x16.add'),
  direct('PADDW', 'FD', 'i16x8.add'),
  direct('PADDD', 'FE', 'i32x4.add'),
  direct('PADDQ', 'D4', 'i64x2.add'),
  direct('PADDSB', 'EC', 'i8x16.add_sat_s'),
  direct('PADDSW', 'ED', 'i16x8.add_sat_s'),
  direct('PADDUSB', 'DC', 'i8x16.add_sat_u'),
  direct('PADDUSW', 'DD', 'i16x8.add_sat_u'),
  direct('PSUBB', 'F8', 'i8x16.sub'),
  direct('PSUBW', 'F9', 'i16x8.sub'),
  direct('PSUBD', 'FA', 'i32x4.sub'),
  direct('PSUBQ', 'FB', 'i64x2.sub'),
  direct('PSUBSB', 'E8', 'i8x16.sub_sat_s'),
  direct('PSUBSW', 'E9', 'i16x8.sub_sat_s'),
  direct('PSUBUSB', 'D8', 'i8x16.sub_sat_u'),
  direct('PSUBUSW', 'D9', 'i16x8.sub_sat_u'),
  direct('PMULLW', 'D5', 'i16x8.mul'),
  direct('PMULHW', 'E5', 'i16x8.mulhi_s'),
  direct('PMULHUW', 'E4', 'i16x8.mulhi_u'),
  direct('PMULUDQ', 'F4', 'i64x2.mul_even_u'),
  direct('PMADDWD', 'F5', 'i32x4.dot_i16x8_s'),
  direct('PSADBW', 'F6', 'i64x2.sad_u8'),
  direct('PAVGB', 'E0', 'i8x16.avgr_u'),
  direct('PAVGW', 'E3', 'i16x8.avgr_u'),
  direct('PMINUB', 'DA', 'i8x16.min_u'),
  direct('PMAXUB', 'DE', 'i8x16.max_u'),
  direct('PMINSW', 'EA', 'i16x8.min_s'),
  direct('PMAXSW', 'EE', 'i16x8.max_s'),

  direct('PCMPEQB', '74', 'i8x16.eq'),
  direct('PCMPEQW', '75', 'i16x8.eq'),
  direct('PCMPEQD', '76', 'i32x4.eq'),
  direct('PCMPGTB', '64', 'i8x16.gt_s'),
  direct('PCMPGTW', '65', 'i16x8.gt_s'),
  direct('PCMPGTD', '66', 'i32x4.gt_s'),

  direct('PACKSSWB', '63', 'i8x16.narrow_i16x8_s'),
  direct('PACKSSDW', '6B', 'i16x8.narrow_i32x4_s'),
  direct('PACKUSWB', '67', 'i8x16.narrow_i16x8_u'),
  unpack('PUNPCKLBW', '60', 1, false),
  unpack('PUNPCKLWD', '61', 2, false),
  unpack('PUNPCKLDQ', '62', 4, false),
  unpack('PUNPCKLQDQ', '6C', 8, false),
  unpack('PUNPCKHBW', '68', 1, true),
  unpack('PUNPCKHWD', '69', 2, true),
  unpack('PUNPCKHDQ', '6A', 4, true),
  unpack('PUNPCKHQDQ', '6D', 8, true),

  direct('PAND', 'DB', 'v128.and'),
  packed('PANDN', 'DF', (x, a, b) => x.e.vector('v128.andnot', [b, a])),
  direct('POR', 'EB', 'v128.or'),
  direct('PXOR', 'EF', 'v128.xor'),

  ...shift('PSLLW', 'F1', '71 /6', 'i16x8.shl'),
  ...shift('PSLLD', 'F2', '72 /6', 'i32x4.shl'),
  ...shift('PSLLQ', 'F3', '73 /6', 'i64x2.shl'),
  ...shift('PSRLW', 'D1', '71 /2', 'i16x8.shr_u'),
  ...shift('PSRLD', 'D2', '72 /2', 'i32x4.shr_u'),
  ...shift('PSRLQ', 'D3', '73 /2', 'i64x2.shr_u'),
  ...shift('PSRAW', 'E1', '71 /4', 'i16x8.shr_s'),
  ...shift('PSRAD', 'E2', '72 /4', 'i32x4.shr_s'),
  clause('PSLLDQ xmm/rm, imm8', '66 0F 73 /7 reg ib', (x) => shiftBytes(x, true)),
  clause('PSRLDQ xmm/rm, imm8', '66 0F 73 /3 reg ib', (x) => shiftBytes(x, false)),

  clause('PSHUFD xmm, xmm/m128, imm8', '66 0F 70 /r ib', pshufd),
  clause('PSHUFLW xmm, xmm/m128, imm8', 'F2 0F 70 /r ib', (x) => pshufWords(x, 0)),
  clause('PSHUFHW xmm, xmm/m128, imm8', 'F3 0F 70 /r ib', (x) => pshufWords(x, 4)),
  clause('PEXTRW r32, xmm/rm, imm8', '66 0F C5 /r reg ib', pextrw),
  clause('PINSRW xmm, r/m32, imm8', '66 0F C4 /r reg ib', pinsrw),
  clause('PINSRW xmm, m16, imm8', '66 0F C4 /r ib', pinsrw),
]);
