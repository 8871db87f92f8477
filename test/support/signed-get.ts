/** Signed requests and how a transport sends them: over plain node:http, target and headers as they are. */
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { Test } from 'tap';
import type { ObjectVersion } from '../../src/object-store/object-store.js';
import { openConnection } from '../../src/object-store/s3-connection.js';
import type { S3Connection, S3ObjectStoreOptions } from '../../src/object-store/s3-connection.js';
import type { SignedRequest } from '../../src/object-store/signed-requests.js';
import { silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/runtime/clock.js';
import type { Clock } from '../../src/runtime/clock.js';
import { queryPairs } from '../../src/s3-server/request.js';
import type { S3Server } from '../../src/s3-server/server.js';
import { BUCKET, storeOptions } from './s3-fixture.js';

/** Undefined as endpoint is AWS. Closed with the test. */
export async function useConnection(
  t: Test,
  { endpoint }: { readonly endpoint: string | undefined },
  options: Partial<S3ObjectStoreOptions> = {},
  clock: Clock = systemClock,
): Promise<S3Connection> {
  const dependencies = { logger: silentLogger, clock };
  const connection = await openConnection({ ...storeOptions(endpoint), ...options }, dependencies);
  t.teardown(() => connection.close());
  return connection;
}

/** The version as which a server keeps `body`. */
export function versionOf(endpoint: string, key: string, body: string): ObjectVersion {
  const etag = `"${createHash('md5').update(body).digest('hex')}"`;
  return { endpoint, bucket: BUCKET, key, etag, size: Buffer.byteLength(body) };
}

export async function putVersion(server: S3Server, key: string, body: string): Promise<ObjectVersion> {
  await server.putObject(BUCKET, key, body);
  return versionOf(server.endpoint, key, body);
}

/** The query of the target, decoded. */
export function parametersOf({ target }: SignedRequest): ReadonlyMap<string, string> {
  return new Map(queryPairs(target.slice(target.indexOf('?') + 1)));
}

export interface SignedAnswer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** `added` are the headers of the part. */
export function sendSigned(
  { origin, hostHeader, target, headers }: SignedRequest,
  added: Readonly<Record<string, string>> = {},
): Promise<SignedAnswer> {
  const { hostname, port } = origin;
  const all = { host: hostHeader, ...Object.fromEntries(headers), ...added };
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path: target, headers: all, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}
