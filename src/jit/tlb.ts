// The software TLB as compiled code looks into it.

import { PAGE_SIZE, TLB, TLB_ADDEND, TLB_ENTRIES, TLB_ENTRY } from '../engine/layout.ts';
import { I32, OP } from './opcodes.ts';
import type { Code } from './wasm.ts';

/** From an address, as i32, to the offset of its entry in the TLB. */
export function emitTlbEntry(code: Code): void {
  code.i32(Math.log2(PAGE_SIZE / TLB_ENTRY));
  code.op(OP.i32_shr_u);
  code.i32((TLB_ENTRIES - 1) * TLB_ENTRY);
  code.op(OP.i32_and);
}

/** Pushes how many bytes there are from an address, which `low` pushes as i32, to the end of its page. */
export function emitLeftInPage(code: Code, low: () => void): void {
  code.i32(PAGE_SIZE);
  low();
  code.i32(PAGE_SIZE - 1);
  code.op(OP.i32_and);
  code.op(OP.i32_sub);
}

/**
 * Sets a local to the host's address of the guest's in another one, and leaves on the stack whether the TLB has its page.
 * @param tag of its read or its write half
 * @param last bytes from the address to the one whose page it is to be
 * @param mask the bits of that address that its page has, and others that are to be 0
 */
export function emitTlbFind(
  code: Code,
  wide: boolean,
  address: number,
  tag: number,
  host: number,
  { last, mask } = { last: 0, mask: -PAGE_SIZE },
): void {
  const number = (value: number): void => {
    if (wide) code.i64(BigInt(value));
    else code.i32(value);
  };
  const entry = code.borrow(I32);
  const low = (): void => {
    code.get(address);
    if (wide) code.op(OP.i32_wrap_i64);
  };
  low();
  low();
  emitTlbEntry(code);
  code.tee(entry);
  code.memory(OP.i32_load, TLB + TLB_ADDEND);
  code.op(OP.i32_add);
  code.set(host);
  code.get(entry);
  code.memory(wide ? OP.i64_load : OP.i32_load, TLB + tag);
  code.get(address);
  if (last > 0) {
    number(last);
    code.op(wide ? OP.i64_add : OP.i32_add);
  }
  number(mask);
  code.op(wide ? OP.i64_and : OP.i32_and);
  code.op(wide ? OP.i64_eq : OP.i32_eq);
  code.release(I32, entry);
}
