// The program behind the executable for `run` and `exec` (cli/bin.ts): what they need and no more, because what is loaded takes time.

import { runCommandLine } from './command-line.ts';
import { execCommand, runCommand } from './commands/run.ts';
import { PROCESS_OUTPUT } from './output.ts';

const command = process.argv[2] === 'exec' ? execCommand : runCommand;

void runCommandLine([command], process.argv.slice(2), PROCESS_OUTPUT).then((status) => {
  // All is written: ended so, Node takes nothing apart.
  process.exit(status);
});
