// Loads and stores of the evaluator: the TLB's fast path in line, everything else in SlowAccess.

import type { Uop } from '../uop/ops.ts';
import { PAGE_SIZE, TLB, TLB_ADDEND, TLB_ENTRIES, TLB_ENTRY, TLB_READ, TLB_WRITE } from './layout.ts';
import { GuestFault } from './memory.ts';
import type { Host, Step } from './steps.ts';

type Load = Extract<Uop, { op: 'load' }>;
type Store = Extract<Uop, { op: 'store' }>;

const TLB_WORD = TLB >>> 2;
const ENTRY_WORDS = TLB_ENTRY >>> 2;
const ADDEND_WORD = TLB_ADDEND >>> 2;
const PAGE_MASK = -PAGE_SIZE;

/** Address from its words, as a number: exact below 2^53, and beyond user space above. */
const join = (low: number, high: number): number => (high >>> 0) * 2 ** 32 + (low >>> 0);

function checkAlignment(access: Load | Store, address: number): void {
  if (access.align !== 'any' && address % access.bytes !== 0) {
    throw new GuestFault(address, access.op === 'load' ? 'read' : 'write', 'alignment');
  }
}

/** An access that missed the TLB, crosses a page, or is unaligned on a big-endian target. Byte by byte, after both pages are known. */
function slowLoad(h: Host, load: Load, low: number, high: number, d: number): void {
  const { memory, i32 } = h;
  const address = join(low, high);
  checkAlignment(load, address);
  const n = load.bytes;
  memory.translate(address, 'read');
  if (n > 1) memory.translate(address + n - 1, 'read');
  const words = load.type === 'i32' ? 1 : load.type === 'i64' ? 2 : 4;
  for (let w = 0; w < words; w++) i32[d + w] = 0;
  for (let i = 0; i < n; i++) {
    const significance = memory.bigEndian ? n - 1 - i : i;
    i32[d + (significance >>> 2)]! |= memory.readU8(address + i) << ((significance & 3) * 8);
  }
}

function slowStore(h: Host, store: Store, low: number, high: number, v: number): void {
  const { memory, i32 } = h;
  const address = join(low, high);
  checkAlignment(store, address);
  const n = store.bytes;
  memory.translate(address, 'write');
  if (n > 1) memory.translate(address + n - 1, 'write');
  for (let i = 0; i < n; i++) {
    const significance = memory.bigEndian ? n - 1 - i : i;
    memory.writeU8(address + i, i32[v + (significance >>> 2)]! >>> ((significance & 3) * 8));
  }
}

/** What the tag is compared with: the page, and the low bits too where an unaligned access must miss. */
function tagging(h: Host, access: Load | Store): { slack: number; mask: number } {
  return access.align !== 'any' || h.memory.bigEndian
    ? { slack: 0, mask: PAGE_MASK | (access.bytes - 1) }
    : { slack: access.bytes - 1, mask: PAGE_MASK };
}

/** Reads `bytes` at a host address into the words at `d`. */
function reader(h: Host, load: Load): (host: number, d: number) => void {
  const { u8, i32, view } = h;
  const big = h.memory.bigEndian;
  const zeroHigh = load.type === 'i64';
  switch (load.bytes) {
    case 1: {
      const x = big ? 7 : 0;
      return (host, d) => {
        i32[d] = u8[host ^ x]!;
        if (zeroHigh) i32[d + 1] = 0;
      };
    }
    case 2: {
      const x = big ? 6 : 0;
      return (host, d) => {
        i32[d] = view.getUint16(host ^ x, true);
        if (zeroHigh) i32[d + 1] = 0;
      };
    }
    case 4: {
      const x = big ? 4 : 0;
      return (host, d) => {
        i32[d] = view.getInt32(host ^ x, true);
        if (zeroHigh) i32[d + 1] = 0;
      };
    }
    case 8:
      return (host, d) => {
        i32[d] = view.getInt32(host, true);
        i32[d + 1] = view.getInt32(host + 4, true);
      };
    default:
      return (host, d) => {
        for (let w = 0; w < 4; w++) i32[d + w] = view.getInt32(host + 4 * w, true);
      };
  }
}

function writer(h: Host, store: Store): (host: number, v: number) => void {
  const { u8, i32, view } = h;
  const big = h.memory.bigEndian;
  switch (store.bytes) {
    case 1: {
      const x = big ? 7 : 0;
      return (host, v) => {
        u8[host ^ x] = i32[v]!;
      };
    }
    case 2: {
      const x = big ? 6 : 0;
      return (host, v) => view.setInt16(host ^ x, i32[v]!, true);
    }
    case 4: {
      const x = big ? 4 : 0;
      return (host, v) => view.setInt32(host ^ x, i32[v]!, true);
    }
    case 8:
      return (host, v) => {
        view.setInt32(host, i32[v]!, true);
        view.setInt32(host + 4, i32[v + 1]!, true);
      };
    default:
      return (host, v) => {
        for (let w = 0; w < 4; w++) view.setInt32(host + 4 * w, i32[v + w]!, true);
      };
  }
}

/** `a`, `when` and `d` are places; `when` is -1 for an unconditional load. */
export function loadStep(h: Host, load: Load, wide: boolean, d: number, a: number, when: number): Step {
  const { i32 } = h;
  const { slack, mask } = tagging(h, load);
  const read = reader(h, load);
  const words = load.type === 'i32' ? 1 : load.type === 'i64' ? 2 : 4;
  const bigVector = load.bytes === 16 && h.memory.bigEndian;
  const always: Step = () => {
    const low = i32[a]!;
    const high = wide ? i32[a + 1]! : 0;
    const entry = TLB_WORD + ((low >>> 12) & (TLB_ENTRIES - 1)) * ENTRY_WORDS;
    if (!bigVector && i32[entry + TLB_READ / 4] === ((low + slack) & mask) && i32[entry + TLB_READ / 4 + 1] === high) {
      read((low + i32[entry + ADDEND_WORD]!) >>> 0, d);
    } else slowLoad(h, load, low, high, d);
  };
  if (when < 0) return always;
  return () => {
    if (i32[when] !== 0) always();
    else for (let w = 0; w < words; w++) i32[d + w] = 0;
  };
}

/** `a`, `v` and `when` are places; `when` is -1 for an unconditional store. */
export function storeStep(h: Host, store: Store, wide: boolean, a: number, v: number, when: number): Step {
  const { i32 } = h;
  const { slack, mask } = tagging(h, store);
  const write = writer(h, store);
  const bigVector = store.bytes === 16 && h.memory.bigEndian;
  const always: Step = () => {
    const low = i32[a]!;
    const high = wide ? i32[a + 1]! : 0;
    const entry = TLB_WORD + ((low >>> 12) & (TLB_ENTRIES - 1)) * ENTRY_WORDS;
    if (
      !bigVector &&
      i32[entry + TLB_WRITE / 4] === ((low + slack) & mask) &&
      i32[entry + TLB_WRITE / 4 + 1] === high
    ) {
      write((low + i32[entry + ADDEND_WORD]!) >>> 0, v);
    } else slowStore(h, store, low, high, v);
  };
  if (when < 0) return always;
  return () => {
    if (i32[when] !== 0) always();
  };
}
