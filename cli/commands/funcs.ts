// `safepoint funcs`: the functions of a program.

import { Command } from 'commander';
import { examples } from '../options.ts';
import { EXIT_FINE, hex, type Output } from '../output.ts';
import { openGoProgram } from '../program.ts';
import { functionsOf } from './map.ts';

export function funcsCommand(output: Output, done: (status: number) => void): Command {
  return new Command('funcs')
    .description('the functions of a program: address, size, frame, name')
    .argument('<PROG>', 'a Go program')
    .argument('[FUNC]', 'a function, or a regular expression over names')
    .addHelpText('after', examples(["funcs ./a.out '^main\\.'", 'the functions of package main']))
    .action((path: string, name: string | undefined) => {
      const program = openGoProgram(path);
      for (const f of functionsOf(path, program, name)) {
        const size = String(f.end - f.entry).padStart(7);
        const frame = String(program.tables.funcMaxSPDelta(f)).padStart(6);
        const kind = f.funcIDName !== undefined && f.funcIDName !== 'normal' ? `  (${f.funcIDName})` : '';
        output.out(`${hex(f.entry)} ${size} ${frame}  ${f.name}${kind}\n`);
      }
      done(EXIT_FINE);
    });
}
