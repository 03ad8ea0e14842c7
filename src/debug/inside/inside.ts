// What a session has done within compiled code at interrupts: when that is possible, and what it is told of the program.

import { checksum } from '../../engine/checksum.ts';
import { DECIDED_NOTHING, DECIDED_REFUSED, DECIDED_SAFE } from '../../engine/layout.ts';
import { TableError } from '../../goruntime/pcvalue.ts';
import type { Inside } from '../../jit/inside.ts';
import { CALL_NUMBERS } from '../../linux/abi/numbers.ts';
import type { Kernel } from '../../linux/kernel.ts';
import type { HostHandler } from '../host-handler.ts';
import type { RequestLog } from '../request-log.ts';
import { insideModule } from './module.ts';
import type { InsideNumbers } from './program.ts';

export interface InsideSession extends Inside {
  /** Whether interrupts may be taken within compiled code now. */
  readonly isPossible: boolean;
}

const UNKNOWN = { decision: DECIDED_NOTHING, resume: 0 } as const;

/** Undefined where rules, or checks that are switched off, ask for more than is done there. */
export function insideOf(handler: HostHandler, requests: RequestLog, kernel: Kernel): InsideSession | undefined {
  const { preemption, state } = handler;
  const { program, safePoints } = preemption;
  if (preemption.without.size > 0 || preemption.asyncpreemptoff || preemption.checksSecret) return undefined;
  let tables: number | undefined;
  return {
    breakpoint: requests.place,
    get isPossible() {
      return handler.listener === undefined && requests.isAlone && program.asyncPreemptStackIsSet(preemption.memory);
    },
    setStop(word) {
      // Who else stops there is not to miss it.
      state.stop = requests.isAlone ? word : 0;
    },
    decide(pc, half) {
      try {
        const { refusal, restartAt } = safePoints.decision(pc, half ? pc + 8 : 0);
        if (refusal >= 0) return { decision: DECIDED_REFUSED + refusal, resume: 0 };
        return { decision: DECIDED_SAFE, resume: restartAt ?? pc };
      } catch (error) {
        // The handler will come upon it, and say so.
        if (error instanceof TableError) return UNKNOWN;
        throw error;
      }
    },
    get name() {
      const { epoch, ...numbers } = insideNumbers(handler, kernel);
      tables ??= program.constants.reduce((sum, bytes) => checksum(bytes, sum), 0);
      return `${Object.values(numbers).join(' ')} ${epoch} ${preemption.rules.name} ${tables} ${requests.place}`;
    },
    module: (memoryPages) =>
      insideModule(
        {
          isa: kernel.machine.isa,
          arch: program.arch,
          offsets: program.offsets,
          callRegisters: kernel.abi.callRegisters,
          ...insideNumbers(handler, kernel),
        },
        memoryPages,
      ),
  };
}

/** What rules and options decide of the module; the rest follows from the program. */
function insideNumbers({ preemption }: HostHandler, { abi, clock }: Kernel): InsideNumbers {
  return {
    asyncPreempt: preemption.program.asyncPreempt,
    asyncPreemptStack: preemption.asyncPreemptStack,
    signalPending: preemption.rules.signalPending,
    clockGettime: CALL_NUMBERS.clock_gettime[abi.column],
    epoch: clock.epoch,
  };
}
