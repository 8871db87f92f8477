/** Fetches into a file whose availability and checksums are a mapped file, as the cache's are. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { loadNativeAddon } from '../../../src/native.js';
import { AttachedMemories } from '../../../src/object-store/socket/attached-memories.js';
import { attachSharedMemory } from '../../../src/runtime/shared-memory.js';
import type { SharedMemory } from '../../../src/runtime/shared-memory.js';
import { LendingSink } from '../../support/lending-sink.js';
import { createMappedMemory } from '../../support/mapped-memory.js';
import { serverCrcOf } from '../../support/plain-crc.js';
import { eventually } from '../../support/processes.js';
import { useScriptedServer } from '../../support/scripted-server.js';
import { answerRightly, ETAG, OBJECT, SIZE, useTransport } from './transport-rig.js';

const addon = loadNativeAddon();
const MIB = 1024 * 1024;

function mappingsOf(path: string): number {
  return readFileSync('/proc/self/maps', 'latin1').split(path).length - 1;
}

t.test('a thread maps a file once, however many fetches of it are under way', async (t) => {
  const one = createMappedMemory(t, addon, SIZE);
  const other = createMappedMemory(t, addon, SIZE);
  const memories = new AttachedMemories(addon);
  const first = memories.attach(one.memory);
  const second = memories.attach(one.memory);
  const elsewhere = memories.attach(other.memory);
  first.availability.publish({ start: 0, end: MIB });
  t.equal(second.availability.contiguousBytes, MIB);
  t.equal(elsewhere.availability.contiguousBytes, 0);
  t.equal(mappingsOf(one.path), 1);
  first.release();
  t.equal(second.availability.contiguousBytes, MIB, 'as long as one is');
  second.release();
  elsewhere.release();
  t.ok(await eventually(() => mappingsOf(one.path) + mappingsOf(other.path) === 0));
  const again = memories.attach(one.memory);
  t.equal(again.availability.contiguousBytes, MIB);
  again.release();
});

function useMappedTransport(
  t: Parameters<typeof useTransport>[0],
  server: Parameters<typeof useTransport>[1],
) {
  const { transport, origin } = useTransport(t, server, { threads: 3 });
  const fetch = (memory: SharedMemory, start: number, end: number) => {
    const sink = new LendingSink(SIZE, start);
    t.teardown(() => sink.dispose());
    const request = { origin, hostHeader: 'x', target: '/', headers: [] };
    const version = { endpoint: 'e', bucket: 'b', key: 'x', etag: ETAG, size: SIZE };
    const options = { signal: new AbortController().signal, stallTimeoutMs: 5000 };
    const place = { ...sink.lend(), memory };
    return transport.fetch({ request, version, range: { start, end }, place, options });
  };
  return { transport, fetch };
}

t.test(
  'what threads fetch is published and summed in the file, and unmapped when they are done',
  async (t) => {
    const server = await useScriptedServer(t, (request) => answerRightly(request));
    const { fetch } = useMappedTransport(t, server);
    const { path, memory } = createMappedMemory(t, addon, SIZE);
    const outcomes = await Promise.all([
      fetch(memory, 0, MIB),
      fetch(memory, MIB, 2 * MIB),
      fetch(memory, 2 * MIB, SIZE),
    ]);
    t.same(outcomes, [{ kind: 'complete' }, { kind: 'complete' }, { kind: 'complete' }]);
    t.ok(await eventually(() => mappingsOf(path) === 0));
    const attached = attachSharedMemory(memory, addon);
    t.ok(attached.availability.complete);
    t.equal(attached.checksums.combined('crc32c'), await serverCrcOf('crc32c', OBJECT));
    attached.release();
  },
);

t.test('memory that cannot be mapped is a failure of the local disk, and of nothing else', async (t) => {
  const server = await useScriptedServer(t, (request) => answerRightly(request));
  const { transport, fetch } = useMappedTransport(t, server);
  const { memory } = createMappedMemory(t, addon, SIZE);
  await t.rejects(fetch({ ...memory, descriptor: 999_999 }, 0, MIB), { code: 'EBADF' });
  t.same(await fetch(memory, 0, MIB), { kind: 'complete' });
  t.ok(transport.usable);
  t.equal(server.requests.length, 1);
});
