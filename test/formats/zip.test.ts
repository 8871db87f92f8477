/** zip: the tail and the directory first, and from where on reading a PyTorch or NumPy archive is loading it. */
import t from 'tap';
import { probe } from './probe-driver.js';
import { torchMembers, zip } from './writers.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const TAIL_BYTES = 128 * KIB;

const STORAGES = [300_000, 1, 200_000];

t.test('PyTorch: tail, then what stands before the storages, which are the load', async (t) => {
  for (const zip64 of [false, true]) {
    const { file, starts } = zip(torchMembers(STORAGES, 9000), { zip64 });
    const tail = { start: file.length - TAIL_BYTES, end: file.length };
    const dataStart = starts[2]!;
    const { plans, looks } = probe(file);
    t.same(plans, [
      { format: 'zip', first: [tail], dataStart: file.length },
      { format: 'zip', first: [tail, { start: 4096, end: dataStart }], dataStart },
    ]);
    t.same(looks, [{ start: 0, end: 4096 }, tail]);
  }
});

t.test('the first page alone is no load, however small the pickle is', async (t) => {
  const { file, starts } = zip(torchMembers(STORAGES, 100));
  t.ok(starts[2]! < 4096);
  const tail = { start: file.length - TAIL_BYTES, end: file.length };
  t.same(probe(file).plan, { format: 'zip', first: [tail], dataStart: 4096 });
});

t.test('NumPy: reading on behind the first page is the load', async (t) => {
  const { file } = zip([
    { name: 'a.npy', bytes: 300_000 },
    { name: 'b.npy', bytes: 10 },
  ]);
  t.match(probe(file).plan, { format: 'zip', first: { length: 1 }, dataStart: 4096 });
});

t.test('other archives are no load: tail and directory first, nothing more', async (t) => {
  for (const members of [
    [{ name: 'readme.txt', bytes: 300_000 }],
    [
      { name: 'a.npy', bytes: 10 },
      { name: 'b.txt', bytes: 300_000 },
    ],
    // No storages: there is nothing to load.
    [{ name: 'model/data.pkl', bytes: 300_000 }],
    // Not of the same archive.
    [
      { name: 'x/data.pkl', bytes: 10 },
      { name: 'y/data/0', bytes: 300_000 },
    ],
  ]) {
    const { file } = zip(members);
    const tail = { start: file.length - TAIL_BYTES, end: file.length };
    t.same(probe(file).plan, { format: 'zip', first: [tail], dataStart: file.length }, members[0]!.name);
  }
});

t.test('a directory that begins before the tail comes next', async (t) => {
  for (const zip64 of [false, true]) {
    const members = torchMembers(Array.from({ length: 4000 }, () => 100));
    const { file, starts, directory } = zip(members, { zip64 });
    const tail = { start: file.length - TAIL_BYTES, end: file.length };
    t.ok(directory.start < tail.start);
    const rest = { start: directory.start, end: tail.start };
    const { plans, looks } = probe(file);
    t.same(looks, [{ start: 0, end: 4096 }, tail, rest]);
    t.same(plans[1], { format: 'zip', first: [tail, rest], dataStart: file.length });
    t.same(plans[2], { format: 'zip', first: [tail, rest], dataStart: Math.max(4096, starts[2]!) });
  }
});

t.test('the longest comment, and one that holds an end record, hide nothing', async (t) => {
  const record = `PK\u0005\u0006${'\0'.repeat(16)}`;
  for (const comment of ['x'.repeat(0xffff), record, `${record}\u0003\0abcd`]) {
    for (const zip64 of [false, true]) {
      const { file, starts } = zip(torchMembers(STORAGES, 9000), { comment, zip64 });
      t.equal(probe(file).plan?.dataStart, starts[2]);
    }
  }
});

t.test('an archive smaller than the tail is its own tail', async (t) => {
  const { file } = zip([{ name: 'a.npy', bytes: 10 }]);
  const { plan, looks } = probe(file);
  t.same(plan, { format: 'zip', first: [{ start: 0, end: file.length }], dataStart: file.length });
  t.equal(looks.length, 2);
});

t.test(
  'without an end record, a directory where it says, or whole entries the plan is dropped',
  async (t) => {
    const { file, directory } = zip(torchMembers(STORAGES));
    const endAt = file.length - 22;
    const broken = (change: (file: Buffer) => void) => {
      const changed = Buffer.from(file);
      change(changed);
      const { plan, plans } = probe(changed);
      t.equal(plans[0]?.format, 'zip');
      return plan;
    };
    t.ok(broken(() => {}));
    t.equal(
      broken((file) => file.writeUInt32LE(0, endAt)),
      undefined,
      'no end record',
    );
    t.equal(
      broken((file) => file.writeUInt32LE(file.length, endAt + 16)),
      undefined,
      'outside',
    );
    t.equal(
      broken((file) => file.writeUInt32LE(0xffffffff, endAt + 16)),
      undefined,
      'no zip64 record',
    );
    t.equal(
      broken((file) => file.writeUInt32LE(0, directory.start)),
      undefined,
      'no entry',
    );
    t.equal(
      broken((file) => file.writeUInt16LE(0xffff, directory.start + 28)),
      undefined,
      'a name past the end',
    );
    t.equal(
      broken((file) => file.writeUInt32LE(directory.end - directory.start - 1, endAt + 12)),
      undefined,
      'cut off',
    );
    t.equal(
      broken((file) => file.writeUInt32LE(0xffffffff, directory.start + 42)),
      undefined,
      'no zip64 place',
    );
  },
);

t.test('a zip64 record that is elsewhere, or no record, drops the plan', async (t) => {
  const { file, directory } = zip(torchMembers(STORAGES), { zip64: true });
  const locatorAt = file.length - 42;
  for (const place of [0, directory.end + 1, locatorAt, 2 ** 40]) {
    const changed = Buffer.from(file);
    changed.writeBigUInt64LE(BigInt(place), locatorAt + 8);
    t.equal(probe(changed).plan, undefined, `${place}`);
  }
});

t.test('a directory of more than the limit is not looked at', async (t) => {
  const { file } = zip(torchMembers(STORAGES));
  const size = 40 * MIB;
  const large = Buffer.alloc(size);
  file.copy(large, 0, 0, 4096);
  file.copy(large, size - 22, file.length - 22);
  const tail = { start: size - TAIL_BYTES, end: size };
  const directoryOf = (bytes: number) => {
    large.writeUInt32LE(bytes, size - 10);
    large.writeUInt32LE(size - 22 - bytes, size - 6);
    return probe(large).plans;
  };
  t.same(directoryOf(16 * MIB).at(-1), { format: 'zip', first: [tail], dataStart: size });
  t.match(directoryOf(15 * MIB), [{}, { first: { length: 2 } }, undefined], 'and one below it is');
});
