// golang.org/issue/72031: why isAsyncSafePoint refuses the runtime by name though the compiler marks all of it unsafe. What the
// assembler adds to a function is called safe all the same; src/goruntime/PREFIXES.md tells which of these places do harm.
import { describe, expect, test } from 'vitest';
import { GoProgram, readElf, SafePoints, type SweepOptions, type SweepResult, sweep } from '../../src/index.ts';
import { fixtureSpec, type Goarch, loadFixture } from '../support/fixtures.ts';
import { LONG } from '../support/long.ts';

const RELEASE = '1.27';
const TIMEOUT = 600_000;
const WITHOUT = new Set(['prefix'] as const);

function swept(fixture: string, goarch: Goarch, options: Partial<SweepOptions>): Promise<SweepResult> {
  const env = Object.entries(fixtureSpec(fixture).env).map(([name, value]) => `${name}=${value}`);
  return sweep(loadFixture(fixture, goarch, RELEASE), { path: fixture, env, safeOnly: true, sample: 0, ...options });
}

test.each([
  ['amd64', 1189, 1420],
  ['mips', 1172, 1358],
] as const)('on %s, %i of %i functions of the runtime have places that the tables call safe', (goarch, some, all) => {
  const program = GoProgram.open(readElf(loadFixture('runtimework', goarch, RELEASE)));
  const points = new SafePoints(program.tables, program.arch, { rules: program.rules, without: WITHOUT });
  const runtime = [...program.tables.funcs()].filter((f) => /^(runtime\.|internal\/runtime\/)/.test(f.name));
  const safe = runtime.filter((f) => points.verdictRuns(f).some((run) => run.verdict !== 'unsafe'));
  expect([safe.length, runtime.length]).toEqual([some, all]);
});

describe('without the check', () => {
  test(
    'a stack cannot be scanned below reflectcallmove, which assembly without stack maps calls on mips',
    async () => {
      const options = { func: '^runtime\\.reflectcallmove$', args: ['results'], limit: 1 };
      const removed = await swept('handover', 'mips', { ...options, without: WITHOUT });
      expect(removed.failures).toMatchObject([
        { oracle: 'scan', detail: expect.stringContaining('callRet, which called runtime.reflectcallmove,') },
        { oracle: 'end', detail: expect.stringContaining('fatal error: missing stackmap') },
      ]);
      const { at } = removed.failures[0]!;
      const kept = await swept('handover', 'mips', { ...options, safeOnly: false, from: at, to: at });
      expect(kept).toMatchObject({ injections: 0, refused: { prefix: 1 } });
    },
    TIMEOUT,
  );
});

// Preemptions by the program's own sysmon come after ten million instructions.
describe.runIf(LONG)('without the check, on amd64, where extended registers are kept per P and per G', () => {
  test(
    'xRegRestore finds registers saved twice',
    async () => {
      const options = { func: '^runtime\\.xRegRestore$', limit: 3, without: WITHOUT };
      const { injections, failures } = await swept('tightloop', 'amd64', options);
      expect(injections).toBe(3);
      expect(failures.map((f) => f.oracle)).toEqual(['end', 'end', 'end']);
      expect(failures[0]!.detail).toContain('gp.xRegState.p != nil on async preempt');
    },
    TIMEOUT,
  );

  test(
    'a goroutine stopped in asyncPreempt2 goes on with the registers of another',
    async () => {
      const options = { func: '^runtime\\.asyncPreempt2$', args: ['registers'], limit: 1, sample: 1, without: WITHOUT };
      const { failures } = await swept('handover', 'amd64', { ...options, patience: 60_000_000 });
      expect(failures).toMatchObject([
        { oracle: 'output', detail: expect.stringContaining('instead of "registers 2002"') },
      ]);
    },
    TIMEOUT,
  );
});
