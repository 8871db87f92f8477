import fc from 'fast-check';
import t from 'tap';
import {
  childPath,
  compareNames,
  directoryPrefix,
  fitsBytes,
  nameOf,
  nameProblem,
  parentPath,
} from '../../src/filesystem/keys.js';

t.test('names that no file can have are told apart by reason', async (t) => {
  const cases = [
    ['', 'empty_part'],
    ['.', 'dot_part'],
    ['..', 'dot_part'],
    ['a\0b', 'nul'],
    ['x'.repeat(256), 'name_too_long'],
    ['\u00e9'.repeat(128), 'name_too_long'],
    ['\u{1f9ff}'.repeat(64), 'name_too_long'],
    ['\ud800', 'not_unicode'],
    ['a\udfffb', 'not_unicode'],
    ['.fuse_hidden0001', 'reserved'],
  ] as const;
  for (const [name, problem] of cases) t.equal(nameProblem(name, 'linux'), problem, JSON.stringify(name));
});

t.test('every other name is shown as it is', async (t) => {
  const names = [
    '...',
    ' ',
    '-',
    'line\nfeed',
    '\u0001\u007f',
    'n\u00fc',
    'nu\u0308',
    '\u{1f9ff}'.repeat(63),
    'x'.repeat(255),
    '\\',
    '*?"<>|:',
    '\uffff',
    '\ufffd',
  ];
  for (const name of names) t.equal(nameProblem(name, 'linux'), undefined, JSON.stringify(name));
});

t.test('macOS keeps names of its own to itself', async (t) => {
  const names = ['.DS_Store', '._file', '._', '.Spotlight-V100', '.Trashes', '.fseventsd', '.hidden'];
  for (const name of names) {
    t.equal(nameProblem(name, 'darwin'), 'reserved', name);
    t.equal(nameProblem(name, 'linux'), undefined, name);
  }
  for (const name of ['DS_Store', '.DS_Store2', 'a._b'])
    t.equal(nameProblem(name, 'darwin'), undefined, name);
});

t.test('names are ordered as their UTF-8 bytes are', async (t) => {
  const text = fc.string({ unit: 'grapheme' });
  const property = fc.property(text, text, (a, b) => {
    const expected = Buffer.compare(Buffer.from(a), Buffer.from(b));
    return Math.sign(compareNames(a, b)) === expected;
  });
  fc.assert(property, {
    examples: [
      ['\uffff', '\u{10000}'],
      ['a', 'a\u{10000}'],
      ['\ue000', '\u{10000}'],
    ],
  });
  t.pass('for all strings');
});

t.test('fitsBytes counts UTF-8', async (t) => {
  const property = fc.property(
    fc.string({ unit: 'grapheme' }),
    fc.nat(40),
    (text, max) => fitsBytes(text, max) === Buffer.byteLength(text) <= max,
  );
  fc.assert(property);
  t.pass('for all strings');
});

t.test('paths, names and prefixes belong together', async (t) => {
  t.equal(childPath('', 'a'), 'a');
  t.equal(childPath('a/b', 'c'), 'a/b/c');
  t.equal(parentPath('a'), '');
  t.equal(parentPath('a/b/c'), 'a/b');
  t.equal(nameOf('a'), 'a');
  t.equal(nameOf('a/b'), 'b');
  t.equal(directoryPrefix('p/', ''), 'p/');
  t.equal(directoryPrefix('p/', 'a/b'), 'p/a/b/');
  t.equal(directoryPrefix('', ''), '');
});
