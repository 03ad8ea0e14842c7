// Byte offsets of the fields of runtime.g, m and p that the model reads, by release and GOARCH.
// Computed from the struct definitions in runtime/runtime2.go of each release with the compiler's layout rules, and
// measured from the DWARF of programs built by Go 1.19, 1.21, 1.22, 1.23, 1.24, 1.26 and 1.27.

import type { Arch } from '../../arch/arch.ts';
import type { Release } from '../version.ts';
import { releaseTable, rowFor } from './release-table.ts';

/** The newest release that the tables of this folder were checked against. A newer one uses its row, and is told so. */
export const NEWEST_RELEASE = '1.27';
/** The oldest release with asynchronous preemption. */
export const OLDEST_RELEASE = '1.14';

export interface GOffsets {
  readonly stackLo: number;
  readonly stackHi: number;
  readonly stackguard0: number;
  readonly m: number;
  readonly schedSp: number;
  readonly schedPc: number;
  readonly schedG: number;
  readonly schedCtxt: number;
  readonly schedLr: number;
  readonly schedBp: number;
  readonly syscallsp: number;
  readonly syscallpc: number;
  readonly stktopsp: number;
  readonly atomicstatus: number;
  readonly goid: number;
  readonly schedlink: number;
  readonly waitreason: number;
  readonly preempt: number;
  readonly preemptStop: number;
  readonly preemptShrink: number;
  readonly asyncSafePoint: number;
  readonly lockedm: number;
  readonly sigpc: number;
  readonly gopc: number;
  readonly startpc: number;
  /** Go 1.26 and later. */
  readonly secret: number | undefined;
  readonly xRegs: number | undefined;
}

export interface MOffsets {
  readonly g0: number;
  readonly procid: number;
  readonly gsignal: number;
  readonly tls: number;
  readonly curg: number;
  readonly p: number;
  readonly id: number;
  readonly mallocing: number;
  readonly preemptoff: number;
  readonly locks: number;
  readonly preemptGen: number;
  /** Go 1.14.1 and later. */
  readonly signalPending: number | undefined;
  /** Next m in the list of all; known for releases whose DWARF was read. */
  readonly alllink: number | undefined;
}

export interface POffsets {
  readonly id: number;
  readonly status: number;
  readonly m: number;
  readonly runqhead: number;
  readonly preempt: number;
  /** Go 1.26 and later. */
  readonly xRegs: number | undefined;
}

export interface StructOffsets {
  readonly g: GOffsets;
  readonly m: MOffsets;
  readonly p: POffsets;
}

// preemptStop, preemptShrink and asyncSafePoint follow preempt, one byte each, in every release; schedlink follows goid.
const G_64 = releaseTable(`
since lr  bp  syscallsp syscallpc stktopsp atomicstatus goid waitreason preempt lockedm sigpc gopc startpc secret xRegs
1.14  96  104 112       120       128      144          152  176        177     216     272   280  296     -      -
1.17  96  104 112       120       128      144          152  176        177     232     288   296  312     -      -
1.21  96  104 112       120       128      144          152  176        177     208     264   280  296     -      -
1.23  96  104 112       120       136      152          160  184        185     216     272   288  304     -      -
1.25  88  96  104       112       128      144          152  176        177     208     264   280  296     -      -
1.26  88  96  104       112       128      144          152  176        177     208     272   288  304     228    400
`);

const G_32 = releaseTable(`
since lr  bp  syscallsp syscallpc stktopsp atomicstatus goid waitreason preempt lockedm sigpc gopc startpc secret xRegs
1.14  48  52  56        60        64       72           80   100        101     132     160   164  172     -      -
1.17  48  52  56        60        64       72           80   100        101     152     180   184  192     -      -
1.21  48  52  56        60        64       72           80   100        101     132     160   172  180     -      -
1.23  48  52  56        60        68       76           84   104        105     136     164   176  184     -      -
1.24  48  52  56        60        68       76           84   104        105     136     168   180  188     -      -
1.25  44  48  52        56        64       72           80   100        101     132     164   176  184     -      -
1.26  44  48  52        56        64       72           80   100        101     132     172   184  192     148    248
`);

// 1.23.12 added a slice to m; the same change is taken to be in 1.24.6, whose source has not been seen.
const M_AMD64 = releaseTable(`
since   procid gsignal tls curg p   id  mallocing preemptoff locks preemptGen signalPending alllink
1.14.0  72     80      136 192  208 232 240       248        264   824        -             -
1.14.1  72     80      136 192  208 232 240       248        264   824        828           -
1.15    72     80      136 192  208 232 240       248        264   816        820           -
1.16    72     80      136 192  208 232 240       248        264   840        844           -
1.16.4  72     80      136 192  208 232 240       248        264   848        852           -
1.18    72     80      136 192  208 232 240       248        264   816        820           -
1.19    72     80      136 192  208 232 240       248        264   816        820           336
1.21    72     80      136 192  208 232 240       248        264   824        828           336
1.22    72     80      136 192  208 232 240       248        264   1136       1140          328
1.23    72     80      136 192  208 232 240       248        264   872        876           328
1.23.12 72     80      136 192  208 232 240       248        264   896        900           328
1.24.6  72     80      136 192  208 232 240       248        264   920        924           328
1.25    64     72      128 184  200 224 232       240        256   912        916           -
1.26    64     72      128 184  208 232 240       248        264   912        916           352
`);

// Signal masks take 16 bytes here, 8 on amd64.
const M_MIPS64 = releaseTable(`
since   procid gsignal tls curg p   id  mallocing preemptoff locks preemptGen signalPending alllink
1.14.0  72     80      144 200  216 240 248       256        272   832        -             -
1.14.1  72     80      144 200  216 240 248       256        272   832        836           -
1.15    72     80      144 200  216 240 248       256        272   824        828           -
1.16    72     80      144 200  216 240 248       256        272   848        852           -
1.16.4  72     80      144 200  216 240 248       256        272   856        860           -
1.18    72     80      144 200  216 240 248       256        272   824        828           -
1.19    72     80      144 200  216 240 248       256        272   824        828           344
1.21    72     80      144 200  216 240 248       256        272   832        836           344
1.22    72     80      144 200  216 240 248       256        272   1144       1148          336
1.23    72     80      144 200  216 240 248       256        272   880        884           336
1.23.12 72     80      144 200  216 240 248       256        272   904        908           336
1.24    72     80      144 200  216 240 248       256        272   896        900           336
1.24.6  72     80      144 200  216 240 248       256        272   920        924           336
1.25    64     72      136 192  208 232 240       248        264   920        924           -
1.26    64     72      136 192  216 240 248       256        272   920        924           360
`);

const M_MIPS = releaseTable(`
since   procid gsignal tls curg p   id  mallocing preemptoff locks preemptGen signalPending alllink
1.14.0  36     44      84  112  120 132 140       148        156   468        -             -
1.14.1  36     44      84  112  120 132 140       148        156   468        472           -
1.15    36     44      84  112  120 132 140       148        156   464        468           -
1.16    36     44      84  112  120 132 140       148        156   476        480           -
1.16.4  36     44      84  112  120 132 140       148        156   480        484           -
1.18    36     44      84  112  120 132 140       148        156   464        468           -
1.18.2  40     48      88  116  124 136 144       152        160   468        472           -
1.19    40     48      88  116  124 136 144       152        160   468        472           220
1.22    40     48      88  116  124 136 144       152        160   636        640           212
1.23    40     48      88  116  124 136 144       152        160   512        516           212
1.23.12 40     48      88  116  124 136 144       152        160   520        524           212
1.24.6  40     48      88  116  124 136 144       152        160   532        536           212
1.25    32     40      80  108  116 128 136       144        152   528        532           -
1.26    32     40      80  108  120 132 140       148        156   524        528           220
`);

const P_64 = releaseTable(`
since  m  runqhead preempt xRegs
1.14   56 1520     10144   -
1.16   56 1520     10000   -
1.16.7 56 1520     9992    -
1.18   56 400      8880    -
1.19   56 400      8904    -
1.20   56 400      8896    -
1.21   56 400      8904    -
1.22   56 400      8936    -
1.23   48 392      8928    -
1.24   48 392      8936    -
1.25   48 392      9496    -
1.26   48 400      13776   13800
`);

const P_32 = releaseTable(`
since  m  runqhead preempt xRegs
1.14   44 792      5140    -
1.16   44 792      5072    -
1.16.7 44 792      5068    -
1.18   44 232      4516    -
1.19   44 232      4540    -
1.22   44 232      4572    -
1.23   44 232      4576    -
1.24   44 232      4584    -
1.25   44 232      5140    -
1.26   44 236      8372    8392
`);

/** The offsets of a release on a target. */
export function structOffsets(arch: Arch, release: Release): StructOffsets {
  const p = arch.pointerSize;
  const g = rowFor(p === 8 ? G_64 : G_32, release).values;
  const m = rowFor(arch.family === 'amd64' ? M_AMD64 : p === 8 ? M_MIPS64 : M_MIPS, release).values;
  const pp = rowFor(p === 8 ? P_64 : P_32, release).values;
  const need = (value: number | undefined): number => value!;
  const preempt = need(g.preempt);
  // g begins with stack {lo, hi}, stackguard0, stackguard1, _panic, _defer, m, sched {sp, pc, g, ctxt, …}.
  return {
    g: {
      stackLo: 0,
      stackHi: p,
      stackguard0: 2 * p,
      m: 6 * p,
      schedSp: 7 * p,
      schedPc: 8 * p,
      schedG: 9 * p,
      schedCtxt: 10 * p,
      schedLr: need(g.lr),
      schedBp: need(g.bp),
      syscallsp: need(g.syscallsp),
      syscallpc: need(g.syscallpc),
      stktopsp: need(g.stktopsp),
      atomicstatus: need(g.atomicstatus),
      goid: need(g.goid),
      schedlink: need(g.goid) + 8,
      waitreason: need(g.waitreason),
      preempt,
      preemptStop: preempt + 1,
      preemptShrink: preempt + 2,
      asyncSafePoint: preempt + 3,
      lockedm: need(g.lockedm),
      sigpc: need(g.sigpc),
      gopc: need(g.gopc),
      startpc: need(g.startpc),
      secret: g.secret,
      xRegs: g.xRegs,
    },
    m: {
      g0: 0,
      procid: need(m.procid),
      gsignal: need(m.gsignal),
      tls: need(m.tls),
      curg: need(m.curg),
      p: need(m.p),
      id: need(m.id),
      mallocing: need(m.mallocing),
      preemptoff: need(m.preemptoff),
      locks: need(m.locks),
      preemptGen: need(m.preemptGen),
      signalPending: m.signalPending,
      alllink: m.alllink,
    },
    p: {
      id: 0,
      status: 4,
      m: need(pp.m),
      runqhead: need(pp.runqhead),
      preempt: need(pp.preempt),
      xRegs: pp.xRegs,
    },
  };
}
