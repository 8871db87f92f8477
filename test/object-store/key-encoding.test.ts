/** Keys in listings: every key comes back from its encoded form, and no text makes the decoder throw. */
import fc from 'fast-check';
import t from 'tap';
import { decodeListedKey } from '../../src/object-store/key-encoding.js';

/** As S3 does it: a space as `+`, everything else but unreserved characters and `/` as %XX. */
function encodeAsS3(key: string): string {
  return encodeURIComponent(key)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

t.test('any key comes back from its encoded form', async (t) => {
  const keys = fc.string({ unit: 'binary', maxLength: 100 });
  t.doesNotThrow(() => fc.assert(fc.property(keys, (key) => decodeListedKey(encodeAsS3(key)) === key)));
  // Other servers write %20 for a space.
  t.doesNotThrow(() =>
    fc.assert(fc.property(keys, (key) => decodeListedKey(encodeURIComponent(key)) === key)),
  );
});

t.test('text that is no encoded key is decoded as far as it goes', async (t) => {
  t.equal(decodeListedKey('100%'), '100%');
  t.equal(decodeListedKey('%4'), '%4');
  t.equal(decodeListedKey('%zz%41'), '%zzA');
  t.equal(decodeListedKey('%C3'), '\ufffd', 'half a character');
  t.equal(decodeListedKey('%C3%A9x%FF%FE'), '\u00e9x\ufffd\ufffd');
  const texts = fc.string({ unit: fc.constantFrom('%', '+', 'A', 'f', '9', 'C', '3', '/', 'é') });
  t.doesNotThrow(() => fc.assert(fc.property(texts, (text) => typeof decodeListedKey(text) === 'string')));
});
