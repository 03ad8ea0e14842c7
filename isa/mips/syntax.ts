// Assembly text as GNU objdump prints it: `addiu sp,sp,-32`, `lw a0,8(sp)`, branch targets as 0x….

import type { FieldName, Fields, Pattern } from './pattern.ts';

const O32 = 'zero at v0 v1 a0 a1 a2 a3 t0 t1 t2 t3 t4 t5 t6 t7 s0 s1 s2 s3 s4 s5 s6 s7 t8 t9 k0 k1 gp sp s8 ra'.split(
  ' ',
);
const N64 = 'zero at v0 v1 a0 a1 a2 a3 a4 a5 a6 a7 t0 t1 t2 t3 s0 s1 s2 s3 s4 s5 s6 s7 t8 t9 k0 k1 gp sp s8 ra'.split(
  ' ',
);

/** Names of the general registers in the ABI that a target's width goes with (o32, n64). */
const gprNames = (width: 32 | 64): readonly string[] => (width === 32 ? O32 : N64);

/** Where an instruction stands, which its text depends on. */
export interface Place {
  readonly pc: number;
  readonly width: 32 | 64;
}

interface Operand {
  readonly uses: readonly FieldName[];
  print(f: Fields, place: Place): string;
}

const hex = (n: number): string => (n < 0 ? `-0x${(-n).toString(16)}` : `0x${n.toString(16)}`);

/** An address, which wraps at the width of the target. */
const address = (n: number, { width }: Place): string =>
  n < 0 ? `0x${BigInt.asUintN(width, BigInt(n)).toString(16)}` : hex(n);

const gpr = (name: FieldName): Operand => ({ uses: [name], print: (f, { width }) => gprNames(width)[f[name]]! });
const fpr = (name: FieldName): Operand => ({ uses: [name], print: (f) => `$f${f[name]}` });
const fcr = (name: FieldName): Operand => ({ uses: [name], print: (f) => `$${f[name]}` });
const decimal = (name: FieldName): Operand => ({ uses: [name], print: (f) => String(f[name]) });
const hexadecimal = (name: FieldName, add = 0): Operand => ({ uses: [name], print: (f) => hex(f[name] + add) });

const REGION = 2 ** 28;

/** What may stand in a clause's syntax. Most operands are a field of the same name. */
const OPERANDS = {
  rs: gpr('rs'),
  rt: gpr('rt'),
  rd: gpr('rd'),
  base: gpr('base'),
  index: gpr('index'),
  fs: fpr('fs'),
  ft: fpr('ft'),
  fd: fpr('fd'),
  fr: fpr('fr'),
  /** An FPU control register, a hardware register: by number. */
  fcr: fcr('fs'),
  hwr: fcr('rd'),
  cc: { uses: ['cc'], print: (f) => `$fcc${f.cc}` },
  sa: hexadecimal('sa'),
  immediate: decimal('immediate'),
  unsigned: hexadecimal('unsigned'),
  offset: decimal('offset'),
  hint: hexadecimal('hint'),
  stype: hexadecimal('stype'),
  code: hexadecimal('code'),
  code20: hexadecimal('code20'),
  code26: hexadecimal('code26'),
  /** Bit fields: position and size; the M and U forms of MIPS64 add 32 to one or the other. */
  pos: hexadecimal('lsb'),
  pos32: hexadecimal('lsb', 32),
  size: hexadecimal('msbd', 1),
  size32: hexadecimal('msbd', 33),
  inssize: { uses: ['msb', 'lsb'], print: (f) => hex(f.msb - f.lsb + 1) },
  inssize32: { uses: ['msb', 'lsb'], print: (f) => hex(f.msb + 32 - f.lsb + 1) },
  target: { uses: ['offset'], print: (f, place) => address(place.pc + 4 + f.offset * 4, place) },
  jump: {
    uses: ['instr_index'],
    print: (f, place) => address(Math.floor((place.pc + 4) / REGION) * REGION + f.instr_index * 4, place),
  },
} as const satisfies Readonly<Record<string, Operand>>;

const isOperand = (name: string): name is keyof typeof OPERANDS => Object.hasOwn(OPERANDS, name);

/** A syntax such as `lw rt,offset(base)`, ready to print. */
export class Syntax {
  readonly mnemonic: string;
  readonly #parts: readonly (string | Operand)[];

  /** Throws when an operand is unknown or its fields are not in the pattern: a mistake in a table. */
  constructor(text: string, pattern: Pattern) {
    const space = text.indexOf(' ');
    this.mnemonic = space < 0 ? text : text.slice(0, space);
    const operands = space < 0 ? '' : text.slice(space);
    this.#parts = operands.split(/\b/).map((part): string | Operand => {
      if (!/^[a-z]/.test(part)) return part;
      if (!isOperand(part)) throw new Error(`syntax "${text}": unknown operand "${part}"`);
      const operand: Operand = OPERANDS[part];
      for (const name of operand.uses) {
        if (!pattern.has(name)) throw new Error(`syntax "${text}": the pattern has no field "${name}"`);
      }
      return operand;
    });
  }

  print(fields: Fields, place: Place): string {
    let text = this.mnemonic;
    for (const part of this.#parts) text += typeof part === 'string' ? part : part.print(fields, place);
    return text;
  }
}
