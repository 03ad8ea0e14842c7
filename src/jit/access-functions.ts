// Accesses of code that is to be short: functions that stand in each module of units, because V8 calls one of the same module in half the code of an
// imported one. They look into the first TLB, and leave the rest to the imported helpers of the same purpose (support.ts).

import type { Isa } from '../../isa/dsl/isa.ts';
import type { Variant } from '../../isa/dsl/variant.ts';
import { PAGE_SIZE, SCRATCH, TLB_READ, TLB_WRITE } from '../engine/layout.ts';
import type { Uop } from '../uop/ops.ts';
import type { FunctionType } from './assemble.ts';
import { HELPER, HELPERS } from './helpers.ts';
import { I32, I64, OP, VOID } from './opcodes.ts';
import { emitTlbFind } from './tlb.ts';
import { type Body, Code } from './wasm.ts';

type Access = Pick<Extract<Uop, { op: 'load' }>, 'bytes' | 'align'>;

const SIZES = [1, 2, 4, 8] as const;
type Size = (typeof SIZES)[number];

const isSize = (bytes: number): bytes is Size => (SIZES as readonly number[]).includes(bytes);

/** Whether there are functions for an access: of up to eight bytes, aligned as the target mostly demands it. */
export function hasFunction({ bytes, align }: Access, variant: Variant): boolean {
  return isSize(bytes) && (bytes === 1 || (align === 'any') === (variant.delaySlot === false));
}

/** Index of the function that finds what is loaded: `(address, packed)`, the host's address of it, or 0 where an exit has been taken. */
export const finderOf = (bytes: number): number => HELPERS.length + SIZES.indexOf(bytes as Size);
/** Index of the one that stores: `(address, value as i64, packed)`, whether an exit has been taken. */
export const storerOf = (bytes: number): number => finderOf(bytes) + SIZES.length;

export interface AccessFunction {
  readonly type: FunctionType;
  readonly body: Body;
}

/** All of them, in the order of their indexes. */
export function accessFunctions(isa: Isa): readonly AccessFunction[] {
  const address = isa.variant.width === 64 ? I64 : I32;
  const finderType: FunctionType = { parameters: [address, I32], results: [I32] };
  const storerType: FunctionType = { parameters: [address, I64, I32], results: [I32] };
  return [
    ...SIZES.map((bytes) => ({ type: finderType, body: finder(isa, bytes) })),
    ...SIZES.map((bytes) => ({ type: storerType, body: storer(isa, bytes) })),
  ];
}

const ADDRESS = 0;

/** Sets `host` to the host's address of an access, and leaves on the stack whether the TLB has its page, and it is aligned where it is to be. */
function emitFind(code: Code, { variant }: Isa, bytes: Size, tag: number, host: number): void {
  const found = variant.delaySlot ? { last: 0, mask: -PAGE_SIZE | (bytes - 1) } : { last: bytes - 1, mask: -PAGE_SIZE };
  emitTlbFind(code, variant.width === 64, ADDRESS, tag, host, found);
  if (!variant.bigEndian || bytes === 8) return;
  code.get(host);
  code.i32(8 - bytes);
  code.op(OP.i32_xor);
  code.set(host);
}

function finder(isa: Isa, bytes: Size): Body {
  const code = new Code(2);
  const host = code.local(I32);
  emitFind(code, isa, bytes, TLB_READ, host);
  code.if(VOID, true);
  code.get(host);
  code.op(OP.return);
  code.end();
  code.get(ADDRESS);
  code.get(1);
  code.returnCall(HELPER.load);
  return code.body();
}

function storer(isa: Isa, bytes: Size): Body {
  const code = new Code(3);
  const host = code.local(I32);
  emitFind(code, isa, bytes, TLB_WRITE, host);
  code.if(VOID, true);
  code.get(host);
  code.get(1);
  code.memory({ 1: OP.i64_store8, 2: OP.i64_store16, 4: OP.i64_store32, 8: OP.i64_store }[bytes], 0);
  code.i32(0);
  code.op(OP.return);
  code.end();
  code.i32(SCRATCH);
  code.get(1);
  code.memory(OP.i64_store, 0);
  code.get(ADDRESS);
  code.get(2);
  code.returnCall(HELPER.store);
  return code.body();
}
