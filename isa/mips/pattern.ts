// Encoding patterns as the manual draws them: 32 bits from the left, fixed bits in digits, fields by the manual's names.

/** The fields, with their widths in bits. A field stands wherever its pattern puts it. */
const FIELDS = {
  rs: { bits: 5, signed: false },
  rt: { bits: 5, signed: false },
  rd: { bits: 5, signed: false },
  base: { bits: 5, signed: false },
  /** The second address register of LWXC1 and the like. */
  index: { bits: 5, signed: false },
  fs: { bits: 5, signed: false },
  ft: { bits: 5, signed: false },
  fd: { bits: 5, signed: false },
  fr: { bits: 5, signed: false },
  sa: { bits: 5, signed: false },
  /** Position of a bit field, its top bit, and its size less one. */
  lsb: { bits: 5, signed: false },
  msb: { bits: 5, signed: false },
  msbd: { bits: 5, signed: false },
  hint: { bits: 5, signed: false },
  stype: { bits: 5, signed: false },
  cc: { bits: 3, signed: false },
  code: { bits: 10, signed: false },
  code20: { bits: 20, signed: false },
  code26: { bits: 26, signed: false },
  immediate: { bits: 16, signed: true },
  unsigned: { bits: 16, signed: false },
  offset: { bits: 16, signed: true },
  instr_index: { bits: 26, signed: false },
} as const satisfies Readonly<Record<string, { bits: number; signed: boolean }>>;

export type FieldName = keyof typeof FIELDS;

type Words<P extends string> = P extends `${infer Head} ${infer Tail}` ? Head | Words<Tail> : P;

type Bit = '0' | '1';

/** A function field, for patterns put together from parts. */
export type Funct = `${Bit}${Bit}${Bit}${Bit}${Bit}${Bit}`;

/** The fields that a pattern names: `FieldsOf<'000000 rs rt rd 00000 100001'>` has `rs`, `rt` and `rd`. */
export type FieldsOf<P extends string> = Readonly<Record<Extract<Words<P>, FieldName>, number>>;

/** Fields of some instruction. Only those of its pattern are there; `insn` (insn.ts) checks that nothing asks for others. */
export type Fields = Readonly<Record<FieldName, number>>;

interface Place {
  readonly name: FieldName;
  readonly shift: number;
  readonly mask: number;
  /** Bits to shift left and right again for the sign; 0 for an unsigned field. */
  readonly sign: number;
}

const isField = (word: string): word is FieldName => Object.hasOwn(FIELDS, word);

/** A parsed pattern: `word & mask === value` decides, `extract` reads the fields. Masks are unsigned. */
export class Pattern {
  readonly mask: number;
  readonly value: number;
  readonly #places: readonly Place[];

  /** Throws on a pattern that is not 32 bits of digits and known fields: a mistake in a table. */
  constructor(text: string) {
    let mask = 0;
    let value = 0;
    let left = 32;
    const places: Place[] = [];
    for (const word of text.split(' ')) {
      if (isField(word)) {
        const { bits, signed } = FIELDS[word];
        left -= bits;
        places.push({ name: word, shift: left, mask: 2 ** bits - 1, sign: signed ? 32 - bits : 0 });
      } else {
        for (const digit of word) {
          if (digit !== '0' && digit !== '1') throw new Error(`pattern "${text}": unknown field "${word}"`);
          left -= 1;
          mask += 2 ** left;
          if (digit === '1') value += 2 ** left;
        }
      }
    }
    if (left !== 0) throw new Error(`pattern "${text}" has ${32 - left} bits`);
    this.mask = mask;
    this.value = value;
    this.#places = places;
  }

  has(name: FieldName): boolean {
    return this.#places.some((place) => place.name === name);
  }

  extract(word: number): Fields {
    const fields: Partial<Record<FieldName, number>> = {};
    for (const { name, shift, mask, sign } of this.#places) {
      const bits = (word >>> shift) & mask;
      fields[name] = (bits << sign) >> sign;
    }
    return fields as Fields;
  }

  /** An instruction word with these fields (for tests and generators); fields not given are 0. */
  encode(fields: Readonly<Partial<Record<FieldName, number>>>): number {
    let word = this.value;
    for (const { name, shift, mask } of this.#places) word += ((fields[name] ?? 0) & mask) * 2 ** shift;
    return word;
  }
}
