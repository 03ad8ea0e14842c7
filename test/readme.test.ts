// The README's tables and the output of its demo are generated: `UPDATE=1 npx vitest run test/readme.test.ts` rewrites them.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { GOARCHES, isaFor, RULES, SYSTEM_CALLS } from '../src/index.ts';
import { compactRows, type Shown } from './ablation/table.ts';
import { listFixtures } from './support/fixtures.ts';

const path = new URL('../README.md', import.meta.url);

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

const range = ([from, before]: readonly [string, string?]): string =>
  before === undefined ? `${from} and later` : `${from} to before ${before}`;

const demo = fileURLToPath(new URL('../fixtures/demo.ts', import.meta.url));

const GENERATED: Readonly<Record<string, () => string>> = {
  demo: () => `\`\`\`\n${execFileSync(process.execPath, ['--import', 'tsx', demo], { encoding: 'utf8' })}\`\`\``,
  targets: () =>
    table(
      ['GOARCH', 'instructions', 'system calls', 'fixtures, by Go release'],
      GOARCHES.map((goarch) => {
        const column = goarch === 'amd64' ? 0 : goarch === 'mips' || goarch === 'mipsle' ? 1 : 2;
        const calls = SYSTEM_CALLS.filter((c) => c.numbers[column]! >= 0 && c.support !== 'refused').length;
        const fixtures = new Map<string, number>();
        for (const f of listFixtures().filter((x) => x.goarch === goarch && x.release !== 'none')) {
          fixtures.set(f.release, (fixtures.get(f.release) ?? 0) + 1);
        }
        const cells = [...fixtures].sort(([a], [b]) => a.localeCompare(b, 'en')).map(([r, n]) => `${r}: ${n}`);
        return [goarch, String(isaFor(goarch).clauses.length), String(calls), cells.join(', ')];
      }),
    ),
  ablations: () => {
    const shown = JSON.parse(readFileSync(new URL('ablation/table.data.json', import.meta.url), 'utf8')) as Shown[];
    return table(
      ['without', 'and what stands behind it', 'harm is shown on', 'for instance', 'what goes wrong'],
      compactRows(shown),
    );
  },
  rules: () =>
    table(
      ['rule', 'Go releases', 'what differs'],
      RULES.map((r) => [`\`${r.id}\``, r.releases.map(range).join('; '), r.what]),
    ),
};

describe('the README', () => {
  it.each(Object.keys(GENERATED))('shows %s as the code has it', (name) => {
    const text = readFileSync(path, 'utf8');
    const block = new RegExp(`(<!-- generated: ${name} -->\n)[\\s\\S]*?(\n<!-- end -->)`);
    expect(text).toMatch(block);
    const wanted = text.replace(block, (_all, head: string, tail: string) => head + GENERATED[name]!() + tail);
    if (process.env.UPDATE !== undefined) writeFileSync(path, wanted);
    else expect(text).toBe(wanted);
  });
});
