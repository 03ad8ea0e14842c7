// Records test/cases/amd64/FAMILY.case from the host's processor: random and corner operands for every clause of the family.
//
//   npx tsx test/support/amd64-record.ts FAMILY…            writes the files, and lists where our engine disagrees
//   npx tsx test/support/amd64-record.ts --dry FAMILY…      only compares
//
// The random numbers are seeded by the clause: recording again changes only what changed. What the host cannot tell, because
// it executes the encoding differently or the answer is the emulator's own, is in NOT_NATIVE and has cases written by hand.

import { writeFileSync } from 'node:fs';
import type { Clause } from '../../isa/amd64/clause.ts';
import { amd64Clauses } from '../../isa/amd64/families.ts';
import { amd64Isa } from '../../isa/amd64/index.ts';
import { Instruction } from '../../isa/amd64/instruction.ts';
import {
  buildNative,
  CODE_ADDRESS,
  DATA_ADDRESS,
  type Experiment,
  type Observation,
  PAGE,
  runNative,
} from './amd64-native.ts';
import { type Case, check, formatCase } from './cases.ts';

/** Clauses whose cases are written by hand, in manual.case. */
const NOT_NATIVE: ReadonlySet<string> = new Set(['SYSCALL', 'CPUID', 'RDTSC', 'INT1']);

/** xorshift32, seeded by a text. */
class Random {
  #state: number;

  constructor(seed: string) {
    this.#state = 0x9e3779b9;
    for (const c of seed) this.#state = Math.imul(this.#state ^ c.charCodeAt(0), 0x01000193) | 1;
    for (let k = 0; k < 8; k++) this.u32();
  }

  u32(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  below(n: number): number {
    return this.u32() % n;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }
}

const M64 = (1n << 64n) - 1n;
const CORNERS: readonly bigint[] = [
  0n,
  1n,
  2n,
  M64,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x7fffffffffffffffn,
  0x8000000000000000n,
  0x8080808080808080n,
  0xffffffff80000000n,
];

/** Bit patterns that floating-point lanes should meet. */
const FLOATS_64: readonly bigint[] = [
  0n,
  0x8000000000000000n,
  0x3ff0000000000000n,
  0xbff0000000000000n,
  0x3ff8000000000000n,
  0x4004000000000000n,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  0x7ff8000000000001n,
  0xfff8000000000002n,
  0x7ff0000000000003n,
  1n,
  0x000fffffffffffffn,
  0x7fefffffffffffffn,
  0x41dfffffffc00000n,
  0x41e0000000000000n,
  0xc1e0000000000000n,
  0x43e0000000000000n,
  0xc3e0000000000000n,
  0x36a0000000000000n,
  0x47efffffe0000000n,
];
const FLOATS_32: readonly bigint[] = [
  0n,
  0x80000000n,
  0x3f800000n,
  0xbf800000n,
  0x3fc00000n,
  0x40200000n,
  0x7f800000n,
  0xff800000n,
  0x7fc00001n,
  0xffc00002n,
  0x7f800003n,
  1n,
  0x7fffffn,
  0x7f7fffffn,
  0x4effffffn,
  0x4f000000n,
  0xcf000000n,
  0x5f000000n,
  0xdf000000n,
];

const value = (r: Random): bigint => {
  if (r.chance(45)) return r.pick(CORNERS);
  const v = r.u64();
  return r.chance(30) ? v & 0xffn : v;
};

const vector = (r: Random): bigint => {
  const half = (): bigint => {
    if (r.chance(35)) return r.pick(FLOATS_64);
    if (r.chance(50)) return (r.pick(FLOATS_32) << 32n) | r.pick(FLOATS_32);
    return value(r);
  };
  return (half() << 64n) | half();
};

/** The given memory: a window around what instructions touch. */
const WINDOW = DATA_ADDRESS + 0x770;
const WINDOW_BYTES = 0x40;
const TARGET = WINDOW + 0x20;

interface Trial {
  readonly code: Uint8Array;
  readonly registers: Record<string, bigint>;
  readonly usesMemory: boolean;
}

const NAMES = 'RAX RCX RDX RBX RSP RBP RSI RDI R8 R9 R10 R11 R12 R13 R14 R15'.split(' ');

/** Bytes for a row: all that its pattern leaves open is drawn. */
const encode = (
  clause: Clause,
  r: Random,
  variation: number,
): { bytes: number[]; addressing: Map<number, bigint>; memory: boolean } => {
  const p = clause.encoding;
  const sized =
    clause.operands.some((o) => o.size === 'v' || o.size === 'z' || o.size === 'y') || clause.mnemonic.includes('/');
  const stack = p.operandSize === 'o64';
  const prefixes: number[] = [];
  let rex = 0;
  const legacy = p.prefix === 'any' || p.prefix === '!F3';
  const width = sized && legacy ? [64, 32, 16, 32][variation % 4]! : 32;
  if (width === 16) prefixes.push(0x66);
  if (p.w === 1 || (p.w < 0 && width === 64 && sized && !stack)) rex |= 0x48;
  if (p.w < 0 && clause.operands.some((o) => o.size === 'y') && variation % 2 === 0) rex |= 0x48;
  if (p.prefix === '66' || p.prefix === 'F2' || p.prefix === 'F3') prefixes.push(Number.parseInt(p.prefix, 16));
  if (p.repeat !== 'none' && variation % 3 !== 0) prefixes.push(variation % 3 === 1 ? 0xf3 : 0xf2);
  if (r.chance(60)) rex |= 0x40 | r.below(8);
  if (p.opcodeRegister === 'r0') rex &= ~1;

  const addressing = new Map<number, bigint>();
  const tail: number[] = [];
  let memory = false;
  let ripAt = -1;
  if (p.modrm) {
    const reg = p.digit >= 0 ? p.digit : r.below(8);
    if (p.digit >= 0) rex &= ~4;
    memory = p.mod === 'mem' || (p.mod === 'any' && variation % 2 === 1);
    if (!memory) tail.push(0xc0 | (reg << 3) | (p.rm >= 0 ? p.rm : r.below(8)));
    else {
      const aligned = clause.family === 'branch' || clause.operands.some((o) => o.size === 128 && !o.unaligned);
      const target = BigInt(TARGET + (aligned ? 0 : r.below(8)));
      const form = r.below(6);
      const d32 = (d: bigint): number[] =>
        [0, 8, 16, 24].map((s) => Number((BigInt.asUintN(32, d) >> BigInt(s)) & 0xffn));
      const reserved = reg | ((rex & 4) << 1);
      if (form === 0) {
        tail.push((reg << 3) | 5, 0, 0, 0, 0);
        ripAt = tail.length - 4;
      } else if (form === 1) {
        rex &= ~2;
        tail.push((reg << 3) | 4, 0x25, ...d32(target));
      } else {
        const free = [0, 1, 2, 3, 4, 5, 6, 7].filter((n) => (n | ((rex & 1) << 3)) !== reserved || r.chance(20));
        const base = r.pick(free);
        const baseNumber = base | ((rex & 1) << 3);
        const disp = form === 2 ? BigInt(r.below(256) - 128) : BigInt(r.u32() | 0);
        let sum = disp;
        const indexed = r.chance(50) || base === 4;
        let sib: number[] = [];
        if (indexed) {
          let index = r.below(8);
          if ((index | ((rex & 2) << 2)) === baseNumber) index = 4;
          if (base === 4 && r.chance(50)) index = 4;
          const indexNumber = index | ((rex & 2) << 2);
          const scale = r.below(4);
          sib = [(scale << 6) | (index << 3) | base];
          if (indexNumber !== 4 && indexNumber !== baseNumber) {
            const v = BigInt(r.below(64));
            addressing.set(indexNumber, v);
            sum += v << BigInt(scale);
          } else if (indexNumber !== 4) return encode(clause, r, variation);
        }
        addressing.set(baseNumber, (target - sum) & M64);
        tail.push((form === 2 ? 0x40 : 0x80) | (reg << 3) | (indexed ? 4 : base), ...sib);
        tail.push(...(form === 2 ? [Number(disp & 0xffn)] : d32(disp)));
      }
      if (p.lock && r.chance(30)) prefixes.push(0xf0);
      if (r.chance(6) && form !== 0) prefixes.push(0x65);
      if (ripAt >= 0) addressing.set(-1, target);
    }
  }
  const opcode = p.opcode + (p.span === 16 ? variation % 16 : p.span === 8 ? r.below(8) : 0);
  if (p.opcodeRegister === '!r0' && (opcode & 7) === 0) rex |= 0x41;
  if (!p.modrm && p.span === 1) rex &= ~7;
  if (!p.modrm && p.span === 8) rex &= ~6;
  if (rex !== 0) rex |= 0x40;
  for (const kind of p.immediates) {
    const size = {
      ib: 1,
      cb: 1,
      iw: 2,
      cd: 4,
      iz: width === 16 ? 2 : 4,
      iv: (rex & 8) !== 0 ? 8 : width === 16 ? 2 : 4,
      moffs: 8,
    }[kind];
    let v = value(r);
    if (kind === 'moffs') v = BigInt(TARGET);
    if (kind === 'cd') v &= 0xffffffn;
    for (let k = 0; k < size; k++) tail.push(Number((v >> BigInt(8 * k)) & 0xffn));
  }
  const escapes = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][p.map]!;
  const bytes = [...prefixes, ...((rex & 0x40) !== 0 ? [rex] : []), ...escapes, opcode, ...tail];
  if (ripAt >= 0) {
    const at = bytes.length - tail.length + ripAt;
    const disp = Number(addressing.get(-1)!) - (CODE_ADDRESS + bytes.length);
    for (let k = 0; k < 4; k++) bytes[at + k] = (disp >> (8 * k)) & 0xff;
    addressing.delete(-1);
  }
  return { bytes, addressing, memory };
};

const FLAGS = ['CF', 'PF', 'AF', 'ZF', 'SF', 'OF'];

/** One experiment for a clause, or undefined when the drawn bytes are not it. */
const trial = (clause: Clause, r: Random, variation: number): Trial | undefined => {
  const { bytes, addressing, memory } = encode(clause, r, variation);
  const decoded = isa.decode(Uint8Array.from(bytes), 0);
  if (!(decoded instanceof Instruction) || decoded.clause !== clause || decoded.length !== bytes.length)
    return undefined;
  const name = clause.mnemonic;
  const registers: Record<string, bigint> = {};
  for (const n of NAMES) registers[n] = value(r);
  for (const f of FLAGS) registers[f] = BigInt(r.below(2));
  const family = clause.family;
  if (family.startsWith('sse')) {
    for (let n = 0; n < 16; n++) registers[`XMM${n}`] = vector(r);
    registers['MXCSR'] = 0x1f80n;
  }
  let usesMemory = memory;
  if (family === 'stack' || family === 'branch') {
    registers['RSP'] = BigInt(TARGET);
    if (name === 'LEAVE') registers['RBP'] = BigInt(TARGET);
    usesMemory = true;
  }
  if (family === 'string') {
    registers['RSI'] = BigInt(TARGET + r.below(8));
    registers['RDI'] = BigInt(TARGET - 16 + r.below(8));
    registers['RCX'] = BigInt(r.below(3));
    registers['DF'] = BigInt(r.below(2));
    usesMemory = true;
  }
  if (family === 'branch') {
    registers['RCX'] = BigInt(r.below(3));
    for (const n of NAMES) if (n !== 'RSP' && n !== 'RCX') registers[n] = BigInt(r.u32());
  }
  if (name === 'XLATB') {
    registers['RBX'] = BigInt(TARGET) - (registers['RAX']! & 0xffn);
    usesMemory = true;
  }
  if (/DIV$/.test(name) && r.chance(75)) {
    const bits = BigInt(decoded.bits(clause.operands[0]!.size));
    if (bits === 8n) registers['RAX'] = BigInt(r.below(0x400));
    else if (name === 'IDIV' && r.chance(50)) registers['RDX'] = M64;
    else registers['RDX'] = BigInt(r.below(4));
  }
  if (clause.operands.some((o) => o.place === 'moffs')) usesMemory = true;
  // A bit offset from a register reaches into memory: keep it inside the window.
  if (memory && /^BT/.test(name) && clause.operands[1]?.place === 'reg') {
    const { base, index } = decoded.memory!;
    if (decoded.reg === base || decoded.reg === index) return undefined;
    registers[NAMES[decoded.reg]!] = BigInt.asUintN(64, BigInt(r.below(256) - 128));
  }
  for (const [n, v] of addressing) registers[NAMES[n]!] = v;
  // Where the stack is used its pointer has to be good.
  if ((family === 'stack' || family === 'branch') && Math.abs(Number(registers['RSP']) - TARGET) > 256)
    return undefined;
  if (decoded.prefixes.segment === 'gs') {
    registers['GS_BASE'] = 0x100n;
    const base = decoded.memory?.base ?? -1;
    if (base < 0) return undefined;
    registers[NAMES[base]!] = (registers[NAMES[base]!]! - 0x100n) & M64;
  }
  if (name.startsWith('POPF')) for (const f of FLAGS) registers[f] = BigInt(r.below(2));
  return { code: Uint8Array.from(bytes), registers, usesMemory };
};

const fillWindow = (clause: Clause, t: Trial, r: Random): Uint8Array => {
  const data = new Uint8Array(PAGE);
  const view = new DataView(data.buffer);
  const at = WINDOW - DATA_ADDRESS;
  for (let k = 0; k < WINDOW_BYTES; k += 8)
    view.setBigUint64(at + k, clause.family.startsWith('sse') ? vector(r) & M64 : value(r), true);
  if (clause.family === 'branch')
    for (let k = 0; k < WINDOW_BYTES; k += 8) view.setBigUint64(at + k, BigInt(r.u32() & 0x7f7f7f7f), true);
  // No TF, NT, AC or ID: TF would stop the harness, AC makes the processor check alignment, NT disturbs the kernel's way back,
  // and Linux does not restore ID after a signal.
  if (clause.mnemonic.startsWith('POPF')) view.setBigUint64(TARGET - DATA_ADDRESS, r.u64() & 0xcd5n, true);
  const decoded = isa.decode(t.code, 0);
  const addresses = decoded instanceof Instruction ? [decoded.memory?.base, decoded.memory?.index] : [];
  const free = !addresses.includes(0) && !addresses.includes(2);
  if (/^(CMPXCHG|CMPS|SCAS)/.test(clause.mnemonic) && free && r.chance(50)) {
    const from = clause.mnemonic.startsWith('CMPS') ? -1 : 0;
    if (from < 0) data.fill(0x11, at, at + WINDOW_BYTES);
    else for (let k = 0; k < WINDOW_BYTES; k += 8) view.setBigUint64(at + k, 0x1111111111111111n, true);
    t.registers['RAX'] = 0x1111111111111111n;
    t.registers['RDX'] = 0x11111111n;
  }
  return data;
};

/** Registers and flags that changed, and the window where it did. */
const toCase = (clause: Clause, t: Trial, e: Experiment, o: Observation): Case => {
  const after: Record<string, bigint> = {};
  const masks: Record<string, bigint> = {};
  const done = o.stop === 'done';
  const data = new Uint8Array(o.data);
  if (done) {
    for (const [n, v] of Object.entries(o.registers)) if (v !== (t.registers[n] ?? 0n)) after[n] = v;
    if (o.pc !== CODE_ADDRESS + t.code.length) after['pc'] = BigInt(o.pc);
    // The harness single-steps: TF shows in the image that PUSHF stores.
    if (clause.mnemonic.startsWith('PUSHF')) data[Number(o.registers['RSP']) - DATA_ADDRESS + 1]! &= 0xfe;
  }
  const cut = (from: Uint8Array): Uint8Array => from.slice(WINDOW - DATA_ADDRESS, WINDOW - DATA_ADDRESS + WINDOW_BYTES);
  const memory = t.usesMemory ? [{ address: WINDOW, bytes: cut(e.data) }] : [];
  const changed = done && t.usesMemory && !Buffer.from(cut(data)).equals(Buffer.from(cut(e.data)));
  const inputs = Object.fromEntries(Object.entries(t.registers).filter(([, v]) => v !== 0n));
  const decoded = isa.decode(t.code, 0);
  return {
    code: t.code,
    count: 1,
    registers: inputs,
    memory,
    expected: {
      registers: after,
      memory: changed ? [{ address: WINDOW, bytes: cut(data) }] : [],
      stop: o.stop === 'trap:divide' ? 'divide:0' : o.stop,
      masks,
    },
    remark: decoded instanceof Instruction ? decoded.text(CODE_ADDRESS) : '',
  };
};

/** Registers that neither the encoding nor the instruction looks at only lengthen the line. */
const relevant = (clause: Clause, t: Trial): Trial => {
  const decoded = isa.decode(t.code, 0);
  if (!(decoded instanceof Instruction)) return t;
  const keep = new Set(['RAX', 'RCX', 'RDX', 'GS_BASE', 'MXCSR', 'DF', ...FLAGS]);
  if (['stack', 'branch'].includes(clause.family)) for (const n of ['RSP', 'RBP']) keep.add(n);
  if (clause.family === 'string') for (const n of ['RSI', 'RDI']) keep.add(n);
  if (['atomic'].includes(clause.family) || clause.mnemonic === 'XLATB') keep.add('RBX');
  const numbers = [decoded.reg, decoded.rm, decoded.memory?.base ?? -1, decoded.memory?.index ?? -1];
  for (const n of numbers) {
    if (n < 0) continue;
    keep.add(NAMES[n]!);
    keep.add(NAMES[n & 3]!);
    keep.add(`XMM${n}`);
  }
  return { ...t, registers: Object.fromEntries(Object.entries(t.registers).filter(([n]) => keep.has(n))) };
};

const isa = amd64Isa();
const args = process.argv.slice(2);
const dry = args.includes('--dry');
const scale = Number(args.find((a) => a.startsWith('--scale='))?.slice(8) ?? 1);
const binary = buildNative();
for (const family of args.filter((a) => !a.startsWith('--'))) {
  const lines: string[] = [];
  let wrong = 0;
  for (const clause of amd64Clauses()) {
    if (clause.family !== family || NOT_NATIVE.has(clause.mnemonic)) continue;
    const r = new Random(clause.name);
    const trials: Trial[] = [];
    const experiments: Experiment[] = [];
    const many = Math.round(
      scale *
        (clause.encoding.span === 16 ? 32 : clause.operands.length === 0 && clause.encoding.repeat === 'none' ? 3 : 8),
    );
    for (let k = 0, attempts = 0; trials.length < many && attempts < many * 20; attempts++) {
      const drawn = trial(clause, r, k);
      if (drawn === undefined) continue;
      if (clause.name.startsWith('INT imm8')) drawn.code[drawn.code.length - 1] = [3, 0x21, 0xff][k % 3]!;
      if (clause.name.startsWith('ENTER')) {
        drawn.code[drawn.code.length - 1]! &= 0xe0;
        drawn.code[drawn.code.length - 2]! &= k % 2 === 0 ? 0 : 0xff;
      }
      k++;
      const t = relevant(clause, drawn);
      trials.push(t);
      experiments.push({ code: t.code, registers: t.registers, data: fillWindow(clause, t, r) });
    }
    lines.push(`# ${clause.name}`);
    for (const [k, o] of runNative(binary, experiments).entries()) {
      const c = toCase(clause, trials[k]!, experiments[k]!, o);
      lines.push(formatCase(c));
      const differences = check(isa, c);
      if (differences.length > 0) {
        wrong++;
        console.log(`${clause.name}: ${c.remark}\n  ${formatCase(c)}\n  ${differences.join('; ')}`);
      }
    }
  }
  console.log(`${family}: ${lines.length} lines, ${wrong} disagree`);
  if (!dry) writeFileSync(new URL(`../cases/amd64/${family}.case`, import.meta.url), `${lines.join('\n')}\n`);
}
