// The handler's half in compiled code (handler-module.ts): when it may be used, and what it is told of the program.

import type { Isa } from '../../isa/dsl/isa.ts';
import { DECIDED_NOTHING, DECIDED_REFUSED, DECIDED_SAFE } from '../engine/layout.ts';
import { TableError } from '../goruntime/pcvalue.ts';
import type { Inside, InsideFunctions } from '../jit/inside.ts';
import { handlerModule } from './handler-module.ts';
import type { HostHandler } from './host-handler.ts';
import type { RequestLog } from './request-log.ts';

export interface InsideHandler extends Inside {
  /** Whether interrupts may be taken within compiled code now. */
  readonly isPossible: boolean;
}

const UNKNOWN = { decision: DECIDED_NOTHING, resume: 0 } as const;

/** The half of a handler in compiled code; undefined where rules, or checks that are switched off, ask for more than it does. */
export function insideHandler(isa: Isa, handler: HostHandler, requests: RequestLog): InsideHandler | undefined {
  const { preemption, state } = handler;
  const { program, safePoints } = preemption;
  if (preemption.without.size > 0 || preemption.asyncpreemptoff || preemption.checksSecret) return undefined;
  const asyncPreempt = program.asyncPreempt;
  let isReady = false;
  return {
    breakpoint: requests.place,
    get isPossible() {
      // Once the runtime has begun, it stays so.
      isReady ||= program.asyncPreemptStackIsSet(preemption.memory);
      return isReady && handler.listener === undefined && requests.isAlone;
    },
    setStop(word) {
      state.stop = word;
    },
    decide(pc) {
      try {
        const { refusal, restartAt } = safePoints.decision(pc, 0);
        if (refusal >= 0) return { decision: DECIDED_REFUSED + refusal, resume: 0 };
        return { decision: DECIDED_SAFE, resume: restartAt ?? pc };
      } catch (error) {
        if (error instanceof TableError) return UNKNOWN;
        throw error;
      }
    },
    functions(e, memoryPages, more) {
      const bytes = handlerModule(
        {
          isa,
          arch: program.arch,
          offsets: program.offsets,
          asyncPreempt,
          asyncPreemptStack: preemption.asyncPreemptStack,
          signalPending: preemption.rules.signalPending,
        },
        memoryPages,
      );
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { e, h: { more } });
      return exports as unknown as InsideFunctions;
    },
  };
}
