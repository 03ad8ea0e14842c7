// `safepoint syscalls`: what is supported of Linux.

import { Command } from 'commander';
import { SYSTEM_CALLS } from '../../src/index.ts';
import { examples, jsonOption } from '../options.ts';
import { EXIT_FINE, type Output, table } from '../output.ts';

const number = (n: number): string => (n < 0 ? '-' : String(n));

export function syscallsCommand(output: Output, done: (status: number) => void): Command {
  return new Command('syscalls')
    .description('the system calls that are supported, with their numbers on each ABI')
    .addOption(jsonOption())
    .addHelpText('after', examples(['syscalls', 'all of them'], ['syscalls --json', 'for a program to read']))
    .action((options: { readonly json?: boolean }) => {
      const calls = [...SYSTEM_CALLS].sort((a, b) => a.name.localeCompare(b.name, 'en'));
      if (options.json === true) {
        const document = calls.map(({ name, numbers: [amd64, o32, n64], support, note }) => ({
          name,
          numbers: { amd64, o32, n64 },
          support,
          note,
        }));
        output.out(`${JSON.stringify({ version: 1, calls: document }, null, 2)}\n`);
        return done(EXIT_FINE);
      }
      output.out(
        table([
          ['call', 'amd64', 'o32', 'n64', 'support', 'note'],
          ...calls.map((c) => [c.name, ...c.numbers.map(number), c.support, c.note]),
        ]),
      );
      output.out('\nOther calls fail with ENOSYS; `run --stats` counts them.\n');
      done(EXIT_FINE);
    });
}
