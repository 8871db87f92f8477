import fc from 'fast-check';
import t from 'tap';
import { childNodes, childText, parseXml, xmlDocument } from '../../src/s3-server/xml.js';

t.test('what is written is read again, whatever characters it has', async () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom('&', '<', '>', '"', "'", ' ', '\n', '\r', '\t', '\u0001', ']]>', '\u2028'),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
    ),
  });
  fc.assert(
    fc.property(fc.array(text, { maxLength: 4 }), (keys) => {
      const document = xmlDocument('Delete', { Object: keys.map((Key) => ({ Key })) });
      const read = childNodes(parseXml(document, 'Delete'), 'Object').map((node) => childText(node, 'Key'));
      return JSON.stringify(read) === JSON.stringify(keys);
    }),
  );
});

t.test('elements: nested, repeated, left out', async (t) => {
  const document = xmlDocument('Root', { A: 1, B: undefined, C: [{ D: 'x' }, { D: 'y' }], E: [], F: '' });
  t.match(document, '<A>1</A><C><D>x</D></C><C><D>y</D></C><F></F></Root>');
});

t.test('documents that are malformed, or have another root, or a document type, are refused', async (t) => {
  for (const body of [
    '',
    'text',
    '<Delete>',
    '<Delete></Other>',
    '<Other/>',
    '<!DOCTYPE x [<!ENTITY a "b">]><Delete>&a;</Delete>',
  ])
    t.throws(() => parseXml(body, 'Delete'), { code: 'MalformedXML' }, JSON.stringify(body));
});

t.test('children that are not there, or not text', async (t) => {
  const node = parseXml('<R><A>1</A><A>2</A><B><C/></B></R>', 'R');
  t.equal(childText(node, 'A'), undefined, 'repeated');
  t.equal(childText(node, 'B'), undefined, 'an element');
  t.equal(childText(node, 'Z'), undefined);
  t.same(childNodes(node, 'A'), ['1', '2']);
  t.same(childNodes(node, 'Z'), []);
  t.same(childNodes('text', 'Z'), []);
});
