/** Records of the addon, written by hand as native/events.h lays them out. */
import t from 'tap';
import { decodeEvents } from '../../src/fuse/native-events.js';
import type { NativeEvents } from '../../src/fuse/native-events.js';
import { asError } from '../../src/runtime/assert.js';
import { packed, record, requestRecord } from '../support/packed.js';

/** What a visitor hears of `records`, as [method, ...arguments]. */
function heard(...records: readonly Buffer[]): unknown[][] {
  const calls: unknown[][] = [];
  const visitor = new Proxy({} as NativeEvents, {
    get:
      (_target, method) =>
      (...args: unknown[]) => {
        calls.push([method, ...args]);
        if (method === 'ended') throw new Error('of the visitor');
      },
  });
  const bytes = Buffer.concat(records);
  const onError = (error: unknown, kind: number) => void calls.push(['error', kind, asError(error).message]);
  // Behind the end of the batch is what an earlier one left.
  decodeEvents(Buffer.concat([bytes, Buffer.alloc(16, 0xff)]), bytes.length, visitor, onError);
  return calls;
}

t.test('each kind of record', async (t) => {
  const read = [
    ['u32', 7],
    ['u32', 4096],
    ['u64', 12],
    ['u64', 2 ** 40],
    ['u64', 5],
    ['f64', 1.5],
  ] as const;
  const direct = { id: 12, handle: 5, start: 2 ** 40, end: 2 ** 40 + 4096, ageMs: 1.5 };
  t.strictSame(heard(requestRecord(3, 1, 2 ** 33, Buffer.from('name\0'))), [
    ['request', { slot: 3, opcode: 1, node: 2 ** 33, body: Buffer.from('name\0') }],
  ]);
  t.strictSame(heard(record(2, ['u32', 2], ['u32', 0], ['u64', 4], ['u64', 1], ['u64', 9], ['u64', 3])), [
    ['forgotten', 4, 1],
    ['forgotten', 9, 3],
  ]);
  t.strictSame(heard(record(3, ...read)), [['readEntered', 7, direct]]);
  t.strictSame(heard(record(4, ...read)), [['readWaiting', 7, direct]]);
  for (const [code, result] of ['ok', 'deadline', 'interrupted', 'failed'].entries()) {
    const ended = record(5, ['u32', 7], ['u32', code], ['u64', 12], ['f64', 2.25]);
    t.strictSame(heard(ended), [['readEnded', 7, 12, { result, waitedMs: 2.25 }]]);
  }
  t.strictSame(heard(record(6, ['u32', 7], ['u32', 100], ['u64', 50])), [['readObserved', 7, 50, 150]]);
  t.strictSame(heard(record(7, ['u64', 5], ['u64', 44])), [['released', 5]]);
  const agreed = [
    ['u32', 7],
    ['u32', 41],
    ['u32', 9],
    ['u32', 32],
    ['u32', 2 ** 20],
  ] as const;
  t.strictSame(heard(record(8, ...agreed, ['u32', 2], ['u32', 1], ['u32', 0])), [
    [
      'negotiated',
      {
        major: 7,
        minor: 41,
        flags: 9,
        flags2: 32,
        readBytesMax: 2 ** 20,
        threads: 2,
        cloned: true,
        passthrough: false,
      },
    ],
  ]);
  t.strictSame(heard(record(9, ['u32', 2], ['u32', 22], ['u64', 15])), [['problem', 2, 22, 15]]);
});

const released = (handle: number) => record(7, ['u64', handle], ['u64', 1]);

t.test('records come in order, and only those of the batch', async (t) => {
  t.strictSame(heard(), []);
  t.strictSame(heard(released(1), released(2)), [
    ['released', 1],
    ['released', 2],
  ]);
});

t.test('a record that makes no sense, or whose visitor throws, does not lose those behind it', async (t) => {
  t.strictSame(heard(record(10, ['u32', 19], ['u32', 0]), released(1), record(77, ['u64', 1]), released(2)), [
    ['ended', 19],
    ['error', 10, 'of the visitor'],
    ['released', 1],
    ['error', 77, 'a record of the unknown kind 77 at 40'],
    ['released', 2],
  ]);
});

t.test('what has no end is refused, not read on', async (t) => {
  const broken: readonly (readonly [string, Buffer])[] = [
    ['no length', packed(['u32', 0], ['u32', 7])],
    ['a length that is no multiple of 8', packed(['u32', 12], ['u32', 7], ['u32', 1])],
    ['a length beyond the batch', packed(['u32', 24], ['u32', 7], ['u64', 1])],
  ];
  for (const [what, bytes] of broken) t.throws(() => heard(bytes), RangeError, what);
});
