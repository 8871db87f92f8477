/** A store whose file a session reads by itself: who is told what. */
import t from 'tap';
import type { Test } from 'tap';
import { ContentError } from '../../src/file/content.js';
import type { DownloadTarget } from '../../src/download/target.js';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { WAITED_MS } from '../support/memory-direct-reads.js';
import { DEADLINE_MS, DirectReadsRig, PAGE, PAGES } from './direct-reads-rig.js';

function checkQuiet(t: Test, rig: DirectReadsRig): void {
  rig.file.tell();
  t.same(rig.problems(), []);
  t.equal(rig.reads.inFlightCount, 0);
  t.equal(rig.readsWaiting, 0);
}

t.test(
  'the session has the file before the first bytes, and at once when the store wakes with some',
  async (t) => {
    const rig = new DirectReadsRig();
    t.equal(rig.store.direct, rig.file);
    t.equal(rig.file.descriptor, undefined, 'there is no file yet');
    const partly = rig.park(0, 2 * PAGE);
    await rig.publish(0, 100);
    t.equal(rig.file.descriptor, 77);
    t.ok(rig.file.parked.has(partly));
    await rig.publish(0, 2 * PAGE);
    t.same(rig.file.ends.get(partly), { result: 'ok', error: undefined });

    void rig.store.rest();
    t.notOk(rig.file.isOpen);
    t.equal(rig.store.direct, undefined);
    rig.store.wake();
    t.equal(rig.session.files.length, 2);
    t.equal(rig.file.descriptor, 77, 'nothing needs to be published again');
    void rig.store.close();
    t.notOk(rig.file.isOpen);
    t.same(rig.session.violations, []);
  },
);

t.test('a page in the middle of the file is enough to attach it', async (t) => {
  const rig = new DirectReadsRig();
  await rig.publish(4 * PAGE, 5 * PAGE);
  void rig.store.rest();
  rig.store.wake();
  t.equal(rig.file.descriptor, 77);
});

t.test(
  'bytes that were written while nobody had the file open are published to an attached one',
  async (t) => {
    for (let turns = 0; turns < 12; turns += 1) {
      const gate = new Deferred<void>();
      const rig = new DirectReadsRig({ step: () => gate.promise });
      const published = rig.publish(0, PAGE);
      gate.resolve();
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      void rig.store.rest();
      rig.store.wake();
      const id = rig.file.read(0, PAGE);
      await published;
      t.equal(rig.file.ends.get(id)?.result, 'ok', `after ${turns} turns`);
      t.same(rig.session.violations, []);
    }
  },
);

t.test('a read that waits is fetched, listed from when it came, and gone when it ended', async (t) => {
  const rig = new DirectReadsRig();
  rig.clock.advance(10_000);
  const range = { start: PAGE + 1, end: 3 * PAGE };
  const id = rig.park(range.start, range.end, 1200);
  t.same(rig.demanded, [range]);
  t.same(rig.observed, [range]);
  t.equal(rig.readsWaiting, 1);
  t.ok(rig.target.wanted({ start: 2 * PAGE, end: 2 * PAGE + 1 }));
  t.notOk(rig.target.wanted({ start: 0, end: PAGE }));
  const subject = { storeId: 's1', key: 'model', offset: range.start, length: range.end - range.start };
  t.same(rig.reads.inFlight(), [{ id: `r${id}`, ...subject, ageMs: 1200, waitingFor: range }]);

  await rig.publish(PAGE, 2 * PAGE);
  t.equal(rig.readsWaiting, 1, 'half of it is not enough');
  await rig.publish(2 * PAGE, 3 * PAGE);
  t.equal(rig.file.ends.get(id)?.result, 'ok');
  t.match(rig.reads.inFlight(), [{ waitingFor: null }], 'it does not wait for bytes any more');
  rig.file.tell();
  t.same(rig.exits(), [{ id: `r${id}`, result: 'ok', waitedMs: WAITED_MS, waitedFor: range }]);
  checkQuiet(t, rig);
});

t.test('a read whose bytes came before the store heard of it asks for nothing', async (t) => {
  const rig = new DirectReadsRig();
  rig.file.read(0, PAGE);
  await rig.publish(0, PAGE);
  rig.file.tell(1);
  t.same(rig.demanded, []);
  t.equal(rig.readsWaiting, 0);
  rig.file.tell();
  t.match(rig.exits(), [{ id: 'r1', result: 'ok' }]);
  checkQuiet(t, rig);
});

t.test('a read that ended before the store heard of it leaves nothing behind', async (t) => {
  const rig = new DirectReadsRig();
  const id = rig.file.read(0, PAGE);
  rig.file.end(id, 'interrupted');
  rig.file.tell(1);
  t.equal(rig.readsWaiting, 1, 'as far as the store knows');
  rig.file.tell();
  t.match(rig.exits(), [{ id: 'r1', result: 'aborted' }]);
  checkQuiet(t, rig);
});

t.test('when nothing more can come, reads that wait are failed with the reason, now and later', async (t) => {
  const disk = new ContentError('disk_failed', 'the disk is broken');
  const whole = { start: 0, end: PAGES * PAGE };
  for (const [code, break_] of [
    ['stale', (target: DownloadTarget) => target.expired('412')],
    ['disk_failed', (target: DownloadTarget) => target.partFailed(whole, { kind: 'threw', error: disk })],
  ] as const) {
    const rig = new DirectReadsRig();
    await rig.publish(0, PAGE);
    const before = rig.park(PAGE, 2 * PAGE);
    const unheard = rig.file.read(2 * PAGE, 3 * PAGE);
    break_(rig.target);
    t.match(rig.file.ends.get(before), { result: 'failed', error: { name: 'ContentError', code } });
    t.ok(rig.file.parked.has(unheard));
    rig.file.tell();
    t.match(rig.file.ends.get(unheard), { error: { code } });
    const after = rig.park(3 * PAGE, 4 * PAGE);
    t.match(rig.file.ends.get(after), { error: { code } });
    t.equal(rig.file.ends.get(rig.park(0, PAGE))?.result, 'ok', 'what is there stays readable');
    checkQuiet(t, rig);
    t.same(
      rig.exits().map(({ result }) => result),
      [code, code, code],
    );
  }
});

t.test('a part that cannot be fetched fails the reads of its range alone', async (t) => {
  const denied = new ObjectStoreError('access_denied', 'no', { operation: 'test' });
  const full = new ContentError('no_space', 'the disk is full');
  for (const [code, failure] of [
    ['denied', { kind: 'denied', error: denied }],
    ['no_space', { kind: 'threw', error: full }],
  ] as const) {
    const rig = new DirectReadsRig();
    const hit = rig.park(PAGE, 2 * PAGE);
    const spared = rig.park(2 * PAGE, 3 * PAGE);
    rig.target.partFailed({ start: 0, end: 2 * PAGE }, failure);
    t.match(rig.file.ends.get(hit), { result: 'failed', error: { code } });
    t.same([...rig.file.parked.keys()], [spared]);
    const again = rig.park(PAGE, 2 * PAGE);
    t.same(rig.demanded.at(-1), { start: PAGE, end: 2 * PAGE }, 'the next one tries again');
    await rig.publish(0, PAGES * PAGE);
    t.same([rig.file.ends.get(spared)?.result, rig.file.ends.get(again)?.result], ['ok', 'ok']);
    checkQuiet(t, rig);
  }
});

t.test('closing the store, or its last handle, ends the reads that wait as closed', async (t) => {
  for (const end of ['close', 'rest'] as const) {
    const rig = new DirectReadsRig();
    rig.session.tracesReads = true;
    const waiting = rig.park(0, PAGE);
    rig.file.read(0, PAGE);
    rig.file.tell(1);
    void rig.store[end]();
    t.match(rig.file.ends.get(waiting), { error: { code: 'closed' } });
    t.notOk(rig.file.isOpen);
    t.same(
      rig.exits().map(({ result }) => result),
      ['closed', 'closed'],
      'one had been heard to begin only',
    );
    checkQuiet(t, rig);
    t.equal(rig.clock.pendingTimers, 0);
  }
});

t.test('a read that ran into its deadline is logged as one that waited here', async (t) => {
  const rig = new DirectReadsRig();
  const waitsHere = rig.reads.enter({ storeId: 's1', key: 'model', offset: 0, length: PAGE }, { id: 'i1' });
  const read = rig.store.read({ target: new Uint8Array(PAGE), offset: 0, trace: waitsHere, signals: [] });
  const id = rig.park(0, PAGE);
  rig.target.delayed('503 SlowDown');
  rig.file.end(id, 'deadline');
  rig.file.tell();
  const [line] = rig.lines;
  t.match(line, { level: 40, store: 's1', read: 'r1', msg: /^bytes 0-4095 of model .*\(503 SlowDown\)$/ });
  rig.clock.advance(DEADLINE_MS);
  await t.rejects(read, { code: 'deadline', message: String(line?.['msg']) });
  waitsHere.exit('deadline');
  t.match(rig.exits()[0], { id: 'r1', result: 'deadline', waitedMs: WAITED_MS });
  checkQuiet(t, rig);
});

t.test('a read that fails by nobody here is the local disk', async (t) => {
  const rig = new DirectReadsRig();
  rig.file.end(rig.park(0, PAGE), 'failed');
  rig.file.tell();
  t.match(rig.exits(), [{ result: 'disk_failed' }]);
  checkQuiet(t, rig);
});

t.test('traced reads are there from their beginning, with one line each', async (t) => {
  const rig = new DirectReadsRig();
  rig.session.tracesReads = true;
  await rig.publish(0, PAGE);
  rig.file.read(0, PAGE);
  rig.file.tell(1);
  t.match(rig.reads.inFlight(), [{ id: 'r1', waitingFor: null }]);
  rig.park(PAGE, 2 * PAGE);
  await rig.publish(PAGE, 2 * PAGE);
  rig.file.tell();
  t.same(
    rig.reads.recent().map(({ event, id }) => `${event} ${id}`),
    ['ENTER r1', 'EXIT r1', 'ENTER r2', 'EXIT r2'],
  );
  t.match(rig.exits(), [{ waitedMs: 0, waitedFor: undefined }, { waitedMs: WAITED_MS }]);
  checkQuiet(t, rig);
});

t.test('reads that were served are noted for fetching ahead until all is there', async (t) => {
  const rig = new DirectReadsRig();
  await rig.publish(0, PAGE);
  rig.file.read(0, 100);
  rig.file.tell();
  t.same(rig.observed, [{ start: 0, end: 100 }]);
  rig.file.read(0, 200);
  await rig.publish(PAGE, PAGES * PAGE);
  rig.file.tell();
  t.equal(rig.observed.length, 1, 'heard too late to be of use');
});

t.test('a file that cannot be handed over fails the store at its first bytes', async (t) => {
  const rig = new DirectReadsRig();
  const id = rig.park(0, PAGE);
  rig.session.attachError = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  const failure = await rig.publish(0, PAGE).catch((error: Error) => error);
  t.match(failure, { name: 'ContentError', code: 'disk_failed', message: /EMFILE/ });
  t.notOk(rig.store.availability.has({ start: 0, end: 1 }), 'nothing is published');
  rig.target.partFailed({ start: 0, end: PAGE }, { kind: 'threw', error: failure as Error });
  t.match(rig.file.ends.get(id), { error: { code: 'disk_failed' } });
  checkQuiet(t, rig);
});

t.test('a file that cannot be handed over when the store wakes is read through the store', async (t) => {
  const rig = new DirectReadsRig();
  await rig.publish(0, PAGES * PAGE);
  void rig.store.rest();
  rig.session.attachError = new Error('EMFILE: too many open files');
  rig.store.wake();
  t.equal(rig.store.direct, undefined);
  t.notOk(rig.file.isOpen);
  t.match(rig.lines, [{ level: 40, store: 's1', err: { message: /EMFILE/ } }]);
  const trace = rig.reads.enter({ storeId: 's1', key: 'model', offset: 0, length: PAGE });
  t.equal(await rig.store.read({ target: new Uint8Array(PAGE), offset: 0, trace, signals: [] }), PAGE);
  trace.exit('ok');
  void rig.store.rest();
  rig.session.attachError = undefined;
  rig.store.wake();
  t.equal(rig.store.direct, rig.file, 'the next time it may be');
  t.same(rig.session.violations, []);
});
