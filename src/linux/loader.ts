// From an ELF file to a process about to execute its first instruction: segments, stack, auxiliary vector (fs/binfmt_elf.c).

import { PAGE_SIZE } from '../engine/layout.ts';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../engine/memory.ts';
import type { Elf, Segment } from '../object/elf.ts';
import type { Kernel } from './kernel.ts';
import { pageCeil, pageFloor } from './mm.ts';

/** A program that cannot be started. The message is one line: what is wrong; what to try. */
export class LoaderError extends Error {
  override readonly name = 'LoaderError';
}

export interface LoadOptions {
  readonly elf: Elf;
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** AT_EXECFN; the first argument by default. */
  readonly path?: string;
}

/** RLIMIT_STACK: the whole of it is mapped at once, and costs nothing until touched. */
export const STACK_SIZE = 8 << 20;
/** Room for the stack above mmap_base (mm/util.c: MIN_GAP, plus the guard gap). */
const MMAP_GAP = (128 << 20) + (1 << 20);

const AT = {
  NULL: 0,
  PHDR: 3,
  PHENT: 4,
  PHNUM: 5,
  PAGESZ: 6,
  BASE: 7,
  FLAGS: 8,
  ENTRY: 9,
  UID: 11,
  EUID: 12,
  GID: 13,
  EGID: 14,
  PLATFORM: 15,
  HWCAP: 16,
  CLKTCK: 17,
  SECURE: 23,
  RANDOM: 25,
  HWCAP2: 26,
  EXECFN: 31,
} as const;

/** CPUID.1:EDX of the processor that isa/amd64 describes: FPU, TSC, CX8, CMOV, FXSR, SSE, SSE2. */
const HWCAP_AMD64 = 0x0700_8111;
/** No MSA, and MIPS_HWCAP_R6 clear. */
const HWCAP_MIPS = 0;

const protOf = (s: Segment): number =>
  (s.readable ? PROT_READ : 0) | (s.writable ? PROT_WRITE : 0) | (s.executable ? PROT_EXEC : 0);

/**
 * Maps the program and its stack, and adds the first thread, ready to run.
 * @returns the auxiliary vector, as /proc/self/auxv shows it. @throws LoaderError
 */
export function load(kernel: Kernel, options: LoadOptions): Uint8Array {
  const { elf } = options;
  const { abi, mm, memory } = kernel;
  const base = elf.pie ? pieBase(kernel, elf) : 0;

  let end = 0;
  for (const segment of elf.loads) {
    mapSegment(kernel, elf, segment, base);
    end = Math.max(end, base + segment.vaddr + segment.memsz);
  }

  let top = pageFloor(abi.taskSize);
  if (abi.trampoline !== undefined) {
    top -= PAGE_SIZE;
    mm.map({ address: top, length: PAGE_SIZE, prot: PROT_READ | PROT_EXEC, fixed: 'replace', name: '[vdso]' });
    memory.write(top, abi.trampoline, true);
    kernel.signals.trampoline = top;
    top -= PAGE_SIZE;
  }
  const stack = mm.map({
    address: top - STACK_SIZE,
    length: STACK_SIZE,
    prot: PROT_READ | PROT_WRITE,
    fixed: 'free',
    name: '[stack]',
  });
  if (typeof stack === 'string') throw new LoaderError('the program lies where its stack should be; link it lower');
  mm.setLayout(pageCeil(end), top - MMAP_GAP);

  const { sp, auxv } = buildStack(kernel, options, top, base);
  abi.start(kernel.machine, base + elf.entry, sp);
  const path = options.path ?? options.args[0] ?? '';
  const task = kernel.addTask({
    name: path.slice(path.lastIndexOf('/') + 1).slice(0, 15),
    registers: kernel.machine.state.save(),
    blocked: undefined,
    wake: undefined,
    mask: 0n,
    maskToRestore: undefined,
    pending: [],
    altStack: { sp: 0, size: 0, flags: 0 },
    clearChildTid: 0,
    robustList: { head: 0, length: 0 },
    executed: 0,
  });
  kernel.sched.ready(task.tid);
  return auxv;
}

/** ELF_ET_DYN_BASE, two thirds up, on the program's alignment. */
function pieBase(kernel: Kernel, elf: Elf): number {
  const align = Math.max(PAGE_SIZE, ...elf.loads.map((s) => s.align));
  const wanted = Math.floor((kernel.abi.taskSize / 3) * 2);
  return Math.floor(wanted / align) * align;
}

function mapSegment(kernel: Kernel, elf: Elf, segment: Segment, base: number): void {
  const { mm } = kernel;
  const start = pageFloor(base + segment.vaddr);
  const end = pageCeil(base + segment.vaddr + segment.memsz);
  if (end > mm.taskSize)
    throw new LoaderError(`a segment ends at 0x${end.toString(16)}, past user space; link the program lower`);
  const skew = segment.vaddr % PAGE_SIZE;
  if (segment.offset % PAGE_SIZE !== skew && segment.filesz > 0)
    throw new LoaderError('a segment is not aligned in the file as in memory; link the program again');
  // The file's pages are mapped whole: what lies around the segment in the file shows, except after a bss begins.
  const fileEnd = segment.offset + segment.filesz;
  const to = segment.memsz > segment.filesz ? fileEnd : Math.min(pageCeil(fileEnd), elf.file.length);
  // Segments may share a page: the later one's protection wins, and the earlier one's bytes stay, being the same page of the file.
  const mapped = mm.map({
    address: start,
    length: end - start,
    prot: protOf(segment),
    fixed: 'replace',
    name: '',
    ...(segment.filesz === 0 ? {} : { image: { file: elf.file, start: segment.offset - skew, end: to } }),
  });
  if (typeof mapped === 'string')
    throw new LoaderError(`a segment cannot be mapped at 0x${start.toString(16)} (${mapped}); link the program higher`);
}

/** Strings, auxiliary vector, environment, arguments (create_elf_tables). */
function buildStack(
  kernel: Kernel,
  options: LoadOptions,
  top: number,
  base: number,
): { readonly sp: number; readonly auxv: Uint8Array } {
  const { abi, memory, identity } = kernel;
  const { elf } = options;
  const encoder = new TextEncoder();
  const total = [...options.args, ...options.env].reduce((sum, s) => sum + s.length * 3 + 16, 0);
  if (total > STACK_SIZE / 4) throw new LoaderError('the arguments and environment are too long; pass fewer');

  let sp = top - 8;
  const putBytes = (bytes: Uint8Array): number => {
    sp -= bytes.length;
    memory.write(sp, bytes, true);
    return sp;
  };
  const putString = (text: string): number => putBytes(encoder.encode(`${text}\0`));
  const execfn = putString(options.path ?? options.args[0] ?? '');
  const env = options.env.map(putString);
  const args = options.args.map(putString);
  sp = Math.floor(sp / 16) * 16;
  const platform = abi.mips ? 0 : putString(abi.machineName);
  const random = putBytes(kernel.random.bytes(16));

  const phdrSegment = elf.loads.find((s) => s.offset <= elf.phoff && elf.phoff < s.offset + s.filesz);
  const phdr = phdrSegment === undefined ? 0 : base + phdrSegment.vaddr + elf.phoff - phdrSegment.offset;
  const auxv: readonly (readonly [number, number])[] = [
    [AT.HWCAP, abi.mips ? HWCAP_MIPS : HWCAP_AMD64],
    [AT.PAGESZ, PAGE_SIZE],
    [AT.CLKTCK, 100],
    [AT.PHDR, phdr],
    [AT.PHENT, elf.phentsize],
    [AT.PHNUM, elf.phnum],
    [AT.BASE, 0],
    [AT.FLAGS, 0],
    [AT.ENTRY, base + elf.entry],
    [AT.UID, identity.uid],
    [AT.EUID, identity.uid],
    [AT.GID, identity.gid],
    [AT.EGID, identity.gid],
    [AT.SECURE, 0],
    [AT.RANDOM, random],
    [AT.HWCAP2, 0],
    [AT.EXECFN, execfn],
    ...(platform === 0 ? [] : [[AT.PLATFORM, platform] as const]),
    [AT.NULL, 0],
  ];
  const words = [args.length, ...args, 0, ...env, 0, ...auxv.flat()];
  sp = Math.floor((sp - words.length * abi.word) / 16) * 16;
  for (const [i, value] of words.entries()) {
    const at = sp + i * abi.word;
    if (abi.word === 8) memory.writeU64(at, BigInt(value));
    else memory.writeU32(at, value);
  }
  const auxvSize = auxv.length * 2 * abi.word;
  return { sp, auxv: memory.read(sp + words.length * abi.word - auxvSize, auxvSize) };
}
