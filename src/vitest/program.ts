// A program under test, as `safepoint/vitest` hands it to matchers, and its plain runner.

import { fileURLToPath } from 'node:url';
import {
  CHECKS,
  type CheckId,
  InputError,
  parseSchedule,
  readProgramFile,
  Session,
  type SessionEnd,
  type SessionOptions,
  type Stats,
} from '../index.ts';

/** How a program is run and judged, in every matcher alike: the options of the commands. */
export interface ProgramOptions extends Pick<SessionOptions, 'args' | 'env' | 'cpus' | 'seed' | 'dirs' | 'rules'> {
  /** Checks that are switched off, to see what they are for. */
  readonly without?: readonly CheckId[];
}

export interface RunOptions {
  /** Where timer interrupts land, as `safepoint run --preempt` has it: `every=1009`, `at=main.go:42`, `random=7,mean=5000` … */
  readonly preempt?: string;
  /** Who handles them: our model (the usual), or a real SIGURG and the program's own runtime. */
  readonly handler?: 'host' | 'guest';
  readonly stdin?: string;
  readonly maxInstructions?: number;
}

/** What a program did. */
export interface RunResult {
  /** The exit status that a shell would see: 128+n when signal n killed it. */
  readonly status: number;
  readonly end: SessionEnd;
  readonly stdout: string;
  readonly stderr: string;
  readonly stats: Stats;
}

/** A program, read once. The matchers take it, or a place in it. */
export class Program {
  /** As it was given: it stands in command lines that failures print. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly options: Omit<SessionOptions, 'path'>;

  constructor(path: string, { without, ...options }: ProgramOptions) {
    const unknown = without?.find((check) => !CHECKS.includes(check));
    if (unknown !== undefined) throw new InputError(`there is no check ${unknown}; the checks are ${CHECKS.join(' ')}`);
    this.path = path;
    this.bytes = readProgramFile(path);
    this.options = without === undefined ? options : { ...options, without: new Set(without) };
  }

  /** A place: `0xADDR`, `func`, `func+0xOFF` or `file.go:LINE`. */
  at(place: string): Place {
    return new Place(this, place);
  }

  /**
   * Runs it to its end and keeps what it prints.
   * @throws InputError for a file that is no static program of a supported target, or options that do not fit it
   * @throws ScheduleError where `preempt` is none
   */
  run({ preempt, handler, stdin, maxInstructions }: RunOptions = {}): RunResult {
    const stdout: Uint8Array[] = [];
    const stderr: Uint8Array[] = [];
    let input: Uint8Array | null = stdin === undefined ? null : Buffer.from(stdin);
    const session = Session.open(this.bytes, {
      path: this.path,
      ...this.options,
      ...(preempt === undefined ? {} : { schedule: parseSchedule(preempt) }),
      ...(handler === undefined ? {} : { handler }),
      ...(maxInstructions === undefined ? {} : { maxInstructions }),
      stdin: () => {
        const all = input;
        input = null;
        return all;
      },
      stdout: (bytes) => void stdout.push(bytes.slice()),
      stderr: (bytes) => void stderr.push(bytes.slice()),
    });
    const began = performance.now();
    const end = session.run();
    const text = (pieces: readonly Uint8Array[]): string => Buffer.concat(pieces).toString();
    const stats = session.stats(end, (performance.now() - began) / 1000);
    session.close();
    return { status: end.status, end, stdout: text(stdout), stderr: text(stderr), stats };
  }

  /** What vitest prints where it must name the value. */
  toString(): string {
    return `program(${JSON.stringify(this.path)})`;
  }
}

/** A place in a program. */
export class Place {
  readonly program: Program;
  readonly text: string;

  constructor(program: Program, text: string) {
    this.program = program;
    this.text = text;
  }

  toString(): string {
    return `${this.program}.at(${JSON.stringify(this.text)})`;
  }
}

/**
 * A static Go program for linux/amd64, mips, mipsle, mips64 or mips64le, as `CGO_ENABLED=0 go build` or `go test -c` make it.
 * @throws InputError if the file cannot be read
 */
export function program(path: string | URL, options: ProgramOptions = {}): Program {
  return new Program(typeof path === 'string' ? path : fileURLToPath(path), options);
}
