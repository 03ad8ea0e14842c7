// Every recorded case holds, and every clause has one.

import { describe, expect, test } from 'vitest';
import { GOARCHES, type Goarch, isaFor } from '../../../isa/index.ts';
import { check, formatCase, readCases } from '../../support/cases.ts';
import { casesByHand } from './by-hand.ts';

const TARGETS: readonly Goarch[] = GOARCHES.filter((goarch) => goarch !== 'amd64');

describe.each(TARGETS)('%s', (goarch) => {
  const isa = isaFor(goarch);
  const files = readCases(goarch);

  test.each([...files.keys()])('does what the judges say: %s', (file) => {
    const wrong = files.get(file)!.flatMap(({ place, text, test: c }) => {
      const lines = check(isa, c);
      return lines.length === 0 ? [] : [`${place}: ${lines.join(', ')}\n    ${text}`];
    });
    expect(wrong.join('\n')).toBe('');
  });

  test('does what the manual says where no judge can tell', () => {
    const wrong = casesByHand(isa.variant).flatMap((c) => check(isa, c).map((line) => `${line}: ${formatCase(c)}`));
    expect(wrong).toEqual([]);
  });

  test('every clause is executed by a case', () => {
    const seen = new Set<string>();
    const recorded = [...files.values()].flat().map(({ test: c }) => c);
    for (const c of [...recorded, ...casesByHand(isa.variant)]) {
      for (let at = 0; at < c.code.length && at < 4 * c.count; at += 4) {
        const decoded = isa.decode(c.code, at);
        if (typeof decoded === 'object') seen.add(decoded.clause.name);
      }
    }
    expect(isa.clauses.map(({ name }) => name).filter((name) => !seen.has(name))).toEqual([]);
  });
});
