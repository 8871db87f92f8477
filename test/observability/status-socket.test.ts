import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { queryDaemons } from '../../src/observability/status-client.js';
import { startStatusServer } from '../../src/observability/status-server.js';
import { findSockets, mountpointId, newSocketPath } from '../../src/observability/status-socket.js';
import { systemClock } from '../../src/runtime/clock.js';
import { exampleReport } from '../support/example-report.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const uid = process.getuid?.() ?? 0;

/** A runtime folder of its own for each test; in /tmp, because a socket's path may not be long. */
function makePlace(t: { teardown(step: () => void): void }) {
  const runtime = mkdtempSync('/tmp/slq-');
  t.teardown(() => rmSync(runtime, { recursive: true, force: true }));
  return { environment: { XDG_RUNTIME_DIR: runtime }, uid };
}

function startServer(place: ReturnType<typeof makePlace>, mountpoint: string, pid = process.pid) {
  const report = () => exampleReport({ mountpoint, pid });
  return startStatusServer({ mountpoint, pid, place, report, handle: async () => {} });
}

/** What a client gets that says `request`. */
function exchange(path: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path, () => socket.write(request));
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
}

t.test('daemons answer with their report, by mount point', async (t) => {
  const place = makePlace(t);
  const servers = await Promise.all([startServer(place, '/mnt/b', 7), startServer(place, '/mnt/a', 8)]);
  // Real daemons of this machine may answer as well.
  const answers = await queryDaemons({ place, clock: systemClock });
  t.strictSame(
    answers.filter(({ pid }) => pid === 7 || pid === 8),
    [
      { state: 'answering', pid: 8, report: exampleReport({ mountpoint: '/mnt/a', pid: 8 }) },
      { state: 'answering', pid: 7, report: exampleReport({ mountpoint: '/mnt/b', pid: 7 }) },
    ],
  );
  const only = await queryDaemons({ place, clock: systemClock, mountpoint: '/mnt/b' });
  t.strictSame(
    only.map(({ pid }) => pid),
    [7],
  );
  t.strictSame(await queryDaemons({ place, clock: systemClock, mountpoint: '/mnt' }), []);
  await Promise.all(servers.map((server) => server.close()));
});

t.test('a closed server leaves nothing, not even the folder', async (t) => {
  const place = makePlace(t);
  const [one, other] = [await startServer(place, '/mnt/a'), await startServer(place, '/mnt/b')];
  await one.close();
  const paths = findSockets(place).map(({ path }) => path);
  t.strictSame(
    paths.filter((path) => path.startsWith(place.environment.XDG_RUNTIME_DIR)),
    [other.path],
  );
  await other.close();
  t.strictSame(readdirSync(place.environment.XDG_RUNTIME_DIR), []);
});

t.test('only the user can reach the socket', async (t) => {
  const place = makePlace(t);
  const folder = join(place.environment.XDG_RUNTIME_DIR, 'sluice');
  mkdirSync(folder, { mode: 0o777 });
  chmodSync(folder, 0o777);
  const server = await startServer(place, '/mnt/a');
  t.equal(statSync(folder).mode & 0o777, 0o700);
  t.equal(statSync(server.path).mode & 0o777, 0o600);
  await server.close();
});

t.test('a folder that somebody else may have put there is not used', async (t) => {
  const place = makePlace(t);
  const { XDG_RUNTIME_DIR } = place.environment;
  const elsewhere = join(XDG_RUNTIME_DIR, 'elsewhere');
  mkdirSync(elsewhere);
  symlinkSync(elsewhere, join(XDG_RUNTIME_DIR, 'sluice'));
  const fallback = mkdtempSync('/tmp/slq-');
  t.teardown(() => rmSync(fallback, { recursive: true, force: true }));
  const stranger = 4_294_967_000;
  const environment = { XDG_RUNTIME_DIR, TMPDIR: fallback };
  t.notMatch(newSocketPath('/mnt', 1, { environment, uid }), XDG_RUNTIME_DIR);
  t.strictSame(readdirSync(elsewhere), []);
  t.strictSame(findSockets({ environment: { XDG_RUNTIME_DIR }, uid: stranger }), []);
  rmSync(join(fallback, `sluice-${uid}`), { recursive: true, force: true });
});

t.test('a runtime folder whose name is too long for a socket is passed over', (t) => {
  const place = makePlace(t);
  const long = join(place.environment.XDG_RUNTIME_DIR, 'x'.repeat(80));
  mkdirSync(long);
  const short = mkdtempSync('/tmp/slq-');
  t.teardown(() => rmSync(short, { recursive: true, force: true }));
  const path = newSocketPath('/mnt', 1, { environment: { XDG_RUNTIME_DIR: long, TMPDIR: short }, uid });
  t.ok(Buffer.byteLength(path) < 103 && !path.startsWith(long), path);
  rmSync(path.slice(0, path.lastIndexOf('/')), { recursive: true, force: true });
  t.end();
});

t.test('when no folder will do, the error names those that were tried', (t) => {
  const environment = { XDG_RUNTIME_DIR: '/nowhere', TMPDIR: '/nowhere/either' };
  // Nobody has this number, so that no folder belongs to it.
  t.throws(() => newSocketPath('/mnt', 1, { environment, uid: 4_294_967_000 }), {
    message:
      'no folder for the status socket: expected one of /nowhere/sluice, /run/user/4294967000/sluice, ' +
      '/nowhere/either/sluice-4294967000, /tmp/sluice-4294967000 to belong to user 4294967000; ' +
      'set XDG_RUNTIME_DIR to such a folder',
  });
  rmSync('/tmp/sluice-4294967000', { recursive: true, force: true });
  t.end();
});

t.test('the socket of a dead daemon is recognised and removed', async (t) => {
  const place = makePlace(t);
  const path = newSocketPath('/mnt/dead', 99, place);
  // Killed by itself: nobody unlinks the socket.
  const program =
    'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))';
  t.equal(spawnSync(process.execPath, ['-e', program, path]).signal, 'SIGKILL');
  t.ok(existsSync(path));
  t.strictSame(await queryDaemons({ place, clock: systemClock }), []);
  t.notOk(existsSync(path));
});

t.test('a daemon that accepts and says nothing is reported as not answering', async (t) => {
  const place = makePlace(t);
  const path = newSocketPath('/mnt/hung', 99, place);
  const clock = new SimulatedClock();
  const hung = createServer((client) => client.resume());
  const asked = new Promise<void>((resolve) => {
    hung.once('connection', () => resolve());
  });
  await new Promise<void>((resolve) => {
    hung.listen(path, resolve);
  });
  const query = queryDaemons({ place, clock, answerMsMax: 5000 });
  await asked;
  clock.advance(5000);
  t.strictSame(await query, [{ state: 'not_answering', pid: 99 }]);
  t.equal(clock.pendingTimers, 0);
  hung.close();
});

t.test('an answer that is no report, or none at all, is not taken for one', async (t) => {
  const place = makePlace(t);
  const path = newSocketPath('/mnt/odd', 99, place);
  for (const answer of ['no JSON\n', '{"schema":2}\n', '']) {
    const odd = createServer((client) => client.resume().end(answer));
    await new Promise<void>((resolve) => {
      odd.listen(path, resolve);
    });
    t.strictSame(
      await queryDaemons({ place, clock: systemClock }),
      [{ state: 'not_answering', pid: 99 }],
      answer,
    );
    await new Promise((resolve) => {
      odd.close(resolve);
    });
  }
});

t.test('an unknown request, and one that never ends, is answered with what was expected', async (t) => {
  const place = makePlace(t);
  const server = await startServer(place, '/mnt/a');
  for (const request of ['reboot\n', 'x'.repeat(5000)]) {
    t.strictSame(JSON.parse(await exchange(server.path, request)), {
      error: 'expected the request "status" or a line of JSON',
    });
  }
  await server.close();
});

t.test('a client that hangs does not keep the server from closing', async (t) => {
  const place = makePlace(t);
  const server = await startServer(place, '/mnt/a');
  const idle = connect(server.path);
  const dropped = new Promise((resolve) => {
    idle.once('close', resolve);
  });
  await new Promise((resolve) => {
    idle.once('connect', resolve);
  });
  await server.close();
  await dropped;
  t.strictSame(findSockets(place), []);
});

t.test('mount points have different ids', (t) => {
  const ids = ['/a/b', '/a_b', '/a', '/', '/a/b/'].map(mountpointId);
  t.equal(new Set(ids).size, ids.length);
  t.ok(ids.every((id) => /^[0-9a-f]{16}$/.test(id)));
  t.end();
});
