import { appendFileSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Availability } from '../../src/runtime/availability.js';
import { BLOCK_BYTES, BlockChecksums } from '../../src/runtime/block-checksums.js';
import { PartMap } from '../../src/sync/part-map.js';

const SIZE = 4 * BLOCK_BYTES + 100;
const VERSION = JSON.stringify(['endpoint', 'bucket', 'schlüssel\n', '"etag"', SIZE]);

function sums(known: Readonly<Record<number, number>> = {}): BlockChecksums {
  const checksums = BlockChecksums.create(SIZE);
  for (const [block, crc32c] of Object.entries(known)) checksums.record(Number(block), crc32c, undefined);
  return checksums;
}

/** What is noted, as another process finds it. */
function noted(path: string, version = VERSION): (number | undefined)[] | undefined {
  const checksums = sums();
  const map = PartMap.resume(path, version, checksums);
  map?.close();
  return map && [0, 1, 2, 3, 4].map((block) => checksums.crc32c(block));
}

t.test('whole blocks are noted once they are there and summed, each once', async (t) => {
  const path = join(t.testdir(), 'map');
  const map = PartMap.create(path, VERSION, 5);
  const availability = Availability.create(SIZE);
  const checksums = sums({ 0: 10, 2: 0xffff_ffff, 4: 14 });
  t.strictSame(noted(path), [undefined, undefined, undefined, undefined, undefined]);
  const publish = (start: number, end: number) => {
    availability.publish({ start, end });
    map.advanced({ start, end }, availability, checksums);
  };
  publish(0, BLOCK_BYTES / 2);
  t.equal(noted(path)?.[0], undefined, 'half of it is there');
  publish(BLOCK_BYTES / 2, BLOCK_BYTES);
  publish(BLOCK_BYTES, SIZE);
  const bytes = readFileSync(path).length;
  t.strictSame(noted(path), [10, undefined, 0xffff_ffff, undefined, 14]);
  map.advanced({ start: 0, end: SIZE }, availability, checksums);
  t.equal(readFileSync(path).length, bytes);
  checksums.forget(2);
  checksums.record(2, 22, undefined);
  map.advanced({ start: 0, end: SIZE }, availability, checksums);
  t.equal(noted(path)?.[2], 22, 'the later note counts');
  map.close();
});

t.test('a map of another version, or none, says nothing', async (t) => {
  const path = join(t.testdir(), 'map');
  t.equal(noted(path), undefined);
  PartMap.create(path, VERSION, 5).close();
  t.equal(noted(path, `${VERSION} `), undefined);
  truncateSync(path, 3);
  t.equal(noted(path), undefined);
});

t.test('a record that was cut off is dropped, and those behind it are right', async (t) => {
  const path = join(t.testdir(), 'map');
  PartMap.create(path, VERSION, 5).close();
  const records = Buffer.alloc(12);
  records.writeUInt32LE(1, 0);
  records.writeUInt32LE(11, 4);
  records.writeUInt32LE(2, 8);
  appendFileSync(path, records);
  const checksums = sums();
  const map = PartMap.resume(path, VERSION, checksums);
  const availability = Availability.create(SIZE);
  availability.publish({ start: 0, end: SIZE });
  checksums.record(3, 13, undefined);
  map?.advanced({ start: 0, end: SIZE }, availability, checksums);
  map?.close();
  t.strictSame(noted(path), [undefined, 11, undefined, 13, undefined]);
});

t.test('blocks that the object does not have are not believed', async (t) => {
  const path = join(t.testdir(), 'map');
  PartMap.create(path, VERSION, 5).close();
  appendFileSync(path, Buffer.from([5, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0]));
  t.strictSame(noted(path), [undefined, undefined, undefined, undefined, undefined]);
});
