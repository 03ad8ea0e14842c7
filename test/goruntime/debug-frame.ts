// Reads .debug_frame as Go's linker writes it: the CFA of every PC, a second opinion on pcsp (DWARF 4, section 6.4).
import type { Elf } from '../../src/object/elf.ts';

export interface CfaRun {
  readonly start: number;
  readonly end: number;
  /** CFA minus SP. */
  readonly offset: number;
}

export function cfaRuns(elf: Elf): CfaRun[] {
  const data = elf.sectionData('.debug_frame');
  if (data === undefined) return [];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const little = !elf.bigEndian;
  const word = elf.class / 8;
  const address = (at: number): number =>
    word === 8 ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little);
  let codeAlign = 1;
  let dataAlign = 1;
  const runs: CfaRun[] = [];
  for (let at = 0; at + 8 <= data.length; ) {
    const length = view.getUint32(at, little);
    const id = view.getUint32(at + 4, little);
    const end = at + 4 + length;
    const cursor = { at: at + 8 };
    const leb = (signed: boolean): number => {
      let value = 0;
      let shift = 0;
      for (;;) {
        const byte = data[cursor.at++] ?? 0;
        value += (byte & 0x7f) * 2 ** shift;
        shift += 7;
        if (byte < 0x80) return signed && byte & 0x40 ? value - 2 ** shift : value;
      }
    };
    if (id === 0xffffffff) {
      cursor.at += 2;
      codeAlign = leb(false);
      dataAlign = leb(true);
    } else {
      let pc = address(cursor.at);
      const stop = pc + address(cursor.at + word);
      cursor.at += 2 * word;
      let offset: number | undefined;
      const advance = (by: number): void => {
        if (offset !== undefined && by > 0) runs.push({ start: pc, end: pc + by, offset });
        pc += by;
      };
      while (cursor.at < end) {
        const op = data[cursor.at++] ?? 0;
        if (op >> 6 === 1) advance((op & 0x3f) * codeAlign);
        else if (op >> 6 === 2) leb(false);
        else if (op === 0x02) advance((data[cursor.at++] ?? 0) * codeAlign);
        else if (op === 0x03) {
          advance(view.getUint16(cursor.at, little) * codeAlign);
          cursor.at += 2;
        } else if (op === 0x04) {
          advance(view.getUint32(cursor.at, little) * codeAlign);
          cursor.at += 4;
        } else if (op === 0x13) offset = leb(true) * dataAlign;
        else if (op === 0x05 || op === 0x09 || op === 0x14) {
          leb(false);
          leb(false);
        } else if (op === 0x11) {
          leb(false);
          leb(true);
        } else if (op === 0x08 || op === 0x06 || op === 0x07) leb(false);
        else if (op !== 0) throw new Error(`DW_CFA 0x${op.toString(16)} at ${cursor.at}`);
      }
      advance(stop - pc);
    }
    at = end;
  }
  return runs;
}
