/** The native request handlers alone: what they convert, what they take back, and that each request is answered once. */
import t from 'tap';
import { FilesystemError } from '../../src/filesystem/errors.js';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import type { Filesystem } from '../../src/filesystem/filesystem.js';
import { OPCODE } from '../../src/fuse/fuse-protocol.js';
import type { Operation } from '../../src/fuse/fuse-protocol.js';
import { FilesystemRig } from '../filesystem/filesystem-rig.js';
import { packed } from '../support/packed.js';
import { handleBody, named, nodeOf, openBody, readBody, startOn, u64 } from './native-rig.js';

const ENOENT = 2;
const EIO = 5;
const EBADF = 9;
const EINVAL = 22;
const EROFS = 30;
const ENXIO = 6;
const ENAMETOOLONG = 36;
const ENOSYS = 38;
const ESTALE = 116;

t.test('every operation that would change something answers EROFS, unknown ones ENOSYS', async (t) => {
  const { ask, session, lines } = startOn(new FilesystemRig().filesystem);
  const changing: Operation[] = [
    'setattr', 'symlink', 'mknod', 'mkdir', 'unlink', 'rmdir', 'rename', 'rename2', 'link', 'write',
    'setxattr', 'removexattr', 'create', 'fallocate', 'copy_file_range', 'tmpfile',
  ]; // prettier-ignore
  for (const operation of changing) t.equal(await ask(operation, ROOT_NODE), EROFS, operation);
  for (const operation of ['access', 'getxattr', 'listxattr'] as const) {
    t.equal(await ask(operation, ROOT_NODE), ENOSYS, operation);
  }
  t.equal(await ask('readlink', ROOT_NODE), EINVAL);
  for (const operation of ['flush', 'fsync', 'fsyncdir', 'syncfs'] as const) {
    t.strictSame(await ask(operation, ROOT_NODE), Buffer.alloc(0), operation);
  }
  t.match(await session.answered(session.request(4242, 1)), { errno: ENOSYS });
  t.same(lines, [], 'nothing of that is worth a line');
});

t.test('whatever a filesystem throws becomes one errno, logged once', async (t) => {
  const cases = [
    [new FilesystemError('not_found', 'm'), ENOENT, 20],
    [new FilesystemError('unreachable', 'm'), EIO, 40],
    [new TypeError('bug'), EIO, 50],
  ] as const;
  for (const [error, errno, level] of cases) {
    const fail = (): never => {
      throw error;
    };
    const failLater = async () => fail();
    const broken: Filesystem = Object.assign(new FilesystemRig().filesystem, {
      lookup: failLater,
      read: failLater,
      readDirectory: failLater,
      getHandleAttributes: fail,
      open: fail,
      release: fail,
      statfs: fail,
    });
    const { ask, lines } = startOn(broken);
    t.equal(await ask('lookup', 1, named('a')), errno);
    t.equal(await ask('read', 1, readBody(1, 0, 10)), errno);
    t.equal(await ask('getattr', 1, packed(['u32', 1], ['u32', 0], ['u64', 3])), errno);
    t.equal(await ask('open', 1, openBody(0)), errno);
    t.equal(await ask('release', 1, handleBody(1)), errno);
    t.equal(await ask('statfs', 1), errno);
    const directory = u64(await ask('opendir', 1, openBody(0)), 0);
    t.equal(await ask('readdir', 1, readBody(directory, 0, 1000)), errno);
    t.same(
      lines.map((line) => [line.operation, line.level, line.node]),
      ['lookup', 'read', 'getattr', 'open', 'release', 'statfs', 'readdir'].map((name) => [name, level, 1]),
    );
  }
});

t.test('names: found, absent, too long, no UTF-8, of a node nobody knows', async (t) => {
  const rig = new FilesystemRig({ versionsApart: true });
  rig.objects.put('a', 'hello');
  rig.objects.put('\ufffd', 'not found by a broken name');
  const { ask } = startOn(rig.filesystem);
  const entry = await ask('lookup', ROOT_NODE, named('a'));
  t.equal((entry as Buffer).length, 128);
  t.equal(u64(entry, 40 + 8), 5, 'its size');
  t.equal(u64(entry, 16), 60, 'valid for the TTL');
  t.equal(await ask('lookup', ROOT_NODE, named('b')), ENOENT);
  t.equal(await ask('lookup', ROOT_NODE, named('x'.repeat(256))), ENAMETOOLONG);
  t.equal(await ask('lookup', ROOT_NODE, Buffer.from([0xff, 0])), ENOENT);
  t.equal(await ask('lookup', 4711, named('a')), ESTALE);
  t.equal(await ask('getattr', 4711, packed(['u32', 0], ['u32', 0], ['u64', 0])), ESTALE);
  t.equal(await ask('opendir', 4711, openBody(0)), ESTALE);
});

t.test('a node is told only while it is retained, and forgotten when it was not told', async (t) => {
  const counts = new Map<number, number>();
  const count = (node: number, by: number) => counts.set(node, (counts.get(node) ?? 0) + by);
  const rig = new FilesystemRig({ versionsApart: true });
  const { filesystem } = rig;
  let vanishing = 0;
  const [retain, forget] = [filesystem.retain.bind(filesystem), filesystem.forget.bind(filesystem)];
  filesystem.retain = (node) => {
    if (vanishing-- > 0) return false;
    count(node, 1);
    return retain(node);
  };
  filesystem.forget = (node, times) => {
    count(node, -times);
    forget(node, times);
  };
  rig.objects.put('a', 'x');
  rig.objects.put('d/b', 'x');
  const started = startOn(filesystem);
  const { ask, session } = started;

  const node = await nodeOf(started, 'a');
  t.equal(counts.get(node), 1);
  vanishing = 3;
  t.equal(await nodeOf(started, 'a'), node, 'looked up again until it stays');
  t.equal(counts.get(node), 2);
  vanishing = 1000;
  t.equal(await ask('lookup', ROOT_NODE, named('a')), ESTALE, 'not for ever');
  vanishing = 0;

  session.isKernelGone = true;
  await ask('lookup', ROOT_NODE, named('a'));
  t.equal(counts.get(node), 2, 'taken back');
  const directory = u64(await ask('opendir', ROOT_NODE, openBody(0)), 0);
  t.equal(await ask('readdir', ROOT_NODE, readBody(directory, 0, 4096)), EBADF, 'the stream is gone, too');
  session.isKernelGone = false;
  const stream = u64(await ask('opendir', ROOT_NODE, openBody(0)), 0);
  session.isKernelGone = true;
  await ask('readdirplus', ROOT_NODE, readBody(stream, 0, 4096));
  session.isKernelGone = false;
  t.same(
    [...counts.values()].sort((a, b) => a - b),
    [0, 2],
  );
  await ask('readdirplus', ROOT_NODE, readBody(stream, 0, 4096));
  t.same(
    [...counts.values()].sort((a, b) => a - b),
    [1, 3],
    'each name once, and neither . nor ..',
  );
});

t.test('a file without a local file is read, sought in and released here', async (t) => {
  const rig = new FilesystemRig({ versionsApart: true });
  rig.objects.put('a', 'hello');
  const started = startOn(rig.filesystem);
  const { ask, session } = started;
  const node = await nodeOf(started, 'a');
  for (const flags of [0o1, 0o2, 0o1000]) t.equal(await ask('open', node, openBody(flags)), EROFS);
  t.equal(rig.filesystem.stats().handles, 0);
  const open = await ask('open', node, openBody(0));
  const handle = u64(open, 0);
  t.equal((open as Buffer).readUInt32LE(8), 2 | 32, 'keeps the cache, needs no flush');
  t.strictSame(await ask('read', node, readBody(handle, 1, 3)), Buffer.from('ell'));
  t.strictSame(await ask('read', node, readBody(handle, 3, 100)), Buffer.from('lo'));
  t.strictSame(await ask('read', node, readBody(handle, 5, 100)), Buffer.alloc(0));
  t.equal(await ask('read', node, readBody(2 ** 33, 0, 1)), EBADF);
  t.equal(u64(await ask('getattr', node, packed(['u32', 1], ['u32', 0], ['u64', handle])), 16 + 8), 5);

  const seek = (offset: number, whence: number) =>
    ask('lseek', node, packed(['u64', handle], ['u64', offset], ['u32', whence], ['u32', 0]));
  t.equal(u64(await seek(2, 3), 0), 2, 'data is everywhere');
  t.equal(u64(await seek(2, 4), 0), 5, 'the hole is behind the end');
  for (const whence of [3, 4]) t.equal(await seek(5, whence), ENXIO);
  t.equal(await seek(0, 0), EINVAL);

  await ask('release', node, handleBody(handle));
  t.equal(rig.filesystem.stats().handles, 0);
  session.isKernelGone = true;
  await ask('open', node, openBody(0));
  t.equal(rig.filesystem.stats().handles, 0, 'an open that was not told is closed again');
});

t.test('reads that wait do not get each other’s bytes', async (t) => {
  const rig = new FilesystemRig({ versionsApart: true });
  rig.objects.put('a', 'first');
  rig.objects.put('b', 'other');
  const started = startOn(rig.filesystem);
  const { session } = started;
  const slots = [];
  for (const name of ['a', 'b']) {
    const node = await nodeOf(started, name);
    const handle = u64(await started.ask('open', node, openBody(0)), 0);
    slots.push(session.request(OPCODE.read, node, readBody(handle, 0, 5)));
  }
  const replies = await Promise.all(slots.map((slot) => session.answered(slot)));
  t.match(replies, [{ body: Buffer.from('first') }, { body: Buffer.from('other') }]);
});

t.test('a file that the addon reads is registered, and passed through when it is complete', async (t) => {
  for (const complete of [true, false]) {
    for (const passthrough of [true, false]) {
      const rig = new FilesystemRig({ versionsApart: true });
      rig.objects.put('a', 'hello');
      const direct = { id: 9 } as never;
      const contentOf = rig.filesystem.contentOf.bind(rig.filesystem);
      rig.filesystem.contentOf = (handle) => Object.assign(contentOf(handle), { direct, complete });
      const started = startOn(rig.filesystem, { passthrough });
      const { session } = started;
      const node = await nodeOf(started, 'a');
      const told = await session.answered(session.request(OPCODE.open, node, openBody(0)));
      t.match(told, { file: 9, flags: complete && passthrough ? 3 : 2 });
      t.equal(rig.filesystem.stats().handles, 1);
      session.isKernelGone = true;
      await session.answered(session.request(OPCODE.open, node, openBody(0)));
      t.equal(rig.filesystem.stats().handles, 1, 'one that is gone is closed again');
    }
  }
});

t.test('the kernel drops what it cached of a version whose copy was corrupt', async (t) => {
  const FOPEN_NOFLUSH = 32;
  for (const direct of [{ id: 9 } as never, undefined]) {
    const rig = new FilesystemRig({ versionsApart: true });
    rig.objects.put('a', 'hello');
    const contentOf = rig.filesystem.contentOf.bind(rig.filesystem);
    rig.filesystem.contentOf = (handle) =>
      Object.assign(contentOf(handle), { direct, replacesCorrupt: true });
    const started = startOn(rig.filesystem, { passthrough: true });
    const { session } = started;
    const node = await nodeOf(started, 'a');
    const told = await session.answered(session.request(OPCODE.open, node, openBody(0)));
    if ('body' in told) t.equal(told.body.readUInt32LE(8), FOPEN_NOFLUSH);
    else t.match(told, { file: 9, flags: 0 });
  }
});

t.test('statfs', async (t) => {
  const { ask } = startOn(new FilesystemRig().filesystem);
  const body = await ask('statfs', ROOT_NODE);
  t.equal((body as Buffer).length, 80);
  t.equal((body as Buffer).readUInt32LE(44), 255);
});
