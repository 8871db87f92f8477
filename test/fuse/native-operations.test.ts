/** The native request handlers alone: what they convert, what they take back, and that each request is answered once. */
import t from 'tap';
import { FilesystemError } from '../../src/filesystem/errors.js';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import type { Filesystem } from '../../src/filesystem/filesystem.js';
import { OPCODE } from '../../src/fuse/fuse-protocol.js';
import type { Operation } from '../../src/fuse/fuse-protocol.js';
import { decodeEvents } from '../../src/fuse/native-events.js';
import type { NativeEvents } from '../../src/fuse/native-events.js';
import { NativeOperations } from '../../src/fuse/native-operations.js';
import { createLogger } from '../../src/observability/logger.js';
import { FilesystemRig } from '../filesystem/filesystem-rig.js';
import { FakeSession } from '../support/fake-addon.js';
import { packed } from '../support/packed.js';

const ENOENT = 2;
const EIO = 5;
const EBADF = 9;
const EINVAL = 22;
const EROFS = 30;
const ENXIO = 6;
const ENAMETOOLONG = 36;
const ENOSYS = 38;
const ESTALE = 116;

interface LogLine {
  readonly level: number;
  readonly operation: string;
  readonly node: number;
}

function startOn(filesystem: Filesystem, { passthrough = true } = {}) {
  const lines: LogLine[] = [];
  const logger = createLogger('debug', { write: (line) => void lines.push(JSON.parse(line) as LogLine) });
  const events = Buffer.alloc(65_536);
  const replies = Buffer.alloc(65_536);
  const session = new FakeSession({
    descriptor: -1,
    threads: 1,
    cloneDescriptors: false,
    readBytesMax: 65_536,
    readDeadlineMs: 1000,
    passthrough,
    traceReads: false,
    events,
    replies,
    onEvents: (bytes) => decodeEvents(events, bytes, { request } as NativeEvents, unexpected),
  });
  const operations = new NativeOperations({ filesystem, logger, session, replies }, { passthrough });
  const request: NativeEvents['request'] = (given) => operations.handle(given);
  /** The errno, or the body when that is 0. */
  const ask = async (operation: Operation, node: number, body?: Uint8Array): Promise<number | Buffer> => {
    const reply = await session.answered(session.request(OPCODE[operation], node, body));
    if (!('errno' in reply)) throw new Error('answered as an open');
    return reply.errno === 0 ? reply.body : reply.errno;
  };
  return { session, ask, lines };
}

function unexpected(error: unknown): void {
  throw error;
}

const named = (name: string) => Buffer.from(`${name}\0`);
const readBody = (handle: number, offset: number, size: number) =>
  packed(['u64', handle], ['u64', offset], ['u32', size], ['u32', 0], ['u64', 0], ['u64', 0]);
const handleBody = (handle: number) => packed(['u64', handle], ['u64', 0], ['u64', 0]);
const openBody = (flags: number) => packed(['u32', flags], ['u32', 0]);

/** A number of 8 bytes in a reply. */
function u64(body: number | Buffer, at: number): number {
  if (typeof body === 'number') throw new Error(`answered with errno ${body}`);
  return Number(body.readBigUInt64LE(at));
}

/** Looks a path up; returns its node. */
async function nodeOf({ ask }: ReturnType<typeof startOn>, path: string): Promise<number> {
  let node = ROOT_NODE;
  for (const name of path.split('/')) node = u64(await ask('lookup', node, named(name)), 0);
  return node;
}

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
  t.same([...counts.values()].sort(), [0, 2]);
  await ask('readdirplus', ROOT_NODE, readBody(stream, 0, 4096));
  t.same([...counts.values()].sort(), [1, 3], 'each name once, and neither . nor ..');
});

interface Listed {
  readonly name: string;
  readonly inode: number;
  readonly next: number;
  readonly type: number;
  readonly node: number | undefined;
}

/** Reads the entries of a READDIR or READDIRPLUS reply as the kernel does. */
function listedIn(body: number | Buffer, plus: boolean): Listed[] {
  if (typeof body === 'number') throw new Error(`answered with errno ${body}`);
  const entries: Listed[] = [];
  for (let at = 0; at < body.length;) {
    const node = plus ? u64(body, at) : undefined;
    if (plus) at += 128;
    const length = body.readUInt32LE(at + 16);
    const name = body.toString('utf8', at + 24, at + 24 + length);
    entries.push({
      name,
      inode: u64(body, at),
      next: u64(body, at + 8),
      type: body.readUInt32LE(at + 20),
      node,
    });
    at += Math.ceil((24 + length) / 8) * 8;
  }
  return entries;
}

t.test('a directory is listed in pages, from one listing, until it is read from the beginning', async (t) => {
  const rig = new FilesystemRig({ versionsApart: true, metadataTtlMs: 0 });
  for (const key of ['a', 'b', 'c', 'd/x']) rig.objects.put(key, 'x');
  const { ask } = startOn(rig.filesystem);
  const stream = u64(await ask('opendir', ROOT_NODE, openBody(0)), 0);
  const page = async (offset: number, size: number, plus = false) =>
    listedIn(await ask(plus ? 'readdirplus' : 'readdir', ROOT_NODE, readBody(stream, offset, size)), plus);

  const first = await page(0, 100);
  t.same(first.map(({ name, next }) => [name, next]), [['.', 1], ['..', 2], ['a', 3]]); // prettier-ignore
  rig.objects.put('a2', 'x');
  const second = await page(3, 4096);
  t.same(second.map(({ name, type }) => [name, type]), [['b', 8], ['c', 8], ['d', 4]]); // prettier-ignore
  t.same(await page(6, 4096), [], 'the end');
  t.same(await page(600, 4096), []);
  t.same(await page(2, 20), [], 'not even one fits');
  const plus = await page(0, 4096, true);
  t.same(plus.map(({ name }) => name), ['.', '..', 'a', 'a2', 'b', 'c', 'd']); // prettier-ignore
  t.same(plus.slice(0, 2).map(({ node }) => node), [0, 0]); // prettier-ignore
  t.ok(plus.slice(2).every(({ node = 0 }) => node > ROOT_NODE));
  t.equal(plus[0]?.inode, 1);
  await ask('releasedir', ROOT_NODE, handleBody(stream));
  t.equal(await ask('readdir', ROOT_NODE, readBody(stream, 0, 4096)), EBADF);
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

t.test('statfs', async (t) => {
  const { ask } = startOn(new FilesystemRig().filesystem);
  const body = await ask('statfs', ROOT_NODE);
  t.equal((body as Buffer).length, 80);
  t.equal((body as Buffer).readUInt32LE(44), 255);
});
