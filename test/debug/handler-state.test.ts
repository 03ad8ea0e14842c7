import { expect, test } from 'vitest';
import { HandlerState, KINDS, NOTE, NOTE_SIZE, OFFSETS, PAST, REFUSERS } from '../../src/debug/handler-state.ts';
import { Memory } from '../../src/engine/memory.ts';

const SP = 0xc000_0400_f0;

function make(): { readonly memory: Memory; readonly state: HandlerState } {
  const memory = new Memory({ bigEndian: false, limit: 2 ** 47, size: 2 ** 24 });
  return { memory, state: new HandlerState(memory) };
}

/** Notes a refusal as compiled code does. */
function note({ i32, f64 }: Memory, past: number, generation: number, pc: number): void {
  const at = OFFSETS.notes + NOTE_SIZE * i32[OFFSETS.noted >>> 2]!++;
  i32[(at + NOTE.past) >>> 2] = past;
  i32[(at + NOTE.by) >>> 2] = REFUSERS.indexOf('tables');
  f64[(at + NOTE.generation) >>> 3] = generation;
  f64[(at + NOTE.pc) >>> 3] = pc;
  f64[(at + NOTE.sp) >>> 3] = SP;
}

test('what is known of goroutines stays with them, however many there are', () => {
  const { state } = make();
  const gs = Array.from({ length: 300 }, (_, i) => 0xc000_0020_00 + 0x1c0 * i);
  for (const [i, gp] of gs.entries()) {
    state.past(gp).refuse(i, SP, 'state');
    state.past(gp).refused(i, SP, 1000 + i);
  }
  for (const [i, gp] of gs.entries()) {
    const past = state.past(gp);
    expect([past.gp, past.refusedPc, past.refusedAt]).toEqual([gp, i, 1000 + i]);
    expect([past.refuser(i, SP), past.refuser(i + 1, SP)]).toEqual(['state', undefined]);
  }
  state.forget();
  for (const gp of gs) expect(state.past(gp).refusedPc).toBeNaN();
});

test('a refusal that compiled code has noted is the goroutine’s, unless it has been preempted since', () => {
  const { memory, state } = make();
  const past = state.past(0xc000_0020_00);
  past.forgetRefusals();
  past.refuse(1, SP, 'state');
  note(memory, past.at, 1, 2);
  note(memory, past.at, 0, 3);
  state.takeOverNotes();
  expect([1, 2, 3].map((pc) => past.refuser(pc, SP))).toEqual(['state', 'tables', undefined]);

  // It is preempted, and refused again, in compiled code.
  memory.f64[(past.at + PAST.generation) >>> 3] = 2;
  note(memory, past.at, 2, 4);
  state.takeOverNotes();
  expect([1, 2, 4].map((pc) => past.refuser(pc, SP))).toEqual([undefined, undefined, 'tables']);
});

test('the word of the breakpoint follows the requests that are pending', () => {
  const { memory, state } = make();
  const WORD = 0x700;
  state.pending = 1;
  state.stop = WORD;
  for (const [pending, on] of [
    [1, 1],
    [2, 1],
    [0, 0],
  ] as const) {
    state.pending = pending;
    expect(memory.i32[WORD >>> 2]).toBe(on);
  }
});

test('requests are counted by the kind of safe-point that served them', () => {
  const { state } = make();
  for (const [i, kind] of KINDS.entries()) for (let n = 0; n <= i; n++) state.countServed(kind, 10);
  expect(KINDS.map((kind) => state.served(kind))).toEqual([
    { served: 1, instructions: 10 },
    { served: 2, instructions: 20 },
    { served: 3, instructions: 30 },
  ]);
});
