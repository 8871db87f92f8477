/**
 * What the warm benchmark reads: a folder on the local disk, and the same objects through mounts of one bucket. The
 * server is a process of its own, as are the daemons (bench-systems.ts).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SLUICE } from '../test/support/mount-harness.js';
import { run } from '../test/support/processes.js';
import { startS3Server } from '../src/s3-server/server.js';
import type { StatusReport } from '../src/observability/status-report.js';
import { benchReader } from './bench-support.js';
import { BUCKET, startProcess } from './bench-systems.js';
import type { Place as Base, Variant } from './bench-systems.js';

export const BIG = 'big';
export const NAMES = 'names';
const SEED = 1;
/** What one open-read-close reads. */
const SMALL_BYTES = 4096;

export interface Place extends Base {
  readonly sizeBytes: number;
  readonly names: number;
}

/** Every byte of the large object, compared with the pattern as it is read. */
export async function verifyBig({ root, prefix }: Variant, { sizeBytes }: Place): Promise<void> {
  const { bytes } = await benchReader(['read', join(root, BIG), '--verify', SEED], prefix);
  if (bytes !== sizeBytes) throw new Error(`${root}: ${bytes} of ${sizeBytes} bytes`);
}

/** The same files as the bucket's objects. */
export async function makeLocalFiles({ folder, sizeBytes, names }: Place): Promise<Variant> {
  const root = join(folder, 'local');
  mkdirSync(join(root, NAMES), { recursive: true });
  const big = join(root, BIG);
  await benchReader(['make', big, '--size', sizeBytes, '--verify', SEED]);
  // A comparison that cannot fail would prove nothing.
  const isWrongSeen = await benchReader(['read', big, '--verify', SEED + 1]).then(
    () => false,
    () => true,
  );
  if (!isWrongSeen) throw new Error('bench-reader does not tell wrong bytes');
  for (const name of namesOf(names)) writeFileSync(join(root, name), 'x'.repeat(SMALL_BYTES));
  return { name: 'local file', root, pid: undefined, prefix: [] };
}

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, at) => join(NAMES, `file-${String(at).padStart(5, '0')}`));
}

/** Serves the bucket from a process of its own. Resolves with the endpoint. */
export async function startServer({ folder, cleanup, env, sizeBytes, names }: Place): Promise<string> {
  const dir = join(folder, 's3');
  const filling = await startS3Server({ dir });
  await filling.createBucket(BUCKET);
  await filling.putSynthetic(BUCKET, BIG, { size: sizeBytes, seed: SEED });
  await filling.putMany(BUCKET, namesOf(names), { body: 'x'.repeat(SMALL_BYTES) });
  await filling.close();
  const { output } = await startProcess([process.execPath, SLUICE, 'serve-s3', dir, '--port', '0'], {
    cleanup,
    env,
    isReady: (text) => /^mount with:/m.test(text),
  });
  const [, endpoint = ''] = /^endpoint:\s+(\S+)/m.exec(output()) ?? [];
  return endpoint;
}

/** READ requests that reached a daemon of the native driver so far. */
export async function readRequests({ root }: Variant, { env }: Place): Promise<number> {
  const { code, stdout, stderr } = await run(process.execPath, [SLUICE, 'status', '--json', root], { env });
  if (code !== 0) throw new Error(`sluice status ${root} failed with ${code}: ${stderr}`);
  const { mounts } = JSON.parse(stdout.toString()) as { mounts: StatusReport[] };
  const requests = mounts[0]?.driver.readRequests;
  if (typeof requests !== 'number') throw new Error(`${root}: its status counts no READ requests`);
  return requests;
}
