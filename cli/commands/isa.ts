// `safepoint isa`: the instructions that are supported.

import { Argument, Command } from 'commander';
import { GOARCHES, type Goarch, isaFor } from '../../src/index.ts';
import { examples } from '../options.ts';
import { EXIT_FINE, type Output, table } from '../output.ts';

export function isaCommand(output: Output, done: (status: number) => void): Command {
  return new Command('isa')
    .description('the instructions that are supported, by family')
    .addArgument(new Argument('[GOARCH]', 'one target; a summary of all when absent').choices(GOARCHES))
    .addHelpText('after', examples(['isa', 'how many, by family'], ['isa mips64le', 'each with its bit pattern']))
    .action((goarch: Goarch | undefined) => {
      if (goarch !== undefined) {
        output.out(table(isaFor(goarch).clauses.map((c) => [c.family, c.name, c.pattern])));
        return done(EXIT_FINE);
      }
      const rows = GOARCHES.map((g) => {
        const isa = isaFor(g);
        const families = new Map<string, number>();
        for (const clause of isa.clauses) families.set(clause.family, (families.get(clause.family) ?? 0) + 1);
        return [g, `${isa.clauses.length} clauses`, [...families].map(([f, n]) => `${f} ${n}`).join(', ')];
      });
      output.out(table(rows));
      done(EXIT_FINE);
    });
}
