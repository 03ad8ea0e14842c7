// Moves of SSE and SSE2, masks, and the control register: the data transfer groups of SDM vol. 1, 10.4.1, 10.4.5, 10.4.6.2, 11.4.1.1,
// 11.4.2 and 11.4.4.2. Rows that name MMX registers (MOVQ2DQ, MOVDQ2Q, MASKMOVQ, MOVNTQ) are absent.

import type { VectorName } from '../dsl/vector.ts';
import { clause, family } from './clause.ts';
import type { Exec } from './exec.ts';
import { fromLanes, lane, withLow, zeroVector } from './lanes.ts';
import { GPR, MXCSR, RDI } from './regs.ts';

/** All 128 bits, from or to a register or memory. */
const move = (x: Exec): void => x.write(0, x.read(1));

/** Loads to the low lane, zeros above. */
const loadLow = (x: Exec): void => x.write(0, fromLanes(x, [x.read(1)]));

/** The low lane to a register or memory; between XMM registers the rest of the destination stays. */
const storeLow32 = (x: Exec): void => x.write(0, lane(x, x.read(1), 32, 0));
const storeLow64 = (x: Exec): void => x.write(0, lane(x, x.read(1), 64, 0));
const mergeLow32 = (x: Exec): void => x.write(0, withLow(x, x.read(0), lane(x, x.read(1), 32, 0)));
const mergeLow64 = (x: Exec): void => x.write(0, withLow(x, x.read(0), lane(x, x.read(1), 64, 0)));

/** The high half to memory. */
const storeHigh = (x: Exec): void => x.write(0, lane(x, x.read(1), 64, 1));

/** One half from memory, the other stays. */
const loadHalf = (x: Exec, half: 0 | 1): void => {
  const loaded = x.read(1);
  x.write(0, x.e.vector('i64x2.replace_lane', [x.read(0), loaded], [half]));
};
const loadLowHalf = (x: Exec): void => loadHalf(x, 0);
const loadHighHalf = (x: Exec): void => loadHalf(x, 1);

/** Low half from the source's high half, and the reverse. */
const movhlps = (x: Exec): void => x.write(0, withLow(x, x.read(0), lane(x, x.read(1), 64, 1)));
const movlhps = (x: Exec): void =>
  x.write(0, x.e.vector('i64x2.replace_lane', [x.read(0), lane(x, x.read(1), 64, 0)], [1]));

/** MOVQ between XMM registers zeroes the upper half, unlike MOVSD. */
const movqStore = (x: Exec): void => {
  const low = lane(x, x.read(1), 64, 0);
  x.write(0, x.inMemory ? low : fromLanes(x, [low]));
};

const signs =
  (bitmask: VectorName) =>
  (x: Exec): void =>
    x.write(0, x.e.vector(bitmask, [x.read(1)]));

/**
 * Bytes whose mask byte has its top bit set go to DS:RDI, unaligned. All sixteen bytes must be readable and writable whatever the mask:
 * the manual leaves that to the implementation, and Intel's processors fault even with an empty mask.
 */
const maskmovdqu = (x: Exec): void => {
  const { e } = x;
  const mask = e.vector('i8x16.gt_s', [zeroVector(x), x.read(1)]);
  const address = x.linear(x.truncateAddress(e.get(GPR[RDI]!)));
  const kept = e.vector('v128.andnot', [x.load(128, address), mask]);
  x.store(128, address, e.vector('v128.or', [kept, e.vector('v128.and', [x.read(0), mask])]));
};

/** Bits 16 to 31 are reserved: setting one is a general-protection fault. */
const ldmxcsr = (x: Exec): void => {
  const { e } = x;
  const value = x.read(0);
  e.trapIf(e.shr(value, e.const('i32', 16)), 'privileged');
  e.set(MXCSR, value);
};

export const SSE_MOVE = family('sse-move', () => [
  clause('MOVAPS xmm, xmm/m128', 'NP 0F 28 /r', move),
  clause('MOVAPS xmm/m128, xmm', 'NP 0F 29 /r', move),
  clause('MOVAPD xmm, xmm/m128', '66 0F 28 /r', move),
  clause('MOVAPD xmm/m128, xmm', '66 0F 29 /r', move),
  clause('MOVUPS xmm, xmm/m128u', 'NP 0F 10 /r', move),
  clause('MOVUPS xmm/m128u, xmm', 'NP 0F 11 /r', move),
  clause('MOVUPD xmm, xmm/m128u', '66 0F 10 /r', move),
  clause('MOVUPD xmm/m128u, xmm', '66 0F 11 /r', move),
  clause('MOVDQA xmm, xmm/m128', '66 0F 6F /r', move),
  clause('MOVDQA xmm/m128, xmm', '66 0F 7F /r', move),
  clause('MOVDQU xmm, xmm/m128u', 'F3 0F 6F /r', move),
  clause('MOVDQU xmm/m128u, xmm', 'F3 0F 7F /r', move),

  clause('MOVSS xmm, xmm/rm', 'F3 0F 10 /r reg', mergeLow32),
  clause('MOVSS xmm, m32', 'F3 0F 10 /r', loadLow),
  clause('MOVSS xmm/rm, xmm', 'F3 0F 11 /r reg', mergeLow32),
  clause('MOVSS m32, xmm', 'F3 0F 11 /r', storeLow32),
  clause('MOVSD xmm, xmm/rm', 'F2 0F 10 /r reg', mergeLow64),
  clause('MOVSD xmm, m64', 'F2 0F 10 /r', loadLow),
  clause('MOVSD xmm/rm, xmm', 'F2 0F 11 /r reg', mergeLow64),
  clause('MOVSD m64, xmm', 'F2 0F 11 /r', storeLow64),
  clause('MOVD xmm, r/m32', '66 W0 0F 6E /r', loadLow),
  clause('MOVQ xmm, r/m64', '66 REX.W 0F 6E /r', loadLow),
  clause('MOVD r/m32, xmm', '66 W0 0F 7E /r', storeLow32),
  clause('MOVQ r/m64, xmm', '66 REX.W 0F 7E /r', storeLow64),
  clause('MOVQ xmm, xmm/m64', 'F3 0F 7E /r', loadLow),
  clause('MOVQ xmm/m64, xmm', '66 0F D6 /r', movqStore),

  clause('MOVHLPS xmm, xmm/rm', 'NP 0F 12 /r reg', movhlps),
  clause('MOVLPS xmm, m64', 'NP 0F 12 /r', loadLowHalf),
  clause('MOVLPS m64, xmm', 'NP 0F 13 /r', storeLow64),
  clause('MOVLPD xmm, m64', '66 0F 12 /r', loadLowHalf),
  clause('MOVLPD m64, xmm', '66 0F 13 /r', storeLow64),
  clause('MOVLHPS xmm, xmm/rm', 'NP 0F 16 /r reg', movlhps),
  clause('MOVHPS xmm, m64', 'NP 0F 16 /r', loadHighHalf),
  clause('MOVHPS m64, xmm', 'NP 0F 17 /r', storeHigh),
  clause('MOVHPD xmm, m64', '66 0F 16 /r', loadHighHalf),
  clause('MOVHPD m64, xmm', '66 0F 17 /r', storeHigh),

  clause('MOVMSKPS r32, xmm/rm', 'NP 0F 50 /r reg', signs('i32x4.bitmask')),
  clause('MOVMSKPD r32, xmm/rm', '66 0F 50 /r reg', signs('i64x2.bitmask')),
  clause('PMOVMSKB r32, xmm/rm', '66 0F D7 /r reg', signs('i8x16.bitmask')),

  // Non-temporal stores: the hint has no meaning here.
  clause('MOVNTPS m128, xmm', 'NP 0F 2B /r', move),
  clause('MOVNTPD m128, xmm', '66 0F 2B /r', move),
  clause('MOVNTDQ m128, xmm', '66 0F E7 /r', move),
  clause('MASKMOVDQU xmm, xmm/rm', '66 0F F7 /r reg', maskmovdqu),

  clause('LDMXCSR m32', 'NP 0F AE /2', ldmxcsr),
  clause('STMXCSR m32', 'NP 0F AE /3', (x) => x.write(0, x.e.get(MXCSR))),
]);
