#!/usr/bin/env node
// The executable: what `safepoint` runs.

import { isMainThread } from 'node:worker_threads';
import { main } from './main.ts';

// The build makes one file of everything that this imports: worker threads begin here too, and find their own work there.
if (isMainThread) process.exitCode = await main(process.argv.slice(2));
