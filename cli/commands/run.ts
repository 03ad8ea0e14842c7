// `safepoint run` and `safepoint exec`: run a program, preempting it as asked.

import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  type CheckId,
  type ProgramFile,
  parseSchedule,
  SCHEDULE_HELP,
  type Schedule,
  ScheduleError,
  Session,
  type SessionEnd,
} from '../../src/index.ts';
import { codeStoreFor, isSeenAgain } from '../code-store.ts';
import {
  cpusOption,
  dirOption,
  envOption,
  examples,
  misplaced,
  rulesOption,
  seedOption,
  wholeNumber,
  withoutOption,
} from '../options.ts';
import { EXIT_CHECK_FAILED, hex, type Output, Progress, UserError } from '../output.ts';
import { openProgram, userErrors } from '../program.ts';

interface Options {
  readonly preempt?: Schedule;
  readonly handler: 'host' | 'guest';
  readonly rules: string;
  readonly without: ReadonlySet<CheckId>;
  readonly cpus: number;
  readonly seed: number;
  readonly dir: readonly string[];
  readonly env: readonly string[];
  readonly strace?: boolean;
  readonly stats?: string;
  readonly traceHash?: boolean;
  readonly profile?: string;
  readonly engine: 'compile' | 'evaluate';
  readonly maxInstructions?: number;
}

function schedule(text: string): Schedule {
  try {
    return parseSchedule(text);
  } catch (error) {
    if (error instanceof ScheduleError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

/** In what `run` and `exec` differ. */
interface Preset {
  readonly dir: readonly string[];
  /** Whether compiled code is kept when a run is over. */
  readonly keeps: (program: ProgramFile) => boolean;
}

function declare(name: string, output: Output, done: (status: number) => void, preset: Preset): Command {
  return new Command(name)
    .argument('<PROG>', 'a static linux program for amd64, mips, mipsle, mips64 or mips64le')
    .argument('[ARG...]', 'its arguments')
    .passThroughOptions()
    .addOption(new Option('--preempt <when>', `where timer interrupts land: ${SCHEDULE_HELP}`).argParser(schedule))
    .addOption(
      new Option('--handler <who>', 'who handles them: our model (host), or SIGURG and the runtime itself (guest)')
        .choices(['host', 'guest'])
        .default('host'),
    )
    .addOption(rulesOption())
    .addOption(withoutOption())
    .addOption(cpusOption())
    .addOption(seedOption())
    .addOption(dirOption(preset.dir))
    .addOption(envOption())
    .option('--strace', 'print each system call on stderr')
    .option('--stats <file>', 'write what happened as JSON (- for stderr)')
    .option('--profile <file>', 'write how often each instruction was executed, for `go tool pprof` (slower)')
    .option('--trace-hash', 'hash every executed PC, for comparing runs (slower)')
    .addOption(
      new Option('--engine <which>', 'compile hot code (compile), or evaluate every instruction (evaluate)')
        .choices(['compile', 'evaluate'])
        .default('compile'),
    )
    .addOption(new Option('--max-instructions <n>', 'stop after so many').argParser(wholeNumber(1)))
    .action(async (path: string, args: readonly string[], options: Options, command: Command) => {
      const note = misplaced(command, args);
      // In a script that line would be in the way of what the program says.
      if (note !== undefined && output.isTerminal) output.err(`safepoint: ${note}`);
      done(await execute(path, args, options, preset, output));
    });
}

export const runCommand = (output: Output, done: (status: number) => void): Command =>
  declare('run', output, done, { dir: [], keeps: () => true })
    .description("run a program; the exit status is the program's own, 128+n when signal n killed it")
    .addHelpText(
      'after',
      '\nOptions stand before PROG; what follows PROG is for the program. Compiled code is kept for the next run of the program, in' +
        '\n~/.cache/safepoint, in $SAFEPOINT_CACHE, or nowhere where that is `off`: a first run takes some two seconds longer,' +
        '\na long one up to two and a half times as long.',
    )
    .addHelpText(
      'after',
      examples(
        ['run ./hello.mips', 'run it'],
        ['run --preempt every=1009 --stats - ./hello.mips', 'preempt at every 1009th instruction, and count'],
        ['run --preempt at=main.go:42,hit=3 ./a.out', 'at the third arrival at a line'],
        ['run --handler guest --preempt random=7,mean=5000 ./a.out', "by SIGURG and the program's own handler"],
        ['run --dir .:/src:ro --env TZ=UTC ./a.out -v /src', 'a directory, a variable, and arguments'],
      ),
    );

export const execCommand = (output: Output, done: (status: number) => void): Command =>
  // What `go test` builds is mostly run once: preparing for the next time would take as long again.
  declare('exec', output, done, { dir: ['.'], keeps: isSeenAgain })
    .description('run with the working directory mapped, for `go test -exec "safepoint exec"`')
    .addHelpText(
      'after',
      '\nExamples:' +
        '\n  GOARCH=mips CGO_ENABLED=0 go test -exec "safepoint exec --preempt every=1009" ./...' +
        '\n  safepoint exec --preempt half-call=frameless ./pkg.test -test.v' +
        '\n\nWhat `go test` builds is mostly run once: compiled code is kept from the second run of a program on.',
    );

const NEWLINE = 0x0a;

/** Reads from the host's stdin when the guest asks. Null at the end of the file. */
function readStdin(length: number): Uint8Array | null {
  const bytes = new Uint8Array(length);
  for (;;) {
    try {
      const n = readSync(0, bytes, 0, length, null);
      return n === 0 ? null : bytes.subarray(0, n);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EOF' || code === 'EBADF' || code === 'EISDIR') return null;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

async function execute(
  path: string,
  args: readonly string[],
  options: Options,
  preset: Preset,
  output: Output,
): Promise<number> {
  const progress = new Progress(output);
  const program = openProgram(path);
  // Found out now, not after an hour's run.
  for (const file of [options.stats, options.profile]) if (file !== undefined && file !== '-') appendable(file);
  /** Whether the program's last line is finished: what we say on the terminal would wipe it out otherwise. */
  let lineEnds = true;
  const guest = (stream: 1 | 2) => (chunk: Uint8Array) => {
    lineEnds = chunk.at(-1) === NEWLINE;
    output.guest(stream, chunk);
  };
  const session = userErrors(path, () =>
    Session.open(program, {
      path,
      args,
      env: options.env,
      cpus: options.cpus,
      seed: options.seed,
      dirs: options.dir,
      handler: options.handler,
      rules: options.rules,
      without: options.without,
      traceHash: options.traceHash === true,
      profile: options.profile !== undefined,
      hostTimes: options.stats !== undefined,
      engine: options.engine,
      codeStore: codeStoreFor(program),
      ...(options.preempt === undefined ? {} : { schedule: options.preempt }),
      ...(options.maxInstructions === undefined ? {} : { maxInstructions: options.maxInstructions }),
      ...(options.strace === true ? { strace: (line: string) => output.err(`${line}\n`) } : {}),
      stdin: readStdin,
      stdout: guest(1),
      stderr: guest(2),
    }),
  );
  const end = userErrors(path, () => session.run());
  // An exit speaks for itself.
  if (end.kind !== 'exit') output.err(`safepoint: ${path}: ${describeEnd(end)}\n`);
  const differences = options.handler === 'guest' ? (session.go?.guest?.differences ?? []) : [];
  for (const { at, pc, ours, theirs } of differences) {
    const place = session.placeOf(pc);
    output.err(
      `safepoint: ${path}: SIGURG at instruction ${at}, ${hex(pc)} ${place}: ours ${ours}; the program ${theirs}\n`,
    );
  }
  const { stats } = options;
  // What asks for Go's tables only now may find the program overwritten.
  if (stats !== undefined) userErrors(path, () => writeStats(stats, session.stats(end, progress.seconds), output));
  const profile = await session.profile(path);
  if (profile !== undefined) write(options.profile!, profile);
  if (userErrors(path, () => preset.keeps(program))) {
    const keeping = new Progress(output);
    const say = (): string => 'safepoint: compiling for the next run of the program (SAFEPOINT_CACHE=off does without)';
    userErrors(path, () => session.keepCode(() => lineEnds && keeping.tick(say)));
    keeping.end();
  }
  // Where the program's handler and our model differ, that is the result, whatever the program made of it.
  return differences.length > 0 ? EXIT_CHECK_FAILED : end.status;
}

/** How a program ended, in a few words. */
export function describeEnd(end: SessionEnd): string {
  switch (end.kind) {
    case 'exit':
      return `exit status ${end.status}`;
    case 'signal':
      return `killed by ${end.name} at ${end.place}: ${end.reason}`;
    case 'limit':
      return `stopped after ${end.instructions} instructions at ${end.place}; raise --max-instructions`;
    case 'deadlock':
      return `every thread waits for ever (on Linux it would hang): ${end.reason}`;
  }
}

function writeStats(file: string, stats: object, output: Output): void {
  const text = `${JSON.stringify(stats, null, 2)}\n`;
  if (file === '-') output.err(text);
  else write(file, text);
}

function write(file: string, contents: string | Uint8Array): void {
  orUnwritable(file, () => writeFileSync(file, contents));
}

function appendable(file: string): void {
  orUnwritable(file, () => closeSync(openSync(file, 'a')));
}

/** @throws UserError */
function orUnwritable(file: string, access: () => void): void {
  try {
    access();
  } catch (error) {
    throw new UserError(`${file}: cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
}
