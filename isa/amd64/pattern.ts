// The encoding column of the manual: parses `REX.W 0F B1 /r` and `r/mv, immz` into what the decoder matches and reads.
//
// Pattern tokens, in the order in which the manual writes them:
//   NP 66 F2 F3    mandatory prefix; NP: none of the three. Without one of these, 66 is the operand size and F2/F3 mean nothing
//   !F3            any prefix but F3
//   REX.W W0       REX.W must be 1; must be 0
//   0F 38 81       opcode bytes: an escape (0F, 0F 38, 0F 3A) or none, then the opcode
//   90+r  80+cc    the low three bits name a register; the low four a condition
//   /0 … /7  /r    a ModRM byte whose reg field is fixed; is an operand
//   mem reg        ModRM names memory; a register. Implied by operands such as m64
//   rm=N           ModRM's r/m field has this value
//   r0 !r0         the opcode's register (with REX.B) is number 0; is not
//   ib iw iz iv    immediates of 8 bits, 16, 16 or 32 by operand size (32 for 64), the full operand size
//   cb cd          branch displacements of 8 and 32 bits
//   moffs          an absolute address of the address size
// and attributes of the whole:
//   b              arithmetic is on bytes, in rows without operands
//   o64            operand size is 64 without REX.W, 16 with 66;  f64  it is 64 whatever the prefixes say
//   LOCK           the lock prefix is allowed where ModRM names memory
//   REP            F2 and F3 repeat the instruction RCX times;  REPcc  also while ZF is 0 (F2) or 1 (F3)
//
// Operands: r r/m m xmm xmm/m imm simm rel moffs with a size: 8 16 32 64 128 bits, `v` 16/32/64 by operand size, `z` 16/32/32 (an
// immz is sign-extended to the first operand's size), `y` 32/64 by REX.W. `simm8` is sign-extended, `imm8` an unsigned byte,
// `imm2.8` the second immediate. `m` alone is an address without an access, `xmm/m128u` and `m128u` may be unaligned. Also al ax eax
// rax rAX (by operand size) cl dx 1 and the segment registers.

/** Where an operand is found. */
export type OperandPlace =
  /** General register in ModRM.reg, or in the opcode where the pattern has `+r`. */
  | 'reg'
  /** General register or memory by ModRM.rm. */
  | 'rm'
  /** Memory by ModRM.rm. */
  | 'mem'
  | 'xmm'
  /** XMM register or memory by ModRM.rm. */
  | 'xmm-rm'
  /** A segment register that the row fixes. */
  | 'segment'
  /** The accumulator, CL, DX, the constant 1. */
  | 'acc'
  | 'cl'
  | 'dx'
  | 'one'
  | 'imm'
  | 'simm'
  | 'imm2'
  | 'rel'
  | 'moffs';

export type OperandSize = 0 | 8 | 16 | 32 | 64 | 128 | 'v' | 'z' | 'y';

export interface OperandSpec {
  readonly place: OperandPlace;
  /** Bits; 0 for memory that is only addressed (LEA, PREFETCH). */
  readonly size: OperandSize;
  /** A 128-bit memory operand that need not be aligned (`m128u`). */
  readonly unaligned: boolean;
  /** As the row spells it. */
  readonly text: string;
}

export type Prefix = 'any' | 'NP' | '66' | 'F2' | 'F3' | '!F3';
export type Immediate = 'ib' | 'iw' | 'iz' | 'iv' | 'cb' | 'cd' | 'moffs';

export interface Pattern {
  readonly prefix: Prefix;
  /** Required REX.W, -1 for either. */
  readonly w: -1 | 0 | 1;
  /** 0: one-byte opcodes, 1: 0F, 2: 0F 38, 3: 0F 3A. */
  readonly map: 0 | 1 | 2 | 3;
  readonly opcode: number;
  /** How many opcodes the row spans: 1, 8 (`+r`) or 16 (`+cc`). */
  readonly span: 1 | 8 | 16;
  readonly modrm: boolean;
  /** Required ModRM.reg, -1 for any. */
  readonly digit: number;
  readonly mod: 'any' | 'mem' | 'reg';
  /** Required ModRM.rm, -1 for any. */
  readonly rm: number;
  readonly opcodeRegister: 'any' | 'r0' | '!r0';
  readonly immediates: readonly Immediate[];
  readonly operandSize: 'default' | 'b' | 'o64' | 'f64';
  readonly lock: boolean;
  readonly repeat: 'none' | 'REP' | 'REPcc';
}

const PREFIXES: ReadonlySet<string> = new Set(['NP', '66', 'F2', 'F3', '!F3']);
const IMMEDIATES: ReadonlySet<string> = new Set(['ib', 'iw', 'iz', 'iv', 'cb', 'cd', 'moffs']);
const BYTE = /^[0-9A-F]{2}$/;

/** Reads a pattern. Throws on what is not one: a description with a misspelt row makes no table. */
export const parsePattern = (text: string, operands: readonly OperandSpec[]): Pattern => {
  const bytes: number[] = [];
  const immediates: Immediate[] = [];
  let prefix: Prefix = 'any';
  let w: -1 | 0 | 1 = -1;
  let span: 1 | 8 | 16 = 1;
  let modrm = false;
  let digit = -1;
  let mod: Pattern['mod'] = operands.some((o) => o.place === 'mem') ? 'mem' : 'any';
  let rm = -1;
  let opcodeRegister: Pattern['opcodeRegister'] = 'any';
  let operandSize: Pattern['operandSize'] = 'default';
  let lock = false;
  let repeat: Pattern['repeat'] = 'none';
  for (const token of text.split(' ')) {
    if (bytes.length === 0 && prefix === 'any' && PREFIXES.has(token)) prefix = token as Prefix;
    else if (token === 'REX.W') w = 1;
    else if (token === 'W0') w = 0;
    else if (BYTE.test(token)) bytes.push(Number.parseInt(token, 16));
    else if (/^[0-9A-F]{2}\+(r|cc)$/.test(token)) {
      bytes.push(Number.parseInt(token.slice(0, 2), 16));
      span = token.endsWith('cc') ? 16 : 8;
    } else if (token === '/r') modrm = true;
    else if (/^\/[0-7]$/.test(token)) {
      modrm = true;
      digit = Number(token[1]);
    } else if (token === 'mem' || token === 'reg') mod = token;
    else if (/^rm=[0-7]$/.test(token)) rm = Number(token[3]);
    else if (token === 'r0' || token === '!r0') opcodeRegister = token;
    else if (IMMEDIATES.has(token)) immediates.push(token as Immediate);
    else if (token === 'b' || token === 'o64' || token === 'f64') operandSize = token;
    else if (token === 'LOCK') lock = true;
    else if (token === 'REP' || token === 'REPcc') repeat = token;
    else throw new Error(`pattern '${text}': what is '${token}'?`);
  }
  let map: Pattern['map'] = 0;
  let opcodes: readonly number[] = bytes;
  if (bytes[0] === 0x0f && bytes.length > 1) {
    const third = bytes.length > 2 && (bytes[1] === 0x38 || bytes[1] === 0x3a);
    map = !third ? 1 : bytes[1] === 0x38 ? 2 : 3;
    opcodes = bytes.slice(third ? 2 : 1);
  }
  const opcode = opcodes[0];
  if (opcode === undefined || opcodes.length !== 1) throw new Error(`pattern '${text}': not one opcode`);
  if ((opcode & (span - 1)) !== 0) throw new Error(`pattern '${text}': the opcode's low bits are not free`);
  const needsModrm = operands.some((o) => o.place === 'rm' || o.place === 'mem' || o.place.startsWith('xmm'));
  if (needsModrm && !modrm) throw new Error(`pattern '${text}': operands need a ModRM byte`);
  return {
    prefix,
    w,
    map,
    opcode,
    span,
    modrm,
    digit,
    mod,
    rm,
    opcodeRegister,
    immediates,
    operandSize,
    lock,
    repeat,
  };
};

const size = (text: string): OperandSize => {
  if (text === '') return 0;
  if (text === 'v' || text === 'z' || text === 'y') return text;
  const n = Number(text);
  if (n === 8 || n === 16 || n === 32 || n === 64 || n === 128) return n;
  throw new Error(`operand size '${text}'`);
};

const parseOperand = (text: string): OperandSpec => {
  const at = (place: OperandPlace, bits: OperandSize, unaligned = false): OperandSpec => ({
    place,
    size: bits,
    unaligned,
    text,
  });
  switch (text) {
    case 'al':
      return at('acc', 8);
    case 'ax':
      return at('acc', 16);
    case 'eax':
      return at('acc', 32);
    case 'rax':
      return at('acc', 64);
    case 'rAX':
      return at('acc', 'v');
    case 'cl':
      return at('cl', 8);
    case 'dx':
      return at('dx', 16);
    case 'es':
    case 'cs':
    case 'ss':
    case 'ds':
    case 'fs':
    case 'gs':
      return at('segment', 16);
    case '1':
      return at('one', 8);
    case 'xmm':
      return at('xmm', 128);
    // The register form of instructions that have no memory form, such as MOVHLPS and PMOVMSKB.
    case 'xmm/rm':
      return at('xmm-rm', 128);
  }
  const match = /^(r|r\/m|m|imm|simm|imm2\.|rel|moffs|xmm\/m)(8|16|32|64|128|v|z|y|)(u?)$/.exec(text);
  if (match === null) throw new Error(`operand '${text}'`);
  const bits = size(match[2]!);
  switch (match[1]) {
    case 'r':
      return at('reg', bits);
    case 'r/m':
      return at('rm', bits);
    case 'm':
      return at('mem', bits, match[3] === 'u');
    case 'imm':
      return at('imm', bits);
    case 'simm':
      return at('simm', bits);
    case 'imm2.':
      return at('imm2', bits);
    case 'rel':
      return at('rel', bits);
    case 'moffs':
      return at('moffs', bits);
    default:
      return at('xmm-rm', bits, match[3] === 'u');
  }
};

/** Reads the operands of an instruction column such as `ADD r/mv, immz`: the mnemonic, then the operands. */
export const parseForm = (form: string): { readonly mnemonic: string; readonly operands: readonly OperandSpec[] } => {
  const space = form.indexOf(' ');
  if (space < 0) return { mnemonic: form, operands: [] };
  return {
    mnemonic: form.slice(0, space),
    operands: form
      .slice(space + 1)
      .split(', ')
      .map(parseOperand),
  };
};
