// Constants in op lists: what an instruction's temporaries are once its address is known. Branch targets come out of here.

import type { OpList } from './ops.ts';

const mask = (type: string, value: bigint): bigint => BigInt.asUintN(type === 'i32' ? 32 : 64, value);

/** Constants of op lists; what lists that do not ask for their address fold to is worked out once. */
export class Folds {
  readonly #everywhere = new WeakMap<OpList, readonly (bigint | undefined)[]>();

  /** Value of each temporary that is a constant at `pc`, as an unsigned integer of its type. */
  at(list: OpList, pc: number): readonly (bigint | undefined)[] {
    const known = this.#everywhere.get(list);
    if (known !== undefined) return known;
    const values = foldAt(list, pc);
    if (!list.ops.some((uop) => uop.op === 'pc')) this.#everywhere.set(list, values);
    return values;
  }
}

function foldAt(list: OpList, pc: number): (bigint | undefined)[] {
  const values: (bigint | undefined)[] = new Array<bigint | undefined>(list.temps.length);
  for (const uop of list.ops) {
    switch (uop.op) {
      case 'const':
        values[uop.dst] = uop.value;
        break;
      case 'pc':
        values[uop.dst] = mask(uop.type, BigInt(pc + uop.offset));
        break;
      case 'binary': {
        const a = values[uop.a];
        const b = values[uop.b];
        if (a === undefined || b === undefined) break;
        const count = b & (uop.type === 'i32' ? 31n : 63n);
        if (uop.name === 'add') values[uop.dst] = mask(uop.type, a + b);
        else if (uop.name === 'sub') values[uop.dst] = mask(uop.type, a - b);
        else if (uop.name === 'and') values[uop.dst] = a & b;
        else if (uop.name === 'or') values[uop.dst] = a | b;
        else if (uop.name === 'xor') values[uop.dst] = a ^ b;
        else if (uop.name === 'shl') values[uop.dst] = mask(uop.type, a << count);
        else if (uop.name === 'shr') values[uop.dst] = a >> count;
        break;
      }
      case 'extendU': {
        values[uop.dst] = values[uop.a];
        break;
      }
      case 'extendS': {
        const a = values[uop.a];
        if (a !== undefined) values[uop.dst] = mask('i64', BigInt.asIntN(32, a));
        break;
      }
      case 'wrap': {
        const a = values[uop.a];
        if (a !== undefined) values[uop.dst] = mask('i32', a);
        break;
      }
      default:
    }
  }
  return values;
}
