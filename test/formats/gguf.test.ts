/** gguf: where the tensors begin, however long the header is, and which headers are none. */
import t from 'tap';
import { probe } from './probe-driver.js';
import { gguf } from './writers.js';
import type { GgufValue } from './writers.js';

const KIB = 1024;
const MIB = 1024 * KIB;

const PAIRS: Readonly<Record<string, GgufValue>> = {
  'general.architecture': { type: 'string', value: 'llama' },
  'llama.block_count': { type: 'uint32', value: 32 },
  'tokenizer.scores': { type: 'float64s', count: 30 },
  'tokenizer.tokens': { type: 'strings', values: ['', 'a', 'ü'] },
  'general.nested': { type: 'nested', depth: 2 },
};
const TENSORS = [
  { name: 'token_embd.weight', bytes: 1000 },
  { name: 'output.weight', bytes: 64 },
];

function words(count: number): GgufValue {
  return { type: 'strings', values: Array.from({ length: count }, (_, at) => `word-${at}`) };
}

t.test('all versions, with every kind of value', async (t) => {
  for (const version of [1, 2, 3]) {
    const { file, dataStart } = gguf({ version, pairs: PAIRS, tensors: TENSORS });
    t.same(probe(file).plan, { format: 'gguf', first: [], dataStart }, `version ${version}`);
    t.equal(dataStart % 32, 0);
  }
  t.equal(
    probe(gguf({ version: 4, pairs: PAIRS, tensors: TENSORS }).file).plan,
    undefined,
    'the next is unknown',
  );
});

t.test('the data is aligned as the header says', async (t) => {
  for (const alignment of [8, 64, 4096]) {
    const { file, dataStart } = gguf({ pairs: PAIRS, tensors: TENSORS, alignment });
    t.equal(probe(file).plan?.dataStart, dataStart, `${alignment}`);
  }
  t.equal(probe(gguf({ alignment: 64 }).file).plan?.dataStart, 64, 'also without tensors');
});

t.test('a long header comes in growing pieces, each planned before it is seen', async (t) => {
  const { file, dataStart } = gguf({
    pairs: { ...PAIRS, 'tokenizer.tokens': words(150_000) },
    tensors: TENSORS,
  });
  const size = file.length;
  t.ok(dataStart > 2 * MIB && dataStart < 4 * MIB);
  const { plans, looks } = probe(file);
  t.same(looks, [
    { start: 0, end: 4 * KIB },
    { start: 4 * KIB, end: MIB },
    { start: MIB, end: 2 * MIB },
    { start: 2 * MIB, end: size },
  ]);
  const planned = (end: number, dataStart: number) => ({
    format: 'gguf',
    first: [{ start: 4096, end }],
    dataStart,
  });
  t.same(plans, [
    planned(MIB, size),
    planned(2 * MIB, size),
    planned(size, size),
    planned(dataStart, dataStart),
  ]);
});

t.test('the pieces may end anywhere', async (t) => {
  for (let padding = 0; padding < 200; padding++) {
    const pairs = { padding: { type: 'string', value: 'x'.repeat(3700 + padding) } as const, ...PAIRS };
    const { file, dataStart } = gguf({ pairs, tensors: [...TENSORS, { name: 'x', bytes: 5000 }] });
    if (probe(file).plan?.dataStart !== dataStart) t.fail(`with ${padding} bytes more`);
  }
});

t.test('of a header beyond 16 MiB as much comes first, and no read is taken for a load', async (t) => {
  const { file } = gguf({ pairs: { a: { type: 'float64s', count: 20 } }, tensors: TENSORS });
  // The count of that array, behind the preamble, a key of one letter and two types.
  file.writeBigUInt64LE(BigInt(4 * MIB), 24 + 9 + 8);
  const size = 100 * MIB;
  const { plan } = probe(file, size);
  t.same(plan, { format: 'gguf', first: [], dataStart: size });

  const long = gguf({ pairs: { a: words(1000) } }).file;
  long.writeBigUInt64LE(BigInt(100 * MIB), 24 + 9 + 8);
  // The zeros behind it are empty strings.
  const walked = probe(long, size);
  t.same(walked.plan, { format: 'gguf', first: [{ start: 4096, end: 16 * MIB }], dataStart: size });
});

t.test('a header that runs past the end, or whose tensors do, drops the plan', async (t) => {
  const { file, dataStart } = gguf({ pairs: PAIRS, tensors: TENSORS });
  t.ok(probe(file.subarray(0, dataStart + 1024)).plan, 'the second tensor begins there');
  t.equal(probe(file.subarray(0, dataStart + 1023)).plan, undefined);
  for (let size = 0; size < dataStart; size++) {
    if (probe(file.subarray(0, size)).plan) t.fail(`planned with ${size} bytes`);
  }
  const cut = gguf({ pairs: { a: words(2000) }, tensors: TENSORS }).file.subarray(0, 10_000);
  t.match(probe(cut).plans, [{ format: 'gguf' }, undefined], 'planned until its end was seen');
});

t.test('types, nesting, dimensions and alignments that cannot be drop the plan', async (t) => {
  const { file } = gguf({ pairs: { a: { type: 'uint32', value: 1 } }, tensors: TENSORS });
  const typeAt = 24 + 9;
  for (const type of [13, 2 ** 31]) {
    const changed = Buffer.from(file);
    changed.writeUInt32LE(type, typeAt);
    t.equal(probe(changed).plan, undefined, `type ${type}`);
  }
  const dimensions = Buffer.from(file);
  dimensions.writeUInt32LE(9, typeAt + 8 + 8 + TENSORS[0]!.name.length);
  t.equal(probe(dimensions).plan, undefined, 'dimensions');
  t.ok(probe(gguf({ pairs: { a: { type: 'nested', depth: 3 } } }).file).plan);
  t.equal(probe(gguf({ pairs: { a: { type: 'nested', depth: 4 } } }).file).plan, undefined, 'nesting');
  const alignment = gguf({ alignment: 8 }).file;
  alignment.writeUInt32LE(0, 24 + 8 + 'general.alignment'.length + 4);
  t.equal(probe(alignment).plan, undefined, 'alignment 0');
  alignment.writeUInt32LE(5, 24 + 8 + 'general.alignment'.length);
  t.equal(probe(alignment).plan, undefined, 'an alignment of another type');
});
