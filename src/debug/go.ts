// The Go side of a session: the program's tables, who decides about interrupts, and what a schedule has them do. Opened when somebody asks
// for it: a run that nothing interrupts, and that finds its code compiled, loads none of it (cli/later.ts).

import { archOf } from '../arch/arch.ts';
import type { Machine } from '../engine/machine.ts';
import { asyncpreemptoff } from '../goruntime/godebug.ts';
import type { AllgsSymbols } from '../goruntime/goroutines.ts';
import { LocationError } from '../goruntime/locate.ts';
import { Preemption } from '../goruntime/preempt.ts';
import { GoProgram, NotGoError } from '../goruntime/program.ts';
import type { GuestMemory } from '../goruntime/view.ts';
import type { Inside } from '../jit/inside.ts';
import type { Kernel } from '../linux/kernel.ts';
import type { InterruptSource, RunOptions } from '../linux/process.ts';
import { type Elf, ElfError } from '../object/elf.ts';
import { GuestHandler } from './guest-handler.ts';
import { HostHandler } from './host-handler.ts';
import { InputError } from './input-error.ts';
import { insideOf } from './inside/inside.ts';
import { RequestLog } from './request-log.ts';
import { allgsOf } from './runtime-variables.ts';
import type { Schedule } from './schedule.ts';
import type { SessionOptions } from './session.ts';
import { timerFor } from './timer.ts';
import { MachineMemory, type Thread } from './view.ts';

/** What a session has of a Go program. */
export interface Go {
  readonly program: GoProgram;
  readonly memory: GuestMemory;
  readonly preemption: Preemption;
  readonly handler: HostHandler;
  /** With the `guest` handler: what became of every SIGURG. */
  readonly guest: GuestHandler | undefined;
  /** Where the list of all goroutines is, symbols or not. */
  readonly allgs: AllgsSymbols | undefined;
}

/** It, or why there is none. */
export interface OpenedGo {
  readonly go: Go | undefined;
  readonly reason?: string;
}

/** Reads a program's Go tables. @throws InputError where they are damaged, or options do not fit them */
export function openGo(elf: Elf, machine: Machine, kernel: Kernel, options: SessionOptions): OpenedGo {
  try {
    // The tables give addresses as linked; nothing here adds where such a program is loaded.
    if (elf.pie)
      throw new NotGoError(
        'a position-independent program: build it without -buildmode=pie to have its Go tables read',
      );
    return { go: goOf(GoProgram.open(elf), machine, kernel, options) };
  } catch (error) {
    if (error instanceof ElfError) throw new InputError(error.message);
    if (!(error instanceof NotGoError)) throw error;
    return { go: undefined, reason: error.message };
  }
}

function goOf(program: GoProgram, machine: Machine, kernel: Kernel, options: SessionOptions): Go {
  const { rules: name = 'auto', without, env = [] } = options;
  const rules = program.rulesNamed(name);
  if (rules === undefined) throw new InputError(`no rules ${name}; try auto, seed or a release such as 1.19`);
  const memory = new MachineMemory(machine.memory, archOf(program.elf.goarch));
  const preemption = new Preemption(program, memory, {
    rules,
    asyncpreemptoff: asyncpreemptoff(env, program.release),
    ...(without === undefined ? {} : { without }),
  });
  const handler = new HostHandler(machine, program, preemption);
  const guest = options.handler === 'guest' ? new GuestHandler(kernel, preemption, handler) : undefined;
  let allgs: { readonly found: AllgsSymbols | undefined } | undefined;
  return {
    program,
    memory,
    preemption,
    handler,
    guest,
    get allgs() {
      // Symbols or code are looked through only for those who list goroutines.
      allgs ??= { found: allgsOf(machine.isa, program) };
      return allgs.found;
    },
  };
}

/** How a schedule interrupts a run, and who takes the interrupts within compiled code, where that is possible. */
export interface Interrupts {
  readonly options: RunOptions;
  readonly inside: Inside | undefined;
}

/** @throws InputError for a place that the program does not have */
export function interruptsOf(schedule: Schedule, go: Go, kernel: Kernel, thread: Thread): Interrupts {
  const { program, preemption, handler, guest } = go;
  const { machine } = kernel;
  const pcs = schedule.kind === 'at' ? placesOf(program, schedule.place) : [];
  const requests = new RequestLog(machine, preemption, handler.state);
  handler.requests = requests;
  const interrupt = (tid: number): boolean => {
    if (schedule.synchronous === true) return handler.request(false);
    if (guest !== undefined) return guest.interrupt(tid);
    const decision = handler.interrupt(tid);
    return decision !== undefined && decision.refusedBy === undefined;
  };
  const inside = guest === undefined && schedule.synchronous !== true ? insideOf(handler, requests, kernel) : undefined;
  const timer = timerFor(schedule, { machine, thread, program, handler, interrupt }, pcs);
  const source: InterruptSource = {
    next: (now) => timer.next(now),
    fire: (_kernel, task) => timer.fire(machine.instructions, task.tid),
    // The program's own handler needs a signal.
    quiet: guest === undefined,
    every: () => (inside?.isPossible === true ? (timer.every ?? 0) : 0),
    taken: () => requests.catchUp(),
  };
  const options: RunOptions = {
    interrupts: [source],
    passes: () => requests.stopped(),
    onBreakpoint: (_kernel, task) => {
      timer.stopped(machine.instructions, task.tid);
      return true;
    },
  };
  return { options, inside };
}

function placesOf(program: GoProgram, place: string): readonly number[] {
  try {
    return program.locate(place).pcs;
  } catch (error) {
    if (error instanceof LocationError) throw new InputError(error.message);
    throw error;
  }
}
