import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostTree } from '../../src/linux/vfs/host.ts';
import { BASE, Guest } from './guest.ts';

let work = '';
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'vfs-'));
  writeFileSync(join(work, 'secret'), 'outside');
  mkdirSync(join(work, 'outer'));
  writeFileSync(join(work, 'outer', 'secret'), 'outside');
  const tree = join(work, 'tree');
  mkdirSync(join(tree, 'sub', 'deep'), { recursive: true });
  writeFileSync(join(tree, 'b.txt'), 'inside');
  writeFileSync(join(tree, 'a.txt'), 'first');
  writeFileSync(join(tree, 'sub', 'deep', 'c.txt'), 'deep');
  symlinkSync('../secret', join(tree, 'relative'));
  symlinkSync(join(work, 'secret'), join(tree, 'absolute'));
  symlinkSync('../outer', join(tree, 'outer'));
  symlinkSync('sub/deep', join(tree, 'inner'));
  symlinkSync('loop', join(tree, 'loop'));
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const guestWith = (readOnly = false): Guest =>
  new Guest('amd64', { directories: [{ host: join(work, 'tree'), guest: '/data', readOnly }] });

describe('a guest sees', () => {
  test('an empty root and nothing of the host', () => {
    const guest = new Guest('amd64');
    expect(guest.call('openat', -100, '/etc/passwd', 0, 0)).toBe('ENOENT');
    expect(guest.call('openat', -100, work, 0, 0)).toBe('ENOENT');
    const fd = guest.open('/');
    const at = guest.buffer(512);
    const length = guest.number('getdents64', fd, at, 512);
    const names: string[] = [];
    for (let done = 0; done < length; done += guest.memory.readU16(at + done + 16))
      names.push(Buffer.from(guest.memory.readCString(at + done + 19)).toString());
    expect(names).toEqual(['.', '..', 'dev', 'proc', 'sys', 'tmp']);
  });

  test('a mapped directory, sorted whatever the host does', () => {
    const guest = guestWith();
    const fd = guest.open('/data');
    const at = guest.buffer(1024);
    const length = guest.number('getdents64', fd, at, 1024);
    const names: string[] = [];
    for (let done = 0; done < length; done += guest.memory.readU16(at + done + 16))
      names.push(Buffer.from(guest.memory.readCString(at + done + 19)).toString());
    expect(names).toEqual(['.', '..', 'a.txt', 'absolute', 'b.txt', 'inner', 'loop', 'outer', 'relative', 'sub']);
  });

  test('links that stay inside', () => {
    const guest = guestWith();
    expect(guest.read(guest.open('/data/inner/c.txt'))).toBe('deep');
    expect(guest.read(guest.open('/data/inner/../../b.txt'))).toBe('inside');
  });
});

describe('there is no way out of a mapped directory', () => {
  const escapes = [
    '/data/../secret',
    '/data/../../secret',
    '/data/../../../../../../../../etc/hostname',
    '/data/relative',
    '/data/absolute',
    '/data/outer/secret',
    '/data/sub/../../secret',
    '/data/inner/../../../secret',
    '/data//..//..//secret',
  ];
  test.each(escapes)('open %s', (path) => {
    expect(guestWith().call('openat', -100, path, 0, 0)).toBe('ENOENT');
  });
  test.each(escapes)('creating %s', (path) => {
    const result = guestWith().call('openat', -100, path, 0o101, 0o644);
    // The name may lead into the guest's own root, which cannot be written, never to the host's.
    expect(['ENOENT', 'EROFS']).toContain(result);
    expect(readFileSync(join(work, 'secret'), 'utf8')).toBe('outside');
  });
  test('a link that the guest makes itself', () => {
    const guest = guestWith();
    expect(guest.call('symlinkat', '../secret', -100, '/data/made')).toBe(0);
    expect(guest.call('openat', -100, '/data/made', 0, 0)).toBe('ENOENT');
    expect(guest.call('unlinkat', -100, '/data/made', 0)).toBe(0);
  });
  test('a loop of links ends', () => {
    expect(guestWith().call('openat', -100, '/data/loop', 0, 0)).toBe('ELOOP');
  });
  test('the guard refuses a directory that has become a link since the path was resolved', () => {
    const root = mkdtempSync(join(work, 'race-'));
    mkdirSync(join(root, 'd'));
    writeFileSync(join(root, 'd', 'secret'), 'inside');
    const tree = new HostTree(root);
    const read = (): string => {
      const handle = tree.open(['d', 'secret'], { read: true, write: false });
      const bytes = tree.read(handle, ['d', 'secret'], { read: true, write: false }, 0, 100);
      tree.close(handle);
      return Buffer.from(bytes).toString();
    };
    expect(read()).toBe('inside');
    renameSync(join(root, 'd'), join(root, 'e'));
    symlinkSync(join(work, 'outer'), join(root, 'd'));
    expect(read).toThrow();
    expect(() => tree.mkdir(['d', 'made'], 0o755)).toThrow();
    expect(() => tree.unlink(['d', 'secret'])).toThrow();
    expect(() => tree.list(['d'])).toThrow();
    expect(tree.stat(['d', 'secret'])).toBeUndefined();
  });
  test.runIf(process.platform === 'linux')(
    'no descriptor of the host is left open, and what is disposed of can be used again',
    () => {
      const open = (): number => readdirSync('/proc/self/fd').length;
      const before = open();
      const tree = new HostTree(join(work, 'tree'));
      for (let i = 0; i < 2; i++) {
        expect(tree.stat(['sub', 'deep', 'c.txt'])?.size).toBe(4);
        tree.open(['b.txt'], { read: true, write: false });
        expect(tree.stat(['nothing', 'there'])).toBeUndefined();
        expect(open()).toBe(before + 2);
        tree.dispose();
        expect(open()).toBe(before);
      }
    },
  );

  test('the guard refuses names that are no names', () => {
    const tree = new HostTree(join(work, 'tree'));
    for (const name of ['..', '.', '', 'a/b', 'a\0b'])
      expect(() => tree.open([name], { read: true, write: false })).toThrow();
  });
  test('a file that has become a link is not followed', () => {
    const root = mkdtempSync(join(work, 'race-'));
    symlinkSync(join(work, 'secret'), join(root, 'f'));
    expect(() => new HostTree(root).open(['f'], { read: true, write: false })).toThrow();
    expect(() => new HostTree(root).chmod(['f'], 0o777)).toThrow();
  });
});

describe('a read-only mapping', () => {
  test('can be read and not changed in any way', () => {
    const guest = guestWith(true);
    expect(guest.read(guest.open('/data/b.txt'))).toBe('inside');
    expect(guest.call('openat', -100, '/data/b.txt', 1, 0)).toBe('EROFS');
    expect(guest.call('openat', -100, '/data/b.txt', 0o1000, 0)).toBe('EROFS');
    expect(guest.call('openat', -100, '/data/new', 0o101, 0o644)).toBe('EROFS');
    expect(guest.call('mkdirat', -100, '/data/new', 0o755)).toBe('EROFS');
    expect(guest.call('unlinkat', -100, '/data/b.txt', 0)).toBe('EROFS');
    expect(guest.call('renameat', -100, '/data/b.txt', -100, '/data/c.txt')).toBe('EROFS');
    expect(guest.call('linkat', -100, '/data/b.txt', -100, '/data/c.txt', 0)).toBe('EROFS');
    expect(guest.call('symlinkat', 'x', -100, '/data/c.txt')).toBe('EROFS');
    expect(guest.call('fchmodat', -100, '/data/b.txt', 0o777)).toBe('EROFS');
    expect(guest.call('utimensat', -100, '/data/b.txt', 0, 0)).toBe('EROFS');
    expect(guest.call('truncate', '/data/b.txt', 0)).toBe('EROFS');
    expect(guest.call('faccessat', -100, '/data/b.txt', 2)).toBe('EROFS');
    expect(readFileSync(join(work, 'tree', 'b.txt'), 'utf8')).toBe('inside');
  });
});

describe('a writable mapping', () => {
  test('takes files, renames and removals to the host', () => {
    const guest = guestWith();
    const fd = guest.open('/data/new.txt', 0o102);
    expect(guest.write(fd, 'hello')).toBe(5);
    expect(readFileSync(join(work, 'tree', 'new.txt'), 'utf8')).toBe('hello');
    expect(guest.call('lseek', fd, 1, 0)).toBe(1);
    expect(guest.read(fd)).toBe('ello');
    expect(guest.call('renameat', -100, '/data/new.txt', -100, '/data/sub/moved')).toBe(0);
    expect(readFileSync(join(work, 'tree', 'sub', 'moved'), 'utf8')).toBe('hello');
    expect(guest.call('renameat', -100, '/data/sub/moved', -100, '/tmp/moved')).toBe('EXDEV');
    expect(guest.call('unlinkat', -100, '/data/sub/moved', 0)).toBe(0);
    expect(guest.call('unlinkat', -100, '/data', 0x200)).toBe('EBUSY');
    expect(guest.read(fd)).toBe('');
  });

  test('shows guest time on what the guest has changed', () => {
    const guest = guestWith();
    const fd = guest.open('/data/timed', 0o102);
    guest.write(fd, 'x');
    const at = guest.buffer(144);
    expect(guest.call('fstat', fd, at)).toBe(0);
    expect(guest.memory.readU64(at + 88)).toBe(1_704_067_201n);
    expect(guest.call('unlinkat', -100, '/data/timed', 0)).toBe(0);
  });
});

describe('files in memory', () => {
  test('keep what is written, with holes and truncation', () => {
    const guest = new Guest('amd64');
    const fd = guest.open('/tmp/f', 0o102);
    const far = guest.bytes('end');
    expect(guest.call('pwrite64', fd, far.at, 3, 10000)).toBe(3);
    const at = guest.buffer(144);
    guest.call('fstat', fd, at);
    expect(guest.memory.readU64(at + 48)).toBe(10003n);
    expect(guest.memory.readU64(at + 64)).toBe(8n);
    expect(guest.read(fd, 4)).toBe('\0\0\0\0');
    expect(guest.call('ftruncate', fd, 10001)).toBe(0);
    expect(guest.call('ftruncate', fd, 10003)).toBe(0);
    expect(guest.call('lseek', fd, 9999, 0)).toBe(9999);
    expect(guest.read(fd, 100)).toBe('\0e\0\0');
  });

  test('live on without a name until they are closed, and then give their memory back', () => {
    const guest = new Guest('amd64');
    const fd = guest.open('/tmp/f', 0o102);
    guest.write(fd, 'still here');
    expect(guest.vfs.state.pages).toBe(1);
    expect(guest.call('unlinkat', -100, '/tmp/f', 0)).toBe(0);
    guest.call('lseek', fd, 0, 0);
    expect(guest.read(fd)).toBe('still here');
    expect(guest.call('close', fd)).toBe(0);
    expect(guest.vfs.state.pages).toBe(0);
  });

  test('end with ENOSPC at the limit', () => {
    const guest = new Guest('amd64', { memoryLimit: 4096 });
    const fd = guest.open('/tmp/f', 0o102);
    expect(guest.call('write', fd, BASE, 4096)).toBe(4096);
    expect(guest.call('write', fd, BASE, 1)).toBe('ENOSPC');
  });

  test('are renamed and linked as on Linux', () => {
    const guest = new Guest('amd64');
    guest.write(guest.open('/tmp/a', 0o102), 'A');
    guest.write(guest.open('/tmp/b', 0o102), 'B');
    expect(guest.call('linkat', -100, '/tmp/a', -100, '/tmp/c', 0)).toBe(0);
    expect(guest.call('renameat2', -100, '/tmp/a', -100, '/tmp/b', 1)).toBe('EEXIST');
    expect(guest.call('renameat2', -100, '/tmp/a', -100, '/tmp/b', 2)).toBe(0);
    expect(guest.read(guest.open('/tmp/a'))).toBe('B');
    expect(guest.read(guest.open('/tmp/c'))).toBe('A');
    expect(guest.call('mkdirat', -100, '/tmp/d', 0o755)).toBe(0);
    expect(guest.call('mkdirat', -100, '/tmp/d/e', 0o755)).toBe(0);
    expect(guest.call('renameat', -100, '/tmp/d', -100, '/tmp/d/e/f')).toBe('EINVAL');
    expect(guest.call('unlinkat', -100, '/tmp/d', 0x200)).toBe('ENOTEMPTY');
    expect(guest.call('chdir', '/tmp/d/e')).toBe(0);
    expect(guest.call('renameat', -100, '/tmp/d', -100, '/tmp/g')).toBe(0);
    const at = guest.buffer(64);
    expect(guest.call('getcwd', at, 64)).toBe(9);
    expect(guest.string(at, 9)).toBe('/tmp/g/e\0');
  });

  test('the fixed tree cannot be changed', () => {
    const guest = new Guest('amd64');
    expect(guest.call('openat', -100, '/new', 0o101, 0o644)).toBe('EROFS');
    expect(guest.call('unlinkat', -100, '/dev/null', 0)).toBe('EROFS');
    expect(guest.call('mkdirat', -100, '/proc/x', 0o755)).toBe('EROFS');
    expect(guest.call('openat', -100, '/tmp/f', 0o301, 0o644)).toBe(3);
    expect(guest.call('openat', -100, '/tmp/f', 0o301, 0o644)).toBe('EEXIST');
  });

  test('a snapshot brings back contents, names, offsets and pipes, any number of times', () => {
    const guest = new Guest('amd64');
    const fd = guest.open('/tmp/f', 0o102);
    guest.write(fd, 'before');
    const ends = guest.buffer(8);
    guest.call('pipe2', ends, 0);
    guest.write(5, 'queued');
    const saved = guest.vfs.save();
    for (let round = 0; round < 2; round++) {
      guest.write(fd, ' after');
      expect(guest.call('unlinkat', -100, '/tmp/f', 0)).toBe(0);
      expect(guest.read(4)).toBe('queued');
      guest.call('close', fd);
      guest.vfs.restore(saved);
      expect(guest.read(guest.open('/tmp/f'))).toBe('before');
      guest.call('close', 6);
      expect(guest.call('lseek', fd, 0, 1)).toBe(6);
    }
    expect(guest.read(4)).toBe('queued');
  });

  test('snapshots of one file keep the contents that each has seen, in any order', () => {
    const guest = new Guest('amd64');
    const fd = guest.open('/tmp/f', 0o102);
    const saved = ['one', 'two', 'three'].map((text) => {
      guest.write(fd, text);
      return guest.vfs.save();
    });
    guest.call('ftruncate', fd, 0);
    for (const [which, text] of [
      [2, 'onetwothree'],
      [0, 'one'],
      [1, 'onetwo'],
    ] as const) {
      guest.vfs.restore(saved[which]!);
      expect(guest.read(guest.open('/tmp/f'))).toBe(text);
      guest.write(fd, ' and more');
      guest.call('ftruncate', fd, 2);
    }
  });

  test('a snapshot costs nothing where no call has used a file since the last one', () => {
    const guest = new Guest('amd64');
    const fd = guest.open('/tmp/f', 0o102);
    const saved = guest.vfs.save();
    expect(guest.vfs.save()).toBe(saved);
    guest.write(fd, 'x');
    const later = guest.vfs.save();
    expect(later).not.toBe(saved);
    guest.vfs.restore(saved);
    expect(guest.vfs.save()).toBe(saved);
    expect(guest.read(guest.open('/tmp/f'))).toBe('');
  });
});

describe('/proc, /sys and /dev', () => {
  test('tell what Go asks for', () => {
    const guest = new Guest('amd64');
    expect(guest.read(guest.open('/sys/kernel/mm/transparent_hugepage/hpage_pmd_size'))).toBe('2097152\n');
    expect(guest.read(guest.open('/proc/self/cgroup'))).toBe('0::/\n');
    expect(guest.read(guest.open('/proc/sys/net/core/somaxconn'))).toBe('4096\n');
    expect(guest.read(guest.open('/proc/self/maps'))).toMatch(/^00100000-00200000 rw-p 00000000 00:00 0 \n$/);
    expect(guest.read(guest.open('/proc/thread-self/comm'))).toBe('test\n');
    expect(guest.read(guest.open('/dev/zero'), 3)).toBe('\0\0\0');
    expect(guest.write(guest.open('/dev/full', 1), 'x')).toBe('ENOSPC');
    const at = guest.buffer(64);
    expect(guest.call('readlinkat', -100, '/proc/self', at, 64)).toBe(4);
    const fd = guest.open('/tmp');
    const length = guest.number('readlinkat', -100, `/proc/self/fd/${fd}`, at, 64);
    expect(guest.string(at, length)).toBe('/tmp');
  });

  test('entropy comes from the seed', () => {
    const read = (): unknown => {
      const guest = new Guest('amd64');
      return guest.read(guest.open('/dev/urandom'), 16);
    };
    expect(read()).toBe(read());
  });

  test('/dev/stdout is standard output', () => {
    const guest = new Guest('amd64');
    guest.write(guest.open('/dev/stdout', 1), 'hello\n');
    expect(guest.output.text(1)).toBe('hello\n');
  });
});
