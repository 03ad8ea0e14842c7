// The program behind the executable (cli/bin.ts). The build makes one file of everything that this imports: worker threads begin here
// too, and find their own work there.

import { isMainThread } from 'node:worker_threads';
import { main } from './main.ts';

if (isMainThread)
  void main(process.argv.slice(2)).then((status) => {
    process.exitCode = status;
  });
