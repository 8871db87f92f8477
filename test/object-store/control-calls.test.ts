/** Listings and HEADs under faults: what is survived, how long it takes, and how it ends when it is not. */
import t from 'tap';
import { ObjectStoreError } from '../../src/object-store/errors.js';
import type { Fault } from '../../src/s3-server/faults.js';
import { hurriedClock } from '../support/clocks.js';
import { BUCKET, useServer, useServerCredentials, useStore } from '../support/s3-fixture.js';

useServerCredentials(t);
const server = await useServer(t);
for (let index = 0; index < 500; index++) await server.putObject(BUCKET, `dir/${index}`, 'x');

const TRANSIENT: Readonly<Record<string, Fault>> = {
  'internal errors': { kind: 'internal-error' },
  'requests to slow down': { kind: 'slow-down' },
  'resets before the headers': { kind: 'reset', at: 'before-headers' },
  'resets after the headers': { kind: 'reset', at: 'after-headers' },
  'resets in the body': { kind: 'reset', at: { atByte: 1000 } },
  'early ends': { kind: 'early-end', atByte: 1000 },
  'stalls before the headers': { kind: 'stall', at: 'before-headers' },
  'stalls in the body': { kind: 'stall', at: { atByte: 1000 } },
};

for (const [title, fault] of Object.entries(TRANSIENT)) {
  t.test(`three ${title} in a row are survived`, async (t) => {
    const { clock } = hurriedClock();
    const store = await useStore(t, server, { stallTimeoutMs: 250, connectionsMax: 2 }, { clock });
    t.teardown(server.faults.add({ operation: 'ListObjectsV2', attempts: 3, fault }));
    t.teardown(server.faults.add({ operation: 'HeadObject', attempts: 3, fault }));
    const before = server.counters.operation('ListObjectsV2').requests;
    t.equal((await store.list({ prefix: 'dir/' })).objects.length, 500);
    t.equal(server.counters.operation('ListObjectsV2').requests - before, 4, 'three faults and an answer');
    t.match(await store.head('dir/7'), { key: 'dir/7', size: 1 });
    t.equal(store.stats.controlRequests, 2, 'attempts are no calls');
  });
}

t.test('a call is given up after six attempts, with the last reason', async (t) => {
  const { clock, delays } = hurriedClock();
  const store = await useStore(t, server, {}, { clock });
  t.teardown(server.faults.add({ operation: '*', fault: { kind: 'internal-error' } }));
  const error = await store.list({ prefix: '' }).catch((error: unknown) => error);
  t.ok(error instanceof ObjectStoreError);
  t.match(error, {
    code: 'server_error',
    facts: { operation: 'list', bucket: BUCKET, attempts: 6, httpStatus: 500 },
  });
  t.match(error, { facts: { serverCode: 'InternalError', requestId: String } });
  t.equal(delays.length, 5);
  t.ok(
    delays.every((delayMs, index) => delayMs >= 50 * 2 ** index && delayMs <= 100 * 2 ** index),
    delays.join(),
  );
});

t.test('a burst of faults takes no retries from later calls', async (t) => {
  const { clock } = hurriedClock();
  const store = await useStore(t, server, {}, { clock });
  const remove = server.faults.add({ operation: '*', fault: { kind: 'internal-error' } });
  // 40 calls of 5 retries: twice what the SDK's token bucket would pay for.
  const calls = Array.from({ length: 40 }, () => store.list({ prefix: '' }));
  for (const call of await Promise.allSettled(calls)) t.equal(call.status, 'rejected');
  remove();
  t.teardown(server.faults.add({ operation: '*', attempts: 5, fault: { kind: 'internal-error' } }));
  t.equal((await store.list({ prefix: 'dir/' })).objects.length, 500);
});

t.test('Retry-After is kept, up to five seconds', async (t) => {
  const { clock, delays } = hurriedClock();
  const store = await useStore(t, server, {}, { clock });
  for (const [index, retryAfterSeconds] of [2, 3600].entries()) {
    const attempts = { from: index, to: index + 1 };
    t.teardown(
      server.faults.add({ operation: '*', attempts, fault: { kind: 'slow-down', retryAfterSeconds } }),
    );
  }
  await store.list({ prefix: '' });
  t.same(delays, [2000, 5000]);
});

const FINAL: readonly (readonly [Fault, string])[] = [
  [{ kind: 'access-denied' }, 'access_denied'],
  [{ kind: 'expired-token' }, 'credentials_rejected'],
  [{ kind: 'request-time-too-skewed' }, 'clock_skew'],
];

for (const [fault, code] of FINAL) {
  t.test(`${code} is not tried again`, async (t) => {
    const store = await useStore(t, server);
    t.teardown(server.faults.add({ operation: 'ListObjectsV2', fault }));
    await t.rejects(store.list({ prefix: '' }), { code, facts: { attempts: 1 } });
  });
}

t.test('a forbidden HEAD is an error, not a missing key', async (t) => {
  const store = await useStore(t, server);
  t.teardown(server.faults.add({ operation: 'HeadObject', fault: { kind: 'access-denied' } }));
  await t.rejects(store.head('dir/1'), { code: 'access_denied', facts: { key: 'dir/1', httpStatus: 403 } });
});

t.test('an abort ends the pause between two attempts', async (t) => {
  // This clock's timers never fire.
  const controller = new AbortController();
  const clock = { ...hurriedClock().clock, after: () => (setImmediate(() => controller.abort()), () => {}) };
  const store = await useStore(t, server, {}, { clock });
  t.teardown(server.faults.add({ operation: 'ListObjectsV2', fault: { kind: 'internal-error' } }));
  await t.rejects(store.list({ prefix: '', signal: controller.signal }), { code: 'aborted' });
});

t.test('many calls at once wait for one another, without timing out', async (t) => {
  const store = await useStore(t, server, { connectionsMax: 2, stallTimeoutMs: 1000 });
  t.teardown(server.faults.add({ operation: 'HeadObject', fault: { kind: 'latency', ms: 100 } }));
  const before = server.counters.operation('HeadObject').requests;
  // One control connection: the last of them waits longer than a stall may take.
  const heads = await Promise.all(Array.from({ length: 15 }, (_, index) => store.head(`dir/${index}`)));
  t.ok(heads.every((info) => info?.size === 1));
  t.equal(server.counters.operation('HeadObject').requests - before, 15, 'no attempt was given up');
});
