/** safetensors: what of a real file comes first, and which lies about the header are found out when. */
import t from 'tap';
import { probe } from './probe-driver.js';
import { safetensors } from './writers.js';

const MIB = 1024 * 1024;

/** A file with any header. */
function withHeader(header: string, dataBytes: number, claimedBytes = Buffer.byteLength(header)): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(claimedBytes));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)]);
}

function place(start: unknown, end: unknown): string {
  return JSON.stringify({ dtype: 'U8', shape: [1], data_offsets: [start, end] });
}

t.test('a header within the first look is known and verified at once', async (t) => {
  const file = safetensors([
    { name: 'a', bytes: 100 },
    { name: 'b', bytes: 0 },
    { name: 'c', bytes: 7 },
  ]);
  const { plan, looks } = probe(file);
  t.same(plan, { format: 'safetensors', first: [], dataStart: file.length - 107 });
  t.same(looks, [{ start: 0, end: file.length }]);
});

t.test('of a longer header the rest comes first, planned before it is verified', async (t) => {
  const tensors = Array.from({ length: 500 }, (_, at) => ({ name: `layer.${at}.weight`, bytes: at }));
  const order = tensors.map((_, at) => (at * 7) % 500);
  const file = safetensors(tensors, order);
  const dataStart = file.length - (499 * 500) / 2;
  const rest = { start: 4096, end: dataStart };
  const expected = { format: 'safetensors', first: [rest], dataStart };
  const { plans, looks } = probe(file);
  t.same(plans, [expected, expected]);
  t.same(looks, [{ start: 0, end: 4096 }, rest]);
});

t.test('a file without tensors is one', async (t) => {
  t.equal(probe(withHeader('{}', 0)).plan?.dataStart, 10);
  t.equal(probe(withHeader('{"__metadata__":{"a":"b"}}', 0)).plan?.format, 'safetensors');
});

t.test('tensors that leave a hole, overlap, or end elsewhere drop the plan', async (t) => {
  const lies = {
    'a hole': `{"a":${place(0, 10)},"b":${place(11, 20)}}`,
    'a hole at the beginning': `{"a":${place(1, 20)}}`,
    'an overlap': `{"a":${place(0, 11)},"b":${place(10, 20)}}`,
    backwards: `{"a":${place(0, 30)},"b":${place(30, 20)}}`,
    'too short': `{"a":${place(0, 19)}}`,
    'too long': `{"a":${place(0, 21)}}`,
    'no numbers': `{"a":${place('0', '20')}}`,
    'no place': `{"a":{"dtype":"U8"}}`,
    null: `{"a":null}`,
    'a number': `{"a":1}`,
    'not JSON': `{"a":${place(0, 20)}`,
    'not an object': `{"a"]`,
  };
  for (const [what, header] of Object.entries(lies)) {
    t.equal(probe(withHeader(header, 20)).plan, undefined, what);
    const { plans } = probe(withHeader(`${header}${' '.repeat(5000)}`, 20));
    t.match(plans, [{ format: 'safetensors' }, undefined], `${what}: planned until it was seen`);
  }
  t.ok(probe(withHeader(`{"a":${place(0, 20)}}`, 20)).plan, 'the truth is planned');
});

t.test('a length that cannot be is no plan at all', async (t) => {
  const header = `{"a":${place(0, 20)}}`;
  for (const claimed of [0, 1, header.length + 21, 2 ** 40, 2 ** 63]) {
    t.same(probe(withHeader(header, 20, claimed)).plans, [undefined], `${claimed}`);
  }
  t.same(probe(withHeader('["a"]', 20)).plans, [undefined], 'JSON of another kind');
  t.same(probe(Buffer.alloc(9)).plans, [undefined], 'shorter than any');
});

t.test('a header above 16 MiB is not looked at', async (t) => {
  const header = withHeader('{"a":', 0, 16 * MIB - 8);
  t.match(probe(header, 100 * MIB).plans, [{ dataStart: 16 * MIB }, undefined], 'the longest is');
  t.same(probe(withHeader('{"a":', 0, 16 * MIB - 7), 100 * MIB).plans, [undefined]);
});
