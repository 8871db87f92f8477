/** The far end of `sluice demo`: the embedded S3 server with one large object, as slow as a region nearby. */
import { createHash } from 'node:crypto';
import { fillPattern } from '../runtime/pattern.js';
import { DEFAULT_CREDENTIALS, startS3Server } from '../s3-server/server.js';
import type { S3Server } from '../s3-server/server.js';

export const DEMO_BUCKET = 'demo';
export const DEMO_KEY = 'models/demo.bin';

/** A usual round trip, and what one connection to S3 brings, scaled so that 256 MiB take some seconds to watch. */
export const ROUND_TRIP_MS = 20;
export const CONNECTION_BYTES_PER_SECOND = 6 * 1024 * 1024;

const SEED = 20_260;

export async function startDemoServer(dir: string, size: number): Promise<S3Server> {
  const server = await startS3Server({ dir });
  await server.createBucket(DEMO_BUCKET);
  await server.putSynthetic(DEMO_BUCKET, DEMO_KEY, { size, seed: SEED });
  server.faults.roundTripMs = ROUND_TRIP_MS;
  server.faults.connectionBytesPerSecond = CONNECTION_BYTES_PER_SECOND;
  return server;
}

/** SHA-256 of the object, from the pattern itself: neither the server nor the mount has a part in it. */
export function expectedSha256(size: number): string {
  const hash = createHash('sha256');
  const chunk = new Uint8Array(1024 * 1024);
  for (let offset = 0; offset < size; offset += chunk.length) {
    hash.update(fillPattern(chunk.subarray(0, Math.min(chunk.length, size - offset)), SEED, offset));
  }
  return hash.digest('hex');
}

/** The demo's own settings only: nothing of the user's account, proxy or configuration plays a part. */
export function demoEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(SLUICE|AWS)_|_proxy$/i.test(name));
  return {
    ...Object.fromEntries(own),
    AWS_ACCESS_KEY_ID: DEFAULT_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: DEFAULT_CREDENTIALS.secretAccessKey,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
    SLUICE_CONFIG: '/dev/null',
  };
}
