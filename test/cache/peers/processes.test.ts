import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Test } from 'tap';
import { UNRESPONSIVE_AFTER_MS } from '../../../src/cache/peers/owner-connection.js';
import { PeerLinks } from '../../../src/cache/peers/peer-links.js';
import { PeerServer } from '../../../src/cache/peers/peer-server.js';
import { ownerSocketPath } from '../../../src/cache/peers/peer-socket.js';
import { silentLogger } from '../../../src/observability/logger.js';
import { AnsweringChild } from '../../support/child-process.js';
import { eventually } from '../../support/processes.js';
import { SimulatedClock } from '../../support/simulated-clock.js';
import type { PeerAnswer, PeerCommand } from './peer-child.js';
import { RecordingHost, RecordingListener, versionOf } from './recording.js';

const CHILD = fileURLToPath(new URL('peer-child.js', import.meta.url));
const RANGE = { start: 0, end: 4096 };

function useDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function useChild(t: Test): AnsweringChild<PeerCommand, PeerAnswer> {
  const child = new AnsweringChild<PeerCommand, PeerAnswer>(CHILD, []);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await child.exit;
  });
  return child;
}

/** An owner in a process of its own, and links to it from this one. */
async function useOwner(t: Test) {
  const directory = useDirectory(t);
  const owner = useChild(t);
  await owner.ask({ kind: 'own', directory, ownerId: 'o' });
  const clock = new SimulatedClock();
  const links = new PeerLinks(directory, { clock, logger: silentLogger });
  t.teardown(() => links.close());
  const follow = (key: string) => {
    const heard = new RecordingListener();
    return { heard, link: links.follow('o', versionOf(key), heard) };
  };
  return { owner, clock, follow };
}

t.test('thousands of demands go to another process and are answered', async (t) => {
  const { owner, follow } = await useOwner(t);
  const followed = Array.from({ length: 50 }, (_, number) => follow(`key ${number}`));
  for (let round = 0; round < 100; round += 1) {
    const range = { start: round * 8192, end: round * 8192 + 4096 };
    await Promise.all(
      followed.map(async ({ heard, link }) => {
        link.demand(range);
        await heard.nextOf('arrived');
      }),
    );
  }
  // The first answer to an open may come before the demand: it is told again then.
  t.ok(await eventually(async () => (await owner.ask({ kind: 'count' })).demands === 5000));
  t.equal((await owner.ask({ kind: 'count' })).open, 50);
});

t.test('a killed owner is lost to every link at once', async (t) => {
  const { owner, clock, follow } = await useOwner(t);
  const followed = Array.from({ length: 20 }, (_, number) => follow(`key ${number}`));
  for (const { heard, link } of followed) {
    link.demand(RANGE);
    await heard.nextOf('arrived');
  }
  owner.kill('SIGKILL');
  for (const { heard } of followed) await heard.nextOf('lost');
  t.equal(clock.nowMs(), 0, 'no timer had a part in it');
  t.match(await follow('key').heard.next(), { kind: 'lost' }, 'its socket is still there, and dead');
});

t.test('a killed follower has nothing open any more', async (t) => {
  const directory = useDirectory(t);
  const host = new RecordingHost();
  const path = ownerSocketPath(directory, 'o');
  const server = await PeerServer.listen(path, { host, logger: silentLogger });
  t.teardown(() => server.close());
  const follower = useChild(t);
  await follower.ask({ kind: 'follow', directory, ownerId: 'o', copies: 30 });
  t.equal(host.openCount, 30);
  follower.kill('SIGKILL');
  t.ok(await eventually(() => host.openCount === 0 && server.followerCount === 0));
});

t.test('a stopped owner is unresponsive, costs no memory, and answers when it goes on', async (t) => {
  const { owner, clock, follow } = await useOwner(t);
  const { heard, link } = follow('a');
  link.demand(RANGE);
  await heard.nextOf('arrived');
  const { demands } = await owner.ask({ kind: 'count' });
  await new Promise((resolve) => setImmediate(resolve));
  owner.kill('SIGSTOP');
  const ranges = 5000;
  for (let number = 1; number <= ranges; number += 1) {
    link.observe({ start: number * 10, end: number * 10 + 1 });
    link.demand({ start: number * 4096, end: (number + 1) * 4096 });
    if (number % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  clock.advance(UNRESPONSIVE_AFTER_MS);
  await heard.nextOf('unresponsive');
  owner.kill('SIGCONT');
  await heard.nextOf('arrived');
  const told = (await owner.ask({ kind: 'count' })).demands - demands;
  t.ok(told > 0 && told < ranges, `${ranges} demands in order were told as ${told}`);
  t.ok(await eventually(() => clock.pendingTimers === 0), 'nothing is waited for any more');
});
