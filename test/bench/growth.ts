// How cost grows with the run: time for each tenfold of instructions, and memory beyond the guest's own, whatever the program does.
// Usage: tsx test/bench/growth.ts [--goarch A | --program FILE] [--job J] [--to N]. Times are of this process's CPU.

import { readFileSync } from 'node:fs';
import { type Goarch, Session } from '../../src/index.ts';
import { loadFixture } from '../support/fixtures.ts';

const argument = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};
const goarch = (argument('goarch') ?? 'amd64') as Goarch;
const program = argument('program');
const job = argument('job') ?? 'spin';
const to = Number(argument('to') ?? 1e9);

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const mega = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

const bytes = program === undefined ? loadFixture('bench', goarch, '1.27') : readFileSync(program);
const session = Session.open(bytes, { path: '/bench', args: [job], hostTimes: true });
console.log(`${program ?? goarch} ${job}`);
let before = cpuSeconds();
let executed = 0;
for (let until = 1e6; until <= to; until *= 10) {
  const end = session.advance(until);
  const now = cpuSeconds();
  const { instructions, memory } = session.machine;
  const rate = ((instructions - executed) / (now - before) / 1e6).toFixed(1);
  const { rss, heapUsed } = process.memoryUsage();
  const peak = process.resourceUsage().maxRSS * 1024;
  const host = session.stats(end ?? { kind: 'exit', status: 0 }, 0).host!;
  console.log(
    `to ${instructions.toExponential(1)}: ${(now - before).toFixed(2)} s, ${rate} million a second; process ${mega(rss)} (at most ${mega(peak)}), ` +
      `JavaScript heap ${mega(heapUsed)}, guest ${mega(memory.residentBytes)}; ${host.functions} functions, ${host.instructions} instructions, ` +
      `${mega(host.bytes)} of WebAssembly, ${host.flushes} flushes; compiling ${host.compiling.toFixed(1)} s`,
  );
  before = now;
  executed = instructions;
  if (end !== undefined) break;
}
