import { describe, expect, test } from 'vitest';
import type { Goarch } from '../../isa/index.ts';
import { ArgumentBits } from '../../src/linux/abi/convert.ts';
import type { Wait } from '../../src/linux/call.ts';
import { inputOf } from '../../src/linux/vfs/streams.ts';
import { BASE, Guest } from './guest.ts';

const IN = 1;
const OUT = 4;
const ERR = 8;
const HUP = 0x10;
const RDHUP = 0x2000;
const ET = 0x8000_0000;
const ONESHOT = 0x4000_0000;

function pipe(guest: Guest, flags = 0): [number, number] {
  const at = guest.buffer(8);
  expect(guest.call('pipe2', at, flags)).toBe(0);
  return [guest.memory.readU32(at), guest.memory.readU32(at + 4)];
}

/** An epoll set with a few helpers; the data of an event is its descriptor. */
function epoll(guest: Guest) {
  const fd = guest.number('epoll_create1', 0);
  const packed = !guest.kernel.abi.mips;
  const ctl = (operation: number, target: number, events: number) => {
    const at = guest.buffer(16);
    guest.memory.writeU32(at, events);
    guest.memory.writeU64(at + (packed ? 4 : 8), BigInt(target));
    return guest.call('epoll_ctl', fd, operation, target, at);
  };
  const wait = (max = 16): [fd: number, events: number][] => {
    const at = guest.buffer(16 * max);
    const count = guest.number('epoll_pwait', fd, at, max, 0, 0, 0);
    const size = packed ? 12 : 16;
    return Array.from({ length: count }, (_, i) => [
      Number(guest.memory.readU64(at + i * size + (packed ? 4 : 8))),
      guest.memory.readU32(at + i * size),
    ]);
  };
  return {
    fd,
    add: (t: number, e: number) => ctl(1, t, e),
    del: (t: number) => ctl(2, t, 0),
    mod: (t: number, e: number) => ctl(3, t, e),
    wait,
  };
}

const isWait = (result: unknown): result is Wait => typeof result === 'object' && result !== null && 'keys' in result;

describe('a pipe', () => {
  test('passes bytes, then end of file', () => {
    const guest = new Guest('amd64');
    const [r, w] = pipe(guest);
    expect(guest.write(w, 'hello')).toBe(5);
    expect(guest.read(r, 2)).toBe('he');
    expect(guest.call('close', w)).toBe(0);
    expect(guest.read(r)).toBe('llo');
    expect(guest.read(r)).toBe('');
  });

  test('makes the reader wait, or gives EAGAIN', () => {
    const guest = new Guest('mips');
    const [r] = pipe(guest);
    const result = guest.call('read', r, BASE, 1);
    expect(isWait(result)).toBe(true);
    expect(guest.again('read', [r, BASE, 1], 'signal', result as Wait)).toBe('ERESTARTSYS');
    expect(guest.call('fcntl64', r, 4, guest.flags.NONBLOCK)).toBe(0);
    expect(guest.call('read', r, BASE, 1)).toBe('EAGAIN');
  });

  test('takes a large write in pieces, and goes on where it stopped', () => {
    const guest = new Guest('amd64');
    const [r, w] = pipe(guest);
    const args = [w, BASE, 100_000];
    guest.memory.write(BASE + 65536, Uint8Array.of(7));
    const first = guest.call('write', ...(args as [number, number, number]));
    expect(first).toMatchObject({ saved: 65536 });
    expect(guest.again('write', args, 'signal', first as Wait)).toBe(65536);
    guest.call('read', r, BASE + 0x80000, 65536);
    expect(guest.again('write', args, 'woken', first as Wait)).toBe(100_000);
    expect(guest.read(r, 1)).toBe('\x07');
  });

  test('writes at most PIPE_BUF whole or not at all', () => {
    const guest = new Guest('amd64');
    const [r, w] = pipe(guest, guest.flags.NONBLOCK);
    expect(guest.call('write', w, BASE, 65536 - 10)).toBe(65526);
    expect(guest.call('write', w, BASE, 11)).toBe('EAGAIN');
    expect(guest.call('write', w, BASE, 5000)).toBe(10);
    guest.read(r, 4096);
    expect(guest.call('write', w, BASE, 11)).toBe(11);
  });

  test('without readers is EPIPE, and SIGPIPE goes to the thread', () => {
    const guest = new Guest('mips64');
    guest.kernel.signals.setAction(13, { ...guest.kernel.signals.action(13), handler: 0x1000 });
    const [r, w] = pipe(guest);
    guest.call('close', r);
    expect(guest.write(w, 'x')).toBe('EPIPE');
    expect(guest.task.pending.map((info) => info.signal)).toEqual([13]);
  });

  test('on MIPS gives its second descriptor as the second result', () => {
    const guest = new Guest('mips');
    expect(guest.call('pipe', 0)).toBe(3);
    expect(guest.write(4, 'x')).toBe(1);
  });
});

describe('epoll', () => {
  test('reports a level as long as it lasts, an edge once', () => {
    const guest = new Guest('amd64');
    const [r, w] = pipe(guest);
    const [r2, w2] = pipe(guest);
    const set = epoll(guest);
    set.add(r, IN);
    set.add(r2, (IN | ET) >>> 0);
    expect(set.wait()).toEqual([]);
    guest.write(w, 'a');
    guest.write(w2, 'b');
    expect(set.wait()).toEqual([
      [r, IN],
      [r2, IN],
    ]);
    expect(set.wait()).toEqual([[r, IN]]);
    guest.write(w2, 'c');
    expect(set.wait()).toEqual([
      [r, IN],
      [r2, IN],
    ]);
    guest.read(r);
    expect(set.wait()).toEqual([]);
  });

  test('reports in the order in which things happened, and takes turns', () => {
    const guest = new Guest('amd64');
    const pairs = [pipe(guest), pipe(guest), pipe(guest)];
    const set = epoll(guest);
    for (const [r] of pairs) set.add(r, IN);
    for (const i of [2, 0, 1]) guest.write(pairs[i]![1], 'x');
    const order = [2, 0, 1].map((i) => pairs[i]![0]);
    expect(set.wait(1)).toEqual([[order[0], IN]]);
    expect(set.wait(2)).toEqual([
      [order[1], IN],
      [order[2], IN],
    ]);
    expect(set.wait(1)).toEqual([[order[0], IN]]);
  });

  test('disarms a one-shot until it is modified', () => {
    const guest = new Guest('amd64');
    const [r, w] = pipe(guest);
    const set = epoll(guest);
    set.add(r, (IN | ONESHOT) >>> 0);
    guest.write(w, 'a');
    expect(set.wait()).toEqual([[r, IN]]);
    guest.write(w, 'b');
    expect(set.wait()).toEqual([]);
    expect(set.mod(r, (IN | ONESHOT) >>> 0)).toBe(0);
    expect(set.wait()).toEqual([[r, IN]]);
  });

  test('reports hang-up and error unasked', () => {
    const guest = new Guest('amd64');
    const [r, w] = pipe(guest);
    const [r2, w2] = pipe(guest);
    const set = epoll(guest);
    set.add(r, ET);
    set.add(w2, ET);
    guest.call('close', w);
    guest.call('close', r2);
    expect(set.wait()).toEqual([
      [r, HUP],
      [w2, ERR],
    ]);
  });

  test('forgets a file with its last descriptor, not before', () => {
    const guest = new Guest('amd64');
    const [r, w] = pipe(guest);
    const set = epoll(guest);
    set.add(r, IN);
    const copy = guest.number('dup', r);
    guest.call('close', r);
    guest.write(w, 'a');
    expect(set.wait()).toEqual([[r, IN]]);
    guest.call('close', copy);
    expect(set.wait()).toEqual([]);
  });

  test('refuses regular files, itself, and what it has already', () => {
    const guest = new Guest('amd64');
    const set = epoll(guest);
    const [r] = pipe(guest);
    expect(set.add(guest.open('/tmp/f', 0o102), IN)).toBe('EPERM');
    expect(set.add(set.fd, IN)).toBe('EINVAL');
    expect(set.add(r, IN)).toBe(0);
    expect(set.add(r, IN)).toBe('EEXIST');
    expect(set.del(r)).toBe(0);
    expect(set.del(r)).toBe('ENOENT');
    expect(set.mod(r, IN)).toBe('ENOENT');
    const other = epoll(guest);
    expect(set.add(other.fd, IN)).toBe(0);
    expect(other.add(set.fd, IN)).toBe('ELOOP');
  });

  test('waits until its deadline, and is woken by what it watches', () => {
    const guest = new Guest('amd64');
    const set = epoll(guest);
    const event = guest.number('eventfd2', 0, guest.flags.NONBLOCK);
    set.add(event, IN);
    const args = [set.fd, BASE, 4, 10, 0, 0];
    const result = guest.again('epoll_pwait', args, 'first', undefined) as Wait;
    expect(result.deadline - guest.kernel.clock.now()).toBe(10_000_000);
    guest.task.blocked = { name: 'epoll_pwait', args, raw: new ArgumentBits(), wait: result, sequence: 1 };
    guest.memory.writeU64(BASE + 64, 5n);
    expect(guest.call('write', event, BASE + 64, 8)).toBe(8);
    expect(guest.task.wake).toBe('woken');
    expect(guest.again('epoll_pwait', args, 'woken', result)).toBe(1);
    guest.call('read', event, BASE + 64, 8);
    expect(guest.memory.readU64(BASE + 64)).toBe(5n);
    guest.kernel.clock.skipTo(result.deadline);
    expect(guest.again('epoll_pwait', args, 'timeout', result)).toBe(0);
  });

  test('sees a timerfd expire, in guest time', () => {
    const guest = new Guest('amd64');
    const timer = guest.number('timerfd_create', 1, guest.flags.NONBLOCK);
    const set = epoll(guest);
    set.add(timer, IN);
    // An interval of 1 ms, first after 2 ms.
    for (const [i, value] of [0n, 1_000_000n, 0n, 2_000_000n].entries()) guest.memory.writeU64(BASE + 8 * i, value);
    expect(guest.call('timerfd_settime', timer, 0, BASE, 0)).toBe(0);
    expect(guest.call('read', timer, BASE, 8)).toBe('EAGAIN');
    const wait = guest.call('epoll_pwait', set.fd, BASE + 64, 4, -1, 0, 0) as Wait;
    expect(wait.deadline - guest.kernel.clock.now()).toBe(2_000_000);
    guest.kernel.clock.skipTo(wait.deadline + 3_500_000);
    expect(set.wait()).toEqual([[timer, IN]]);
    expect(guest.call('read', timer, BASE, 8)).toBe(8);
    expect(guest.memory.readU64(BASE)).toBe(4n);
  });

  test('is part of a snapshot', () => {
    const guest = new Guest('amd64');
    const [r, w] = pipe(guest);
    const set = epoll(guest);
    set.add(r, (IN | ET) >>> 0);
    guest.write(w, 'a');
    const saved = guest.vfs.save();
    for (let round = 0; round < 2; round++) {
      expect(set.wait()).toEqual([[r, IN]]);
      expect(set.wait()).toEqual([]);
      guest.vfs.restore(saved);
    }
  });
});

describe('poll and select', () => {
  test('poll reports each descriptor and counts those that are ready', () => {
    const guest = new Guest('mips');
    const [r, w] = pipe(guest);
    const at = guest.buffer(32);
    for (const [i, [fd, events]] of (
      [
        [r, IN],
        [w, OUT],
        [99, IN],
        [-1, IN],
      ] as const
    ).entries()) {
      guest.memory.writeU32(at + 8 * i, fd >>> 0);
      guest.memory.writeU16(at + 8 * i + 4, events);
    }
    expect(guest.call('poll', at, 4, 0)).toBe(2);
    expect([0, 1, 2, 3].map((i) => guest.memory.readU16(at + 8 * i + 6))).toEqual([0, OUT, 0x20, 0]);
  });

  test.each(['mips', 'mips64', 'amd64'] as const)('select on %s uses words in the guest order', (goarch) => {
    const guest = new Guest(goarch);
    const [r, w] = pipe(guest);
    guest.write(w, 'x');
    const read = guest.buffer(16);
    const write = guest.buffer(16);
    const word = guest.kernel.abi.word;
    const set = (at: number, bits: bigint): void =>
      word === 8 ? guest.memory.writeU64(at, bits) : guest.memory.writeU32(at, Number(bits));
    const get = (at: number): bigint => (word === 8 ? guest.memory.readU64(at) : BigInt(guest.memory.readU32(at)));
    set(read, (1n << BigInt(r)) | 1n);
    set(write, 1n << BigInt(w));
    expect(guest.call('pselect6', w + 1, read, write, 0, 0, 0)).toBe(3);
    expect(get(read)).toBe((1n << BigInt(r)) | 1n);
    expect(get(write)).toBe(1n << BigInt(w));
  });
});

describe('standard streams', () => {
  test('read what they are given and collect what is written', () => {
    const guest = new Guest('amd64', { input: inputOf(Buffer.from('line one\nline two\n')) });
    expect(guest.read(0, 9)).toBe('line one\n');
    const saved = guest.vfs.save();
    expect(guest.read(0)).toBe('line two\n');
    expect(guest.read(0)).toBe('');
    guest.vfs.restore(saved);
    expect(guest.read(0)).toBe('line two\n');
    guest.write(1, 'out');
    guest.write(2, 'err');
    expect([guest.output.text(1), guest.output.text(2)]).toEqual(['out', 'err']);
    expect(guest.call('ioctl', 1, 0x5401, BASE)).toBe('ENOTTY');
  });
});

/** struct sockaddr_in. */
function sockaddr(guest: Guest, host: readonly number[], port: number): number {
  const at = guest.buffer(16);
  guest.memory.writeU16(at, 2);
  guest.memory.write(at + 2, Uint8Array.of(port >>> 8, port & 0xff, ...host));
  return at;
}

describe.each(['amd64', 'mips', 'mips64le'] as const)('the loopback network on %s', (goarch: Goarch) => {
  const LOCAL = [127, 0, 0, 1];
  const stream = (guest: Guest): number => (guest.kernel.abi.mips ? 2 : 1) | guest.flags.NONBLOCK;

  test('connects, carries bytes both ways, and closes', () => {
    const guest = new Guest(goarch);
    const listener = guest.number('socket', 2, stream(guest), 0);
    expect(guest.call('bind', listener, sockaddr(guest, LOCAL, 0), 16)).toBe(0);
    expect(guest.call('listen', listener, 128)).toBe(0);
    const name = guest.buffer(16);
    const length = guest.buffer(4);
    guest.memory.writeU32(length, 16);
    expect(guest.call('getsockname', listener, name, length)).toBe(0);
    expect(guest.memory.readU16(name)).toBe(2);
    const bytes = guest.memory.read(name, 16);
    const port = (bytes[2]! << 8) | bytes[3]!;
    expect(port).toBe(32768);
    expect([...bytes.slice(4, 8)]).toEqual(LOCAL);

    const set = epoll(guest);
    set.add(listener, (IN | ET) >>> 0);
    const client = guest.number('socket', 2, stream(guest), 0);
    expect(guest.call('connect', client, sockaddr(guest, LOCAL, port), 16)).toBe('EINPROGRESS');
    expect(set.wait()).toEqual([[listener, IN]]);
    const server = guest.number('accept4', listener, 0, 0, guest.flags.NONBLOCK);
    expect(guest.call('accept4', listener, 0, 0, 0)).toBe('EAGAIN');
    set.add(server, (IN | OUT | RDHUP | ET) >>> 0);
    expect(set.wait()).toEqual([[server, OUT]]);
    expect(guest.write(client, 'ping')).toBe(4);
    expect(set.wait()).toEqual([[server, IN | OUT]]);
    expect(guest.read(server)).toBe('ping');
    expect(guest.read(server)).toEqual({ result: 'EAGAIN' });
    expect(guest.write(server, 'pong')).toBe(4);
    expect(guest.read(client)).toBe('pong');
    expect(guest.call('shutdown', client, 1)).toBe(0);
    expect(set.wait()[0]![1] & RDHUP).toBe(RDHUP);
    expect(guest.read(server)).toBe('');
    expect(guest.write(server, 'last')).toBe(4);
    expect(guest.read(client)).toBe('last');
    guest.call('close', server);
    expect(guest.read(client)).toBe('');
  });

  test('refuses where nobody listens, and knows no other host', () => {
    const guest = new Guest(goarch);
    const type = guest.kernel.abi.mips ? 2 : 1;
    expect(guest.call('connect', guest.number('socket', 2, type, 0), sockaddr(guest, LOCAL, 9), 16)).toBe(
      'ECONNREFUSED',
    );
    const fd = guest.number('socket', 2, type, 0);
    expect(guest.call('connect', fd, sockaddr(guest, [93, 184, 215, 14], 80), 16)).toBe('ENETUNREACH');
    expect(guest.call('bind', fd, sockaddr(guest, [10, 0, 0, 1], 80), 16)).toBe('EADDRNOTAVAIL');
    expect(guest.call('socket', 16, 3, 0)).toBe('EAFNOSUPPORT');
  });

  test('closing with unread data resets the peer', () => {
    const guest = new Guest(goarch);
    const at = guest.buffer(8);
    const type = guest.kernel.abi.mips ? 2 : 1;
    expect(guest.call('socketpair', 1, type, 0, at)).toBe(0);
    const [a, b] = [guest.memory.readU32(at), guest.memory.readU32(at + 4)];
    guest.write(a, 'unread');
    guest.call('close', b);
    expect(guest.read(a)).toEqual({ result: 'ECONNRESET' });
    expect(guest.read(a)).toBe('');
  });
});
