/** What a store may take on the disk, and what it gives up when there is no room: over a real file, punched for real. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { LocalCopy } from '../../src/cache/local-copy.js';
import { SparseFile } from '../../src/file/sparse-file.js';
import { StoreRoom } from '../../src/file/store-room.js';
import { loadNativeAddon } from '../../src/native.js';
import { silentLogger } from '../../src/observability/logger.js';
import { Availability } from '../../src/runtime/availability.js';
import { rangesOverlap } from '../../src/runtime/range.js';
import type { ByteRange } from '../../src/runtime/range.js';

const MIB = 1024 * 1024;
const SIZE = 20 * MIB;

/** A store of 20 MiB with room for `roomBytes`. */
function useRoom(folder: string, roomBytes: number) {
  const availability = Availability.create(SIZE);
  const path = join(folder, 'store');
  const onProblem = (error: Error) => {
    throw error;
  };
  const file = new SparseFile({ path, size: SIZE, exists: false, addon: loadNativeAddon(), onProblem });
  const inUse: ByteRange[] = [];
  const copy = {
    leftBytes: roomBytes,
    reservedBytes: 0,
    isDetached: false,
    others: 0,
    isAlone() {
      return this.isDetached && this.others === 0;
    },
    reserve(bytes: number) {
      if (bytes > this.leftBytes) return false;
      this.leftBytes -= bytes;
      this.reservedBytes += bytes;
      return true;
    },
    detach() {
      this.isDetached = true;
    },
  };
  const version = { endpoint: 'e', bucket: 'b', key: 'k', etag: '"1"', size: SIZE };
  const room = new StoreRoom(
    { id: 's1', version, availability },
    {
      copy: copy as unknown as LocalCopy,
      logger: silentLogger,
      bytesInFlight: () => 0,
      isInUse: (range) => inUse.some((other) => rangesOverlap(other, range)),
      leftCache: () => {},
      punch: (range) => file.punch(range),
    },
  );
  const bring = async (start: number, end: number) => {
    await file.write([Buffer.alloc(end - start, 7)], start);
    availability.publish({ start, end });
    room.arrived({ start, end });
  };
  /** In MiB, of the blocks that are there. */
  const there = () => {
    const starts = Array.from({ length: SIZE / MIB }, (_, block) => block);
    return starts.filter((block) => availability.has({ start: block * MIB, end: (block + 1) * MIB }));
  };
  return { room, copy, file, availability, inUse, bring, there, onDisk: () => statSync(path).blocks * 512 };
}

t.test('as long as the cache has room, nothing is given up', async (t) => {
  const { room, copy, bring, file } = useRoom(t.testdir({}), SIZE);
  for (let at = 0; at < SIZE; at += MIB) {
    t.ok(room.reserve(MIB, { demanded: false }));
    await bring(at, at + MIB);
  }
  t.same([copy.leftBytes, copy.isDetached, room.isWindow], [0, false, false]);
  await file.close();
});

t.test('what the copy has room for already is not asked for again', async (t) => {
  const { room, copy, bring, there, file } = useRoom(t.testdir({}), MIB);
  // Its blocks are there, and not verified yet; or the owner before reserved it.
  copy.reservedBytes = 4 * MIB;
  t.ok(room.reserve(3 * MIB, { demanded: false }));
  await bring(0, 3 * MIB);
  t.ok(room.reserve(MIB, { demanded: false }));
  t.equal(copy.leftBytes, MIB);
  await bring(3 * MIB, 4 * MIB);
  t.ok(room.reserve(MIB, { demanded: false }));
  t.same([copy.leftBytes, copy.reservedBytes], [0, 5 * MIB]);
  await bring(4 * MIB, 5 * MIB);
  room.used({ start: 0, end: MIB });
  t.ok(room.reserve(MIB, { demanded: true }), 'a window has what the copy had');
  t.same(there(), [1, 2, 3, 4]);
  await file.close();
});

t.test('a full disk leaves a window what there is, and no more', async (t) => {
  const { room, bring, there, file } = useRoom(t.testdir({}), SIZE);
  t.ok(room.reserveWhole());
  await bring(0, 4 * MIB);
  room.used({ start: 0, end: 4 * MIB });
  t.ok(room.free(MIB, { demanded: true }));
  t.same(there(), [1, 2, 3]);
  t.ok(room.reserve(MIB, { demanded: false }));
  await bring(4 * MIB, 5 * MIB);
  t.ok(room.reserve(2 * MIB, { demanded: false }));
  t.same(there(), [3, 4]);
  t.notOk(room.reserveWhole());
  await file.close();
});

t.test('then what was read longest ago goes, never what is in use or only fetched ahead', async (t) => {
  const { room, copy, inUse, bring, there, onDisk, file } = useRoom(t.testdir({}), 4 * MIB);
  t.ok(room.reserve(4 * MIB, { demanded: true }));
  await bring(0, 4 * MIB);
  room.used({ start: 0, end: 4 * MIB });
  t.notOk(room.reserve(MIB, { demanded: false }), 'what is fetched ahead is no reason to leave the cache');
  t.notOk(copy.isDetached);
  t.ok(room.reserve(2 * MIB, { demanded: true }));
  t.ok(copy.isDetached);
  t.same(there(), [2, 3]);
  t.equal(onDisk(), 2 * MIB, 'the disk has the space back');
  await bring(10 * MIB, 12 * MIB);
  room.used({ start: 2 * MIB, end: 3 * MIB });
  inUse.push({ start: 3 * MIB + 5, end: 3 * MIB + 6 });
  t.ok(room.reserve(MIB, { demanded: false }));
  t.same(there(), [3, 10, 11], 'block 3 is waited for');
  await bring(12 * MIB, 13 * MIB);
  t.notOk(room.reserve(MIB, { demanded: false }), 'what was fetched ahead is not given up for more of it');
  t.ok(room.reserve(MIB, { demanded: true }), 'but for a reader');
  t.same(there(), [3, 10, 11], 'of that, what came last goes first');
  await file.close();
});

t.test('a complete file is not punched, nor one that another process has open', async (t) => {
  const whole = useRoom(t.testdir({}), SIZE);
  await whole.bring(0, SIZE);
  t.notOk(whole.room.free(MIB, { demanded: true }));
  t.equal(whole.there().length, SIZE / MIB);
  await whole.file.close();
  const two = useRoom(t.testdir({}), MIB);
  t.ok(two.room.reserve(MIB, { demanded: true }));
  await two.bring(0, MIB);
  two.room.used({ start: 0, end: MIB });
  two.copy.others = 1;
  t.notOk(two.room.reserve(MIB, { demanded: true }));
  t.same(two.there(), [0]);
  two.copy.others = 0;
  t.ok(two.room.reserve(MIB, { demanded: true }), 'until that one has closed it');
  t.same(two.there(), []);
  await two.file.close();
});
