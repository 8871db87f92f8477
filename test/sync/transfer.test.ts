/** When the transfer of one file gives up, by a simulated clock; with real servers in faults.test.ts. */
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Availability } from '../../src/runtime/availability.js';
import { BlockChecksums } from '../../src/runtime/block-checksums.js';
import { checksumFunctions } from '../../src/runtime/checksum-functions.js';
import { createAborter } from '../../src/runtime/aborter.js';
import { TempFile } from '../../src/sync/temp-file.js';
import { Transfer } from '../../src/sync/transfer.js';
import type { TransferEnd } from '../../src/sync/transfer.js';
import { SimulatedClock } from '../support/simulated-clock.js';

const SIZE = 100_000;
const SILENCE_MS = 60_000;

/** A transfer whose requests are made by the test. */
async function useTransfer(t: Test) {
  const file = await TempFile.openToFill(join(t.testdir(), 'part'), SIZE);
  t.teardown(() => file.close());
  const clock = new SimulatedClock();
  const checksums = BlockChecksums.create(SIZE);
  const availability = Availability.create(SIZE);
  const transfer = new Transfer(
    { endpoint: 'e', bucket: 'b', key: 'k', etag: '"1"', size: SIZE },
    { file, availability, checksums },
    {
      clock,
      functions: checksumFunctions(undefined),
      createFetcher: () => ({ demand: () => {}, stop: () => {} }),
      told: () => {},
      onPublished: () => {},
    },
    { id: 'f1', silenceMsMax: SILENCE_MS },
  );
  let ended: TransferEnd | undefined;
  const end = transfer.run(createAborter().signal).then((value) => (ended = value));
  const bring = async (start: number, stop: number) => {
    const part = transfer.beginPart({ start, end: stop });
    await part.write(new Uint8Array(stop - start));
    await part.flush();
  };
  /** Has the promises settle that time may have settled. */
  const hasEnded = async () => {
    await new Promise(setImmediate);
    return ended !== undefined;
  };
  return { transfer, clock, end, bring, hasEnded };
}

t.test('a file whose requests wait for their turn waits as long as it takes', async (t) => {
  const { transfer, clock, end, bring, hasEnded } = await useTransfer(t);
  clock.advance(10 * SILENCE_MS);
  t.notOk(await hasEnded(), 'before the first request');
  transfer.delayed('throttled');
  clock.advance(10 * SILENCE_MS);
  t.notOk(await hasEnded(), 'between two of them');
  await bring(0, SIZE);
  t.same(await end, { kind: 'complete' });
});

t.test('a file is given up when its requests have failed for so long and brought nothing', async (t) => {
  const { transfer, clock, end, hasEnded } = await useTransfer(t);
  clock.advance(SILENCE_MS);
  for (let ms = 0; ms < SILENCE_MS; ms += 3000) {
    transfer.delayed('unreachable: early');
    clock.advance(3000);
  }
  t.notOk(await hasEnded());
  transfer.delayed('unreachable: the last one');
  t.same(await end, { kind: 'silent', reason: 'unreachable: the last one' });
  t.equal(transfer.retries, 21);
});

t.test('bytes end the silence', async (t) => {
  const { transfer, clock, end, bring, hasEnded } = await useTransfer(t);
  transfer.delayed('broken: a');
  clock.advance(SILENCE_MS - 1);
  await bring(0, 65_536);
  clock.advance(1);
  transfer.delayed('broken: b');
  clock.advance(SILENCE_MS - 1);
  transfer.delayed('broken: c');
  t.notOk(await hasEnded());
  clock.advance(1);
  transfer.delayed('broken: d');
  t.same(await end, { kind: 'silent', reason: 'broken: d' });
});
