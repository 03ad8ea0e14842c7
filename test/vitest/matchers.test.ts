// The matchers of `safepoint/vitest`: what passes, and that a failure says what decided and how to see it again.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GoProgram, InputError, readElf } from '../../src/index.ts';
import { program } from '../../src/vitest/index.ts';
import { safepoint } from '../support/cli.ts';
import { fixturePath, NOTGO } from '../support/fixtures.ts';

const path = fixturePath('hello', 'mips', '1.27');
const hello = program(path);

/** What a failed expectation says. */
async function messageOf(expectation: () => unknown): Promise<string> {
  try {
    await expectation();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('the expectation holds');
}

/** Runs the last command that a message names. */
function again(message: string): ReturnType<typeof safepoint> {
  const command = /^.*(safepoint (?:sweep|explain|verify) .*)$/m.exec(message)![1]!;
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2]!);
  return safepoint(...words.slice(1));
}

describe('toSurvivePreemption', { timeout: 120_000 }, () => {
  test('says which oracle objects to which injection, with a command that makes it again', async () => {
    const careless = program(path, { without: ['restart'] });
    const range = { func: /^main\.main$/, limit: 40, sample: 0 };
    await expect(hello).toSurvivePreemption(range);
    const message = await messageOf(() => expect(careless).toSurvivePreemption(range));
    expect(message).toMatch(/\(go1\.27\S* mips\): \d+ objections? to \d+ injections\n/);
    expect(message).toMatch(/registers: at instruction \d+, 0x[0-9a-f]+ main\.main\+0x[0-9a-f]+ .*\n {4}R23 was /);
    expect(message).toContain(
      `all of them: safepoint sweep --func '^main\\.main$' --limit 40 --sample 0 --without restart ${path}`,
    );
    const { status, out } = await again(message);
    expect(status).toBe(1);
    expect(out).toMatch(/^registers: at instruction/m);
  });

  test('is an error where nothing is injected, also with not', async () => {
    const refused = { func: /^runtime\.schedinit$/, limit: 1, to: 100_000 };
    for (const expectation of [
      () => expect(hello).toSurvivePreemption(refused),
      () => expect(hello).not.toSurvivePreemption(refused),
    ]) {
      expect(await messageOf(expectation)).toMatch(/nothing was injected in the range: .*\n {2}safepoint sweep --func/);
    }
    await expect(() => expect(hello).toSurvivePreemption({ func: /x/i })).rejects.toThrow('flags are not supported');
    await expect(() => expect('hello').toSurvivePreemption()).rejects.toThrow('wants program(PATH), and got hello');
  });
});

describe('toBeSafePoint', () => {
  test('names the check that refused, the values behind it, and the command', async () => {
    const { pcs } = GoProgram.open(readElf(hello.bytes)).locate('main.main');
    const entry = hello.at('main.main');
    expect(entry).toBeSafePoint();
    const lr = pcs[0]! + 8;
    expect(entry).not.toBeSafePoint({ lr });
    const message = await messageOf(() => expect(entry).toBeSafePoint({ lr }));
    expect(message).toMatch(/^main\.main in .*hello.* \(go1\.27\S* mips, rules \S+\) is no safe-point\n/);
    expect(message).toMatch(/main\.main\+0x0 is unsafe \(half-call\): .*\n +findfunc pass: .*\n +half-call refuse: /);
    expect(message).toMatch(/safepoint explain --lr 0x[0-9a-f]+ \S+ 0x[0-9a-f]+$/);
    const { status, out } = await again(message);
    expect(status).toBe(0);
    expect(out).toMatch(/\nunsafe: /);
  });

  test('calls a restart a safe-point, and says so where none is wanted', async () => {
    const { out } = await safepoint('map', '--json', path, 'main.main');
    const { funcs } = JSON.parse(out) as { funcs: { points: { pc: number; verdict: string }[] }[] };
    const restart = funcs[0]!.points.find((p) => p.verdict === 'restart')!;
    const place = hello.at(`0x${restart.pc.toString(16)}`);
    expect(place).toBeSafePoint();
    const message = await messageOf(() => expect(place).not.toBeSafePoint());
    expect(message).toMatch(/is a safe-point\n.* is restart \(restart\): .*resumes at 0x/);
  });

  test('asks all places of a line', async () => {
    const line = program(path).at('proc.go:1');
    await expect(async () => expect(line).toBeSafePoint()).rejects.toThrow('no code comes from line 1 of proc.go');
    await expect(async () => expect(hello).toBeSafePoint()).rejects.toThrow('wants program(PATH).at(LOC)');
  });
});

describe('toAgreeWithItsRuntime', { timeout: 120_000 }, () => {
  test('lists disagreements, with the command that prints them all', async () => {
    const range = { func: 'main.main' };
    const old = program(path, { rules: 'seed' });
    const message = await messageOf(() => expect(old).toAgreeWithItsRuntime(range));
    expect(message).toMatch(
      /agree at \d+ of \d+ PCs\n {2}0x[0-9a-f]+ main\.main.*: ours unsafe \(unsafe-point\), the runtime's/,
    );
    expect(message).toContain(`all of it: safepoint verify --func main.main --rules seed ${path}`);
  });
});

describe('program', () => {
  test('refuses what is none, naming the file', async () => {
    expect(() => program('/no/such')).toThrow(InputError);
    expect(() => program('/no/such')).toThrow('/no/such: no such file');
    // @ts-expect-error not a check
    expect(() => program(path, { without: ['luck'] })).toThrow('there is no check luck');
    const notgo = program(fixturePath(NOTGO, 'mips', 'none'));
    await expect(() => expect(notgo).toSurvivePreemption()).rejects.toThrow('no pclntab');
    expect(notgo.run()).toMatchObject({ status: 3, stdout: 'hi\n', stderr: '' });
  });
});

test('every export of the package is built from a source', () => {
  const read = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');
  const { exports } = JSON.parse(read('package.json')) as {
    exports: Record<string, { types: string; default: string }>;
  };
  expect(Object.keys(exports)).toEqual(['.', './vitest']);
  for (const { types, default: js } of Object.values(exports)) {
    const source = js.replace(/^\.\/dist\/(.*)\.js$/, '$1.ts');
    expect(read(source)).toMatch(/^\/\/ /);
    expect(types).toBe(js.replace(/\.js$/, '.d.ts'));
  }
});
