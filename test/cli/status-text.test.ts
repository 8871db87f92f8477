import t from 'tap';
import { statusLines } from '../../src/cli/status-text.js';
import { CacheCounters } from '../../src/observability/cache-metrics.js';
import { exampleReport } from '../support/example-report.js';

t.test('a busy mount, as people see it', async (t) => {
  t.strictSame(statusLines(exampleReport()), [
    's3://models/llama/ on /mnt/models',
    '  daemon   pid 4242, up 3 h 02 m, version 0.1.0, memory 100 MiB',
    '  driver   native, reads of up to 1.00 MiB, passthrough, 2 handles cached and 1 passed through',
    '  server   http://127.0.0.1:9000',
    '  now      12.0 MiB/s read, 15.0 MiB/s fetched (last 10 s)',
    '  so far   1.50 GiB in 123 reads (1 failed), 1.25 GiB fetched in 140 requests (2 tried again), 9 listings and lookups',
    '  files    10 names known, 2 open',
    '  cache    1.00 GiB of 20.0 GiB in /c (1 object open, 3 idle)',
    '  opens    7 of 8 found all in the cache, 3.00 GiB from it and 1.25 GiB from the bucket, 4 fills of 1.50 s on average, 1 fetched again, 1 FOUND WRONG, 2 evicted (512 MiB)',
    '  log      /var/log/sluice.log',
    '  objects',
    '    s12    [#########-----------]  46%  llama/8b.gguf  471 MiB of 1.00 GiB, filling, 2 open, 4 parts in flight, 1 read waiting',
    '    s1     [####################] 100%  llama/idle.bin  1.00 GiB of 1.00 GiB, complete, checked',
    '  reads in flight',
    '    r7     s12      2.30 s  llama/8b.gguf  65536 bytes at 1048576, waits for bytes 1048576 to 1114112',
  ]);
});

t.test('a mount that does nothing shows neither objects nor reads', async (t) => {
  const lines = statusLines(exampleReport({ stores: [], readsInFlight: [], logFile: null }));
  t.equal(lines.length, 10);
  t.equal(lines.at(-1), '  log      standard error');
});

t.test('of a fresh cache only what there is to say', async (t) => {
  const fresh = { ...exampleReport().cache, ...new CacheCounters().totals, bytesFromBucket: 0 };
  t.ok(
    statusLines(exampleReport({ cache: fresh })).includes(
      '  opens    0 of 0 found all in the cache, 0 B from it and 0 B from the bucket',
    ),
  );
});

t.test('a driver that counts nothing says nothing of handles; requests that wait are shown', async (t) => {
  const { driver } = exampleReport();
  const lineOf = (changes: Partial<typeof driver>) =>
    statusLines(exampleReport({ driver: { ...driver, ...changes } }))[2];
  t.equal(
    lineOf({ name: 'portable', passthrough: false, handlesCached: null, handlesPassthrough: null }),
    '  driver   portable, reads of up to 1.00 MiB',
  );
  t.match(lineOf({ requestsWaiting: 1, oldestRequestMs: 2300 }), /, 1 request waiting, the oldest 2\.30 s$/);
});

t.test('only a complete object is at 100 %, and an empty one is complete', async (t) => {
  const [store] = exampleReport().stores;
  if (store === undefined) throw new Error('no store');
  const line = (size: number, arrivedBytes: number) =>
    statusLines(exampleReport({ stores: [{ ...store, size, arrivedBytes }], readsInFlight: [] })).at(-1);
  t.match(line(100_000, 99_999), / 99% /);
  t.match(line(100_000, 99_999), /\[#{19}-\]/);
  t.match(line(0, 0), /\[#{20}\] 100% /);
});

t.test('a key cannot play tricks with the terminal', async (t) => {
  const [store] = exampleReport().stores;
  if (store === undefined) throw new Error('no store');
  const text = statusLines(exampleReport({ stores: [{ ...store, key: '\u001b[31mred\r\nx\u009b' }] })).join(
    '\n',
  );
  t.match(text, '\\x1b[31mred\\x0d\\x0ax\\x9b');
  t.notMatch(text.replaceAll('\n', ''), /\p{Cc}/u);
});

t.test('long lists are cut, the busiest objects and the oldest reads first', async (t) => {
  const [store] = exampleReport().stores;
  const [read] = exampleReport().readsInFlight;
  if (store === undefined || read === undefined) throw new Error('no example');
  const stores = Array.from({ length: 30 }, (_, at) => ({
    ...store,
    id: `s${at}`,
    readsWaiting: at === 29 ? 1 : 0,
  }));
  const readsInFlight = Array.from({ length: 25 }, (_, at) => ({ ...read, id: `r${at}`, ageMs: at }));
  const lines = statusLines(exampleReport({ stores, readsInFlight, storesOmitted: 5 }));
  const objects = lines.indexOf('  objects');
  const reads = lines.indexOf('  reads in flight');
  t.match(lines[objects + 1], /^ {4}s29 /);
  t.equal(lines[reads - 1], '    and 15 more');
  t.match(lines[reads + 1], /^ {4}r24 /);
  t.equal(lines.at(-1), '    and 5 more');
});
