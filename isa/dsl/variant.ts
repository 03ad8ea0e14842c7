// A variant: the facts by which one instruction-set description becomes several targets.

/** The targets, in Go's spelling. */
export type Goarch = 'amd64' | 'mips' | 'mipsle' | 'mips64' | 'mips64le';

export const GOARCHES: readonly Goarch[] = ['amd64', 'mips', 'mipsle', 'mips64', 'mips64le'];

/**
 * How an arithmetic operation makes a NaN out of its operands.
 * - `x86`: the first operand if it is a NaN, else the second, made quiet; the default NaN has its sign set
 *   (Intel SDM vol. 1, 4.8.3.5 and table 4-7).
 * - `mips-legacy`: a quiet NaN has a clear top fraction bit; the default NaN is 0x7fbfffff / 0x7ff7ffffffffffff
 *   (MIPS64 Architecture vol. I, 6.3.1.3, FCSR NAN2008 = 0).
 */
export type NanRule = 'x86' | 'mips-legacy';

export interface Variant {
  readonly goarch: Goarch;
  /** Bits of a general register and of an address. */
  readonly width: 32 | 64;
  readonly bigEndian: boolean;
  /** Branches take effect after the instruction that follows them. */
  readonly delaySlot: boolean;
  readonly nan: NanRule;
}
