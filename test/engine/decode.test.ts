// The decode cache: what it keeps of instructions, and that what it forgets is decoded again.

import { describe, expect, it } from 'vitest';
import { isaFor } from '../../isa/index.ts';
import type { Instruction } from '../../src/engine/decode.ts';
import type { Machine } from '../../src/engine/machine.ts';
import { bareMachine } from '../support/bare-machine.ts';
import { CODE_ADDRESS } from '../support/driver.ts';

/** Every immediate that there is, so that no two instructions are alike: 65,536 times addiu $2, $2, n. */
const DIFFERENT = 1 << 16;
/** Of which as many as the cache is to hold at the most are a fraction. */
const BOUND = DIFFERENT / 2;

function straightCode(): Uint8Array {
  const bytes = new Uint8Array(4 * DIFFERENT);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < DIFFERENT; i++) view.setUint32(4 * i, 0x24420000 | i);
  return bytes;
}

const begin = (): Machine => bareMachine(isaFor('mips'), CODE_ADDRESS, straightCode(), [], undefined).machine;

describe('more encodings than the decode cache holds', () => {
  it('are executed, those that were forgotten as well', () => {
    const machine = begin();
    for (const pass of [1, 2]) {
      machine.state.pc = CODE_ADDRESS;
      expect(machine.run(DIFFERENT)).toBe('budget');
      // The sum of all 16-bit numbers with a sign is -2^15.
      expect(machine.state.get(machine.state.register('R2'))).toBe(2n ** 32n - BigInt(pass) * 2n ** 15n);
    }
  });

  it('are not all kept, and what is executed again and again is', () => {
    const { code } = begin();
    const at = (i: number): Instruction => code.at(CODE_ADDRESS + 4 * i)!;
    const [hot, cold] = [at(0), at(1)];
    for (let i = 2; i < BOUND; i++) {
      at(i);
      expect(at(0)).toBe(hot);
    }
    expect(at(1)).not.toBe(cold);
    expect(at(1).decoded.text(0)).toBe(cold.decoded.text(0));
  });
});
