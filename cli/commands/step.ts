// `safepoint step`: a prompt with line commands, for stepping through a program and its preemptions.

import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Command } from 'commander';
import { type CheckId, Debugger, LocationError, type Moved, Session } from '../../src/index.ts';
import {
  cpusOption,
  dirOption,
  envOption,
  examples,
  misplaced,
  rulesOption,
  seedOption,
  withoutOption,
} from '../options.ts';
import { EXIT_FINE, hex, type Output, table } from '../output.ts';
import { openProgram, userErrors } from '../program.ts';
import { describeEnd } from './run.ts';
import { SuspendCommands } from './suspend-commands.ts';

interface Options {
  readonly rules: string;
  readonly without: ReadonlySet<CheckId>;
  readonly cpus: number;
  readonly seed: number;
  readonly dir: readonly string[];
  readonly env: readonly string[];
}

const SAFE_POINT_LIMIT = 10_000_000;
const STACK_LIMIT = 32;

const HELP: readonly (readonly [string, string])[] = [
  ['step [N]', 'execute N instructions (1)'],
  ['back [N]', 'go back N instructions (1), and undo what was fired since'],
  ['next-safe-point', 'go on until an interrupt would be accepted'],
  ['continue [LOC]', 'go on to a place, or to the end'],
  ['fire', 'let the timer interrupt land here'],
  ['explain', 'what isAsyncSafePoint says here, check by check'],
  ['regs', 'registers'],
  ['where', 'the stack of the running thread'],
  ['goroutines', 'goroutines, and the kind of safe-point that each one stands at'],
  ['suspend G', 'drive goroutine G to a safe-point and hold it there, as the garbage collector does'],
  ['resume G', 'let a suspended goroutine go on'],
  ['scan [G]', 'stack and roots of a suspended goroutine'],
  ['quit', 'leave'],
];

/** One prompt: takes lines, writes what they ask for. */
export class Prompt {
  readonly #debugger: Debugger;
  readonly #output: Output;
  readonly #suspensions: SuspendCommands | undefined;
  #ended = false;

  constructor(session: Session, output: Output) {
    this.#debugger = new Debugger(session);
    this.#output = output;
    this.#suspensions = session.go === undefined ? undefined : new SuspendCommands(session, session.go, output);
  }

  /** Where the program stands: one line. */
  show(): void {
    const { thread, session } = this.#debugger;
    const at = thread.inSlot ? `${hex(thread.pc)} in its delay slot, at ${hex(thread.pc + 4)}` : hex(thread.pc);
    const decoded = this.#debugger.instruction();
    const text = decoded?.text(session.machine.state.pc) ?? '(no instruction)';
    const verdict = this.#debugger.verdict(false);
    const said = verdict === undefined ? '' : `  ${verdict.verdict}${verdict.safe ? '' : ` (${verdict.check})`}`;
    this.#output.out(`${this.#debugger.instructions}  ${session.placeOf(thread.pc)}  ${at}: ${text}${said}\n`);
  }

  /** Carries a line out. Returns false when it was `quit`. */
  line(text: string): boolean {
    const [command = '', argument] = text.trim().split(/\s+/, 2);
    if (command === '') return true;
    const full = this.#expand(command);
    if (full === undefined) {
      this.#output.out(`no command ${command}; help lists them\n`);
      return true;
    }
    if (full === 'quit') return false;
    if (this.#ended && full !== 'help' && full !== 'back') {
      this.#output.out('the program has ended; back goes back, quit leaves\n');
      return true;
    }
    this.#do(full, argument);
    return true;
  }

  /** A command by its name or the beginning of one. */
  #expand(command: string): string | undefined {
    const names = [...HELP.map(([usage]) => usage.split(' ')[0]!), 'help'];
    return names.find((name) => name === command) ?? names.find((name) => name.startsWith(command));
  }

  #do(command: string, argument: string | undefined): void {
    switch (command) {
      case 'help':
        return this.#output.out(table(HELP.map(([usage, what]) => [`  ${usage}`, what])));
      case 'step':
        return this.#counted(argument, (n) => this.#moved(this.#debugger.step(n)));
      case 'back':
        if (this.#suspensions?.holding === true)
          return this.#output.out('a goroutine is suspended; resume it before going back\n');
        return this.#counted(argument, (n) => {
          this.#debugger.back(n);
          this.#ended = false;
          this.show();
        });
      case 'next-safe-point': {
        const moved = this.#debugger.nextSafePoint(SAFE_POINT_LIMIT);
        if (moved === undefined) this.#output.out(`none within ${SAFE_POINT_LIMIT} instructions\n`);
        return moved === undefined ? this.show() : this.#moved(moved);
      }
      case 'continue':
        return this.#continue(argument);
      case 'fire':
        return this.#fire();
      case 'explain':
        return this.#explain();
      case 'regs':
        return this.#regs();
      case 'where':
        return this.#where();
      case 'goroutines':
        return this.#goroutines();
      case 'suspend':
      case 'resume':
      case 'scan':
        if (this.#suspensions === undefined) return this.#output.out('the program has no Go tables\n');
        this.#suspensions[command](argument);
        if (command !== 'scan') this.show();
        return;
    }
  }

  #counted(argument: string | undefined, action: (n: number) => void): void {
    const n = argument === undefined ? 1 : Number(argument);
    if (!Number.isSafeInteger(n) || n < 1) return this.#output.out('wanted a whole number from 1 up\n');
    action(n);
  }

  #moved(moved: Moved): void {
    if (moved.kind === 'there') return this.show();
    this.#ended = true;
    this.#output.out(`the program ended: ${describeEnd(moved.end)}\n`);
  }

  #continue(place: string | undefined): void {
    if (place === undefined) return this.#moved(this.#debugger.continueTo(new Set()));
    try {
      const pcs = this.#debugger.session.locate(place);
      this.#moved(this.#debugger.continueTo(new Set(pcs)));
    } catch (error) {
      if (!(error instanceof LocationError)) throw error;
      this.#output.out(`${error.message}\n`);
    }
  }

  #fire(): void {
    const interrupt = this.#debugger.fire();
    if (interrupt === undefined) {
      return this.#output.out(
        'not delivered: no Go program, or the goroutine has not moved since the last interrupt\n',
      );
    }
    const { verdict, goid, requested } = interrupt;
    if (requested)
      this.#output.out(`requested a preemption of goroutine ${goid}: g.preempt, p.preempt, poisoned stack guard\n`);
    if (verdict.safe)
      this.#output.out(
        `accepted: ${verdict.reason}; runtime.asyncPreempt is injected, resuming at ${hex(verdict.resume)}\n`,
      );
    else this.#output.out(`refused by ${verdict.check}: ${verdict.reason}\n`);
    this.show();
  }

  #explain(): void {
    const verdict = this.#debugger.verdict();
    if (verdict === undefined) return this.#output.out('the program has no Go tables\n');
    this.#output.out(table(verdict.checks.map((c) => [`  ${c.check}`, c.pass ? 'pass' : 'refuse', c.detail])));
    this.#output.out(`${verdict.verdict}: ${verdict.reason}\n`);
  }

  #regs(): void {
    const { machine } = this.#debugger.session;
    const cells = machine.isa.registers.all
      .filter((r) => r.type !== 'v128')
      .map(
        (r) =>
          `${r.name.padEnd(10)}${machine.state
            .get(r)
            .toString(16)
            .padStart(r.type === 'i64' ? 16 : 8, '0')}`,
      );
    for (let i = 0; i < cells.length; i += 4)
      this.#output.out(
        `${cells
          .slice(i, i + 4)
          .join('  ')
          .trimEnd()}\n`,
      );
  }

  #where(): void {
    const walk = this.#debugger.stack(STACK_LIMIT);
    if (walk === undefined) return this.#output.out('the program has no Go tables\n');
    for (const frame of walk.frames) {
      for (const call of frame.inline()) {
        const source = call.file === undefined ? '' : `  ${call.file}:${call.line}`;
        this.#output.out(
          `  ${hex(frame.pc)}  sp ${hex(frame.sp)}  ${call.name}${call.inlined ? ' (inlined)' : ''}${source}\n`,
        );
      }
    }
    this.#output.out(`  ${walk.stop}: ${walk.reason}\n`);
  }

  #goroutines(): void {
    const found = this.#debugger.goroutines();
    if (found === undefined) return this.#output.out('the program has no Go tables\n');
    const rows = found.lines.map((g) => [g.running ? '*' : ' ', `goroutine ${g.goid}`, g.status, g.kind, g.reason]);
    this.#output.out(table(rows));
    this.#output.out(`(from ${found.how})\n`);
  }
}

export function stepCommand(output: Output, done: (status: number) => void, input: Readable = process.stdin): Command {
  return new Command('step')
    .description('step through a program: a prompt with line commands; help lists them')
    .argument('<PROG>', 'a program')
    .argument('[ARG...]', 'its arguments')
    .passThroughOptions()
    .addOption(rulesOption())
    .addOption(withoutOption())
    .addOption(cpusOption())
    .addOption(seedOption())
    .addOption(dirOption())
    .addOption(envOption())
    .addHelpText(
      'after',
      `
Commands at the prompt, each by its name or the beginning of it:
${table(HELP.map(([usage, what]) => [`  ${usage}`, what]))}`,
    )
    .addHelpText(
      'after',
      `${examples(['step ./a.out', 'a prompt at the first instruction'])}
  printf 'continue main.work\\nfire\\nstep 5\\nwhere\\n' | safepoint step ./a.out  # a transcript`,
    )
    .action(async (path: string, args: readonly string[], options: Options, command: Command) => {
      const note = misplaced(command, args);
      if (note !== undefined) output.err(`safepoint: ${path}: ${note}`);
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
          without: options.without,
          stdin: () => null,
          stdout: (chunk) => output.guest(1, chunk),
          stderr: (chunk) => output.guest(2, chunk),
        }),
      );
      const prompt = new Prompt(session, output);
      prompt.show();
      const isTerminal = (input as { isTTY?: boolean }).isTTY === true;
      const lines = createInterface({ input, ...(isTerminal ? { output: process.stdout } : {}), terminal: isTerminal });
      const ask = (): void => {
        if (isTerminal) {
          lines.setPrompt('(safepoint) ');
          lines.prompt();
        }
      };
      ask();
      for await (const line of lines) {
        // What a person typed at a terminal is on the screen already; a transcript needs it too.
        if (!isTerminal) output.out(`(safepoint) ${line}\n`);
        if (!prompt.line(line)) break;
        ask();
      }
      lines.close();
      done(EXIT_FINE);
    });
}
