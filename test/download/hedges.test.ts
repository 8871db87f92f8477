/** Second requests for what is slow, on a simulated network. */
import t from 'tap';
import { HedgeBudget } from '../../src/download/hedge-budget.js';
import { isSlow } from '../../src/download/hedges.js';
import { HoleFile } from '../support/memory-file.js';
import { SimulatedNetwork } from '../support/simulated-network.js';
import type { RequestFate, SimulatedRequest } from '../support/simulated-network.js';
import { createStores } from '../support/store-harness.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const usual = { known: true, roundTripMs: 20, bytesPerMs: 60_000 };

t.test('slow is three times as long as usual, and never what took no time', async (t) => {
  const slow = (elapsedMs: number, bytes: number, leftBytes: number) =>
    isSlow({ startedMs: 0, bytes }, leftBytes, usual, elapsedMs);
  t.notOk(slow(60, 0, MIB), 'the first byte may be late for a moment');
  t.ok(slow(201, 0, MIB));
  t.notOk(slow(250, 10 * MIB, MIB), 'a part that runs well');
  t.ok(slow(250, MIB, 8 * MIB), 'one that would take another two seconds');
  t.notOk(
    isSlow({ startedMs: 0, bytes: 0 }, MIB, { ...usual, known: false }, 5000),
    'nothing to compare with',
  );
});

t.test('the budget is a hundredth of what was fetched, and does not grow for ever', async (t) => {
  const budget = new HedgeBudget();
  t.equal(budget.take(MIB), 0);
  budget.fetched(200 * MIB);
  t.equal(budget.take(5 * MIB), 2 * MIB);
  t.equal(budget.take(1), 0);
  budget.refund(MIB);
  budget.fetched(1e6 * MIB);
  t.equal(budget.take(100 * MIB), 4 * MIB);
});

/** Reads an object in order while the request that `fate` names goes badly. */
async function readPast(hedge: boolean, isBad: (request: SimulatedRequest) => boolean, fate: RequestFate) {
  let bad: SimulatedRequest | undefined;
  const script = (request: SimulatedRequest) => {
    if (bad !== undefined || !isBad(request)) return undefined;
    bad = request;
    return fate;
  };
  const net = new SimulatedNetwork({ roundTripMs: 20, connectionRate: 60, script });
  const { stores, metrics } = createStores(net.objectStore, {
    clock: net.clock,
    connectionsMax: 24,
    partBytesMax: 8 * MIB,
    hedge,
    createFile: () => new HoleFile(),
  });
  const version = net.objects.put('model', { size: 512 * MIB, seed: 1 });
  const content = stores.open(version);
  const readAll = async () => {
    for (let at = 0; at < version.size; at += MIB) await content.read(new Uint8Array(MIB), at);
  };
  const tookMs = await net.run(readAll());
  const again = net.requests.filter(
    ({ start, number }) => bad !== undefined && number > bad.number && start >= bad.start && start < bad.end,
  );
  content.close();
  return { tookMs, again, totals: metrics.totals, net, version };
}

const late = ({ start, end }: SimulatedRequest) => start > 400 * MIB && end - start <= 8 * MIB;

for (const [how, fate] of [
  ['that brings no byte', { roundTripMs: 60_000 }],
  ['that trickles', { connectionRate: 0.05 }],
] as const) {
  t.test(`a part ${how} and that a reader waits for is asked for once more`, async (t) => {
    const { again, totals, net, version } = await readPast(true, late, fate);
    t.ok(again.length >= 1);
    t.ok(totals.hedges >= 1);
    t.ok(
      totals.hedgedBytes > 0 && totals.hedgedBytes <= 0.01 * net.bytes,
      `${totals.hedgedBytes} bytes twice`,
    );
    t.ok(net.bytes <= 1.02 * version.size, `${net.bytes / version.size}`);
  });

  t.test(`without hedges it is left to the transport to give up a part ${how}`, async (t) => {
    const fast = await readPast(true, late, fate);
    const { again, totals, tookMs } = await readPast(false, late, { ...fate, ...bounded(fate) });
    t.equal(totals.hedges, 0);
    t.same(again, []);
    t.ok(tookMs > fast.tookMs, 'the hedge was of use');
  });
}

/** The same fate, but for an end: nobody else ends it on this network. */
function bounded(fate: RequestFate): RequestFate {
  return fate.roundTripMs === undefined ? { connectionRate: 4 } : { roundTripMs: 3000 };
}

t.test('where all is well nothing is asked for twice', async (t) => {
  const { totals, net, version } = await readPast(true, () => false, {});
  t.equal(totals.hedges, 0);
  t.equal(net.bytes, version.size);
});
