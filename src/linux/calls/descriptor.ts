// fcntl, ioctl, and files without a name.

import { CallError } from '../abi/errno.ts';
import { FCNTL, FLOCK, FLOCK64, guestOpenFlags, IOCTL, nameOf, openFlags, WINSIZE } from '../abi/files.ts';
import type { Call, Result, Row } from '../call.ts';
import { refused, row } from '../call.ts';
import { descriptor, setCloseOnExec } from '../vfs/descriptors.ts';
import { O_APPEND, O_ASYNC, O_DIRECT, O_LARGEFILE, O_NOATIME, O_NONBLOCK, type OpenFile } from '../vfs/file.ts';
import { seek } from '../vfs/io.ts';
import { openAnonymous } from '../vfs/open.ts';
import { PIPE_BUF } from '../vfs/pipe.ts';
import type { Vfs } from '../vfs/vfs.ts';
import { filesOf, pathAt } from './files.ts';

const FD_CLOEXEC = 1;
const F_UNLCK = 2;
/** Flags that F_SETFL may change (SETFL_MASK). */
const SETFL = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;
/** fs.pipe-max-size */
const PIPE_MAX = 1_048_576;

function fcntl(call: Call): Result {
  const [fd, command, argument] = call.args as [number, number, number];
  const vfs = filesOf(call);
  const table = vfs.state.descriptors;
  const { file, closeOnExec } = descriptor(table, fd);
  const { abi, memory } = call;
  const name = nameOf(abi, FCNTL, command);
  // An O_PATH descriptor has few commands (check_fcntl_cmd).
  if (file.kind === 'path' && !['F_DUPFD', 'F_DUPFD_CLOEXEC', 'F_GETFD', 'F_SETFD', 'F_GETFL'].includes(name ?? ''))
    return 'EBADF';
  switch (name) {
    case 'F_DUPFD':
    case 'F_DUPFD_CLOEXEC': {
      const from = argument | 0;
      if (from < 0 || from >= table.limit) return 'EINVAL';
      return vfs.install(file, name === 'F_DUPFD_CLOEXEC', from);
    }
    case 'F_GETFD':
      return closeOnExec ? FD_CLOEXEC : 0;
    case 'F_SETFD':
      setCloseOnExec(table, fd, (argument & FD_CLOEXEC) !== 0);
      return 0;
    case 'F_GETFL':
      // 64-bit programs open everything with O_LARGEFILE (force_o_largefile), which F_GETFL then shows.
      return guestOpenFlags(abi, file.flags | (abi.word === 8 && file.wait === undefined ? O_LARGEFILE : 0));
    case 'F_SETFL':
      file.flags = (file.flags & ~SETFL) | (openFlags(abi, argument) & SETFL);
      return 0;
    case 'F_GETLK':
      FLOCK.set(memory, abi.word, argument, { type: F_UNLCK });
      return 0;
    case 'F_GETLK64':
    case 'F_OFD_GETLK':
      FLOCK64.set(memory, abi.word, argument, { type: F_UNLCK });
      return 0;
    case 'F_SETLK':
    case 'F_SETLKW':
    case 'F_SETLK64':
    case 'F_SETLKW64':
    case 'F_OFD_SETLK':
    case 'F_OFD_SETLKW':
    case 'F_SETOWN':
    case 'F_GETOWN':
      return 0;
    case 'F_GETPIPE_SZ':
      return file.kind === 'pipe' ? file.pipe.capacity : 'EBADF';
    case 'F_SETPIPE_SZ': {
      if (file.kind !== 'pipe') return 'EBADF';
      if (argument > PIPE_MAX) return 'EPERM';
      // A power of two of pages (round_pipe_size).
      const size = 2 ** Math.ceil(Math.log2(Math.max(argument, PIPE_BUF)));
      if (size < file.pipe.queue.length) return 'EBUSY';
      file.pipe.capacity = size;
      return size;
    }
    default:
      return 'EINVAL';
  }
}

/** Bytes that a read would give at once. */
function waiting(vfs: Vfs, file: OpenFile): number {
  switch (file.kind) {
    case 'pipe':
      return file.pipe.queue.length;
    case 'socket':
      return file.socket.type === 'stream'
        ? file.socket.received.length
        : (file.socket.datagrams[0]?.bytes.length ?? 0);
    case 'memory':
    case 'host': {
      const at = file.offset;
      const end = seek(vfs, file, 0, 'end');
      file.offset = at;
      return Math.max(0, end - at);
    }
    case 'stream':
      return 0;
    default:
      throw new CallError('ENOTTY');
  }
}

function ioctl(call: Call): Result {
  const [fd, request, argument] = call.args as [number, number, number];
  const vfs = filesOf(call);
  const table = vfs.state.descriptors;
  const { file } = descriptor(table, fd);
  const { abi, memory } = call;
  if (file.kind === 'path') return 'EBADF';
  const name = nameOf(abi, IOCTL, request);
  switch (name) {
    case 'FIONBIO':
      file.flags = memory.readU32(argument) !== 0 ? file.flags | O_NONBLOCK : file.flags & ~O_NONBLOCK;
      return 0;
    case 'FIOCLEX':
    case 'FIONCLEX':
      setCloseOnExec(table, fd, name === 'FIOCLEX');
      return 0;
    case 'FIONREAD':
      memory.writeU32(argument, Math.min(waiting(vfs, file), 0x7fff_ffff));
      return 0;
  }
  if (file.kind !== 'stream' || vfs.terminal === undefined) return 'ENOTTY';
  switch (name) {
    case 'TCGETS':
      // Four words of flags (none set), the line discipline, and 19 (MIPS: 23) control characters.
      memory.write(argument, new Uint8Array(abi.mips ? 40 : 36));
      return 0;
    case 'TCSETS':
    case 'TCSETSW':
    case 'TCSETSF':
      return 0;
    case 'TIOCGPGRP':
      memory.writeU32(argument, call.kernel.identity.pid);
      return 0;
    case 'TIOCGWINSZ':
      WINSIZE.write(memory, abi.word, argument, vfs.terminal);
      return 0;
    default:
      return 'ENOTTY';
  }
}

function memfdCreate(call: Call): Result {
  const MFD_CLOEXEC = 1;
  const MFD_ALLOW_SEALING = 2;
  const [name, flags] = call.args as [number, number];
  if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING)) !== 0) return 'EINVAL';
  const text = pathAt(call, name);
  if (text.length > 249) return 'EINVAL';
  const vfs = filesOf(call);
  return vfs.install(openAnonymous(vfs, text), (flags & MFD_CLOEXEC) !== 0);
}

const LOCKS = 'locks always succeed: no other process is there to hold one';

export const DESCRIPTOR_ROWS: readonly Row[] = [
  row('fcntl', ['fd', 'int', 'size'], fcntl, { support: 'partial', note: LOCKS }),
  row('fcntl64', ['fd', 'int', 'size'], fcntl, { support: 'partial', note: LOCKS }),
  row('ioctl', ['fd', 'hex', 'ptr'], ioctl, {
    support: 'partial',
    note: 'FIONBIO, FIONREAD, FIOCLEX; terminals by option',
  }),
  row('memfd_create', ['string', 'flags'], memfdCreate, { support: 'partial', note: 'without seals' }),
  refused('inotify_init', [], 'ENOSYS', 'no notification of file changes'),
  refused('inotify_init1', ['flags'], 'ENOSYS', 'no notification of file changes'),
  refused('inotify_add_watch', ['fd', 'path', 'flags'], 'ENOSYS', 'no notification of file changes'),
  refused('inotify_rm_watch', ['fd', 'int'], 'ENOSYS', 'no notification of file changes'),
  refused('signalfd', ['fd', 'ptr', 'size'], 'ENOSYS', 'signals are delivered to handlers'),
  refused('signalfd4', ['fd', 'ptr', 'size', 'flags'], 'ENOSYS', 'signals are delivered to handlers'),
  refused('io_uring_setup', ['uint', 'ptr'], 'ENOSYS', 'programs fall back to epoll'),
];
