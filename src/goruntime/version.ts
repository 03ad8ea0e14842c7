// Go releases: parsing, order, ranges, and finding which release built a program.

import type { BuildInfo } from '../object/buildinfo.ts';

/** A Go release. `text` is as found, e.g. `go1.26.5` or `devel go1.28-abcdef`. */
export interface Release {
  readonly text: string;
  readonly minor: number;
  /** Patch number; a release candidate or development version counts as .0, whose layouts it has. */
  readonly patch: number;
}

/** A half-open range of releases: from the first one up to, not including, the second. No second: open. */
export type ReleaseRange = readonly [from: string, before?: string];

/** Parses `go1.26.5`, `1.26`, `go1.27rc1`, `devel go1.28-…`, `go1.23.12 X:…`; undefined if it names no Go 1 release. */
export function parseRelease(text: string): Release | undefined {
  const match = /(?:^|[^\w.])(?:go)?1\.(\d{1,3})(?:\.(\d{1,3}))?/.exec(text);
  if (match === null) return undefined;
  return { text, minor: Number(match[1]), patch: Number(match[2] ?? 0) };
}

/** Negative, zero or positive as `a` is older than, the same as or newer than `b`. */
export function compareReleases(a: Release, b: Release): number {
  return a.minor - b.minor || a.patch - b.patch;
}

/** Whether `release` lies in one of the ranges. */
export function inRanges(release: Release, ranges: readonly ReleaseRange[]): boolean {
  return ranges.some(
    ([from, before]) => !isBefore(release, from) && (before === undefined || isBefore(release, before)),
  );
}

/** Whether `release` is older than the release that `bound` names (as in the tables: `1.16.4`). */
export function isBefore(release: Release, bound: string): boolean {
  const other = parseRelease(bound);
  if (other === undefined) throw new TypeError(`not a Go release: ${bound}`);
  return compareReleases(release, other) < 0;
}

/** The release range that a pclntab magic stands for; the last one when nothing better is known. */
const MAGIC_RELEASES: Readonly<Record<number, { first: number; last: number }>> = {
  4294967291: { first: 2, last: 15 },
  4294967290: { first: 16, last: 17 },
  4294967280: { first: 18, last: 19 },
  4294967281: { first: 20, last: 999 },
};

export interface FoundRelease {
  readonly release: Release;
  /** Where it was read. */
  readonly source: 'build info' | 'text of runtime.buildVersion' | 'pclntab magic';
}

/**
 * Which release built the program: the build info; else the highest version text in its read-only data that the
 * pclntab magic allows (libraries mention older releases); else the newest release known to have that magic.
 * @param readOnly the bytes of the segments that may hold the text
 * @param newestKnown the newest release that the facts cover, for the last resort
 */
export function findRelease(
  info: BuildInfo | undefined,
  magic: number,
  readOnly: () => readonly Uint8Array[],
  newestKnown: string,
): FoundRelease | undefined {
  const told = info === undefined ? undefined : parseRelease(info.version);
  if (told !== undefined) return { release: told, source: 'build info' };
  const range = MAGIC_RELEASES[magic];
  if (range === undefined) return undefined;
  let best: Release | undefined;
  for (const bytes of readOnly()) {
    for (const release of versionTexts(bytes)) {
      if (release.minor < range.first || release.minor > range.last) continue;
      if (best === undefined || compareReleases(release, best) > 0) best = release;
    }
  }
  if (best !== undefined) return { release: best, source: 'text of runtime.buildVersion' };
  const newest = range.last === 999 ? newestKnown : `1.${range.last}`;
  const release = parseRelease(`go${newest}`);
  return release && { release, source: 'pclntab magic' };
}

const GO1 = Buffer.from('go1.');
/** Releases that exist have small numbers: a text such as go1.123 belongs to something else. */
const MAX_MINOR = 60;

function* versionTexts(bytes: Uint8Array): Generator<Release> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = buffer.indexOf(GO1); at >= 0; at = buffer.indexOf(GO1, at + 4)) {
    const match = /^go1\.([1-9]\d?)(?:\.(\d{1,2}))?(?:(?:rc|beta)\d{1,2})?/.exec(
      buffer.toString('latin1', at, at + 16),
    );
    if (match === null || Number(match[1]) > MAX_MINOR) continue;
    yield { text: match[0], minor: Number(match[1]), patch: Number(match[2] ?? 0) };
  }
}
