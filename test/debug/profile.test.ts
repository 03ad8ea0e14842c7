// The profile of a guest: exact by instruction, named by the program's own tables, and a file that pprof reads.

import { gunzipSync } from 'node:zlib';
import { type Function as PprofFunction, Profile } from 'pprof-format';
import { describe, expect, it } from 'vitest';
import { InstructionCounts } from '../../src/debug/profile.ts';
import { Session } from '../../src/index.ts';
import { type Goarch, loadFixture } from '../support/fixtures.ts';

async function profiled(purpose: string, goarch: Goarch, args: readonly string[] = []) {
  const session = Session.open(loadFixture(purpose, goarch, '1.27'), { path: `/${purpose}`, args, profile: true });
  const end = session.run();
  const profile = Profile.decode(gunzipSync((await session.profile(`bin/${purpose}`))!));
  const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)]!;
  const functions = new Map(profile.function.map((f): [number, PprofFunction] => [Number(f.id), f]));
  const locations = profile.location.map(({ address, line }, i) => ({
    pc: Number(address),
    count: Number(profile.sample[i]!.value[0]),
    frames: line.map((l) => {
      const f = functions.get(Number(l.functionId))!;
      return { name: text(f.name), file: text(f.filename), line: Number(l.line) };
    }),
  }));
  const total = locations.reduce((sum, l) => sum + l.count, 0);
  return { session, end, profile, text, locations, total };
}

describe('the profile', () => {
  it.each(['amd64', 'mips'] as const)('counts every instruction that %s executes, once', async (goarch) => {
    const { session, end, profile, text, locations, total } = await profiled('hello', goarch);
    expect(end).toEqual({ kind: 'exit', status: 0 });
    expect(total).toBe(session.machine.instructions);
    expect(text(profile.sampleType[0]!.type)).toBe('instructions');
    expect(text(profile.mapping[0]!.filename)).toBe('bin/hello');
    const entry = session.go!.program.tables.funcsNamed('main.main')[0]!.entry;
    expect(locations.find((l) => l.pc === entry)).toMatchObject({
      count: 1,
      frames: [{ name: 'main.main', file: expect.stringMatching(/main\.go$/), line: expect.any(Number) }],
    });
    // Inlined calls stand before the function that holds them.
    const { tables } = session.go!.program;
    const inlined = locations.filter((l) => l.frames.length > 1);
    expect(inlined.length).toBeGreaterThan(100);
    for (const { pc, frames } of inlined) expect(frames.at(-1)!.name).toBe(tables.findfunc(pc)!.name);
  });

  it('leaves the names to pprof where there are no Go tables', async () => {
    const session = Session.open(loadFixture('notgo', 'mips', 'none'), { path: '/notgo', profile: true });
    session.run();
    const profile = Profile.decode(gunzipSync((await session.profile('notgo'))!));
    expect(profile.sample.map((s) => Number(s.value[0]))).toEqual(Array(session.machine.instructions).fill(1));
    expect(profile.function).toEqual([]);
    expect(profile.mapping.map((m) => m.hasFunctions)).toEqual([false]);
  });

  it('is none where it was not asked for', async () => {
    const session = Session.open(loadFixture('hello', 'mips', '1.27'), { path: '/hello' });
    expect(await session.profile('hello')).toBeUndefined();
  });
});

describe('InstructionCounts', () => {
  it('does not count an instruction that faulted and came again, nor one at which the run ended', () => {
    let now = 0;
    const counts = new InstructionCounts(() => now);
    counts.add(0x1000);
    now++;
    counts.add(0x1004); // faults
    counts.add(0x2000); // its handler
    now++;
    counts.add(0x1004);
    now++;
    counts.add(0x1008); // kills
    expect([...counts.entries()]).toEqual([
      [0x1000, 1],
      [0x1004, 1],
      [0x2000, 1],
    ]);
  });
});
