/** The rehearsal of a real mount: it runs to its end, the bucket's server hears nothing of it, and no trace is left. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { copyFilesIn } from '../support/cache-folder.js';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, read, startWorld } from '../support/mount-harness.js';
import { eventually } from '../support/processes.js';

onEachDriver('the first read is rehearsed, and nothing is left of it', async (t, driver) => {
  const { server, scratch, mount, status } = await startWorld(t, { driver });
  await server.putObject(BUCKET, 'a', 'hello');
  const cache = join(scratch, 'rehearsed-cache');
  const daemon = await mount(['--log-level', 'debug', '--cache-dir', cache]);
  t.ok(await eventually(() => daemon.output().includes('the first read was rehearsed')), 'it ran to its end');
  const { keys } = server.counters.snapshot();
  t.same(Object.keys(keys), [], 'no key was asked for');
  t.ok(await eventually(() => copyFilesIn(cache).length === 0), 'no copy');
  t.notOk(
    readdirSync(join(cache, 'owners'), { recursive: true }).some((name) =>
      String(name).includes('rehearsal'),
    ),
    'no temp file',
  );
  t.match(await status(daemon.mountpoint), {
    stores: [],
    readsInFlight: [],
    totals: { reads: 0, bytesFetched: 0, partRequests: 0 },
    cache: { bytes: 0, storesOpen: 0, storesIdle: 0 },
    filesystem: { handles: 0 },
  });
  t.equal(
    (await read(join(daemon.mountpoint, 'a'), 0, 5)).stdout.toString(),
    'hello',
    'the first read is right',
  );
});
