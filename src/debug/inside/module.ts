// The module of what is done in compiled code at exits that are no ends: without a way out to the host, which takes several times as long as the
// rest. It decides nothing of its own: it does what the handler, the log of requests and the kernel would do in common cases, and leaves all
// others to them.

import { DECIDED_STOP, DECISIONS, PLACE_DECISION } from '../../engine/layout.ts';
import { assemble } from '../../jit/assemble.ts';
import { I32, OP } from '../../jit/opcodes.ts';
import { emitClockCall } from './clock-call.ts';
import { Emitter } from './emitter.ts';
import { emitInterrupt } from './interrupt.ts';
import type { InsideProgram } from './program.ts';
import { emitServed } from './served.ts';

/** Types and functions, by index. */
const MORE_TYPE = 0;
const PASSES_TYPE = 1;
const HOST_MORE = 0;

/** As `Inside.module` wants it. */
export function insideModule(program: InsideProgram, memoryPages: number): Uint8Array<ArrayBuffer> {
  const more = new Emitter(program, 1);
  more.orHost(
    () => emitInterrupt(more, program, more.get(0)),
    () => {
      more.code.get(0);
      more.code.call(HOST_MORE);
    },
  );
  const passes = new Emitter(program, 2);
  const [place, left] = [passes.get(0), passes.get(1)];
  const isStop = passes.op(
    OP.i32_eq,
    passes.load(OP.i32_load, DECISIONS + PLACE_DECISION, place),
    passes.i32(DECIDED_STOP),
  );
  passes.orHost(
    () => {
      passes.when(
        isStop,
        () => emitServed(passes, program, left),
        () => emitClockCall(passes, program, left),
      );
      passes.code.i32(1);
      passes.code.op(OP.return);
    },
    () => passes.code.i32(0),
  );
  return assemble({
    types: [
      { parameters: [I32], results: [I32] },
      { parameters: [I32, I32], results: [I32] },
    ],
    functions: [{ module: 'h', name: 'more', type: MORE_TYPE }],
    memoryPages,
    bodies: [
      { type: MORE_TYPE, body: more.code.body(), name: 'more' },
      { type: PASSES_TYPE, body: passes.code.body(), name: 'passes' },
    ],
  });
}
