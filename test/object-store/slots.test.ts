/** Slots for connections: never more than there are, in order, and none lost to an abort. */
import t from 'tap';
import { Slots, splitConnections } from '../../src/object-store/slots.js';

const never = () => new AbortController().signal;

t.test('slots are handed out in the order of asking', async (t) => {
  const slots = new Slots(2);
  t.ok((await slots.acquire(never())) && (await slots.acquire(never())));
  const order: string[] = [];
  const waiting = ['a', 'b', 'c'].map((name) => slots.acquire(never()).then(() => order.push(name)));
  await Promise.resolve();
  t.same(order, [], 'all wait');
  slots.release();
  await waiting[0];
  t.same(order, ['a'], 'one release, one slot');
  slots.release();
  slots.release();
  await Promise.all(waiting);
  t.same(order, ['a', 'b', 'c']);
});

t.test('who gives up waiting takes no slot with him', async (t) => {
  const slots = new Slots(1);
  await slots.acquire(never());
  const controller = new AbortController();
  const givenUp = slots.acquire(controller.signal);
  const patient = slots.acquire(never());
  controller.abort();
  t.equal(await givenUp, false);
  slots.release();
  t.equal(await patient, true);
  slots.release();
  t.equal(await slots.acquire(never()), true, 'and it is free in the end');
});

t.test('an aborted signal gets no slot, even a free one', async (t) => {
  const slots = new Slots(1);
  t.equal(await slots.acquire(AbortSignal.abort()), false);
  t.equal(await slots.acquire(never()), true);
});

t.test('connections are divided: both kinds of calls have some, and the sum is kept', async (t) => {
  t.same(splitConnections(2), { control: 1, data: 1 });
  t.same(splitConnections(16), { control: 4, data: 12 });
  t.same(splitConnections(256), { control: 8, data: 248 });
  for (let connectionsMax = 2; connectionsMax <= 100; connectionsMax++) {
    const { control, data } = splitConnections(connectionsMax);
    t.ok(control >= 1 && data >= 1 && control + data === connectionsMax, `${connectionsMax}`);
  }
  t.throws(() => splitConnections(1));
});
