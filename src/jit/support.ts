// The support: a module with the host's functions as WebAssembly's own, for all others to import, because V8 compiles a wrapper for each
// host function in each module that imports it (three milliseconds a module). What needs no host is done here.

import type { Isa } from '../../isa/dsl/isa.ts';
import {
  FLAGS_KIND,
  FLAGS_SETTLER,
  LEFT_FLAG,
  PAGE_BITS,
  PAGE_SIZE,
  SCRATCH,
  SECOND_SHIFT,
  TLB,
  TLB_ADDEND,
  TLB_ENTRY,
  TLB_READ,
  TLB_SECOND,
  TLB_SECOND_ENTRIES,
  TLB_WRITE,
} from '../engine/layout.ts';
import { assemble, type FunctionType } from './assemble.ts';
import { emitLeft } from './emit-left.ts';
import { HELPER, HELPERS, type Helper, type HostHelper, WITHOUT_HOST } from './helpers.ts';
import { emitMoves } from './moves.ts';
import { I32, I64, OP, SIMD } from './opcodes.ts';
import { PACKED_ALIGN_BIT, PACKED_EXIT_BIT } from './packed-access.ts';
import { emitLeftInPage, emitTlbEntry, emitTlbFind } from './tlb.ts';
import { unitType } from './transfers.ts';
import { Code } from './wasm.ts';

/** Parameters of the helpers for accesses. */
const ADDRESS = 0;
const PACKED = 1;

/** Types of the host's functions (runtime.ts), and of what makes do without it. */
const HELPER_TYPES: Readonly<Record<Exclude<Helper, 'left'>, FunctionType>> = {
  load: { parameters: [I32, I32, I32], results: [I32] },
  store: { parameters: [I32, I32, I32], results: [I32] },
  nan32: { parameters: [I32, I32], results: [I32] },
  nan64: { parameters: [I64, I64], results: [I64] },
  widenNan: { parameters: [I32], results: [I64] },
  narrowNan: { parameters: [I64], results: [I32] },
  divu128: { parameters: [I64, I64, I64], results: [I64] },
  remu128: { parameters: [I64, I64, I64], results: [I64] },
  flags: { parameters: [], results: [] },
  settle: { parameters: [], results: [] },
  tell: { parameters: [I32], results: [] },
  visited: { parameters: [I32], results: [] },
  more: { parameters: [I32], results: [I32] },
  passes: { parameters: [I32, I32], results: [I32] },
  moves: { parameters: [I64, I64, I32, I32], results: [I32] },
};

/** Type of a helper as compiled code calls it: an access has its whole address, and `left` returns what a unit does. */
export function helperType(isa: Isa, helper: Helper): FunctionType {
  if (helper === 'left') return { parameters: [I32, I32], results: unitType(isa).results };
  if (helper !== 'load' && helper !== 'store') return HELPER_TYPES[helper];
  return { parameters: [isa.variant.width === 64 ? I64 : I32, I32], results: [I32] };
}

/** Of a load whose TLB entry is there: returns the host's address of the value. */
function emitFound(code: Code, isa: Isa, host: number, bytes: number): void {
  code.get(host);
  if (isa.variant.bigEndian) {
    code.i32(8);
    code.get(bytes);
    code.op(OP.i32_sub);
    code.op(OP.i32_xor);
  }
  code.op(OP.return);
}

/** Of a store whose TLB entry is there: from SCRATCH to the host's address, which is in a local. Returns from the function. */
function emitStore(code: Code, isa: Isa, host: number, bytes: number): void {
  /** By bytes: opcodes of a load and a store of so many. */
  const plain = [
    [8, OP.i64_load, OP.i64_store],
    [4, OP.i32_load, OP.i32_store],
    [2, OP.i32_load16_u, OP.i32_store16],
    [1, OP.i32_load8_u, OP.i32_store8],
  ] as const;
  const done = (): void => {
    code.i32(0);
    code.op(OP.return);
  };
  const from = (): void => code.i32(SCRATCH);
  const to = (): void => code.get(host);
  const when = (size: number, emit: () => void): void => {
    code.get(bytes);
    code.i32(size);
    code.op(OP.i32_eq);
    code.if();
    emit();
    done();
    code.end();
  };
  for (const [size, load, store] of plain)
    when(size, () => {
      if (isa.variant.bigEndian && size < 8) {
        code.get(host);
        code.i32(8 - size);
        code.op(OP.i32_xor);
        code.set(host);
      }
      to();
      from();
      code.memory(load, 0);
      code.memory(store, 0);
    });
  if (isa.variant.bigEndian) return;
  to();
  from();
  code.simdMemory(SIMD.v128_load, 0);
  code.simdMemory(SIMD.v128_store, 0);
  done();
}

/** From an address, as i32 and as i64 in a local, to the offset of its entry in the second TLB. */
function emitSecondEntry(code: Code, isa: Isa, address: number): void {
  const page = (): void => {
    code.get(address);
    if (isa.variant.width === 64) {
      code.i64(BigInt(PAGE_BITS));
      code.op(OP.i64_shr_u);
      code.op(OP.i32_wrap_i64);
    } else {
      code.i32(PAGE_BITS);
      code.op(OP.i32_shr_u);
    }
  };
  page();
  page();
  code.i32(SECOND_SHIFT);
  code.op(OP.i32_shr_u);
  code.op(OP.i32_xor);
  code.i32(TLB_SECOND_ENTRIES - 1);
  code.op(OP.i32_and);
  code.i32(Math.log2(TLB_ENTRY));
  code.op(OP.i32_shl);
}

/**
 * Copies an entry of the second TLB to the first: the page is about to be accessed again, and what it displaces is mostly not. Without
 * this, whoever came last keeps the entry, and a stack that shares it with an array that was filled once is looked for out of line for ever.
 */
function emitPromotion(code: Code, entry: number, emitFirstEntry: () => void): void {
  const first = code.local(I32);
  emitFirstEntry();
  code.set(first);
  for (let at = 0; at < TLB_ENTRY; at += 16) {
    code.get(first);
    code.get(entry);
    code.simdMemory(SIMD.v128_load, TLB_SECOND + at);
    code.simdMemory(SIMD.v128_store, TLB + at);
  }
}

/** Pushes something other than 0 where an access demands some alignment. */
function emitDemandsAlignment(code: Code): void {
  code.get(PACKED);
  code.i32((1 << PACKED_EXIT_BIT) - (1 << PACKED_ALIGN_BIT));
  code.op(OP.i32_and);
}

/**
 * An access whose page one of the TLBs has after all: in code that is short, as a member of a group that could not be looked up as one,
 * or where two pages share an entry of the first one.
 */
function emitTlbHit(code: Code, name: 'load' | 'store', isa: Isa): void {
  const wide = isa.variant.width === 64;
  const entry = code.local(I32);
  const bytes = code.local(I32);
  const host = code.local(I32);
  const last = code.local(wide ? I64 : I32);
  const extend = (): void => {
    if (wide) code.op(OP.i64_extend_i32_u);
  };
  code.get(PACKED);
  code.i32((1 << PACKED_ALIGN_BIT) - 1);
  code.op(OP.i32_and);
  code.set(bytes);
  // The page of the last byte; where alignment is demanded, also the bits that it does not have.
  code.get(bytes);
  code.i32(1);
  code.op(OP.i32_sub);
  extend();
  code.set(last);
  // What its tag is to be.
  const tag = code.local(wide ? I64 : I32);
  code.get(ADDRESS);
  code.get(last);
  code.op(wide ? OP.i64_add : OP.i32_add);
  if (wide) code.i64(BigInt(-PAGE_SIZE));
  else code.i32(-PAGE_SIZE);
  code.op(wide ? OP.i64_and : OP.i32_and);
  code.get(ADDRESS);
  code.get(last);
  code.op(wide ? OP.i64_and : OP.i32_and);
  if (!isa.variant.bigEndian) {
    emitDemandsAlignment(code);
    code.i32(0);
    code.op(OP.i32_ne);
    extend();
    code.op(wide ? OP.i64_mul : OP.i32_mul);
  }
  code.op(wide ? OP.i64_or : OP.i32_or);
  code.set(tag);
  const emitFirstEntry = (): void => {
    code.get(ADDRESS);
    if (wide) code.op(OP.i32_wrap_i64);
    emitTlbEntry(code);
  };
  const lookIn = (table: number, emitEntry: () => void): void => {
    emitEntry();
    code.tee(entry);
    code.memory(wide ? OP.i64_load : OP.i32_load, table + (name === 'load' ? TLB_READ : TLB_WRITE));
    code.get(tag);
    code.op(wide ? OP.i64_eq : OP.i32_eq);
    code.if();
    if (table === TLB_SECOND) emitPromotion(code, entry, emitFirstEntry);
    code.get(ADDRESS);
    if (wide) code.op(OP.i32_wrap_i64);
    code.get(entry);
    code.memory(OP.i32_load, table + TLB_ADDEND);
    code.op(OP.i32_add);
    code.set(host);
    if (name === 'load') emitFound(code, isa, host, bytes);
    else emitStore(code, isa, host, bytes);
    code.end();
  };
  lookIn(TLB, emitFirstEntry);
  lookIn(TLB_SECOND, () => emitSecondEntry(code, isa, ADDRESS));
  if (!isa.variant.bigEndian) emitCrossing(code, name, isa, bytes);
}

/**
 * An access of two pages, both of which the first TLB has: of copies of unaligned data, one in so many. Where alignment is demanded it is
 * the host's, to fault.
 */
function emitCrossing(code: Code, name: 'load' | 'store', isa: Isa, bytes: number): void {
  const wide = isa.variant.width === 64;
  const inFirst = code.local(I32);
  const second = code.local(wide ? I64 : I32);
  const low = (local: number): void => {
    code.get(local);
    if (wide) code.op(OP.i32_wrap_i64);
  };
  emitLeftInPage(code, () => low(ADDRESS));
  code.tee(inFirst);
  code.get(bytes);
  code.op(OP.i32_lt_u);
  emitDemandsAlignment(code);
  code.op(OP.i32_eqz);
  code.op(OP.i32_and);
  code.if();
  code.get(ADDRESS);
  code.get(inFirst);
  if (wide) code.op(OP.i64_extend_i32_u);
  code.op(wide ? OP.i64_add : OP.i32_add);
  code.set(second);
  const hosts = [code.local(I32), code.local(I32)] as const;
  const tag = name === 'load' ? TLB_READ : TLB_WRITE;
  emitTlbFind(code, wide, ADDRESS, tag, hosts[0]);
  emitTlbFind(code, wide, second, tag, hosts[1]);
  code.op(OP.i32_and);
  code.if();
  for (const [part, host] of hosts.entries()) {
    const scratch = (): void => {
      if (part === 0) code.i32(SCRATCH);
      else {
        code.get(inFirst);
        code.i32(SCRATCH);
        code.op(OP.i32_add);
      }
    };
    const guest = (): void => code.get(host);
    for (const push of name === 'load' ? [scratch, guest] : [guest, scratch]) push();
    if (part === 0) code.get(inFirst);
    else {
      code.get(bytes);
      code.get(inFirst);
      code.op(OP.i32_sub);
    }
    code.memoryCopy();
  }
  code.i32(name === 'load' ? SCRATCH : 0);
  code.op(OP.return);
  code.end();
  code.end();
}

/** Behind an access of the host's: where the evaluator is to execute the instruction, takes the exit. */
function emitExit(code: Code, name: 'load' | 'store'): void {
  code.if();
  code.i32(0);
  code.get(PACKED);
  code.i32(PACKED_EXIT_BIT);
  code.op(OP.i32_shr_u);
  code.memory(OP.i32_store, LEFT_FLAG);
  code.i32(name === 'load' ? 0 : 1);
  code.op(OP.return);
  code.end();
  code.i32(name === 'load' ? SCRATCH : 0);
}

/**
 * Exports each helper under its name; `load` gives the host's address of the value, or 0 where an exit has been taken. Host functions take no
 * 64-bit address without making a bigint of it: it goes in halves.
 */
export function supportModule(isa: Isa, memoryPages: number): Uint8Array<ArrayBuffer> {
  const n = HELPERS.length;
  const hosts = HELPERS.slice(0, n - WITHOUT_HOST.length) as readonly HostHelper[];
  const unit = hosts.length + n;
  const bodies = HELPERS.map((name, i) => {
    const { parameters } = helperType(isa, name);
    const code = new Code(parameters.length);
    const type = hosts.length + i;
    if (name === 'moves' || name === 'left') {
      if (name === 'moves') emitMoves(code);
      else emitLeft(code, isa, unit, HELPER);
      return { type, body: code.body(), name };
    }
    if (name === 'load' || name === 'store') {
      emitTlbHit(code, name, isa);
      code.get(0);
      if (parameters[0] === I64) {
        code.op(OP.i32_wrap_i64);
        code.get(0);
        code.i64(32n);
        code.op(OP.i64_shr_u);
        code.op(OP.i32_wrap_i64);
      } else code.i32(0);
      code.get(1);
    } else for (let p = 0; p < parameters.length; p++) code.get(p);
    if (name === 'flags') {
      // Mostly there are none: the host is not to be called for that.
      code.i32(0);
      code.memory(OP.i32_load, FLAGS_KIND);
      code.if();
      code.i32(0);
      code.memory(OP.i32_load, FLAGS_SETTLER);
      code.i32(0);
      code.op(OP.i32_ge_s);
      code.if();
      code.i32(0);
      code.memory(OP.i32_load, FLAGS_SETTLER);
      code.callIndirect(i);
      code.else();
      code.call(i);
      code.end();
      code.end();
    } else code.call(i);
    if (name === 'load' || name === 'store') emitExit(code, name);
    return { type, body: code.body(), name };
  });
  return assemble({
    types: [...hosts.map((h) => HELPER_TYPES[h]), ...HELPERS.map((h) => helperType(isa, h)), unitType(isa)],
    functions: hosts.map((name, i) => ({ module: 'h', name, type: i })),
    memoryPages,
    bodies,
  });
}
