// Memory: mmap and its relatives, brk, madvise.

import { PAGE_SIZE } from '../../engine/layout.ts';
import type { ErrnoName } from '../abi/errno.ts';
import { type Call, type Result, type Row, row } from '../call.ts';
import type { Mappable } from '../files.ts';
import { pageCeil } from '../mm.ts';

const PROT_MASK = 7;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_SHARED_VALIDATE = 3;
const MAP_TYPE = 0xf;
const MAP_FIXED = 0x10;
const MAP_FIXED_NOREPLACE = 0x100000;
const MAP_ANONYMOUS = { generic: 0x20, mips: 0x800 } as const;
const MAP_HUGETLB = { generic: 0x40000, mips: 0x80000 } as const;

const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;

// madvise
const MADV_DONTNEED = 4;
const MADV_FREE = 8;
const MADV_DONTNEED_LOCKED = 24;
/** Advice that may be taken or left: NORMAL … WILLNEED, fork and merge settings, huge pages, dump, wipe, cold, pageout. */
const HARMLESS: ReadonlySet<number> = new Set([0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23]);

function mmap(call: Call, offset: number): Result {
  const { kernel, abi } = call;
  const [address, length, prot, flags, fd] = call.args as [number, number, number, number, number];
  const form = abi.mips ? 'mips' : 'generic';
  const type = flags & MAP_TYPE;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) return 'EINVAL';
  if (offset % PAGE_SIZE !== 0 || length === 0) return 'EINVAL';
  if ((flags & MAP_HUGETLB[form]) !== 0) return 'ENOMEM';
  const shared = type !== MAP_PRIVATE;
  let file: Mappable | undefined;
  if ((flags & MAP_ANONYMOUS[form]) === 0) {
    const found = kernel.files.mappable(fd);
    if (typeof found === 'string') return found;
    if (!found.readable) return 'EACCES';
    if (shared && (prot & 2) !== 0 && !found.writable) return 'EACCES';
    file = found;
  }
  const noReplace = (flags & MAP_FIXED_NOREPLACE) !== 0;
  return kernel.mm.map({
    address: noReplace || (flags & MAP_FIXED) !== 0 ? address : Math.floor(address / PAGE_SIZE) * PAGE_SIZE,
    length,
    prot: prot & PROT_MASK,
    fixed: noReplace ? 'free' : (flags & MAP_FIXED) !== 0 ? 'replace' : 'no',
    shared,
    ...(file === undefined ? {} : { file, offset }),
  });
}

/** EINVAL for a range that is no range of whole pages. */
function badRange(call: Call, address: number, length: number): ErrnoName | undefined {
  if (address % PAGE_SIZE !== 0) return 'EINVAL';
  return address + pageCeil(length) > call.kernel.mm.taskSize ? 'ENOMEM' : undefined;
}

function munmap(call: Call): Result {
  const [address, length] = call.args as [number, number];
  if (address % PAGE_SIZE !== 0 || length === 0 || address + length > call.kernel.mm.taskSize) return 'EINVAL';
  call.kernel.mm.unmap(address, pageCeil(length));
  return 0;
}

function mprotect(call: Call): Result {
  const [address, length, prot] = call.args as [number, number, number];
  const bad = badRange(call, address, length);
  if (bad !== undefined) return bad;
  if (length === 0) return 0;
  return call.kernel.mm.protect(address, length, prot & PROT_MASK) ?? 0;
}

function madvise(call: Call): Result {
  const [address, length, advice] = call.args as [number, number, number];
  const { mm } = call.kernel;
  const bad = badRange(call, address, length);
  if (bad !== undefined) return bad;
  const drops = advice === MADV_DONTNEED || advice === MADV_DONTNEED_LOCKED;
  if (!drops && advice !== MADV_FREE && !HARMLESS.has(advice)) return 'EINVAL';
  if (length === 0) return 0;
  // MADV_FREE lets the kernel drop the pages when memory is short, which it never is here.
  if (drops) mm.discard(address, length);
  return mm.isMapped(address, address + pageCeil(length)) ? 0 : 'ENOMEM';
}

function mincore(call: Call): Result {
  const [address, length, vector] = call.args as [number, number, number];
  const { mm, memory } = call.kernel;
  if (address % PAGE_SIZE !== 0) return 'EINVAL';
  const end = address + pageCeil(length);
  if (end > mm.taskSize || !mm.isMapped(address, end)) return 'ENOMEM';
  const out = new Uint8Array((end - address) / PAGE_SIZE);
  for (let i = 0; i < out.length; i++) out[i] = memory.present(address + i * PAGE_SIZE) ? 1 : 0;
  memory.write(vector, out);
  return 0;
}

function mremap(call: Call): Result {
  const [address, oldLength, newLength, flags, target] = call.args as [number, number, number, number, number];
  const { mm } = call.kernel;
  const fixed = (flags & MREMAP_FIXED) !== 0;
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) !== 0) return 'EINVAL';
  if (fixed && (flags & MREMAP_MAYMOVE) === 0) return 'EINVAL';
  if (address % PAGE_SIZE !== 0 || oldLength === 0 || newLength === 0) return 'EINVAL';
  if (fixed && target % PAGE_SIZE !== 0) return 'EINVAL';
  return mm.remap(address, oldLength, newLength, {
    may: (flags & MREMAP_MAYMOVE) !== 0,
    to: fixed ? target : undefined,
  });
}

function msync(call: Call): Result {
  const [address, length] = call.args as [number, number];
  const { mm } = call.kernel;
  if (address % PAGE_SIZE !== 0) return 'EINVAL';
  if (!mm.isMapped(address, address + pageCeil(length))) return 'ENOMEM';
  mm.sync(address, pageCeil(length));
  return 0;
}

const COPIED = 'file pages are copied when mapped; shared ones go back at msync and munmap';

export const MEMORY_CALLS: readonly Row[] = [
  row('mmap', ['ptr', 'size', 'hex', 'hex', 'fd', 'size'], (call) => mmap(call, call.args[5]!), {
    returns: 'hex',
    support: 'partial',
    note: COPIED,
  }),
  row('mmap2', ['ptr', 'size', 'hex', 'hex', 'fd', 'size'], (call) => mmap(call, call.args[5]! * 4096), {
    returns: 'hex',
    support: 'partial',
    note: COPIED,
  }),
  row('munmap', ['ptr', 'size'], munmap),
  row('mprotect', ['ptr', 'size', 'hex'], mprotect),
  row('madvise', ['ptr', 'size', 'int'], madvise),
  row('mincore', ['ptr', 'size', 'out'], mincore),
  row('mremap', ['ptr', 'size', 'size', 'hex', 'ptr'], mremap, { returns: 'hex' }),
  row('msync', ['ptr', 'size', 'hex'], msync),
  row('brk', ['ptr'], (call) => call.kernel.mm.setBrk(call.args[0]!), { returns: 'hex' }),
  ...(['mlock', 'munlock'] as const).map((name) =>
    row(name, ['ptr', 'size'], () => 0, { support: 'fixed', note: 'memory is never swapped' }),
  ),
  row('mlock2', ['ptr', 'size', 'hex'], () => 0, { support: 'fixed', note: 'memory is never swapped' }),
  row('mlockall', ['hex'], () => 0, { support: 'fixed', note: 'memory is never swapped' }),
  row('munlockall', [], () => 0, { support: 'fixed', note: 'memory is never swapped' }),
];
