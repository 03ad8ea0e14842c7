// Records test/cases/amd64/sse-*.case from the host's processor (Intel: RCP and RSQRT are its own).
//
//   npx tsx test/support/amd64-record-sse.ts [--dry] [--scale=N] FAMILY…      FAMILY: sse-move sse-int sse-float sse-convert
//
// For every clause: operands from registers and memory, the same register twice, corner values of the type that the lanes hold, and
// one misaligned memory operand. Lists where our engine disagrees; --dry writes nothing. The exception flags that the processor
// collects in MXCSR are left out, because the description does not keep them (isa/amd64/sse-float.ts).

import { writeFileSync } from 'node:fs';
import type { Clause } from '../../isa/amd64/clause.ts';
import { amd64Clauses } from '../../isa/amd64/families.ts';
import { amd64Isa } from '../../isa/amd64/index.ts';
import { Instruction } from '../../isa/amd64/instruction.ts';
import { buildNative, DATA_ADDRESS, type Experiment, type Observation, PAGE, runNative } from './amd64-native.ts';
import { type Case, check, formatCase } from './cases.ts';
import { CODE_ADDRESS } from './driver.ts';

/** The memory that an experiment is given: 48 bytes around a 16-byte boundary. */
const WINDOW = DATA_ADDRESS + 0x100;
const WINDOW_BYTES = 0x30;
const TARGET = WINDOW + 0x10;

const MXCSR_RESET = 0x1f80;
const M64 = (1n << 64n) - 1n;

/** xorshift32, seeded by a text: recording again changes only what changed. */
class Random {
  #state = 0x9e3779b9;

  constructor(seed: string) {
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

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

/** What the lanes of an operand hold. */
type Domain = 'f32' | 'f64' | 'i32' | 'i64' | 'i16' | 'count';

const bits32 = (value: number): bigint => BigInt(new Uint32Array(Float32Array.of(value).buffer)[0]!);
const bits64 = (value: number): bigint => new BigUint64Array(Float64Array.of(value).buffer)[0]!;

/** Values at which roundings, conversions to integers and conversions between the formats change their answer. */
const NUMBERS: readonly number[] = [
  0,
  1,
  1.5,
  2.5,
  0.5,
  0.49999999999999994,
  3,
  1e-3,
  2 ** -126,
  2 ** -149,
  2 ** -1074,
  2 ** -150 * 1.5,
  1.1 * 2 ** -130,
  2 ** 126,
  2 ** 128,
  3.4028235677973366e38,
  Number.MAX_VALUE,
  2147483647,
  2147483647.5,
  2147483648,
  2147483648.5,
  2147483649,
  2147483520,
  4294967296,
  2 ** 53 + 2,
  2 ** 62,
  2 ** 63 - 1024,
  2 ** 63 - 2 ** 39,
  2 ** 63,
  2 ** 64,
  Number.POSITIVE_INFINITY,
];
const signed = (values: readonly number[]): number[] => values.flatMap((v) => [v, -v]);
const CORNERS: Readonly<Record<Domain, readonly bigint[]>> = {
  f32: [...signed(NUMBERS).map((v) => bits32(Math.fround(v))), 0x7f7fffffn, 0xff7fffffn],
  f64: [...signed(NUMBERS).map(bits64), 0x380fffffe0000000n, 0x36a8000000000000n, 0x47efffffefffffffn],
  i16: [0n, 1n, 0x7fn, 0x80n, 0xffn, 0x100n, 0x7fffn, 0x8000n, 0x8001n, 0xff80n, 0xff7fn, 0xffffn, 0x807fn],
  i32: [
    0n,
    1n,
    0x7fffn,
    0x8000n,
    0xffff8000n,
    0xffff7fffn,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
    0x1000001n,
    0x7fffffbfn,
  ],
  i64: [
    0n,
    1n,
    M64,
    1n << 63n,
    M64 >> 1n,
    0x20000000000001n,
    0x20000000000003n,
    0x7ffffffffffffdffn,
    0x7fffff4000000001n,
  ],
  count: [0n, 1n, 7n, 8n, 15n, 16n, 31n, 32n, 63n, 64n, 0xffn, 1n << 32n, 1n << 63n],
};
/** Quiet and signalling NaNs of both signs, payloads in the high and the low fraction bits; infinities, zeros, denormals. */
const SPECIAL: Readonly<Record<'f32' | 'f64', readonly bigint[]>> = {
  f32: [
    ...[0x7fc00001n, 0xffd23456n, 0x7f800001n, 0xffa00002n, 0x7f800000n, 0xff800000n],
    ...[0n, 0x80000000n, 1n, 0x80000001n, 0x007fffffn, 0x807fffffn],
  ],
  f64: [
    ...[0x7ff8000000000001n, 0xfff9234567abcdefn, 0x7ff0000000000003n, 0xfff4000000000000n, 0x7ff0000020000000n],
    ...[
      0x7ff0000000000000n,
      0xfff0000000000000n,
      0n,
      0x8000000000000000n,
      1n,
      0x000fffffffffffffn,
      0x800fffffffffffffn,
    ],
  ],
};
const LANE_BITS: Readonly<Record<Domain, bigint>> = { f32: 32n, f64: 64n, i16: 16n, i32: 32n, i64: 64n, count: 64n };

const lane = (r: Random, domain: Domain): bigint => {
  if ((domain === 'f32' || domain === 'f64') && r.below(3) === 0) return r.pick(SPECIAL[domain]);
  if (r.below(4) !== 0) return r.pick(CORNERS[domain]);
  if (domain === 'count') return BigInt(r.below(70));
  if (domain === 'f32' && r.below(2) === 0) return bits32(Math.fround((r.u32() | 0) * 2 ** (r.below(60) - 30)));
  if (domain === 'f64' && r.below(2) === 0) return bits64((r.u32() | 0) * 2 ** (r.below(100) - 50) + r.u32());
  return r.u64() & ((1n << LANE_BITS[domain]) - 1n);
};

const vector = (r: Random, domain: Domain): bigint => {
  let v = 0n;
  for (let at = 0n; at < 128n; at += LANE_BITS[domain]) v |= lane(r, domain) << at;
  return v;
};

/** What the source operand's lanes hold, by the mnemonic. */
const domainOf = (clause: Clause): Domain => {
  const name = clause.mnemonic;
  const conversion = /^CVTT?(PS|PD|SS|SD|DQ|SI)2/.exec(name)?.[1];
  if (conversion === 'DQ') return 'i32';
  if (conversion === 'SI') return 'i64';
  if (conversion !== undefined) return conversion.endsWith('S') ? 'f32' : 'f64';
  if (clause.family === 'sse-float') return /[PS]S$/.test(name) ? 'f32' : 'f64';
  if (/^PS(LL|RL|RA)[WDQ]$/.test(name)) return 'count';
  if (/^PACK..DW$|^P.*D$|Q$/.test(name)) return 'i32';
  return 'i16';
};

interface Form {
  readonly memory: boolean;
  readonly misaligned: boolean;
}

const fromBytes = (v: bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, k) => Number((v >> BigInt(8 * k)) & 0xffn));

/** One experiment. Memory operands are [RDI] or [R15]. */
const trial = (clause: Clause, r: Random, k: number, form: Form): { e: Experiment; memory: boolean; odd: boolean } => {
  const p = clause.encoding;
  const domain = domainOf(clause);
  const bytes: number[] = [];
  if (p.prefix !== 'NP') bytes.push(Number.parseInt(p.prefix, 16));
  let rex = r.below(3) === 0 ? 0 : 0x40 | r.below(8);
  const y = clause.operands.some((o) => o.size === 'y');
  if (p.w === 1 || (y && k % 2 === 1)) rex |= 0x48;
  if (p.digit >= 0) rex &= ~4;
  const reg = p.digit >= 0 ? p.digit : r.below(8);
  // Now and then one register on both sides.
  const rm = form.memory ? 7 : r.below(6) === 0 ? reg : r.below(8);
  if (rex !== 0) bytes.push(rex);
  bytes.push(0x0f, p.opcode, (form.memory ? 0 : 0xc0) | (reg << 3) | rm);
  // Each predicate of CMP; every bit of an immediate otherwise.
  if (p.immediates.length > 0)
    bytes.push(clause.mnemonic.startsWith('CMP') && k < 8 ? k : r.below(domain === 'count' ? 70 : 256));

  const regNumber = reg | ((rex & 4) << 1);
  const rmNumber = rm | ((rex & 1) << 3);
  const registers: Record<string, bigint> = { MXCSR: BigInt(MXCSR_RESET) };
  const first = domain === 'count' ? 'i16' : domain;
  registers[`XMM${regNumber}`] = vector(r, first);
  if (!form.memory && rmNumber !== regNumber) registers[`XMM${rmNumber}`] = vector(r, domain);
  // To integers the rounding control counts.
  if (/^CVT(PS|PD|SS|SD)2(DQ|SI)$/.test(clause.mnemonic)) registers.MXCSR! |= BigInt(r.below(4) << 13);
  if (clause.mnemonic === 'STMXCSR') registers.MXCSR = BigInt(r.below(0x10000) | 0x80);
  for (const [n, o] of clause.operands.entries()) {
    if (o.place === 'reg') registers[`R${regNumber}`] = r.u64();
    if (o.place === 'rm' && !form.memory) registers[`R${rmNumber}`] = n === 1 ? lane(r, 'i64') : r.u64();
  }
  const flags = /COMI/.test(clause.mnemonic) ? ['CF', 'PF', 'AF', 'ZF', 'SF', 'OF'] : [];
  for (const f of flags) registers[f] = BigInt(r.below(2));

  let target = BigInt(TARGET);
  if (form.misaligned) target += BigInt(1 + r.below(15));
  let memory = form.memory;
  if (memory) registers[`R${rmNumber}`] = target;
  if (clause.mnemonic === 'MASKMOVDQU') {
    registers.R7 = target;
    memory = true;
  }
  const data = new Uint8Array(PAGE);
  for (let at = 0; at < WINDOW_BYTES; at += 16) data.set(fromBytes(vector(r, domain), 16), WINDOW - DATA_ADDRESS + at);
  const operand = vector(r, clause.mnemonic.startsWith('CVTSI') ? 'i64' : domain);
  data.set(fromBytes(operand, 16), Number(target) - DATA_ADDRESS);
  // Bits above 15 are a protection fault; two in three have none.
  if (clause.mnemonic === 'LDMXCSR')
    data.set(fromBytes(BigInt(r.u32() & (k % 3 === 2 ? -1 : 0xffff)), 4), Number(target) - DATA_ADDRESS);
  const named = Object.entries(registers).map(([name, v]) => [NAMES.get(name) ?? name, v] as const);
  return {
    e: { code: Uint8Array.from(bytes), registers: Object.fromEntries(named), data },
    memory,
    odd: form.misaligned,
  };
};

/** R0 … R7 have names of their own. */
const NAMES = new Map(['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI'].map((name, n) => [`R${n}`, name]));

const window = (data: Uint8Array): Uint8Array =>
  data.slice(WINDOW - DATA_ADDRESS, WINDOW - DATA_ADDRESS + WINDOW_BYTES);

const toCase = (clause: Clause, e: Experiment, memory: boolean, odd: boolean, o: Observation): Case => {
  const after: Record<string, bigint> = {};
  const done = o.stop === 'done';
  if (done) {
    for (const [name, v] of Object.entries(o.registers)) {
      if (name === 'MXCSR' && clause.mnemonic !== 'LDMXCSR') continue;
      if (v !== (e.registers[name] ?? 0n)) after[name] = v;
    }
  }
  const before = window(e.data);
  const now = window(o.data);
  const decoded = isa.decode(e.code, 0);
  return {
    code: e.code,
    count: 1,
    registers: Object.fromEntries(Object.entries(e.registers).filter(([, v]) => v !== 0n)),
    memory: memory ? [{ address: WINDOW, bytes: before }] : [],
    expected: {
      registers: after,
      memory: done && memory && !Buffer.from(before).equals(Buffer.from(now)) ? [{ address: WINDOW, bytes: now }] : [],
      // A misaligned operand is #GP: the vocabulary has a name of its own for it.
      stop: odd && o.stop === 'privileged:0' ? 'fault:alignment' : o.stop,
      masks: {},
    },
    remark: decoded instanceof Instruction ? decoded.text(CODE_ADDRESS) : '',
  };
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
    if (clause.family !== family) continue;
    const { mod, immediates } = clause.encoding;
    const r = new Random(clause.name);
    const implicit = clause.mnemonic === 'MASKMOVDQU';
    const many = scale * (family === 'sse-move' ? 4 : immediates.length > 0 ? 9 : family === 'sse-int' ? 6 : 10);
    const trials: ReturnType<typeof trial>[] = [];
    for (let k = 0; k < many; k++) {
      const memory = mod === 'mem' || (mod === 'any' && k % 3 === 1);
      trials.push(trial(clause, r, k, { memory, misaligned: implicit && k > 0 }));
    }
    if (mod !== 'reg') trials.push(trial(clause, r, many, { memory: true, misaligned: true }));
    lines.push(`# ${clause.name}`);
    const observed = runNative(
      binary,
      trials.map((t) => t.e),
    );
    for (const [k, o] of observed.entries()) {
      const t = trials[k]!;
      const decoded = isa.decode(t.e.code, 0);
      if (!(decoded instanceof Instruction) || decoded.clause !== clause)
        throw new Error(`${clause.name}: ${Buffer.from(t.e.code).toString('hex')} is not decoded as this clause`);
      const c = toCase(clause, t.e, t.memory, t.odd, o);
      lines.push(formatCase(c));
      const differences = check(isa, c);
      if (differences.length === 0) continue;
      wrong++;
      if (wrong <= 40) console.log(`${clause.name}\n  ${formatCase(c)}\n  ${differences.join('; ')}`);
    }
  }
  console.log(`${family}: ${lines.length} lines, ${wrong} disagree`);
  if (!dry) writeFileSync(new URL(`../cases/amd64/${family}.case`, import.meta.url), `${lines.join('\n')}\n`);
}
