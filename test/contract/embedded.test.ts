/** The contract of object stores, kept by the S3 store on the embedded server. */
import t from 'tap';
import { DEFAULT_CREDENTIALS } from '../../src/s3-server/server.js';
import { BUCKET, useServer, useServerCredentials, useStore } from '../support/s3-fixture.js';
import { S3Writer } from '../support/s3-writer.js';
import { objectStoreContract } from './object-store-contract.js';

useServerCredentials(t);
const server = await useServer(t);

await objectStoreContract(t, async () => {
  const credentials = DEFAULT_CREDENTIALS;
  const writer = new S3Writer({ endpointUrl: server.endpoint, bucket: BUCKET, credentials });
  return {
    store: await useStore(t, server),
    put: (key, bytes) => writer.put(key, bytes),
    putParts: (key, parts) => writer.putParts(key, parts),
    delete: (key) => writer.delete(key),
    exceptions: [],
    dispose: async () => writer.close(),
  };
});
