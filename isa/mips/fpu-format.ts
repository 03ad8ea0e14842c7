// Operand formats of the FPU: suffix of the mnemonic, fmt field, and the type that holds the bits.

import type { FieldName } from './pattern.ts';

export const S = { suffix: 's', fmt: '10000', fmt3: '000', type: 'i32' } as const;
export const D = { suffix: 'd', fmt: '10001', fmt3: '001', type: 'i64' } as const;
export const W = { suffix: 'w', fmt: '10100', type: 'i32' } as const;
export const L = { suffix: 'l', fmt: '10101', type: 'i64' } as const;

/** The formats that arithmetic has. Paired single (PS) is not there: neither a 24Kf nor a 5KEf has it. */
export const FLOATS = [S, D] as const;

/** The option of a clause whose listed fields are all operands of this format. */
export function operands<F extends FieldName>(
  format: { readonly type: 'i32' | 'i64' },
  ...fields: readonly F[]
): { readonly pairs?: readonly F[] } {
  return format.type === 'i64' ? { pairs: fields } : {};
}
