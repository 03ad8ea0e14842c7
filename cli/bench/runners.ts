// Who can run a job: Safepoint itself, user-mode QEMU, the processor. One whole process each time, with its wall and CPU time.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Goarch } from '../../src/index.ts';
import { cacheDirectory } from '../cache.ts';
import type { Job } from './jobs.ts';

/** What one process did. */
export interface Ran {
  /** Exit status; null for one that a signal or the time limit ended. */
  readonly status: number | null;
  readonly stdout: string;
  /** Wall time. */
  readonly seconds: number;
  /** User and system time of all of its threads, in the kernel's steps of 10 ms; undefined where the host does not say. */
  readonly cpu: number | undefined;
}

export type RunnerName = 'ours' | 'qemu' | 'native';

/** Starts a job and waits for its end. */
export type Runner = (job: Job) => Ran;

/** Debian's names of user-mode QEMU. */
const QEMU: Readonly<Record<Goarch, string>> = {
  amd64: 'qemu-x86_64',
  mips: 'qemu-mips',
  mipsle: 'qemu-mipsel',
  mips64: 'qemu-mips64',
  mips64le: 'qemu-mips64el',
};

const LIMIT_MS = 600_000;
const OUTPUT_LIMIT = 64 * 2 ** 20;
/** USER_HZ: the unit of times in /proc, on every Linux that Node runs on. */
const TICKS = 100;

/** CPU seconds of all children that have ended (fields 16 and 17 of proc(5)'s stat). */
function childrenCpu(): number | undefined {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[13]) + Number(fields[14])) / TICKS;
  } catch {
    return undefined;
  }
}

function time(command: string, args: readonly string[], job: Job, env: NodeJS.ProcessEnv): Ran {
  const cpuBefore = childrenCpu();
  const began = process.hrtime.bigint();
  const { status, stdout } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: LIMIT_MS,
    maxBuffer: OUTPUT_LIMIT,
    stdio: ['ignore', 'pipe', 'ignore'],
    env,
    ...(job.directory === undefined ? {} : { cwd: job.directory }),
  });
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const cpuAfter = childrenCpu();
  const cpu = cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore;
  return { status, stdout: stdout ?? '', seconds, cpu };
}

const guestEnvironment = (job: Job): NodeJS.ProcessEnv =>
  Object.fromEntries(job.env.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]));

/**
 * What Safepoint's process needs of this one's environment: where the cache is. Who is compared gets as little, and so nothing that Node
 * does for the sake of a variable is measured: with `NODE_EXTRA_CA_CERTS` Node 20 parses all certificates of a file before it begins.
 */
const CACHE_VARIABLES = ['SAFEPOINT_CACHE', 'XDG_CACHE_HOME', 'HOME'];

/** `safepoint run`, started as this process was, with further options of `run`. */
export const ours =
  (options: readonly string[] = []): Runner =>
  (job) => {
    const directory = job.directory === undefined ? [] : ['--dir', job.directory];
    const env = job.env.flatMap((text) => ['--env', text]);
    const args = [process.argv[1]!, 'run', ...options, ...directory, ...env, job.program, ...job.args];
    const own = Object.fromEntries(CACHE_VARIABLES.map((name) => [name, process.env[name]]));
    const cache = job.cache === undefined || cacheDirectory() === undefined ? {} : { SAFEPOINT_CACHE: job.cache };
    return time(process.execPath, [...process.execArgv, ...args], job, { ...own, ...cache });
  };

/** Who else can run programs of a GOARCH here, and who cannot, with the reason. */
export function others(goarch: Goarch): {
  readonly runners: Partial<Readonly<Record<'qemu' | 'native', Runner>>>;
  readonly missing: readonly string[];
  /** QEMU's own name and version. */
  readonly qemu: string | undefined;
} {
  const command = QEMU[goarch];
  const asked = spawnSync(command, ['--version'], { encoding: 'utf8' });
  const installed = asked.error === undefined;
  const native = goarch === 'amd64' && process.arch === 'x64' && process.platform === 'linux';
  return {
    runners: {
      ...(installed ? { qemu: (job) => time(command, [job.program, ...job.args], job, guestEnvironment(job)) } : {}),
      ...(native ? { native: (job) => time(job.program, job.args, job, guestEnvironment(job)) } : {}),
    },
    missing: installed ? [] : [`${command} is not installed (Debian: qemu-user): nothing to compare ${goarch} with`],
    qemu: installed ? asked.stdout.split('\n')[0]!.trim() : undefined,
  };
}
