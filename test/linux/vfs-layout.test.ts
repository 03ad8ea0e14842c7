// Structures as the kernel's headers lay them out, byte for byte: arch/x86/include/uapi/asm/stat.h,
// arch/mips/include/uapi/asm/{stat,statfs}.h, include/linux/dirent.h, include/uapi/linux/eventpoll.h.

import { describe, expect, test } from 'vitest';
import type { Goarch } from '../../isa/index.ts';
import { Guest } from './guest.ts';

/** A file of five bytes in /tmp, and its inode number. */
function withFile(goarch: Goarch): { guest: Guest; ino: number; fd: number } {
  const guest = new Guest(goarch);
  const fd = guest.open('/tmp/f', guest.flags.CREAT | guest.flags.RDWR, 0o640);
  guest.write(fd, 'hello');
  const file = guest.vfs.file(fd);
  if (file.kind !== 'memory') throw new Error('not in memory');
  return { guest, fd, ino: file.inode.ino };
}

const hex = (value: number, bytes: number, big: boolean): string => {
  const text = value.toString(16).padStart(2 * bytes, '0');
  return big ? text : (text.match(/../g) ?? []).reverse().join('');
};

/** 2024-01-01T00:00:01Z: boot, and a second. */
const NOW = 1_704_067_201;

describe('struct stat', () => {
  test('of amd64 has 144 bytes', () => {
    const { guest, fd, ino } = withFile('amd64');
    const at = guest.buffer(160);
    guest.memory.write(at + 144, Uint8Array.of(0xaa));
    expect(guest.call('fstat', fd, at)).toBe(0);
    const u32 = (value: number): string => hex(value, 4, false);
    const u64 = (value: number): string => hex(value, 8, false);
    const time = u64(NOW) + u64(0);
    expect(guest.hex(at, 145)).toBe(
      [
        ...[u64(23), u64(ino), u64(1), u32(0o100640), u32(1000), u32(1000), u32(0), u64(0)],
        ...[u64(5), u64(4096), u64(8), time, time, time, u64(0), u64(0), u64(0), 'aa'],
      ].join(''),
    );
  });

  test.each([
    ['mips64', 'fstat', true],
    ['mips64le', 'fstat', false],
    ['mips', 'fstat64', true],
    ['mipsle', 'fstat64', false],
  ] as const)('of %s as %s fills it has 104 bytes', (goarch, name, big) => {
    const { guest, fd, ino } = withFile(goarch);
    const at = guest.buffer(112);
    guest.memory.write(at + 104, Uint8Array.of(0xaa));
    expect(guest.call(name, fd, at)).toBe(0);
    const u32 = (value: number): string => hex(value, 4, big);
    const u64 = (value: number): string => hex(value, 8, big);
    const time = u32(NOW) + u32(0);
    expect(guest.hex(at, 105)).toBe(
      [
        ...[u32(23), u32(0), u32(0), u32(0), u64(ino), u32(0o100640), u32(1), u32(1000), u32(1000), u32(0)],
        ...[u32(0), u32(0), u32(0), u64(5), time, time, time, u32(4096), u32(0), u64(8), 'aa'],
      ].join(''),
    );
  });

  test('of mips as stat fills it has 144 bytes', () => {
    const { guest, ino } = withFile('mips');
    const at = guest.buffer(160);
    guest.memory.write(at + 144, Uint8Array.of(0xaa));
    expect(guest.call('stat', '/tmp/f', at)).toBe(0);
    const u32 = (value: number): string => hex(value, 4, true);
    const time = u32(NOW) + u32(0);
    expect(guest.hex(at, 145)).toBe(
      [
        ...[u32(23), u32(0), u32(0), u32(0), u32(ino), u32(0o100640), u32(1), u32(1000), u32(1000), u32(0)],
        ...[u32(0), u32(0), u32(5), u32(0), time, time, time, u32(4096), u32(8), ...Array(14).fill(u32(0)), 'aa'],
      ].join(''),
    );
  });

  test('statx is the same everywhere but for the byte order', () => {
    const { guest, ino } = withFile('mips');
    const at = guest.buffer(256);
    expect(guest.call('statx', -100, '/tmp/f', 0, 0x7ff, at)).toBe(0);
    expect(guest.memory.readU32(at)).toBe(0x7ff);
    expect(guest.memory.readU16(at + 28)).toBe(0o100640);
    expect(guest.memory.readU64(at + 32)).toBe(BigInt(ino));
    expect(guest.memory.readU64(at + 40)).toBe(5n);
    expect(guest.memory.readU64(at + 112)).toBe(BigInt(NOW));
  });
});

describe('directory entries', () => {
  test.each([
    ['amd64', false],
    ['mips', true],
    ['mips64', true],
    ['mips64le', false],
  ] as const)('struct linux_dirent64 of %s', (goarch, big) => {
    const { guest, ino } = withFile(goarch);
    const dir = guest.open('/tmp');
    const at = guest.buffer(128);
    // `.` and `..` take 24 bytes each: 19, the name, its NUL, rounded up to 8.
    expect(guest.call('getdents64', dir, at, 128)).toBe(72);
    expect(guest.hex(at + 48, 24)).toBe(
      [hex(ino, 8, big), hex(3, 8, big), hex(24, 2, big), '08', '6600', '000000'].join(''),
    );
    expect(guest.call('getdents64', dir, at, 128)).toBe(0);
  });

  test('struct linux_dirent has the type in its last byte', () => {
    for (const [goarch, word, big] of [
      ['mips', 4, true],
      ['amd64', 8, false],
    ] as const) {
      const { guest, ino } = withFile(goarch);
      const dir = guest.open('/tmp');
      const at = guest.buffer(128);
      const length = (2 * word + 2 + 1 + 2 + word - 1) & -word;
      const dots = ((2 * word + 2 + 1 + 2 + word - 1) & -word) + ((2 * word + 2 + 2 + 2 + word - 1) & -word);
      expect(guest.call('getdents', dir, at, 128)).toBe(dots + length);
      const body = hex(ino, word, big) + hex(3, word, big) + hex(length, 2, big);
      expect(guest.hex(at + dots, length)).toBe(`${body}66${'00'.repeat(length - 2 * word - 2 - 2)}08`);
    }
  });

  test('a buffer that is too small for one entry is EINVAL, and nothing is lost', () => {
    const guest = new Guest('amd64');
    const dir = guest.open('/tmp');
    const at = guest.buffer(64);
    expect(guest.call('getdents64', dir, at, 23)).toBe('EINVAL');
    expect(guest.call('getdents64', dir, at, 24)).toBe(24);
    expect(guest.call('getdents64', dir, at, 24)).toBe(24);
    expect(guest.call('getdents64', dir, at, 24)).toBe(0);
  });
});

describe('struct epoll_event', () => {
  test.each([
    ['amd64', 12, 4, false],
    ['mips', 16, 8, true],
    ['mips64le', 16, 8, false],
  ] as const)('of %s has %i bytes', (goarch, size, dataAt, big) => {
    const guest = new Guest(goarch);
    const epoll = guest.number('epoll_create1', 0);
    for (const [i, data] of [0x11223344, 0x55667788].entries()) {
      const fd = guest.number('eventfd2', 1, 0);
      const event = guest.buffer(16);
      guest.memory.write(event, Buffer.from(hex(1, 4, big), 'hex'));
      guest.memory.write(event + dataAt, Buffer.from(hex(data, 8, big), 'hex'));
      expect(guest.call('epoll_ctl', epoll, 1, fd, event), `${i}`).toBe(0);
    }
    const at = guest.buffer(64);
    expect(guest.call('epoll_pwait', epoll, at, 4, 0, 0, 0)).toBe(2);
    const pad = '00'.repeat(dataAt - 4);
    const one = (data: number): string => hex(1, 4, big) + pad + hex(data, 8, big);
    expect(guest.hex(at, 2 * size)).toBe(one(0x11223344) + one(0x55667788));
  });
});

describe('numbers that MIPS has for itself', () => {
  test('open flags', () => {
    const guest = new Guest('mips');
    // O_CREAT 0x100, O_EXCL 0x400, O_APPEND 0x8, O_NONBLOCK 0x80, O_RDWR 2.
    const fd = guest.open('/tmp/f', 0x100 | 0x400 | 0x8 | 0x80 | 2);
    expect(guest.call('openat', -100, '/tmp/f', 0x100 | 0x400, 0)).toBe('EEXIST');
    expect(guest.call('fcntl64', fd, 3, 0)).toBe(0x8 | 0x80 | 2);
    guest.write(fd, 'one');
    expect(guest.call('lseek', fd, 0, 0)).toBe(0);
    guest.write(fd, 'two');
    expect(guest.call('lseek', fd, 0, 1)).toBe(6);
  });

  test('socket types are swapped', () => {
    const guest = new Guest('mips');
    const at = guest.buffer(8);
    const length = guest.buffer(4);
    const stream = guest.number('socket', 2, 2, 0);
    guest.memory.writeU32(length, 4);
    // SOL_SOCKET 0xffff, SO_TYPE 0x1008.
    expect(guest.call('getsockopt', stream, 0xffff, 0x1008, at, length)).toBe(0);
    expect(guest.memory.readU32(at)).toBe(2);
    expect(guest.call('listen', stream, 5)).toBe(0);
    expect(guest.call('listen', guest.number('socket', 2, 1, 0), 5)).toBe('EOPNOTSUPP');
  });

  test('struct statfs has the free counts after the block count', () => {
    const guest = new Guest('mips64');
    const at = guest.buffer(160);
    expect(guest.call('statfs', '/tmp', at)).toBe(0);
    expect(guest.memory.readU64(at)).toBe(0x01021994n);
    expect(guest.memory.readU64(at + 8)).toBe(4096n);
    expect(guest.memory.readU64(at + 16)).toBe(4096n);
    expect(guest.memory.readU64(at + 56)).toBe(131072n);
    expect(guest.memory.readU64(at + 72)).toBe(255n);
  });
});
