// A session: one program loaded and ready to run, with its Go model and its timer. What commands and the API drive.

import { statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { isaFor } from '../../isa/index.ts';
import { type Arch, archOf } from '../arch/arch.ts';
import { Machine } from '../engine/machine.ts';
import type { CheckId } from '../goruntime/safe-points.ts';
import type { ThreadView } from '../goruntime/view.ts';
import { jit } from '../jit/compiler.ts';
import type { CodeStore } from '../jit/image.ts';
import type { Inside } from '../jit/inside.ts';
import { abiFor } from '../linux/abi/index.ts';
import { HostTimes } from '../linux/host-time.ts';
import type { KernelSnapshot } from '../linux/kernel.ts';
import { LoaderError } from '../linux/loader.ts';
import { type InterruptSource, type Outcome, Process, type RunOptions } from '../linux/process.ts';
import { RecordedInput } from '../linux/vfs/streams.ts';
import { type DirectoryMapping, Vfs, type VfsOptions } from '../linux/vfs/vfs.ts';
import { type Elf, ElfError, readElf } from '../object/elf.ts';
import type { ProgramFile } from '../object/file.ts';
import { type Go, type Interrupts, interruptsOf, type OpenedGo, openGo } from './go.ts';
import type { GuestCounts } from './guest-handler.ts';
import type { InterruptCounts } from './host-handler.ts';
import { CompilerWatch, type HostStats } from './host-stats.ts';
import { InputError } from './input-error.ts';
import { encodeProfile, InstructionCounts } from './profile.ts';
import type { ServedKinds } from './request-log.ts';
import type { Schedule } from './schedule.ts';
import { TraceHash } from './trace-hash.ts';
import { type Thread, threadOf } from './view.ts';

export interface SessionOptions {
  /** argv[0], and the guest's name for its own file. */
  readonly path: string;
  readonly args?: readonly string[];
  /** `NAME=VALUE` each; the guest sees no other environment. */
  readonly env?: readonly string[];
  readonly cpus?: number;
  readonly seed?: number;
  /** `HOST[:GUEST][:ro]` each; the guest's path is the host's where none is given. The first one is the working directory. */
  readonly dirs?: readonly string[];
  readonly schedule?: Schedule;
  readonly handler?: 'host' | 'guest';
  /** `auto`, `seed` or a release. */
  readonly rules?: string;
  readonly without?: ReadonlySet<CheckId>;
  readonly traceHash?: boolean;
  /** Count the executions of every instruction: see Session.profile. */
  readonly profile?: boolean;
  /** Measure where the host's time goes, for `stats`. */
  readonly hostTimes?: boolean;
  /** `compile` (the default) runs hot code as WebAssembly; `evaluate` is the exact reference. Both execute the same instructions. */
  readonly engine?: 'compile' | 'evaluate';
  /** Where compiled code of this very program is kept from run to run: see Session.keepCode. Nowhere by default. */
  readonly codeStore?: CodeStore | undefined;
  readonly maxInstructions?: number;
  readonly strace?: (line: string) => void;
  /** Bytes of standard input when the guest wants some; null at its end. */
  readonly stdin?: (length: number) => Uint8Array | null;
  readonly stdout?: (bytes: Uint8Array) => void;
  readonly stderr?: (bytes: Uint8Array) => void;
}

/** How a program ended, or why it was stopped. `status` is the exit status that a shell would see. */
export type SessionEnd =
  | { readonly kind: 'exit'; readonly status: number }
  | {
      readonly kind: 'signal';
      readonly status: number;
      readonly signal: number;
      readonly name: string;
      readonly place: string;
      readonly reason: string;
    }
  | { readonly kind: 'limit'; readonly status: number; readonly instructions: number; readonly place: string }
  | { readonly kind: 'deadlock'; readonly status: number; readonly reason: string };

/** The document of `--stats`. */
export interface Stats {
  readonly version: 1;
  readonly goarch: string;
  readonly go: string | null;
  readonly exit: number;
  readonly instructions: number;
  readonly seconds: number;
  readonly traceHash?: string;
  /** With the `guest` handler, every SIGURG that was delivered, the program's own included. */
  readonly interrupts: InterruptCounts | GuestCounts;
  /** With a schedule: which kind of safe-point served its requests, and after how many instructions. */
  readonly kinds?: ServedKinds;
  readonly syscalls: Readonly<Record<string, number>>;
  readonly unknownSyscalls: Readonly<Record<string, number>>;
  /** Where it was measured. */
  readonly host?: HostStats;
}

/** What can be put back: see Session.save. */
export interface SessionSnapshot {
  readonly kernel: KernelSnapshot;
}

const CHECK_FAILED = 1;
const INPUT_CHUNK = 65536;

const hex = (value: number): string => `0x${value.toString(16)}`;

/** Reads a `--dir` argument. @throws InputError */
export function parseDirectory(text: string): DirectoryMapping {
  const readOnly = text.endsWith(':ro');
  const rest = readOnly ? text.slice(0, -3) : text;
  const colon = rest.lastIndexOf(':');
  const host = colon < 0 ? rest : rest.slice(0, colon);
  const guest = colon < 0 ? resolve(host) : rest.slice(colon + 1);
  if (!isAbsolute(guest)) throw new InputError(`--dir ${text}: the guest's path ${guest} is not absolute`);
  const stat = statSync(host, { throwIfNoEntry: false });
  if (stat === undefined) throw new InputError(`--dir ${text}: there is no ${host}`);
  if (!stat.isDirectory()) throw new InputError(`--dir ${text}: ${host} is no directory`);
  return { host, guest, readOnly };
}

/** @throws InputError where a directory cannot be mapped */
function openVfs(options: VfsOptions): Vfs {
  try {
    return new Vfs(options);
  } catch (error) {
    if (error instanceof RangeError) throw new InputError(`--dir: ${error.message}`);
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined) throw new InputError(`--dir: ${path ?? 'a directory'} cannot be used (${code})`);
    throw error;
  }
}

export class Session {
  readonly arch: Arch;
  readonly machine: Machine;
  readonly process: Process;
  /** What else interrupts a run: facilities that stand on a session add themselves. */
  readonly interrupts: InterruptSource[] = [];
  readonly #thread: Thread;
  readonly #options: SessionOptions;
  readonly #runOptions: RunOptions;
  /** Takes interrupts within compiled code. */
  readonly #inside: Inside | undefined;
  readonly #hash: TraceHash | undefined;
  readonly #watch: CompilerWatch | undefined;
  readonly #counts: InstructionCounts | undefined;
  readonly #elf: Elf;
  /** Once somebody has asked. */
  #opened: OpenedGo | undefined;
  readonly #files: Vfs;
  /** Where a position-independent program was loaded, else 0. */
  readonly #base: number;

  /**
   * Loads a program, ready to execute its first instruction.
   * @param program its file, of which only what is wanted is read, or the bytes of it
   * @throws InputError for a file that is no static program of a supported target, or options that do not fit it
   */
  static open(program: Uint8Array | ProgramFile, options: SessionOptions): Session {
    try {
      return new Session(program, options);
    } catch (error) {
      if (error instanceof ElfError || error instanceof LoaderError) throw new InputError(error.message);
      throw error;
    }
  }

  private constructor(program: Uint8Array | ProgramFile, options: SessionOptions) {
    const elf = readElf(program);
    const isa = isaFor(elf.goarch);
    const directories = (options.dirs ?? []).map(parseDirectory);
    this.#options = options;
    this.#elf = elf;
    this.arch = archOf(elf.goarch);
    const times = options.hostTimes === true ? new HostTimes() : undefined;
    this.#watch = times === undefined ? undefined : new CompilerWatch(times);
    const compiler = jit({
      extents: (pc) => this.#extent(pc),
      onStats: this.#watch?.onStats,
      store: options.codeStore,
      inside: () => this.#inside,
    });
    this.machine = new Machine(isa, {
      limit: abiFor(isa.variant).taskSize,
      compiler: options.engine === 'evaluate' ? undefined : (this.#watch?.around(compiler) ?? compiler),
    });
    const exe = isAbsolute(options.path) ? options.path : `/${options.path.replace(/^(\.\.?\/)+/, '')}`;
    const write = { 1: options.stdout, 2: options.stderr };
    this.#files = openVfs({
      bigEndian: this.arch.bigEndian,
      pid: 1000,
      uid: 1000,
      gid: 1000,
      directories,
      files: [{ path: exe, file: elf.file, mode: 0o755 }],
      ...(directories[0] === undefined ? {} : { cwd: directories[0].guest }),
      input: new RecordedInput(() => options.stdin?.(INPUT_CHUNK) ?? new Uint8Array(0)),
      output: { write: (stream, chunk) => write[stream]?.(chunk) },
    });
    this.process = Process.load({
      machine: this.machine,
      elf,
      files: this.#files,
      args: [options.path, ...(options.args ?? [])],
      env: options.env ?? [],
      path: exe,
      ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
      ...(options.seed === undefined ? {} : { seed: options.seed }),
      ...(options.strace === undefined ? {} : { strace: options.strace }),
      ...(times === undefined ? {} : { times }),
    });
    this.#base = this.machine.state.pc - elf.entry;
    this.#thread = threadOf(this.machine, this.arch);
    this.#hash = options.traceHash === true ? new TraceHash() : undefined;
    this.#counts = options.profile === true ? new InstructionCounts(() => this.machine.instructions) : undefined;
    this.#observe();
    const interrupts = this.#schedule(options.schedule);
    this.#runOptions = interrupts.options;
    this.#inside = interrupts.inside;
    // Whoever interrupts needs the tables: damaged ones, and rules that do not exist, are told of before the program has begun.
    if (options.schedule !== undefined || options.handler === 'guest') this.go?.preemption.prepare();
    else if ((options.rules ?? 'auto') !== 'auto') void this.go;
  }

  /** What makes it a Go program: read when it is first asked for. Undefined for a program without Go tables. */
  get go(): Go | undefined {
    return this.#openGo().go;
  }

  /** Why it is no Go program. */
  get notGo(): string | undefined {
    return this.#openGo().reason;
  }

  #openGo(): OpenedGo {
    this.#opened ??= openGo(this.#elf, this.machine, this.process.kernel, this.#options);
    return this.#opened;
  }

  #observe(): void {
    const hash = this.#hash;
    if (hash !== undefined) this.machine.observer = (pc) => hash.add(pc);
    this.machine.counter = this.#counts;
  }

  /** Who interrupts the run, and what happens then. */
  #schedule(schedule: Schedule | undefined): Interrupts {
    if (schedule === undefined) return { options: {}, inside: undefined };
    const { go } = this;
    if (go === undefined) throw new InputError(`--preempt: ${this.notGo}`);
    return interruptsOf(schedule, go, this.process.kernel, this.#thread);
  }

  /** The thread that runs. */
  get tid(): number {
    return this.process.kernel.current?.tid ?? this.process.kernel.tasks[0]?.tid ?? 0;
  }

  /** Every thread as an interrupt would present it. */
  threads(): readonly ThreadView[] {
    const { kernel } = this.process;
    const { state } = this.machine;
    const current = state.save();
    const views = kernel.tasks.map((task) => {
      if (task !== kernel.current) state.load(task.registers);
      const { pc, sp, lr, g, tls } = this.#thread;
      state.load(current);
      return { pc, sp, lr, g, tls };
    });
    return views;
  }

  /** The function that the compiler takes as its unit, from the program's own tables. */
  #extent(pc: number): { readonly start: number; readonly end: number } | undefined {
    const f = this.go?.program.tables.findfunc(pc);
    return f === undefined ? undefined : { start: f.entry, end: f.end };
  }

  /** PCs that a LOC names. @throws LocationError, or InputError for a program without Go tables */
  locate(place: string): readonly number[] {
    if (this.go !== undefined) return this.go.program.locate(place).pcs;
    if (/^0x[0-9a-f]+$/i.test(place)) return [Number(place)];
    throw new InputError(`${place}: ${this.notGo}`);
  }

  /** An address as a person wants to read it: `main.f+0x10 (main.go:12)`. */
  placeOf(pc: number): string {
    const tables = this.go?.program.tables;
    const f = tables?.findfunc(pc);
    if (tables === undefined || f === undefined) return hex(pc);
    const { file, line } = tables.fileLine(f, pc);
    const source = file === undefined ? '' : ` (${file.slice(file.lastIndexOf('/') + 1)}:${line})`;
    return `${f.name}${pc === f.entry ? '' : `+${hex(pc - f.entry)}`}${source}`;
  }

  /** Closes what the host holds open for the guest: mapped directories, and files in them. It opens again what is asked for later. */
  close(): void {
    this.#files.dispose();
  }

  /** Runs to the end. */
  run(): SessionEnd {
    const { maxInstructions } = this.#options;
    const end = this.advance(maxInstructions ?? Number.POSITIVE_INFINITY);
    if (end !== undefined) return end;
    const { instructions } = this.machine;
    return { kind: 'limit', status: CHECK_FAILED, instructions, place: this.placeOf(this.machine.state.epc) };
  }

  /** Executes one instruction, of whichever thread has its turn; returns how the program ended if it did. */
  step(): SessionEnd | undefined {
    if (this.#runOptions.interrupts !== undefined || this.interrupts.length > 0)
      return this.advance(this.machine.instructions + 1);
    return this.#ended(this.process.step());
  }

  /** Runs until so many instructions have been executed in all, or a breakpoint; returns how the program ended if it did. */
  advance(until: number): SessionEnd | undefined {
    const interrupts = [...(this.#runOptions.interrupts ?? []), ...this.interrupts];
    return this.#ended(this.process.run({ ...this.#runOptions, interrupts, until }));
  }

  #ended(outcome: Outcome): SessionEnd | undefined {
    switch (outcome.kind) {
      case 'exit':
        return { kind: 'exit', status: outcome.status };
      case 'signal': {
        const { signal, name, pc, reason, address } = outcome;
        const at = address === undefined || address === BigInt(pc) ? '' : `, address 0x${address.toString(16)}`;
        const place = this.placeOf(pc);
        const named = place === hex(pc) ? place : `${hex(pc)}, ${place}`;
        return { kind: 'signal', status: 128 + signal, signal, name, place: named, reason: `${reason}${at}` };
      }
      case 'deadlock': {
        const waits = outcome.waiting.map((w) => `thread ${w.tid} in ${w.call}`).join(', ');
        return { kind: 'deadlock', status: CHECK_FAILED, reason: waits };
      }
      case 'instructions':
      case 'breakpoint':
        return undefined;
    }
  }

  /** Remembers the whole machine; see Kernel.save for what it costs. */
  save(): SessionSnapshot {
    return { kernel: this.process.save() };
  }

  restore(snapshot: SessionSnapshot): void {
    this.process.restore(snapshot.kernel);
    const go = this.#opened?.go;
    go?.handler.reset();
    go?.guest?.reset();
  }

  /** Forgets a snapshot: the memory it holds is given back. */
  drop(snapshot: SessionSnapshot): void {
    this.process.kernel.drop(snapshot.kernel);
  }

  /**
   * Gives `codeStore` what was compiled, and compiles the rest of what was executed, so that the next run begins with all of it.
   * @param working is called each time when some of that is done; never where there is nothing to do
   */
  keepCode(working?: () => void): void {
    this.machine.keepCode(working);
  }

  /** A pprof file of the instructions executed so far; undefined where they were not counted. `path` is the program's, on the host. */
  async profile(path: string): Promise<Uint8Array | undefined> {
    if (this.#counts === undefined) return undefined;
    const program = { path, elf: this.#elf, base: this.#base, tables: this.go?.program.tables };
    this.machine.settleCounts();
    return encodeProfile(this.#counts, program);
  }

  /** What `--stats` writes. */
  stats(end: SessionEnd, seconds: number): Stats {
    const { calls, unknown } = this.process.stats;
    const none: InterruptCounts = { delivered: 0, injected: 0, refused: {} };
    return {
      version: 1,
      goarch: this.arch.goarch,
      go: this.go?.program.release.text ?? null,
      exit: end.status,
      instructions: this.machine.instructions,
      seconds,
      ...(this.#hash === undefined ? {} : { traceHash: this.#hash.toString() }),
      interrupts: this.go?.guest?.counts ?? this.go?.handler.counts ?? none,
      ...(this.go?.handler.requests === undefined ? {} : { kinds: this.go.handler.requests.kinds() }),
      syscalls: Object.fromEntries(calls),
      unknownSyscalls: Object.fromEntries(unknown),
      ...(this.#watch === undefined ? {} : { host: this.#watch.report(this.machine.memory) }),
    };
  }
}
