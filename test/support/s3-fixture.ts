/**
 * The embedded S3 server and S3 stores on it, for the tests of the object-store layer. Everything ends with the test,
 * and nothing of the machine's own AWS settings or proxies gets in.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { createS3ObjectStore } from '../../src/object-store/s3-object-store.js';
import type {
  S3ObjectStoreDependencies,
  S3ObjectStoreOptions,
} from '../../src/object-store/s3-object-store.js';
import type { ObjectStore, ObjectVersion } from '../../src/object-store/object-store.js';
import { silentLogger } from '../../src/observability/logger.js';
import { systemClock } from '../../src/runtime/clock.js';
import { DEFAULT_CREDENTIALS, startS3Server } from '../../src/s3-server/server.js';
import type { S3Server, S3ServerOptions } from '../../src/s3-server/server.js';

export const BUCKET = 'bucket';

/** The environment for as long as a test runs: what is named, and no other AWS setting, proxy or CA bundle. */
export function useEnvironment(t: Test, variables: Readonly<Record<string, string>>): void {
  const before = { ...process.env };
  t.teardown(() => {
    for (const name of Object.keys(process.env)) delete process.env[name];
    Object.assign(process.env, before);
  });
  for (const name of Object.keys(process.env)) {
    if (/^AWS_|_proxy$|^NODE_EXTRA_CA_CERTS$/i.test(name)) delete process.env[name];
  }
  Object.assign(process.env, {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/nonexistent/config',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    ...variables,
  });
}

/** The environment with the credentials of the embedded server. */
export function useServerCredentials(t: Test, variables: Readonly<Record<string, string>> = {}): void {
  useEnvironment(t, {
    AWS_ACCESS_KEY_ID: DEFAULT_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: DEFAULT_CREDENTIALS.secretAccessKey,
    ...variables,
  });
}

/** A folder that goes with the test. */
export async function useFolder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A server with an empty bucket. */
export async function useServer(t: Test, options: Partial<S3ServerOptions> = {}): Promise<S3Server> {
  const server = await startS3Server({ dir: await useFolder(t), ...options });
  t.teardown(() => server.close());
  await server.createBucket(BUCKET);
  return server;
}

export async function useStore(
  t: Test,
  server: Pick<S3Server, 'endpoint'>,
  options: Partial<S3ObjectStoreOptions> = {},
  dependencies: Partial<S3ObjectStoreDependencies> = {},
): Promise<ObjectStore> {
  const store = await createS3ObjectStore(
    { ...storeOptions(server.endpoint), ...options },
    { logger: silentLogger, clock: systemClock, ...dependencies },
  );
  t.teardown(() => store.close());
  return store;
}

export function storeOptions(endpointUrl: string | undefined): S3ObjectStoreOptions {
  return {
    bucket: BUCKET,
    endpointUrl,
    region: undefined,
    profile: undefined,
    noSignRequest: false,
    forcePathStyle: true,
    caBundle: undefined,
    requesterPays: false,
    sseCustomerKeyFile: undefined,
    connectionsMax: 8,
    transferThreads: 1,
    idleTimeoutMs: 5_000,
    stallTimeoutMs: 10_000,
  };
}

/** The current version of an object that exists. */
export async function currentVersion(store: ObjectStore, key: string): Promise<ObjectVersion> {
  const info = await store.head(key);
  if (!info) throw new Error(`no object ${key}`);
  return { endpoint: store.endpoint, bucket: store.bucket, key, etag: info.etag, size: info.size };
}
