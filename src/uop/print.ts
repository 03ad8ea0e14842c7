// Stable text of an op list, for goldens, for `safepoint isa` and for reading.

import type { OpList, Uop } from './ops.ts';

const t = (temp: number): string => `t${temp}`;
const when = (temp: number | undefined): string => (temp === undefined ? '' : ` when ${t(temp)}`);

function right(uop: Uop): string {
  switch (uop.op) {
    case 'const':
      return `${uop.type} 0x${uop.value.toString(16)}`;
    case 'const128':
      return `v128 0x${uop.hi.toString(16).padStart(16, '0')}${uop.lo.toString(16).padStart(16, '0')}`;
    case 'pc':
      return uop.offset === 0 ? 'pc' : `pc ${uop.offset < 0 ? '-' : '+'} ${Math.abs(uop.offset)}`;
    case 'get':
      return uop.register.name;
    case 'set':
      return `${uop.register.name} := ${t(uop.value)}`;
    case 'flags':
      return `flags ${uop.recipe.name} ${uop.inputs.map(t).join(' ')}`;
    case 'cycles':
      return 'cycles';
    case 'binary':
    case 'compare':
    case 'float':
    case 'floatCompare':
      return `${uop.name}.${uop.type} ${t(uop.a)} ${t(uop.b)}`;
    case 'unary':
      return `${uop.name}.${uop.type} ${t(uop.a)}`;
    case 'fsqrt':
      return `fsqrt.${uop.type} ${t(uop.a)}`;
    case 'select':
      return `select.${uop.type} ${t(uop.when)} ? ${t(uop.a)} : ${t(uop.b)}`;
    case 'divu128':
    case 'remu128':
      return `${uop.op} ${t(uop.hi)}:${t(uop.lo)} ${t(uop.divisor)}`;
    case 'load':
      return `load${uop.bytes * 8}.${uop.type} [${t(uop.address)}]${uop.align === 'any' ? '' : ` ${uop.align}`}${when(uop.when)}`;
    case 'store':
      return `store${uop.bytes * 8} [${t(uop.address)}] := ${t(uop.value)}${uop.align === 'any' ? '' : ` ${uop.align}`}${when(uop.when)}`;
    case 'branch':
      return `branch ${uop.kind} ${t(uop.target)}${when(uop.when)}`;
    case 'nullify':
      return `nullify${when(uop.when)}`;
    case 'trap':
      return `trap ${uop.kind}${uop.code === 0 ? '' : ` ${uop.code}`}${when(uop.when)}`;
    case 'intToFloat':
      return `intToFloat.${uop.from}.${uop.to} ${t(uop.a)}`;
    case 'floatToInt':
      return `floatToInt.${uop.from}.${uop.to} ${uop.rounding} ${t(uop.a)} else 0x${uop.invalid.toString(16)}`;
    case 'vector':
      return `${uop.name} ${uop.args.map(t).join(' ')}${uop.imm.length === 0 ? '' : ` [${uop.imm.join(' ')}]`}`;
    default:
      return `${uop.op} ${t(uop.a)}`;
  }
}

/** One operation a line: `t3 = add.i64 t1 t2`. */
export function print(list: OpList): string {
  return list.ops.map((uop) => ('dst' in uop ? `${t(uop.dst)} = ${right(uop)}` : right(uop))).join('\n');
}
