// The case files: one line is one experiment on a processor. Read, written and held against an engine here.
//
//   00851021 | R4=1 R5=2 | R2=3 ; addu v0,a0,a1
//   8c820004 | R4=20000 [20000]=0000000080000000 | R2=80000000
//   14850002 375a0001 | R4=1 count=2 | R27=1 pc=1000c
//   00850034 | | stop=trap:0
//
// Code, then what is given, then what differs afterwards, then a remark. Numbers are hexadecimal. The code is written as the guest's bytes;
// blanks in it mean nothing. `[address]=bytes` is memory; `count=` the number of instructions to execute (1). Of the result, registers that are not
// listed have not changed, and memory neither; pc, where it is not listed, is past the code executed. `mask:NAME=bits` leaves
// out what the manual leaves undefined. `stop=` names a trap with its code, or a fault with its reason; then nothing has changed.

import { readdirSync, readFileSync } from 'node:fs';
import type { Isa } from '../../isa/index.ts';
import { CODE_ADDRESS, execute, type Given, type Outcome } from './driver.ts';

export interface Area {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface Case {
  readonly code: Uint8Array;
  readonly count: number;
  readonly registers: Readonly<Record<string, bigint>>;
  readonly memory: readonly Area[];
  readonly expected: {
    readonly registers: Readonly<Record<string, bigint>>;
    readonly memory: readonly Area[];
    /** `done`, `syscall`, `KIND:CODE` of a trap, `fault:REASON`. */
    readonly stop: string;
    /** Bits that count, by register. */
    readonly masks: Readonly<Record<string, bigint>>;
  };
  readonly remark: string;
}

/** A line of a case file cannot be read. */
export class CaseError extends Error {
  override readonly name = 'CaseError';
}

const hexBytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

interface Side {
  registers: Record<string, bigint>;
  masks: Record<string, bigint>;
  memory: Area[];
  words: Record<string, string>;
}

function parseSide(text: string): Side {
  const side: Side = { registers: {}, masks: {}, memory: [], words: {} };
  for (const item of text.trim().split(/\s+/)) {
    if (item === '') continue;
    const equals = item.indexOf('=');
    if (equals < 0) throw new CaseError(`"${item}" is no assignment`);
    const name = item.slice(0, equals);
    const value = item.slice(equals + 1);
    if (name === 'stop' || name === 'count') side.words[name] = value;
    else if (name.startsWith('['))
      side.memory.push({ address: Number.parseInt(name.slice(1), 16), bytes: hexBytes(value) });
    else if (name.startsWith('mask:')) side.masks[name.slice(5)] = BigInt(`0x${value}`);
    else side.registers[name] = BigInt(`0x${value}`);
  }
  return side;
}

/** Reads a line; blank ones and those that begin with `#` are `undefined`. */
export function parseCase(line: string): Case | undefined {
  if (line.trim() === '' || line.startsWith('#')) return undefined;
  const semicolon = line.indexOf(';');
  const fields = (semicolon < 0 ? line : line.slice(0, semicolon)).split('|');
  if (fields.length !== 3) throw new CaseError(`not three fields: ${line}`);
  const given = parseSide(fields[1]!);
  const expected = parseSide(fields[2]!);
  return {
    code: hexBytes(fields[0]!),
    count: Number.parseInt(given.words.count ?? '1', 16),
    registers: given.registers,
    memory: given.memory,
    expected: {
      registers: expected.registers,
      memory: expected.memory,
      stop: expected.words.stop ?? 'done',
      masks: expected.masks,
    },
    remark: semicolon < 0 ? '' : line.slice(semicolon + 1).trim(),
  };
}

/** Writes a case as a line. */
export function formatCase(c: Case): string {
  const assign = (registers: Readonly<Record<string, bigint>>, prefix = '') =>
    Object.entries(registers).map(([name, value]) => `${prefix}${name}=${value.toString(16)}`);
  const areas = (memory: readonly Area[]) => memory.map((a) => `[${a.address.toString(16)}]=${toHex(a.bytes)}`);
  const given = [
    ...assign(c.registers),
    ...areas(c.memory),
    ...(c.count === 1 ? [] : [`count=${c.count.toString(16)}`]),
  ];
  const { registers, memory, stop, masks } = c.expected;
  const after = [
    ...assign(registers),
    ...areas(memory),
    ...assign(masks, 'mask:'),
    ...(stop === 'done' ? [] : [`stop=${stop}`]),
  ];
  return `${toHex(c.code)} | ${given.join(' ')} | ${after.join(' ')}${c.remark === '' ? '' : ` ; ${c.remark}`}`;
}

export interface NumberedCase {
  /** `file:line`. */
  readonly place: string;
  readonly text: string;
  readonly test: Case;
}

/** All cases of a GOARCH, by file. */
export function readCases(goarch: string): Map<string, NumberedCase[]> {
  const directory = new URL(`../cases/${goarch}/`, import.meta.url);
  const files = new Map<string, NumberedCase[]>();
  for (const file of readdirSync(directory).sort()) {
    if (!file.endsWith('.case')) continue;
    const cases: NumberedCase[] = [];
    for (const [i, line] of readFileSync(new URL(file, directory), 'utf8').split('\n').entries()) {
      const test = parseCase(line);
      if (test !== undefined) cases.push({ place: `${goarch}/${file}:${i + 1}`, text: line, test });
    }
    files.set(file, cases);
  }
  return files;
}

const stopName = ({ stop }: Outcome): string =>
  typeof stop === 'string' ? stop : 'trap' in stop ? `${stop.trap}:${stop.code.toString(16)}` : `fault:${stop.fault}`;

/** What an outcome has that the case does not expect, a line each; nothing when the case holds. `pc` is where undisturbed code ends. */
export function differences(isa: Isa, c: Case, outcome: Outcome, pc: number): string[] {
  const wrong: string[] = [];
  const stop = stopName(outcome);
  if (stop !== c.expected.stop) wrong.push(`stop is ${stop}, not ${c.expected.stop}`);
  const past = c.expected.stop === 'done' || c.expected.stop === 'syscall';
  const control = isa.registers.control;
  for (const { name } of isa.registers.all) {
    // Pending target and slot count where a case lists them: they are seen in where the code goes on.
    const listed = c.expected.registers[name];
    if (listed === undefined && (name === control.pending.name || name === control.slot.name)) continue;
    const unchanged = name === control.pc.name ? BigInt(past ? pc : CODE_ADDRESS) : (c.registers[name] ?? 0n);
    const mask = c.expected.masks[name] ?? -1n;
    const want = (listed ?? unchanged) & mask;
    const got = (outcome.registers[name] ?? 0n) & mask;
    if (want !== got) wrong.push(`${name} is ${got.toString(16)}, not ${want.toString(16)}`);
  }
  for (const area of outcome.memory) {
    const after = c.expected.memory.find(({ address }) => address === area.address);
    const want = toHex((after ?? c.memory.find(({ address }) => address === area.address))!.bytes);
    if (toHex(area.bytes) !== want)
      wrong.push(`memory at ${area.address.toString(16)} is ${toHex(area.bytes)}, not ${want}`);
  }
  return wrong;
}

/** Runs a case and says what is wrong, a line each. */
export function check(isa: Isa, c: Case, run: (isa: Isa, given: Given) => Outcome = execute): string[] {
  const outcome = run(isa, { bytes: c.code, registers: c.registers, memory: c.memory, count: c.count });
  let end = 0;
  for (let i = 0; i < c.count; i++) {
    const decoded = isa.decode(c.code, end);
    if (decoded === undefined || decoded === 'short') break;
    end += decoded.length;
  }
  return differences(isa, c, outcome, CODE_ADDRESS + end);
}
