// The machine: one processor, one memory, the one loop. `run(budget)` stops after exactly that many instructions, or before.

import type { TrapKind } from '../../isa/dsl/effects.ts';
import type { Isa } from '../../isa/dsl/isa.ts';
import type { Breakpoints, Compiler, Counter, MakeCompiler, Observer, Watched } from './compiler.ts';
import { DecodeCache, type Instruction } from './decode.ts';
import { FlagsPutOff } from './flags.ts';
import { BLOCK_SIZE, BRANCHED, NEXT, NULLIFIED, REMAINING, STRETCH_END, TAKE_EVERY } from './layout.ts';
import { GuestFault, Memory } from './memory.ts';
import { ConstantPool } from './place.ts';
import { State } from './state.ts';
import { hostOver } from './steps.ts';
import { GuestTrap } from './trap.ts';

/**
 * Why a run ended.
 * - `budget`: the instructions are executed, or it stands before a switch point near to the budget's end.
 * - `syscall`: a system call instruction is executed; PC is past it.
 * - `trap`, `fault`: the next instruction cannot be executed, and has changed nothing: see `machine.trap`, `machine.fault`.
 * - `breakpoint`: the next instruction is one to stop before, and has not begun.
 */
export type Stop = 'budget' | 'syscall' | 'trap' | 'fault' | 'breakpoint';

/** Who is asked, while a run is under way, whether it goes on at once. */
export interface Along {
  /** The budget is executed: how many instructions may follow, without a window; 0 for none. */
  more?(): number;
  /** A breakpoint stands at PC: whether the run goes on all the same. */
  passes?(): boolean;
  /** What `more` would do at an interrupt, compiled code may do by itself (src/jit/inside.ts): one after each `every` instructions up to here. */
  readonly until?: number;
  readonly every?: number;
  /** It has. */
  taken?(): void;
}

const NEXT_WORD = NEXT >>> 2;
const BRANCHED_WORD = BRANCHED >>> 2;
const NULLIFIED_WORD = NULLIFIED >>> 2;
const REMAINING_WORD = REMAINING >>> 2;
const END_WORD = STRETCH_END >>> 2;
const STRETCH = 0x3fffffff;
const NOWHERE: ReadonlySet<number> = new Set();

export class Machine implements Watched {
  readonly isa: Isa;
  readonly memory: Memory;
  readonly state: State;
  readonly code: DecodeCache;
  /** The trap or fault that ended the last run. */
  trap: { kind: TrapKind; code: number } = { kind: 'illegal', code: 0 };
  fault: GuestFault = new GuestFault(0, 'execute', 'unmapped');
  observer: Observer | undefined;
  counter: Counter | undefined;
  breakpoints: Breakpoints | undefined;
  futureBreakpoints: ReadonlySet<number> = NOWHERE;
  stopInCallSlots = false;
  readonly #compiler: Compiler | undefined;
  /** Current wherever an observer takes over; whoever else looks at them does so through the state. */
  readonly #flags: FlagsPutOff;
  /** Instructions executed up to the end of the current stretch. */
  #stretchEnd = 0;
  /** Of the current stretch. */
  #window = 0;
  /** Of the run: instructions that follow the current stretch, its window, and who is asked. */
  #ahead = 0;
  #runWindow = 0;
  #along: Along | undefined;
  /** Set while the instruction under a breakpoint is to be executed after all. */
  #passBreakpoint = false;

  /** @param options.compiler makes the compiler; without one everything is evaluated. */
  constructor(isa: Isa, options: { limit: number; memorySize?: number; compiler?: MakeCompiler | undefined }) {
    this.isa = isa;
    this.memory = new Memory({
      bigEndian: isa.variant.bigEndian,
      limit: options.limit,
      ...(options.memorySize === undefined ? {} : { size: options.memorySize }),
    });
    this.#flags = new FlagsPutOff(isa.registers.flags, this.memory.i32, (list) => this.code.stepsOf(list));
    this.state = new State(isa.registers, this.memory, this.#flags.settle);
    const host = hostOver(isa.variant, this.memory, () => this.instructions);
    this.code = new DecodeCache(isa, this.memory, host, new ConstantPool(this.memory), this.#flags, this.state.pcIndex);
    this.#compiler = options.compiler?.({
      isa,
      memory: this.memory,
      state: this.state,
      code: this.code,
      flags: this.#flags,
      now: () => this.instructions,
      nextStretch: () => (this.#ahead > 0 ? 0 : this.#nextStretch()),
      takesUntil: () => this.#takesUntil(),
      taken: (stretches) => this.#taken(stretches),
    });
    const compiler = this.#compiler;
    if (compiler !== undefined) this.code.setBlockListener((block) => compiler.met(block));
    this.memory.setCodeListener((page) => {
      this.code.invalidate(page);
      this.#compiler?.invalidate(page);
    });
  }

  /** Instructions executed since the start: the clock. */
  get instructions(): number {
    return this.#stretchEnd - this.memory.i32[REMAINING_WORD]!;
  }

  /** Puts the clock to a count, as when a snapshot is restored. */
  set instructions(count: number) {
    this.#stretchEnd = count;
    this.memory.i32[REMAINING_WORD] = 0;
  }

  /** Lets the next run execute the instruction at PC even where a breakpoint stands before it. */
  passBreakpoint(): void {
    this.#passBreakpoint = true;
  }

  /**
   * Executes at most `budget` instructions. With a window it also ends when no more than `window` of them are left and the next
   * instruction is a switch point, even if that is the first one.
   */
  run(budget: number, window = 0, along?: Along): Stop {
    this.#ahead = budget;
    this.#runWindow = window;
    this.#along = along;
    while (this.#nextStretch() > 0) {
      const stop = this.#stretch();
      if (stop !== 'budget' || this.memory.i32[REMAINING_WORD]! > 0) return stop;
    }
    return 'budget';
  }

  /** Begins the next stretch of the run: how many instructions it has; 0 when the run is over. The last one is executed. */
  #nextStretch(): number {
    if (this.#ahead <= 0) {
      if (this.#along !== undefined) this.#compiler?.interruptedAt(this.state.epc);
      this.#ahead = this.#along?.more?.() ?? 0;
      this.#runWindow = 0;
      if (this.#ahead <= 0) {
        this.#along = undefined;
        return 0;
      }
    }
    const stretch = Math.min(this.#ahead, STRETCH);
    this.#ahead -= stretch;
    this.#window = Math.max(this.#runWindow - this.#ahead, 0);
    this.#stretchEnd = this.instructions + stretch;
    this.memory.i32[REMAINING_WORD] = stretch;
    return stretch;
  }

  #takesUntil(): number {
    const { until = 0, every = 0 } = this.#along ?? {};
    if (this.#ahead > 0 || until === 0) return 0;
    this.memory.i32[TAKE_EVERY >>> 2] = every;
    return until;
  }

  #taken(stretches: boolean): void {
    const { i32 } = this.memory;
    if (stretches) {
      this.#stretchEnd = i32[END_WORD + 1]! * 2 ** 32 + (i32[END_WORD]! >>> 0);
      this.#window = 0;
      i32[REMAINING_WORD] = 0;
    }
    this.#along?.taken?.();
  }

  /** Whether the run ends before the instruction at PC, because its window has begun. */
  get #endsEarly(): boolean {
    return this.memory.i32[REMAINING_WORD]! <= this.#window && this.atSwitchPoint;
  }

  /** Whether the instruction at PC is one before which threads change. */
  get atSwitchPoint(): boolean {
    return this.memory.i32[this.state.slotIndex] === 0 && this.code.isSwitchPoint(this.state.pc);
  }

  /** Brings the counter up to date. */
  settleCounts(): void {
    this.#compiler?.settle();
  }

  /**
   * The run is over: lets what was compiled be found again by the next one, where it is kept.
   * @param working is called each time when some of the work that this makes is done
   */
  keepCode(working?: () => void): void {
    this.#compiler?.keep(working);
  }

  /** Executes one instruction, in the evaluator whatever has been compiled. */
  step(): Stop {
    this.#stretchEnd = this.instructions + 1;
    this.memory.i32[REMAINING_WORD] = 1;
    this.#window = 0;
    return this.#finish(this.#evaluate(undefined));
  }

  /** Runs until the stretch is over or something stops it: compiled code where there is some, the evaluator elsewhere. */
  #stretch(): Stop {
    const compiler = this.#compiler;
    const { i32 } = this.memory;
    for (;;) {
      let stop: Stop | 'compiled' | undefined;
      // Whoever is asked may have changed what is watched.
      if (compiler?.watch(this) !== true) stop = this.#finish(this.#evaluate(undefined));
      else {
        // The evaluator is who passes a breakpoint.
        const passes = this.#passBreakpoint && this.breakpoints !== undefined;
        if (i32[this.state.slotIndex] === 0 && !passes) stop = compiler.run(this.#window);
        // A region may have left an address out since code for it was made.
        if (stop === 'breakpoint' && this.breakpoints?.has(this.state.pc) !== true) stop = undefined;
        if (stop === undefined) {
          if (i32[REMAINING_WORD]! <= 0 || this.#endsEarly) return 'budget';
          stop = this.#evaluate(compiler);
        }
      }
      if (stop === 'compiled' || (stop === 'breakpoint' && this.#passes())) continue;
      return stop;
    }
  }

  /** Whether the run goes on at a breakpoint. */
  #passes(): boolean {
    if (this.#along?.passes?.() !== true) return false;
    if (this.breakpoints?.has(this.state.pc) === true) this.#passBreakpoint = true;
    return true;
  }

  get #observed(): boolean {
    return this.observer !== undefined || this.counter !== undefined;
  }

  /** Tells whoever wants to know that an instruction is about to be executed. */
  #observe(low: number, high: number, instruction: Instruction): void {
    const pc = (high >>> 0) * 2 ** 32 + (low >>> 0);
    // An observer may look at the registers.
    this.#flags.settle();
    this.observer?.(pc, instruction);
    this.counter?.add(pc);
  }

  #finish(stop: Stop | 'compiled'): Stop {
    return stop === 'compiled' ? 'budget' : stop;
  }

  /** Evaluates until the stretch is over or something stops it; with a compiler, until a branch leads to compiled code. */
  #evaluate(compiler: Compiler | undefined): Stop | 'compiled' {
    try {
      return this.isa.variant.delaySlot ? this.#loopWithSlots(compiler) : this.#loop(compiler);
    } catch (error) {
      if (error instanceof GuestFault) {
        this.fault = error;
        return 'fault';
      }
      if (error instanceof GuestTrap) {
        if (error.kind === 'syscall') {
          this.memory.i32[REMAINING_WORD]!--;
          this.#advance();
          return 'syscall';
        }
        this.trap = { kind: error.kind, code: error.code };
        return 'trap';
      }
      throw error;
    }
  }

  /** Moves PC past an instruction whose last operation was a trap. */
  #advance(): void {
    const i32 = this.memory.i32;
    const { pcIndex, pendingIndex, slotIndex } = this.state;
    const from = i32[slotIndex] !== 0 ? pendingIndex : NEXT_WORD;
    i32[pcIndex] = i32[from]!;
    i32[pcIndex + 1] = i32[from + 1]!;
    i32[slotIndex] = 0;
  }

  /** Whether a breakpoint stops the run before the instruction at PC. */
  #stopsAt(low: number, high: number): boolean {
    const stops = this.breakpoints?.has((high >>> 0) * 2 ** 32 + (low >>> 0)) === true && !this.#passBreakpoint;
    this.#passBreakpoint = false;
    return stops;
  }

  #fetch(low: number, high: number): Instruction {
    const instruction = this.code.at((high >>> 0) * 2 ** 32 + (low >>> 0));
    if (instruction === undefined) throw new GuestTrap('illegal', 0);
    return instruction;
  }

  #loop(compiler: Compiler | undefined): Stop | 'compiled' {
    const { i32 } = this.memory;
    const { pcIndex } = this.state;
    const plain = this.breakpoints === undefined;
    const observed = this.#observed;
    let told = compiler?.takeTold() === true;
    const { indexShift: shift, blockMask, numbered } = this.code;
    let block = this.code.block(this.state.pc);
    let blockLow = (block.number * BLOCK_SIZE) | 0;
    let blockHigh = Math.floor(block.number / (2 ** 32 / BLOCK_SIZE)) | 0;
    let arrived = false;
    let moved = false;
    while (i32[REMAINING_WORD]! > 0) {
      const low = i32[pcIndex]!;
      const high = i32[pcIndex + 1]!;
      if (this.#endsEarly) return 'budget';
      if (!plain && this.#stopsAt(low, high)) return 'breakpoint';
      let instruction: Instruction | undefined;
      const index = (low & (BLOCK_SIZE - 1)) >>> shift;
      if ((low & blockMask) === blockLow && high === blockHigh) instruction = numbered[block.numbers[index]!];
      if (instruction === undefined) {
        instruction = this.#fetch(low, high);
        block = this.code.block(this.state.pc);
        blockLow = low & -BLOCK_SIZE;
        blockHigh = high;
      }
      if (compiler !== undefined && moved) {
        // Compiled code goes on from wherever it can be entered; only arrivals by branches say that it should be made.
        if (block.heat[index]! < 0 ? true : arrived && compiler.arrived((high >>> 0) * 2 ** 32 + (low >>> 0), block))
          return 'compiled';
      }
      moved = true;
      if (observed) {
        if (told) this.counter?.add((high >>> 0) * 2 ** 32 + (low >>> 0));
        else this.#observe(low, high, instruction);
        told = false;
      }
      arrived = instruction.branches;
      const next = (low + instruction.length) | 0;
      i32[NEXT_WORD] = next;
      i32[NEXT_WORD + 1] = high + (next >>> 0 < low >>> 0 ? 1 : 0);
      const steps = instruction.steps;
      for (let i = 0; i < steps.length; i++) steps[i]!();
      i32[pcIndex] = i32[NEXT_WORD]!;
      i32[pcIndex + 1] = i32[NEXT_WORD + 1]!;
      i32[REMAINING_WORD]!--;
    }
    return 'budget';
  }

  /** As #loop, for targets whose branches take effect after the next instruction. Instructions are four bytes long. */
  #loopWithSlots(compiler: Compiler | undefined): Stop | 'compiled' {
    const { i32 } = this.memory;
    const { pcIndex, pendingIndex, slotIndex } = this.state;
    const plain = this.breakpoints === undefined;
    const observed = this.#observed;
    let told = compiler?.takeTold() === true;
    const stopInCallSlots = this.stopInCallSlots;
    const { indexShift: shift, blockMask, numbered } = this.code;
    let block = this.code.block(this.state.pc);
    let blockLow = (block.number * BLOCK_SIZE) | 0;
    let blockHigh = Math.floor(block.number / (2 ** 32 / BLOCK_SIZE)) | 0;
    let arrived = false;
    let moved = false;
    while (i32[REMAINING_WORD]! > 0) {
      const low = i32[pcIndex]!;
      const high = i32[pcIndex + 1]!;
      if (this.#endsEarly) return 'budget';
      if (!plain && this.#stopsAt(low, high)) return 'breakpoint';
      let instruction: Instruction | undefined;
      const index = (low & (BLOCK_SIZE - 1)) >>> shift;
      if ((low & blockMask) === blockLow && high === blockHigh) instruction = numbered[block.numbers[index]!];
      if (instruction === undefined) {
        instruction = this.#fetch(low, high);
        block = this.code.block(this.state.pc);
        blockLow = low & -BLOCK_SIZE;
        blockHigh = high;
      }
      const inSlot = i32[slotIndex] !== 0;
      if (compiler !== undefined && moved) {
        // Compiled code goes on from wherever it can be entered; only arrivals by branches say that it should be made.
        if (block.heat[index]! < 0 ? !inSlot : arrived && compiler.arrived((high >>> 0) * 2 ** 32 + (low >>> 0), block))
          return 'compiled';
      }
      moved = true;
      if (observed) {
        if (told) this.counter?.add((high >>> 0) * 2 ** 32 + (low >>> 0));
        else this.#observe(low, high, instruction);
        told = false;
      }
      arrived = inSlot;
      // A branch not taken goes on after its slot.
      const after = (low + 8) | 0;
      i32[NEXT_WORD] = instruction.branches ? after : (low + 4) | 0;
      i32[NEXT_WORD + 1] = high + (i32[NEXT_WORD]! >>> 0 < low >>> 0 ? 1 : 0);
      i32[BRANCHED_WORD] = 0;
      // A branch in a delay slot is unpredictable (MIPS64 vol. II); the hardware that Go runs on traps.
      if (inSlot && instruction.branches) throw new GuestTrap('illegal', 0);
      const steps = instruction.steps;
      for (let i = 0; i < steps.length; i++) steps[i]!();
      i32[REMAINING_WORD]!--;
      if (inSlot) {
        i32[pcIndex] = i32[pendingIndex]!;
        i32[pcIndex + 1] = i32[pendingIndex + 1]!;
        i32[slotIndex] = 0;
      } else if (i32[BRANCHED_WORD] !== 0) {
        if (i32[NULLIFIED_WORD] !== 0) {
          i32[NULLIFIED_WORD] = 0;
          i32[pcIndex] = after;
          i32[pcIndex + 1] = high + (after >>> 0 < low >>> 0 ? 1 : 0);
        } else {
          i32[pendingIndex] = i32[NEXT_WORD]!;
          i32[pendingIndex + 1] = i32[NEXT_WORD + 1]!;
          const slot = (low + 4) | 0;
          i32[pcIndex] = slot;
          i32[pcIndex + 1] = high + (slot >>> 0 < low >>> 0 ? 1 : 0);
          i32[slotIndex] = 1;
          if (stopInCallSlots && instruction.call) return 'breakpoint';
        }
      } else {
        i32[pcIndex] = i32[NEXT_WORD]!;
        i32[pcIndex + 1] = i32[NEXT_WORD + 1]!;
      }
    }
    return 'budget';
  }
}
