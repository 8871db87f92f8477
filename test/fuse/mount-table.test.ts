import t from 'tap';
import {
  isFuseMount,
  mountTableReader,
  parseMountinfo,
  parseMountOutput,
  topmostMountAt,
} from '../../src/fuse/mount-table.js';

/** As the kernel writes it: bytes, which the reader takes as latin1. */
function mountinfo(...lines: string[]): string {
  return Buffer.from(`${lines.join('\n')}\n`).toString('latin1');
}

t.test('mountinfo: fields, with and without optional ones', async (t) => {
  const text = mountinfo(
    '22 27 0:21 / /proc rw,relatime - proc proc rw',
    '42 27 0:39 / /mnt/a ro,nosuid shared:5 master:1 - fuse.sluice s3://b/p ro,user_id=0',
  );
  t.same(parseMountinfo(text), [
    { id: '22', device: '0:21', mountpoint: '/proc', fsType: 'proc', source: 'proc' },
    { id: '42', device: '0:39', mountpoint: '/mnt/a', fsType: 'fuse.sluice', source: 's3://b/p' },
  ]);
});

t.test('mountinfo: odd paths are unescaped byte for byte', async (t) => {
  const cases = [
    ['/with\\040space', '/with space'],
    ['/new\\012line\\011tab', '/new\nline\ttab'],
    ['/back\\134slash', '/back\\slash'],
    ['/not\\134040escaped', '/not\\040escaped'],
    ['/hash\\043', '/hash#'],
    ['/ünïcödé/\u{1f9ff}', '/ünïcödé/\u{1f9ff}'],
  ] as const;
  for (const [written, mountpoint] of cases) {
    const [entry] = parseMountinfo(mountinfo(`1 2 0:3 / ${written} rw - tmpfs none rw`));
    t.equal(entry?.mountpoint, mountpoint);
  }
});

t.test('mountinfo: an empty source, and lines that are none', async (t) => {
  t.match(parseMountinfo(mountinfo('1 2 0:3 / /m rw - tmpfs  rw')), [{ mountpoint: '/m', source: '' }]);
  t.same(parseMountinfo(''), []);
  t.same(parseMountinfo('nonsense\n1 2 3\n'), []);
});

t.test('the topmost of stacked mounts is the last', async (t) => {
  const entries = parseMountinfo(
    mountinfo(
      '1 0 0:1 / /m rw - ext4 a rw',
      '2 1 0:2 / /m rw - fuse.x b rw',
      '3 1 0:3 / /m/n rw - ext4 c rw',
    ),
  );
  t.equal(topmostMountAt(entries, '/m')?.id, '2');
  t.equal(topmostMountAt(entries, '/m/n')?.id, '3');
  t.equal(topmostMountAt(entries, '/'), undefined);
});

t.test('mount output of macOS', async (t) => {
  const text = [
    '/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)',
    'sluice@macfuse0 on /Users/x/my (odd) on mount (macfuse, nodev, nosuid, synchronous, mounted by x)',
    'map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)',
  ].join('\n');
  t.match(parseMountOutput(text), [
    { mountpoint: '/', fsType: 'apfs', source: '/dev/disk3s1s1' },
    { mountpoint: '/Users/x/my (odd) on mount', fsType: 'macfuse', source: 'sluice@macfuse0' },
    { mountpoint: '/System/Volumes/Data/home', fsType: 'autofs', source: 'map auto_home' },
  ]);
});

t.test('which types are FUSE', async (t) => {
  const entry = { id: '1', device: '0:1', mountpoint: '/m', source: '' };
  for (const fsType of ['fuse', 'fuse.sluice', 'fuseblk', 'macfuse', 'osxfuse']) {
    t.ok(isFuseMount({ ...entry, fsType }), fsType);
  }
  for (const fsType of ['fusectl', 'ext4', 'nfs', 'tmpfs'])
    t.notOk(isFuseMount({ ...entry, fsType }), fsType);
});

t.test("this machine's own table", { skip: process.platform !== 'linux' && 'Linux only' }, async (t) => {
  t.ok(topmostMountAt(await mountTableReader('linux')(), '/proc'));
});
