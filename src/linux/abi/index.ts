// GOARCH to ABI.

import type { Variant } from '../../../isa/dsl/variant.ts';
import type { Abi } from './abi.ts';
import { AMD64_ABI } from './amd64.ts';
import { mipsAbi } from './mips.ts';

/** The Linux ABI of a target. */
export const abiFor = (variant: Variant): Abi => (variant.goarch === 'amd64' ? AMD64_ABI : mipsAbi(variant));
