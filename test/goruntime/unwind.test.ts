import { describe, expect, test } from 'vitest';
import { Unwinder } from '../../src/goruntime/unwind.ts';
import { cells, open } from './programs.ts';
import { G, running, STACK, STACK_SIZE } from './running.ts';

/** The stack of the main goroutine: main.main called by runtime.main called by goexit. */
function mainStack(cell: Parameters<typeof open>[0]) {
  const program = open(cell);
  const { tables, arch } = program;
  const { memory, model } = running(program);
  const w = arch.pointerSize;
  const main = tables.funcsNamed('main.main')[0]!;
  const caller = tables.funcsNamed('runtime.main')[0]!;
  const goexit = tables.funcsNamed('runtime.goexit').find((f) => f.funcIDName === 'goexit')!;
  const deep = (f: typeof main): number => {
    for (let pc = f.entry; pc < f.end; pc += arch.pcQuantum) {
      if (tables.funcspdelta(f, pc) === tables.funcMaxSPDelta(f)) return pc;
    }
    throw new Error(`${f.name} has no frame`);
  };
  const returnInto = deep(caller) + 2 * arch.pcQuantum;
  const top = STACK + STACK_SIZE - 64;
  // The return address stands above the frame on amd64, at its bottom on MIPS.
  const callerFP = top;
  const callerSP = callerFP - tables.funcspdelta(caller, returnInto) - (arch.linkRegister ? 0 : w);
  const pc = deep(main);
  const sp = callerSP - tables.funcspdelta(main, pc) - (arch.linkRegister ? 0 : w);
  const exit = goexit.entry + arch.pcQuantum;
  memory.writePointer(arch.linkRegister ? callerSP : callerFP - w, exit);
  memory.writePointer(arch.linkRegister ? sp : callerSP - w, returnInto);
  return { program, memory, model, pc, sp, main, returnInto };
}

describe.each(cells())('unwinding for $goarch, Go $release', (cell) => {
  test('walks from main.main to goexit', () => {
    const { program, memory, pc, sp, returnInto } = mainStack(cell);
    const walk = new Unwinder(program, memory).walk({ pc, sp, lr: 0 }, { gp: G });
    expect(walk.frames.map((f) => f.func.name)).toEqual(['main.main', 'runtime.main', 'runtime.goexit']);
    expect(walk.stop).toBe('complete');
    expect(walk.frames[1]).toMatchObject({ pc: returnInto, linePC: returnInto - program.arch.pcQuantum });
    expect(walk.frames[0]?.inline().at(-1)?.file).toMatch(/main\.go$/);
  });

  test('goes through an injected call of asyncPreempt', () => {
    const { program, memory, model, pc, sp, main } = mainStack(cell);
    const context = { pc, sp, lr: 0 };
    model.pushCall(context, program.asyncPreempt, pc);
    const walk = new Unwinder(program, memory).walk(context, { gp: G });
    expect(walk.frames.map((f) => f.func.name)).toEqual([
      'runtime.asyncPreempt',
      'main.main',
      'runtime.main',
      'runtime.goexit',
    ]);
    expect(walk.frames[1]).toMatchObject({ pc, sp, linePC: pc, func: main, interrupted: true });
  });

  test('a damaged stack ends the walk with a reason', () => {
    const { program, memory, pc, sp } = mainStack(cell);
    const unwinder = new Unwinder(program, memory);
    expect(unwinder.walk({ pc, sp: 0x10, lr: 0 }, { gp: G })).toMatchObject({
      stop: 'bad-frame',
      reason: /outside the stack/,
    });
    expect(unwinder.walk({ pc, sp: 0x10, lr: 0 })).toMatchObject({ stop: 'bad-frame', reason: /cannot read/ });
    expect(unwinder.walk({ pc: 0x10, sp, lr: 0 })).toMatchObject({ stop: 'not-go', frames: [] });
    expect(unwinder.walk({ pc, sp, lr: 0 }, { limit: 1 }).stop).toBe('limit');
  });
});
