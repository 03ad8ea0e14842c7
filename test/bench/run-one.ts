// Runs one program as `safepoint run` does and says on stderr where the time went: the inside of the bench, and a tool to profile with.
// Usage: tsx test/bench/run-one.ts [--evaluate] [--policy NAME=NUMBER]… PROGRAM [ARG…]

import { readFileSync, writeSync } from 'node:fs';
import { isaFor } from '../../isa/index.ts';
import { Machine } from '../../src/engine/machine.ts';
import { GoProgram, NotGoError } from '../../src/goruntime/program.ts';
import { type CompilerStats, jit } from '../../src/jit/compiler.ts';
import type { FunctionExtents } from '../../src/jit/planner.ts';
import { abiFor } from '../../src/linux/abi/index.ts';
import { vfsKernel } from '../../src/linux/calls/files.ts';
import { Process } from '../../src/linux/process.ts';
import { RecordedInput } from '../../src/linux/vfs/streams.ts';
import { Vfs } from '../../src/linux/vfs/vfs.ts';
import { readElf } from '../../src/object/elf.ts';

const argv = process.argv.slice(2);
const policy: Record<string, number> = {};
let evaluate = false;
while (argv[0]?.startsWith('--')) {
  const option = argv.shift();
  if (option === '--evaluate') evaluate = true;
  else if (option === '--policy') {
    const [name = '', value = '0'] = argv.shift()!.split('=');
    policy[name] = Number(value);
  }
}
const [path, ...args] = argv;
const elf = readElf(readFileSync(path!));
const isa = isaFor(elf.goarch);
let extents: FunctionExtents | undefined;
try {
  const { tables } = GoProgram.open(elf);
  extents = (pc) => {
    const func = tables.findfunc(pc);
    return func === undefined ? undefined : { start: func.entry, end: func.end };
  };
} catch (error) {
  if (!(error instanceof NotGoError)) throw error;
}
let stats: CompilerStats | undefined;
const onStats = (s: CompilerStats): void => {
  stats = s;
};
const machine = new Machine(isa, {
  limit: abiFor(isa.variant).taskSize,
  compiler: evaluate ? undefined : jit({ extents, policy, onStats }),
});
const vfs = new Vfs({
  bigEndian: isa.variant.bigEndian,
  pid: 1000,
  uid: 1000,
  gid: 1000,
  files: [{ path: '/program', file: elf.file, mode: 0o755 }],
  input: new RecordedInput(() => new Uint8Array(0)),
  output: { write: (stream, chunk) => void writeSync(stream, chunk) },
});
const guest = Process.load({ machine, elf, files: vfs, args: [path!, ...args], env: [], path: '/program' });
vfs.kernel = vfsKernel(guest.kernel, vfs);
const began = performance.now();
const outcome = guest.run();
const seconds = (performance.now() - began) / 1000;
const n = machine.instructions;
console.error(JSON.stringify(outcome, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v)));
console.error(`${n} instructions in ${seconds.toFixed(3)} s, ${(n / seconds / 1e6).toFixed(1)} million a second`);
if (stats !== undefined) console.error(JSON.stringify(stats));
