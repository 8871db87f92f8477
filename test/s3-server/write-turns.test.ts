/** How much of all bodies the server writes in one turn of the event loop, and whose. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { WriteTurns } from '../../src/s3-server/write-turns.js';
import { BUCKET, setUp } from './harness.js';

const MIB = 1024 * 1024;
const BUDGET = 100;

/** Bodies of pieces that each wait for their turn, and the names of those that were let through so far. */
function harness() {
  const turns = new WriteTurns(BUDGET);
  const written: string[] = [];
  const body = async (name: string, pieces: readonly number[]) => {
    for (const bytes of pieces) {
      await turns.take(bytes);
      written.push(name);
    }
  };
  return { turns, written, body };
}

t.test('what fits into one turn waits for none', (t) => {
  const { turns } = harness();
  t.equal(turns.take(60), undefined);
  t.equal(turns.take(40), undefined);
  t.type(turns.take(1), Promise, 'nothing is left');
  t.end();
});

t.test('in each turn of the event loop so much is written and no more, by each in its turn', async (t) => {
  const { written, body } = harness();
  const perTurn: number[] = [];
  let seen = 0;
  // Planned before those of the bodies: runs before them in every turn.
  const count = () => {
    perTurn.push(written.length - seen);
    seen = written.length;
    planned = setImmediate(count);
  };
  let planned = setImmediate(count);
  await Promise.all(['a', 'b', 'c'].map((name) => body(name, [50, 50, 50])));
  clearImmediate(planned);
  t.same(perTurn, [2, 2, 2, 2], 'two pieces of half the budget; the last one is still to be counted');
  t.equal(written.join(''), 'abcabcabc', 'nobody is let through twice while another waits');
});

t.test('a piece larger than a turn has one of its own', async (t) => {
  const { turns, written, body } = harness();
  await body('large', [BUDGET * 5]);
  const next = turns.take(1);
  t.type(next, Promise);
  await next;
  t.same(written, ['large']);
});

t.test('a turn in which nobody wrote is whole again', async (t) => {
  const { turns } = harness();
  t.equal(turns.take(BUDGET), undefined);
  await nextTurn();
  t.equal(turns.take(BUDGET), undefined);
});

t.test('a server with many clients writes no more than that in one turn', async (t) => {
  const { server } = await setUp(t, { anonymousRead: true });
  const size = 4 * MIB;
  await server.putSynthetic(BUCKET, 'k', { size, seed: 1 });
  let most = 0;
  let seen = 0;
  let planned = setImmediate(function count() {
    most = Math.max(most, server.counters.bytesSent - seen);
    seen = server.counters.bytesSent;
    planned = setImmediate(count);
  });
  const answers = Array.from({ length: 8 }, async () => {
    const answer = await fetch(`${server.endpoint}/${BUCKET}/k`);
    return (await answer.arrayBuffer()).byteLength;
  });
  t.same(await Promise.all(answers), Array(8).fill(size));
  clearImmediate(planned);
  t.ok(most <= 1.5 * MIB, `1 MiB and a piece of half of that, not ${most}`);
});
