// Sockets on the in-memory network. There is no way from here to the host's.

import { CallError, type ErrnoName } from '../abi/errno.ts';
import { MSGHDR, openFlags } from '../abi/files.ts';
import type { Call, Result, Row } from '../call.ts';
import { refused, row } from '../call.ts';
import { O_CLOEXEC, O_NONBLOCK, O_RDWR, type OpenFile, type SocketFile } from '../vfs/file.ts';
import { makeSocketName } from '../vfs/names.ts';
import {
  type Address,
  accept,
  bindInternet,
  bindUnix,
  connectInternet,
  connectUnix,
  type Family,
  listen,
  makePair,
  makeSocket,
  type Received,
  receive,
  type Socket,
  type SocketType,
  send,
  shutdown,
  takeError,
  unnamed,
} from '../vfs/socket.ts';
import type { Vfs } from '../vfs/vfs.ts';
import { resolveExisting } from '../vfs/walk.ts';
import {
  byteString,
  bytesOfString,
  filesOf,
  gather,
  lengthOf,
  notReady,
  type Segment,
  scatter,
  segmentsAt,
  withSigpipe,
} from './files.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const FAMILIES: Readonly<Record<Family, number>> = { unix: AF_UNIX, inet: AF_INET, inet6: AF_INET6 };

/** Socket types [generic, MIPS]: MIPS swaps the first two (arch/mips/include/asm/socket.h). */
const TYPES: readonly (readonly [type: SocketType, generic: number, mips: number])[] = [
  ['stream', 1, 2],
  ['dgram', 2, 1],
  ['seqpacket', 5, 5],
];
const SOCK_TYPE_MASK = 0xf;

const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

const MSG_PEEK = 0x2;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_WAITALL = 0x100;
const MSG_NOSIGNAL = 0x4000;

/** Options at SOL_SOCKET [generic, MIPS] (asm-generic/socket.h; arch/mips/include/uapi/asm/socket.h). */
const SOL_SOCKET = [1, 0xffff] as const;
const OPTIONS = {
  SO_REUSEADDR: [2, 0x0004],
  SO_TYPE: [3, 0x1008],
  SO_ERROR: [4, 0x1007],
  SO_SNDBUF: [7, 0x1001],
  SO_RCVBUF: [8, 0x1002],
  SO_REUSEPORT: [15, 0x0200],
  SO_PEERCRED: [17, 18],
  SO_ACCEPTCONN: [30, 0x1009],
  SO_PROTOCOL: [38, 0x1028],
  SO_DOMAIN: [39, 0x1029],
} as const satisfies Readonly<Record<string, readonly [generic: number, mips: number]>>;
type OptionName = keyof typeof OPTIONS;

const column = (call: Call): 0 | 1 => (call.abi.mips ? 1 : 0);

function optionName(call: Call, level: number, option: number): OptionName | undefined {
  if (level !== SOL_SOCKET[column(call)]) return undefined;
  return (Object.keys(OPTIONS) as OptionName[]).find((name) => OPTIONS[name][column(call)] === option);
}

/** @throws CallError EBADF, ENOTSOCK */
function socketFile(vfs: Vfs, fd: number): SocketFile {
  const file = vfs.file(fd);
  if (file.kind !== 'socket') throw new CallError('ENOTSOCK');
  return file;
}

function describe(vfs: Vfs, socket: Socket, flags: number): OpenFile {
  return {
    kind: 'socket',
    socket,
    refs: 0,
    flags: O_RDWR | (flags & O_NONBLOCK),
    ino: vfs.newIno(),
    wait: socket.wait,
  };
}

interface Kind {
  readonly family: Family;
  readonly type: SocketType;
  /** Generic O_NONBLOCK and O_CLOEXEC. */
  readonly flags: number;
}

/** @throws CallError EAFNOSUPPORT, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EINVAL */
function kindOf(call: Call): Kind {
  const [domain, guestType, protocol] = call.args as [number, number, number];
  const flags = openFlags(call.abi, guestType & ~SOCK_TYPE_MASK);
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) throw new CallError('EINVAL');
  const family = (Object.keys(FAMILIES) as Family[]).find((name) => FAMILIES[name] === domain);
  if (family === undefined) throw new CallError('EAFNOSUPPORT');
  const type = TYPES.find((each) => each[1 + column(call)] === (guestType & SOCK_TYPE_MASK))?.[0];
  if (type === undefined || (family !== 'unix' && type === 'seqpacket')) throw new CallError('ESOCKTNOSUPPORT');
  if (family === 'unix' ? protocol > 1 : protocol !== 0 && protocol !== (type === 'stream' ? IPPROTO_TCP : IPPROTO_UDP))
    throw new CallError('EPROTONOSUPPORT');
  return { family, type, flags };
}

function socketCall(call: Call): Result {
  const { family, type, flags } = kindOf(call);
  const vfs = filesOf(call);
  const socket = makeSocket(vfs.state.network, family, type);
  return vfs.install(describe(vfs, socket, flags), (flags & O_CLOEXEC) !== 0);
}

function socketpair(call: Call): Result {
  const { family, type, flags } = kindOf(call);
  if (family !== 'unix') return 'EOPNOTSUPP';
  const vfs = filesOf(call);
  const at = call.args[3]!;
  const [a, b] = makePair(vfs.state.network, type);
  const first = vfs.install(describe(vfs, a, flags), (flags & O_CLOEXEC) !== 0);
  const second = vfs.install(describe(vfs, b, flags), (flags & O_CLOEXEC) !== 0);
  call.memory.writeU32(at, first);
  call.memory.writeU32(at + 4, second);
  return 0;
}

// Addresses: the family in the guest's byte order, the port in network order.

const SOCKADDR_MAX = 128;

/** An address from the guest. @throws CallError EINVAL, EAFNOSUPPORT */
function addressAt(call: Call, socket: Socket, at: number, length: number): Address {
  if (length < 2 || length > SOCKADDR_MAX) throw new CallError('EINVAL');
  const bytes = call.memory.read(at, length);
  const family = call.memory.readU16(at);
  if (socket.family === 'unix') {
    if (family !== AF_UNIX) throw new CallError('EINVAL');
    const path = byteString(bytes.subarray(2));
    // A path ends at its NUL; an abstract name, which begins with one, at the length.
    const end = path.indexOf('\0');
    return { family: 'unix', host: path.startsWith('\0') || end < 0 ? path : path.slice(0, end), port: 0 };
  }
  if (socket.family === 'inet6' && family === AF_INET6) {
    if (length < 24) throw new CallError('EINVAL');
    return { family: 'inet6', host: byteString(bytes.subarray(8, 24)), port: (bytes[2]! << 8) | bytes[3]! };
  }
  if (length < (socket.family === 'inet6' ? 24 : 16)) throw new CallError('EINVAL');
  if (socket.family !== 'inet' || (family !== AF_INET && family !== 0)) throw new CallError('EAFNOSUPPORT');
  return { family: 'inet', host: byteString(bytes.subarray(4, 8)), port: (bytes[2]! << 8) | bytes[3]! };
}

/** struct sockaddr_un, sockaddr_in or sockaddr_in6. */
function encode(call: Call, address: Address): Uint8Array {
  const family = FAMILIES[address.family];
  const head = call.abi.bigEndian ? [0, family] : [family, 0];
  if (address.family === 'unix') {
    const path = address.host === '' || address.host.startsWith('\0') ? address.host : `${address.host}\0`;
    return Uint8Array.from([...head, ...bytesOfString(path)]);
  }
  const port = [address.port >>> 8, address.port & 0xff];
  const host = bytesOfString(address.host);
  if (address.family === 'inet') return Uint8Array.from([...head, ...port, ...host, ...new Uint8Array(8)]);
  return Uint8Array.from([...head, ...port, 0, 0, 0, 0, ...host, 0, 0, 0, 0]);
}

/** Stores an address and its true length where the guest asked for it. (move_addr_to_user) */
function putAddress(call: Call, address: Address, at: number, lengthAt: number): void {
  if (at === 0) return;
  const bytes = encode(call, address);
  const room = call.memory.readU32(lengthAt) | 0;
  if (room < 0) throw new CallError('EINVAL');
  call.memory.write(at, bytes.subarray(0, room));
  call.memory.writeU32(lengthAt, bytes.length);
}

/** How the network knows an AF_UNIX address. @throws CallError ECONNREFUSED where the path is no socket */
function unixName(vfs: Vfs, address: Address): number | string {
  if (address.host.startsWith('\0')) return address.host;
  const inode = resolveExisting(vfs, vfs.state.cwd, address.host, true);
  if (inode.kind !== 'socket-name') throw new CallError('ECONNREFUSED');
  return inode.ino;
}

function bind(call: Call): Result {
  const [fd, at, length] = call.args as [number, number, number];
  const vfs = filesOf(call);
  const { socket } = socketFile(vfs, fd);
  const { network } = vfs.state;
  const address = addressAt(call, socket, at, length);
  if (address.family !== 'unix') bindInternet(network, socket, address);
  else if (socket.state !== 'new') return 'EINVAL';
  else if (address.host === '' || address.host.startsWith('\0')) bindUnix(network, socket, address.host, address.host);
  else bindUnix(network, socket, makeSocketName(vfs, vfs.state.cwd, address.host), address.host);
  return 0;
}

function listenCall(call: Call): Result {
  const vfs = filesOf(call);
  listen(vfs.state.network, socketFile(vfs, call.args[0]!).socket);
  return 0;
}

function acceptCall(call: Call, guestFlags: number): Result {
  const [fd, at, lengthAt] = call.args as [number, number, number];
  const flags = openFlags(call.abi, guestFlags);
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return 'EINVAL';
  const vfs = filesOf(call);
  const file = socketFile(vfs, fd);
  const connection = accept(file.socket);
  if (connection === undefined) return notReady(call, vfs, file);
  const fresh = vfs.install(describe(vfs, connection, flags), (flags & O_CLOEXEC) !== 0);
  putAddress(call, connection.remote ?? unnamed(connection.family), at, lengthAt);
  return fresh;
}

/** AF_UNSPEC: a datagram socket forgets its peer. */
const AF_UNSPEC = 0;

function connect(call: Call): Result {
  const [fd, at, length] = call.args as [number, number, number];
  const vfs = filesOf(call);
  const file = socketFile(vfs, fd);
  const { socket } = file;
  const { network } = vfs.state;
  if (length >= 2 && socket.type === 'dgram' && call.memory.readU16(at) === AF_UNSPEC) {
    socket.remote = socket.peer = undefined;
    socket.state = socket.local.port !== 0 ? 'bound' : 'new';
    return 0;
  }
  const address = addressAt(call, socket, at, length);
  if (address.family === 'unix') {
    connectUnix(network, socket, unixName(vfs, address), address.host, vfs.notify);
    return 0;
  }
  connectInternet(network, socket, address, vfs.notify);
  if (socket.type !== 'stream') return 0;
  // The answer is there already; a program that does not wait learns of it by poll and SO_ERROR, as on Linux.
  if ((file.flags & O_NONBLOCK) !== 0) return 'EINPROGRESS';
  const error = takeError(socket);
  if (error === '') return 0;
  socket.ended = socket.shutWrite = false;
  return error;
}

function nameCall(call: Call, peer: boolean): Result {
  const [fd, at, lengthAt] = call.args as [number, number, number];
  const { socket } = socketFile(filesOf(call), fd);
  const address = peer ? (socket.state === 'connected' ? socket.remote : undefined) : socket.local;
  if (address === undefined) return 'ENOTCONN';
  putAddress(call, address, at, lengthAt);
  return 0;
}

const HOW = ['read', 'write', 'both'] as const;

function shutdownCall(call: Call): Result {
  const vfs = filesOf(call);
  const { socket } = socketFile(vfs, call.args[0]!);
  const how = HOW[call.args[1]!];
  if (how === undefined) return 'EINVAL';
  shutdown(socket, how, vfs.notify);
  return 0;
}

// Options

/** Linux doubles what it is told, for its own bookkeeping, and has a least size (sock_setsockopt). */
const BUFFER_MIN = 2304;
const BUFFER_MAX = 425_984;

function setsockopt(call: Call): Result {
  const [fd, level, option, at, length] = call.args as [number, number, number, number, number];
  const { socket } = socketFile(filesOf(call), fd);
  if (length > 4096) return 'EINVAL';
  const name = optionName(call, level, option);
  const value = (): number => {
    if (length < 4) throw new CallError('EINVAL');
    return call.memory.readU32(at) | 0;
  };
  switch (name) {
    case 'SO_TYPE':
    case 'SO_ERROR':
    case 'SO_DOMAIN':
    case 'SO_PROTOCOL':
    case 'SO_ACCEPTCONN':
    case 'SO_PEERCRED':
      return 'ENOPROTOOPT';
    case 'SO_REUSEADDR':
      socket.reuseAddress = value() !== 0;
      return 0;
    case 'SO_REUSEPORT':
      socket.reusePort = value() !== 0;
      return 0;
    case 'SO_RCVBUF':
      socket.capacity = Math.min(BUFFER_MAX, Math.max(BUFFER_MIN, value() * 2));
      return 0;
  }
  if (level === IPPROTO_IPV6 && socket.family !== 'inet6') return 'ENOPROTOOPT';
  if (level === IPPROTO_TCP && (socket.family === 'unix' || socket.type !== 'stream')) return 'ENOPROTOOPT';
  if (level === IPPROTO_IP && socket.family === 'unix') return 'EOPNOTSUPP';
  if (level === IPPROTO_IPV6 && option === IPV6_V6ONLY) {
    if (socket.state !== 'new') return 'EINVAL';
    socket.v6only = value() !== 0;
    return 0;
  }
  // Everything else has no effect here; what was set can be read back.
  socket.options.set(`${level}:${option}`, call.memory.read(at, length));
  return 0;
}

function getsockopt(call: Call): Result {
  const [fd, level, option, at, lengthAt] = call.args as [number, number, number, number, number];
  const { socket } = socketFile(filesOf(call), fd);
  const room = call.memory.readU32(lengthAt) | 0;
  if (room < 0) return 'EINVAL';
  const answer = (bytes: Uint8Array): Result => {
    const part = bytes.subarray(0, room);
    call.memory.write(at, part);
    call.memory.writeU32(lengthAt, part.length);
    return 0;
  };
  const words = (...values: readonly number[]): Result => {
    const bytes = new Uint8Array(4 * values.length);
    const view = new DataView(bytes.buffer);
    for (const [i, value] of values.entries()) view.setUint32(4 * i, value, !call.abi.bigEndian);
    return answer(bytes);
  };
  switch (optionName(call, level, option)) {
    case 'SO_TYPE':
      return words(TYPES.find(([type]) => type === socket.type)![1 + column(call)] as number);
    case 'SO_ERROR': {
      const error = takeError(socket);
      return words(error === '' ? 0 : call.abi.errno(error));
    }
    case 'SO_DOMAIN':
      return words(FAMILIES[socket.family]);
    case 'SO_PROTOCOL':
      return words(socket.family === 'unix' ? 0 : socket.type === 'stream' ? IPPROTO_TCP : IPPROTO_UDP);
    case 'SO_ACCEPTCONN':
      return words(socket.state === 'listening' ? 1 : 0);
    case 'SO_REUSEADDR':
      return words(socket.reuseAddress ? 1 : 0);
    case 'SO_REUSEPORT':
      return words(socket.reusePort ? 1 : 0);
    case 'SO_RCVBUF':
      return words(socket.capacity);
    case 'SO_PEERCRED': {
      const { pid, uid, gid } = call.kernel.identity;
      return words(pid, uid, gid);
    }
  }
  if (level === IPPROTO_IPV6 && option === IPV6_V6ONLY) return words(socket.v6only ? 1 : 0);
  const kept = socket.options.get(`${level}:${option}`);
  return kept === undefined ? words(optionDefault(call, level, option, socket)) : answer(kept);
}

function optionDefault(call: Call, level: number, option: number, socket: Socket): number {
  return optionName(call, level, option) === 'SO_SNDBUF' ? socket.capacity : 0;
}

// Sending and receiving

interface Destination {
  readonly at: number;
  readonly length: number;
}

function sendTo(call: Call, fd: number, segments: readonly Segment[], flags: number, to?: Destination): Result {
  const vfs = filesOf(call);
  const file = socketFile(vfs, fd);
  const { socket } = file;
  const { network } = vfs.state;
  const total = lengthOf(segments);
  let address: Address | undefined;
  let name: number | string | undefined;
  if (to !== undefined && to.at !== 0 && socket.type === 'dgram') {
    address = addressAt(call, socket, to.at, to.length);
    if (address.family === 'unix') name = unixName(vfs, address);
  }
  let done = typeof call.saved === 'number' ? call.saved : 0;
  const bytes = gather(call, segments, done, total - done);
  return withSigpipe(call, (flags & MSG_NOSIGNAL) !== 0 || socket.type === 'dgram', () => {
    for (;;) {
      let sent: number | undefined;
      try {
        sent = send(network, socket, bytes.subarray(bytes.length - (total - done)), address, name, vfs.notify);
      } catch (error) {
        if (done > 0 && error instanceof CallError) return done;
        throw error;
      }
      if (sent !== undefined) {
        done += sent;
        if (done >= total) return done;
        continue;
      }
      const result = waitOrAgain(call, vfs, file, flags, done);
      return done > 0 && typeof result === 'string' ? done : result;
    }
  });
}

function waitOrAgain(call: Call, vfs: Vfs, file: OpenFile, flags: number, saved?: unknown): Result {
  if ((flags & MSG_DONTWAIT) !== 0) return 'EAGAIN';
  return notReady(call, vfs, file, saved);
}

type ReceivedFrom = (received: Received) => Result;

function receiveFrom(call: Call, fd: number, segments: readonly Segment[], flags: number, then: ReceivedFrom): Result {
  const vfs = filesOf(call);
  const file = socketFile(vfs, fd);
  const { socket } = file;
  const wanted = lengthOf(segments);
  const peek = (flags & MSG_PEEK) !== 0;
  // MSG_WAITALL: wait until there is as much as was asked for, if it can ever be there.
  const short =
    (flags & MSG_WAITALL) !== 0 &&
    socket.type === 'stream' &&
    socket.received.length < Math.min(wanted, socket.capacity) &&
    !socket.ended &&
    call.wake !== 'signal';
  const received = short && socket.state === 'connected' ? undefined : receive(socket, wanted, peek, vfs.notify);
  if (received === undefined) return waitOrAgain(call, vfs, file, flags);
  scatter(call, segments, received.bytes);
  return then(received);
}

function recvfrom(call: Call): Result {
  const [fd, base, length, flags, at, lengthAt] = call.args as [number, number, number, number, number, number];
  return receiveFrom(call, fd, [{ base, length }], flags, ({ bytes, from, full }) => {
    if (at !== 0 && lengthAt !== 0) {
      if (from !== undefined) putAddress(call, from, at, lengthAt);
      else call.memory.writeU32(lengthAt, 0);
    }
    return (flags & MSG_TRUNC) !== 0 ? full : bytes.length;
  });
}

function sendmsg(call: Call): Result {
  const [fd, at, flags] = call.args as [number, number, number];
  const message = MSGHDR.read(call.memory, call.abi.word, at);
  if (message.controllen !== 0) return 'EOPNOTSUPP' satisfies ErrnoName;
  const segments = segmentsAt(call, message.iov, message.iovlen);
  return sendTo(call, fd, segments, flags, { at: message.name, length: message.namelen });
}

function recvmsg(call: Call): Result {
  const [fd, at, flags] = call.args as [number, number, number];
  const { word } = call.abi;
  const message = MSGHDR.read(call.memory, word, at);
  const segments = segmentsAt(call, message.iov, message.iovlen);
  return receiveFrom(call, fd, segments, flags, ({ bytes, from, full }) => {
    const cut = full > bytes.length;
    MSGHDR.set(call.memory, word, at, { controllen: 0, flags: cut ? MSG_TRUNC : 0 });
    if (message.name !== 0) {
      if (from !== undefined) putAddress(call, from, message.name, at + MSGHDR.offset(word, 'namelen'));
      else MSGHDR.set(call.memory, word, at, { namelen: 0 });
    }
    return cut && (flags & MSG_TRUNC) !== 0 ? full : bytes.length;
  });
}

const LOOPBACK = 'loopback addresses and AF_UNIX, in memory';

export const SOCKET_ROWS: readonly Row[] = [
  row('socket', ['int', 'int', 'int'], socketCall, { support: 'partial', note: LOOPBACK }),
  row('socketpair', ['int', 'int', 'int', 'out'], socketpair),
  row('bind', ['fd', 'ptr', 'uint'], bind, { support: 'partial', note: LOOPBACK }),
  row('listen', ['fd', 'int'], listenCall, { support: 'partial', note: 'the backlog has no limit' }),
  row('accept', ['fd', 'out', 'ptr'], (call) => acceptCall(call, 0)),
  row('accept4', ['fd', 'out', 'ptr', 'flags'], (call) => acceptCall(call, call.args[3]!)),
  row('connect', ['fd', 'ptr', 'uint'], connect, { support: 'partial', note: LOOPBACK }),
  row('getsockname', ['fd', 'out', 'ptr'], (call) => nameCall(call, false)),
  row('getpeername', ['fd', 'out', 'ptr'], (call) => nameCall(call, true)),
  row('shutdown', ['fd', 'int'], shutdownCall),
  row('setsockopt', ['fd', 'int', 'int', 'ptr', 'uint'], setsockopt, {
    support: 'partial',
    note: 'options without a meaning in memory are only remembered',
  }),
  row('getsockopt', ['fd', 'int', 'int', 'out', 'ptr'], getsockopt, {
    support: 'partial',
    note: 'options without a meaning in memory are only remembered',
  }),
  row('sendto', ['fd', 'buffer-in', 'size', 'flags', 'ptr', 'uint'], (call) => {
    const [fd, base, length, flags, at, addressLength] = call.args as [number, number, number, number, number, number];
    return sendTo(call, fd, [{ base, length }], flags, { at, length: addressLength });
  }),
  row('recvfrom', ['fd', 'buffer-out', 'size', 'flags', 'ptr', 'ptr'], recvfrom),
  row('send', ['fd', 'buffer-in', 'size', 'flags'], (call) => {
    const [fd, base, length, flags] = call.args as [number, number, number, number];
    return sendTo(call, fd, [{ base, length }], flags);
  }),
  row('recv', ['fd', 'buffer-out', 'size', 'flags'], (call) => {
    const [fd, base, length, flags] = call.args as [number, number, number, number];
    return receiveFrom(call, fd, [{ base, length }], flags, ({ bytes, full }) =>
      (flags & MSG_TRUNC) !== 0 ? full : bytes.length,
    );
  }),
  row('sendmsg', ['fd', 'ptr', 'flags'], sendmsg, { support: 'partial', note: 'without control messages' }),
  row('recvmsg', ['fd', 'ptr', 'flags'], recvmsg, { support: 'partial', note: 'without control messages' }),
  refused('sendmmsg', ['fd', 'ptr', 'uint', 'flags'], 'ENOSYS', 'programs fall back to sendmsg'),
  refused('recvmmsg', ['fd', 'ptr', 'uint', 'flags', 'ptr'], 'ENOSYS', 'programs fall back to recvmsg'),
];
