import t from 'tap';
import { PartScheduler } from '../../src/download/part-scheduler.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { settle } from '../support/store-harness.js';

/** A scheduler whose turns last until told, and the names of those that began, in order. */
function harness(connectionsMax: number) {
  const scheduler = new PartScheduler(connectionsMax);
  const begun: string[] = [];
  const gates = new Map<string, Deferred<void>>();
  const turn = (name: string) => () => {
    begun.push(name);
    const gate = new Deferred<void>();
    gates.set(name, gate);
    return gate.promise;
  };
  const end = async (name: string) => {
    gates.get(name)?.resolve();
    await settle(2);
  };
  return { scheduler, begun, turn, end };
}

t.test('prefetch never takes the last quarter of the connections', async (t) => {
  const { scheduler, begun, turn } = harness(8);
  t.equal(scheduler.prefetchTurnsMax, 6);
  for (let index = 0; index < 20; index += 1) scheduler.prefetch(turn(`p${index}`));
  await settle(2);
  t.equal(begun.length, 6);
  scheduler.demand(turn('d0'));
  scheduler.demand(turn('d1'));
  scheduler.demand(turn('d2'));
  await settle(2);
  t.same(begun.slice(6), ['d0', 'd1'], 'demand begins at once, up to the connection limit');
  t.equal(scheduler.running, 8);
});

t.test('a free connection goes to demand before prefetch', async (t) => {
  const { scheduler, begun, turn, end } = harness(2);
  scheduler.demand(turn('d0'));
  scheduler.demand(turn('d1'));
  await settle(2);
  scheduler.prefetch(turn('p0'));
  scheduler.demand(turn('d2'));
  await end('d0');
  t.same(begun, ['d0', 'd1', 'd2']);
  await end('d1');
  t.same(begun, ['d0', 'd1', 'd2', 'p0']);
});

t.test('with a single connection prefetch runs, one at a time with demand', async (t) => {
  const { scheduler, begun, turn, end } = harness(1);
  t.equal(scheduler.prefetchTurnsMax, 1);
  scheduler.prefetch(turn('p0'));
  await settle(2);
  scheduler.demand(turn('d0'));
  scheduler.prefetch(turn('p1'));
  await end('p0');
  t.same(begun, ['p0', 'd0']);
});
