#!/usr/bin/env node
// The executable: what `safepoint` runs. It sets V8's flags and loads a program (cli/entry.ts, cli/entry-run.ts), whose bytecode is kept
// from run to run: compiling it takes a tenth of a second, as long as Node's own start.

import { closeSync, openSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { buildIdentity, CacheFile, cacheDirectory, readAt, Scratch } from './cache.ts';
import { EXIT_BAD_INPUT } from './output.ts';

/** How V8 is to work here, each with the reason; the measurements stand in test/bench/README.md. */
function setFlags(): void {
  // Bytes of bytecode that a function runs before V8 optimises it. The start of a program executes thousands of different instructions a
  // few times each, and V8 would spend as long on optimising what decodes and evaluates them as the run takes. V8 12 has no such flag.
  if (Number.parseInt(process.versions.v8, 10) < 12) setFlagsFromString('--interrupt-budget=200000');
  // The same for WebAssembly, by default 1,800,000: what is compiled in vain takes the processor from the program.
  setFlagsFromString('--wasm-tiering-budget=10000000');
  // By how much the old generation may grow before garbage is looked for. V8 lets it grow fourfold where that is quick.
  setFlagsFromString('--heap-growing-percent=12');
  // A module is made of valid code, and only some of its functions run.
  setFlagsFromString('--wasm-lazy-validation');
  // V8 forgets bytecode that no garbage collection has seen used for a while: after a long run, all that its start needed, which is what is kept.
  setFlagsFromString('--no-flush-bytecode');
  // What compiled code says about its branches keeps the way past a TLB's hit free of what only a miss needs: half of `json`'s time.
  setFlagsFromString('--experimental-wasm-branch-hinting');
}

/** Where the bytecode is that a command needs. */
function bytecodeFor(file: string, command: string | undefined): CacheFile | undefined {
  const directory = cacheDirectory();
  if (directory === undefined || command === undefined || !/^[a-z]+$/.test(command)) return undefined;
  return new CacheFile(directory, `${buildIdentity(file)} ${command}`, 'bytecode');
}

/** How many runs say which functions' bytecode is kept; its file ends with the number of the last one that did. */
const RUNS = 2;

type Program = (
  exports: object,
  require: (name: string) => unknown,
  module: object,
  __filename: string,
  __dirname: string,
) => void;

/** A program's text; esbuild writes no letters but those of ASCII. */
function textOf(file: string, scratch: Scratch): string {
  const bytes = scratch.take(statSync(file).size);
  const open = openSync(file, 'r');
  readAt(open, bytes, 0);
  closeSync(open);
  return Buffer.from(bytes.buffer, 0, bytes.length).toString('latin1');
}

/** The value of a file that `cli/bundle.ts` made, which is an expression; its bytecode is kept. */
function evaluate(file: string): unknown {
  const kept = bytecodeFor(file, process.argv[2]);
  const scratch = new Scratch();
  const text = textOf(file, scratch);
  const head = kept?.read(scratch);
  const cachedData = head?.subarray(0, -1);
  const runs = head?.at(-1);
  const script = new Script(text, { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
  // What was compiled by the end is what a run needs. The first one compiles code, the second one finds it: other functions do that.
  const run = script.cachedDataRejected === false ? runs! + 1 : 0;
  if (kept !== undefined && run < RUNS) {
    process.once('exit', (status) => {
      if (status !== EXIT_BAD_INPUT) kept.write(Buffer.concat([script.createCachedData(), Uint8Array.of(run)]));
    });
  }
  return script.runInThisContext();
}

/** Executes a program, which may ask for files beside it. */
function load(file: string): void {
  if (process.env.SAFEPOINT_DEBUG !== undefined) {
    // Stacks speak of the sources.
    process.setSourceMapsEnabled(true);
    require(file);
    return;
  }
  const folder = dirname(file);
  const ask = (name: string): unknown => (name.startsWith('./') ? evaluate(join(folder, name)) : require(name));
  (evaluate(file) as Program)({}, ask, {}, file, folder);
}

setFlags();
const program = process.argv[2] === 'run' || process.argv[2] === 'exec' ? 'entry-run' : 'entry';
load(join(import.meta.dirname, `${program}.cjs`));
