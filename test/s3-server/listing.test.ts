import fc from 'fast-check';
import t from 'tap';
import { compareKeys, KeyIndex } from '../../src/s3-server/key-index.js';
import { listPage, type ListPageOptions } from '../../src/s3-server/listing.js';

/** The rules of S3 without any cleverness: roll up everything, sort, filter. */
function naiveItems(keys: readonly string[], { prefix, delimiter, after }: ListPageOptions): string[] {
  const items = new Set<string>();
  for (const key of keys.filter((key) => key.startsWith(prefix))) {
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    items.add(at < 0 ? key : key.slice(0, at + delimiter.length));
  }
  return [...items].filter((item) => after === '' || compareKeys(item, after) > 0).sort(compareKeys);
}

function indexOf(keys: Iterable<string>): KeyIndex<string> {
  const index = new KeyIndex<string>();
  for (const key of keys) index.set(key, key);
  return index;
}

const word = fc.string({ unit: fc.constantFrom('a', 'b', '/', '-', '\u{1f600}', '\uffee'), maxLength: 5 });
const cases = fc.record({
  keys: fc.array(
    word.filter((key) => key !== ''),
    { maxLength: 40 },
  ),
  prefix: fc.oneof(fc.constant(''), word),
  delimiter: fc.constantFrom('', '/', '-', 'a/'),
  after: fc.oneof(fc.constant(''), word),
  maxKeys: fc.integer({ min: 1, max: 7 }),
});

t.test('one page has the first items, and says whether there are more', async () => {
  fc.assert(
    fc.property(cases, ({ keys, ...options }) => {
      const page = listPage(indexOf(keys), options);
      const items = [...page.entries.map(({ key }) => key), ...page.commonPrefixes].sort(compareKeys);
      const expected = naiveItems(keys, options);
      return (
        JSON.stringify(items) === JSON.stringify(expected.slice(0, options.maxKeys)) &&
        page.isTruncated === expected.length > options.maxKeys
      );
    }),
  );
});

t.test('paging through visits every item once', async () => {
  fc.assert(
    fc.property(cases, ({ keys, ...options }) => {
      const index = indexOf(keys);
      const items: string[] = [];
      let { after } = options;
      for (let isTruncated = true; isTruncated;) {
        const page = listPage(index, { ...options, after });
        items.push(...page.entries.map(({ key }) => key), ...page.commonPrefixes);
        ({ isTruncated, last: after } = page);
      }
      return JSON.stringify(items.sort(compareKeys)) === JSON.stringify(naiveItems(keys, options));
    }),
  );
});

t.test('a page of nothing is complete', async (t) => {
  const page = listPage(indexOf(['a', 'b']), { prefix: '', delimiter: '', after: '', maxKeys: 0 });
  t.same(page, { entries: [], commonPrefixes: [], isTruncated: false, last: '' });
});

t.test('the keys below a common prefix are skipped, not visited', async (t) => {
  let visited = 0;
  class CountingIndex extends KeyIndex<string> {
    override *from(reached: (key: string) => boolean) {
      for (const entry of super.from(reached)) {
        visited++;
        yield entry;
      }
    }
  }
  const index = new CountingIndex();
  for (let i = 0; i < 20_000; i++) index.set(`${i % 2 === 0 ? 'left' : 'right'}/${i}`, '');
  const page = listPage(index, { prefix: '', delimiter: '/', after: '', maxKeys: 1000 });
  t.same(page.commonPrefixes, ['left/', 'right/']);
  t.equal(visited, 2);
});
