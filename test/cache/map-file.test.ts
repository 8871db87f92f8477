/** The map file of a copy, mapped by the addon. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { realFiles } from '../../src/cache/file-operations.js';
import { MapFile, mapFileBytes } from '../../src/cache/map-file.js';
import { loadNativeAddon } from '../../src/native.js';

const GIB = 1024 ** 3;
const SIZE = 100 * GIB;
const deps = { files: realFiles, addon: loadNativeAddon() };

function useFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-map-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

t.test('a new map has its blocks: what is noted in it needs none of a full disk', async (t) => {
  const path = join(useFolder(t), 'map');
  const map = MapFile.create(path, SIZE, deps);
  t.teardown(() => map.close());
  const { size, blocks } = statSync(path);
  t.equal(size, mapFileBytes(SIZE));
  t.ok(blocks * 512 >= size, `${blocks} blocks of ${size} bytes`);
  t.equal(map.availability.arrivedBytes, 0);
});

t.test('a disk without room for a map is found out before it is mapped, and nothing is left', async (t) => {
  const folder = useFolder(t);
  const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
  const files = {
    ...realFiles,
    write: () => {
      throw full;
    },
  };
  t.throws(() => MapFile.create(join(folder, 'map'), SIZE, { ...deps, files }), { code: 'ENOSPC' });
  t.same(readdirSync(folder), []);
});

t.test('opening a map shows what was noted, and leaves the file alone', async (t) => {
  const path = join(useFolder(t), 'map');
  const first = MapFile.create(path, SIZE, deps);
  first.availability.publish({ start: 0, end: GIB });
  first.close();
  const { ctimeNs } = statSync(path, { bigint: true });
  const again = MapFile.open(path, SIZE, deps);
  t.equal(again?.availability.arrivedBytes, GIB);
  t.equal(statSync(path, { bigint: true }).ctimeNs, ctimeNs);
  again?.close();
  t.equal(MapFile.open(path, SIZE - 1, deps), undefined, 'of another size');
});
