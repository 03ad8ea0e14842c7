// Rates of what tools are made of: snapshots, forks, single steps, a callback on and a count of every instruction; and how cost grows with the run.
// Usage: tsx test/bench/rates.ts [--goarch A] [--only NAME,…]. Rates are per second of this process's CPU time, which a busy machine
// distorts less than time on the wall, and per second on the wall.

import { InstructionCounts } from '../../src/debug/profile.ts';
import type { Machine } from '../../src/engine/machine.ts';
import { archOf, type Goarch, Session } from '../../src/index.ts';
import { loadFixture } from '../support/fixtures.ts';

const argument = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};
const goarch = (argument('goarch') ?? 'amd64') as Goarch;
const only = argument('only')?.split(',');

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

function open(purpose: string, args: readonly string[] = [], engine: 'compile' | 'evaluate' = 'compile'): Session {
  return Session.open(loadFixture(purpose, goarch, '1.27'), { path: `/${purpose}`, args, engine });
}

function report(name: string, count: number, work: () => void): void {
  const cpu = cpuSeconds();
  const began = performance.now();
  work();
  const wall = (performance.now() - began) / 1000;
  const spent = cpuSeconds() - cpu;
  const rate = (seconds: number): string => Math.round(count / seconds).toLocaleString('en');
  console.log(`${goarch} ${name}: ${rate(spent)} a CPU second, ${rate(wall)} a second`);
}

const measurements: Readonly<Record<string, () => void>> = {
  snapshots: () => {
    const session = open('bench', ['json']);
    for (const age of [2e6, 2e7, 1e8]) {
      session.advance(age);
      const cycle = (): void => {
        const snapshot = session.save();
        session.advance(session.machine.instructions + 1000);
        session.restore(snapshot);
        session.drop(snapshot);
      };
      for (let i = 0; i < 500; i++) cycle();
      report(`snapshot, 1,000 instructions, restore; json after ${age / 1e6} million`, 5000, () => {
        for (let i = 0; i < 5000; i++) cycle();
      });
    }
  },
  forks: () => {
    const session = open('hello');
    session.advance(100_000);
    const snapshot = session.save();
    const fork = (): void => {
      session.advance(session.machine.instructions + 100);
      session.restore(snapshot);
    };
    for (let i = 0; i < 500; i++) fork();
    report('forks of hello, 100 instructions each', 20_000, () => {
      for (let i = 0; i < 20_000; i++) fork();
    });
  },
  steps: () => {
    for (const engine of ['compile', 'evaluate'] as const) {
      const session = open('bench', ['json'], engine);
      session.advance(3e6);
      let sum = 0;
      const step = (): void => {
        session.step();
        sum = (sum + session.machine.state.pc) | 0;
      };
      for (let i = 0; i < 100_000; i++) step();
      report(`single steps of json, PC read after each (engine ${engine})`, 1e6, () => {
        for (let i = 0; i < 1e6; i++) step();
      });
    }
    const session = open('bench', ['json'], 'evaluate');
    session.advance(3e6 + 1e5);
    report('the evaluator over the same instructions', 1e6, () => {
      session.advance(3e6 + 1e5 + 1e6);
    });
  },
  callbacks: () => {
    let sum = 0;
    const watched: Readonly<Record<string, (machine: Machine) => void>> = {
      'a callback on every instruction of fannkuch': (machine) => {
        machine.observer = (pc) => {
          sum = (sum + pc) | 0;
        };
      },
      'every instruction counted': (machine) => {
        machine.counter = new InstructionCounts(() => machine.instructions);
      },
      'the same instructions without': () => {},
    };
    const [from, count] = [2e7, 1e8];
    for (const [what, watch] of Object.entries(watched)) {
      const session = open('bench', ['fannkuch']);
      watch(session.machine);
      session.advance(from);
      report(what, count, () => {
        session.advance(from + count);
      });
    }
    if (sum === 0) throw new Error(`the callback saw nothing on ${archOf(goarch).goarch}`);
  },
};

for (const [name, work] of Object.entries(measurements)) if (only?.includes(name) ?? true) work();
