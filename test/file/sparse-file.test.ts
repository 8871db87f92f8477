import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SparseFile } from '../../src/file/sparse-file.js';
import { eventually } from '../support/processes.js';

function unexpected(error: Error): void {
  throw error;
}

/** Descriptors of this process that lead to `path`. */
function descriptors(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false;
    }
  }).length;
}

t.test(
  'nothing is created before the first write; then the file is private, sparse and of full size',
  async (t) => {
    const path = join(t.testdir({}), 'store');
    const file = new SparseFile(path, 1 << 30, unexpected);
    t.notOk(existsSync(path));
    await file.write([Buffer.from('ab'), Buffer.from('c')], 5000);
    const { size, blocks, mode } = statSync(path);
    t.equal(size, 1 << 30);
    t.ok(blocks * 512 < 1 << 20, 'a hole takes no space');
    t.equal(mode & 0o777, 0o600);
    const target = new Uint8Array(3);
    await file.read(target, 5000);
    t.equal(Buffer.from(target).toString(), 'abc');
    file.remove();
  },
);

t.test('a parked file keeps no descriptor, not even after being used, until it is unparked', async (t) => {
  const path = join(t.testdir({}), 'store');
  const file = new SparseFile(path, 100, unexpected);
  await file.write([Buffer.from('x')], 0);
  t.equal(descriptors(path), 1);
  const late = file.write([Buffer.from('y')], 1);
  file.park();
  await late;
  t.ok(await eventually(() => descriptors(path) === 0), 'closed behind the write that was in progress');
  const target = new Uint8Array(2);
  await file.read(target, 0);
  t.equal(Buffer.from(target).toString(), 'xy');
  t.ok(await eventually(() => descriptors(path) === 0), 'and behind one that came later');
  file.unpark();
  await file.read(target, 0);
  t.equal(descriptors(path), 1);
  file.remove();
  t.ok(await eventually(() => descriptors(path) === 0 && !existsSync(path)));
});

t.test(
  'the file that is lent is created when needed, and duplicates of its descriptor outlive it',
  async (t) => {
    const path = join(t.testdir({}), 'store');
    const file = new SparseFile(path, 100, unexpected);
    const duplicate = file.lend((fd) => {
      t.equal(fstatSync(fd).size, 100);
      return openSync(`/proc/self/fd/${fd}`, 'r');
    });
    await file.write([Buffer.from('x')], 10);
    file.park();
    t.ok(await eventually(() => descriptors(path) === 1), 'the duplicate alone');
    t.throws(() => file.lend(() => openSync('/proc/self/no such file', 'r')), { code: 'ENOENT' });
    file.lend((fd) => t.equal(fstatSync(fd).ino, fstatSync(duplicate).ino));
    t.ok(
      await eventually(() => descriptors(path) === 1),
      'a parked file is closed behind the call, however it ends',
    );
    file.remove();
    t.ok(await eventually(() => !existsSync(path)));
    const target = new Uint8Array(1);
    readSync(duplicate, target, 0, 1, 10);
    closeSync(duplicate);
    t.equal(Buffer.from(target).toString(), 'x');
    t.throws(() => file.lend(() => {}), /was removed/);
  },
);

t.test('what closing or deleting fails with is told, never thrown', async (t) => {
  const folder = t.testdir({});
  const problems: Error[] = [];
  const file = new SparseFile(join(folder, 'store'), 100, (error) => problems.push(error));
  await file.write([Buffer.from('x')], 0);
  rmSync(folder, { recursive: true });
  file.remove();
  t.ok(await eventually(() => problems.length > 0));
  t.match(problems, [{ code: 'ENOENT' }]);
  await t.rejects(file.write([Buffer.from('x')], 0), /was removed/);
});

t.test('removal during reads lets them end, and closes the descriptor after the last', async (t) => {
  const path = join(t.testdir({}), 'store');
  const file = new SparseFile(path, 1 << 20, unexpected);
  await file.write([Buffer.alloc(1 << 20, 7)], 0);
  const targets = Array.from({ length: 8 }, () => new Uint8Array(1 << 20));
  const reads = targets.map((target) => file.read(target, 0));
  file.remove();
  file.remove();
  await Promise.all(reads);
  t.ok(targets.every((target) => target.every((byte) => byte === 7)));
  t.ok(await eventually(() => descriptors(path) === 0 && !existsSync(path)));
});

t.test('a file that was cut from outside is an error, never zeros or a hang', async (t) => {
  const path = join(t.testdir({}), 'store');
  const file = new SparseFile(path, 100, unexpected);
  await file.write([Buffer.from('x')], 0);
  truncateSync(path, 10);
  await t.rejects(file.read(new Uint8Array(20), 0), /was cut from outside/);
  file.remove();
});

t.test('a folder that is gone is reported by the first write, and by the next one again', async (t) => {
  const file = new SparseFile(join(t.testdir({}), 'no', 'such', 'folder'), 10, unexpected);
  await t.rejects(file.write([Buffer.from('x')], 0), { code: 'ENOENT' });
  await t.rejects(file.write([Buffer.from('x')], 0), { code: 'ENOENT' });
  file.remove();
});
