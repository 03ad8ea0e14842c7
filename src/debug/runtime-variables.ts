// Addresses of variables of the runtime in programs without symbols, read off the machine code of functions that use them.

import type { Isa } from '../../isa/dsl/isa.ts';
import type { Register } from '../../isa/dsl/registers.ts';
import type { AllgsSymbols } from '../goruntime/goroutines.ts';
import type { GoProgram } from '../goruntime/program.ts';
import type { Func } from '../goruntime/tables.ts';
import type { Uop } from '../uop/ops.ts';
import { record } from '../uop/record.ts';
import { instructionsOf } from './listing.ts';

/** Where runtime.allgs is: by its symbol, else by the code of runtime.allgadd. Undefined if neither tells. */
export function allgsOf(isa: Isa, program: GoProgram): AllgsSymbols | undefined {
  return program.allgs ?? allgsFromCode(isa, program);
}

/**
 * The address of runtime.allgs from `allgs = append(allgs, gp)` in runtime.allgadd: three words in a row, all of which are loaded.
 * allgadd names other variables (allgptr, allglen, locks, flags), but none of them is a slice.
 */
export function allgsFromCode(isa: Isa, program: GoProgram): AllgsSymbols | undefined {
  const body = program.tables.funcsNamed('runtime.allgadd')[0];
  if (body === undefined) return undefined;
  const w = program.arch.pointerSize;
  const loaded = new Set(constantLoads(isa, program, body, w));
  const found = [...loaded].filter((at) => loaded.has(at + w) && loaded.has(at + 2 * w));
  const [allgs] = found;
  return found.length === 1 && allgs !== undefined ? { allgs } : undefined;
}

/** Addresses, in order of first use, from which a function loads `size` bytes and which its code alone determines. */
export function constantLoads(isa: Isa, program: GoProgram, f: Func, size: number): number[] {
  const known = new Map<Register, bigint>();
  const start = (): void => {
    known.clear();
    // On mips64 R28 (RSB) holds the upper half of the PC, and addresses are made relative to it (cmd/internal/obj/mips).
    if (program.arch.linkRegister && program.arch.pointerSize === 8) {
      const rsb = isa.registers.byName.get('R28');
      if (rsb !== undefined) known.set(rsb, (BigInt(f.entry) >> 32n) << 32n);
    }
  };
  start();
  const found: number[] = [];
  for (const { pc, decoded } of instructionsOf(isa, program.image, f.entry, f.end)) {
    if (decoded === undefined) continue;
    const list = record(isa.variant, (e) => decoded.effect(e));
    for (const address of propagate(list.ops, pc, known, size)) found.push(address);
    // Whence control comes to what follows a branch is not looked at.
    if (list.branches) start();
  }
  return [...new Set(found)];
}

/** Carries constants through one instruction. @returns addresses of its loads of `size` bytes that are constants */
function propagate(ops: readonly Uop[], pc: number, known: Map<Register, bigint>, size: number): number[] {
  const temps: (bigint | undefined)[] = [];
  const written = new Map<Register, bigint | undefined>();
  const loads: number[] = [];
  for (const op of ops) {
    switch (op.op) {
      case 'const':
        temps[op.dst] = op.value;
        break;
      case 'pc':
        temps[op.dst] = BigInt(pc + op.offset);
        break;
      case 'get':
        temps[op.dst] = known.get(op.register);
        break;
      case 'set':
        written.set(op.register, temps[op.value]);
        break;
      case 'binary':
        temps[op.dst] = fold(op.name, op.type, temps[op.a], temps[op.b]);
        break;
      case 'wrap':
        temps[op.dst] = mapped(temps[op.a], (v) => BigInt.asUintN(32, v));
        break;
      case 'extendS':
        temps[op.dst] = mapped(temps[op.a], (v) => BigInt.asUintN(64, BigInt.asIntN(32, v)));
        break;
      case 'extendU':
        temps[op.dst] = mapped(temps[op.a], (v) => BigInt.asUintN(32, v));
        break;
      case 'load': {
        const address = temps[op.address];
        if (address !== undefined && op.bytes === size) loads.push(Number(address));
        break;
      }
    }
  }
  for (const [register, value] of written) {
    if (value === undefined) known.delete(register);
    else known.set(register, value);
  }
  return loads;
}

const mapped = (value: bigint | undefined, f: (value: bigint) => bigint): bigint | undefined =>
  value === undefined ? undefined : f(value);

function fold(name: string, type: 'i32' | 'i64', a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined || b === undefined) return undefined;
  const bits = type === 'i32' ? 32 : 64;
  switch (name) {
    case 'add':
      return BigInt.asUintN(bits, a + b);
    case 'sub':
      return BigInt.asUintN(bits, a - b);
    case 'or':
      return a | b;
    case 'shl':
      return BigInt.asUintN(bits, a << (b % BigInt(bits)));
    default:
      return undefined;
  }
}
