// PCDATA and FUNCDATA: which table is which, what their values mean, function flags and IDs, by release.
// Sources: runtime/symtab.go and runtime/funcdata.h of Go 1.14 to 1.20, internal/abi/symtab.go of Go 1.21 to 1.27.

import { isBefore, type Release } from './version.ts';

export const PCDATA_UnsafePoint = 0;
export const PCDATA_StackMapIndex = 1;
export const PCDATA_InlTreeIndex = 2;

export const FUNCDATA_ArgsPointerMaps = 0;
export const FUNCDATA_LocalsPointerMaps = 1;

/** Index of FUNCDATA_InlTree: two register-map tables stood before it until Go 1.15. */
export function funcdataInlTree(release: Release): number {
  return isBefore(release, '1.16') ? 4 : 3;
}

/** Index of FUNCDATA_StackObjects. */
export function funcdataStackObjects(release: Release): number {
  return isBefore(release, '1.16') ? 3 : 2;
}

export const UnsafePointSafe = -1;
export const UnsafePointUnsafe = -2;
export const Restart1 = -3;
export const Restart2 = -4;
export const RestartAtEntry = -5;

/** Name of a PCDATA_UnsafePoint value, as the runtime spells it. */
export function unsafePointName(value: number): string {
  switch (value) {
    case UnsafePointSafe:
      return 'UnsafePointSafe';
    case UnsafePointUnsafe:
      return 'UnsafePointUnsafe';
    case Restart1:
      return 'Restart1';
    case Restart2:
      return 'Restart2';
    case RestartAtEntry:
      return 'RestartAtEntry';
    default:
      return value >= 0 ? `register map ${value}` : `unknown value ${value}`;
  }
}

/** funcFlag bits; the byte is padding before Go 1.17, and Asm came with Go 1.18. */
export const FuncFlagTopFrame = 1;
export const FuncFlagSPWrite = 2;
export const FuncFlagAsm = 4;

/** The flags of a function, with the bits that its release does not define cleared. */
export function funcFlags(flag: number, release: Release): number {
  if (isBefore(release, '1.17')) return 0;
  return isBefore(release, '1.18') ? flag & 3 : flag & 7;
}

/** funcID numbers in declaration order, for each range of releases. The name is what the runtime's constant ends in. */
const FUNC_IDS: readonly { readonly since: string; readonly names: readonly string[] }[] = [
  {
    since: '1.2',
    names:
      'normal runtime_main goexit jmpdefer mcall morestack mstart rt0_go asmcgocall sigpanic runfinq gcBgMarkWorker systemstack_switch systemstack cgocallback gogo externalthreadhandler debugCallV1 gopanic panicwrap handleAsyncEvent asyncPreempt wrapper'.split(
        ' ',
      ),
  },
  {
    since: '1.17',
    names:
      'normal abort asmcgocall asyncPreempt cgocallback debugCallV2 gcBgMarkWorker goexit gogo gopanic handleAsyncEvent jmpdefer mcall morestack mstart panicwrap rt0_go runfinq runtime_main sigpanic systemstack systemstack_switch wrapper'.split(
        ' ',
      ),
  },
  {
    since: '1.18',
    names:
      'normal abort asmcgocall asyncPreempt cgocallback debugCallV2 gcBgMarkWorker goexit gogo gopanic handleAsyncEvent mcall morestack mstart panicwrap rt0_go runfinq runtime_main sigpanic systemstack systemstack_switch wrapper'.split(
        ' ',
      ),
  },
  {
    since: '1.22',
    names:
      'normal abort asmcgocall asyncPreempt cgocallback corostart debugCallV2 gcBgMarkWorker goexit gogo gopanic handleAsyncEvent mcall morestack mstart panicwrap rt0_go runfinq runtime_main sigpanic systemstack systemstack_switch wrapper'.split(
        ' ',
      ),
  },
  {
    since: '1.25',
    names:
      'normal abort asmcgocall asyncPreempt cgocallback corostart debugCallV2 gcBgMarkWorker goexit gogo gopanic handleAsyncEvent mcall morestack mstart panicwrap rt0_go runtime_main runFinalizers runCleanups sigpanic systemstack systemstack_switch wrapper'.split(
        ' ',
      ),
  },
];

/** The funcID constant's name for a value of the given release; undefined if it has none. */
export function funcIDName(id: number, release: Release): string | undefined {
  return FUNC_IDS.findLast((row) => !isBefore(release, row.since))?.names[id];
}
