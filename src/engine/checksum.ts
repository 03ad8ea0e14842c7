// By what bytes are told from others.

import { crc32 } from 'node:zlib';

/** CRC-32 of bytes, behind others of a checksum. */
export const checksum = (bytes: Uint8Array, before = 0): number => crc32(bytes, before);
