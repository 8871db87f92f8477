/**
 * Open files whose object is replaced, through the kernel. Both drivers: a new open reads the new bytes, an older handle
 * never does. They differ in what else becomes of the older handle, see `OLDER`.
 */
import * as fs from 'node:fs/promises';
import t from 'tap';
import { findPatternMismatch } from '../../src/runtime/pattern.js';
import { onEachDriver } from '../support/drivers.js';
import { bytesOf, ESTALE, HOUR_MS, mounted, sha256 } from './fuse-rig.js';

const old = { key: 'file', seed: 1, size: 4_000_000 };

/**
 * The portable driver ends the older version when the newer is opened, since they share one kernel inode. With the
 * native driver each has its own: reads under way go on, and the handle keeps its size.
 */
const OLDER = { portable: { isEnded: true }, native: { isEnded: false } } as const;

for (const [kind, size] of [
  ['smaller', 100_000],
  ['larger', 5_000_000],
  ['equally large', 4_000_000],
] as const) {
  onEachDriver(`a ${kind} one: new opens read the new bytes, the old handle ESTALE`, async (t, driver) => {
    const { child, path } = await mounted(t, driver, { objects: [old], metadataTtlMs: 0 });
    const { isEnded } = OLDER[driver];
    const { etag = '' } = await child.ask({ do: 'etag', key: 'file' });
    const handle = await fs.open(path('file'));
    await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    await child.ask({ do: 'hold', etag });
    const waiting = handle.read(Buffer.alloc(4096), 0, 4096, 3_000_000);
    let isAnswered = false;
    const refused = t.rejects(waiting, ESTALE, 'a read under way ends').then(() => (isAnswered = true));
    await child.ask({ do: 'await-held-read' });
    const replacement = { key: 'file', seed: 2, size };
    await child.ask({ do: 'put', object: replacement });

    t.equal(sha256(await fs.readFile(path('file'))), sha256(bytesOf(replacement)), 'a new open');
    if (!isEnded) {
      t.notOk(isAnswered, 'the older read still waits');
      await child.ask({ do: 'release' });
    }
    await refused;
    // What the kernel still has of the old version may be read, what it has of the new one never.
    for (let offset = 0; offset < 100_000; offset += 4096) {
      const target = Buffer.alloc(4096);
      const wasRead = await handle.read(target, 0, 4096, offset).catch(() => undefined);
      if (wasRead) t.equal(findPatternMismatch(target, old.seed, offset), -1, `old bytes at ${offset}`);
    }
    for (const offset of [150_000, 4096 * 100, 3_000_000, 3_999_990]) {
      await t.rejects(handle.read(Buffer.alloc(10), 0, 10, offset), ESTALE, `at ${offset}`);
    }
    if (isEnded) await t.rejects(handle.stat(), ESTALE);
    else t.equal((await handle.stat()).size, old.size, 'the handle keeps its size');
    await handle.close();
    t.equal(sha256(await fs.readFile(path('file'))), sha256(bytesOf(replacement)), 'and again');
  });
}

t.test('only looked at (portable): ESTALE on the old handle, not an early end', async (t) => {
  const { child, path } = await mounted(t, 'portable', { objects: [old], metadataTtlMs: 0 });
  const handle = await fs.open(path('file'));
  await handle.read(Buffer.alloc(4096), 0, 4096, 2_000_000);
  await child.ask({ do: 'put', object: { key: 'file', seed: 2, size: 1000 } });
  t.equal((await fs.stat(path('file'))).size, old.size, 'the first look sets the open version apart');
  await t.rejects(handle.read(Buffer.alloc(4096), 0, 4096, 3_000_000), ESTALE);
  let size = old.size;
  while (size === old.size) ({ size } = await fs.stat(path('file')));
  t.equal(size, 1000, 'the next ones show the newest');
  await t.rejects(handle.read(Buffer.alloc(4096), 0, 4096, 3_500_000), ESTALE);
  await handle.close();
});

t.test('only looked at (native): the newest is shown at once, the old handle keeps its own', async (t) => {
  const { child, path } = await mounted(t, 'native', { objects: [old], metadataTtlMs: 0 });
  const handle = await fs.open(path('file'));
  const { ino } = await handle.stat();
  await child.ask({ do: 'put', object: { key: 'file', seed: 2, size: 1000 } });
  t.match(await fs.stat(path('file')), { size: 1000, ino }, 'another version under the same inode number');
  t.match(await handle.stat(), { size: old.size, ino });
  await t.rejects(handle.read(Buffer.alloc(4096), 0, 4096, 3_500_000), ESTALE, 'not an early end');
  await handle.close();
});

onEachDriver('a new open sees it as soon as a read failed, however long the TTL', async (t, driver) => {
  const { child, path } = await mounted(t, driver, { objects: [old], metadataTtlMs: HOUR_MS });
  const handle = await fs.open(path('file'));
  await handle.read(Buffer.alloc(4096), 0, 4096, 0);
  const replacement = { key: 'file', seed: 2, size: 1000 };
  await child.ask({ do: 'put', object: replacement });
  t.equal((await fs.stat(path('file'))).size, old.size, 'within the TTL the old attributes are shown');
  await t.rejects(handle.read(Buffer.alloc(4096), 0, 4096, 3_000_000), ESTALE);
  t.same(await fs.readFile(path('file')), Buffer.from(bytesOf(replacement)));
  await handle.close();
});

onEachDriver('by nothing: the open handle answers ESTALE, the name is gone', async (t, driver) => {
  const { child, path } = await mounted(t, driver, { objects: [old], metadataTtlMs: 0 });
  const handle = await fs.open(path('file'));
  await child.ask({ do: 'delete', key: 'file' });
  await t.rejects(handle.read(Buffer.alloc(10), 0, 10, 0), ESTALE);
  await handle.close();
  await t.rejects(fs.stat(path('file')), { code: 'ENOENT' });
});
