// `safepoint info`: what a program is.

import { Command } from 'commander';
import { GoProgram, NotGoError } from '../../src/index.ts';
import { examples, jsonOption } from '../options.ts';
import { EXIT_FINE, hex, type Output, table } from '../output.ts';
import { openElf } from '../program.ts';

export function infoCommand(output: Output, done: (status: number) => void): Command {
  return new Command('info')
    .description('what a program is: target, Go release, tables, and which rules decide')
    .argument('<PROG>', 'a static ELF program')
    .addOption(jsonOption())
    .addHelpText('after', examples(['info ./a.out', 'which release built it, and which rules decide']))
    .action((path: string, options: { readonly json?: boolean }) => {
      const elf = openElf(path);
      let program: GoProgram | undefined;
      let notGo = '';
      try {
        program = GoProgram.open(elf);
      } catch (error) {
        if (!(error instanceof NotGoError)) throw error;
        notGo = error.message;
      }
      const document = {
        version: 1,
        goarch: elf.goarch,
        entry: elf.entry,
        go: program?.release.text ?? null,
        goSource: program?.releaseSource ?? null,
        pclntab: program === undefined ? null : { address: program.tables.table.addr, functions: program.tables.nfunc },
        moduledata: program?.tables.module?.addr ?? null,
        asyncPreempt: program?.addressOf('runtime.asyncPreempt') ?? null,
        asyncPreemptStack: program?.asyncPreemptStack() ?? null,
        rules: program?.rules.rows.map((r) => r.id) ?? [],
        notes: program?.notes ?? [notGo],
      };
      if (options.json === true) {
        output.out(`${JSON.stringify(document, null, 2)}\n`);
        return done(EXIT_FINE);
      }
      const rows: string[][] = [
        ['target', `linux/${elf.goarch}, entry ${hex(elf.entry)}`],
        [
          'built by',
          program === undefined ? `unknown: ${notGo}` : `${program.release.text} (from ${program.releaseSource})`,
        ],
      ];
      if (program !== undefined) {
        const { tables } = program;
        rows.push([
          'tables',
          `${tables.nfunc} functions, pclntab at ${hex(tables.table.addr)} (layout of Go ${tables.table.releases})`,
        ]);
        rows.push(['text', `${hex(tables.minpc)} to ${hex(tables.maxpc)}`]);
        if (document.asyncPreempt !== null) {
          rows.push([
            'injection',
            `runtime.asyncPreempt at ${hex(document.asyncPreempt)}, needs ${document.asyncPreemptStack} bytes of stack`,
          ]);
        }
        for (const [i, rule] of program.rules.rows.entries())
          rows.push([i === 0 ? 'rules' : '', `${rule.id}: ${rule.what}`]);
        for (const note of program.notes) rows.push(['note', note]);
      }
      output.out(table(rows));
      done(EXIT_FINE);
    });
}
