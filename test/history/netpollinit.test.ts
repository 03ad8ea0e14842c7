// Go 1.22 for mips64 and mips64le stores eight bytes at an address that is a multiple of four only: in netpollinit, where epoll's
// event has its data. Linux repairs that for every program (sysmips MIPS_FIXADE), and so does Safepoint; user-mode QEMU does not.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { Session } from '../../src/index.ts';
import { fixturePath, loadFixture } from '../support/fixtures.ts';

const FIXTURE = ['timers', 'mips64', '1.22'] as const;
/** `sd R4, 100(R29)`: ev.Data, in a frame that is a multiple of eight bytes long. */
const PLACE = 'runtime.netpollinit+0xf8';
const OFFSET = 100;
const QEMU = 'qemu-mips64';

const hasQemu = process.platform === 'linux' && spawnSync(QEMU, ['--version']).status === 0;

test('the unaligned store of netpollinit is repaired, and counts as one instruction', () => {
  const session = Session.open(loadFixture(...FIXTURE), { path: 'timers', stdout: () => {}, stderr: () => {} });
  const { machine } = session;
  const [pc] = session.locate(PLACE);
  machine.breakpoints = new Set([pc!]);
  expect(session.advance(10_000_000)).toBeUndefined();
  machine.breakpoints = undefined;
  expect(machine.state.pc).toBe(pc);
  const value = machine.state.get(machine.state.register('R4'));
  const address = machine.state.getNumber(machine.state.register('R29')) + OFFSET;
  expect(address % 8).toBe(4);
  const before = machine.instructions;
  expect(session.advance(before + 1)).toBeUndefined();
  expect(machine.state.pc).toBe(pc! + 4);
  expect(machine.instructions).toBe(before + 1);
  const stored = machine.memory.read(address, 8);
  expect(BigInt(`0x${Buffer.from(stored).toString('hex')}`)).toBe(value);
  expect(value).not.toBe(0n);
});

test.runIf(hasQemu)(`${QEMU} sends SIGBUS there`, () => {
  const { status, stderr } = spawnSync(QEMU, [fixturePath(...FIXTURE)], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain('[signal SIGBUS: bus error');
  expect(stderr).toMatch(/runtime\.netpollinit\(\)\n.*netpoll_epoll\.go:38 \+0xf8/);
});
