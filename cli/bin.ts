#!/usr/bin/env node
// The executable: what `safepoint` runs.

import { setFlagsFromString } from 'node:v8';
import { isMainThread } from 'node:worker_threads';
import { main } from './main.ts';

/** How V8 is to work here, each with the reason; the measurements stand in test/bench/README.md. */
function setFlags(): void {
  // Bytes of bytecode that a function runs before V8 optimises it. The start of a program executes thousands of different instructions a
  // few times each, and V8 would spend as long on optimising what decodes and evaluates them as the run takes. V8 12 has no such flag.
  if (Number.parseInt(process.versions.v8, 10) < 12) setFlagsFromString('--interrupt-budget=200000');
  // The same for WebAssembly, by default 1,800,000: what is compiled in vain takes the processor from the program.
  setFlagsFromString('--wasm-tiering-budget=10000000');
  // A module is made of valid code, and only some of its functions run.
  setFlagsFromString('--wasm-lazy-validation');
  // What compiled code says about its branches keeps the way past a TLB's hit free of what only a miss needs: half of `json`'s time.
  setFlagsFromString('--experimental-wasm-branch-hinting');
}

if (isMainThread) setFlags();

// The build makes one file of everything that this imports: worker threads begin here too, and find their own work there.
if (isMainThread) process.exitCode = await main(process.argv.slice(2));
