// The decoder: prefixes, opcode, ModRM, SIB, displacement and immediates, in the order of SDM vol. 2, chapter 2.

import type { Clause } from './clause.ts';
import { Instruction, type MemoryForm, type Segment, type Width } from './instruction.ts';
import type { Pattern } from './pattern.ts';
import { MAX_LENGTH } from './target.ts';

interface Slot {
  /** Whether the rows of this opcode have a ModRM byte: all or none. */
  readonly modrm: boolean;
  readonly rows: Clause[];
}

/** Rows by map * 256 + opcode. */
export type DecodeTable = readonly (Slot | undefined)[];

/** Builds the index. Throws where rows of one opcode disagree on having a ModRM byte. */
export const buildTable = (clauses: readonly Clause[]): DecodeTable => {
  const table: (Slot | undefined)[] = new Array<Slot | undefined>(4 * 256).fill(undefined);
  for (const row of clauses) {
    const { map, opcode, span, modrm } = row.encoding;
    for (let n = 0; n < span; n++) {
      const at = map * 256 + opcode + n;
      const slot = table[at];
      if (slot === undefined) table[at] = { modrm, rows: [row] };
      else if (slot.modrm === modrm) slot.rows.push(row);
      else throw new Error(`${row.name} and ${slot.rows[0]?.name} disagree about ModRM`);
    }
  }
  return table;
};

/** What a row's fixed fields are compared with. */
export interface MatchFields {
  /** F2, F3, 66 or 0: the prefix that selects among rows, F2 and F3 before 66. */
  readonly mandatory: number;
  readonly rep: number;
  readonly rex: number;
  readonly opcode: number;
  /** -1 without one. */
  readonly modrm: number;
}

const prefixMatches = (p: Pattern, f: MatchFields): boolean => {
  switch (p.prefix) {
    case 'any':
      return true;
    case 'NP':
      return f.mandatory === 0;
    case '66':
      return f.mandatory === 0x66;
    case 'F2':
      return f.mandatory === 0xf2;
    case 'F3':
      return f.mandatory === 0xf3;
    case '!F3':
      return f.rep !== 0xf3;
  }
};

/** Whether a row whose opcode is already known to fit takes these fields. */
export const matches = (p: Pattern, f: MatchFields): boolean => {
  if (p.modrm) {
    if (p.digit >= 0 && ((f.modrm >> 3) & 7) !== p.digit) return false;
    if (p.mod !== 'any' && f.modrm >= 0xc0 !== (p.mod === 'reg')) return false;
    if (p.rm >= 0 && (f.modrm & 7) !== p.rm) return false;
  }
  if (p.w >= 0 && ((f.rex >> 3) & 1) !== p.w) return false;
  if (p.opcodeRegister !== 'any') {
    const zero = (f.opcode & 7) === 0 && (f.rex & 1) === 0;
    if (zero !== (p.opcodeRegister === 'r0')) return false;
  }
  return prefixMatches(p, f);
};

const signed8 = (b: number): number => (b << 24) >> 24;

/** Reads the instruction at `bytes[offset]`; see Isa.decode for what it answers. */
export const decode = (table: DecodeTable, bytes: Uint8Array, offset: number): Instruction | 'short' | undefined => {
  const limit = offset + MAX_LENGTH;
  const end = Math.min(bytes.length, limit);
  const outOfBytes = bytes.length < limit ? 'short' : undefined;
  let at = offset;
  let rep: 0 | 0xf2 | 0xf3 = 0;
  let operand = false;
  let address = false;
  let lock = false;
  let segment: Segment = 'none';
  let rex = 0;
  let opcode = -1;
  while (opcode < 0) {
    if (at >= end) return outOfBytes;
    const b = bytes[at++]!;
    if ((b & 0xf0) === 0x40) {
      rex = b;
      continue;
    }
    switch (b) {
      case 0x66:
        operand = true;
        break;
      case 0x67:
        address = true;
        break;
      case 0xf0:
        lock = true;
        break;
      case 0xf2:
      case 0xf3:
        rep = b;
        break;
      case 0x64:
        segment = 'fs';
        break;
      case 0x65:
        segment = 'gs';
        break;
      // CS, DS, ES and SS have base 0, and as prefixes are null (SDM vol. 1, 3.3.4).
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
        break;
      default:
        opcode = b;
        continue;
    }
    // REX counts only right before the opcode (SDM vol. 2, 2.2.1).
    rex = 0;
  }

  let map = 0;
  if (opcode === 0x0f) {
    if (at >= end) return outOfBytes;
    opcode = bytes[at++]!;
    map = 1;
    if (opcode === 0x38 || opcode === 0x3a) {
      map = opcode === 0x38 ? 2 : 3;
      if (at >= end) return outOfBytes;
      opcode = bytes[at++]!;
    }
  }
  const slot = table[map * 256 + opcode];
  if (slot === undefined) return undefined;

  let modrm = -1;
  if (slot.modrm) {
    if (at >= end) return outOfBytes;
    modrm = bytes[at++]!;
  }
  const fields: MatchFields = { mandatory: rep !== 0 ? rep : operand ? 0x66 : 0, rep, rex, opcode, modrm };
  const clause = slot.rows.find((row) => matches(row.encoding, fields));
  if (clause === undefined) return undefined;
  const pattern = clause.encoding;

  let memory: MemoryForm | undefined;
  if (modrm >= 0 && modrm < 0xc0) {
    const mod = modrm >> 6;
    let base = modrm & 7;
    let index = -1;
    let scale = 0;
    let dispBytes = mod === 1 ? 1 : mod === 2 ? 4 : 0;
    let ripRelative = false;
    if (base === 4) {
      if (at >= end) return outOfBytes;
      const sib = bytes[at++]!;
      scale = sib >> 6;
      index = ((sib >> 3) & 7) | ((rex & 2) << 2);
      if (index === 4) index = -1;
      base = sib & 7;
      if (base === 5 && mod === 0) {
        base = -1;
        dispBytes = 4;
      }
    } else if (base === 5 && mod === 0) {
      base = -1;
      dispBytes = 4;
      ripRelative = true;
    }
    if (base >= 0) base |= (rex & 1) << 3;
    if (at + dispBytes > end) return outOfBytes;
    let disp = 0;
    if (dispBytes === 1) disp = signed8(bytes[at]!);
    else if (dispBytes === 4) disp = int32(bytes, at);
    at += dispBytes;
    memory = { base, index, scale, disp, ripRelative };
  }
  if (lock && !(pattern.lock && memory !== undefined)) return undefined;

  const w = (rex & 8) !== 0;
  let width: Width = w ? 64 : operand && pattern.prefix !== '66' ? 16 : 32;
  if (pattern.operandSize === 'f64' || (pattern.operandSize === 'o64' && width === 32)) width = 64;

  let imm: number | bigint = 0;
  let imm2 = 0;
  for (let n = 0; n < pattern.immediates.length; n++) {
    const size = immediateBytes(pattern.immediates[n]!, width, address);
    if (at + size > end) return outOfBytes;
    if (n === 1) imm2 = bytes[at]!;
    else if (size === 1) imm = signed8(bytes[at]!);
    else if (size === 2) imm = ((bytes[at]! | (bytes[at + 1]! << 8)) << 16) >> 16;
    else if (size === 4) imm = int32(bytes, at);
    else imm = (BigInt(int32(bytes, at + 4)) << 32n) | BigInt(int32(bytes, at) >>> 0);
    at += size;
  }

  return new Instruction({
    clause,
    length: at - offset,
    prefixes: { rep, operand, address, lock, segment, rex },
    opcode,
    reg: modrm >= 0 ? ((modrm >> 3) & 7) | ((rex & 4) << 1) : (opcode & 7) | ((rex & 1) << 3),
    rm: memory === undefined && modrm >= 0 ? (modrm & 7) | ((rex & 1) << 3) : -1,
    memory,
    width,
    imm,
    imm2,
  });
};

const int32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

const immediateBytes = (kind: Pattern['immediates'][number], width: Width, address32: boolean): number => {
  switch (kind) {
    case 'ib':
    case 'cb':
      return 1;
    case 'iw':
      return 2;
    case 'iz':
      return width === 16 ? 2 : 4;
    case 'iv':
      return width >> 3;
    case 'cd':
      return 4;
    case 'moffs':
      return address32 ? 4 : 8;
  }
};
