/** Reads through JavaScript of bytes that are punched out of the file while it is read: as zeros nobody gets them. */
import t from 'tap';
import { eventually } from '../support/processes.js';
import { DirectReadsRig, PAGE } from './direct-reads-rig.js';

/** A store whose file is changed just before it is first read, and a read of its first page. */
function readingRig(before: (rig: DirectReadsRig) => Promise<void>) {
  let reads = 0;
  const step = async (operation: 'read' | 'write') => {
    if (operation === 'write') return;
    reads += 1;
    if (reads === 1) await before(rig);
  };
  const rig = new DirectReadsRig({ step });
  const write = async (value: number, start: number, end: number) => {
    const part = rig.target.beginPart({ start, end });
    await part.write(new Uint8Array(end - start).fill(value));
    await part.flush();
  };
  const read = async () => {
    const target = new Uint8Array(PAGE);
    const trace = rig.reads.enter({ storeId: 's1', key: 'model', offset: 0, length: PAGE });
    await rig.store.read({ target, offset: 0, trace, signals: [] });
    trace.exit('ok');
    return target;
  };
  return { rig, write, read, reads: () => reads };
}

t.test('a read whose bytes were taken away meanwhile waits for them', async (t) => {
  const { rig, write, read, reads } = readingRig(async (rig) => {
    // As a hole reads; nobody is told that they are there.
    await rig.publish(0, PAGE);
    rig.store.availability.clear({ start: 0, end: PAGE });
  });
  await write(7, 0, 2 * PAGE);
  const reading = read();
  t.ok(await eventually(() => rig.readsWaiting === 1));
  await write(7, 0, PAGE);
  const bytes = await reading;
  t.ok(bytes.every((byte) => byte === 7));
  t.equal(reads(), 2);
  t.same(rig.demanded, [{ start: 0, end: PAGE }]);
  t.equal(rig.readsWaiting, 0);
});

t.test('a read beside bytes that were taken away looks once more, and waits for nothing', async (t) => {
  const { rig, write, read, reads } = readingRig(async (rig) => {
    rig.store.availability.clear({ start: PAGE, end: 2 * PAGE });
  });
  await write(7, 0, 2 * PAGE);
  const bytes = await read();
  t.ok(bytes.every((byte) => byte === 7));
  t.equal(reads(), 2);
  t.same(rig.demanded, []);
});
