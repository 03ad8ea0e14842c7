import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { archOf, type Goarch } from '../../src/arch/arch.ts';
import { structOffsets } from '../../src/goruntime/facts/structs.ts';
import { rulesFor } from '../../src/goruntime/preempt-rules.ts';
import { parseRelease } from '../../src/goruntime/version.ts';

type Offsets = Record<string, number>;
const golden: { releases: Record<string, Record<string, Record<'g' | 'm' | 'p', Offsets>>> } = JSON.parse(
  readFileSync(new URL('./golden/struct-offsets.json', import.meta.url), 'utf8'),
);

/** `stack.lo` is `stackLo` here. */
const camel = (field: string): string => field.replace(/\.(\w)/g, (_, c: string) => c.toUpperCase());
const release = (text: string) => parseRelease(text)!;

describe('offsets of g, m and p', () => {
  for (const [name, targets] of Object.entries(golden.releases)) {
    for (const [target, structs] of Object.entries(targets)) {
      test(`Go ${name} for ${target} are those of its DWARF`, () => {
        // The measured 1.23 program was built by 1.23.5 or another patch before 1.23.12.
        const ours = structOffsets(archOf(target as Goarch), release(name));
        for (const struct of ['g', 'm', 'p'] as const) {
          const have = ours[struct] as unknown as Record<string, number | undefined>;
          for (const [field, offset] of Object.entries(structs[struct])) {
            expect([struct, field, have[camel(field)]]).toEqual([struct, field, offset]);
          }
        }
      });
    }
  }

  test('move in patch releases', () => {
    const gen = (text: string, goarch: Goarch) => structOffsets(archOf(goarch), release(text)).m.preemptGen;
    expect([gen('1.16.3', 'amd64'), gen('1.16.4', 'amd64')]).toEqual([840, 848]);
    expect([gen('1.18.1', 'mips'), gen('1.18.2', 'mips')]).toEqual([464, 468]);
    expect([gen('1.23.11', 'mips64le'), gen('1.23.12', 'mips64le')]).toEqual([880, 904]);
    const preempt = (text: string) => structOffsets(archOf('amd64'), release(text)).p.preempt;
    expect([preempt('1.16.6'), preempt('1.16.7')]).toEqual([10000, 9992]);
  });
});

describe('rules by release', () => {
  const rules = (text: string) => rulesFor(release(text), 'mips');

  test('the seed is the text of Go 1.15 to 1.17', () => {
    const { name: _, note: __, ...seed } = rulesFor('seed', 'mips');
    for (const text of ['1.15', '1.16.15', '1.17.13']) {
      const { name: _name, note: _note, ...others } = rules(text);
      expect(others).toEqual(seed);
    }
    expect(rules('1.18').unsafePoint).toBe('not-unsafe');
    expect(rules('1.14').unsafePoint).toBe('not-unsafe');
    expect(rules('1.14').restart).toBe(false);
  });

  test('internal/runtime/ is refused from 1.23.8 and 1.24.2 on', () => {
    const refused = (text: string) => rules(text).prefixes.includes('internal/runtime/');
    expect(['1.22.12', '1.23.7', '1.24.0', '1.24.1'].map(refused)).toEqual([false, false, false, false]);
    expect(['1.23.8', '1.23.12', '1.24.2', '1.25', '1.27'].map(refused)).toEqual([true, true, true, true, true]);
    expect(rules('1.25').prefixes).not.toContain('runtime/internal/');
  });

  test('a release newer than the newest known says so, and one before 1.14 that it cannot', () => {
    expect(rules('1.27').note).toBeUndefined();
    expect(rulesFor(release('go1.31.2'), 'mips').note).toMatch(/go1\.31\.2 is newer than Go 1\.27/);
    expect(rulesFor(release('go1.13'), 'mips').note).toMatch(/no asynchronous preemption/);
  });
});

describe('release texts', () => {
  test.each([
    ['go1.26.5', 26, 5],
    ['go1.27rc1', 27, 0],
    ['devel go1.28-abcdef Mon', 28, 0],
    ['go1.23.12 X:nocoverageredesign', 23, 12],
    ['1.19', 19, 0],
  ])('%s', (text, minor, patch) => {
    expect(parseRelease(text)).toMatchObject({ minor, patch });
  });
  test('other texts are no release', () => {
    for (const text of ['', 'devel', 'go2.1', 'cargo1', 'go1.x']) expect(parseRelease(text)).toBeUndefined();
  });
});
