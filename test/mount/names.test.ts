/** Odd keys and large directories, through the kernel. */
import { join } from 'node:path';
import { onEachDriver } from '../support/drivers.js';
import { BUCKET, startWorld } from '../support/mount-harness.js';
import { eventually, run } from '../support/processes.js';

/** Names of a directory as bytes, sorted as they are. */
async function names(directory: string): Promise<string[]> {
  const { stdout } = await run('find', [directory, '-mindepth', '1', '-maxdepth', '1', '-printf', '%f\\0']);
  return stdout.toString().split('\0').filter(Boolean).sort();
}

onEachDriver('keys with odd but valid names are files, byte for byte', async (t, driver) => {
  const { server, mount } = await startWorld(t, { driver });
  const odd = [
    'sp ace',
    ' lead',
    'trail ',
    'plus+plus',
    'pct%20enc',
    '%',
    'amp&eq=?#h',
    `quote'"`,
    'back\\slash',
    'star*|<>:;,@!$^()[]{}~`',
    'nl\nx',
    'tab\tx',
    '\u0001ctl\u007f',
    '漢字',
    'emoji😀',
    'nfc-é',
    'nfd-e\u0301',
    '...',
    '.hidden',
    '-rf',
    'z'.repeat(255),
    '漢'.repeat(85),
  ];
  for (const name of odd) await server.putObject(BUCKET, `odd/${name}`, name);
  const { mountpoint } = await mount();
  t.same(await names(join(mountpoint, 'odd')), [...odd].sort());
  for (const name of odd) {
    const { stdout, code } = await run('cat', ['--', join(mountpoint, 'odd', name)]);
    t.equal(code, 0, JSON.stringify(name.slice(0, 20)));
    t.equal(stdout.toString(), name);
  }
});

onEachDriver('keys without a valid name are hidden, counted and harmless', async (t, driver) => {
  const { server, mount, status } = await startWorld(t, { driver });
  const hidden = [
    '..',
    '.',
    'a/../b',
    'a/./b',
    'x//y',
    '/lead',
    'n\u0000ul',
    'l'.repeat(256),
    `d/${'m'.repeat(300)}/f`,
  ];
  for (const key of hidden) await server.putObject(BUCKET, key, 'hidden');
  await server.putObject(BUCKET, 'a/visible', 'v');
  await server.putObject(BUCKET, 'x/visible', 'v');
  await server.putObject(BUCKET, 'd/visible', 'v');
  const { mountpoint } = await mount();
  const find = await run('sh', ['-c', `cd '${mountpoint}' && find . | sort`]);
  t.equal(find.code, 0, find.stderr);
  t.equal(find.stdout.toString(), '.\n./a\n./a/visible\n./d\n./d/visible\n./x\n./x/visible\n');
  t.ok((await status(mountpoint)).filesystem.keysHidden >= hidden.length - 1);
  const long = await run('cat', [join(mountpoint, 'l'.repeat(256))]);
  t.match(long.stderr, /File name too long/);
});

onEachDriver('where a key is both file and directory, the directory wins', async (t, driver) => {
  const { server, mount, status } = await startWorld(t, { driver });
  await server.putObject(BUCKET, 'x', 'shadowed');
  await server.putObject(BUCKET, 'x/y', 'inside');
  await server.putObject(BUCKET, 'm', 'shadowed by a marker');
  await server.putObject(BUCKET, 'm/', '');
  const { mountpoint } = await mount();
  t.equal(
    (await run('cat', [join(mountpoint, 'x/y')])).stdout.toString(),
    'inside',
    'looked up without a listing',
  );
  t.match((await run('cat', [join(mountpoint, 'x')])).stderr, /Is a directory/);
  t.match((await run('cat', [join(mountpoint, 'm')])).stderr, /Is a directory/);
  t.same(await names(mountpoint), ['m', 'x']);
  t.equal((await status(mountpoint)).filesystem.keysHidden, 2);
});

onEachDriver('only what lies below the prefix is visible', async (t, driver) => {
  const { server, mount } = await startWorld(t, { driver });
  for (const key of ['team/a/x', 'team/ab', 'team/a', 'other']) await server.putObject(BUCKET, key, key);
  const { mountpoint } = await mount([], `s3://${BUCKET}/team/a`);
  t.same(await names(mountpoint), ['x']);
  t.equal((await run('cat', [join(mountpoint, 'x')])).stdout.toString(), 'team/a/x');
});

onEachDriver(
  '50,000 keys in one prefix and a tree of 5,000 prefixes: find sees each exactly once',
  async (t, driver) => {
    const { server, mount, status } = await startWorld(t, { driver });
    const flat = Array.from(
      { length: 50_000 },
      (_, index) => `flat/file-${String(index).padStart(6, '0')}.bin`,
    );
    const tree = Array.from({ length: 5000 }, (_, index) => `tree/d${Math.floor(index / 50)}/p${index}/leaf`);
    await server.putMany(BUCKET, [...flat, ...tree]);
    const { mountpoint } = await mount();
    const count = async (folder: string) => {
      const { stdout, hung } = await run('sh', ['-c', `find '${join(mountpoint, folder)}' | wc -l`], {
        timeoutMs: 200_000,
      });
      t.notOk(hung);
      return Number(stdout.toString());
    };
    t.equal(await count('flat'), 50_001);
    t.equal(await count('tree'), 1 + 100 + 5000 + 5000);
    const { memory, filesystem } = await status(mountpoint);
    t.ok(filesystem.nodes >= 50_000);
    t.comment(`daemon memory with 60,000 names known: ${Math.round(memory.residentBytes / 2 ** 20)} MiB`);
  },
);

onEachDriver('a mount that is ready has the connections that its first lookups need', async (t, driver) => {
  const { server, mount } = await startWorld(t, { driver });
  for (let at = 0; at < 120; at++) await server.putObject(BUCKET, `d/${String(at).padStart(3, '0')}`, 'x');
  const listed = () => server.counters.snapshot().operations['ListObjectsV2']?.requests ?? 0;
  const { mountpoint } = await mount();
  t.ok(await eventually(() => listed() === 3), 'whether the bucket is there, what is in it, and in d');
  // For a lookup, and for parts of objects.
  const ready = 2 + 2;
  t.ok(await eventually(() => server.counters.snapshot().connections === ready));
  // Beyond the hundred names of a directory that are foreseen.
  t.equal((await run('stat', [join(mountpoint, 'd/110')])).code, 0);
  const { operations, connections } = server.counters.snapshot();
  t.match(operations, { ListObjectsV2: { requests: 4 }, HeadObject: { requests: 1 } });
  t.equal(connections, ready, 'none was opened for it');
});
