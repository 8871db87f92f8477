/** Carrying a body into a sink, for every order of chunks, ends, aborts and slow or failing sinks. */
import { Readable } from 'node:stream';
import fc from 'fast-check';
import t from 'tap';
import { transferBody } from '../../src/object-store/part-body.js';
import type { BodyTransfer } from '../../src/object-store/part-body.js';
import { StallTimer } from '../../src/object-store/stall-timer.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { CollectingSink } from '../support/collecting-sink.js';
import { SimulatedClock } from '../support/simulated-clock.js';

function transferOf(body: Readable, sink: CollectingSink, length: number, more: Partial<BodyTransfer> = {}) {
  const clock = new SimulatedClock();
  const stallTimer = new StallTimer(clock, 1000, () => {});
  const signal = new AbortController().signal;
  const transfer = { body, sink, length, lengthAnnounced: true, stallTimer, signal, ...more };
  return { ended: transferBody(transfer), clock };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

t.test('whatever the chunks and the sink, exactly the first bytes are delivered, in order', async (t) => {
  const property = fc.asyncProperty(
    fc.array(fc.nat({ max: 40 }), { maxLength: 12 }),
    fc.nat({ max: 300 }),
    fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
    fc.boolean(),
    async (sizes, length, slow, lengthAnnounced) => {
      let next = 0;
      const chunks = sizes
        .filter(Boolean)
        .map((size) => Buffer.from(Array.from({ length: size }, () => next++ % 256)));
      const given = Buffer.concat(chunks);
      let call = 0;
      const sink = new CollectingSink(() => (slow[call++] ? turn() : undefined));
      const { ended, clock } = transferOf(Readable.from(chunks, { objectMode: false }), sink, length + 1, {
        lengthAnnounced,
      });
      const { kind } = await ended;
      const complete = given.length >= length + 1;
      if (kind !== (complete ? 'complete' : 'failed')) throw new Error(`ended as ${kind}`);
      if (!sink.bytes.equals(given.subarray(0, length + 1))) throw new Error('other bytes');
      if (clock.pendingTimers !== 0) throw new Error('a timer is left');
    },
  );
  await t.resolves(fc.assert(property));
});

t.test('a chunk reaches the sink as it is, uncopied', async (t) => {
  const chunk = Buffer.from('0123456789');
  const sink = new CollectingSink();
  await transferOf(Readable.from([chunk], { objectMode: false }), sink, 10).ended;
  t.equal(sink.chunks[0]?.buffer, chunk.buffer);
});

t.test('a body that fails while the sink is busy ends after the sink', async (t) => {
  const body = new Readable({ read() {} });
  const busy = new Deferred<void>();
  const sink = new CollectingSink(() => busy.promise);
  const { ended } = transferOf(body, sink, 10);
  let isOver = false;
  const watched = ended.then((end) => {
    isOver = true;
    return end;
  });
  body.push(Buffer.from('01234'));
  while (sink.chunks.length === 0) await turn();
  const reset = new Error('reset');
  body.destroy(reset);
  await turn();
  await turn();
  t.equal(isOver, false, 'the sink is still writing');
  busy.resolve();
  t.same(await watched, { kind: 'failed', cause: reset });
});

t.test('what a busy sink throws at last counts, whatever ended the body meanwhile', async (t) => {
  const body = new Readable({ read() {} });
  const busy = new Deferred<void>();
  const sink = new CollectingSink(() => busy.promise);
  const { ended } = transferOf(body, sink, 10);
  body.push(Buffer.from('01234'));
  while (sink.chunks.length === 0) await turn();
  body.destroy(new Error('reset'));
  const full = new Error('disk full');
  busy.reject(full);
  t.same(await ended, { kind: 'refused', reason: full });
});

t.test('an abort destroys the body at once', async (t) => {
  for (const when of ['before', 'meanwhile']) {
    const body = new Readable({ read() {} });
    const controller = new AbortController();
    if (when === 'before') controller.abort();
    const { ended } = transferOf(body, new CollectingSink(), 10, { signal: controller.signal });
    controller.abort();
    t.match(await ended, { kind: 'failed' }, when);
    t.ok(body.destroyed);
  }
});

t.test('a body whose length was not announced is given up behind its last wanted byte', async (t) => {
  const body = new Readable({ read() {} });
  const { ended } = transferOf(body, new CollectingSink(), 5, { lengthAnnounced: false });
  body.push(Buffer.from('01234'));
  t.same(await ended, { kind: 'complete' });
  t.ok(body.destroyed, 'it may never end by itself');
});
