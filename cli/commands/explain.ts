// `safepoint explain`: the verdict at a place, check by check.

import { Command, Option } from 'commander';
import { type CheckId, SafePoints } from '../../src/index.ts';
import { address, examples, jsonOption, rulesOf, rulesOption, withoutOption } from '../options.ts';
import { EXIT_FINE, hex, type Output, table } from '../output.ts';
import { openGoProgram, userErrors } from '../program.ts';

interface Options {
  readonly lr?: number;
  readonly rules: string;
  readonly without: ReadonlySet<CheckId>;
  readonly json?: boolean;
}

export function explainCommand(output: Output, done: (status: number) => void): Command {
  return new Command('explain')
    .description('the verdict of isAsyncSafePoint at a place: each check in order, with the table values behind it')
    .argument('<PROG>', 'a Go program')
    .argument('<LOC>', '0xADDR, func, func+0xOFF or file.go:LINE')
    .addOption(
      new Option('--lr <addr>', 'the link register at the interrupt (MIPS): PC+8 is a half-executed call').argParser(
        address,
      ),
    )
    .addOption(rulesOption())
    .addOption(withoutOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        ['explain ./a.out main.go:42', 'may a goroutine be preempted there?'],
        ['explain --lr 0xc50a4 ./a.mips 0xc509c', 'between a MIPS call and its delay slot (LR is PC+8)'],
        ['explain --rules 1.19 --json ./a.out main.work+0x1c', 'as another release would judge'],
      ),
    )
    .addHelpText(
      'after',
      '\nThe checks of goroutine, M and stack need a running program; `run --preempt` and `step` make them.',
    )
    .action((path: string, loc: string, options: Options) => {
      const program = openGoProgram(path);
      const { pcs } = userErrors(path, () => program.locate(loc));
      const pc = pcs[0]!;
      const rules = rulesOf(program, options.rules);
      const points = new SafePoints(program.tables, program.arch, { rules, without: options.without });
      const verdict = points.isAsyncSafePointPC(pc, options.lr ?? 0);
      const f = program.tables.findfunc(pc);
      const { file, line } = f === undefined ? { file: undefined, line: 0 } : program.tables.fileLine(f, pc);
      if (options.json === true) {
        const document = {
          version: 1,
          pc,
          func: f?.name ?? null,
          file: file ?? null,
          line,
          rules: rules.name,
          verdict: verdict.verdict,
          resume: verdict.safe ? verdict.resume : null,
          check: verdict.check ?? null,
          reason: verdict.reason,
          checks: verdict.checks,
        };
        output.out(`${JSON.stringify(document, null, 2)}\n`);
        return done(EXIT_FINE);
      }
      const where = f === undefined ? hex(pc) : `${hex(pc)} ${f.name}+${hex(pc - f.entry)}`;
      output.out(`${where}${file === undefined ? '' : `  ${file}:${line}`}\n`);
      output.out(`${program.release.text} ${program.arch.goarch}, rules ${rules.name}\n\n`);
      const off = (check: CheckId): boolean => options.without.has(check);
      output.out(
        table(verdict.checks.map((c) => [`  ${c.check}`, off(c.check) ? 'off' : c.pass ? 'pass' : 'refuse', c.detail])),
      );
      const resume = verdict.verdict === 'restart' ? `, resumes at ${hex(verdict.resume)}` : '';
      output.out(`\n${verdict.verdict}${resume}: ${verdict.reason}\n`);
      if (pcs.length > 1)
        output.out(
          `(${loc} is at ${pcs.length} places; this is the first. Others: ${pcs.slice(1, 6).map(hex).join(' ')})\n`,
        );
      done(EXIT_FINE);
    });
}
