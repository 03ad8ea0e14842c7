// `safepoint goroutines`: runs to a place, suspends every goroutine, and shows where each one stands and what it holds.

import { Command, InvalidArgumentError, Option } from 'commander';
import {
  Debugger,
  type GoroutineReport,
  LocationError,
  parseSchedule,
  type Root,
  reportGoroutines,
  type ScannedStackFrame,
  ScheduleError,
  Session,
  Suspender,
} from '../../src/index.ts';
import {
  cpusOption,
  dirOption,
  envOption,
  examples,
  jsonOption,
  misplaced,
  rulesOption,
  seedOption,
  wholeNumber,
} from '../options.ts';
import { EXIT_CHECK_FAILED, EXIT_FINE, hex, type Output, UserError } from '../output.ts';
import { openProgram, userErrors } from '../program.ts';
import { describeEnd } from './run.ts';

interface Place {
  readonly place: string;
  readonly hit: number;
}

interface Options {
  readonly at: Place;
  readonly goid?: number;
  readonly scan?: boolean;
  readonly run?: boolean;
  readonly json?: boolean;
  readonly cpus: number;
  readonly seed: number;
  readonly rules: string;
  readonly dir: readonly string[];
  readonly env: readonly string[];
}

/** `LOC[,hit=K]`, as `--preempt at=` has it. */
function place(text: string): Place {
  try {
    const schedule = parseSchedule(`at=${text}`);
    if (schedule.kind === 'at') return schedule;
  } catch (error) {
    if (!(error instanceof ScheduleError)) throw error;
  }
  throw new InvalidArgumentError('wanted LOC[,hit=K]: 0xADDR, func, func+0xOFF or file.go:LINE.');
}

export function goroutinesCommand(output: Output, done: (status: number) => void): Command {
  return new Command('goroutines')
    .description('run to a place, suspend every goroutine there, and show their safe-points, stacks and roots')
    .argument('<PROG>', 'a Go program')
    .argument('[ARG...]', 'its arguments')
    .passThroughOptions()
    .addOption(new Option('--at <loc[,hit=k]>', 'where to stop').argParser(place).makeOptionMandatory())
    .addOption(new Option('--goid <n>', 'only this goroutine').argParser(wholeNumber(1)))
    .option('--scan', 'list the words of their stacks that point into the heap')
    .option('--run', 'suspend them in the program itself, resume them, and run it to its end')
    .addOption(jsonOption())
    .addOption(rulesOption())
    .addOption(cpusOption())
    .addOption(seedOption())
    .addOption(dirOption())
    .addOption(envOption())
    .addHelpText(
      'after',
      examples(
        ['goroutines --at main.work ./a.out', 'where each one stands when main.work is reached'],
        ['goroutines --at main.go:42,hit=3 --goid 1 --scan ./a.out', 'stack and roots of one'],
        ['goroutines --at main.work --run --json ./a.out', "as the program's own collector would, and on to the end"],
      ),
    )
    .action((path: string, args: readonly string[], options: Options, command: Command) => {
      const note = misplaced(command, args);
      if (note !== undefined) output.err(`safepoint: ${path}: ${note}`);
      done(show(path, args, options, output));
    });
}

function show(path: string, args: readonly string[], options: Options, output: Output): number {
  // What the program prints goes to stderr, so that stdout is the report's; in forks it says nothing.
  let muted = false;
  const print = (chunk: Uint8Array): void => {
    if (!muted) output.err(Buffer.from(chunk).toString());
  };
  const program = openProgram(path);
  const session = userErrors(path, () =>
    Session.open(program, {
      path,
      args,
      env: options.env,
      cpus: options.cpus,
      seed: options.seed,
      dirs: options.dir,
      rules: options.rules,
      stdin: () => null,
      stdout: print,
      stderr: print,
    }),
  );
  const { go } = session;
  if (go === undefined) throw new UserError(`${path}: ${session.notGo}`);
  const reached = runTo(session, path, options.at);
  if (reached !== undefined) {
    output.err(`safepoint: ${path}: ${reached}\n`);
    return EXIT_CHECK_FAILED;
  }

  const suspender = new Suspender(session, go);
  const at = { pc: session.machine.state.epc, instructions: session.machine.instructions };
  muted = options.run !== true;
  const report = reportGoroutines(session, go, suspender, {
    scan: options.scan === true,
    inPlace: options.run === true,
    ...(options.goid === undefined ? {} : { goid: options.goid }),
  });
  if (options.goid !== undefined && report.goroutines.length === 0)
    throw new UserError(
      `${path}: there is no goroutine ${options.goid} at ${options.at.place}; leave --goid out to list them`,
    );
  muted = false;
  const end = options.run === true ? session.run() : undefined;

  if (options.json === true) {
    const goroutines = report.goroutines.map((g) => toJson(g));
    const place = session.placeOf(at.pc);
    const document = {
      version: 1,
      at: { ...at, place },
      how: report.how,
      goroutines,
      ...(end && { end: describeEnd(end) }),
    };
    output.out(`${JSON.stringify(document, null, 2)}\n`);
  } else {
    output.out(`at ${session.placeOf(at.pc)}, after ${at.instructions} instructions; from ${report.how}\n`);
    for (const g of report.goroutines) output.out(describe(g));
    if (end !== undefined) output.out(`\nthe program ended: ${describeEnd(end)}\n`);
  }
  const failed = report.goroutines.some((g) => g.error !== undefined) || (end !== undefined && end.kind !== 'exit');
  return failed ? EXIT_CHECK_FAILED : EXIT_FINE;
}

/** Runs to the hit that was asked for. @returns what came between */
function runTo(session: Session, path: string, { place, hit }: Place): string | undefined {
  let pcs: ReadonlySet<number>;
  try {
    pcs = new Set(session.locate(place));
  } catch (error) {
    if (error instanceof LocationError) throw new UserError(`${path}: ${error.message}`);
    throw error;
  }
  const debug = new Debugger(session);
  for (let hits = 0; hits < hit; hits++) {
    const moved = debug.continueTo(pcs);
    if (moved.kind === 'ended') {
      return `it ended (${describeEnd(moved.end)}) after ${hits} of ${hit} arrivals at ${place}; try a smaller hit=K`;
    }
  }
  return undefined;
}

/** One goroutine for people. */
export function describe(g: GoroutineReport): string {
  const lines = [`\ngoroutine ${g.goid} [${g.status}]: ${g.kind}: ${g.reason}`];
  if (g.error !== undefined) lines.push(`  not ${g.suspended === undefined ? 'suspended' : 'read'}: ${g.error}`);
  const s = g.suspended;
  if (s !== undefined) {
    const cost = s.instructions === 0 ? 'at once' : `after ${s.instructions} instructions`;
    const signals = s.signals === 0 ? '' : `, ${s.signals} signal${s.signals === 1 ? '' : 's'} (${s.refused} refused)`;
    lines.push(`  suspended ${cost} at a${s.kind === 'asynchronous' ? 'n' : ''} ${s.kind} safe-point${signals}`);
  }
  for (const call of g.stack) {
    const source = call.file === null ? '' : `  ${call.file}:${call.line}`;
    lines.push(`    ${hex(call.pc)}  sp ${hex(call.sp)}  ${call.func}${call.inlined ? ' (inlined)' : ''}${source}`);
  }
  if (g.stack.length > 0) lines.push(`    ${g.stackEnd}`);
  if (g.scan !== undefined) lines.push(...g.scan.flatMap(describeFrame));
  return `${lines.join('\n')}\n`;
}

/** The scan of one frame for people: a line for the frame, one for each root. */
export function describeFrame(f: ScannedStackFrame): string[] {
  const note = f.note === '' ? '' : `: ${f.note}`;
  const head = `  ${f.frame.func.name} (${f.how}${note}): ${f.looked} words, ${f.roots.length} roots`;
  return [
    head,
    ...f.roots.map((root) => `    [${hex(root.addr)}] = ${hex(root.value)}  ${root.origin}: ${describeTarget(root)}`),
  ];
}

function describeTarget({ value, target }: Root): string {
  switch (target.kind) {
    case 'heap': {
      const { start, bytes } = target.span;
      const inside = value === target.object ? '' : `+${hex(value - target.object)}`;
      return `object ${target.index} at ${hex(target.object)}${inside} of the span ${hex(start)} to ${hex(start + bytes)}`;
    }
    case 'stack':
      return 'its own stack';
    case 'not in use':
      return target.bad
        ? 'memory that is not in use: as a pointer it would be a bad one'
        : 'heap memory without objects';
    case 'image':
      return "the program's own data";
    case 'none':
      return 'no pointer';
  }
}

function toJson(g: GoroutineReport): object {
  const { registers, scan, ...rest } = g;
  return {
    ...rest,
    ...(registers === undefined
      ? {}
      : {
          registers: {
            from: registers.from,
            values: Object.fromEntries([...registers.values].map(([name, v]) => [name, `0x${v.toString(16)}`])),
            elsewhere: registers.elsewhere,
          },
        }),
    ...(scan === undefined
      ? {}
      : {
          scan: scan.map(({ frame, how, note, looked, roots }) => ({
            func: frame.func.name,
            pc: frame.pc,
            sp: frame.sp,
            how,
            note,
            looked,
            roots,
          })),
        }),
  };
}
