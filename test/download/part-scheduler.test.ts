import t from 'tap';
import { PartScheduler } from '../../src/download/part-scheduler.js';
import type { Lane, Prefetch } from '../../src/download/part-scheduler.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { SimulatedClock } from '../support/simulated-clock.js';
import { settle } from '../support/store-harness.js';

const MIB = 1024 * 1024;

/** A scheduler whose turns last until told, and the names of those that began, in order. */
function harness(connectionsMax: number) {
  const clock = new SimulatedClock();
  const scheduler = new PartScheduler({ clock }, { connectionsMax });
  const begun: string[] = [];
  const running = new Map<string, { readonly ended: Deferred<void>; readonly ending: () => void }>();
  const turn = (name: string) => (ending: () => void) => {
    begun.push(name);
    const ended = new Deferred<void>();
    running.set(name, { ended, ending });
    return ended.promise;
  };
  const end = async (name: string) => {
    running.get(name)?.ended.resolve();
    running.delete(name);
    await settle(2);
  };
  /** A file with so much to fetch ahead, and gently, in parts of so many bytes. */
  const file = (name: string, prefetches: number, gentle = 0, bytes = 2 * MIB) => {
    let next = 0;
    const take = (): Prefetch => ({ bytes, turn: turn(`${name}${next++}`) });
    const source = {
      readersWait: true,
      nextPrefetch: () => (next < prefetches ? take() : undefined),
      nextGentle: () => (next < prefetches + gentle ? take() : undefined),
    };
    const lane: Lane = scheduler.openLane(source);
    lane.offer();
    return lane;
  };
  const demand = (lane: Lane, name: string) => lane.demand(turn(name));
  const ending = (name: string) => running.get(name)?.ending();
  return { clock, scheduler, begun, running, file, demand, end, ending };
}

t.test('fetching ahead begins with a few connections; demand has all', async (t) => {
  const { scheduler, begun, file, demand } = harness(24);
  const lane = file('p', 100);
  await settle(2);
  t.equal(begun.length, 6);
  for (let index = 0; index < 30; index += 1) demand(lane, `d${index}`);
  await settle(2);
  t.equal(scheduler.running, 24, 'up to the connection limit');
  t.equal(begun.filter((name) => name.startsWith('d')).length, 18);
});

t.test('of small parts twice as many are under way, up to what prefetch may have', async (t) => {
  const { scheduler, begun, file, end } = harness(24);
  file('s', 100, 0, MIB);
  await settle(2);
  t.equal(begun.length, 12);
  for (let name = 0; name < 10; name += 1) await end(`s${name}`);
  t.equal(scheduler.running, 12);
  // A server that is far.
  scheduler.pace.firstByte(20);
  await end('s10');
  t.equal(scheduler.limits.prefetch, 12);
  t.equal(scheduler.running, 18, 'twice twelve are more than leave some to demand');
});

t.test('prefetch never takes the last quarter of the connections', async (t) => {
  const { scheduler, begun, file, demand } = harness(4);
  const lane = file('p', 100);
  await settle(2);
  t.same(begun, ['p0', 'p1', 'p2']);
  demand(lane, 'd0');
  demand(lane, 'd1');
  await settle(2);
  t.same(begun.slice(3), ['d0']);
  t.equal(scheduler.running, 4);
});

t.test('a free connection goes to demand before prefetch', async (t) => {
  const { begun, file, demand, end } = harness(2);
  const lane = file('p', 0);
  demand(lane, 'd0');
  demand(lane, 'd1');
  await settle(2);
  file('q', 1);
  demand(lane, 'd2');
  await end('d0');
  t.same(begun, ['d0', 'd1', 'd2']);
  await end('d1');
  t.same(begun, ['d0', 'd1', 'd2', 'q0']);
});

t.test('with a single connection prefetch runs, one at a time with demand', async (t) => {
  const { begun, file, demand, end } = harness(1);
  const lane = file('p', 2);
  await settle(2);
  demand(lane, 'd0');
  await end('p0');
  t.same(begun, ['p0', 'd0']);
  await end('d0');
  t.same(begun, ['p0', 'd0', 'p1']);
});

t.test('a file that asks for many parts queues behind the first one of another', async (t) => {
  const { begun, file, demand, end } = harness(1);
  const [greedy, modest] = [file('p', 0), file('q', 0)];
  for (let index = 0; index < 10; index += 1) demand(greedy, `g${index}`);
  demand(modest, 'm0');
  await end('g0');
  t.same(begun, ['g0', 'm0'], 'not behind the nine that were there before');
});

t.test('files that are fetched ahead share the connections, whoever came first', async (t) => {
  const { begun, running, file, end } = harness(24);
  file('a', 1000);
  await settle(2);
  t.equal(begun.length, 6);
  file('b', 1000);
  file('c', 1000);
  for (let round = 0; round < 6; round += 1) await end([...running.keys()][0]!);
  const held = (name: string) => [...running.keys()].filter((turn) => turn.startsWith(name)).length;
  t.same([held('a'), held('b'), held('c')], [2, 2, 2]);
});

t.test('gentle fetching takes what nobody else wants, half of it at most', async (t) => {
  const { begun, file, end } = harness(24);
  file('g', 0, 100);
  await settle(2);
  t.same(begun, ['g0', 'g1', 'g2']);
  file('p', 100);
  t.same(begun.slice(3), ['p0', 'p1', 'p2'], 'a load that begins finds connections');
  await end('g0');
  t.equal(begun.at(-1), 'p3', 'and gets those that gentle fetching had');
});

t.test('a part that is ending makes way for the next, on a connection that demand can spare', async (t) => {
  const { scheduler, begun, file, end, ending } = harness(8);
  file('p', 100);
  await settle(2);
  t.equal(begun.length, 6);
  ending('p0');
  t.equal(begun.length, 7, 'the next begins before it has ended');
  ending('p0');
  ending('p1');
  t.equal(begun.length, 7, 'once for each part, and one connection stays free');
  await end('p0');
  t.equal(scheduler.running, 6);
  ending('p1');
  t.equal(begun.length, 8);
});

t.test('lanes without work are forgotten and may come back', async (t) => {
  const { scheduler, begun, file, demand, end } = harness(8);
  const lane = file('p', 1);
  await settle(2);
  await end('p0');
  t.equal(scheduler.running, 0);
  t.equal(lane.connections, 6, 'it would have them all');
  demand(lane, 'd0');
  await settle(2);
  t.same(begun, ['p0', 'd0']);
});

t.test('prefetch leaves a connection for the next reader, however many have theirs', async (t) => {
  const { scheduler, begun, running, file, demand, end } = harness(12);
  scheduler.pace.firstByte(20);
  const lane = file('p', 100);
  await settle(2);
  t.equal(running.size, 9, 'three quarters');
  for (const name of ['d0', 'd1', 'd2']) demand(lane, name);
  await settle(2);
  t.equal(running.size, 12);
  await end('p0');
  t.equal(running.size, 11, 'the connection that is free again stays so');
  demand(lane, 'd3');
  await settle(2);
  t.equal(begun.at(-1), 'd3');
  await end('d0');
  await end('d1');
  t.equal(begun.at(-1), 'p9', 'with fewer readers prefetch goes on');
});
