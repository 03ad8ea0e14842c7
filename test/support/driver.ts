// Runs one or a few instructions on a bare machine: the driver behind every behaviour case.

import type { Isa, TrapKind } from '../../isa/index.ts';
import { Machine } from '../../src/engine/machine.ts';
import { type FaultReason, PROT_EXEC, PROT_READ, PROT_WRITE } from '../../src/engine/memory.ts';

export interface Given {
  /** The code, in guest byte order. */
  readonly bytes: Uint8Array;
  /** Registers by name; the others are 0. */
  readonly registers?: Readonly<Record<string, bigint>>;
  readonly memory?: readonly { readonly address: number; readonly bytes: Uint8Array }[];
  /** Where the code stands. */
  readonly pc?: number;
  /** Instructions to execute; 1 when absent. */
  readonly count?: number;
}

export interface Outcome {
  /** Every register by name, control registers included. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** The given memory areas afterwards. */
  readonly memory: readonly { readonly address: number; readonly bytes: Uint8Array }[];
  readonly stop:
    | 'done'
    | 'syscall'
    | { readonly trap: TrapKind; readonly code: number }
    | { readonly fault: FaultReason; readonly address: number };
}

export const CODE_ADDRESS = 0x10000;

/** One machine for each instruction set: making one costs more than most cases do. */
const MACHINES = new WeakMap<Isa, Machine>();

/** A machine with nothing mapped and every register 0. */
function freshMachine(isa: Isa): Machine {
  let machine = MACHINES.get(isa);
  if (machine === undefined) {
    machine = new Machine(isa, { limit: isa.variant.width === 64 ? 2 ** 47 : 2 ** 31, memorySize: 2 ** 24 });
    MACHINES.set(isa, machine);
  }
  machine.memory.discard(0, machine.memory.limit);
  machine.state.load(new Uint8Array(isa.registers.size));
  machine.instructions = 0;
  return machine;
}

/** Runs on the evaluator. The pages of the code and of the given memory are mapped, and no others. */
export function execute(isa: Isa, given: Given): Outcome {
  const pc = given.pc ?? CODE_ADDRESS;
  const areas = given.memory ?? [];
  const mapped = new Set<number>();
  const map = (address: number, length: number): void => {
    for (let page = Math.floor(address / 4096); page <= Math.floor((address + length - 1) / 4096); page++)
      mapped.add(page);
  };
  map(pc, given.bytes.length);
  for (const area of areas) map(area.address, area.bytes.length);

  const machine = freshMachine(isa);
  machine.memory.setSource({
    protectionAt: (address) => (mapped.has(Math.floor(address / 4096)) ? PROT_READ | PROT_WRITE | PROT_EXEC : -1),
  });
  machine.memory.write(pc, given.bytes, true);
  for (const area of areas) machine.memory.write(area.address, area.bytes, true);
  for (const [name, value] of Object.entries(given.registers ?? {}))
    machine.state.set(machine.state.register(name), value);
  machine.state.pc = pc;

  const stop = machine.run(given.count ?? 1);
  const registers = Object.fromEntries(isa.registers.all.map((r) => [r.name, machine.state.get(r)]));
  return {
    registers,
    memory: areas.map((area) => ({
      address: area.address,
      bytes: machine.memory.read(area.address, area.bytes.length),
    })),
    stop:
      stop === 'trap'
        ? { trap: machine.trap.kind, code: machine.trap.code }
        : stop === 'fault'
          ? { fault: machine.fault.reason, address: machine.fault.address }
          : stop === 'syscall'
            ? 'syscall'
            : 'done',
  };
}
