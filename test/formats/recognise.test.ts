/** Whatever the bytes are: nothing is thrown, every look and plan lies within the object, and the looks end. */
import fc from 'fast-check';
import t from 'tap';
import { createFormatProbe } from '../../src/formats/recognise.js';
import { probe } from './probe-driver.js';
import { gguf, safetensors, torchMembers, zip } from './writers.js';

const MIB = 1024 * 1024;

const REAL = {
  safetensors: safetensors(Array.from({ length: 90 }, (_, at) => ({ name: `tensor.${at}`, bytes: at }))),
  gguf: gguf({
    pairs: {
      'tokenizer.tokens': { type: 'strings', values: Array.from({ length: 400 }, (_, at) => `token-${at}`) },
      'tokenizer.scores': { type: 'float64s', count: 100 },
      'general.nested': { type: 'nested', depth: 3 },
    },
    alignment: 64,
    tensors: [{ name: 'weight', bytes: 100 }],
  }).file,
  zip: zip(torchMembers([5000, 10, 20])).file,
  zip64: zip(torchMembers([5000, 10, 20]), { zip64: true, comment: 'a comment' }).file,
};
const real = fc.constantFrom(...Object.values(REAL));

t.test('the real ones are recognised, and empty and other files are not', async (t) => {
  for (const [name, file] of Object.entries(REAL)) t.match(name, probe(file).plan?.format ?? 'nothing');
  t.equal(createFormatProbe(0).wants, undefined);
  t.same(probe(Buffer.from('hello')), { plan: undefined, plans: [undefined], looks: [{ start: 0, end: 5 }] });
});

t.test('a look that is not what was wanted is refused', async (t) => {
  const subject = createFormatProbe(100);
  t.throws(() => subject.look(Buffer.alloc(99)), /99 bytes/);
  t.equal(subject.wants?.end, 100);
});

t.test('random bytes behind every beginning', async (t) => {
  const beginnings = fc.constantFrom(
    '',
    'GGUF',
    'GGUF\u0003\0\0\0',
    'PK\u0003\u0004',
    '\u0010\0\0\0\0\0\0\0{"',
  );
  const bytes = fc.uint8Array({ maxLength: 10_000, size: 'max' });
  const property = fc.property(beginnings, bytes, fc.nat(64 * MIB), (beginning, rest, sizeMore) => {
    const file = Buffer.concat([Buffer.from(beginning, 'latin1'), rest]);
    probe(file);
    probe(file, file.length + sizeMore);
  });
  fc.assert(property, { numRuns: 300 });
  t.pass('for all');
});

t.test('real files that are cut, continued, or whose bits are flipped', async (t) => {
  const flip = fc.record({ at: fc.nat(12_000), bit: fc.nat(7) });
  const property = fc.property(
    real,
    fc.array(flip, { maxLength: 8 }),
    fc.nat(12_000),
    fc.oneof(fc.constant(0), fc.nat(64 * MIB)),
    (file, flips, cut, sizeMore) => {
      const changed = Buffer.from(file);
      for (const { at, bit } of flips) changed[at % file.length]! ^= 1 << bit;
      probe(changed);
      probe(changed.subarray(0, cut % file.length));
      probe(changed, changed.length + sizeMore);
    },
  );
  fc.assert(property, { numRuns: 1000 });
  t.pass('for all');
});

t.test('counts and places of any size in a real header', async (t) => {
  const numbers = fc.oneof(
    fc.bigInt(0n, 2n ** 64n - 1n),
    fc.bigInt(0n, 70_000n),
    fc.constantFrom(2n ** 53n, 2n ** 32n),
  );
  const property = fc.property(
    real,
    fc.nat(12_000),
    numbers,
    fc.nat(64 * MIB),
    (file, at, value, sizeMore) => {
      const changed = Buffer.from(file);
      changed.writeBigUInt64LE(value, at % (file.length - 8));
      probe(changed);
      probe(changed, changed.length + sizeMore);
    },
  );
  fc.assert(property, { numRuns: 1000 });
  t.pass('for all');
});
