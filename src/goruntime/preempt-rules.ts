// What changed in preempt.go and its helpers from release to release: one row for each difference.

import type { Goarch } from '../arch/arch.ts';
import { NEWEST_RELEASE, OLDEST_RELEASE } from './facts/structs.ts';
import { inRanges, isBefore, parseRelease, type Release, type ReleaseRange } from './version.ts';

/** How isAsyncSafePoint and its helpers decide, in one release. */
export interface Rules {
  /** `auto` text or `seed`, for people: e.g. `1.24`. */
  readonly name: string;
  /** Which values of PCDATA_UnsafePoint pass: only -1 (`up != UnsafePointSafe` refuses), or all but -2. */
  readonly unsafePoint: 'only-safe' | 'not-unsafe';
  /** Functions whose innermost name begins with one of these are refused. */
  readonly prefixes: readonly string[];
  /** Whether a PC that the inline-tree table does not cover makes the runtime throw, rather than counting as not inlined. */
  readonly inlTreeStrict: boolean;
  /** Whether a restartable sequence is backed up to its start. */
  readonly restart: boolean;
  /** Whether canPreemptM asks that m.curg is not in a system call. */
  readonly curgNotInSyscall: boolean;
  /** Whether asyncPreemptStack also has room for xRegRestore. */
  readonly xRegRestore: boolean;
  /** Whether a goroutine in secret mode is refused (only in programs built with the runtimesecret experiment). */
  readonly secret: boolean;
  /** Whether doSigPreempt clears m.signalPending. */
  readonly signalPending: boolean;
  /** The rows that make these rules. */
  readonly rows: readonly Rule[];
  /** Said to the user when the release is outside what the rows were checked against. */
  readonly note: string | undefined;
}

/** One difference among releases. */
export interface Rule {
  readonly id: string;
  readonly what: string;
  readonly releases: readonly ReleaseRange[];
  readonly goarch?: readonly Goarch[];
  readonly sets: Partial<Omit<Rules, 'name' | 'rows' | 'note'>>;
}

const BASE: Omit<Rules, 'name' | 'rows' | 'note'> = {
  unsafePoint: 'only-safe',
  prefixes: ['runtime.', 'runtime/internal/', 'reflect.'],
  inlTreeStrict: false,
  restart: true,
  curgNotInSyscall: false,
  xRegRestore: false,
  secret: false,
  signalPending: true,
};

export const RULES: readonly Rule[] = [
  {
    id: 'unsafe-point-map',
    what: 'PCDATA 0 is the register map; only -2 refuses, and no value asks for a restart',
    releases: [['1.14', '1.15']],
    sets: { unsafePoint: 'not-unsafe', restart: false },
  },
  {
    id: 'unsafe-point-only-safe',
    what: 'anything but UnsafePointSafe refuses, so that the restart cases below it are never reached',
    releases: [['1.15', '1.18']],
    sets: { unsafePoint: 'only-safe' },
  },
  {
    id: 'unsafe-point-not-unsafe',
    what: 'only UnsafePointUnsafe refuses; restartable sequences resume at their start',
    releases: [['1.18']],
    sets: { unsafePoint: 'not-unsafe' },
  },
  {
    id: 'asm-stackmap',
    what: 'assembly is a function without a locals map, or with no_pointers_stackmap',
    releases: [['1.14', '1.18']],
    // How a program marks its assembly is a property of the program: see GoTables.assemblyMark.
    sets: {},
  },
  {
    id: 'asm-flag',
    what: 'assembly is a function without a locals map, or with funcFlag_ASM',
    releases: [['1.18']],
    sets: {},
  },
  {
    id: 'prefix-runtime-internal',
    what: 'refused prefixes do not name internal/runtime/, which exists from 1.23 on (golang.org/issue/71591)',
    releases: [
      ['1.14', '1.23.8'],
      ['1.24', '1.24.2'],
    ],
    sets: { prefixes: ['runtime.', 'runtime/internal/', 'reflect.'] },
  },
  {
    id: 'prefix-both-internal',
    what: 'internal/runtime/ is refused too',
    releases: [
      ['1.23.8', '1.24'],
      ['1.24.2', '1.25'],
    ],
    sets: { prefixes: ['runtime.', 'runtime/internal/', 'internal/runtime/', 'reflect.'] },
  },
  {
    id: 'prefix-internal-runtime',
    what: 'runtime/internal/ is gone, and its prefix with it',
    releases: [['1.25']],
    sets: { prefixes: ['runtime.', 'internal/runtime/', 'reflect.'] },
  },
  {
    id: 'inltree-strict',
    what: 'the innermost name is read by pcdatavalue, which throws in padding; from 1.21 on the inline unwinder does not',
    releases: [['1.14', '1.21']],
    sets: { inlTreeStrict: true },
  },
  {
    id: 'signal-pending-none',
    what: 'doSigPreempt only counts preemptGen; there is no m.signalPending',
    releases: [['1.14', '1.14.1']],
    sets: { signalPending: false },
  },
  {
    id: 'curg-syscall',
    what: 'canPreemptM also refuses while m.curg is in a system call',
    releases: [['1.26']],
    sets: { curgNotInSyscall: true },
  },
  {
    id: 'stack-xregs',
    what: 'asyncPreemptStack also has room for xRegRestore: extended registers are kept per P and per G',
    releases: [['1.26']],
    sets: { xRegRestore: true },
  },
  {
    id: 'secret',
    what: 'a goroutine in secret mode is refused, in programs built with GOEXPERIMENT=runtimesecret',
    releases: [['1.26']],
    sets: { secret: true },
  },
];

/** The rules of the seed: the text of preempt.go from Go 1.15 to 1.17. */
const SEED_RELEASE = '1.17';

/**
 * The rules that a release has on a target.
 * @param which a release, or `seed` for the text of Go 1.15 to 1.17 whatever built the program
 */
export function rulesFor(which: Release | 'seed', goarch: Goarch): Rules {
  const release = which === 'seed' ? parseRelease(SEED_RELEASE)! : which;
  const rows = RULES.filter(
    (rule) => inRanges(release, rule.releases) && (rule.goarch === undefined || rule.goarch.includes(goarch)),
  );
  const rules = Object.assign({}, BASE, ...rows.map((rule) => rule.sets)) as typeof BASE;
  const name = which === 'seed' ? 'seed' : `1.${release.minor}.${release.patch}`;
  return { ...rules, name, rows, note: releaseNote(release) };
}

/** What to tell the user about a release outside the range that the facts cover; undefined inside it. */
export function releaseNote(release: Release): string | undefined {
  const newest = parseRelease(NEWEST_RELEASE)!;
  if (release.minor > newest.minor) {
    return `${release.text} is newer than Go ${NEWEST_RELEASE}, the newest release known here: its rules and offsets are used`;
  }
  if (isBefore(release, OLDEST_RELEASE))
    return `${release.text} has no asynchronous preemption, which came with Go ${OLDEST_RELEASE}`;
  return undefined;
}
