/** The addon as JavaScript sees it: loading, validation, one session over a socket, its end; on whatever Node runs this. */
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import type { Test } from 'tap';
import { Availability } from '../../src/runtime/availability.js';
import { loadNativeAddon, MODE_CACHED, NATIVE_STATS } from '../../src/native.js';
import { fillPattern } from '../../src/runtime/pattern.js';
import { attachSharedMemory } from '../../src/runtime/shared-memory.js';
import { createMappedMemory } from '../support/mapped-memory.js';
import { eventually } from '../support/processes.js';
import { EVENT, startOverSocket } from './addon-rig.js';
import { OPCODE } from './socket-kernel.js';

const addon = loadNativeAddon();
const MIB = 1024 * 1024;

function sessionThreads(): string[] {
  return readdirSync('/proc/self/task').flatMap((id) => {
    try {
      const name = readFileSync(`/proc/self/task/${id}/comm`, 'latin1').trim();
      return name.startsWith('sluice-') ? [name] : [];
    } catch {
      return [];
    }
  });
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function stat(values: Float64Array, name: (typeof NATIVE_STATS)[number]): number {
  return values[NATIVE_STATS.indexOf(name)] ?? NaN;
}

/** A file of pattern bytes, nothing of it published yet. */
function patternFile(t: Test, size: number, availability = Availability.create(size)) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-addon-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const descriptor = openSync(join(folder, 'file'), 'w+');
  const bytes = fillPattern(new Uint8Array(size), 7, 0);
  writeSync(descriptor, bytes);
  const { buffer, byteOffset, byteLength } = availability.memory;
  const file = addon.openFile(new Int32Array(buffer, byteOffset, byteLength / 4));
  addon.attachFile(file, descriptor);
  closeSync(descriptor);
  return { file, availability, bytes };
}

t.test('bad arguments throw, and nothing happens', async (t) => {
  t.throws(() => addon.openFile(new Int32Array(3)), RangeError);
  t.throws(() => addon.openFile(new Uint8Array(64) as unknown as Int32Array), TypeError);
  const tooShort = Availability.create(64 * MIB).memory.buffer.slice(0, 128);
  t.throws(
    () => addon.openFile(new Int32Array(tooShort)),
    RangeError,
    'a bitmap that does not hold the size',
  );
  t.doesNotThrow(() => addon.filePublished(4_000_000), 'a file that was closed meanwhile');
  t.throws(() => addon.filePublished(0), RangeError);
  t.throws(() => addon.closeFile(-1), RangeError);
  t.throws(() => addon.closeFile(1.5), RangeError);
  t.throws(() => addon.closeFile('1' as unknown as number), TypeError);
  t.throws(() => addon.receiveDescriptor(NaN), RangeError);
  t.throws(() => addon.startSession({} as never), RangeError);
  t.throws(() => startOverSocket(addon, { descriptor: 999_999 }), /Bad file descriptor/);
  const file = addon.openFile(new Int32Array(Availability.create(10).memory.buffer));
  t.throws(() => addon.attachFile(file, 999_999), /Bad file descriptor/, 'no such descriptor');
  addon.closeFile(file);
  t.throws(() => addon.closeFile(file), RangeError, 'closed already');
  t.throws(() => addon.revokeFile(file), RangeError);
  await t.rejects(addon.mount('x', '/nowhere/at/all', 'rootmode=40000,user_id=0,group_id=0'), /^mount: /);
});

t.test('checksums are those of the bytes named, continued, of shared memory too', async (t) => {
  const bytes = Buffer.from('..123456789..');
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  for (const source of [bytes, shared]) {
    t.equal(addon.crc32c(source, 2, 11, 0), 0xe3069283);
    t.equal(addon.crc32c(source, 5, 11, addon.crc32c(source, 2, 5, 0)), 0xe3069283);
    const state = new BigUint64Array(1);
    addon.crc64nvme(source, 2, 5, state);
    addon.crc64nvme(source, 5, 11, state);
    t.equal(state[0], 0xae8b14860a799888n);
  }
  t.equal(addon.crc32c(bytes, 4, 4, 7), 7, 'of nothing more');
  t.equal(addon.crc32c(new Uint8Array(), 0, 0, 0), 0);
  t.throws(() => addon.crc32c(bytes, 0, bytes.length + 1, 0), RangeError);
  t.throws(() => addon.crc32c(bytes, 5, 4, 0), RangeError);
  t.throws(() => addon.crc32c(bytes, -1, 4, 0), RangeError);
  t.throws(() => addon.crc32c(bytes, 0, 4, -1), RangeError);
  t.throws(() => addon.crc32c(bytes, 0, 4, 2 ** 32), RangeError);
  t.throws(() => addon.crc32c(new DataView(bytes.buffer) as unknown as Uint8Array, 0, 1, 0), TypeError);
  t.throws(() => addon.crc64nvme(bytes, 0, 4, new BigUint64Array()), RangeError);
  t.throws(() => addon.crc64nvme(bytes, 0, 4, new Uint8Array(8) as unknown as BigUint64Array), TypeError);
});

t.test('a socket without a descriptor in it gives none', async (t) => {
  const [ours, theirs] = addon.socketPair();
  t.equal(addon.receiveDescriptor(ours), -1);
  closeSync(theirs);
  t.equal(addon.receiveDescriptor(ours), -1);
  closeSync(ours);
});

t.test(
  'a session negotiates, serves what is there, parks what is not, and ends without a trace',
  async (t) => {
    const before = openDescriptors();
    const { file, availability, bytes } = patternFile(t, 3 * MIB + 5);
    const { kernel, session, next, replies } = startOverSocket(addon);
    t.equal(kernel.init().error, 0);
    const negotiated = await next(EVENT.negotiated);
    t.equal(negotiated.readUInt32LE(8), 7);
    t.equal(negotiated.readUInt32LE(24), MIB);

    const unique = kernel.send(OPCODE.open, 2, Buffer.alloc(8));
    const slot = (await next(EVENT.request)).readUInt32LE(8);
    t.throws(() => session.reply(slot, 0, 3), RangeError, 'a reply of another length is not told');
    t.equal(session.replyOpen(slot, 9, file, 3), MODE_CACHED);
    t.same([kernel.receive().unique], [unique]);
    t.throws(() => session.reply(slot, 0, 16), /answered before/, 'a second reply is noticed');

    availability.publish({ start: 0, end: MIB });
    addon.filePublished(file);
    kernel.read(2, 9, 4096, 8192);
    t.same(kernel.receive().body, Buffer.from(bytes.subarray(4096, 4096 + 8192)));

    const parked = kernel.read(2, 9, 2 * MIB, 4 * MIB);
    const waiting = await next(EVENT.waiting);
    t.equal(waiting.readUInt32LE(8), file);
    t.equal(waiting.readBigUInt64LE(24), BigInt(2 * MIB));
    t.equal(waiting.readUInt32LE(12), MIB, 'cut at the largest read');
    const stats = new Float64Array(NATIVE_STATS.length);
    session.stats(stats);
    t.equal(stat(stats, 'readsWaiting'), 1);
    t.equal(stat(stats, 'handlesCached'), 1);
    availability.publish({ start: 2 * MIB, end: 3 * MIB });
    addon.filePublished(file);
    const late = kernel.receive();
    t.equal(late.unique, parked);
    t.same(late.body, Buffer.from(bytes.subarray(2 * MIB, 3 * MIB)));
    t.equal((await next(EVENT.readEnded)).readUInt32LE(12), 0, 'ended well');

    kernel.read(2, 9, MIB, 10);
    const id = Number((await next(EVENT.waiting)).readBigUInt64LE(16));
    t.ok(session.failRead(id, 116));
    t.equal(kernel.receive().error, 116);
    t.notOk(session.failRead(id, 116), 'ended already');

    kernel.read(2, 9, MIB, 10);
    await next(EVENT.waiting);
    addon.closeFile(file);
    t.equal(kernel.receive().error, 5, 'nobody will publish in a closed file');

    kernel.send(OPCODE.lookup, 1, Buffer.from('name\0'));
    replies.fill(1, 0, 128);
    t.ok(session.reply((await next(EVENT.request)).readUInt32LE(8), 0, 128));
    t.same(kernel.receive().body, Buffer.alloc(128, 1));

    kernel.send(OPCODE.lookup, 1, Buffer.from('name'));
    t.equal(kernel.receive().error, 22, 'a name without an end');

    await session.stop();
    await session.stop();
    session.stats(stats);
    t.equal(stat(stats, 'readsWaiting') + stat(stats, 'requestsWaiting') + stat(stats, 'handlesCached'), 0);
    t.equal(stat(stats, 'requestsMalformed'), 1);
    kernel.close();
    t.ok(await eventually(() => sessionThreads().length === 0), 'no thread is left');
    t.ok(await eventually(() => openDescriptors() <= before), 'no descriptor is left');
  },
);

t.test('a read that the kernel repeats after its deadline shares the end of the one before', async (t) => {
  const { file } = patternFile(t, MIB);
  const { kernel, session, next } = startOverSocket(addon, { readDeadlineMs: 50 });
  kernel.init();
  for (const handle of [9, 10]) {
    kernel.send(OPCODE.open, 2, Buffer.alloc(8));
    session.replyOpen((await next(EVENT.request)).readUInt32LE(8), handle, file, 0);
    kernel.receive();
  }
  const stats = new Float64Array(NATIVE_STATS.length);
  const parked = () => {
    session.stats(stats);
    return stat(stats, 'readsParked');
  };
  kernel.read(2, 9, 0, 128 * 1024);
  t.equal(kernel.receive().error, 5);
  t.equal(parked(), 1);
  kernel.read(2, 9, 4096, 4096);
  t.equal(kernel.receive().error, 5, 'the page that the reader of the failed read-ahead stands at');
  kernel.read(2, 10, 4096, 4096);
  t.equal(kernel.receive().error, 5, 'and another process that waited for the page');
  t.equal(parked(), 1, 'do not wait again');
  kernel.read(2, 9, 128 * 1024, 4096);
  t.equal(kernel.receive().error, 5);
  t.equal(parked(), 2, 'other bytes are waited for');
  await session.stop();
  kernel.close();
  addon.closeFile(file);
});

t.test('a file whose availability is mapped is read on when JavaScript gives the mapping back', async (t) => {
  const size = 3 * MIB;
  const { memory } = createMappedMemory(t, addon, size);
  const attached = attachSharedMemory(memory, addon);
  const { file, bytes } = patternFile(t, size, attached.availability);
  attached.availability.publish({ start: 0, end: MIB });
  attached.release();
  const { kernel, session, next } = startOverSocket(addon);
  kernel.init();
  kernel.send(OPCODE.open, 2, Buffer.alloc(8));
  session.replyOpen((await next(EVENT.request)).readUInt32LE(8), 9, file, 0);
  kernel.receive();
  kernel.read(2, 9, 4096, 8192);
  t.same(kernel.receive().body, Buffer.from(bytes.subarray(4096, 4096 + 8192)));
  kernel.read(2, 9, MIB, 8192);
  await next(EVENT.waiting);
  const other = attachSharedMemory(memory, addon);
  other.availability.publish({ start: MIB, end: 2 * MIB });
  addon.filePublished(file);
  t.same(kernel.receive().body, Buffer.from(bytes.subarray(MIB, MIB + 8192)), 'whoever published');
  addon.revokeFile(file);
  kernel.read(2, 9, MIB, 8192);
  t.equal(kernel.receive().error, 5, 'and no more once it is revoked');
  other.release();
  await session.stop();
  kernel.close();
  addon.closeFile(file);
});

t.test('a session whose kernel goes away says so once', async (t) => {
  const { kernel, session, next } = startOverSocket(addon);
  kernel.init();
  kernel.close();
  t.equal((await next(EVENT.ended)).readUInt32LE(8), 19);
  await session.stop();
});

t.test('a worker thread loads it, too, and may end with a session running', async (t) => {
  const worker = new Worker(fileURLToPath(new URL('addon-worker.js', import.meta.url)));
  const message = await new Promise<{ initError: number; file: number }>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  t.equal(message.initError, 0);
  // Files belong to the process: another thread publishes.
  t.doesNotThrow(() => addon.filePublished(message.file));
  await worker.terminate();
  t.ok(await eventually(() => sessionThreads().length === 0), 'its threads ended with it');
});
