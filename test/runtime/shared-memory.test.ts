import t from 'tap';
import { loadNativeAddon } from '../../src/native.js';
import { Availability } from '../../src/runtime/availability.js';
import { BLOCK_BYTES, BlockChecksums } from '../../src/runtime/block-checksums.js';
import { attachSharedMemory, sharedMemoryOf } from '../../src/runtime/shared-memory.js';
import { createMappedMemory } from '../support/mapped-memory.js';

const addon = loadNativeAddon();
const PAGE = 4096;
const SIZE = 3 * BLOCK_BYTES + 5;

t.test('memory of threads is the same memory, and nothing is to be released', async (t) => {
  const own = { availability: Availability.create(SIZE), checksums: BlockChecksums.create(SIZE) };
  const attached = attachSharedMemory(sharedMemoryOf(own), undefined);
  attached.availability.publish({ start: 0, end: PAGE });
  attached.checksums.record(2, 77, undefined);
  t.equal(own.availability.contiguousBytes, PAGE);
  t.equal(own.checksums.crc32c(2), 77);
  attached.release();
  t.equal(attached.availability.contiguousBytes, PAGE);
});

t.test('mapped memory is one for all who attach, and stays in its file', async (t) => {
  const { memory } = createMappedMemory(t, addon, SIZE);
  const first = attachSharedMemory(memory, addon);
  const second = attachSharedMemory(memory, addon);
  first.availability.publish({ start: 0, end: SIZE });
  second.availability.clear({ start: PAGE, end: 2 * PAGE });
  t.same(first.availability.missing({ start: 0, end: SIZE }), [{ start: PAGE, end: 2 * PAGE }]);
  t.equal(first.availability.generation, second.availability.generation);
  first.checksums.expectKind('crc64nvme');
  first.checksums.record(3, 1, 2n ** 63n);
  t.ok(second.checksums.isKnown(3));
  first.release();
  second.release();
  t.throws(() => first.availability.contiguousBytes, TypeError, 'unmapped');
  t.throws(() => second.checksums.crc32c(3), TypeError);
  const later = attachSharedMemory(memory, addon);
  t.equal(later.availability.contiguousBytes, PAGE);
  t.equal(later.checksums.crc32c(3), 1);
  t.equal(later.checksums.kind, 'crc64nvme');
  later.release();
});

t.test('memory that is not what it should be is refused, and not kept', async (t) => {
  const { memory } = createMappedMemory(t, addon, SIZE);
  let mapped = 0;
  const counting = {
    mapFile(descriptor: number, offset: number, bytes: number) {
      const map = addon.mapFile(descriptor, offset, bytes);
      mapped += 1;
      return map;
    },
    unmapFile(map: ArrayBuffer) {
      mapped -= 1;
      addon.unmapFile(map);
    },
  };
  const { availabilityAt, availabilityBytes, checksumsAt } = memory;
  for (const wrong of [
    { checksumsAt: availabilityAt },
    { availabilityAt: checksumsAt },
    { availabilityBytes: availabilityBytes - 4 },
    { checksumsBytes: 8 },
  ]) {
    t.throws(() => attachSharedMemory({ ...memory, ...wrong }, counting), /memory|Invalid argument/);
  }
  t.equal(mapped, 0);
  t.throws(() => attachSharedMemory({ ...memory, descriptor: 999_999 }, addon), { code: 'EBADF' });
  t.throws(() => attachSharedMemory(memory, undefined), /needs the addon/);
  const availability = Availability.begin(new Uint8Array(Availability.bytesFor(SIZE)), SIZE);
  const checksums = BlockChecksums.create(SIZE);
  t.throws(() => sharedMemoryOf({ availability, checksums }), /threads share/);
});

t.test('memory is recognised by the size of its object', async (t) => {
  for (const size of [0, 1, SIZE, 64 * 1024 ** 3 + 1, 5 * 1024 ** 4]) {
    const availability = new Uint8Array(Availability.bytesFor(size) + 8).subarray(8);
    const checksums = new Uint8Array(BlockChecksums.bytesFor(size) + 8).subarray(8);
    t.notOk(Availability.holds(availability, size), 'zeros are none');
    t.equal(Availability.begin(availability, size).size, size);
    t.equal(BlockChecksums.begin(checksums, size).size, size);
    t.ok(Availability.holds(availability, size));
    t.ok(BlockChecksums.holds(checksums, size));
    t.notOk(Availability.holds(availability, size + 1));
    t.notOk(BlockChecksums.holds(checksums, size + 1));
    t.notOk(Availability.holds(availability.subarray(4), size));
    t.notOk(BlockChecksums.holds(checksums.subarray(0, 60), size));
    new Int32Array(availability.buffer, availability.byteOffset, 7)[6] = 11;
    t.notOk(Availability.holds(availability, size));
    new Int32Array(checksums.buffer, checksums.byteOffset, 3)[2] = 4;
    t.notOk(BlockChecksums.holds(checksums, size), 'a kind that is none');
    t.throws(() => Availability.attach(availability), /memory/);
    t.throws(() => BlockChecksums.attach(checksums), /memory/);
  }
  t.throws(() => Availability.bytesFor(2 ** 48), /no size/);
});
