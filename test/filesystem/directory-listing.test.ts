import fc from 'fast-check';
import t from 'tap';
import { CoveredNames, DirectoryListing } from '../../src/filesystem/directory-listing.js';
import type { ObjectInfo } from '../../src/object-store/object-store.js';
import { MemoryObjectStore } from '../support/memory-object-store.js';

function object(key: string, size = 1): ObjectInfo {
  return { key, size, etag: `"${size}"`, lastModifiedMs: 5000, archived: false };
}

function page(objects: readonly string[], prefixes: readonly string[] = []) {
  return { objects: objects.map((key) => object(key)), prefixes, continuation: undefined };
}

t.test('objects are files, prefixes are directories, the marker is the directory itself', async (t) => {
  const listing = new DirectoryListing('d/', 'linux');
  listing.add(page(['d/', 'd/b', 'd/a-b'], ['d/a/']), 7);
  const { names, markerModifiedMs, hiddenCount } = listing.finish();
  t.same(
    names.map(({ name, object }) => [name, object?.key]),
    [
      ['a', undefined],
      ['a-b', 'd/a-b'],
      ['b', 'd/b'],
    ],
  );
  t.equal(markerModifiedMs, 5000);
  t.equal(hiddenCount, 0);
});

t.test('keys without a valid name are counted, with an example of each kind', async (t) => {
  const listing = new DirectoryListing('', 'linux');
  const long = 'x'.repeat(300);
  listing.add(page(['.', '..', 'a\0', long, `${long}y`, 'ok'], ['/', '../', `${long}/`]), 0);
  const { names, hiddenCount, hiddenExamples } = listing.finish();
  t.same(
    names.map(({ name }) => name),
    ['ok'],
  );
  t.equal(hiddenCount, 8);
  t.same(hiddenExamples, [
    { key: '.', reason: 'dot_part' },
    { key: 'a\0', reason: 'nul' },
    { key: long, reason: 'name_too_long' },
    { key: '/', reason: 'empty_part' },
  ]);
});

t.test(
  'a directory hides the object of its name, in whichever order and on whichever page they come',
  async (t) => {
    for (const pages of [
      [page(['x'], ['x/'])],
      [page(['x']), page([], ['x/'])],
      [page([], ['x/']), page(['x'])],
      [page(['x'], ['x/']), page(['x'], ['x/'])],
    ]) {
      const listing = new DirectoryListing('', 'linux');
      for (const each of pages) listing.add(each, 0);
      const { names, hiddenCount, hiddenExamples } = listing.finish();
      t.match(names, [{ name: 'x', object: undefined }]);
      t.equal(names.length, 1);
      t.equal(hiddenCount, 1);
      t.same(hiddenExamples, [{ key: 'x', reason: 'shadowed' }]);
    }
  },
);

t.test('whatever the pages, each valid name comes out once and in byte order', async (t) => {
  const part = fc.oneof(fc.constantFrom('', '.', '..', 'a', 'b', 'a-', 'é'), fc.string({ unit: 'grapheme' }));
  const name = part.map((text) => text.replaceAll('/', '_'));
  const pages = fc.array(fc.record({ objects: fc.array(name), prefixes: fc.array(name) }));
  const property = fc.property(pages, (given) => {
    const listing = new DirectoryListing('p/', 'linux');
    const valid = new Set<string>();
    for (const { objects, prefixes } of given) {
      const keys = objects.map((each) => `p/${each}`);
      listing.add(
        page(
          keys,
          prefixes.map((each) => `p/${each}/`),
        ),
        0,
      );
      for (const each of [...objects, ...prefixes]) {
        if (!['', '.', '..'].includes(each) && !each.includes('\0') && Buffer.byteLength(each) <= 255) {
          valid.add(each);
        }
      }
    }
    const names = listing.finish().names.map((entry) => entry.name);
    const sorted = [...valid].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return JSON.stringify(names) === JSON.stringify(sorted);
  });
  fc.assert(property);
  t.pass('for all pages');
});

t.test('a first page shows every key of the names that it covers', async (t) => {
  const part = fc.constantFrom('a', 'b', '-', '.', '0', 'é', '\u{10000}', '\uffff');
  const name = fc.string({ unit: part, minLength: 1, maxLength: 3 });
  const keys = fc.array(
    fc.array(name, { minLength: 1, maxLength: 2 }).map((parts) => `d/${parts.join('/')}`),
    { maxLength: 40 },
  );
  const property = fc.asyncProperty(
    keys,
    name,
    fc.integer({ min: 1, max: 10 }),
    async (keys, other, entriesMax) => {
      const store = new MemoryObjectStore();
      for (const key of keys) store.put(key, 'x');
      const page = await store.list({ prefix: 'd/', delimiter: '/', entriesMax });
      const covered = CoveredNames.of('d/', page);
      for (const name of [other, ...keys.map((key) => key.split('/')[1]!)]) {
        if (!covered?.has(name)) continue;
        const isFile = page.objects.some(({ key }) => key === `d/${name}`);
        const isDirectory = page.prefixes.includes(`d/${name}/`);
        if (isFile !== keys.includes(`d/${name}`)) throw new Error(`file ${name}`);
        if (isDirectory !== keys.some((key) => key.startsWith(`d/${name}/`)))
          throw new Error(`directory ${name}`);
      }
    },
  );
  await fc.assert(property, { numRuns: 500 });
  t.equal(CoveredNames.of('d/', page(['d/a', 'd/c']))?.has('b'), true);
  t.equal(CoveredNames.of('d/', page(['d/a', 'd/c']))?.has('c'), false, 'd/c/ may follow');
  t.equal(CoveredNames.of('d/', page([], ['d/a/', 'd/c/']))?.has('c'), true);
});

t.test('a page in another order than that of bytes covers nothing', async (t) => {
  t.equal(CoveredNames.of('d/', page(['d/c', 'd/a'])), undefined);
  t.equal(CoveredNames.of('d/', page([], ['d/c/', 'd/a/'])), undefined);
  t.equal(CoveredNames.of('d/', page([])), undefined);
});
