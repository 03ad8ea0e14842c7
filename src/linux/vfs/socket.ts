// Sockets on a network that exists only in memory: loopback addresses and AF_UNIX names. Nothing here reaches the host.
//
// A connection is two sockets that point at each other; what one sends is queued at the other. A connect to a listening socket
// succeeds at once and waits in its backlog; the backlog has no end, so no connection is ever dropped.

import { CallError, type ErrnoName } from '../abi/errno.ts';
import { type ByteQueue, byteQueue, dequeue, enqueue } from './pipe.ts';
import { POLLERR, POLLHUP, POLLRDHUP, type Pollable, pollable, READABLE, WRITABLE } from './pollable.ts';

export type Family = 'unix' | 'inet' | 'inet6';
export type SocketType = 'stream' | 'dgram' | 'seqpacket';

/** `host` is 4 or 16 bytes for the internet, a path (abstract where it begins with NUL, empty where unnamed) for AF_UNIX. */
export interface Address {
  readonly family: Family;
  readonly host: string;
  readonly port: number;
}

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly from: Address;
}

export interface Socket {
  readonly family: Family;
  readonly type: SocketType;
  state: 'new' | 'bound' | 'listening' | 'connected' | 'closed';
  local: Address;
  remote: Address | undefined;
  peer: Socket | undefined;
  /** Connected and not yet accepted, oldest first. */
  readonly backlog: Socket[];
  readonly received: ByteQueue;
  readonly datagrams: Datagram[];
  /** Set by SO_RCVBUF: what may be queued here. */
  capacity: number;
  /** The peer will send no more. */
  ended: boolean;
  shutRead: boolean;
  shutWrite: boolean;
  /** The error that SO_ERROR will report; '' where there is none. */
  error: ErrnoName | '';
  /** Values set by setsockopt and kept for getsockopt, by `level:name`. */
  readonly options: Map<string, Uint8Array>;
  v6only: boolean;
  reuseAddress: boolean;
  reusePort: boolean;
  readonly wait: Pollable;
}

/** The loopback network. */
export interface Network {
  /** Bound sockets by `tcp:PORT` or `udp:PORT`. */
  readonly ports: Map<string, Socket[]>;
  /** Bound AF_UNIX sockets by the inode number of their name, or by abstract name. */
  readonly names: Map<number | string, Socket>;
  nextPort: number;
  nextAbstract: number;
  nextId: number;
}

export function makeNetwork(): Network {
  return { ports: new Map(), names: new Map(), nextPort: FIRST_EPHEMERAL, nextAbstract: 0, nextId: 0 };
}

/** net.ipv4.ip_local_port_range of Linux. */
const FIRST_EPHEMERAL = 32768;
const LAST_EPHEMERAL = 60999;
/** net.core.rmem_default. */
export const SOCKET_BUFFER = 212992;

const V4_MAPPED = '\0\0\0\0\0\0\0\0\0\0\xff\xff';
const ANY4 = '\0\0\0\0';
const ANY6 = '\0'.repeat(16);
const LOOPBACK4 = '\x7f\0\0\x01';
const LOOPBACK6 = `${'\0'.repeat(15)}\x01`;

export function unnamed(family: Family): Address {
  return { family, host: family === 'unix' ? '' : family === 'inet' ? ANY4 : ANY6, port: 0 };
}

export function makeSocket(network: Network, family: Family, type: SocketType): Socket {
  return {
    family,
    type,
    state: 'new',
    local: unnamed(family),
    remote: undefined,
    peer: undefined,
    backlog: [],
    received: byteQueue(),
    datagrams: [],
    capacity: SOCKET_BUFFER,
    ended: false,
    shutRead: false,
    shutWrite: false,
    error: '',
    options: new Map(),
    v6only: false,
    reuseAddress: false,
    reusePort: false,
    wait: pollable(`socket:${network.nextId++}`),
  };
}

type Notify = (target: Pollable, events: number) => void;

// Internet addresses

/** The IPv4 part of an address, or undefined for a true IPv6 one. */
function v4(host: string): string | undefined {
  if (host.length === 4) return host;
  return host.startsWith(V4_MAPPED) ? host.slice(12) : undefined;
}

function isAny(host: string): boolean {
  return host === ANY4 || host === ANY6 || host === V4_MAPPED + ANY4;
}

function isLoopback(host: string): boolean {
  const four = v4(host);
  return four !== undefined ? four.charCodeAt(0) === 127 : host === LOOPBACK6;
}

/** The same address as a socket of `family` writes it. */
function asFamily(address: Address, family: Family): Address {
  if (address.family === family || family === 'unix') return address;
  const four = v4(address.host);
  if (family === 'inet6') return { family, host: V4_MAPPED + (four ?? ANY4), port: address.port };
  return { family, host: four ?? ANY4, port: address.port };
}

function protocol(socket: Socket): string {
  return socket.type === 'stream' ? 'tcp' : 'udp';
}

/** Whether what is sent to `host` comes to a socket bound to `local`. */
function receives(socket: Socket, host: string): boolean {
  const four = v4(host);
  const own = socket.local.host;
  if (four !== undefined) {
    if (socket.family === 'inet') return own === ANY4 || own === four;
    if (socket.v6only) return false;
    return own === ANY6 || own === V4_MAPPED + four || own === V4_MAPPED + ANY4;
  }
  return socket.family === 'inet6' && (own === ANY6 || own === host);
}

function overlap(a: Socket, b: Socket, host: string): boolean {
  if (isAny(host)) {
    if (a.family === b.family) return true;
    // An IPv6 wildcard also claims the IPv4 port, unless it is told not to.
    const six = a.family === 'inet6' ? a : b;
    return !six.v6only;
  }
  return receives(b, host);
}

function claimPort(network: Network, socket: Socket, address: Address): void {
  const free = (port: number): boolean =>
    (network.ports.get(`${protocol(socket)}:${port}`) ?? []).every((other) => {
      if (!overlap(socket, other, address.host)) return true;
      if (socket.reusePort && other.reusePort) return true;
      return socket.reuseAddress && other.reuseAddress && other.state !== 'listening';
    });
  let port = address.port;
  if (port === 0) {
    for (let tried = 0; port === 0; tried++) {
      if (tried > LAST_EPHEMERAL - FIRST_EPHEMERAL) throw new CallError('EADDRINUSE');
      const candidate = network.nextPort;
      network.nextPort = candidate === LAST_EPHEMERAL ? FIRST_EPHEMERAL : candidate + 1;
      if (!network.ports.has(`${protocol(socket)}:${candidate}`)) port = candidate;
    }
  } else if (!free(port)) throw new CallError('EADDRINUSE');
  const key = `${protocol(socket)}:${port}`;
  const holders = network.ports.get(key);
  if (holders === undefined) network.ports.set(key, [socket]);
  else holders.push(socket);
  socket.local = { family: socket.family, host: address.host, port };
}

function releasePort(network: Network, socket: Socket): void {
  const key = `${protocol(socket)}:${socket.local.port}`;
  const holders = network.ports.get(key);
  const index = holders?.indexOf(socket) ?? -1;
  if (holders === undefined || index < 0) return;
  holders.splice(index, 1);
  if (holders.length === 0) network.ports.delete(key);
}

/** bind for AF_INET and AF_INET6. @throws CallError (inet_bind) */
export function bindInternet(network: Network, socket: Socket, address: Address): void {
  if (socket.state !== 'new' || socket.local.port !== 0) throw new CallError('EINVAL');
  if (!isAny(address.host) && !isLoopback(address.host)) throw new CallError('EADDRNOTAVAIL');
  claimPort(network, socket, address);
  socket.state = 'bound';
}

/** bind for AF_UNIX: `name` is the inode number of the path, or the abstract name ('' asks for one). (unix_bind) */
export function bindUnix(network: Network, socket: Socket, name: number | string, path: string): void {
  if (socket.state !== 'new') throw new CallError('EINVAL');
  let key = name;
  let host = path;
  if (key === '') {
    // Autobind: a NUL and five hexadecimal digits (unix(7)).
    key = host = `\0${(network.nextAbstract++).toString(16).padStart(5, '0')}`;
  }
  if (network.names.has(key)) throw new CallError('EADDRINUSE');
  network.names.set(key, socket);
  socket.local = { family: 'unix', host, port: 0 };
  socket.state = 'bound';
}

/** @throws CallError */
export function listen(network: Network, socket: Socket): void {
  if (socket.type === 'dgram') throw new CallError('EOPNOTSUPP');
  if (socket.state === 'listening') return;
  if (socket.state === 'new') {
    if (socket.family === 'unix') throw new CallError('EINVAL');
    claimPort(network, socket, unnamed(socket.family));
  } else if (socket.state !== 'bound') throw new CallError('EINVAL');
  socket.state = 'listening';
}

/** The oldest connection, or undefined where the caller must wait. @throws CallError EINVAL, EOPNOTSUPP */
export function accept(socket: Socket): Socket | undefined {
  if (socket.type === 'dgram') throw new CallError('EOPNOTSUPP');
  if (socket.state !== 'listening') throw new CallError('EINVAL');
  return socket.backlog.shift();
}

function join(network: Network, client: Socket, listener: Socket, remote: Address, notify: Notify): void {
  const server = makeSocket(network, listener.family, listener.type);
  server.state = client.state = 'connected';
  server.peer = client;
  client.peer = server;
  client.remote = remote;
  server.local = asFamily(remote, server.family);
  server.remote = asFamily(client.local, server.family);
  server.capacity = listener.capacity;
  listener.backlog.push(server);
  notify(client.wait, WRITABLE);
  notify(listener.wait, READABLE);
}

/**
 * Connects an internet socket. A stream socket that cannot is left with `error` set, as a loopback connection would find out
 * after connect has returned.
 * @throws CallError (inet_stream_connect, udp connect)
 */
export function connectInternet(network: Network, socket: Socket, address: Address, notify: Notify): void {
  if (socket.state === 'listening' || (socket.state === 'connected' && socket.type === 'stream'))
    throw new CallError('EISCONN');
  const host = isAny(address.host) ? (v4(address.host) !== undefined ? LOOPBACK4 : LOOPBACK6) : address.host;
  if (!isLoopback(host)) throw new CallError('ENETUNREACH');
  const target = asFamily(
    { family: host.length === 4 ? 'inet' : 'inet6', host, port: address.port },
    socket.family === 'inet6' ? 'inet6' : 'inet',
  );
  if (socket.local.port === 0) claimPort(network, socket, unnamed(socket.family));
  if (isAny(socket.local.host)) socket.local = { ...socket.local, host: target.host };
  if (socket.type !== 'stream') {
    socket.remote = target;
    socket.state = 'connected';
    return;
  }
  const listener = network.ports
    .get(`tcp:${address.port}`)
    ?.find((other) => other.state === 'listening' && receives(other, target.host));
  if (listener === undefined) {
    socket.error = 'ECONNREFUSED';
    socket.ended = socket.shutWrite = true;
    notify(socket.wait, READABLE | WRITABLE | POLLERR | POLLHUP);
    return;
  }
  join(network, socket, listener, target, notify);
}

/** @throws CallError ECONNREFUSED, EPROTOTYPE, EISCONN (unix_stream_connect) */
export function connectUnix(network: Network, socket: Socket, name: number | string, path: string, notify: Notify) {
  if (socket.state === 'connected' && socket.type !== 'dgram') throw new CallError('EISCONN');
  if (socket.state === 'listening') throw new CallError('EINVAL');
  const target = network.names.get(name);
  if (target === undefined) throw new CallError('ECONNREFUSED');
  if (target.type !== socket.type) throw new CallError('EPROTOTYPE');
  const remote: Address = { family: 'unix', host: path, port: 0 };
  if (socket.type === 'dgram') {
    socket.peer = target;
    socket.remote = remote;
    socket.state = 'connected';
    return;
  }
  if (target.state !== 'listening') throw new CallError('ECONNREFUSED');
  join(network, socket, target, remote, notify);
}

/** socketpair */
export function makePair(network: Network, type: SocketType): [Socket, Socket] {
  const a = makeSocket(network, 'unix', type);
  const b = makeSocket(network, 'unix', type);
  a.peer = b;
  b.peer = a;
  a.state = b.state = 'connected';
  a.remote = b.remote = unnamed('unix');
  return [a, b];
}

/** Takes the pending error. (sock_error) */
export function takeError(socket: Socket): ErrnoName | '' {
  const { error } = socket;
  socket.error = '';
  return error;
}

function failPending(socket: Socket): void {
  const error = takeError(socket);
  if (error !== '') throw new CallError(error);
}

export interface Received {
  readonly bytes: Uint8Array;
  readonly from: Address | undefined;
  /** The datagram was longer than asked for: its full length. */
  readonly full: number;
}

/** What has come, or undefined where the caller must wait. @throws CallError ENOTCONN and pending errors */
export function receive(socket: Socket, count: number, peek: boolean, notify: Notify): Received | undefined {
  if (socket.type !== 'stream') {
    const first = socket.datagrams[0];
    if (first !== undefined) {
      if (!peek) {
        socket.datagrams.shift();
        socket.received.length -= first.bytes.length;
        if (socket.peer !== undefined) notify(socket.peer.wait, WRITABLE);
      }
      return { bytes: first.bytes.slice(0, count), from: first.from, full: first.bytes.length };
    }
    failPending(socket);
    if (socket.shutRead || socket.ended) return { bytes: new Uint8Array(0), from: undefined, full: 0 };
    return undefined;
  }
  if (socket.received.length === 0) {
    failPending(socket);
    if (socket.state !== 'connected' && !socket.ended) throw new CallError('ENOTCONN');
    if (socket.ended || socket.shutRead || count === 0) return { bytes: new Uint8Array(0), from: undefined, full: 0 };
    return undefined;
  }
  const bytes = dequeue(socket.received, count, peek);
  if (!peek && socket.peer !== undefined) notify(socket.peer.wait, WRITABLE);
  return { bytes, from: undefined, full: bytes.length };
}

/** Bytes taken, or undefined where the caller must wait. @throws CallError EPIPE, ENOTCONN, EDESTADDRREQ, EMSGSIZE … */
export function send(
  network: Network,
  socket: Socket,
  bytes: Uint8Array,
  to: Address | undefined,
  name: number | string | undefined,
  notify: Notify,
): number | undefined {
  failPending(socket);
  if (socket.shutWrite) throw new CallError('EPIPE');
  if (socket.type !== 'stream') return sendDatagram(network, socket, bytes, to, name, notify);
  if (socket.state !== 'connected') throw new CallError(socket.state === 'closed' ? 'EPIPE' : 'ENOTCONN');
  const { peer } = socket;
  if (peer === undefined || peer.shutRead || peer.state === 'closed') {
    if (socket.family === 'unix') throw new CallError('EPIPE');
    // The first write after the peer has closed is taken, and answered by a reset (tcp_reset in CLOSE_WAIT).
    socket.shutWrite = socket.ended = true;
    notify(socket.wait, READABLE | WRITABLE | POLLERR | POLLHUP);
    return bytes.length;
  }
  const room = peer.capacity - peer.received.length;
  if (bytes.length > 0 && room <= 0) return undefined;
  const count = Math.min(room, bytes.length);
  enqueue(peer.received, bytes.subarray(0, count));
  if (count > 0) notify(peer.wait, READABLE);
  return count;
}

/** The largest UDP payload, and the largest AF_UNIX datagram that fits the buffer. */
const UDP_MAX = 65507;

function sendDatagram(
  network: Network,
  socket: Socket,
  bytes: Uint8Array,
  to: Address | undefined,
  name: number | string | undefined,
  notify: Notify,
): number | undefined {
  let target: Socket | undefined;
  if (socket.family === 'unix') {
    if (to !== undefined && name !== undefined) {
      target = network.names.get(name);
      if (target === undefined) throw new CallError('ECONNREFUSED');
      if (target.type !== socket.type) throw new CallError('EPROTOTYPE');
    } else {
      target = socket.peer;
      if (target === undefined) throw new CallError('ENOTCONN');
      if (target.state === 'closed') throw new CallError(socket.type === 'dgram' ? 'ECONNREFUSED' : 'EPIPE');
    }
  } else {
    const address = to ?? socket.remote;
    if (address === undefined) throw new CallError('EDESTADDRREQ');
    if (bytes.length > UDP_MAX) throw new CallError('EMSGSIZE');
    const host = isAny(address.host) ? (v4(address.host) !== undefined ? LOOPBACK4 : LOOPBACK6) : address.host;
    if (!isLoopback(host)) throw new CallError('ENETUNREACH');
    if (socket.local.port === 0) {
      claimPort(network, socket, unnamed(socket.family));
      if (socket.state === 'new') socket.state = 'bound';
    }
    const own = asFamily({ ...socket.local, host: isAny(socket.local.host) ? host : socket.local.host }, socket.family);
    const from: Address = { ...own, port: socket.local.port };
    const holders = network.ports.get(`udp:${address.port}`) ?? [];
    // A connected socket hears only its peer, and is preferred.
    target =
      holders.find((other) => other.remote?.port === from.port && receives(other, host)) ??
      holders.find((other) => other.remote === undefined && receives(other, host));
    if (target === undefined) {
      if (socket.remote !== undefined) {
        socket.error = 'ECONNREFUSED';
        notify(socket.wait, READABLE | WRITABLE | POLLERR);
      }
      return bytes.length;
    }
    // A full receiver drops, as UDP does.
    if (target.received.length + bytes.length > target.capacity) return bytes.length;
    deliver(target, bytes, asFamily(from, target.family), notify);
    return bytes.length;
  }
  if (bytes.length > target.capacity) throw new CallError('EMSGSIZE');
  if (target.shutRead) throw new CallError('EPIPE');
  if (target.received.length + bytes.length > target.capacity) return undefined;
  deliver(target, bytes, socket.local, notify);
  return bytes.length;
}

function deliver(target: Socket, bytes: Uint8Array, from: Address, notify: Notify): void {
  target.datagrams.push({ bytes: bytes.slice(), from });
  // For datagrams only the length of the byte queue is used: what is queued.
  target.received.length += bytes.length;
  notify(target.wait, READABLE);
}

/** shutdown; `how` as in shutdown(2). @throws CallError ENOTCONN */
export function shutdown(socket: Socket, how: 'read' | 'write' | 'both', notify: Notify): void {
  if (socket.state === 'listening' && how !== 'write') {
    // Linux stops listening (inet_shutdown); accepters see EINVAL.
    socket.state = 'bound';
    notify(socket.wait, READABLE | POLLHUP);
    return;
  }
  if (socket.state !== 'connected') throw new CallError('ENOTCONN');
  if (how !== 'write') socket.shutRead = true;
  if (how !== 'read') {
    socket.shutWrite = true;
    if (socket.peer !== undefined && socket.type !== 'dgram') {
      socket.peer.ended = true;
      notify(socket.peer.wait, READABLE | POLLRDHUP | (socket.peer.shutWrite ? POLLHUP : 0));
    }
  }
  notify(socket.wait, READABLE | WRITABLE | (how !== 'write' ? POLLRDHUP : 0));
}

/** The last descriptor is closed. */
export function releaseSocket(network: Network, socket: Socket, notify: Notify): void {
  const { peer } = socket;
  for (const waiting of socket.backlog.splice(0)) {
    if (waiting.peer !== undefined) reset(waiting.peer, notify);
  }
  if (socket.family !== 'unix') releasePort(network, socket);
  for (const [name, other] of network.names) if (other === socket) network.names.delete(name);
  if (peer !== undefined && peer.peer === socket && socket.type !== 'dgram') {
    // Data that was never read makes the close a reset (tcp_close, unix_release_sock).
    if (socket.received.length > 0) reset(peer, notify);
    else {
      peer.ended = true;
      notify(peer.wait, READABLE | WRITABLE | POLLRDHUP | (peer.shutWrite ? POLLHUP : 0));
    }
  }
  socket.state = 'closed';
  socket.received.pieces.length = 0;
  socket.received.taken = socket.received.length = 0;
  socket.datagrams.length = 0;
}

function reset(socket: Socket, notify: Notify): void {
  socket.error = 'ECONNRESET';
  socket.ended = true;
  socket.peer = undefined;
  notify(socket.wait, READABLE | WRITABLE | POLLERR | POLLHUP | POLLRDHUP);
}

/** (tcp_poll, unix_poll, datagram_poll) */
export function pollSocket(socket: Socket): number {
  if (socket.state === 'listening') return socket.backlog.length > 0 ? READABLE : 0;
  let events = socket.error !== '' ? POLLERR : 0;
  const idle = socket.type === 'stream' && (socket.state === 'new' || socket.state === 'bound') && !socket.ended;
  if (idle) return events | POLLHUP | WRITABLE;
  const closedByPeer = socket.ended || (socket.family === 'unix' && socket.peer?.state === 'closed');
  const noMore = closedByPeer || socket.shutRead;
  if (socket.received.length > 0 || socket.datagrams.length > 0 || noMore || socket.error !== '') events |= READABLE;
  if (noMore) events |= POLLRDHUP;
  if (noMore && socket.shutWrite) events |= POLLHUP;
  const { peer } = socket;
  const room =
    peer === undefined ||
    peer.state === 'closed' ||
    socket.shutWrite ||
    peer.capacity - peer.received.length >= peer.capacity / 3;
  if (room) events |= WRITABLE;
  return events;
}
