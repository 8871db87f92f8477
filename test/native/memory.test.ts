/** Locks, mappings and ranges of files through the addon: alone, among threads, and among processes of which one is killed. */
import { once } from 'node:events';
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import type { Test } from 'tap';
import { loadNativeAddon } from '../../src/native.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { AnsweringChild } from '../support/child-process.js';
import { eventually } from '../support/processes.js';
import type { BitWriter, MemoryAnswer, MemoryCommand } from './memory-worker.js';

const addon = loadNativeAddon();
const PAGE = 4096;
const MIB = 1024 * 1024;
const WORKER = fileURLToPath(new URL('memory-worker.js', import.meta.url));

/** A new file of so many zeros. */
function newFile(t: Test, bytes: number) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-memory-'));
  const path = join(folder, 'file');
  const descriptor = openSync(path, 'wx+');
  ftruncateSync(descriptor, bytes);
  t.teardown(() => {
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  });
  return { path, descriptor };
}

function mappingsOf(path: string): number {
  return readFileSync('/proc/self/maps', 'latin1').split(path).length - 1;
}

function child(t: Test, path: string): AnsweringChild<MemoryCommand, MemoryAnswer> {
  const started = new AnsweringChild<MemoryCommand, MemoryAnswer>(WORKER, [path]);
  t.teardown(async () => {
    started.kill('SIGKILL');
    await started.exit;
  });
  return started;
}

async function thread(options: { workerData: BitWriter } | { eval: string; workerData: unknown }) {
  const isText = 'eval' in options;
  const worker = new Worker(isText ? options.eval : WORKER, { ...options, eval: isText });
  const [status] = (await once(worker, 'exit')) as [number];
  if (status !== 0) throw new Error(`the thread ended with ${status}`);
}

t.test('bad arguments throw, and what the system refuses has its errno', async (t) => {
  const { descriptor } = newFile(t, 2 * PAGE);
  t.throws(() => addon.mapFile(descriptor, 1, PAGE), RangeError, 'not on a page boundary');
  t.throws(() => addon.mapFile(descriptor, 0, 0), RangeError);
  t.throws(() => addon.mapFile(-1, 0, 1), RangeError);
  t.throws(() => addon.unmapFile(new ArrayBuffer(8)), RangeError, 'not a mapping');
  t.throws(() => addon.unmapFile(new Uint8Array(8) as unknown as ArrayBuffer), TypeError);
  t.throws(() => addon.punchHole(descriptor, 5, 5), RangeError);
  t.throws(() => addon.checksumRange(descriptor, 6, 5), RangeError);
  const badDescriptor = { code: 'EBADF', errno: -9 };
  t.throws(() => addon.lockFile(999_999), { ...badDescriptor, syscall: 'flock' });
  t.throws(() => addon.mapFile(999_999, 0, 1), badDescriptor);
  t.throws(() => addon.punchHole(999_999, 0, 1), badDescriptor);
  t.throws(() => addon.checksumRange(999_999, 0, 1), badDescriptor);
  const folder = openSync(tmpdir(), 'r');
  t.throws(() => addon.punchHole(folder, 0, 1), { code: 'EBADF' }, 'not open for writing');
  closeSync(folder);
});

t.test('a range that is not in the file is refused: a look at it would end the process', async (t) => {
  const { descriptor } = newFile(t, 3 * PAGE + 1);
  const notThere = { code: 'EINVAL' };
  t.throws(() => addon.mapFile(descriptor, 0, 3 * PAGE + 2), notThere);
  t.throws(() => addon.mapFile(descriptor, 4 * PAGE, 1), notThere);
  t.throws(() => addon.mapFile(descriptor, 0, Number.MAX_SAFE_INTEGER), notThere);
  t.throws(() => addon.mapFile(descriptor, 2 ** 52, 2 ** 52), notThere);
  const last = addon.mapFile(descriptor, 3 * PAGE, 1);
  t.equal(last.byteLength, 1);
  addon.unmapFile(last);
});

t.test('a mapping shows the file and is the file, which is as it was before', async (t) => {
  const { path, descriptor } = newFile(t, MIB);
  writeSync(descriptor, 'before', 2 * PAGE);
  const { blocks, ctimeNs } = statSync(path, { bigint: true });
  const map = addon.mapFile(descriptor, PAGE, MIB - PAGE);
  t.match(statSync(path, { bigint: true }), { blocks, ctimeNs });
  t.equal(Buffer.from(map, PAGE, 6).toString(), 'before');
  Buffer.from(map).write('behind', 5);
  const read = Buffer.alloc(6);
  readSync(descriptor, read, 0, 6, PAGE + 5);
  t.equal(read.toString(), 'behind');
  addon.unmapFile(map);
});

t.test('a mapping that was given back is empty, and gone', async (t) => {
  const { path, descriptor } = newFile(t, PAGE);
  const map = addon.mapFile(descriptor, 0, PAGE);
  const words = new Int32Array(map);
  t.equal(mappingsOf(path), 1);
  addon.unmapFile(map);
  t.equal(map.byteLength, 0);
  t.equal(words.length, 0);
  t.throws(() => Atomics.load(words, 0), TypeError);
  t.throws(() => addon.unmapFile(map), RangeError, 'given back already');
  t.equal(mappingsOf(path), 0);
});

t.test('a mapping that nobody holds is given back by the collector', async (t) => {
  const { path, descriptor } = newFile(t, PAGE);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let times = 0; times < 20; times++) addon.mapFile(descriptor, 0, PAGE);
  t.ok(mappingsOf(path) > 0);
  const gone = await eventually(() => {
    collect();
    return mappingsOf(path) === 0;
  });
  t.ok(gone);
});

t.test('threads map one file side by side; those that a thread leaves behind end with it', async (t) => {
  const { path, descriptor } = newFile(t, PAGE);
  const map = addon.mapFile(descriptor, 0, PAGE);
  const source = `
    const { workerData } = require('node:worker_threads');
    import(workerData.native).then((native) => {
      const addon = native.loadNativeAddon();
      globalThis.maps = [1, 2, 3].map(() => addon.mapFile(workerData.descriptor, 0, ${PAGE}));
      for (const map of globalThis.maps) Atomics.add(new Int32Array(map), 7, 1);
    });`;
  const native = new URL('../../src/native.js', import.meta.url).href;
  await thread({ eval: source, workerData: { native, descriptor } });
  t.equal(new Int32Array(map)[7], 3);
  t.equal(mappingsOf(path), 1, 'its own are gone');
  addon.unmapFile(map);
});

t.test('of what threads and a process write into one map at once nothing is lost', async (t) => {
  const bytes = 16 + MIB / 8;
  const { path, descriptor } = newFile(t, bytes);
  const writers = 4;
  const process = child(t, path);
  const threads = [0, 1, 2].map((writer) => thread({ workerData: { descriptor, bytes, writer, writers } }));
  await Promise.all([...threads, process.ask({ do: 'set', bytes, writer: 3, writers })]);
  const map = addon.mapFile(descriptor, 0, bytes);
  t.equal(new Int32Array(map)[0], MIB);
  t.equal(new BigInt64Array(map, 8, 1)[0], BigInt(MIB));
  t.ok(
    new Uint8Array(map, 16).every((byte) => byte === 0xff),
    'every bit is set',
  );
  addon.unmapFile(map);
});

t.test('a lock is refused while another process holds it, and free when that was killed', async (t) => {
  const { path, descriptor } = newFile(t, 0);
  const holder = child(t, path);
  const other = child(t, path);
  t.same(await holder.ask({ do: 'lock' }), { locked: true });
  t.same(await holder.ask({ do: 'lock' }), { locked: true }, 'whose it is may ask again');
  t.same(await other.ask({ do: 'lock' }), { locked: false });
  t.notOk(addon.lockFile(descriptor));
  holder.kill('SIGKILL');
  await holder.exit;
  t.ok(addon.lockFile(descriptor));
  t.same(await other.ask({ do: 'lock' }), { locked: false });
});

t.test(
  'a lock belongs to one open of the file, in one process too, and ends with its descriptor',
  async (t) => {
    const { path, descriptor } = newFile(t, 0);
    const second = openSync(path, 'r+');
    t.ok(addon.lockFile(second));
    t.notOk(addon.lockFile(descriptor));
    closeSync(second);
    t.ok(addon.lockFile(descriptor));
  },
);

t.test('a hole gives its blocks back and reads as zeros', async (t) => {
  const { path, descriptor } = newFile(t, 0);
  const bytes = fillPattern(new Uint8Array(MIB), 3, 0);
  writeSync(descriptor, bytes);
  const before = statSync(path).blocks;
  addon.punchHole(descriptor, 64 * PAGE, 128 * PAGE);
  bytes.fill(0, 64 * PAGE, 128 * PAGE);
  t.same(readFileSync(path), Buffer.from(bytes), 'the length stays');
  t.ok(statSync(path).blocks <= before - (64 * PAGE) / 512);
});

t.test('the checksum of a range is that of its bytes, however long', async (t) => {
  const { path, descriptor } = newFile(t, 0);
  const bytes = fillPattern(new Uint8Array(3 * MIB + 5), 9, 0);
  writeSync(descriptor, bytes);
  for (const [start, end] of [
    [0, 1],
    [1, MIB],
    [MIB, 2 * MIB],
    [5, bytes.length],
  ] as const) {
    t.equal(await addon.checksumRange(descriptor, start, end), addon.crc32c(bytes, start, end, 0));
  }
  await t.rejects(addon.checksumRange(descriptor, 0, bytes.length + 1), { code: 'ENODATA' });
  const own = openSync(path, 'r');
  const sum = addon.checksumRange(own, 0, bytes.length);
  closeSync(own);
  t.equal(await sum, addon.crc32c(bytes, 0, bytes.length, 0), 'the descriptor may be closed meanwhile');
});
