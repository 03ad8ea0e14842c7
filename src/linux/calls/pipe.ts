// pipe and pipe2.

import { openFlags } from '../abi/files.ts';
import type { Call, Result, Row } from '../call.ts';
import { row } from '../call.ts';
import { O_CLOEXEC, O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../vfs/file.ts';
import { makePipe } from '../vfs/pipe.ts';
import { filesOf } from './files.ts';

function makeEnds(call: Call, flags: number): [number, number] {
  const vfs = filesOf(call);
  const pipe = makePipe(vfs.newObject());
  const closeOnExec = (flags & O_CLOEXEC) !== 0;
  const ino = vfs.newIno();
  const status = flags & (O_NONBLOCK | O_DIRECT);
  pipe.readers = pipe.writers = 1;
  const read = vfs.install(
    { kind: 'pipe', pipe, end: 'read', refs: 0, flags: O_RDONLY | status, ino, wait: pipe.readable },
    closeOnExec,
  );
  try {
    const write = vfs.install(
      { kind: 'pipe', pipe, end: 'write', refs: 0, flags: O_WRONLY | status, ino, wait: pipe.writable },
      closeOnExec,
    );
    return [read, write];
  } catch (error) {
    vfs.close(read);
    throw error;
  }
}

function store(call: Call, ends: readonly [number, number]): Result {
  const at = call.args[0]!;
  try {
    call.memory.writeU32(at, ends[0]);
    call.memory.writeU32(at + 4, ends[1]);
  } catch (error) {
    for (const fd of ends) filesOf(call).close(fd);
    throw error;
  }
  return 0;
}

export const PIPE_ROWS: readonly Row[] = [
  row('pipe', ['out'], (call) => {
    const ends = makeEnds(call, 0);
    if (!call.abi.mips) return store(call, ends);
    // The second descriptor comes back in R3 (sysm_pipe of arch/mips/kernel/syscall.c).
    call.second = ends[1];
    return ends[0];
  }),
  row('pipe2', ['out', 'flags'], (call) => {
    const flags = openFlags(call.abi, call.args[1]!);
    if ((flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) !== 0) return 'EINVAL';
    return store(call, makeEnds(call, flags));
  }),
];
