// Writes test/ablation/README.md: every ablation on every target and release that it names. `npx tsx test/ablation/generate.ts [CHECK,…]`
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ABLATIONS } from './cases.ts';
import { markdown, type Shown, show } from './table.ts';

const HERE = import.meta.dirname;
const DATA = join(HERE, 'table.data.json');

const chosen = process.argv[2]?.split(',');
const known: Shown[] = existsSync(DATA) ? (JSON.parse(readFileSync(DATA, 'utf8')) as Shown[]) : [];
const table: Shown[] = [];
for (const ablation of ABLATIONS) {
  for (const release of ablation.releases) {
    for (const goarch of ablation.goarches) {
      const same = (s: Shown): boolean =>
        s.check === ablation.check && s.goarch === goarch && s.release === release && s.fixture === ablation.fixture;
      const old = known.find(same);
      const wanted = chosen === undefined || chosen.includes(ablation.check);
      if (!wanted && old === undefined) continue;
      const row = wanted ? await show(ablation, goarch, release) : old!;
      if (wanted) {
        const { harm, kept } = row;
        const what = harm === undefined ? 'no harm' : `${harm.oracle} at ${harm.func}: ${harm.detail.slice(0, 100)}`;
        process.stdout.write(`${row.check} ${goarch} ${release}: ${what} (with it: ${kept.failures} failures)\n`);
      }
      table.push(row);
    }
  }
  writeFileSync(DATA, `${JSON.stringify(table, null, 2)}\n`);
}
writeFileSync(DATA, `${JSON.stringify(table, null, 2)}\n`);
writeFileSync(join(HERE, 'README.md'), markdown(table, ABLATIONS));
