import { writeFileSync } from 'node:fs';
import t from 'tap';
import { EXIT } from '../../src/cli/exit-codes.js';
import { run } from '../support/processes.js';
import { SLUICE } from '../support/mount-harness.js';
import { contentOf, pattern, useSyncWorld } from '../sync/sync-rig.js';

t.test('plain lines: what is fetched, and a summary', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('m/a.bin', pattern(2048, 1));
  await world.put('m/b\x1b[2J', 'b');
  const { code, stdout, stderr } = await world.command([], 'm');
  t.equal(code, EXIT.ok);
  t.equal(stderr, '');
  const lines = stdout.toString().trim().split('\n');
  t.equal(lines[0], '2 files, 2.00 KiB');
  t.match(lines.slice(1, 3).toSorted(), [
    /^fetched a\.bin {2}2\.00 KiB {2}\d/,
    /^fetched b\\x1b\[2J {2}1 B /,
  ]);
  t.match(lines[3], /^Synchronised s3:\/\/bucket\/m\/ to .*dir in \d/);
  t.equal(lines[4], '  2 succeeded, 0 skipped, 0 retried, 0 failed, 0 deleted');
  t.match(lines[5], /^ {2}2\.00 KiB, .*\/s, \d.* per file on average$/);
  t.equal(lines.length, 6);
});

t.test('--json: one event a line, and the summary last', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('a', 'a');
  await world.put('b//c', 'x');
  const { code, stdout, stderr } = await world.command(['--json']);
  t.equal(code, EXIT.ok);
  t.equal(stderr, '');
  const events = stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    // Told when it takes a while.
    .filter(({ event }) => event !== 'progress');
  t.match(events, [
    { event: 'refused', key: 'b//c', reason: 'a part of the key is empty' },
    { event: 'listed', files: 1, bytes: 1 },
    { event: 'fetched', name: 'a', bytes: 1, resumedBytes: 0, milliseconds: Number, checksum: 'matches' },
    {
      event: 'summary',
      succeeded: 1,
      skipped: 0,
      retried: 0,
      failed: 0,
      deleted: 0,
      refused: 1,
      bytes: 1,
      bytesFetched: 1,
      millisecondsPerFile: Number,
      milliseconds: Number,
      stopped: false,
      dryRun: false,
    },
  ]);
});

t.test('a file that fails: said in one line, all others brought, exit code 9', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('bad', 'bad');
  await world.put('good', 'good');
  world.server.faults.add({ operation: 'GetObject', key: 'bad', fault: { kind: 'access-denied' } });
  const { code, stdout, stderr } = await world.command();
  t.equal(code, EXIT.incomplete);
  t.match(stderr, /^sluice: failed bad: access to s3:\/\/bucket\/bad is denied.*\n$/);
  t.match(stdout.toString(), '1 succeeded, 0 skipped, 0 retried, 1 failed');
  t.strictSame(contentOf(world.dir), { good: 'good' });
});

t.test('patterns, deletions and a dry run', async (t) => {
  const world = await useSyncWorld(t);
  for (const key of ['a.bin', 'deep/b.bin', 'deep/er/c.txt', 'd.txt']) await world.put(key, '');
  const flags = ['--include', '*.txt', '--include', 'deep/*', '--exclude', 'deep/er/**'];
  t.equal((await world.command(flags)).code, EXIT.ok);
  t.strictSame(Object.keys(contentOf(world.dir)), ['d.txt', 'deep/b.bin']);
  writeFileSync(world.path('stray.txt'), '');
  writeFileSync(world.path('stray.bin'), '');
  const preview = await world.command([...flags, '--delete', '--dry-run']);
  t.match(preview.stdout.toString(), 'would delete stray.txt\nWould synchronise s3://bucket/ ');
  t.match(preview.stdout.toString(), '0 to fetch, 2 skipped, 0 retried, 0 failed, 1 to delete');
  const { stdout } = await world.command([...flags, '--delete']);
  t.match(stdout.toString(), '\ndeleted stray.txt\n');
  t.strictSame(Object.keys(contentOf(world.dir)), ['d.txt', 'deep/b.bin', 'stray.bin']);
});

t.test('an empty listing: --delete says why it deletes nothing, and how it would', async (t) => {
  const world = await useSyncWorld(t);
  await world.put('other', '');
  await world.command();
  const { code, stderr } = await world.command(['--delete'], 'nothing');
  t.equal(code, EXIT.ok);
  t.equal(
    stderr,
    'sluice: nothing that should be fetched lies below s3://bucket/nothing/\n' +
      'sluice: nothing was deleted: the bucket shows nothing that should be here (--force-delete deletes all the same)\n',
  );
  t.strictSame(Object.keys(contentOf(world.dir)), ['other']);
  await world.command(['--delete', '--force-delete'], 'nothing');
  t.strictSame(contentOf(world.dir), {});
});

t.test('what cannot begin is said in one line, with the exit code of its kind', async (t) => {
  const world = await useSyncWorld(t);
  writeFileSync(world.path('../file'), '');
  const sluice = async (...args: string[]) => {
    const { code, stderr } = await run(process.execPath, [SLUICE, 'sync', ...args], { env: world.env });
    return { code, stderr };
  };
  const url = ['--endpoint-url', world.server.endpoint, '--force-path-style'];
  const known: [string[], number, RegExp][] = [
    [['s3://bucket'], EXIT.usage, /^sluice: missing required argument 'DIR'; see sluice sync --help\n$/],
    [['bucket', 'dir'], EXIT.usage, /^sluice: expected s3:\/\/BUCKET.*\n$/],
    [['--check', 'no', 's3://bucket', 'dir'], EXIT.usage, /--check: expected stamp or checksum, got "no"/],
    [['--concurrency', '0', 's3://bucket', 'dir'], EXIT.usage, /from 1 to 256, got "0"/],
    [['--force-delete', 's3://bucket', 'dir'], EXIT.usage, /expected --delete beside it/],
    [[...url, 's3://missing', world.dir], EXIT.bucket, /^sluice: there is no bucket missing.*\n$/],
    [[...url, 's3://bucket', world.path('../file')], EXIT.mount, /^sluice: .*file cannot be used.*\n$/],
  ];
  for (const [args, code, message] of known) t.match(await sluice(...args), { code, stderr: message });
});

t.test('the help explains its own options, and those of a mount that matter here', async (t) => {
  const world = await useSyncWorld(t);
  const { stdout } = await run(process.execPath, [SLUICE, 'sync', '--help'], { env: world.env });
  const help = stdout.toString();
  for (const flag of [
    '--include',
    '--delete',
    '--check',
    '--json',
    '--endpoint-url',
    '--connections-max',
    '--verify',
  ])
    t.match(help, new RegExp(`^ +${flag}\\b`, 'm'));
  for (const flag of ['--cache-dir', '--prefetch-max', '--allow-other', '--foreground'])
    t.notMatch(help, flag);
});
