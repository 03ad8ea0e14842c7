// What a sweep holds against each injection: registers, stack, the way on from the resume, and the unwinder's view.

import type { Register } from '../../isa/dsl/registers.ts';
import { sizeOf } from '../../isa/dsl/registers.ts';
import type { Arch } from '../arch/arch.ts';
import type { Instruction } from '../engine/decode.ts';
import { GuestFault } from '../engine/memory.ts';
import type { SavedState } from '../engine/state.ts';
import { StackScanner } from '../goruntime/stack-scan.ts';
import { type Frame, type StackWalk, Unwinder } from '../goruntime/unwind.ts';
import type { OpList, Temp } from '../uop/ops.ts';
import type { Go } from './go.ts';
import type { Session, SessionEnd } from './session.ts';
import { type Thread, threadOf } from './view.ts';

/**
 * - `end`: the program ended before the goroutine resumed, or soon after;
 * - `progress`: the goroutine did not come back, or attempts were refused without bound;
 * - `registers`, `stack`: what the resumed goroutine finds is not what it left;
 * - `path`: it then does something else than it does undisturbed;
 * - `unwind`: the stack cannot be walked at the injected call, or not to the same callers;
 * - `scan`: a collection that found the goroutine there could not scan its stack (the runtime throws "missing stackmap");
 * - `locks`: the M holds locks, or may not be preempted for another reason;
 * - `output`: run to its end, the program prints something else or ends otherwise.
 */
export type OracleName = 'end' | 'progress' | 'registers' | 'stack' | 'path' | 'unwind' | 'scan' | 'locks' | 'output';

/** One instruction that the undisturbed goroutine executes after the interrupted place, and the registers after it. */
interface Step {
  readonly pc: number;
  readonly instruction: Instruction;
  readonly after: Block;
}

/** The goroutine before an injection, and how it goes on undisturbed; good until the next one is observed. */
export interface Undisturbed {
  /** Where it resumes if nothing is restarted: in a delay slot the branch's address. */
  readonly pc: number;
  readonly sp: number;
  readonly registers: Block;
  /** The bytes of its stack from SP up, at most STACK_BYTES. */
  readonly stack: Uint8Array;
  readonly steps: readonly Step[];
  /** Its innermost callers after the last step; undefined if another thread had its turn then. */
  readonly callersAfter: readonly Frame[] | undefined;
}

/** How many bytes of the interrupted stack are compared, from SP up. */
const STACK_BYTES = 4096;
/** Instructions that are followed after the resume. Longer than any sequence that the assembler makes of one of its own. */
const LOOKAHEAD = 12;
/** Callers that are compared after these. */
const CALLERS_AFTER = 3;
/** Frames walked at the injected call: enough for the callers that a wrong link would lose. */
const WALK_LIMIT = 64;

/** Registers that belong to a thread or its kernel, not to the goroutine: it may resume on another thread. */
const NOT_THE_GOROUTINES: ReadonlySet<string> = new Set([
  'R0',
  'R26',
  'R27',
  'FS_BASE',
  'GS_BASE',
  'UserLocal',
  'LLbit',
  'LLaddr',
]);

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

function valueIn(saved: SavedState, register: Register): bigint {
  let value = 0n;
  for (let i = sizeOf(register.type) - 1; i >= 0; i--) value = (value << 8n) | BigInt(saved[register.offset + i]!);
  return value;
}

function sameIn(a: SavedState, b: SavedState, register: Register): boolean {
  const end = register.offset + sizeOf(register.type);
  for (let i = register.offset; i < end; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Bytes of a state block, and the same as words. Those of an injection are used for the next one: making them takes longer than copying. */
class Block {
  readonly bytes: SavedState;
  readonly words: Int32Array;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.words = new Int32Array(this.bytes.buffer, 0, size >>> 2);
  }
}

/** The bytes that the registers take, each as 0xff. */
function maskOf(registers: readonly Register[], size: number): Block {
  const mask = new Block(size);
  for (const { offset, type } of registers) mask.bytes.fill(0xff, offset, offset + sizeOf(type));
  return mask;
}

/** Whether two states have the same bytes under a mask: asked a dozen times for each injection, and hardly ever denied. */
function sameUnder({ words: mask }: Block, { words: a }: Block, { words: b }: Block): boolean {
  for (let i = 0; i < mask.length; i++) if (((a[i]! ^ b[i]!) & mask[i]!) !== 0) return false;
  return true;
}

const reads = (list: OpList, register: Register): boolean =>
  list.ops.some((uop) => uop.op === 'get' && uop.register === register);
const writes = (list: OpList, register: Register): boolean =>
  list.ops.some((uop) => uop.op === 'set' && uop.register === register);

/** Frames as text, innermost first. */
export function framesText(frames: readonly Frame[]): string {
  return frames.map((f) => `${f.func.name}+${hex(f.pc - f.func.entry)}@${hex(f.sp)}`).join(' < ');
}

/** Whether two walks went through the same frames; `skip` leaves out the innermost of the first. */
export function sameFrames(a: readonly Frame[], b: readonly Frame[], skip = 0): boolean {
  if (a.length - skip !== b.length) return false;
  for (let i = 0; i < b.length; i++) if (a[i + skip]!.pc !== b[i]!.pc || a[i + skip]!.sp !== b[i]!.sp) return false;
  return true;
}

/** Whether every load of the instruction is at a constant distance from SP: from the goroutine's own stack. */
function loadsOwnStackOnly(list: OpList, sp: Register): boolean {
  const fromStack = new Set<Temp>();
  const constant = new Set<Temp>();
  for (const uop of list.ops) {
    if (uop.op === 'get' && uop.register === sp) fromStack.add(uop.dst);
    else if (uop.op === 'const') constant.add(uop.dst);
    else if (uop.op === 'binary' && uop.name === 'add') {
      if (fromStack.has(uop.a) && constant.has(uop.b)) fromStack.add(uop.dst);
      if (fromStack.has(uop.b) && constant.has(uop.a)) fromStack.add(uop.dst);
    } else if ((uop.op === 'extendU' || uop.op === 'extendS' || uop.op === 'wrap') && fromStack.has(uop.a)) {
      fromStack.add(uop.dst);
    } else if (uop.op === 'load' && !fromStack.has(uop.address)) return false;
  }
  return true;
}

/** The oracles over one session. */
export class Oracles {
  readonly #session: Session;
  readonly #go: Go;
  readonly #thread: Thread;
  readonly #unwinder: Unwinder;
  readonly #scanner: StackScanner;
  readonly #kept: readonly Register[];
  readonly #keptMask: Block;
  /** The state that is compared; that before the injection; those after the undisturbed steps. */
  readonly #now: Block;
  readonly #before: Block;
  readonly #after: readonly Block[];
  /** The assembler's temporary, which asyncPreempt destroys: nothing may need it where the tables say safe. */
  readonly #temp: Register | undefined;
  readonly #sp: Register;
  readonly #pc: Register;
  readonly #linkBit: Register | undefined;

  constructor(session: Session, go: Go) {
    const { registers } = session.machine.state;
    const { arch }: { arch: Arch } = session;
    const control = new Set<Register>(Object.values(registers.control));
    const temp = arch.tempRegister;
    this.#session = session;
    this.#go = go;
    this.#thread = threadOf(session.machine, arch);
    this.#unwinder = new Unwinder(go.program, go.memory);
    this.#scanner = new StackScanner(go.program, go.memory);
    this.#temp = temp === undefined ? undefined : registers.byName.get(temp);
    this.#kept = registers.all.filter((r) => !control.has(r) && !NOT_THE_GOROUTINES.has(r.name) && r !== this.#temp);
    this.#keptMask = maskOf(this.#kept, registers.size);
    this.#now = new Block(registers.size);
    this.#before = new Block(registers.size);
    this.#after = Array.from({ length: LOOKAHEAD }, () => new Block(registers.size));
    this.#sp = session.machine.state.register(arch.spRegister);
    this.#pc = registers.control.pc;
    this.#linkBit = registers.byName.get('LLbit');
  }

  /** The stack as the unwinder sees it from the running thread. */
  walk(gp: number, limit = WALK_LIMIT): StackWalk {
    const { pc, sp, lr } = this.#thread;
    return this.#unwinder.walk({ pc, sp, lr }, { gp, limit });
  }

  /**
   * What is wrong with a stack, if anything. Where calls link through a register, a function without a frame cannot have called:
   * its own return address would be gone. So no caller has a frame of size 0, but the function in which the stack begins.
   */
  unsound(walk: StackWalk): string | undefined {
    if (walk.stop !== 'complete' && walk.stop !== 'limit') return `${walk.stop}: ${walk.reason}`;
    if (!this.#session.arch.linkRegister) return undefined;
    const callers = walk.frames.slice(1, walk.stop === 'complete' ? -1 : undefined);
    const wrong = callers.find((frame) => !frame.interrupted && frame.fp === frame.sp);
    if (wrong === undefined) return undefined;
    return `${wrong.func.name}+${hex(wrong.pc - wrong.func.entry)} has no frame, yet seems to have called: ${framesText(walk.frames).slice(0, 200)}`;
  }

  /** The frame that keeps the collector from scanning a stack, if there is one: it would throw "missing stackmap". */
  unscannable(walk: StackWalk): string | undefined {
    const at = this.#scanner.unmapped(walk.frames);
    if (at === undefined) return undefined;
    const { func } = walk.frames[at.index]!;
    const callee = walk.frames[at.index - 1]?.func.name;
    return `${func.name}${callee === undefined ? '' : `, which called ${callee},`} has ${at.note}`;
  }

  /**
   * Looks at the goroutine gp, and lets it go on for a few instructions to see what it does. The caller restores the machine.
   */
  observe(gp: number): Undisturbed {
    const { machine } = this.#session;
    const { pc, sp } = this.#thread;
    const registers = this.#save(this.#before);
    const stack = this.#readStack(gp, sp);
    this.#thread.exceptionReturn();
    const tid = this.#session.tid;
    const steps: Step[] = [];
    while (steps.length < LOOKAHEAD) {
      const at = machine.state.pc;
      const instruction = this.#instruction();
      if (instruction === undefined) break;
      if (instruction.list.ops.some((uop) => uop.op === 'trap' && uop.kind === 'syscall')) break;
      const end = this.#session.step();
      // Another thread's turn: this goroutine's registers are not in the machine.
      if (end !== undefined || this.#session.tid !== tid || this.#getg() !== gp) {
        return { pc, sp, registers, stack, steps, callersAfter: undefined };
      }
      steps.push({ pc: at, instruction, after: this.#save(this.#after[steps.length]!) });
    }
    const callersAfter = this.walk(gp, CALLERS_AFTER).frames;
    return { pc, sp, registers, stack, steps, callersAfter };
  }

  #getg(): number {
    return this.#go.preemption.getg(this.#thread);
  }

  /** Puts the state as it is into a block. */
  #save(block: Block): Block {
    this.#session.machine.state.save(block.bytes);
    return block;
  }

  #instruction(): Instruction | undefined {
    const { machine } = this.#session;
    try {
      return machine.code.at(machine.state.pc);
    } catch (error) {
      if (error instanceof GuestFault) return undefined;
      throw error;
    }
  }

  #readStack(gp: number, sp: number): Uint8Array {
    const hi = this.#go.preemption.runtime.stackHi(gp);
    const length = Math.max(0, Math.min(STACK_BYTES, hi - sp));
    try {
      return this.#session.machine.memory.read(sp, length);
    } catch (error) {
      if (error instanceof GuestFault) return new Uint8Array(0);
      throw error;
    }
  }

  /** The first kept register that differs, as a sentence. With `temp`, the assembler's temporary counts too. */
  #registerDifference(blockBefore: Block, blockAfter: Block, temp: boolean): string | undefined {
    const [before, after] = [blockBefore.bytes, blockAfter.bytes];
    const kept = sameUnder(this.#keptMask, blockBefore, blockAfter);
    const differ = kept ? [] : this.#kept.filter((r) => !sameIn(before, after, r));
    if (temp && this.#temp !== undefined && !sameIn(before, after, this.#temp)) differ.push(this.#temp);
    if (differ.length === 0) return undefined;
    return differ
      .slice(0, 4)
      .map((r) => `${r.name} was ${hex(valueIn(before, r))}, is ${hex(valueIn(after, r))}`)
      .join('; ');
  }

  /** What is wrong with the registers of the goroutine that has just resumed, if anything. */
  registers(before: Undisturbed, restarted: boolean): string | undefined {
    const now = this.#save(this.#now);
    const differ = this.#registerDifference(before.registers, now, false);
    if (differ !== undefined || restarted || this.#temp === undefined) return differ;
    const [was, is] = [before.registers.bytes, now.bytes];
    if (sameIn(was, is, this.#temp)) return undefined;
    const reader = this.#liveAt(before, this.#temp);
    if (reader === undefined) return undefined;
    const { name } = this.#temp;
    return `${name} was ${hex(valueIn(was, this.#temp))}, is ${hex(valueIn(is, this.#temp))}, and the instruction at ${hex(reader)} reads it`;
  }

  /** PC of the instruction that reads the register before any writes it, on the way that the goroutine takes undisturbed. */
  #liveAt(before: Undisturbed, register: Register): number | undefined {
    for (const { pc, instruction } of before.steps) {
      if (reads(instruction.list, register)) return pc;
      if (writes(instruction.list, register)) return undefined;
    }
    return undefined;
  }

  /** What is wrong with the stack of the goroutine that has just resumed, if anything. */
  stack(before: Undisturbed, gp: number): string | undefined {
    const now = this.#readStack(gp, before.sp);
    if (now.length !== before.stack.length)
      return `${before.stack.length} bytes of stack above SP became ${now.length}`;
    if (Buffer.compare(now, before.stack) === 0) return undefined;
    for (let i = 0; i < now.length; i++) {
      if (now[i] !== before.stack[i]) {
        const at = before.sp + i;
        return `the byte at SP+${hex(i)} (${hex(at)}) was ${hex(before.stack[i]!)}, is ${hex(now[i]!)}`;
      }
    }
    return undefined;
  }

  /**
   * After a restart: executes until the interrupted PC is reached again, and compares all registers there, REGTMP included.
   * @returns what went wrong, if anything
   */
  again(before: Undisturbed): string | undefined {
    const { machine } = this.#session;
    for (let i = 0; i < LOOKAHEAD && machine.state.pc !== before.pc; i++) {
      const end = this.#session.step();
      if (end !== undefined) return 'the program ended in the restarted sequence';
    }
    if (machine.state.pc !== before.pc) return `the restarted sequence leads to ${hex(machine.state.pc)}, not back`;
    return this.#registerDifference(before.registers, this.#save(this.#now), true);
  }

  /**
   * Follows the resumed goroutine over the instructions that it executed undisturbed, and compares registers and PC after each.
   * Where an instruction read memory that others may have changed meanwhile, or what a context switch changes by
   * design, the comparison ends: from there on the two may part for good reasons.
   */
  path(before: Undisturbed, gp: number): { readonly detail: string; readonly end?: SessionEnd } | undefined {
    const { machine } = this.#session;
    const tid = this.#session.tid;
    const temp = this.#temp;
    let tempDefined = false;
    for (const { pc, instruction, after } of before.steps) {
      const at = machine.state.pc;
      if (at !== pc) return { detail: `goes on at ${hex(at)} instead of ${hex(pc)}` };
      const end = this.#session.step();
      const name = (): string => `${instruction.decoded.text(pc)} at ${hex(pc)}`;
      if (end !== undefined) return { detail: `the program ends in ${name()}`, end };
      // Another thread's turn: this goroutine's registers are not in the machine.
      if (this.#session.tid !== tid) return undefined;
      if (this.#getg() !== gp) return { detail: `${name()} leaves the goroutine` };
      const now = this.#save(this.#now);
      if (temp !== undefined && writes(instruction.list, temp)) tempDefined = true;
      const differ = this.#registerDifference(after, now, tempDefined);
      const elsewhere = !sameIn(after.bytes, now.bytes, this.#pc);
      if (differ === undefined && !elsewhere) continue;
      if (this.#mayDiffer(instruction.list)) return undefined;
      const detail = differ ?? `goes to ${hex(machine.state.pc)} instead of ${hex(valueIn(after.bytes, this.#pc))}`;
      return { detail: `after ${name()}, ${detail}` };
    }
    if (before.callersAfter === undefined) return undefined;
    const { frames } = this.walk(gp, CALLERS_AFTER);
    if (sameFrames(frames, before.callersAfter)) return undefined;
    const [are, were] = [framesText(frames), framesText(before.callersAfter)];
    return { detail: `${before.steps.length} instructions later the callers are ${are} instead of ${were}` };
  }

  #mayDiffer(list: OpList): boolean {
    if (list.ops.some((uop) => uop.op === 'cycles')) return true;
    if (this.#linkBit !== undefined && reads(list, this.#linkBit)) return true;
    return list.ops.some((uop) => uop.op === 'load') && !loadsOwnStackOnly(list, this.#sp);
  }
}
