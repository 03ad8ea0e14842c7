// All commands.

import { type MakeCommand, runCommandLine } from './command-line.ts';
import { benchCommand } from './commands/bench.ts';
import { disasmCommand } from './commands/disasm.ts';
import { explainCommand } from './commands/explain.ts';
import { funcsCommand } from './commands/funcs.ts';
import { goroutinesCommand } from './commands/goroutines.ts';
import { infoCommand } from './commands/info.ts';
import { isaCommand } from './commands/isa.ts';
import { mapCommand } from './commands/map.ts';
import { execCommand, runCommand } from './commands/run.ts';
import { stepCommand } from './commands/step.ts';
import { sweepCommand } from './commands/sweep.ts';
import { syscallsCommand } from './commands/syscalls.ts';
import { verifyCommand } from './commands/verify.ts';
import { type Output, PROCESS_OUTPUT } from './output.ts';

const COMMANDS: readonly MakeCommand[] = [
  runCommand,
  execCommand,
  explainCommand,
  mapCommand,
  verifyCommand,
  stepCommand,
  goroutinesCommand,
  sweepCommand,
  infoCommand,
  disasmCommand,
  funcsCommand,
  syscallsCommand,
  isaCommand,
  benchCommand,
];

/** Runs one command line. Resolves to the exit status. */
export const main = (args: readonly string[], output: Output = PROCESS_OUTPUT): Promise<number> =>
  runCommandLine(COMMANDS, args, output);
