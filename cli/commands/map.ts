// `safepoint map`: every instruction with its verdict.

import { Command } from 'commander';
import {
  type CheckId,
  type Func,
  functionsNamed,
  type GoProgram,
  instructionsOf,
  isaFor,
  SafePoints,
} from '../../src/index.ts';
import { examples, jsonOption, rulesOf, rulesOption, withoutOption } from '../options.ts';
import { EXIT_FINE, hex, type Output, Progress, table } from '../output.ts';
import { openGoProgram, textOf, userErrors } from '../program.ts';

interface Options {
  readonly rules: string;
  readonly without: ReadonlySet<CheckId>;
  readonly json?: boolean;
}

/** Functions by exact name, else by regular expression over names; all when no name is given. @throws UserError */
export function functionsOf(path: string, program: GoProgram, name: string | undefined): readonly Func[] {
  if (name === undefined) return [...program.tables.funcs()];
  return userErrors(path, () => functionsNamed(program.tables, name));
}

export function mapCommand(output: Output, done: (status: number) => void): Command {
  return new Command('map')
    .description('every instruction with its verdict and what decided, and the totals')
    .argument('<PROG>', 'a Go program')
    .argument('[FUNC]', 'a function, or a regular expression over names; all functions when absent')
    .addOption(rulesOption())
    .addOption(withoutOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        ['map ./a.out main.work', 'each instruction of a function, and why not'],
        ["map ./a.out '^mypkg\\.'", 'a package'],
        ['map --without prefix --json ./a.out', 'all of a program, as it would be without a check'],
      ),
    )
    .action((path: string, name: string | undefined, options: Options) => {
      const program = openGoProgram(path);
      const isa = isaFor(program.arch.goarch);
      const rules = rulesOf(program, options.rules);
      const points = new SafePoints(program.tables, program.arch, { rules, without: options.without });
      const functions = functionsOf(path, program, name);
      const totals = { safe: 0, unsafe: 0, restart: 0 };
      const progress = new Progress(output);
      if (options.json === true) output.out('{"version":1,"funcs":[');
      for (const [i, f] of functions.entries()) {
        progress.tick(() => `${i} of ${functions.length} functions`);
        const own = { safe: 0, unsafe: 0, restart: 0 };
        const rows: string[][] = [];
        const found: { pc: number; verdict: string; check: string | null; line: number }[] = [];
        let lastLine = '';
        for (const listed of instructionsOf(isa, program.image, f.entry, f.end)) {
          const { pc } = listed;
          const verdict = points.isAsyncSafePointPC(pc);
          own[verdict.verdict]++;
          const { file, line } = program.tables.fileLine(f, pc);
          if (options.json === true) {
            found.push({ pc, verdict: verdict.verdict, check: verdict.check ?? null, line });
          } else if (name !== undefined) {
            const source = file === undefined ? '' : `${file.slice(file.lastIndexOf('/') + 1)}:${line}`;
            rows.push([
              `  ${hex(pc)}`,
              verdict.verdict === 'restart' ? `restart ${hex(verdict.resume)}` : verdict.verdict,
              verdict.safe ? '' : (verdict.check ?? ''),
              source === lastLine ? '' : source,
              textOf(program, listed),
            ]);
            lastLine = source;
          }
        }
        for (const kind of ['safe', 'unsafe', 'restart'] as const) totals[kind] += own[kind];
        if (options.json === true) {
          output.out(
            `${i === 0 ? '' : ','}${JSON.stringify({ name: f.name, entry: f.entry, end: f.end, points: found })}`,
          );
        } else {
          output.out(`${f.name}  ${summary(own)}\n`);
          if (name !== undefined) output.out(`${table(rows)}\n`);
        }
      }
      progress.end();
      if (options.json === true) output.out(`],"totals":${JSON.stringify(totals)}}\n`);
      else output.out(`${functions.length} functions: ${summary(totals)}\n`);
      done(EXIT_FINE);
    });
}

function summary(totals: { safe: number; unsafe: number; restart: number }): string {
  const all = totals.safe + totals.unsafe + totals.restart;
  const share = all === 0 ? 0 : ((totals.safe + totals.restart) / all) * 100;
  return `${totals.safe} safe, ${totals.restart} restart, ${totals.unsafe} unsafe (${share.toFixed(1)} % can be preempted)`;
}
