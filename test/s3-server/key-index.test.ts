import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { compareKeys, KeyIndex } from '../../src/s3-server/key-index.js';

const byUtf8 = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
/** Few characters, so that keys share prefixes; among them the ones where UTF-16 and UTF-8 order differ. */
const keys = fc.string({
  unit: fc.constantFrom('a', 'b', '/', 'é', '\uffee', '\u{1f600}', '\ud7ff'),
  maxLength: 6,
});

t.test('keys compare like their UTF-8 bytes', async (t) => {
  fc.assert(fc.property(keys, keys, (a, b) => Math.sign(compareKeys(a, b)) === byUtf8(a, b)));
  t.ok(compareKeys('\uff5e', '\u{1f600}') < 0, 'a surrogate pair sorts after U+FF5E, unlike in UTF-16');
});

t.test('the index behaves like a map with sorted keys, whatever is set and deleted', async () => {
  const commands = fc.array(fc.record({ key: keys, value: fc.option(fc.nat(), { nil: undefined }) }), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(commands, keys, (commands, probe) => {
      const index = new KeyIndex<number>();
      const model = new Map<string, number>();
      for (const { key, value } of commands) {
        if (value !== undefined) {
          index.set(key, value);
          model.set(key, value);
        } else if (index.delete(key) !== model.delete(key)) return false;
      }
      const sorted = [...model].sort(([a], [b]) => byUtf8(a, b));
      const all = [...index.from(() => true)].map(({ key, value }) => [key, value]);
      const rest = [...index.from((key) => compareKeys(key, probe) >= 0)].map(({ key }) => key);
      return (
        isDeepStrictEqual(all, sorted) &&
        isDeepStrictEqual(
          rest,
          sorted.map(([key]) => key).filter((key) => byUtf8(key, probe) >= 0),
        ) &&
        index.get(probe) === model.get(probe) &&
        index.size === model.size
      );
    }),
  );
});

t.test(
  'many keys in random order split blocks and stay sorted; deleting them all leaves nothing',
  async (t) => {
    const names = Array.from({ length: 5000 }, (_, i) => `k${(i * 7919) % 5000}`);
    const index = new KeyIndex<string>();
    for (const name of names) index.set(name, name);
    t.same(
      [...index.from(() => true)].map(({ key }) => key),
      names.toSorted(byUtf8),
    );
    const copy = index.clone();
    t.ok(names.every((name) => index.delete(name)));
    t.equal(index.size, 0);
    t.equal(
      index.first(() => true),
      undefined,
    );
    t.equal(copy.size, 5000, 'a clone is independent');
    index.set('again', 'x');
    t.equal(index.get('again'), 'x');
  },
);
