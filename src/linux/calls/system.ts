// The system around the process: its name, size, limits, and entropy.

import { struct } from '../abi/layout.ts';
import { type Call, type Result, type Row, refused, row } from '../call.ts';

const UTS_LENGTH = 65;

function uname(call: Call): Result {
  const { kernel, abi, memory } = call;
  const { identity } = kernel;
  const fields = ['Linux', identity.hostname, identity.release, identity.version, abi.machineName, '(none)'];
  const bytes = new Uint8Array(fields.length * UTS_LENGTH);
  for (const [i, field] of fields.entries())
    bytes.set(new TextEncoder().encode(field).subarray(0, UTS_LENGTH - 1), i * UTS_LENGTH);
  memory.write(call.args[0]!, bytes);
  return 0;
}

const SYSINFO = struct({
  uptime: 'long',
  loads: ['ulong', 3],
  totalram: 'ulong',
  freeram: 'ulong',
  sharedram: 'ulong',
  bufferram: 'ulong',
  totalswap: 'ulong',
  freeswap: 'ulong',
  procs: 'u16',
  totalhigh: 'ulong',
  freehigh: 'ulong',
  unit: 'u32',
  tail: ['u8', 8],
});
/** What the guest's memory can hold: the size of a WebAssembly memory. In pages of 4 KiB, so that o32 can say it. */
const UNIT = 4096;

function sysinfo(call: Call): Result {
  const { kernel, memory, abi } = call;
  const totalram = Math.floor(memory.u8.length / UNIT);
  SYSINFO.write(memory, abi.word, call.args[0]!, {
    uptime: Math.floor(kernel.clock.now() / 1e9),
    totalram,
    freeram: totalram - Math.ceil(memory.residentBytes / UNIT),
    procs: kernel.tasks.length,
    unit: UNIT,
  });
  return 0;
}

const GRND_MASK = 7;

function getrandom(call: Call): Result {
  const [address, length, flags] = call.args as [number, number, number];
  if ((flags & ~GRND_MASK) !== 0) return 'EINVAL';
  // Requests beyond 32 MiB - 1 are cut short, as every kernel does in the end (random(4)).
  const size = Math.min(length, 0x1ff_ffff);
  call.memory.write(address, call.kernel.random.bytes(size));
  return size;
}

// Limits. MIPS numbers some resources its own way (arch/mips/include/uapi/asm/resource.h).

type Resource =
  | 'CPU'
  | 'FSIZE'
  | 'DATA'
  | 'STACK'
  | 'CORE'
  | 'RSS'
  | 'NPROC'
  | 'NOFILE'
  | 'MEMLOCK'
  | 'AS'
  | 'LOCKS'
  | 'SIGPENDING'
  | 'MSGQUEUE'
  | 'NICE'
  | 'RTPRIO'
  | 'RTTIME';

const COMMON: readonly Resource[] = ['CPU', 'FSIZE', 'DATA', 'STACK', 'CORE'];
const REST: readonly Resource[] = ['LOCKS', 'SIGPENDING', 'MSGQUEUE', 'NICE', 'RTPRIO', 'RTTIME'];
const GENERIC_RESOURCES: readonly Resource[] = [...COMMON, 'RSS', 'NPROC', 'NOFILE', 'MEMLOCK', 'AS', ...REST];
const MIPS_RESOURCES: readonly Resource[] = [...COMMON, 'NOFILE', 'AS', 'RSS', 'NPROC', 'MEMLOCK', ...REST];

const INFINITY = (1n << 64n) - 1n;
const DEFAULTS: Readonly<Partial<Record<Resource, readonly [soft: bigint, hard: bigint]>>> = {
  STACK: [8n << 20n, INFINITY],
  CORE: [0n, INFINITY],
  NPROC: [4096n, 4096n],
  NOFILE: [1024n, 524_288n],
  MEMLOCK: [8n << 20n, 8n << 20n],
  SIGPENDING: [4096n, 4096n],
  MSGQUEUE: [819_200n, 819_200n],
  NICE: [0n, 0n],
  RTPRIO: [0n, 0n],
};

function limitOf(call: Call, resource: number): readonly [soft: bigint, hard: bigint] | undefined {
  const name = (call.abi.mips ? MIPS_RESOURCES : GENERIC_RESOURCES)[resource];
  if (name === undefined) return undefined;
  return call.kernel.misc.limits.get(resource) ?? DEFAULTS[name] ?? [INFINITY, INFINITY];
}

function setLimit(call: Call, resource: number, soft: bigint, hard: bigint): Result {
  const old = limitOf(call, resource)!;
  if (soft > hard) return 'EINVAL';
  if (hard > old[1]) return 'EPERM';
  const { kernel } = call;
  kernel.misc = { ...kernel.misc, limits: new Map(kernel.misc.limits).set(resource, [soft, hard]) };
  return 0;
}

function prlimit64(call: Call): Result {
  const [pid, resource, fresh, old] = call.args as [number, number, number, number];
  const { kernel, memory } = call;
  if (pid !== 0 && pid !== kernel.identity.pid) return 'ESRCH';
  const limit = limitOf(call, resource);
  if (limit === undefined) return 'EINVAL';
  const wanted = fresh === 0 ? undefined : ([memory.readU64(fresh), memory.readU64(fresh + 8)] as const);
  if (old !== 0) {
    memory.translate(old, 'write');
    memory.writeU64(old, limit[0]);
    memory.writeU64(old + 8, limit[1]);
  }
  return wanted === undefined ? 0 : setLimit(call, resource, wanted[0], wanted[1]);
}

/** RLIM_INFINITY as a word: all ones, but 0x7fffffff on o32. */
const infinityWord = (call: Call): bigint =>
  call.abi.word === 8 ? INFINITY : call.abi.mips ? 0x7fff_ffffn : 0xffff_ffffn;

/** Math.min for bigints. */
function clamp(value: bigint, top: bigint): bigint {
  if (value < top) return value;
  return top;
}

function getrlimit(call: Call): Result {
  const [resource, address] = call.args as [number, number];
  const { memory, abi } = call;
  const limit = limitOf(call, resource);
  if (limit === undefined) return 'EINVAL';
  const top = infinityWord(call);
  for (const [i, value] of limit.entries()) {
    const shown = clamp(value, top);
    if (abi.word === 8) memory.writeU64(address + 8 * i, shown);
    else memory.writeU32(address + 4 * i, Number(shown));
  }
  return 0;
}

function setrlimit(call: Call): Result {
  const [resource, address] = call.args as [number, number];
  const { memory, abi } = call;
  if (limitOf(call, resource) === undefined) return 'EINVAL';
  const top = infinityWord(call);
  const read = (at: number): bigint => {
    const value = abi.word === 8 ? memory.readU64(at) : BigInt(memory.readU32(at));
    return value >= top ? INFINITY : value;
  };
  return setLimit(call, resource, read(address), read(address + abi.word));
}

export const SYSTEM_CALLS: readonly Row[] = [
  row('uname', ['out'], uname),
  row('sysinfo', ['out'], sysinfo, { support: 'partial', note: 'no load averages' }),
  row('getrandom', ['out', 'size', 'hex'], getrandom, { note: 'from the seed' }),
  row('prlimit64', ['int', 'int', 'ptr', 'out'], prlimit64, { support: 'partial', note: 'kept, not enforced' }),
  row('getrlimit', ['int', 'out'], getrlimit),
  row('setrlimit', ['int', 'ptr'], setrlimit, { support: 'partial', note: 'kept, not enforced' }),
  refused('sethostname', ['string', 'size'], 'EPERM', 'not root'),
  refused('setdomainname', ['string', 'size'], 'EPERM', 'not root'),
  refused('syslog', ['int', 'out', 'int'], 'EPERM', 'not root'),
  refused('reboot', ['hex', 'hex', 'hex', 'ptr'], 'EPERM', 'not root'),
  refused('perf_event_open', ['ptr', 'int', 'int', 'int', 'hex'], 'ENOSYS', 'no performance counters'),
  refused('bpf', ['int', 'ptr', 'uint'], 'EPERM', 'not root'),
];
