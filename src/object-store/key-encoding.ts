/**
 * Keys in listings. They are asked for with `encoding-type=url`, since XML cannot carry every character a key may
 * have: a space comes as `+`, other bytes of the UTF-8 form as `%XX`.
 */

const ESCAPES = /(?:%[0-9a-fA-F]{2})+/g;

/**
 * The key behind its url-encoded form. Never throws: `%` without two digits stands for itself, and bytes that are
 * not UTF-8 (which no key of a conforming server has) become U+FFFD.
 */
export function decodeListedKey(encoded: string): string {
  return encoded
    .replaceAll('+', ' ')
    .replace(ESCAPES, (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString('utf8'));
}
