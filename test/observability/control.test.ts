import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { callDaemon, ControlError } from '../../src/observability/control.js';
import type { ControlHandler } from '../../src/observability/control.js';
import { startStatusServer } from '../../src/observability/status-server.js';
import { Deferred } from '../../src/runtime/deferred.js';
import { exampleReport } from '../support/example-report.js';

/** A runtime folder of its own, in /tmp, because a socket's path may not be long. */
function makeRuntime(t: { teardown(step: () => void): void }): string {
  const runtime = mkdtempSync('/tmp/slq-');
  t.teardown(() => rmSync(runtime, { recursive: true, force: true }));
  return runtime;
}

async function startServer(t: { teardown(step: () => unknown): void }, handle: ControlHandler) {
  const place = { environment: { XDG_RUNTIME_DIR: makeRuntime(t) }, uid: process.getuid?.() ?? 0 };
  const server = await startStatusServer({
    mountpoint: '/mnt/a',
    pid: process.pid,
    place,
    report: exampleReport,
    handle,
  });
  t.teardown(() => server.close());
  return server;
}

t.test('a request is served, and its answer ends with the connection', async (t) => {
  const requests: unknown[] = [];
  const { path } = await startServer(t, async (request, { send }) => {
    requests.push(request);
    await send({ at: 1, text: 'a\nb' });
    await send({ at: 2 });
  });
  const messages: unknown[] = [];
  const request = { verb: 'warm', keys: ['ä'] };
  await callDaemon(path, request, { onMessage: (message) => messages.push(message) });
  t.strictSame(requests, [request]);
  t.strictSame(messages, [{ at: 1, text: 'a\nb' }, { at: 2 }]);
});

t.test('a request of many megabytes arrives', async (t) => {
  let length = 0;
  const { path } = await startServer(t, async (request) => {
    length = (request as { keys: string[] }).keys.length;
  });
  const keys = Array.from({ length: 200_000 }, (_, n) => `models/some/directory/${n}.safetensors`);
  await callDaemon(path, { keys }, { onMessage: () => {} });
  t.equal(length, keys.length);
});

t.test('whoever takes the request back is told to the handler', async (t) => {
  const ended = new Deferred<string>();
  const { path } = await startServer(t, async (_request, { send, signal }) => {
    signal.addEventListener('abort', () => ended.resolve('taken back'), { once: true });
    await send({ begun: true });
    await ended.promise;
    await send({ nobody: 'hears it' });
  });
  const aborter = new AbortController();
  await callDaemon(path, { verb: 'warm' }, { signal: aborter.signal, onMessage: () => aborter.abort() });
  t.equal(await ended.promise, 'taken back');
});

t.test('a request that was taken back before it was made asks nothing', async (t) => {
  let asked = false;
  const { path } = await startServer(t, async () => void (asked = true));
  await callDaemon(path, {}, { signal: AbortSignal.abort(), onMessage: () => {} });
  t.notOk(asked);
});

t.test('a client that does not read slows the work, and ends it when it goes', async (t) => {
  const aborted = new Deferred<number>();
  const stuck = new Deferred<void>();
  const { path } = await startServer(t, async (_request, { send, signal }) => {
    let sent = 0;
    signal.addEventListener('abort', () => aborted.resolve(sent), { once: true });
    while (!signal.aborted) {
      const isSent = send({ text: 'x'.repeat(100_000) });
      // What the socket takes at once is there in the same turn.
      if (!(await Promise.race([isSent.then(() => true), turn()]))) stuck.resolve();
      await isSent;
      sent += 1;
    }
  });
  const client = connect(path);
  client.pause();
  client.write('{"verb":"warm"}\n');
  await stuck.promise;
  client.destroy();
  t.ok((await aborted.promise) < 1000, 'it did not run on');
});

function turn(): Promise<false> {
  return new Promise((resolve) => {
    setImmediate(() => setImmediate(() => resolve(false)));
  });
}

t.test('a daemon that ends in the middle ends the call, without the last message', async (t) => {
  const server = await startServer(t, async (_request, { send, signal }) => {
    await send({ at: 1 });
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true });
    });
  });
  const messages: unknown[] = [];
  await callDaemon(
    server.path,
    {},
    {
      onMessage: (message) => {
        messages.push(message);
        void server.close();
      },
    },
  );
  t.strictSame(messages, [{ at: 1 }]);
});

t.test('who is not there, or does not know of requests, is said', async (t) => {
  const onMessage = () => {};
  const path = join(makeRuntime(t), 'daemon.sock');
  await t.rejects(callDaemon(path, {}, { onMessage }), ControlError);
  for (const [answer, message] of [
    ['{"error":"expected the request \\"status\\""}\n', /expected the request "status".*another version/],
    ['no JSON\n', /the daemon answers nonsense/],
  ] as const) {
    const odd = createServer((client) => client.resume().end(answer));
    await new Promise<void>((resolve) => {
      odd.listen(path, resolve);
    });
    await t.rejects(callDaemon(path, {}, { onMessage }), { message });
    await new Promise((resolve) => {
      odd.close(resolve);
    });
  }
});
