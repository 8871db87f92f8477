/** The request handlers alone: what they convert, and that each request is answered once, whatever happens. */
import t from 'tap';
import { FilesystemError } from '../../src/filesystem/errors.js';
import { ROOT_NODE } from '../../src/filesystem/filesystem.js';
import { WRITE_OPERATIONS } from '../../src/fuse/fuse-native.js';
import type { FuseStat, FuseStatfs, Reply } from '../../src/fuse/fuse-native.js';
import { createOperations } from '../../src/fuse/operations.js';
import type { PortableFilesystem } from '../../src/fuse/operations.js';
import type { RunCommand } from '../../src/fuse/run-command.js';
import { VersionSplit } from '../../src/fuse/version-split.js';
import { createLogger, silentLogger } from '../../src/observability/logger.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { FilesystemRig } from '../filesystem/filesystem-rig.js';
import { SimulatedClock } from '../support/simulated-clock.js';

interface LogLine {
  readonly level: number;
  readonly operation: string;
}

function operationsOn(filesystem: PortableFilesystem, run: RunCommand = neverRun) {
  const lines: LogLine[] = [];
  const logger = createLogger('debug', { write: (line) => void lines.push(JSON.parse(line) as LogLine) });
  const clock = new SimulatedClock();
  const split = new VersionSplit({ run, clock, logger: silentLogger }, '/mnt');
  return { operations: createOperations({ filesystem, logger, split }, 'linux'), lines };
}

const neverRun: RunCommand = () => {
  throw new Error('no command is expected');
};

/** Calls an operation and resolves with what it replied; a second reply fails the process. */
function replied<Values extends unknown[] = []>(
  call: (reply: Reply<Values>) => void,
): Promise<[status: number, ...values: Partial<Values>]> {
  return new Promise((resolve) => {
    let isReplied = false;
    const reply = (status: number, ...values: Partial<Values>) => {
      if (isReplied) throw new Error('replied twice');
      isReplied = true;
      resolve([status, ...values]);
    };
    call(reply as unknown as Reply<Values>);
  });
}

/** A filesystem of which every method throws `error`; those that may wait do so at once or as a rejection. */
function failing(error: Error, isRejecting: boolean): PortableFilesystem {
  const fail = (): never => {
    throw error;
  };
  const failSomehow = isRejecting ? async () => fail() : fail;
  const root = new FilesystemRig().filesystem;
  return {
    getAttributes: (node) => root.getAttributes(node),
    lookup: failSomehow,
    readDirectory: failSomehow,
    read: failSomehow,
    readsOfOlderVersionsEnded: failSomehow,
    getHandleAttributes: fail,
    open: fail,
    release: fail,
    statfs: fail,
    close: fail,
  };
}

t.test('whatever a filesystem throws becomes one errno, logged once', async (t) => {
  const cases = [
    [new FilesystemError('not_found', 'm'), -2, 20],
    [new FilesystemError('unreachable', 'm'), -5, 40],
    [new FilesystemError('disk_failed', 'm'), -5, 40],
    [new TypeError('bug'), -5, 50],
  ] as const;
  for (const [error, status, level] of cases) {
    for (const isRejecting of [true, false]) {
      const { operations, lines } = operationsOn(failing(error, isRejecting));
      t.same(await replied<[FuseStat]>((reply) => operations.getattr('/a', reply)), [status]);
      t.same(
        await replied<[readonly string[], readonly FuseStat[]]>((reply) => operations.readdir('/', reply)),
        [status],
      );
      t.same(await replied((reply) => operations.read('/a', 1, Buffer.alloc(1), 1, 0, reply)), [status]);
      t.same(
        lines.map((line) => [line.operation, line.level]),
        ['getattr', 'readdir', 'read'].map((operation) => [operation, level]),
      );
    }
    const { operations } = operationsOn(failing(error, false));
    t.same(await replied<[number]>((reply) => operations.open('/', 0, reply)), [status]);
    t.same(await replied((reply) => operations.release('/a', 1, reply)), [status]);
    t.same(await replied<[FuseStatfs]>((reply) => operations.statfs('/', reply)), [status]);
    t.same(await replied<[FuseStat]>((reply) => operations.fgetattr('/a', 1, reply)), [status]);
  }
});

t.test('every operation that would change something answers EROFS', async (t) => {
  const { operations } = operationsOn(new FilesystemRig().filesystem);
  for (const name of WRITE_OPERATIONS) {
    t.same(await replied((reply) => operations[name]('/a', 1, 2, reply)), [-30], name);
  }
  t.same(await replied((reply) => operations.rename('/a', '/b', reply)), [-30]);
});

t.test('attributes, names and bytes are converted for libfuse', async (t) => {
  const rig = new FilesystemRig({ inodeBits: 32 });
  rig.objects.put('d/a', 'hello', { lastModifiedMs: 5000 });
  const { operations } = operationsOn(rig.filesystem);
  const [status, stat] = await replied<[FuseStat]>((reply) => operations.getattr('/d/a', reply));
  t.equal(status, 0);
  t.match(stat, { mode: 0o100444, size: 5, nlink: 1, uid: 1, gid: 2, mtime: 5000, blksize: 131_072 });
  t.match(await replied<[FuseStat]>((reply) => operations.getattr('/', reply)), [
    0,
    { mode: 0o040555, ino: 1 },
  ]);

  const [, names, stats] = await replied<[readonly string[], readonly FuseStat[]]>((reply) =>
    operations.readdir('/d', reply),
  );
  t.same(names, ['.', '..', 'a']);
  t.equal(stats?.[1]?.ino, ROOT_NODE);
  t.equal(stats?.[2]?.ino, stat?.ino);

  const [, handle = 0] = await replied<[number]>((reply) => operations.open('/d/a', 0, reply));
  const target = Buffer.alloc(10);
  t.same(await replied((reply) => operations.read('/d/a', handle, target, 10, 1, reply)), [4]);
  t.equal(target.toString('utf8', 0, 4), 'ello');
  t.match(await replied<[FuseStat]>((reply) => operations.fgetattr('/d/a', handle, reply)), [0, { size: 5 }]);
  t.same(await replied<[number]>((reply) => operations.open('/d/a', 1, reply)), [-30], 'for writing');
  t.same(await replied((reply) => operations.release('/d/a', handle, reply)), [0]);
  t.match(await replied<[FuseStatfs]>((reply) => operations.statfs('/', reply)), [
    0,
    { namemax: 255, bfree: 0 },
  ]);
});

t.test('an open sends no request: it takes the version that the kernel was told of', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0, inodeBits: 32 });
  rig.objects.put('a', 'x');
  const { operations } = operationsOn(rig.filesystem);
  await replied<[FuseStat]>((reply) => operations.getattr('/a', reply));
  rig.takeRequests();
  t.match(await replied<[number]>((reply) => operations.open('/a', 0, reply)), [0, 1]);
  t.same(rig.takeRequests(), []);
});

t.test('the newer version is opened on an inode of its own', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0, inodeBits: 32 });
  rig.objects.put('d/a', 'old');
  const renamed = new Deferred<readonly string[]>();
  const returned = new Deferred<void>();
  const run: RunCommand = async (_file, args) => {
    renamed.resolve(args.slice(-2));
    await returned.promise;
    return { kind: 'exited', exitCode: 0, stdout: '', complaint: '' };
  };
  const { operations } = operationsOn(rig.filesystem, run);
  await replied<[FuseStat]>((reply) => operations.getattr('/d/a', reply));
  const [, old = 0] = await replied<[number]>((reply) => operations.open('/d/a', 0, reply));
  rig.objects.put('d/a', 'newer');
  await replied<[FuseStat]>((reply) => operations.getattr('/d/a', reply));
  const opened = replied<[number]>((reply) => operations.open('/d/a', 0, reply));
  const [from = '', to = ''] = await renamed.promise;
  t.equal(from, '/mnt/d/a');
  const target = to.slice('/mnt'.length);
  t.match(target, /^\/d\/\.fuse_hidden_sluice_/);

  t.match(
    await replied<[FuseStat]>((reply) => operations.getattr('/d/a', reply)),
    [0],
    'the lookup of the rename itself',
  );
  t.same(
    await replied<[FuseStat]>((reply) => operations.getattr(target, reply)),
    [-2],
    'the new name is free',
  );
  t.same(await opened, [-116], 'the open is to be repeated');
  let isFound = false;
  const found = replied<[FuseStat]>((reply) => operations.getattr('/d/a', reply)).then(
    () => (isFound = true),
  );
  t.same(await replied((reply) => operations.rename('/d/b', target, reply)), [-30], 'no other rename passes');
  t.same(await replied((reply) => operations.rename('/d/a', target, reply)), [0]);
  t.notOk(isFound, 'the next lookup waits until the inode has moved');
  returned.resolve();
  await found;
  t.same(await replied((reply) => operations.rename('/d/a', target, reply)), [-30], 'nor the same one again');
  t.same(
    await replied<[FuseStat]>((reply) => operations.getattr(target, reply)),
    [-116],
    'what moved is not found there',
  );

  const [status, handle = 0] = await replied<[number]>((reply) => operations.open('/d/a', 0, reply));
  t.equal(status, 0);
  const bytes = Buffer.alloc(10);
  t.same(await replied((reply) => operations.read('/d/a', handle, bytes, 10, 0, reply)), [5]);
  t.same(await replied((reply) => operations.read(target, old, bytes, 10, 0, reply)), [-116]);
});

t.test('an inode that cannot be set apart keeps the newer version from being opened', async (t) => {
  const rig = new FilesystemRig({ metadataTtlMs: 0, inodeBits: 32 });
  rig.objects.put('a', 'old');
  const run: RunCommand = async () => ({ kind: 'exited', exitCode: 1, stdout: '', complaint: 'EACCES' });
  const { operations } = operationsOn(rig.filesystem, run);
  await replied<[FuseStat]>((reply) => operations.getattr('/a', reply));
  const [, old = 0] = await replied<[number]>((reply) => operations.open('/a', 0, reply));
  rig.objects.put('a', 'newer');
  await replied<[FuseStat]>((reply) => operations.getattr('/a', reply));
  t.same(await replied<[number]>((reply) => operations.open('/a', 0, reply)), [-116]);
  t.equal(rig.filesystem.stats().handles, 1);
  await replied((reply) => operations.release('/a', old, reply));
  t.match(await replied<[FuseStat]>((reply) => operations.getattr('/a', reply)), [0, { size: 5 }]);
  t.match(
    await replied<[number]>((reply) => operations.open('/a', 0, reply)),
    [0],
    'until the older is closed',
  );
});
