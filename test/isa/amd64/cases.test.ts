// Every recorded case holds, every clause has one, and every effect keeps the rules of op lists.

import { describe, expect, test } from 'vitest';
import { isaFor } from '../../../isa/index.ts';
import { writtenOut } from '../../../src/uop/ops.ts';
import { record } from '../../../src/uop/record.ts';
import { verify } from '../../../src/uop/verify.ts';
import { check, readCases } from '../../support/cases.ts';

describe('amd64', () => {
  const isa = isaFor('amd64');
  const files = readCases('amd64');
  const cases = [...files.values()].flat();

  test.each([...files.keys()])('does what the judges say: %s', { timeout: 60_000 }, (file) => {
    const wrong = files.get(file)!.flatMap(({ place, text, test: c }) => {
      const lines = check(isa, c);
      return lines.length === 0 ? [] : [`${place}: ${lines.join(', ')}\n    ${text}`];
    });
    expect(wrong.join('\n')).toBe('');
  });

  test('every clause is executed by a case', () => {
    const seen = new Set<string>();
    for (const { test: c } of cases) {
      const decoded = isa.decode(c.code, 0);
      if (typeof decoded === 'object') seen.add(decoded.clause.name);
    }
    expect(isa.clauses.map(({ name }) => name).filter((name) => !seen.has(name))).toEqual([]);
  });

  test('whatever may fault comes before every change of state', () => {
    const wrong = cases.flatMap(({ test: c, place }) => {
      const decoded = isa.decode(c.code, 0);
      if (typeof decoded !== 'object') return [];
      return verify(writtenOut(record(isa.variant, (e) => decoded.effect(e)))).map((line) => `${place}: ${line}`);
    });
    expect(wrong).toEqual([]);
  });
});
