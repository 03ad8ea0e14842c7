// Which check each ablation removes, what stands behind it, and on which program and at which places its absence does harm.
import type { CheckId, SweepOptions } from '../../src/index.ts';
import type { Goarch } from '../support/fixtures.ts';

export const MIPS: readonly Goarch[] = ['mips', 'mipsle', 'mips64', 'mips64le'];
export const ALL: readonly Goarch[] = ['amd64', ...MIPS];
/** The releases that have every fixture on every target. */
export const RELEASES = ['1.19', '1.27'] as const;
export type Release = (typeof RELEASES)[number];

/** An ablation to be shown. */
export interface Ablation {
  readonly check: CheckId;
  /** What is removed: the check, and what would refuse in its place. */
  readonly without: readonly CheckId[];
  readonly fixture: string;
  readonly goarches: readonly Goarch[];
  readonly releases: readonly Release[];
  readonly places: (
    goarch: Goarch,
  ) => Pick<SweepOptions, 'func' | 'at' | 'safeOnly' | 'halfCalls' | 'from' | 'to' | 'limit' | 'sample'>;
  /** Why the removed check is needed there, and what stands behind it. */
  readonly why: string;
}

/** A target or release on which the absence of a check could not be shown to do harm. */
export interface Unshown {
  readonly check: CheckId;
  readonly goarches: readonly Goarch[];
  readonly releases: readonly Release[];
  readonly reason: string;
}

/** Where the kernel puts the trampoline to which a signal handler returns: the top page of the address space. */
const trampoline = (goarch: Goarch): string => (goarch.startsWith('mips64') ? '0xfffffff000' : '0x7fff7000');

export const ABLATIONS: readonly Ablation[] = [
  {
    check: 'curg',
    without: ['curg', 'want'],
    fixture: 'hello',
    goarches: ALL,
    releases: ['1.27'],
    places: () => ({ func: '^_\\.goready\\.func1$', limit: 2 }),
    why: 'asyncPreempt2 calls mcall, which must not be called on g0. `want` stands behind it: the status of g0 is never Grunning. This function of Go 1.27 runs on g0 and is named `_.goready.func1`, which no prefix refuses',
  },
  {
    check: 'curg',
    without: ['curg', 'want', 'asm'],
    fixture: 'hello',
    goarches: ALL,
    releases: ['1.19'],
    places: () => ({ func: '^gogo$', limit: 8 }),
    why: 'gogo begins on g0. `want` and `asm` stand behind it',
  },
  {
    check: 'canPreemptM',
    without: ['canPreemptM'],
    fixture: 'hello',
    goarches: ALL,
    releases: RELEASES,
    places: () => ({ func: '^sync\\.\\(\\*Pool\\)\\.(pin|pinSlow)$', limit: 16, sample: 0 }),
    why: 'sync.Pool pins its goroutine to its P by m.locks, in code that is neither marked unsafe nor refused by name: schedule throws',
  },
  {
    check: 'stack',
    without: ['stack', 'asm'],
    fixture: 'hello',
    goarches: ALL,
    releases: RELEASES,
    places: () => ({ func: '^gogo$', limit: 4 }),
    why: 'gogo has made g current and SP is still that of g0: the injected call saves the wrong stack. `asm` stands behind it',
  },
  {
    check: 'findfunc',
    without: ['findfunc', 'asm'],
    fixture: 'signals',
    goarches: MIPS,
    releases: RELEASES,
    places: (goarch) => ({ at: trampoline(goarch), limit: 1 }),
    why: "the kernel's trampoline of rt_sigreturn is in no Go function, so no walk can pass it. `asm` stands behind it: no function has no locals map",
  },
  {
    check: 'half-call',
    without: ['half-call', 'unsafe-point'],
    fixture: 'stackgrowth',
    goarches: MIPS,
    releases: RELEASES,
    places: () => ({ func: '^main\\.', halfCalls: true, limit: 1 }),
    why: 'the call to morestack has overwritten LR: pushCall saves a return address into the function itself, and a walk loses the caller. `unsafe-point` stands behind it: the assembler marks the call to morestack unsafe',
  },
  {
    check: 'unsafe-point',
    without: ['unsafe-point'],
    fixture: 'hello',
    goarches: MIPS,
    releases: RELEASES,
    places: () => ({ func: '^(sync|main)\\.', limit: 240, sample: 0 }),
    why: 'a sequence of the assembler through R23, marked unsafe because it cannot be restarted: asyncPreempt destroys R23',
  },
  {
    check: 'asm',
    without: ['asm'],
    fixture: 'hello',
    goarches: ALL,
    releases: RELEASES,
    places: () => ({ func: '^gosave_systemstack_switch$', limit: 10, sample: 1 }),
    why: 'this assembly saves SP and PC in g.sched one after the other, which an injected mcall overwrites in between; its name has no refused prefix',
  },
  {
    check: 'prefix',
    without: ['prefix'],
    fixture: 'gcheavy',
    goarches: ALL,
    releases: RELEASES,
    places: () => ({ func: '^runtime\\.wbBufFlush$', safeOnly: true, from: 2_300_000, to: 4_500_000, limit: 1 }),
    why: 'the prologue of wbBufFlush is called safe, and its caller gcWriteBarrier is assembly without stack maps, which the collector cannot scan; [PREFIXES.md](../../src/goruntime/PREFIXES.md) has the other places',
  },
  {
    check: 'restart',
    without: ['restart'],
    fixture: 'hello',
    goarches: MIPS,
    releases: RELEASES,
    places: () => ({ func: '^main\\.', limit: 60 }),
    why: 'resuming in the middle of a sequence through R23, which asyncPreempt destroys',
  },
];

export const UNSHOWN: readonly Unshown[] = [
  {
    check: 'findfunc',
    goarches: ['amd64'],
    releases: RELEASES,
    reason:
      'every instruction that a static amd64 program executes is in a Go function: it has its own rt_sigreturn, and is given no vDSO',
  },
  {
    check: 'half-call',
    goarches: ['amd64'],
    releases: RELEASES,
    reason: 'a call is one instruction',
  },
  {
    check: 'unsafe-point',
    goarches: ['amd64'],
    releases: RELEASES,
    reason:
      'asyncPreempt keeps every register, and amd64 code has no assembler temporary; what is left are windows around write barriers, where harm needs a collection to begin in between',
  },
  {
    check: 'restart',
    goarches: ['amd64'],
    releases: RELEASES,
    reason: 'amd64 programs have no restartable sequences: PCDATA_UnsafePoint holds none of their values',
  },
];
