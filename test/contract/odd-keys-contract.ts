/** The contract of keys: every key that S3 allows is listed, found and read under exactly its name. */
import type { Test } from 'tap';
import { allPages, fetch, keysOf, versionOf } from './contract-target.js';
import type { ContractException, ContractTarget, ContractTest, ContractTests } from './contract-target.js';

interface OddKey {
  readonly title: string;
  readonly key: string;
  readonly exception?: ContractException;
}

export const ODD_KEYS: readonly OddKey[] = [
  { title: 'spaces', key: ' a  b ' },
  { title: 'a plus sign', key: 'a+b +' },
  { title: 'percent signs and what looks like an escape', key: '100%/%41%zz%' },
  { title: 'characters with a meaning in URLs', key: "a?b#c&d=e;f:g@h,i$j!k*l'm(n)" },
  { title: 'characters with a meaning in XML', key: '<a>&amp;"b"]]>' },
  { title: 'backslashes and quotes', key: 'a\\b"c`d' },
  { title: 'a composed letter (NFC)', key: 'caf\u00e9' },
  { title: 'a decomposed letter (NFD)', key: 'cafe\u0301' },
  { title: 'characters beyond U+FFFF', key: '\u{1f600}/\u{10ffff}' },
  { title: 'control characters', key: 'a\u0001b\tc\nd\re\u007ff', exception: 'control-characters' },
  { title: 'an empty segment', key: 'a//b', exception: 'empty-segments' },
  { title: 'two slashes at its end', key: 'a//', exception: 'empty-segments' },
  { title: 'a dot segment', key: 'a/./b', exception: 'dot-segments' },
  { title: 'a dot-dot segment', key: 'a/../b', exception: 'dot-segments' },
  { title: 'a dot-dot at its end', key: 'a/..', exception: 'dot-segments' },
  { title: 'a segment of 256 bytes', key: 's'.repeat(256), exception: 'long-segments' },
];

const KEY_BYTES_MAX = 1024;

/** A test for each odd key: it is listed, found and read under exactly its name. */
export function oddKeyTests(): ContractTests {
  const tests: Record<string, ContractTest> = {};
  for (const { title, key, exception } of ODD_KEYS) {
    tests[`a key may have ${title}`] = (t, target, prefix) =>
      roundTrip(t, target, prefix, prefix + key, exception);
  }
  tests['a key may begin with a slash'] = (t, target, prefix) =>
    roundTrip(t, target, `/${prefix}`, `/${prefix}a`, 'empty-segments');
  tests['a key may have 1024 bytes'] = async (t, target, prefix) => {
    const left = KEY_BYTES_MAX - prefix.length;
    await roundTrip(t, target, prefix, prefix + `${'k'.repeat(199)}/`.repeat(5).slice(0, left - 1) + 'k');
  };
  return tests;
}

async function roundTrip(
  t: Test,
  target: ContractTarget,
  prefix: string,
  key: string,
  exception?: ContractException,
): Promise<void> {
  if (exception && (await notKeptAsDeclared(t, target, exception, key))) return;
  const content = Buffer.from(`content of ${key}`);
  await target.put(key, content);
  t.teardown(() => target.delete(key));
  t.same(keysOf(await allPages(target.store, { prefix })), [key]);
  const version = await versionOf(target, key);
  t.equal(version.size, content.length);
  t.ok((await fetch(target, version, 0, version.size)).bytes.equals(content));
}

/** True when the target declares the exception; then it must not keep the key, or the declaration is out of date. */
async function notKeptAsDeclared(
  t: Test,
  target: ContractTarget,
  exception: ContractException,
  key: string,
): Promise<boolean> {
  if (!target.exceptions.includes(exception)) return false;
  t.comment(`EXCEPTION ${exception}: this server does not keep ${JSON.stringify(key)}`);
  const refused = await target.put(key, Buffer.from('x')).then(
    () => false,
    () => true,
  );
  const kept = !refused && keysOf(await allPages(target.store, { prefix: key })).includes(key);
  t.notOk(kept, `${exception} is not kept, as declared`);
  return true;
}
