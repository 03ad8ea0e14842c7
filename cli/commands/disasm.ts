// `safepoint disasm`: instructions with their bytes, text and source lines.

import { Command } from 'commander';
import { instructionsOf, isaFor } from '../../src/index.ts';
import { examples } from '../options.ts';
import { EXIT_FINE, hex, type Output, table } from '../output.ts';
import { openGoProgram, textOf } from '../program.ts';
import { functionsOf } from './map.ts';

export function disasmCommand(output: Output, done: (status: number) => void): Command {
  return new Command('disasm')
    .description('the instructions of a function, or of the whole program')
    .argument('<PROG>', 'a Go program')
    .argument('[FUNC]', 'a function, or a regular expression over names; all functions when absent')
    .addHelpText('after', examples(['disasm ./a.out main.work', 'one function, with its source lines']))
    .action((path: string, name: string | undefined) => {
      const program = openGoProgram(path);
      const isa = isaFor(program.arch.goarch);
      for (const f of functionsOf(path, program, name)) {
        const rows: string[][] = [];
        let lastSource = '';
        for (const listed of instructionsOf(isa, program.image, f.entry, f.end)) {
          const { pc, bytes } = listed;
          const { file, line } = program.tables.fileLine(f, pc);
          const source = file === undefined ? '' : `${file.slice(file.lastIndexOf('/') + 1)}:${line}`;
          const text = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
          rows.push([`  ${hex(pc)}`, source === lastSource ? '' : source, text, textOf(program, listed)]);
          lastSource = source;
        }
        output.out(`${f.name}:\n${table(rows)}\n`);
      }
      done(EXIT_FINE);
    });
}
