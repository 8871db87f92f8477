import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { connectTo, listenAt, ownerSocketPath } from '../../../src/cache/peers/peer-socket.js';

function useFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A server that greets, at `path`. */
async function useGreeter(t: Test, path: string): Promise<void> {
  const server = createServer((socket) => socket.end('hello'));
  t.teardown(() => server.close());
  await listenAt(server, path);
}

async function greetingAt(path: string): Promise<string> {
  const socket = await connectTo(path);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

t.test('a socket is reached whatever the length of its path, by this user alone', async (t) => {
  for (const depth of [0, 1, 10, 40]) {
    const folder = join(useFolder(t), ...Array.from({ length: depth }, () => 'a-long-name-of-a-folder'));
    mkdirSync(folder, { recursive: true });
    const path = ownerSocketPath(folder, '0123456789abcdef');
    await useGreeter(t, path);
    t.ok(existsSync(path), `there it is, ${path.length} characters`);
    t.equal(statSync(path).mode & 0o777, 0o600);
    t.equal(await greetingAt(path), 'hello');
  }
});

t.test('the way to a long path leaves nothing behind', async (t) => {
  const folder = join(useFolder(t), 'x'.repeat(200));
  mkdirSync(folder);
  const temporary = useFolder(t);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = temporary;
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  const path = ownerSocketPath(folder, 'owner');
  await t.rejects(connectTo(path), { code: 'ENOENT' });
  await useGreeter(t, path);
  t.equal(await greetingAt(path), 'hello');
  t.same(readdirSync(temporary), []);
});

t.test('the socket of a killed daemon is replaced', async (t) => {
  const path = ownerSocketPath(useFolder(t), 'owner');
  const killed = createServer();
  await listenAt(killed, path);
  await useGreeter(t, path);
  t.equal(await greetingAt(path), 'hello');
  await new Promise((resolve) => killed.close(resolve));
});

t.test('nobody listening is an error, whatever lies there', async (t) => {
  const folder = useFolder(t);
  await t.rejects(connectTo(join(folder, 'none.sock')), { code: 'ENOENT' });
  mkdirSync(join(folder, 'folder.sock'));
  await t.rejects(connectTo(join(folder, 'folder.sock')), { code: 'ECONNREFUSED' });
});
