import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SparseFile } from '../../src/file/sparse-file.js';
import { nativeAddonIfAny } from '../../src/native.js';
import { eventually } from '../support/processes.js';

const MIB = 1024 * 1024;

function create(path: string, size: number, exists = false): SparseFile {
  const onProblem = (error: Error) => {
    throw error;
  };
  return new SparseFile({ path, size, exists, addon: nativeAddonIfAny(), onProblem });
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
    const file = create(path, 1 << 30);
    t.notOk(existsSync(path));
    await file.write([Buffer.from('ab'), Buffer.from('c')], 5000);
    const { size, blocks, mode } = statSync(path);
    t.equal(size, 1 << 30);
    t.ok(blocks * 512 < 1 << 20, 'a hole takes no space');
    t.equal(mode & 0o777, 0o600);
    const target = new Uint8Array(3);
    await file.read(target, 5000);
    t.equal(Buffer.from(target).toString(), 'abc');
    await file.close();
    t.ok(existsSync(path), 'whose it is decides what becomes of it');
  },
);

t.test('a file of before is opened as it is, and one that was never created is not read', async (t) => {
  const path = join(t.testdir({}), 'store');
  writeFileSync(path, 'before');
  const { mtimeNs } = statSync(path, { bigint: true });
  const file = create(path, 6, true);
  const target = new Uint8Array(6);
  await file.read(target, 0);
  t.equal(Buffer.from(target).toString(), 'before');
  await file.close();
  t.equal(statSync(path, { bigint: true }).mtimeNs, mtimeNs, 'reading leaves no trace');
  const missing = create(`${path}2`, 6, true);
  await t.rejects(missing.read(target, 0), { code: 'ENOENT' });
});

t.test('a file that another process renames meanwhile is found', async (t) => {
  const folder = t.testdir({ part: 'bytes' });
  let asked = 0;
  const file = new SparseFile({
    get path() {
      asked += 1;
      return join(folder, asked === 1 ? 'part' : 'final');
    },
    size: 5,
    exists: true,
    onProblem: (error) => t.fail(error.message),
  });
  renameSync(join(folder, 'part'), join(folder, 'final'));
  const target = new Uint8Array(5);
  await file.read(target, 0);
  t.equal(Buffer.from(target).toString(), 'bytes');
  await file.close();
});

t.test('it is closed behind what is in progress, and used no more', async (t) => {
  const path = join(t.testdir({}), 'store');
  const file = create(path, 1 << 20);
  await file.write([Buffer.alloc(1 << 20, 7)], 0);
  t.equal(descriptors(path), 1);
  const targets = Array.from({ length: 8 }, () => new Uint8Array(1 << 20));
  const reads = targets.map((target) => file.read(target, 0));
  const closed = file.close();
  t.equal(file.close(), closed);
  await Promise.all(reads);
  t.ok(targets.every((target) => target.every((byte) => byte === 7)));
  await closed;
  t.equal(descriptors(path), 0);
  await t.rejects(file.write([Buffer.from('x')], 0), /was closed/);
});

t.test('one that was never opened is closed at once', async (t) => {
  const path = join(t.testdir({}), 'store');
  await create(path, 100).close();
  t.notOk(existsSync(path));
});

t.test(
  'the file that is lent is created when needed, and duplicates of its descriptor outlive it',
  async (t) => {
    const path = join(t.testdir({}), 'store');
    const file = create(path, 100);
    const duplicate = file.lend((fd) => {
      t.equal(fstatSync(fd).size, 100);
      return openSync(`/proc/self/fd/${fd}`, 'r');
    });
    await file.write([Buffer.from('x')], 10);
    const borrowed = file.borrow();
    const closed = file.close();
    t.equal(fstatSync(borrowed.descriptor).ino, fstatSync(duplicate).ino, 'what is borrowed stays open');
    borrowed.release();
    await closed;
    t.ok(await eventually(() => descriptors(path) === 1), 'the duplicate alone');
    const target = new Uint8Array(1);
    readSync(duplicate, target, 0, 1, 10);
    closeSync(duplicate);
    t.equal(Buffer.from(target).toString(), 'x');
    t.throws(() => file.lend(() => {}), /was closed/);
  },
);

t.test('what is punched out takes no space and reads as zeros, the rest stays', async (t) => {
  const path = join(t.testdir({}), 'store');
  const file = create(path, 3 * MIB);
  await file.write([Buffer.alloc(3 * MIB, 7)], 0);
  const before = statSync(path).blocks;
  const isPunched = file.punch({ start: MIB, end: 2 * MIB });
  t.equal(isPunched, nativeAddonIfAny() !== undefined);
  if (isPunched) {
    t.equal((before - statSync(path).blocks) * 512, MIB);
    const target = Buffer.alloc(3 * MIB);
    await file.read(target, 0);
    t.ok(target.equals(Buffer.concat([Buffer.alloc(MIB, 7), Buffer.alloc(MIB), Buffer.alloc(MIB, 7)])));
    t.equal(statSync(path).size, 3 * MIB);
  }
  await file.close();
});

t.test('a file that was cut from outside is an error, never zeros or a hang', async (t) => {
  const path = join(t.testdir({}), 'store');
  const file = create(path, 100);
  await file.write([Buffer.from('x')], 0);
  truncateSync(path, 10);
  await t.rejects(file.read(new Uint8Array(20), 0), /was cut from outside/);
  await file.close();
});

t.test('a folder that is gone is reported by the first write, and by the next one again', async (t) => {
  const folder = join(t.testdir({}), 'folder');
  const file = create(join(folder, 'store'), 10);
  await t.rejects(file.write([Buffer.from('x')], 0), { code: 'ENOENT' });
  await t.rejects(file.write([Buffer.from('x')], 0), { code: 'ENOENT' });
  mkdirSync(folder);
  await file.write([Buffer.from('x')], 0);
  await file.close();
});
