import fc from 'fast-check';
import t from 'tap';
import {
  encodeMessages,
  LINE_BYTES_MAX,
  parseFollowerMessage,
  parseOwnerMessage,
  shortText,
} from '../../../src/cache/peers/messages.js';
import type { FollowerMessage, OwnerMessage } from '../../../src/cache/peers/messages.js';
import { versionOf } from './recording.js';

const count = fc.maxSafeNat();
const link = count;
const range = fc
  .tuple(fc.nat(), fc.integer({ min: 1, max: 2 ** 40 }))
  .map(([start, bytes]) => ({ start, end: start + bytes }));
const version = fc
  .record(
    {
      endpoint: fc.string(),
      bucket: fc.string(),
      key: fc.string({ unit: 'binary' }),
      etag: fc.string(),
      versionId: fc.string(),
      size: count,
    },
    { requiredKeys: ['endpoint', 'bucket', 'key', 'etag', 'size'] },
  )
  .map((fields) => ({ ...fields }));
const hello = fc.record({ kind: fc.constant('hello' as const), protocol: count });

const followerMessage: fc.Arbitrary<FollowerMessage> = fc.oneof(
  hello,
  fc.record({ kind: fc.constant('open' as const), link, version }),
  fc.record({ kind: fc.constant('observe' as const), link, range }),
  fc.record({ kind: fc.constant('demand' as const), link, range, number: count }),
  fc.record({
    kind: fc.constant('fill' as const),
    link,
    fill: fc.constantFrom('gently' as const, 'as prefetch' as const),
    number: count,
  }),
  fc.record({ kind: fc.constant('close' as const), link }),
);
const end = fc.constantFrom('complete' as const, 'stale' as const, 'failed' as const, 'corrupt' as const);
const text = fc.string({ unit: 'binary' });
const ownerMessage: fc.Arbitrary<OwnerMessage> = fc.oneof(
  hello,
  fc.record({ kind: fc.constant('heard' as const), number: count }),
  fc.record({ kind: fc.constant('advanced' as const), link }),
  fc.record({ kind: fc.constant('arrived' as const), link, range }),
  fc.record({ kind: fc.constant('failed' as const), link, range, code: text, message: text }),
  fc.record({ kind: fc.constant('unfilled' as const), link, code: text, message: text }),
  fc.record({ kind: fc.constant('ended' as const), link, end, message: text }),
  fc.record({ kind: fc.constant('refused' as const), link, reason: text }),
);

/** As they look after JSON: without prototypes. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

t.test('what is said is what is heard, on one line', async (t) => {
  const said = fc.property(followerMessage, ownerMessage, (follower, owner) => {
    for (const [message, parse] of [
      [follower, parseFollowerMessage],
      [owner, parseOwnerMessage],
    ] as const) {
      const [line = '', ...rest] = encodeMessages([message]).split('\n');
      t.same(rest, [''], 'one line');
      t.same(parse(line), plain(message));
    }
  });
  fc.assert(said, { numRuns: 300 });
});

t.test('what is no such message is undefined, never an exception', async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
      parseOwnerMessage(line);
      return parseFollowerMessage(line) === undefined;
    }),
  );
  const refused = [
    '{"kind":"open","link":1}',
    '{"kind":"open","link":-1,"version":{"endpoint":"e","bucket":"b","key":"k","etag":"t","size":1}}',
    '{"kind":"open","link":1,"version":{"endpoint":"e","bucket":"b","key":"k","etag":"t","size":-1}}',
    '{"kind":"open","link":1,"version":{"endpoint":"e","bucket":"b","key":7,"etag":"t","size":1}}',
    '{"kind":"demand","link":1,"range":{"start":0,"end":1}}',
    '{"kind":"demand","link":1,"range":{"start":1,"end":1},"number":1}',
    '{"kind":"demand","link":1,"range":{"start":0,"end":1e300},"number":1}',
    '{"kind":"fill","link":1,"fill":"as prefetch"}',
    '{"kind":"observe","link":1.5,"range":{"start":0,"end":1}}',
    '{"kind":"hello"}',
    '{"kind":"advanced","link":1}',
    '[]',
    'null',
  ];
  for (const line of refused) t.equal(parseFollowerMessage(line), undefined, line);
  for (const line of [
    '{"kind":"ended","link":1,"end":"well","message":""}',
    '{"kind":"refused","link":1}',
    '{"kind":"failed","link":1,"range":{"start":0,"end":1},"code":"denied"}',
    '{"kind":"unfilled","link":1,"message":""}',
    '{"kind":"heard"}',
    '{"kind":"open","link":1}',
  ]) {
    t.equal(parseOwnerMessage(line), undefined, line);
  }
});

t.test('the longest messages fit into a line', async (t) => {
  const long = '\u0001'.repeat(1024);
  const version = {
    ...versionOf(long),
    endpoint: 'e'.repeat(1000),
    versionId: 'v'.repeat(1000),
    etag: 'x'.repeat(1000),
  };
  const open = encodeMessages([{ kind: 'open', link: 2 ** 52, version }]);
  t.ok(open.length < LINE_BYTES_MAX, `${open.length} bytes`);
  const message = shortText('\u0001'.repeat(100_000));
  const range = { start: 0, end: 2 ** 52 };
  const failed = encodeMessages([{ kind: 'failed', link: 2 ** 52, range, code: 'disk_failed', message }]);
  t.ok(failed.length < LINE_BYTES_MAX, `${failed.length} bytes`);
});
