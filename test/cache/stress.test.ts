import { fileURLToPath } from 'node:url';
import t from 'tap';
import { AnsweringChild } from '../support/child-process.js';
import { openCache, version } from './cache-rig.js';
import { BYTES_MAX, diskBytes, untruths } from './life-of-copies.js';

/** A part of each of the copies that four processes may have open, and their maps. */
const SLACK_BYTES = 4 * 12 * 8192;

t.test(
  'four processes on one directory, of which some are killed: right bytes, and never above the budget',
  async (t) => {
    const directory = t.testdir({});
    const watcher = await openCache(directory, { bytesMax: BYTES_MAX });
    const script = fileURLToPath(new URL('stress-child.js', import.meta.url));
    const keys = 12;
    const roles: Record<string, number> = {};
    let killed = 0;
    const run = async (lane: number) => {
      for (let life = 0; life < 3; life++) {
        const seed = lane * 100 + life;
        const killedAt = life === 2 ? -1 : 20 + ((seed * 37) % 80);
        const args = [directory, seed, 120, keys, killedAt].map(String);
        const child = new AnsweringChild<object, Record<string, number>>(script, args);
        const said = child.next().catch(() => ({}));
        const { code, signal } = await child.exit;
        if (killedAt >= 0) t.equal(signal, 'SIGKILL', `seed ${seed}`);
        else t.equal(code, 0, `seed ${seed}`);
        killed += signal === null ? 0 : 1;
        for (const [role, count] of Object.entries(await said)) roles[role] = (roles[role] ?? 0) + count;
        t.ok(watcher.stats().bytes <= BYTES_MAX, `${watcher.stats().bytes} bytes are counted`);
        t.ok(diskBytes(directory) <= BYTES_MAX + SLACK_BYTES, `${diskBytes(directory)} bytes lie there`);
      }
    };
    await Promise.all([1, 2, 3, 4].map(run));
    t.equal(killed, 8);
    t.ok((roles['owner'] ?? 0) > 0 && (roles['follower'] ?? 0) > 0, JSON.stringify(roles));
    watcher.close();
    const objects = Array.from({ length: keys }, (_, at) =>
      version(`k${at}`, 200_000 + `k${at}`.length * 70_000 + at * 50_000),
    );
    t.equal(await untruths(directory, objects), '');
  },
);
