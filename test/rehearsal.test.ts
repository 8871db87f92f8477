/** The rehearsal of a mount: it comes to an end whatever its layers do, and leaves nothing behind. */
import t from 'tap';
import { createLogger } from '../src/observability/logger.js';
import { Rehearsal } from '../src/rehearsal.js';
import type { RehearsalDeps } from '../src/rehearsal.js';
import { Deferred } from '../src/runtime/deferred.js';
import { MemoryObjectStore } from './support/memory-object-store.js';

/** A rehearsal whose layers note what is done to them. */
async function useRehearsal({
  openStore,
  rehearse,
}: { openStore?: RehearsalDeps['openStore']; rehearse?: () => Promise<void> } = {}) {
  const reads: string[] = [];
  const closed: string[] = [];
  const levels: number[] = [];
  const store = new MemoryObjectStore({ beforeChunk: () => {} });
  const closesStore = Object.assign(store, { close: () => void closed.push('store') });
  const rehearsal = new Rehearsal({
    openStore: openStore ?? (async () => closesStore),
    buildLayers: () => {
      const part = (name: string) => ({ close: () => void closed.push(name) });
      return {
        session: {
          rehearse: async (name: string) => {
            reads.push(name);
            await rehearse?.();
          },
        },
        filesystem: part('filesystem'),
        engine: { close: async () => void closed.push('engine') },
      };
    },
    logger: createLogger('trace', {
      write: (line) => void levels.push((JSON.parse(line) as { level: number }).level),
    }),
  });
  return { rehearsal, reads, closed, levels };
}

const TOP_FIRST = ['filesystem', 'engine', 'store'];
const DEBUG = 20;

t.test('several files are read, and everything is taken down, top first', async (t) => {
  const { rehearsal, reads, closed, levels } = await useRehearsal();
  await rehearsal.done;
  t.ok(reads.length > 1);
  t.equal(new Set(reads).size, reads.length, 'each read is the first one of its file');
  t.same(closed, TOP_FIRST);
  t.ok(levels.every((level) => level <= DEBUG));
  rehearsal.close();
  t.same(closed, TOP_FIRST, 'once');
});

t.test('a read that fails ends it, and only that', async (t) => {
  const rehearse = () => Promise.reject(new Error('broken'));
  const { rehearsal, reads, closed, levels } = await useRehearsal({ rehearse });
  await rehearsal.done;
  t.equal(reads.length, 1);
  t.same(closed, TOP_FIRST);
  t.same(levels, [DEBUG]);
});

t.test('without a store there is no rehearsal', async (t) => {
  const failing = await useRehearsal({ openStore: () => Promise.reject(new Error('no loopback')) });
  await failing.rehearsal.done;
  t.same([failing.reads, failing.closed], [[], []]);
  t.same(failing.levels, [DEBUG]);
  const none = await useRehearsal({ openStore: async () => undefined });
  await none.rehearsal.done;
  t.same([none.reads, none.closed, none.levels], [[], [], []]);
});

t.test('a mount that ends takes it down at once, in the middle of a read', async (t) => {
  const reading = new Deferred<void>();
  const begun = new Deferred<void>();
  const rehearse = () => {
    begun.resolve();
    return reading.promise;
  };
  const { rehearsal, reads, closed } = await useRehearsal({ rehearse });
  await begun.promise;
  rehearsal.close();
  t.same(closed, TOP_FIRST);
  reading.resolve();
  await rehearsal.done;
  t.equal(reads.length, 1, 'no other read is begun');
});

t.test('a store that is opened too late is closed again', async (t) => {
  let isClosed = false;
  const opening = new Deferred<MemoryObjectStore>();
  const { rehearsal, reads } = await useRehearsal({ openStore: () => opening.promise });
  rehearsal.close();
  const store = new MemoryObjectStore({ beforeChunk: () => {} });
  opening.resolve(Object.assign(store, { close: () => void (isClosed = true) }));
  await rehearsal.done;
  t.ok(isClosed);
  t.same(reads, []);
});
