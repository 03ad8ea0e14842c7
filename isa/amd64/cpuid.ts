// What CPUID answers: exactly the features that the clauses implement. SDM vol. 2, CPUID.

export interface CpuidLeaf {
  readonly leaf: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

const bits = (...positions: readonly number[]): number => positions.reduce((mask, n) => mask | (1 << n), 0);

const ascii = (text: string): number =>
  text.charCodeAt(0) | (text.charCodeAt(1) << 8) | (text.charCodeAt(2) << 16) | (text.charCodeAt(3) << 24);

/** Leaf 1, EDX: TSC, CX8, CMOV, CLFSH, SSE, SSE2. No x87 (bit 0) and no MMX (23), hence no FXSR (24) either. */
const FEATURES = bits(4, 8, 15, 19, 25, 26);
/** Family 15, the first of Intel's with 64 bits. */
const SIGNATURE = 0xf41;
/** CLFLUSH works on lines of 8 * 8 bytes; one logical processor in this package. */
const BRAND_INFO = (8 << 8) | (1 << 16);
/** Leaf 80000001H: LAHF in 64-bit mode (ECX); SYSCALL, no-execute pages, 64-bit mode (EDX). */
const EXTENDED_ECX = bits(0);
const EXTENDED_EDX = bits(11, 20, 29);
/** 48 bits of physical and linear address. */
const ADDRESS_SIZES = 0x3030;

const BRAND = 'Safepoint x86-64-v1'.padEnd(48, '\0');

const brandLeaf = (n: number): CpuidLeaf => {
  const word = (k: number): number => ascii(BRAND.slice(n * 16 + k * 4));
  return { leaf: 0x80000002 + n, eax: word(0), ebx: word(1), ecx: word(2), edx: word(3) };
};

/** Every leaf that is not all zeros. Intel's vendor string, because the undefined flags are Intel's. */
export const CPUID_LEAVES: readonly CpuidLeaf[] = [
  { leaf: 0, eax: 7, ebx: ascii('Genu'), ecx: ascii('ntel'), edx: ascii('ineI') },
  { leaf: 1, eax: SIGNATURE, ebx: BRAND_INFO, ecx: 0, edx: FEATURES },
  { leaf: 0x80000000, eax: 0x80000008, ebx: 0, ecx: 0, edx: 0 },
  { leaf: 0x80000001, eax: 0, ebx: 0, ecx: EXTENDED_ECX, edx: EXTENDED_EDX },
  brandLeaf(0),
  brandLeaf(1),
  brandLeaf(2),
  { leaf: 0x80000008, eax: ADDRESS_SIZES, ebx: 0, ecx: 0, edx: 0 },
];
