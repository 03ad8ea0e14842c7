// `run`, `exec` and `step` as a user types them.

import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { stepCommand } from '../../cli/commands/step.ts';
import { safepoint } from '../support/cli.ts';
import { fixturePath } from '../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'safepoint-run-'));
const hello = fixturePath('hello', 'mips', '1.27');

describe('run', () => {
  it("exits with the program's own status", async () => {
    expect(await safepoint('run', fixturePath('exitcode', 'mips', '1.19'))).toMatchObject({ status: 7, err: '' });
  });

  it('writes statistics with the documented fields', async () => {
    const file = join(folder, 'stats.json');
    const args = ['--preempt', 'every=1009', '--trace-hash', '--stats', file];
    expect(await safepoint('run', ...args, hello)).toMatchObject({ status: 0, out: 'hello, world\n' });
    const stats = JSON.parse(readFileSync(file, 'utf8'));
    expect(stats).toMatchObject({
      version: 1,
      goarch: 'mips',
      go: 'go1.27.3',
      exit: 0,
      instructions: expect.any(Number),
      seconds: expect.any(Number),
      traceHash: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
    const { evaluating, compiling, compiled, kernel, other, tlbMisses, pages, resident } = stats.host;
    const parts = [evaluating, compiling, compiled, kernel, other];
    for (const seconds of parts) expect(seconds).toBeGreaterThanOrEqual(0);
    expect(parts.reduce((a, b) => a + b, 0)).toBeLessThan(stats.seconds + 1);
    expect(evaluating).toBeGreaterThan(0);
    expect(tlbMisses).toEqual({ loads: expect.any(Number), stores: expect.any(Number) });
    expect(pages.touched).toBeGreaterThan(10);
    expect(resident).toBeGreaterThan(4096);
    const { delivered, injected, refused } = stats.interrupts;
    const refusals = Object.values(refused as Record<string, number>).reduce((a, b) => a + b, 0);
    expect(delivered).toBe(injected + refusals);
    expect(delivered).toBeGreaterThan(100);
  });

  it('prints system calls with --strace', async () => {
    const { err } = await safepoint('run', '--strace', hello);
    expect(err).toMatch(/^\[1000\] write\(1, "hello, world\\n", 13\) = 13$/m);
    expect(err).toMatch(/^\[1000\] exit_group\(0\)/m);
  });

  it('passes what follows the program to it, options of our own included', async () => {
    const { status, out } = await safepoint('run', fixturePath('bench', 'amd64', '1.27'), 'hello', '--strace');
    expect([status, out]).toEqual([0, 'hello\n']);
  });

  it('says where it stopped when the limit is reached', async () => {
    const { status, err } = await safepoint('run', '--max-instructions', '1000', hello);
    expect(status).toBe(1);
    expect(err).toMatch(/^safepoint: .*stopped after 1000 instructions at .*; raise --max-instructions\n$/);
  });

  it('preempts at a place until the request is served', async () => {
    const file = join(folder, 'at.json');
    const path = fixturePath('calls', 'mips', '1.27');
    await safepoint('run', '--preempt', 'at=main.fib,hit=3', '--stats', file, path);
    const { interrupts } = JSON.parse(readFileSync(file, 'utf8'));
    expect(interrupts.injected).toBe(1);
  }, 120_000);
});

describe('step', () => {
  async function transcript(lines: string): Promise<string> {
    const said: string[] = [];
    const say = (text: string): void => void said.push(text);
    const guest = (_stream: 1 | 2, bytes: Uint8Array): void => say(Buffer.from(bytes).toString());
    const output = { out: say, err: say, guest, isTerminal: false };
    const program = new Command().enablePositionalOptions();
    program.addCommand(stepCommand(output, () => undefined, Readable.from([lines])));
    await program.parseAsync(['step', hello], { from: 'user' });
    return said.join('');
  }

  it('reads as a transcript when piped: stops in a delay slot, is refused, goes back, and ends', async () => {
    const out = await transcript(
      'continue main.main\nwhere\nexplain\nfire\nregs\ngoroutines\nback 2\nstep 2\nnonsense\ncontinue\nstep\nquit\n',
    );
    expect(out).toMatch(/^\(safepoint\) continue main\.main\n\d+ {2}main\.main \(main\.go:6\)/m);
    expect(out).toMatch(
      /^ {2}0x[0-9a-f]+ {2}sp 0x[0-9a-f]+ {2}main\.main {2}.*main\.go:6\n {2}0x[0-9a-f]+ .*runtime\.main/m,
    );
    expect(out).toMatch(/^accepted: main\.main.*runtime\.asyncPreempt is injected/m);
    expect(out).toMatch(/ R28 +[0-9a-f]{8}/);
    expect(out).toMatch(/^\* +goroutine 1 /m);
    expect(out).toMatch(/no command nonsense; help lists them/);
    expect(out).toMatch(/hello, world\nthe program ended: exit status 0/);
    expect(out).toMatch(/the program has ended; back goes back, quit leaves/);
  }, 120_000);

  it('steps back to the same state', async () => {
    const out = await transcript('step 100000\nregs\nstep 5000\nback 5000\nregs\nquit\n');
    const [first, second] = out
      .split('(safepoint) regs\n')
      .slice(1)
      .map((t) => t.split('(safepoint)')[0]);
    expect(second).toBe(first);
  }, 120_000);
});
