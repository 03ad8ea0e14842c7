// Turns a command line into the work of one of its commands, and every error into one line and an exit status.

import { existsSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { GuestReadError, InputError, TableError } from '../src/index.ts';
import { examples } from './options.ts';
import { EXIT_BAD_INPUT, EXIT_FINE, type Output, UserError } from './output.ts';

/** Declares a command; it tells `done` its exit status. */
export type MakeCommand = (output: Output, done: (status: number) => void) => Command;

/**
 * Runs one command line.
 * @param commands those that there are
 * @returns the exit status
 */
export async function runCommandLine(
  commands: readonly MakeCommand[],
  args: readonly string[],
  output: Output,
): Promise<number> {
  let status = EXIT_FINE;
  const done = (value: number): void => {
    status = value;
  };
  const program = new Command('safepoint')
    .description(
      'Run real Go programs for amd64 and MIPS under a deterministic emulator, and preempt them at any instruction.',
    )
    .version('0.1.0')
    .addHelpText(
      'after',
      examples(
        ['run ./hello.mips', 'run a program'],
        ['run --preempt every=1009 --stats - ./hello.mips', 'preempt it, and count'],
        ['explain ./a.out main.go:42', 'may it be preempted there, and why not?'],
        ["sweep --func '^main\\.' ./a.out", 'preempt it everywhere, and check what comes of it'],
      ),
    )
    .enablePositionalOptions()
    .showHelpAfterError(false);
  for (const make of commands) program.addCommand(make(output, done));
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => output.out(text),
      writeErr: (text) => output.err(text),
      outputError: (text, write) => write(usageError(text, command.name())),
    });
  }
  try {
    await program.parseAsync([...args], { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_FINE : EXIT_BAD_INPUT;
    if ([UserError, InputError, TableError, GuestReadError].some((kind) => error instanceof kind)) {
      output.err(`safepoint: ${(error as Error).message}\n`);
      return EXIT_BAD_INPUT;
    }
    // A mistake of ours. The stack is for those who ask.
    const stack = process.env.SAFEPOINT_DEBUG === undefined ? '' : `${(error as Error).stack}\n`;
    output.err(`${stack}safepoint: internal error: ${String(error)}; please report it, with SAFEPOINT_DEBUG=1 set\n`);
    return EXIT_BAD_INPUT;
  }
}

/** A message of the parser's, in the form of the contract. */
function usageError(text: string, command: string): string {
  const message = text
    .replace(/^error: /, '')
    .trim()
    .replace(/\.$/, '')
    .replaceAll('\n', ' ')
    .replace(
      /^option '(--[\w-]+)[^']*' argument '(.*?)' is invalid\. (Allowed)?/,
      (_all, option, value, allowed) => `${option} ${value}: ${allowed === undefined ? '' : 'allowed'}`,
    )
    .replace(/^command-argument value '(.*?)' is invalid for argument '(\w+)'\. Allowed/, '$2 $1: allowed');
  const file = /^unknown command '(.*?)'/.exec(message)?.[1];
  if (file !== undefined && existsSync(file)) return `safepoint: ${file} is no command; try safepoint run ${file}\n`;
  const help = command === 'safepoint' ? 'safepoint --help' : `safepoint ${command} --help`;
  return `safepoint: ${message}; try ${help}\n`;
}
