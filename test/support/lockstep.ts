// Two engines on one program, held against each other: the whole state every so many instructions, and where they part, the very
// instruction, found by running both again up to the last agreement and stepping on by ever smaller steps.

import { type Isa, isaFor } from '../../isa/index.ts';
import type { MakeCompiler } from '../../src/engine/compiler.ts';
import { Machine } from '../../src/engine/machine.ts';
import { GoProgram, NotGoError } from '../../src/goruntime/program.ts';
import { type CompilerStats, jit } from '../../src/jit/compiler.ts';
import type { CodeStore } from '../../src/jit/image.ts';
import type { FunctionExtents } from '../../src/jit/planner.ts';
import type { Policy } from '../../src/jit/policy.ts';
import { abiFor } from '../../src/linux/abi/index.ts';
import { vfsKernel } from '../../src/linux/calls/files.ts';
import { Process } from '../../src/linux/process.ts';
import { RecordedInput } from '../../src/linux/vfs/streams.ts';
import { Vfs } from '../../src/linux/vfs/vfs.ts';
import { type Elf, readElf } from '../../src/object/elf.ts';
import { fileOf } from '../../src/object/file.ts';

/** The extents of a program's Go functions, or undefined where it has no tables. */
export function extentsOf(elf: Elf): FunctionExtents | undefined {
  try {
    const { tables } = GoProgram.open(elf);
    return (pc) => {
      const func = tables.findfunc(pc);
      return func === undefined ? undefined : { start: func.entry, end: func.end };
    };
  } catch (error) {
    if (error instanceof NotGoError) return undefined;
    throw error;
  }
}

/** A program about to execute its first instruction. */
export function start(bytes: Uint8Array, args: readonly string[], compiler: MakeCompiler | undefined): Process {
  const elf = readElf(bytes);
  const isa = isaFor(elf.goarch);
  const machine = new Machine(isa, { limit: abiFor(isa.variant).taskSize, memorySize: 2 ** 30, compiler });
  const vfs = new Vfs({
    bigEndian: isa.variant.bigEndian,
    pid: 1000,
    uid: 1000,
    gid: 1000,
    files: [{ path: '/program', file: fileOf(bytes), mode: 0o755 }],
    input: new RecordedInput(() => new Uint8Array(0)),
    output: { write: () => undefined },
  });
  const process = Process.load({ machine, elf, files: vfs, args: ['program', ...args], env: [], path: '/program' });
  vfs.kernel = vfsKernel(process.kernel, vfs);
  return process;
}

/** Names of the registers that differ; `pending` counts only in a delay slot. */
export function differences(isa: Isa, a: Machine, b: Machine): string[] {
  const out: string[] = [];
  for (const r of isa.registers.all) {
    if (r === isa.registers.control.pending && !a.state.inSlot) continue;
    const [x, y] = [a.state.get(r), b.state.get(r)];
    if (x !== y) out.push(`${r.name} ${y.toString(16)}, not ${x.toString(16)}`);
  }
  if (a.instructions !== b.instructions) out.push(`${b.instructions} instructions, not ${a.instructions}`);
  return out;
}

export interface Agreement {
  readonly instructions: number;
  readonly stats: CompilerStats;
  /** Where the engines part, in words; undefined where they agree to the end. */
  readonly parted: string | undefined;
}

export interface LockstepOptions {
  readonly bytes: Uint8Array;
  readonly args?: readonly string[];
  /** Compare every so many instructions, and stop after so many. */
  readonly every: number;
  readonly until: number;
  readonly policy?: Partial<Policy>;
  /** Code of an earlier run to begin with. */
  readonly store?: CodeStore;
}

/** Runs a program under both engines. */
export function lockstep(options: LockstepOptions): Agreement {
  const extents = extentsOf(readElf(options.bytes));
  let agreed = 0;
  let { every } = options;
  for (;;) {
    let stats: CompilerStats | undefined;
    const args = options.args ?? [];
    const bridges = { bridgeThreshold: 2, exactThreshold: 2 };
    const policy = { threshold: 20, urgent: 40, warmUp: 0, alongThreshold: 2, ...bridges, ...options.policy };
    const a = start(options.bytes, args, undefined);
    const b = start(
      options.bytes,
      args,
      jit({
        extents,
        policy,
        store: options.store,
        onStats: (s) => {
          stats = s;
        },
      }),
    );
    if (agreed > 0) for (const p of [a, b]) p.run({ until: agreed });
    let before = '';
    for (;;) {
      const at = a.machine.state.pc;
      before = `${at.toString(16)} ${a.machine.code.at(at)?.decoded.text(at) ?? '?'}`;
      const until = agreed + every;
      const outcomes = [a, b].map((p) => p.run({ until }));
      const wrong = differences(a.machine.isa, a.machine, b.machine);
      if (outcomes[0]!.kind !== outcomes[1]!.kind) wrong.push(`${outcomes[1]!.kind}, not ${outcomes[0]!.kind}`);
      if (wrong.length > 0) {
        if (every === 1)
          return { instructions: agreed, stats: stats!, parted: `after ${agreed}, at ${before}: ${wrong.join('; ')}` };
        every = Math.max(1, Math.floor(every / 16));
        break;
      }
      agreed = a.machine.instructions;
      if (outcomes[0]!.kind !== 'instructions' || agreed >= options.until)
        return { instructions: agreed, stats: stats!, parted: undefined };
    }
  }
}
