/** Reads of a session whose bytes come and are cleared again before the session takes them. */
import t from 'tap';
import { DirectReadsRig, PAGE } from './direct-reads-rig.js';

t.test('a read that waits again is fetched again, waits once, and leaves nothing behind', async (t) => {
  const rig = new DirectReadsRig();
  const id = rig.park(0, PAGE);
  for (const times of [2, 3]) {
    rig.file.waitAgain(id);
    rig.file.tell();
    t.equal(rig.demanded.length, times);
    t.equal(rig.readsWaiting, 1);
  }
  await rig.publish(0, PAGE);
  t.equal(rig.file.ends.get(id)?.result, 'ok');
  rig.file.tell();
  t.match(rig.exits(), [{ id: `r${id}`, result: 'ok', waitedFor: { start: 0, end: PAGE } }]);
  t.equal(rig.readsWaiting, 0);
  t.same(rig.problems(), []);
});

t.test('a read that waits again after its bytes had come is listed as waiting', async (t) => {
  const rig = new DirectReadsRig();
  const id = rig.park(PAGE, 2 * PAGE);
  // Heard of in JavaScript only: the session was about to take them.
  const parked = rig.file.parked.get(id)!;
  rig.file.parked.delete(id);
  await rig.publish(PAGE, 2 * PAGE);
  t.match(rig.reads.inFlight(), [{ waitingFor: null }]);
  rig.store.availability.clear({ start: PAGE, end: 2 * PAGE });
  rig.file.parked.set(id, parked);
  rig.file.waitAgain(id);
  rig.file.tell();
  t.match(rig.reads.inFlight(), [{ waitingFor: { start: PAGE, end: 2 * PAGE } }]);
  t.equal(rig.demanded.length, 2);
  t.same(rig.problems(), []);
  rig.file.end(id, 'deadline');
  rig.file.tell();
  t.equal(rig.readsWaiting, 0);
});

t.test('the session takes what the store finds there, though nobody has told it yet', async (t) => {
  const rig = new DirectReadsRig();
  await rig.publish(4 * PAGE, 5 * PAGE);
  const id = rig.file.read(0, PAGE);
  // By another thread, which is about to say so: meanwhile the bytes might be cleared.
  rig.store.availability.publish({ start: 0, end: PAGE });
  t.ok(rig.file.parked.has(id));
  rig.file.tell(1);
  t.equal(rig.file.ends.get(id)?.result, 'ok');
  rig.file.tell();
  t.same(rig.problems(), []);
});
