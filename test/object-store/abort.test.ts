/** Ending work early: followed signals, and waits that an abort ends whatever the work does afterwards. */
import { getEventListeners } from 'node:events';
import t from 'tap';
import { AbortedWait, linkAbort, untilAborted } from '../../src/object-store/abort.js';
import { Deferred } from '../../src/runtime/deferred.js';

t.test('a linked abort follows its parent until it is unlinked, and never the reverse', async (t) => {
  const parent = new AbortController();
  const [child, unlinked, own] = [
    linkAbort(parent.signal),
    linkAbort(parent.signal),
    linkAbort(parent.signal),
  ];
  unlinked.unlink();
  own.abort();
  t.same([own.signal.aborted, parent.signal.aborted, child.signal.aborted], [true, false, false]);
  parent.abort();
  t.same([child.signal.aborted, unlinked.signal.aborted], [true, false]);
  t.ok(linkAbort(parent.signal).signal.aborted, 'also when the parent aborted before');
});

t.test('nothing is left on the parent', async (t) => {
  const { signal } = new AbortController();
  linkAbort(signal).unlink();
  await untilAborted(Promise.resolve(1), signal);
  await untilAborted(Promise.reject(new Error('x')), signal).catch(() => {});
  t.equal(getEventListeners(signal, 'abort').length, 0);
});

t.test('a wait ends as its work does, unless the abort comes first', async (t) => {
  const { signal } = new AbortController();
  t.equal(await untilAborted(Promise.resolve(7), signal), 7);
  await t.rejects(untilAborted(Promise.reject(new Error('failed')), signal), { message: 'failed' });
  await t.rejects(untilAborted(Promise.resolve(7), AbortSignal.abort()), AbortedWait);
});

t.test('what comes too late is discarded, not lost', async (t) => {
  const controller = new AbortController();
  const work = new Deferred<string>();
  const discarded: string[] = [];
  const waiting = untilAborted(work.promise, controller.signal, (late) => discarded.push(late));
  controller.abort();
  await t.rejects(waiting, AbortedWait);
  work.resolve('an open connection');
  await work.promise;
  t.same(discarded, ['an open connection']);
});
